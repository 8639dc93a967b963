//! Arguments of `llmpool chat`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::shared::{ConfigFileArgs, StateFileArgs, non_empty, parse_seconds};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llmpool chat                                      interactive chat; /help lists its commands
  llmpool chat \"Hello\"
  git diff | llmpool chat \"Write a commit message\"
  llmpool chat -f error.log -f screen.png \"What went wrong?\"
  llmpool chat -m openai/gpt-4o-mini --json \"Hello\" | jq .usage
  llmpool chat --jsonl prompts.jsonl --output answers.jsonl

A batch line is \"a prompt\", {\"id\": …, \"prompt\": …, \"system\": …}, a Chat Completions request with
\"messages\", or a line of an OpenAI batch file. To resume an interrupted batch, run the same
command with --output again.")]
pub(crate) struct ChatArgs {
    /// Prompt; piped input is appended to the prompt. Pass - to read the prompt from stdin
    pub(crate) prompt: Vec<String>,
    /// Model to use, given as provider/model
    #[arg(short, long, env = "LLMPOOL_MODEL", hide_env = true)]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigFileArgs,
    /// System prompt
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// Attach a text, image or PDF file; can be repeated
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Print the complete response as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Do not stream; print the answer when it is complete
    #[arg(short = 'S', long)]
    pub(crate) no_stream: bool,
    /// Print the request as JSON without sending it
    #[arg(long, conflicts_with_all = ["json", "no_stream"])]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) state: StateFileArgs,
    #[command(flatten)]
    pub(crate) batch: BatchArgs,
}

impl ChatArgs {
    pub(crate) fn model(&self) -> Option<&str> {
        non_empty(self.model.as_ref())
    }
}

/// Arguments of `llmpool chat` for a batch, which sends each line of a file as one call.
#[derive(Debug, Args)]
#[command(next_help_heading = "Batches")]
#[group(multiple = true, conflicts_with_all = ["prompt", "files", "json", "no_stream", "dry_run"])]
pub(crate) struct BatchArgs {
    /// Send each line of FILE as one call, and print one JSON line per call. Reads stdin if FILE is omitted
    /// or -
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        default_missing_value = "-"
    )]
    pub(crate) jsonl: Option<PathBuf>,
    /// Append the answers to FILE, and skip the input lines that FILE already answers [default: stdout]
    #[arg(long, value_name = "FILE", requires = "jsonl")]
    pub(crate) output: Option<PathBuf>,
    /// Order in which answers are written
    #[arg(long, value_enum, default_value_t, requires = "jsonl")]
    pub(crate) order: OutputOrder,
    /// Maximum number of concurrent calls
    #[arg(
        long,
        value_name = "N",
        // Sustains three calls a second at five seconds each, and does not overload a small local model.
        default_value_t = 16,
        // The usual limit of open files allows about this many sockets.
        value_parser = clap::value_parser!(u16).range(1..=1000),
        requires = "jsonl"
    )]
    pub(crate) concurrency: u16,
    /// Timeout of each call, including retries and the time spent waiting for rate limits
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = parse_seconds, requires = "jsonl")]
    pub(crate) timeout: Duration,
}

/// The order in which the answers of a batch are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputOrder {
    /// Answers in the order of the input lines
    #[default]
    Input,
    /// Each answer as soon as it is complete
    Done,
}
