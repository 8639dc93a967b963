//! Which providers there are, from the first place that says so.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use llmpool::Providers;
use llmpool::provider_file::{Diagnostic, ProviderFile, ProviderFileError};
use llmpool_simulator::{Scenario, Simulator};

use crate::cli::Source;
use crate::commands::counted;
use crate::{exit, say};

/// The providers, and where they come from.
pub(crate) enum Found {
    File {
        path: PathBuf,
        providers: Providers,
    },
    /// `OPENAI_API_KEY`, and any model's name will do.
    Environment(Providers),
    /// Nothing is configured.
    Nothing,
}

impl Found {
    /// Those that are configured; where none are, that is told.
    pub(crate) fn providers(self) -> Result<Providers, ExitCode> {
        match self {
            Self::File { providers, .. } | Self::Environment(providers) => Ok(providers),
            Self::Nothing => Err(nothing()),
        }
    }

    /// The same, and tells what in the file deserves a look: for those who are about to send more than one call.
    pub(crate) fn warn(self) -> Self {
        if let Self::File { path, providers } = &self {
            let origin = path.display().to_string();
            for warning in providers.warnings() {
                tell_warning(&origin, warning);
            }
        }
        self
    }
}

/// Looks at the flag or variable, `./provider.json`, the user's configuration folder, and `OPENAI_API_KEY`, in this order.
pub(crate) fn find(source: &Source) -> Result<Found, ExitCode> {
    let Some(path) = file(source) else {
        let found = Providers::from_env().map_err(|error| exit::of(&error))?;
        return Ok(found.map_or(Found::Nothing, Found::Environment));
    };
    let providers = Providers::from_provider_file(read(&path)?).map_err(|error| exit::of(&error))?;
    Ok(Found::File { path, providers })
}

/// The provider file, from the first place that has one.
pub(crate) fn file(source: &Source) -> Option<PathBuf> {
    if let Some(path) = source.config() {
        return Some(path.to_owned());
    }
    let here = Path::new("provider.json");
    if here.exists() {
        say::note("using ./provider.json");
        return Some(here.to_owned());
    }
    user_file().filter(|path| path.exists())
}

/// The file, checked, or every defect of it told.
pub(crate) fn read(path: &Path) -> Result<ProviderFile, ExitCode> {
    ProviderFile::read(path, &variable).map_err(|error| broken(&error))
}

/// A variable of the environment.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Tells everything that is wrong with a provider file.
pub(crate) fn broken(error: &ProviderFileError) -> ExitCode {
    tell_defects(error.file(), error.diagnostics());
    exit::code(exit::CONFIG)
}

/// Every defect with its place and what to do.
pub(crate) fn tell_defects(origin: &str, defects: &[Diagnostic]) {
    say::error(format!(
        "{origin} has {}, so nothing of it is used",
        counted(defects.len(), "defect")
    ));
    list_defects(origin, defects);
}

pub(crate) fn list_defects(origin: &str, defects: &[Diagnostic]) {
    for defect in defects {
        let place = place(origin, defect);
        say::defect(place.trim_end(), &defect.message, &defect.help);
    }
}

/// What works but deserves a look.
pub(crate) fn tell_warning(origin: &str, warning: &Diagnostic) {
    say::warning(format!("{}{}", place(origin, warning), warning.message));
    say::below(&warning.help);
}

/// With the blank behind it.
pub(crate) fn place(origin: &str, defect: &Diagnostic) -> String {
    let Diagnostic {
        line, column, field, ..
    } = defect;
    let place = match line {
        0 => format!("{origin}: "),
        line => format!("{origin}:{line}:{column}: "),
    };
    match field.as_str() {
        "" => place,
        field => format!("{place}{field}: "),
    }
}

/// Tells that there is nothing to work with.
pub(crate) fn nothing() -> ExitCode {
    exit::hinting(
        exit::CONFIG,
        "no provider is configured",
        "set OPENAI_API_KEY, or let llmpool config init write a provider.json",
    )
}

fn user_file() -> Option<PathBuf> {
    Some(user_folder("XDG_CONFIG_HOME", ".config")?.join("llmpool/provider.json"))
}

/// Where the questions of talks are remembered: `LLMPOOL_HISTORY`, which may name nothing, or the user's folder for such things.
pub(crate) fn history_file() -> Option<PathBuf> {
    match std::env::var_os("LLMPOOL_HISTORY") {
        Some(path) => Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty()),
        None => Some(user_folder("XDG_STATE_HOME", ".local/state")?.join("llmpool/chat-history")),
    }
}

/// A folder of the XDG base directories.
fn user_folder(variable: &str, under_home: &str) -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set(variable).or_else(|| Some(set("HOME")?.join(under_home)))
}

/// The built-in simulator as the only provider. It runs on a socket like any other, as long as the value lives.
pub(crate) async fn simulated() -> Result<(Simulator, Providers), String> {
    let simulator = Simulator::start(Scenario::default())
        .await
        .map_err(|error| error.to_string())?;
    let file = format!(
        r#"{{"simulator":[{{"model_name":"built-in","api_keys":["none"],"base_url":"{}","rate_limit_capacity":null}}]}}"#,
        simulator.url()
    );
    let providers = Providers::from_json(&file).map_err(|error| error.to_string())?;
    Ok((simulator, providers))
}
