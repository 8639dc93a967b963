//! What can be said on the command line.

mod chat;
mod config;
mod plan;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anstyle::{AnsiColor, Effects, Style};
use clap::builder::Styles;
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

pub(crate) use self::chat::{Batch, Chat, Order};
pub(crate) use self::config::{Config, Init, Show, Validate};
pub(crate) use self::plan::{Calls, Plan, burst, callers, latency, rate, tokens};

/// One interface over every OpenAI-compatible provider.
#[derive(Debug, Parser)]
#[command(name = "llmpool", version, styles = STYLES, after_help = AFTER_HELP, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

const AFTER_HELP: &str = "\
Examples:
  llmpool chat \"Hello\"                 one answer; without a prompt, a talk in the terminal
  llmpool config init                  write a provider.json
  llmpool check                        which keys work?

Exit codes:
    0  ok
    1  failed
    2  the command line, or a line of a batch, is wrong
   75  limited or timed out: the same may do later
   77  credentials refused
   78  the configuration is wrong or missing
  130  Ctrl-C

Environment:
  LLMPOOL_CONFIG   the provider file, as --config
  LLMPOOL_MODEL    the model, as --model
  LLMPOOL_STATE    the state file, as --state
  LLMPOOL_HISTORY  where a talk remembers its questions; empty for nowhere
  OPENAI_API_KEY   a provider where there is no file, with OPENAI_BASE_URL, OPENAI_ORG_ID
                   and OPENAI_PROJECT_ID where they are set
  NO_COLOR         no colours; CLICOLOR_FORCE=1 for colours in a pipe too";

/// As everything else that llmpool says.
const STYLES: Styles = Styles::styled()
    .header(Style::new().effects(Effects::BOLD))
    .usage(Style::new().effects(Effects::BOLD))
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(Style::new())
    .error(AnsiColor::Red.on_default().effects(Effects::BOLD))
    .valid(AnsiColor::Green.on_default())
    .invalid(AnsiColor::Yellow.on_default());

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask a model and print its answer
    Chat(Chat),
    /// Ask the providers which keys they accept
    Check(Check),
    /// List the configured models
    Models(Models),
    /// Write, show and check the provider file
    #[command(subcommand)]
    Config(Config),
    /// Show the keys and limits of a state file
    Status(Status),
    /// Foretell what becomes of traffic under the limits of a model and its keys
    Plan(Plan),
    /// Run a provider that misbehaves on request
    Sim(Sim),
    /// Print the completions of a shell
    Completions(Completions),
    /// Print the manual
    Man(Man),
    /// Print the version
    Version,
}

#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The provider file [default: ./provider.json, then the user's configuration folder]
    #[arg(long, env = "LLMPOOL_CONFIG", hide_env = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct State {
    /// Keep what is known of keys in FILE: read before, written after; llmpool status shows it
    #[arg(long = "state", env = "LLMPOOL_STATE", hide_env = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<OsString>,
}

impl State {
    /// The file that was named; a variable that is set to nothing names none.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.file
            .clone()
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    }
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

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llmpool check\n  llmpool check -m openai/gpt-4o-mini --json\n  llmpool check --call\n\n\
                  Asks for the list of models with every key, and once with a key that nobody has; no provider bills that.\n\
                  The exit code is 77 where a key was refused, and 0 also where nothing could be told or nobody was there."
)]
pub(crate) struct Check {
    /// Only this model, as provider/model
    #[arg(short, long, env = "LLMPOOL_MODEL", hide_env = true)]
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
#[command(after_help = "Examples:\n  llmpool models\n  llmpool models --json | jq -r '.[].id'")]
pub(crate) struct Models {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llmpool chat --jsonl questions.jsonl --state keys.state > answers.jsonl
  llmpool status --state keys.state          in another terminal, meanwhile

What is free now is what has come back since the file was written, had nothing been sent.")]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) state: State,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llmpool completions bash > ~/.local/share/bash-completion/completions/llmpool
  llmpool completions zsh > ~/.zfunc/_llmpool
  llmpool completions fish > ~/.config/fish/completions/llmpool.fish")]
pub(crate) struct Completions {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  llmpool man | man -l -\n  llmpool man --folder ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
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
