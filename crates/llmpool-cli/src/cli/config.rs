//! What can be said to `llmpool config`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::Source;

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Write a provider.json to begin with
    Init(Init),
    /// Show what holds and where each value comes from
    Show(Show),
    /// Check the provider file: every defect at once
    Validate(Validate),
    /// Print the JSON Schema of the provider file
    #[command(after_help = "Examples:\n  llmpool config schema > provider.schema.json")]
    Schema,
}

#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  llmpool config init                                        asks what it has to know
  llmpool config init --provider deepseek
  llmpool config init --provider local --base-url http://127.0.0.1:8088/v1 --model smollm2-135m-instruct

A file that is there already is never changed. Beside it goes provider.schema.json, by which editors
complete and check it.")]
pub(crate) struct Init {
    /// Where to write
    #[arg(default_value = "provider.json", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The provider: openai, anthropic, deepseek, ollama, …, or a name of your own with --base-url
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// The model's name, as the provider knows it
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// The provider's base URL
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) base_url: Option<String>,
    /// The environment variable that holds a key; may be said several times
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) key_env: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llmpool config show\n  llmpool config show -m openai/gpt-4o-mini --json\n\nKeys are shown as labels, never as they are."
)]
pub(crate) struct Show {
    /// Only this model, as provider/model
    #[arg(short, long, env = "LLMPOOL_MODEL", hide_env = true)]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llmpool config validate
  llmpool config validate production.json staging.json     also: do they share a key?

Exit code 0 where the files can be used, with whatever hints, and 78 where one of them cannot.")]
pub(crate) struct Validate {
    /// The files [default: the one that the other commands would use]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
