//! Everything that is configured: which models there are, and the pools, limits and connections they share.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderValue};
use llmpool_core::limits::KeyLimits;

use crate::error::{Error, ErrorKind};
use crate::key_entry::KeyEntry;
use crate::key_pool::ApiKeyPool;
use crate::openai_compatible::{OpenAiCompatible, TargetSettings};
use crate::provider_entry::ProviderEntry;
use crate::provider_file::{Diagnostic, Environment, ProviderFile};
use crate::providers_builder::ProvidersBuilder;
use crate::secrets::Secret;
use crate::target::Provider;
use crate::transport::{Connect, ConnectionPools, NetConnector};

/// The configured providers. Models of one provider share the load and state of the keys they have in common.
///
/// A clone is another handle on the same providers; loading a file twice makes two sets that share nothing.
#[derive(Clone)]
pub struct Providers {
    shared: Arc<Shared>,
}

struct Shared {
    /// By id, `provider/model`.
    models: BTreeMap<String, OpenAiCompatible>,
    /// A provider that takes any model's name, as the environment makes one.
    open: Option<OpenProvider>,
    warnings: Vec<Diagnostic>,
}

struct OpenProvider {
    pool: ApiKeyPool,
    base_url: String,
    settings: TargetSettings,
    known: Mutex<BTreeMap<String, OpenAiCompatible>>,
}

impl Providers {
    /// Loads a `provider.json`; references are resolved in the process's environment.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::from_provider_file(ProviderFile::read(path.as_ref(), &process_env)?)
    }

    /// Loads the text of a `provider.json`.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        Self::from_provider_file(ProviderFile::parse(text, "provider.json", &process_env)?)
    }

    /// The provider that `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID` describe: any model's
    /// name will do, and no limit is set. `None` when there is no key.
    pub fn from_env() -> Result<Option<Self>, Error> {
        Self::from_env_with(&process_env)
    }

    /// As [`from_env`](Self::from_env), looking variables up in `env`.
    pub fn from_env_with(env: Environment<'_>) -> Result<Option<Self>, Error> {
        let Some(key) = env("OPENAI_API_KEY").filter(|key| !key.trim().is_empty()) else {
            return Ok(None);
        };
        let base_url = env("OPENAI_BASE_URL").filter(|url| !url.trim().is_empty());
        let base_url = base_url.unwrap_or_else(|| "https://api.openai.com/v1".to_owned());
        crate::base_url::endpoint(&base_url, "chat/completions")?;
        let pool = ApiKeyPool::new("openai", [Secret::from(key.trim())])?;
        let open = Some(OpenProvider {
            pool,
            base_url,
            settings: TargetSettings {
                headers: account_headers(env)?,
                ..TargetSettings::default()
            },
            known: Mutex::default(),
        });
        Ok(Some(Self {
            shared: Arc::new(Shared {
                models: BTreeMap::new(),
                open,
                warnings: Vec::new(),
            }),
        }))
    }

    /// Providers put together in code; none of their models has a limit unless its settings say so.
    pub fn builder() -> ProvidersBuilder {
        ProvidersBuilder::default()
    }

    /// Creates the providers of a checked file.
    pub fn from_provider_file(file: ProviderFile) -> Result<Self, Error> {
        let connector = Arc::new(NetConnector::from_env());
        Self::with_connector(file.providers, file.warnings, connector)
    }

    /// Creates providers from their entries. A provider file sets some defaults that entries do not have, such as a rate limit.
    pub fn from_entries(providers: impl IntoIterator<Item = ProviderEntry>) -> Result<Self, Error> {
        let connector = Arc::new(NetConnector::from_env());
        Self::with_connector(providers, Vec::new(), connector)
    }

    pub(crate) fn with_connector(
        providers: impl IntoIterator<Item = ProviderEntry>,
        warnings: Vec<Diagnostic>,
        connector: Arc<dyn Connect>,
    ) -> Result<Self, Error> {
        let connections = ConnectionPools::new(connector);
        let mut models = BTreeMap::new();
        for provider in providers {
            add_provider(provider, &connections, &mut models)?;
        }
        Ok(Self {
            shared: Arc::new(Shared {
                models,
                open: None,
                warnings,
            }),
        })
    }

    /// A model by its id `provider/model`, or by the model's name alone where only one provider has it.
    pub fn model(&self, id: &str) -> Result<OpenAiCompatible, Error> {
        if let Some(model) = self.shared.models.get(id) {
            return Ok(model.clone());
        }
        if let Some(open) = &self.shared.open {
            return open.model(id);
        }
        let by_name: Vec<_> = self
            .models()
            .filter(|model| model.id().split_once('/').is_some_and(|(_, name)| name == id))
            .collect();
        match by_name.as_slice() {
            [only] => Ok((*only).clone()),
            [] => Err(self.unknown(id)),
            several => {
                let ids: Vec<_> = several.iter().map(|model| model.id()).collect();
                Err(Error::new(
                    ErrorKind::UnknownModel,
                    format!("{id} is ambiguous: say one of {}", ids.join(", ")),
                ))
            }
        }
    }

    /// Every configured model, by id. Empty where any name is taken.
    pub fn models(&self) -> impl Iterator<Item = &OpenAiCompatible> {
        self.shared.models.values()
    }

    /// Whether any model's name is taken, as with a provider from the environment.
    pub fn takes_any_model(&self) -> bool {
        self.shared.open.is_some()
    }

    /// What in the file works but deserves a look.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.shared.warnings
    }

    /// Every pool of keys once.
    pub(crate) fn pools(&self) -> Vec<Arc<Provider>> {
        let mut pools: Vec<Arc<Provider>> = Vec::new();
        let open = self.shared.open.iter().map(|open| &open.pool.provider);
        for provider in self.models().map(OpenAiCompatible::provider).chain(open) {
            if !pools.iter().any(|known| Arc::ptr_eq(known, provider)) {
                pools.push(provider.clone());
            }
        }
        pools
    }

    fn unknown(&self, id: &str) -> Error {
        let known: Vec<_> = self.models().map(OpenAiCompatible::id).collect();
        Error::new(
            ErrorKind::UnknownModel,
            format!("no model {id} is configured; there are {}", known.join(", ")),
        )
    }
}

impl OpenProvider {
    fn model(&self, id: &str) -> Result<OpenAiCompatible, Error> {
        let name = id.strip_prefix("openai/").unwrap_or(id);
        if name.is_empty() {
            return Err(Error::new(
                ErrorKind::UnknownModel,
                "the model has no name; say which one",
            ));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = known.get(name) {
            return Ok(model.clone());
        }
        let settings = self.settings.clone();
        let model = OpenAiCompatible::with_settings(&self.pool, name, &self.base_url, settings)?;
        known.insert(name.to_owned(), model.clone());
        Ok(model)
    }
}

/// The headers that official clients make of these variables.
fn account_headers(env: Environment<'_>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (variable, header) in [
        ("OPENAI_ORG_ID", "openai-organization"),
        ("OPENAI_PROJECT_ID", "openai-project"),
    ] {
        let Some(value) = env(variable).filter(|value| !value.trim().is_empty()) else {
            continue;
        };
        let value = HeaderValue::try_from(value.trim()).map_err(|_| {
            Error::new(
                ErrorKind::Config,
                format!("{variable} cannot be sent in a header"),
            )
        })?;
        headers.insert(header, value);
    }
    Ok(headers)
}

/// One pool for all keys of a provider; each model uses those it names.
fn add_provider(
    provider: ProviderEntry,
    connections: &ConnectionPools,
    models: &mut BTreeMap<String, OpenAiCompatible>,
) -> Result<(), Error> {
    let mut keys: Vec<KeyEntry> = Vec::new();
    let entries = provider.models.iter().flat_map(|model| {
        let learn = model.settings.learn_limits;
        model.api_keys.iter().map(move |entry| KeyEntry {
            limits: KeyLimits {
                learn: entry.limits.learn && learn,
                ..entry.limits
            },
            ..entry.clone()
        })
    });
    for entry in entries {
        match keys.iter().position(|known| known.secret == entry.secret) {
            None => keys.push(entry),
            Some(at) if keys[at].limits == entry.limits && keys[at].quota_group == entry.quota_group => {}
            Some(at) => {
                let label = entry.secret.label(at + 1);
                let id = &provider.id;
                let problem = format!(
                    "{id}: {label} has different limits at different models; give it the same at each"
                );
                return Err(Error::new(ErrorKind::Config, problem));
            }
        }
    }
    let pool = ApiKeyPool::from_entries(&provider.id, keys.iter().cloned())?;
    for model in provider.models {
        let named = keys.iter().zip(pool.key_ids());
        let named = named.filter(|(known, _)| model.api_keys.iter().any(|key| key.secret == known.secret));
        let named: Vec<_> = named.map(|(_, id)| id).collect();
        let target = OpenAiCompatible::over_keys(
            &pool,
            &named,
            model.model_name,
            &model.base_url,
            model.settings,
            connections,
        )?;
        models.insert(target.id().to_owned(), target);
    }
    Ok(())
}

fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl OpenAiCompatible {
    /// Loads a `provider.json` for the Chat Completions API. Every call makes its own pools and limits: load once and share.
    pub fn load_from_json_file(path: impl AsRef<Path>) -> Result<Providers, Error> {
        Providers::from_file(path)
    }
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.models().map(OpenAiCompatible::id).collect();
        f.debug_struct("Providers")
            .field("models", &ids)
            .field("takes_any_model", &self.takes_any_model())
            .finish()
    }
}
