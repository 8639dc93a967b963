//! Providers put together in code.

use std::fmt;
use std::sync::Arc;

use crate::base_url::endpoint;
use crate::error::{Error, ErrorKind};
use crate::key_entry::KeyEntry;
use crate::openai_compatible::TargetSettings;
use crate::provider_entry::{ModelEntry, ProviderEntry};
use crate::providers::Providers;
use crate::transport::{Connect, NetConnector};

/// Puts providers together in code: the models of one provider share the load and state of the keys they have in common, as
/// those of a file do.
///
/// ```
/// use llmpool::{Providers, TargetSettings};
///
/// let limited = TargetSettings { rate_limit: Some((20, 2.0)), ..TargetSettings::default() };
/// let providers = Providers::builder()
///     .model("openai", "gpt-4o-mini", "https://api.openai.com/v1", ["sk-one", "sk-two"], limited)
///     .model("local", "smollm2", "http://127.0.0.1:8088/v1", ["any"], TargetSettings::default())
///     .build()?;
/// assert_eq!(providers.model("local/smollm2")?.id(), "local/smollm2");
/// # Ok::<(), llmpool::Error>(())
/// ```
#[derive(Default)]
pub struct ProvidersBuilder {
    providers: Vec<ProviderEntry>,
    connector: Option<Arc<dyn Connect>>,
}

impl ProvidersBuilder {
    /// Adds a model to a provider. Keys are texts, [`Secret`](crate::Secret)s, or [`KeyEntry`]s with weight and limits.
    pub fn model(
        mut self,
        provider: &str,
        model_name: &str,
        base_url: &str,
        keys: impl IntoIterator<Item = impl Into<KeyEntry>>,
        settings: TargetSettings,
    ) -> Self {
        let entry = ModelEntry {
            model_name: model_name.to_owned(),
            api_keys: keys.into_iter().map(Into::into).collect(),
            base_url: base_url.to_owned(),
            settings,
        };
        match self.providers.iter_mut().find(|known| known.id == provider) {
            Some(known) => known.models.push(entry),
            None => self.providers.push(ProviderEntry {
                id: provider.to_owned(),
                models: vec![entry],
            }),
        }
        self
    }

    /// Opens connections with `connector` instead of over the network.
    pub fn connector(mut self, connector: Arc<dyn Connect>) -> Self {
        self.connector = Some(connector);
        self
    }

    /// The providers. Fails on the first that cannot be: a name that is empty, has a slash or is there twice, no keys, a URL
    /// that cannot be used, a rate limit of 0.
    pub fn build(self) -> Result<Providers, Error> {
        for provider in &self.providers {
            check(provider)?;
        }
        let connector = self
            .connector
            .unwrap_or_else(|| Arc::new(NetConnector::from_env()));
        Providers::with_connector(self.providers, Vec::new(), connector)
    }
}

fn check(provider: &ProviderEntry) -> Result<(), Error> {
    let wrong = |problem: String| Err(Error::new(ErrorKind::Config, problem));
    let id = &provider.id;
    if id.is_empty() || id.contains('/') {
        return wrong(format!(
            "provider {id:?}: a provider's name is not empty and has no slash"
        ));
    }
    for (at, model) in provider.models.iter().enumerate() {
        let name = &model.model_name;
        if name.is_empty() {
            return wrong(format!("{id}: a model's name is not empty"));
        }
        if provider.models[..at]
            .iter()
            .any(|earlier| earlier.model_name == *name)
        {
            return wrong(format!("{id}/{name} is there twice: rename or remove one"));
        }
        if model.api_keys.is_empty() {
            return wrong(format!("{id}/{name} has no keys: give at least one"));
        }
        if let Err(error) = endpoint(&model.base_url, "chat/completions") {
            return wrong(format!("{id}/{name}: {error}"));
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
    use super::*;

    fn fails(builder: ProvidersBuilder) -> String {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_name() {
        let good = || TargetSettings::default();
        let url = "http://h/v1";
        let one =
            |id: &str, model: &str, url: &str| Providers::builder().model(id, model, url, ["k"], good());
        assert!(fails(one("a/b", "m", url)).starts_with("provider \"a/b\""));
        assert!(fails(one("p", "", url)).starts_with("p: a model's name"));
        assert!(fails(one("p", "m", "h/v1")).starts_with("p/m: invalid base URL"));
        assert!(fails(one("p", "m", url).model("p", "m", url, ["k"], good())).contains("p/m is there twice"));
        assert!(
            fails(Providers::builder().model("p", "m", url, [""; 0], good())).contains("p/m has no keys")
        );
        let never = TargetSettings {
            rate_limit: Some((0, 1.0)),
            ..good()
        };
        assert!(fails(Providers::builder().model("p", "m", url, ["k"], never)).contains("capacity of 0"));
    }
}
