//! Builds providers in code.

use std::fmt;
use std::sync::Arc;

use crate::base_url::endpoint;
use crate::error::{Error, ErrorKind};
use crate::observer::Observer;
use crate::provider_entry::{ModelEntry, ProviderEntry};
use crate::providers::Providers;
use crate::transport::{Connect, NetConnector};

/// A builder for [`Providers`] from models that are configured in code. Models of one provider that use the
/// same key share the key's state, limits and number of attempts in flight.
///
/// ```
/// use llmpool::{Limits, ModelEntry, Providers, RateLimit};
///
/// let limits = Limits { rate_limit: Some(RateLimit::new(20, 2.0)?), ..Limits::default() };
/// let gpt = ModelEntry::new("gpt-4o-mini", "https://api.openai.com/v1", ["sk-one", "sk-two"]).with_limits(limits);
/// let smollm = ModelEntry::new("smollm2", "http://127.0.0.1:8088/v1", ["any"]);
/// let providers = Providers::builder().model("openai", gpt).model("local", smollm).build()?;
/// assert_eq!(providers.model("local/smollm2")?.id(), "local/smollm2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
#[must_use]
pub struct ProvidersBuilder {
    providers: Vec<ProviderEntry>,
    connector: Option<Arc<dyn Connect>>,
    observers: Vec<Arc<dyn Observer>>,
}

impl Providers {
    /// Returns a builder without models. Each added model has only the limits that its [`ModelEntry`] sets.
    pub fn builder() -> ProvidersBuilder {
        ProvidersBuilder::default()
    }
}

impl ProvidersBuilder {
    /// Adds a model to the provider named `provider`. The first model that is added to a provider creates the
    /// provider.
    pub fn model(mut self, provider: &str, model: ModelEntry) -> Self {
        match self.providers.iter_mut().find(|known| known.id == provider) {
            Some(known) => known.models.push(model),
            None => self.providers.push(ProviderEntry {
                id: provider.to_owned(),
                models: vec![model],
            }),
        }
        self
    }

    /// Opens the connections of all models with `connector` instead of TCP and TLS, for example in tests.
    pub fn connector(mut self, connector: Arc<dyn Connect>) -> Self {
        self.connector = Some(connector);
        self
    }

    /// Adds an observer of the calls to all models: see
    /// [`Providers::with_observer`].
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Builds the providers from the added models.
    ///
    /// Fails with [`ErrorKind::Config`] at the first problem: an empty provider or model name, a slash in a
    /// provider name, two models of the same name in one provider, a model without keys, an invalid key or
    /// base URL, an `rpm` of 0, or different limits for the same key in two models of one provider.
    pub fn build(self) -> Result<Providers, Error> {
        for provider in &self.providers {
            check(provider)?;
        }
        let connector = self
            .connector
            .unwrap_or_else(|| Arc::new(NetConnector::from_env()));
        let providers = Providers::with_connector(self.providers, Vec::new(), connector)?;
        Ok(self
            .observers
            .into_iter()
            .fold(providers, Providers::with_observer))
    }
}

fn check(provider: &ProviderEntry) -> Result<(), Error> {
    let error = |problem: String| Error::new(ErrorKind::Config, problem);
    let invalid = |problem: String| Err(error(problem));
    let id = &provider.id;
    if id.is_empty() || id.contains('/') {
        return invalid(format!(
            "provider {id:?}: a provider name must not be empty or contain a slash"
        ));
    }
    for (at, model) in provider.models.iter().enumerate() {
        let name = &model.model_name;
        if name.is_empty() {
            return invalid(format!("{id}: a model name must not be empty"));
        }
        if provider.models[..at]
            .iter()
            .any(|earlier| earlier.model_name == *name)
        {
            return Err(error(format!("{id}/{name}: duplicate model"))
                .with_help("rename or remove one of the two models"));
        }
        if model.api_keys.is_empty() {
            return Err(error(format!("{id}/{name}: no keys")).with_help("add at least one API key"));
        }
        if let Err(error) = endpoint(&model.base_url, "chat/completions") {
            return invalid(format!("{id}/{name}: {error}"));
        }
    }
    Ok(())
}

impl fmt::Debug for ProvidersBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvidersBuilder")
            .field("providers", &self.providers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use llmpool_core::limits::Limits;

    use super::*;

    fn build_error(builder: ProvidersBuilder) -> String {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    }

    #[test]
    fn invalid_entries_are_rejected_by_name() {
        let url = "http://h/v1";
        let model = |name: &str, url: &str| ModelEntry::new(name, url, ["k"]);
        let one = |id: &str, name: &str, url: &str| Providers::builder().model(id, model(name, url));
        assert!(build_error(one("a/b", "m", url)).starts_with("provider \"a/b\""));
        assert!(build_error(one("p", "", url)).starts_with("p: a model name"));
        assert!(build_error(one("p", "m", "h/v1")).starts_with("p/m: invalid base URL"));
        let twice = one("p", "m", url).model("p", model("m", url));
        assert!(build_error(twice).starts_with("p/m: duplicate model"));
        let without_keys = ModelEntry::new("m", url, [""; 0]);
        assert!(build_error(Providers::builder().model("p", without_keys)).starts_with("p/m: no keys"));
        let never = Limits {
            rpm: Some(0),
            ..Limits::default()
        };
        let never = Providers::builder().model("p", model("m", url).with_limits(never));
        assert!(build_error(never).contains("capacity of 0"));
    }
}
