//! Loads the providers for a command, and selects the model that the command uses.

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

/// Where a command's providers come from.
pub(crate) enum ProviderSource {
    /// The providers are defined by the provider file at `path`.
    File { path: PathBuf, providers: Providers },
    /// The environment variable `OPENAI_API_KEY` defines a provider, which accepts any model name.
    Environment(Providers),
    /// There is no provider file, and `OPENAI_API_KEY` is not set.
    Unconfigured,
}

impl ProviderSource {
    /// Loads the providers from the provider file, or from `OPENAI_API_KEY` if there is no provider file.
    ///
    /// # Errors
    ///
    /// If the provider file or an environment variable is invalid, prints all errors and returns the exit
    /// code.
    pub(crate) fn load(args: &ConfigFileArgs) -> Result<Self, ExitCode> {
        let Some(path) = paths::provider_file(args) else {
            let providers = Providers::from_env_with(&environment_variable).map_err(problem::exit_with)?;
            return Ok(providers.map_or(Self::Unconfigured, Self::Environment));
        };
        let file = read_provider_file(&path)?;
        let providers = Providers::from_provider_file(file).map_err(problem::exit_with)?;
        Ok(Self::File { path, providers })
    }

    /// Prints the warnings of the provider file, if any. Called by `llmpool check` and
    /// `llmpool chat --jsonl`.
    pub(crate) fn print_warnings(self) -> Self {
        if let Self::File { providers, .. } = &self {
            for warning in providers.warnings() {
                diagnostics::print_warning(warning);
            }
        }
        self
    }

    /// Returns the providers. If nothing is configured, prints how to configure a provider, and returns the
    /// exit code.
    pub(crate) fn providers(self) -> Result<Providers, ExitCode> {
        match self {
            Self::File { providers, .. } | Self::Environment(providers) => Ok(providers),
            Self::Unconfigured => Err(unconfigured()),
        }
    }

    /// Returns the providers. If nothing is configured and no model was requested, starts the built-in
    /// simulator, and returns it as the only provider. The provider works until the returned simulator is
    /// dropped.
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

/// Reads and validates a provider file. If the file is invalid, prints all errors and returns the exit code.
pub(crate) fn read_provider_file(path: &Path) -> Result<ProviderFile, ExitCode> {
    ProviderFile::read(path, &environment_variable).map_err(diagnostics::exit_with)
}

/// Reads a provider file for a command that sends no requests, so that the API keys in the file need not be
/// set. If the file is invalid, prints all errors and returns the exit code.
pub(crate) fn read_provider_file_without_keys(path: &Path) -> Result<ProviderFile, ExitCode> {
    ProviderFile::read_with_placeholders(path, &environment_variable).map_err(diagnostics::exit_with)
}

pub(crate) fn environment_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns the requested model, or the only configured model if none was requested.
///
/// # Errors
///
/// Prints the error and returns the exit code if the requested model is unknown. Does the same if no model
/// was requested and the number of configured models is not 1.
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
            Problem::new("no model was specified").with_hint("pass a model with -m, such as -m gpt-4o-mini")
        }
        several => {
            let ids: Vec<_> = several.iter().map(|model| model.id()).collect();
            Problem::new(format!(
                "no model was specified, and {} are configured",
                ids.len()
            ))
            .with_hint(format!("pass one of these models with -m: {}", ids.join(", ")))
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
