//! Locations of the provider file and the prompt history.

use std::path::{Path, PathBuf};

use crate::cli::ConfigFileArgs;
use crate::output;

/// Returns the path of the provider file: the path from `--config` or `LLMPOOL_CONFIG`, or else the first of
/// `./provider.json` and `llmpool/provider.json` (in the user's configuration directory) that exists.
pub(crate) fn provider_file(args: &ConfigFileArgs) -> Option<PathBuf> {
    if let Some(path) = args.config() {
        return Some(path.to_owned());
    }
    let local = Path::new("provider.json");
    if local.exists() {
        output::note("using ./provider.json");
        return Some(local.to_owned());
    }
    let user = user_dir("XDG_CONFIG_HOME", ".config")?.join("llmpool/provider.json");
    user.exists().then_some(user)
}

/// Returns the path of the prompt history: the value of `LLMPOOL_HISTORY` if it is set, else
/// `llmpool/chat-history` in the user's state directory. Returns `None` if `LLMPOOL_HISTORY` is empty, which
/// disables the history.
pub(crate) fn prompt_history() -> Option<PathBuf> {
    match std::env::var_os("LLMPOOL_HISTORY") {
        Some(path) => Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty()),
        None => Some(user_dir("XDG_STATE_HOME", ".local/state")?.join("llmpool/chat-history")),
    }
}

/// Returns a user directory of the XDG base directory specification: the value of `variable` or, if the
/// variable is not set, the directory `below_home` in the home directory.
fn user_dir(variable: &str, below_home: &str) -> Option<PathBuf> {
    let dir = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    dir(variable).or_else(|| Some(dir("HOME")?.join(below_home)))
}
