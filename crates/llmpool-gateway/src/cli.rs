//! What can be said on the command line.

mod plan;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::plan::{Calls, Plan, burst, callers, latency, rate, tokens};

/// One interface over every OpenAI-compatible provider.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 ok, 1 failed, 2 usage, 75 limited or timed out, 77 credentials refused, \
                                 78 bad configuration, 130 Ctrl-C."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask a model and print its answer
    Chat(Chat),
    /// Ask the providers which keys they accept
    Check(Check),
    /// List the configured models
    Models(Models),
    /// Check the provider file, or print its schema
    #[command(subcommand)]
    Config(Config),
    /// Foretell what becomes of traffic under the limits of a model and its keys
    Plan(Plan),
    /// Run a provider that misbehaves on request
    Sim(Sim),
}

#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The provider file [default: ./provider.json, then the user's configuration folder]
    #[arg(long, env = "LLMPOOL_CONFIG", value_name = "FILE")]
    config: Option<OsString>,
}

impl Source {
    /// The file that was named; a variable that is set to nothing names none.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config
            .as_deref()
            .filter(|path| !path.is_empty())
            .map(Path::new)
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llmpool chat \"Hello\"\n  git diff | llmpool chat \"Write a commit message\"\n  \
                        llmpool chat -m openai/gpt-4o-mini --json \"Hello\"\n  \
                        llmpool chat --jsonl questions.jsonl --output answers.jsonl\n\n\
                  A line of a batch is \"a prompt\", or {\"id\": …, \"prompt\": …, \"system\": …}, or a Chat Completions\n\
                  request with \"messages\", or a line of OpenAI's batches. Ended early, the same command with --output goes on."
)]
pub(crate) struct Chat {
    /// The prompt; what comes on stdin is appended, and - stands for stdin alone
    pub(crate) prompt: Vec<String>,
    /// The model, as provider/model
    #[arg(short, long, env = "LLMPOOL_MODEL")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Instructions for the model
    #[arg(long)]
    pub(crate) system: Option<String>,
    /// Print the whole answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Wait for the whole answer
    #[arg(short = 'S', long)]
    pub(crate) no_stream: bool,
    #[command(flatten)]
    pub(crate) batch: Batch,
}

/// Many questions at once.
#[derive(Debug, Args)]
#[command(next_help_heading = "Batches")]
#[group(multiple = true, conflicts_with_all = ["prompt", "json", "no_stream"])]
pub(crate) struct Batch {
    /// Ask every line of FILE and answer each with a line of JSON; without FILE, or with -, lines come on stdin
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        default_missing_value = "-"
    )]
    pub(crate) jsonl: Option<PathBuf>,
    /// Append the answers to FILE, and skip the lines that it answers already [default: stdout]
    #[arg(long, value_name = "FILE", requires = "jsonl")]
    pub(crate) output: Option<PathBuf>,
    /// Write answers in the order of the lines, or each when it is done
    #[arg(long, value_enum, default_value_t, requires = "jsonl")]
    pub(crate) order: Order,
    /// Most calls under way at once
    #[arg(
        long,
        value_name = "N",
        // Keeps three calls of five seconds going each second, and does not flood a small model on this machine.
        default_value_t = 16,
        // More sockets than these would meet the usual limit of open files.
        value_parser = clap::value_parser!(u16).range(1..=1000),
        requires = "jsonl"
    )]
    pub(crate) concurrency: u16,
    /// Longest time for a call, with its waits for limits and its retries
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds, requires = "jsonl")]
    pub(crate) timeout: Duration,
}

/// When an answer of a batch is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// In the order of the lines
    #[default]
    Input,
    /// When it is done
    Done,
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    const YEAR: Duration = Duration::from_secs(366 * 86_400);
    let seconds = text
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|seconds| !seconds.is_zero() && *seconds <= YEAR)
        .ok_or_else(|| "give seconds, more than 0 and at most a year".to_owned())
}

impl Chat {
    /// The model that was named; a variable that is set to nothing names none.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref().filter(|model| !model.is_empty())
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llmpool check\n  llmpool check -m openai/gpt-4o-mini --json\n  llmpool check --call\n\n\
                  Asks for the list of models with every key, and once with a key that nobody has; no provider bills that.\n\
                  The exit code is 77 where a key was refused, and 0 also where nothing could be told or nobody was there."
)]
pub(crate) struct Check {
    /// Only this model, as provider/model
    #[arg(short, long, env = "LLMPOOL_MODEL")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Make one short streamed call for each model too, which is billed
    #[arg(long)]
    pub(crate) call: bool,
    /// Longest time for an answer
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Models {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Check the provider file: every defect at once
    Validate(Source),
    /// Print the JSON Schema of the provider file
    Schema,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llmpool sim --scenario rate-limited\n  llmpool sim --scenario flaky --seed 7\n  \
                        llmpool sim --scenario ./mine.json --listen 127.0.0.1:0"
)]
pub(crate) struct Sim {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8089", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,
    /// What the provider is like: the name of a ready scenario, or a JSON file (with a / or .json in its name)
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) scenario: Option<PathBuf>,
    /// Decides what happens by chance, instead of the scenario's seed
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}
