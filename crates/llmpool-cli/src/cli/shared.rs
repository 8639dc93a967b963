//! Arguments and parsers that several commands share.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};

#[derive(Debug, Args)]
pub(crate) struct ConfigFileArgs {
    /// Provider file [default: ./provider.json, then llmpool/provider.json in the user's configuration directory]
    #[arg(long, env = "LLMPOOL_CONFIG", hide_env = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<OsString>,
}

impl ConfigFileArgs {
    /// Returns the path given with `--config` or `LLMPOOL_CONFIG`, if any. An empty path counts as not given.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config
            .as_deref()
            .filter(|path| !path.is_empty())
            .map(Path::new)
    }
}

#[derive(Debug, Args)]
pub(crate) struct StateFileArgs {
    /// State file, which keeps key states across runs; llmpool status shows its contents
    #[arg(long = "state", env = "LLMPOOL_STATE", hide_env = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<OsString>,
}

impl StateFileArgs {
    /// Returns the path given with `--state` or `LLMPOOL_STATE`, if any. An empty path counts as not given.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.file
            .clone()
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    }
}

/// Returns the model given with `--model` or `LLMPOOL_MODEL`, if any. An empty name counts as not given.
pub(crate) fn non_empty(model: Option<&String>) -> Option<&str> {
    model.map(String::as_str).filter(|model| !model.is_empty())
}

/// Parses a duration in seconds, greater than 0 and at most 366 days.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    const YEAR: Duration = Duration::from_secs(366 * 86_400);
    let seconds = text
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|seconds| !seconds.is_zero() && *seconds <= YEAR)
        .ok_or_else(|| "expected a number of seconds greater than 0 and at most a year".to_owned())
}
