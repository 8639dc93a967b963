//! The state file of a command: what is known of keys, taken over from earlier commands and kept for later ones.

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use llmpool::Providers;

use crate::cli::State;
use crate::exit;

/// So often does who looks on see something new.
const BETWEEN: Duration = Duration::from_secs(2);

/// Where what is known of keys is kept, if anywhere.
pub(super) struct Remembered(Option<PathBuf>);

impl Remembered {
    /// Takes over what is in the file.
    pub(super) fn load(state: &State, providers: &Providers) -> Result<Self, ExitCode> {
        let path = state.file();
        if let Some(path) = &path {
            providers
                .load_key_states(path)
                .map_err(|error| exit::of(&error))?;
        }
        Ok(Self(path))
    }

    /// Does the work, and writes down what is known every other second meanwhile and at the end.
    pub(super) async fn during<T>(
        &self,
        providers: &Providers,
        work: impl Future<Output = T>,
    ) -> Result<T, ExitCode> {
        let mut work = pin!(work);
        let mut again = tokio::time::interval(BETWEEN);
        loop {
            tokio::select! {
                done = &mut work => {
                    self.save(providers)?;
                    return Ok(done);
                }
                _ = again.tick(), if self.0.is_some() => self.save(providers)?,
            }
        }
    }

    /// Writes down what is known now.
    pub(super) fn save(&self, providers: &Providers) -> Result<(), ExitCode> {
        let saved = self.0.iter().map(|path| providers.save_key_states(path));
        let saved: Result<(), _> = saved.collect();
        saved.map_err(|error| exit::of(&error))
    }
}
