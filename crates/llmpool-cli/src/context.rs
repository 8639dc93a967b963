//! The context of a command: where its providers come from, and which model it uses.

pub(crate) mod diagnostics;
pub(crate) mod paths;
pub(crate) mod simulated;
pub(crate) mod state_file;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use llmpool::provider_file::ProviderFile;
use llmpool::{OpenAiCompatible, Providers};

use self::simulated::BuiltInSimulator;
use crate::cli::ConfigFileArgs;
use crate::problem::{self, Problem};
use crate::{exit, output};

/// Where the providers come from.
pub(crate) enum ProviderSource {
    /// A provider file.
    File { path: PathBuf, providers: Providers },
    /// `OPENAI_API_KEY`; the provider accepts any model name.
    Environment(Providers),
    /// Nothing is configured.
    Unconfigured,
}

impl ProviderSource {
    /// Loads the providers from the provider file, or from `OPENAI_API_KEY` if there is no file.
    ///
    /// # Errors
    ///
    /// Prints every error of the provider file or the environment, and returns the exit code.
    pub(crate) fn load(args: &ConfigFileArgs) -> Result<Self, ExitCode> {
        let Some(path) = paths::provider_file(args) else {
            let providers = Providers::from_env_with(&environment_variable).map_err(problem::exit_with)?;
            return Ok(providers.map_or(Self::Unconfigured, Self::Environment));
        };
        let file = read_provider_file(&path)?;
        let providers = Providers::from_provider_file(file).map_err(problem::exit_with)?;
        Ok(Self::File { path, providers })
    }

    /// Prints the warnings of the provider file, for commands that send more than one call.
    pub(crate) fn print_warnings(self) -> Self {
        if let Self::File { providers, .. } = &self {
            for warning in providers.warnings() {
                diagnostics::print_warning(warning);
            }
        }
        self
    }

    /// Returns the providers, or prints how to configure one.
    pub(crate) fn providers(self) -> Result<Providers, ExitCode> {
        match self {
            Self::File { providers, .. } | Self::Environment(providers) => Ok(providers),
            Self::Unconfigured => Err(unconfigured()),
        }
    }

    /// Returns the providers, or the built-in simulator as the only provider if nothing is configured and no model was requested. The
    /// providers work as long as the simulator is not dropped.
    pub(crate) async fn providers_or_simulator(
        self,
        model: Option<&str>,
    ) -> Result<(Option<BuiltInSimulator>, Providers), ExitCode> {
        if !matches!(self, Self::Unconfigured) || model.is_some() || !cfg!(feature = "simulator") {
            return Ok((None, self.providers()?));
        }
        output::note("no provider is configured; the built-in simulator answers");
        output::hint(
            "to use a real model, set OPENAI_API_KEY and pass -m MODEL, or run llmpool config init to write a provider.json",
        );
        let (simulator, providers) = simulated::start()
            .await
            .map_err(|problem| problem.exit(exit::FAILED))?;
        Ok((Some(simulator), providers))
    }
}

/// Reads and validates a provider file, or prints all of its errors.
pub(crate) fn read_provider_file(path: &Path) -> Result<ProviderFile, ExitCode> {
    ProviderFile::read(path, &environment_variable).map_err(diagnostics::exit_with)
}

/// Reads a provider file for a command that sends nothing: the keys that it refers to need not be set. Prints all of its errors.
pub(crate) fn read_provider_file_without_keys(path: &Path) -> Result<ProviderFile, ExitCode> {
    ProviderFile::read_with_placeholders(path, &environment_variable).map_err(diagnostics::exit_with)
}

pub(crate) fn environment_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns the requested model, or the only one that is configured.
///
/// # Errors
///
/// Prints the configured models and returns the exit code if no model was requested and there is not exactly one.
pub(crate) fn select_model(
    providers: &Providers,
    requested: Option<&str>,
) -> Result<OpenAiCompatible, ExitCode> {
    if let Some(requested) = requested {
        return providers.model(requested).map_err(problem::exit_with);
    }
    let models: Vec<_> = providers.models().collect();
    let problem = match models.as_slice() {
        [only] => return Ok((*only).clone()),
        [] => {
            Problem::new("no model was specified").with_hint("pass one with -m, for example -m gpt-4o-mini")
        }
        several => {
            let ids: Vec<_> = several.iter().map(|model| model.id()).collect();
            Problem::new(format!(
                "no model was specified, and {} are configured",
                ids.len()
            ))
            .with_hint(format!("pass one of these with -m: {}", ids.join(", ")))
        }
    };
    Err(problem.exit(exit::USAGE))
}

/// Prints that no provider is configured, and returns the exit code.
fn unconfigured() -> ExitCode {
    Problem::new("no provider is configured")
        .with_hint("set OPENAI_API_KEY, or run llmpool config init to write a provider.json")
        .exit(exit::CONFIG)
}
