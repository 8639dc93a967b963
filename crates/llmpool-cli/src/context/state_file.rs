//! The state file: key states and limits that one command hands to the next, and that `llmpool status` shows.

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use llmpool::Providers;

use crate::cli::StateFileArgs;
use crate::problem;

/// The time between two writes, so that `llmpool status` in another terminal follows a running command.
const SAVE_INTERVAL: Duration = Duration::from_secs(2);

/// The state file of a command, if one was named.
pub(crate) struct StateFile(Option<PathBuf>);

impl StateFile {
    /// Loads the key states of the file into the providers. A file that does not exist yet is created by the first save.
    pub(crate) fn load(args: &StateFileArgs, providers: &Providers) -> Result<Self, ExitCode> {
        let path = args.file();
        if let Some(path) = &path {
            providers.load_key_states(path).map_err(problem::exit_with)?;
        }
        Ok(Self(path))
    }

    /// Runs a future to its end, saving the key states every two seconds and at the end.
    pub(crate) async fn save_during<T>(
        &self,
        providers: &Providers,
        work: impl Future<Output = T>,
    ) -> Result<T, ExitCode> {
        let mut work = pin!(work);
        let mut interval = tokio::time::interval(SAVE_INTERVAL);
        loop {
            tokio::select! {
                output = &mut work => {
                    self.save(providers)?;
                    return Ok(output);
                }
                _ = interval.tick(), if self.0.is_some() => self.save(providers)?,
            }
        }
    }

    /// Saves the key states, or prints why that failed.
    pub(crate) fn save(&self, providers: &Providers) -> Result<(), ExitCode> {
        let Some(path) = &self.0 else {
            return Ok(());
        };
        providers.save_key_states(path).map_err(problem::exit_with)
    }
}
