//! Builds models that use a key pool.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Uri, header};
use llmpool_core::limits::KeyId;
use llmpool_core::limits::Limits;
use llmpool_core::limits::TargetLimits;
use llmpool_core::provider_profile::ProviderProfile;
use llmpool_core::routing::retry::RetryPolicy;

use crate::base_url::redacted;
use crate::endpoint::{Endpoint, EndpointUris};
use crate::error::{Error, ErrorKind};
use crate::key_pool::ApiKeyPool;
use crate::learned_capabilities::LearnedCapabilities;
use crate::openai_compatible::OpenAiCompatible;
use crate::target::Target;
use crate::target_settings::TargetSettings;
use crate::transport::{Connect, ConnectionPools};

impl OpenAiCompatible {
    /// Creates a model that uses the keys of `pool` and has no limits of its own. Models that are created
    /// from the same pool share the state and the number of attempts in flight of each key.
    ///
    /// Requests go to the base URL followed by `/chat/completions`. The base URL must therefore include the
    /// provider's path prefix, which is usually `/v1`. Fails with [`ErrorKind::Config`] if the base URL is
    /// invalid.
    pub fn new(pool: &ApiKeyPool, model: impl Into<String>, base_url: &str) -> Result<Self, Error> {
        Self::builder(pool, model, base_url).build()
    }

    /// Returns a builder for a model that uses the keys of `pool`. The builder sets limits and other
    /// settings.
    pub fn builder(
        pool: &ApiKeyPool,
        model: impl Into<String>,
        base_url: impl Into<String>,
    ) -> OpenAiCompatibleBuilder {
        OpenAiCompatibleBuilder {
            pool: pool.clone(),
            keys: None,
            model: model.into(),
            base_url: base_url.into(),
            settings: TargetSettings::default(),
            connections: None,
        }
    }
}

/// A builder for an [`OpenAiCompatible`] or an
/// [`OpenAiResponsesCompatible`](crate::OpenAiResponsesCompatible).
///
/// ```
/// use llmpool::{ApiKeyPool, Limits, OpenAiCompatible};
///
/// let pool = ApiKeyPool::new("openai", ["sk-one", "sk-two"])?;
/// let model = OpenAiCompatible::builder(&pool, "gpt-4o-mini", "https://api.openai.com/v1")
///     .limits(Limits { rpm: Some(500), ..Limits::default() })
///     .build()?;
/// # Ok::<(), llmpool::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct OpenAiCompatibleBuilder {
    pool: ApiKeyPool,
    keys: Option<Vec<KeyId>>,
    model: String,
    base_url: String,
    pub(crate) settings: TargetSettings,
    connections: Option<Arc<ConnectionPools>>,
}

impl OpenAiCompatibleBuilder {
    /// Replaces all settings of the model, including its limits. Default: [`TargetSettings::default`].
    pub fn settings(mut self, settings: TargetSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the limits of the model, which apply to all its keys together. Default: no limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Opens connections with `connector` instead of TCP and TLS, for example in tests.
    pub fn connector(self, connector: Arc<dyn Connect>) -> Self {
        self.connections(Arc::new(ConnectionPools::new(connector)))
    }

    pub(crate) fn connections(mut self, connections: Arc<ConnectionPools>) -> Self {
        self.connections = Some(connections);
        self
    }

    /// Restricts the model to `keys`, which must be keys of the pool. Default: all keys of the pool.
    pub(crate) fn keys(mut self, keys: Vec<KeyId>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Builds the model.
    ///
    /// Fails with [`ErrorKind::Config`] if the base URL is invalid or `rpm` is 0.
    pub fn build(self) -> Result<OpenAiCompatible, Error> {
        let Self {
            pool,
            keys,
            model,
            base_url,
            settings,
            connections,
        } = self;
        let limits = settings.limits;
        limits
            .per_minute_bucket()
            .map_err(|error| Error::new(ErrorKind::Config, error.to_string()))?;
        let uris = EndpointUris::new(&base_url, settings.api)?;
        let uri = uris.get(Endpoint::Generation);
        let provider = pool.provider.clone();
        let keys = keys.unwrap_or_else(|| pool.key_ids());
        let profile = ProviderProfile::for_authority(uri.authority().map_or("", |host| host.as_str()));
        let target_limits = TargetLimits {
            limits,
            breaker: settings.breaker,
            limit_scope: settings.limit_scope.unwrap_or(profile.limit_scope),
        };
        let admission = &provider.admission;
        let id = admission.change(|limiter, now| limiter.add_target(&keys, target_limits, now));
        let connections = connections
            .as_deref()
            .unwrap_or_else(|| provider.connections())
            .pool_for(uri);
        Ok(OpenAiCompatible::from_target(Target {
            id,
            counts_tokens: provider
                .admission
                .with_limiter(|limiter| limiter.counts_tokens(id)),
            expected_output: settings.expected_output_tokens,
            on_status: settings.on_status,
            structured_output: settings.structured_output,
            name: format!("{}/{model}", provider.id).into(),
            provider,
            keys,
            model,
            connections,
            headers: default_headers(settings.headers, uri),
            format: settings.api,
            key_header: profile.key_header,
            // Only OpenAI and Azure have the extensions.
            is_openai: profile.chat_capabilities.openai_extensions,
            uris,
            base_url,
            api_params: settings.api_params,
            retry: RetryPolicy {
                max_retries: settings.max_retries,
                base: settings.retry_delay,
            },
            timeouts: settings.timeouts,
            context_window: settings.context_window,
            capabilities: LearnedCapabilities::new(profile.answer_format),
        }))
    }
}

/// Adds the headers `accept-encoding`, `content-type`, `user-agent` and `host` to the configured headers. A
/// configured `user-agent` is kept.
fn default_headers(mut headers: HeaderMap, uri: &Uri) -> HeaderMap {
    const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("llmpool/", env!("CARGO_PKG_VERSION")));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
    if let Some(host) = uri
        .authority()
        .and_then(|host| HeaderValue::try_from(host.as_str()).ok())
    {
        headers.insert(header::HOST, host);
    }
    headers
}

impl fmt::Debug for OpenAiCompatibleBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiCompatibleBuilder")
            .field("model_name", &self.model)
            .field("base_url", &redacted(&self.base_url))
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
