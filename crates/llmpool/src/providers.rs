//! The configured models, and the key pools, limits and connections that the models share.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderValue};
use llmpool_core::api_format::ApiFormat;
use llmpool_core::limits::KeyLimits;

use crate::cleaned_key::CleanedKey;
use crate::error::{Error, ErrorKind};
use crate::key_entry::KeyEntry;
use crate::key_pool::ApiKeyPool;
use crate::observer::{Observer, Observers};
use crate::openai_compatible::OpenAiCompatible;
use crate::provider::Provider;
use crate::provider_entry::ProviderEntry;
use crate::provider_file::{Diagnostic, Environment, ProviderFile};
use crate::secrets::Secret;
use crate::target_settings::TargetSettings;
use crate::transport::{Connect, ConnectionPools, NetConnector};

/// Number of models of an [`OpenProvider`] from which on those without a handle are released.
const KEPT_MODELS: usize = 100;

/// The configured providers and their models. Models of one provider that use the same key share the key's
/// state, limits and number of attempts in flight.
///
/// A clone is another handle to the same providers. Loading a file twice creates two independent sets of
/// providers, which do not share limits or key states.
#[derive(Clone)]
pub struct Providers {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    /// The configured models by id. Ids have the form `provider/model`.
    models: BTreeMap<String, OpenAiCompatible>,
    /// The provider that is configured by environment variables. It accepts any model name. `None` if the
    /// models come from a file or from code.
    open: Option<Arc<OpenProvider>>,
    /// The observers of the models of `open`. The configured models have observers of their own.
    observers: Observers,
    warnings: Vec<Diagnostic>,
}

struct OpenProvider {
    pool: ApiKeyPool,
    base_url: String,
    settings: TargetSettings,
    /// The models that are in use, and some others, so that a program that asks for a model before each call does
    /// not lose its pauses.
    known: Mutex<HashMap<(ApiFormat, String), OpenAiCompatible>>,
}

impl Providers {
    /// Loads a `provider.json`. References such as `${NAME}` are resolved with the environment variables of
    /// this process.
    ///
    /// Fails with [`ErrorKind::Config`] if the file cannot be loaded. The error message lists all errors in
    /// the file, each with its location and a fix.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::from_provider_file(ProviderFile::read(path.as_ref(), &process_env)?)
    }

    /// Loads providers from the text of a `provider.json`, as [`from_file`](Self::from_file) does from a file.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        Self::from_provider_file(ProviderFile::parse(text, "provider.json", &process_env)?)
    }

    /// Creates the provider `openai` from the environment variables `OPENAI_API_KEY`, `OPENAI_BASE_URL`,
    /// `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID`. The provider accepts any model name and has no limits.
    ///
    /// Fails with [`ErrorKind::Config`] if `OPENAI_API_KEY` is unset or blank, or if a variable has an
    /// invalid value.
    pub fn from_env() -> Result<Self, Error> {
        let missing = "OPENAI_API_KEY is not set; set it, or load a provider file";
        Self::from_env_with(&process_env)?.ok_or_else(|| Error::new(ErrorKind::Config, missing))
    }

    /// Creates the provider `openai` as [`from_env`](Self::from_env) does, but reads each variable with
    /// `env`. Returns `None` if `OPENAI_API_KEY` is unset or blank.
    ///
    /// Fails with [`ErrorKind::Config`] if a variable has an invalid value.
    pub fn from_env_with(env: Environment<'_>) -> Result<Option<Self>, Error> {
        const KEY: &str = "OPENAI_API_KEY";
        let text = env(KEY).unwrap_or_default();
        let text = CleanedKey::new(text.trim());
        if text.key.is_empty() {
            return Ok(None);
        }
        let warning = text.removed().map(|removed| {
            let message = format!("the key is surrounded by {removed}, which llmpool leaves out");
            Diagnostic::about_file(KEY, message, "remove them from the variable")
        });
        let base_url = env("OPENAI_BASE_URL").filter(|url| !url.trim().is_empty());
        let base_url = base_url.unwrap_or_else(|| "https://api.openai.com/v1".to_owned());
        crate::base_url::endpoint(&base_url, "chat/completions")?;
        let pool = ApiKeyPool::new("openai", [Secret::from(text.key)])?;
        let open = OpenProvider {
            pool,
            base_url,
            settings: TargetSettings {
                headers: account_headers(env)?,
                ..TargetSettings::default()
            },
            known: Mutex::default(),
        };
        Ok(Some(Self {
            shared: Arc::new(Shared {
                models: BTreeMap::new(),
                open: Some(Arc::new(open)),
                observers: Observers::default(),
                warnings: warning.into_iter().collect(),
            }),
        }))
    }

    /// Creates the providers that a provider file describes. Fails with [`ErrorKind::Config`] if models of
    /// one provider set different limits for the same key.
    pub fn from_provider_file(file: ProviderFile) -> Result<Self, Error> {
        let connector = Arc::new(NetConnector::from_env());
        Self::with_connector(file.providers, file.warnings, connector)
    }

    /// Creates providers from entries. A model has only the limits that its entry sets: the default rate
    /// limit of provider files does not apply.
    pub fn from_entries(providers: impl IntoIterator<Item = ProviderEntry>) -> Result<Self, Error> {
        let connector = Arc::new(NetConnector::from_env());
        Self::with_connector(providers, Vec::new(), connector)
    }

    pub(crate) fn with_connector(
        providers: impl IntoIterator<Item = ProviderEntry>,
        warnings: Vec<Diagnostic>,
        connector: Arc<dyn Connect>,
    ) -> Result<Self, Error> {
        let connections = Arc::new(ConnectionPools::new(connector));
        let mut models = BTreeMap::new();
        for provider in providers {
            add_provider(provider, &connections, &mut models)?;
        }
        Ok(Self {
            shared: Arc::new(Shared {
                models,
                open: None,
                observers: Observers::default(),
                warnings,
            }),
        })
    }

    /// Returns a handle to the same providers. `observer` receives the events of calls to all models that are taken from
    /// this handle, and the changes of key states and learned paces that these calls cause. Models that were taken from other handles are
    /// not observed, so add the observer first:
    ///
    /// ```no_run
    /// # #[derive(Default)]
    /// # struct Metrics;
    /// # impl llmpool::observer::Observer for Metrics {}
    /// use std::sync::Arc;
    ///
    /// let providers = llmpool::Providers::from_file("provider.json")?.with_observer(Arc::new(Metrics::default()));
    /// # Ok::<(), llmpool::Error>(())
    /// ```
    #[must_use]
    pub fn with_observer(self, observer: Arc<dyn Observer>) -> Self {
        let mut shared = Arc::unwrap_or_clone(self.shared);
        let models = shared.models.into_iter();
        shared.models = models
            .map(|(id, model)| (id, model.with_observer(observer.clone())))
            .collect();
        shared.observers = shared.observers.with(observer);
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Returns the model with the id `id`, which has the form `provider/model`. The model name alone is
    /// enough if exactly one provider has a model of that name.
    ///
    /// If the provider accepts any model name and many models were used, those without a handle are released, with
    /// their limits and pauses.
    ///
    /// Fails with [`ErrorKind::UnknownModel`] if no model matches or several models match. The
    /// [help](Error::help) of the error lists the models to choose from.
    pub fn model(&self, id: &str) -> Result<OpenAiCompatible, Error> {
        self.model_with(id, ApiFormat::ChatCompletions)
    }

    /// Returns a model as [`model`](Self::model) does. `format` is the API format of the model if the
    /// provider accepts any model name, and is otherwise ignored.
    pub(crate) fn model_with(&self, id: &str, format: ApiFormat) -> Result<OpenAiCompatible, Error> {
        if let Some(model) = self.shared.models.get(id) {
            return Ok(model.clone());
        }
        if let Some(open) = &self.shared.open {
            let model = open.model(id, format)?;
            return Ok(model.with_observers(&self.shared.observers));
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
                let error = Error::new(ErrorKind::UnknownModel, format!("model {id} is ambiguous"));
                Err(error.with_help(format!("use one of {}", ids.join(", "))))
            }
        }
    }

    /// Returns all configured models, ordered by id. Empty for the provider that [`from_env`](Self::from_env)
    /// creates, because that provider accepts any model name.
    pub fn models(&self) -> impl Iterator<Item = &OpenAiCompatible> {
        self.shared.models.values()
    }

    /// Returns `true` for the provider that [`from_env`](Self::from_env) creates, which accepts any model
    /// name. Returns `false` for providers with a configured list of models.
    pub fn accepts_any_model(&self) -> bool {
        self.shared.open.is_some()
    }

    /// Returns the warnings about the provider file, or about the environment variables that were read in place of
    /// one.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.shared.warnings
    }

    /// Returns the providers of all models, each provider once.
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
        Error::new(ErrorKind::UnknownModel, format!("model {id} is not configured"))
            .with_help(format!("use a configured model: {}", known.join(", ")))
    }
}

impl OpenProvider {
    fn model(&self, id: &str, format: ApiFormat) -> Result<OpenAiCompatible, Error> {
        let name = id.strip_prefix("openai/").unwrap_or(id);
        if name.is_empty() {
            let error = Error::new(ErrorKind::UnknownModel, "the model name is empty");
            return Err(error.with_help("use openai/MODEL"));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (format, name.to_owned());
        if let Some(model) = known.get(&id) {
            return Ok(model.clone());
        }
        let settings = TargetSettings {
            api: format,
            ..self.settings.clone()
        };
        let builder = OpenAiCompatible::builder(&self.pool, name, &self.base_url);
        let model = builder.settings(settings).build()?;
        if known.len() >= KEPT_MODELS {
            known.retain(|_, model| model.has_other_handles());
        }
        known.insert(id, model.clone());
        Ok(model)
    }
}

/// Returns the headers `openai-organization` and `openai-project` with the values of the variables
/// `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID`. A variable that is not set adds no header. Fails if a value
/// contains characters that a header cannot carry.
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
                format!("{variable} contains characters that a header cannot carry"),
            )
        })?;
        headers.insert(header, value);
    }
    Ok(headers)
}

/// Adds the models of a provider to `models`. All keys of the provider are in one pool, which the models
/// share. Each model uses only the keys of its own entry.
fn add_provider(
    provider: ProviderEntry,
    connections: &Arc<ConnectionPools>,
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
            Some(at) => {
                let known = &keys[at];
                let has_same_limits = known.limits == entry.limits && known.quota_group == entry.quota_group;
                let has_same_texts = known.name == entry.name && known.note == entry.note;
                let different = match (has_same_limits, has_same_texts) {
                    (true, true) => continue,
                    (false, _) => "limits",
                    (true, false) => "names or notes",
                };
                let label = entry.secret.label(at + 1);
                let id = &provider.id;
                let problem = format!("{id}: {label} has different {different} in different models");
                return Err(Error::new(ErrorKind::Config, problem)
                    .with_help(format!("use the same {different} for this key in each model")));
            }
        }
    }
    let pool = ApiKeyPool::from_entries(&provider.id, keys.iter().cloned())?;
    for model in provider.models {
        let named = keys.iter().zip(pool.key_ids());
        let named = named.filter(|(known, _)| model.api_keys.iter().any(|key| key.secret == known.secret));
        let named = named.map(|(_, id)| id).collect();
        let model = OpenAiCompatible::builder(&pool, model.model_name, model.base_url)
            .settings(model.settings)
            .keys(named)
            .connections(connections.clone())
            .build()?;
        models.insert(model.id().to_owned(), model);
    }
    Ok(())
}

fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl OpenAiCompatible {
    /// Loads a `provider.json`, as [`Providers::from_file`] does. Each call of this function creates separate
    /// key pools and limits, so load the file once and share the result.
    pub fn load_from_json_file(path: impl AsRef<Path>) -> Result<Providers, Error> {
        Providers::from_file(path)
    }
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.models().map(OpenAiCompatible::id).collect();
        f.debug_struct("Providers")
            .field("models", &ids)
            .field("accepts_any_model", &self.accepts_any_model())
            .finish()
    }
}
