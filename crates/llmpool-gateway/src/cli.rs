//! What can be said on the command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

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
    /// List the configured models
    Models(Models),
    /// Check the provider file, or print its schema
    #[command(subcommand)]
    Config(Config),
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
                        llmpool chat -m openai/gpt-4o-mini --json \"Hello\""
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
}

impl Chat {
    /// The model that was named; a variable that is set to nothing names none.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref().filter(|model| !model.is_empty())
    }
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
pub(crate) struct Sim {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8089", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,
    /// What the provider is like, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Option<PathBuf>,
}
