//! Arguments of `llmpool config`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::shared::ConfigFileArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write a new provider.json
    Init(InitArgs),
    /// Show the effective settings and where each comes from
    Show(ShowArgs),
    /// Validate provider files and report all errors
    Validate(ValidateArgs),
    /// Print the JSON Schema of the provider file
    #[command(after_help = "Examples:\n  llmpool config schema > provider.schema.json")]
    Schema,
}

#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  llmpool config init                                        prompts for the settings in a terminal
  llmpool config init --provider deepseek
  llmpool config init --provider local --base-url http://127.0.0.1:8088/v1 --model smollm2-135m-instruct

Existing files are never changed. Also writes provider.schema.json, which editors use for
completion and validation.")]
pub(crate) struct InitArgs {
    /// Path of the new provider file
    #[arg(default_value = "provider.json", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Name of a known provider (openai, anthropic, deepseek, ollama, …), or any other name together with
    /// --base-url
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Model name in the provider's API
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Base URL of the provider
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) base_url: Option<String>,
    /// Name of an environment variable that contains an API key; can be repeated
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) key_env: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  llmpool config show\n  llmpool config show -m openai/gpt-4o-mini --json\n\nKeys are shown by their labels only."
)]
pub(crate) struct ShowArgs {
    /// Show only this model, given as provider/model
    #[arg(short, long, env = "LLMPOOL_MODEL", hide_env = true)]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigFileArgs,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llmpool config validate
  llmpool config validate production.json staging.json     also reports keys that the files share

The exit code is 0 if all files are valid, even with warnings and hints, and 78 otherwise.")]
pub(crate) struct ValidateArgs {
    /// Files to validate [default: the provider file that other commands use]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigFileArgs,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}
