//! Which providers there are, from the first place that says so.

use std::path::{Path, PathBuf};

use llmpool::{Error, Providers};
use llmpool_simulator::{Scenario, Simulator};

use crate::cli::Source;
use crate::exit;

/// The providers, and where they come from.
pub(crate) enum Found {
    /// A file or the environment.
    Providers(Providers),
    /// Nothing is configured.
    Nothing,
}

/// Looks at the flag or variable, `./provider.json`, the user's configuration folder, and `OPENAI_API_KEY`, in this order.
pub(crate) fn find(source: &Source) -> Result<Found, Error> {
    match file(source) {
        Some(path) => load(&path),
        None => Ok(Providers::from_env()?.map_or(Found::Nothing, Found::Providers)),
    }
}

/// The provider file, from the first place that has one.
pub(crate) fn file(source: &Source) -> Option<PathBuf> {
    if let Some(path) = source.config() {
        return Some(path.to_owned());
    }
    let here = Path::new("provider.json");
    if here.exists() {
        exit::note("using ./provider.json");
        return Some(here.to_owned());
    }
    user_file().filter(|path| path.exists())
}

fn load(path: &Path) -> Result<Found, Error> {
    let providers = Providers::from_file(path)?;
    for warning in providers.warnings() {
        exit::note(&format!("warning: {}:{warning}", path.display()));
    }
    Ok(Found::Providers(providers))
}

fn user_file() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("llmpool/provider.json"))
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
