//! What can be said to `llmpool chat`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::{Source, State, seconds};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llmpool chat                                      a talk, in a terminal: /help tells what it knows
  llmpool chat \"Hello\"
  git diff | llmpool chat \"Write a commit message\"
  llmpool chat -f error.log -f screen.png \"What went wrong?\"
  llmpool chat -m openai/gpt-4o-mini --json \"Hello\" | jq .usage
  llmpool chat --jsonl questions.jsonl --output answers.jsonl

A line of a batch is \"a prompt\", or {\"id\": …, \"prompt\": …, \"system\": …}, or a Chat Completions
request with \"messages\", or a line of OpenAI's batches. Ended early, the same command with --output
goes on.")]
pub(crate) struct Chat {
    /// The prompt; what comes on stdin is appended, and - stands for stdin alone
    pub(crate) prompt: Vec<String>,
    /// The model, as provider/model
    #[arg(short, long, env = "LLMPOOL_MODEL", hide_env = true)]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Instructions for the model
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// Send a file along: a text, an image or a PDF; may be said several times
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Print the whole answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Wait for the whole answer
    #[arg(short = 'S', long)]
    pub(crate) no_stream: bool,
    /// Print the request as JSON, and send nothing
    #[arg(long, conflicts_with_all = ["json", "no_stream"])]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) state: State,
    #[command(flatten)]
    pub(crate) batch: Batch,
}

impl Chat {
    /// The model that was named; a variable that is set to nothing names none.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref().filter(|model| !model.is_empty())
    }
}

/// Many questions at once.
#[derive(Debug, Args)]
#[command(next_help_heading = "Batches")]
#[group(multiple = true, conflicts_with_all = ["prompt", "files", "json", "no_stream", "dry_run"])]
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
