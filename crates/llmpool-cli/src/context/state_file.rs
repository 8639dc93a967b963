//! The state file, in which a command saves key states and limits. The next command loads the states, and
//! `llmpool status` shows the contents of the file.

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use llmpool::Providers;

use crate::cli::StateFileArgs;
use crate::problem;

/// The interval at which a running command saves its state, so that `llmpool status` in another terminal
/// shows current values.
const SAVE_INTERVAL: Duration = Duration::from_secs(2);

/// The path of the command's state file. `None` if the user gave no state file, so that nothing is loaded or
/// saved.
pub(crate) struct StateFile(Option<PathBuf>);

impl StateFile {
    /// Loads the key states from the state file into the providers. If the file does not exist yet, loads
    /// nothing; the first save creates the file.
    pub(crate) fn load(args: &StateFileArgs, providers: &Providers) -> Result<Self, ExitCode> {
        let path = args.file();
        if let Some(path) = &path {
            providers.load_key_states(path).map_err(problem::exit_with)?;
        }
        Ok(Self(path))
    }

    /// Runs the future `work` to completion. Saves the key states every two seconds and once more at the end.
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

    /// Saves the key states. If this fails, prints the error and returns the exit code.
    pub(crate) fn save(&self, providers: &Providers) -> Result<(), ExitCode> {
        let Some(path) = &self.0 else {
            return Ok(());
        };
        providers.save_key_states(path).map_err(problem::exit_with)
    }
}
