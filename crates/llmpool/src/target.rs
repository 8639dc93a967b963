//! One model at one base URL, with everything that a call to it needs.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::Json;
use llmpool_core::failure::status_policy::StatusPolicy;
use llmpool_core::limits::KeyId;
use llmpool_core::limits::TargetId;
use llmpool_core::provider_profile::KeyHeader;
use llmpool_core::routing::retry::RetryPolicy;

use crate::base_url::redacted;
use crate::endpoint::EndpointUris;
use crate::learned_capabilities::LearnedCapabilities;
use crate::options::Timeouts;
use crate::provider::Provider;
use crate::secrets::Secret;
use crate::transport::ConnectionPool;

const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// One model at one base URL.
pub(crate) struct Target {
    pub(crate) provider: Arc<Provider>,
    pub(crate) id: TargetId,
    /// The keys of the provider that this target may use.
    pub(crate) keys: Vec<KeyId>,
    /// `provider/model`.
    pub(crate) name: Arc<str>,
    pub(crate) model: String,
    /// The base URL as configured.
    pub(crate) base_url: String,
    pub(crate) format: ApiFormat,
    pub(crate) uris: EndpointUris,
    /// The header that carries the key.
    pub(crate) key_header: KeyHeader,
    pub(crate) connections: Arc<ConnectionPool>,
    /// The headers of every request, the key excepted.
    pub(crate) headers: HeaderMap,
    /// Fields added to each request that does not set them itself.
    pub(crate) api_params: Vec<(String, Json)>,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeouts: Timeouts,
    pub(crate) context_window: u32,
    /// Whether a limit counts tokens, so that each call must estimate its demand.
    pub(crate) counts_tokens: bool,
    pub(crate) expected_output: Option<u32>,
    pub(crate) on_status: StatusPolicy,
    pub(crate) capabilities: LearnedCapabilities,
}

impl Target {
    /// Adds a key of the provider to the headers of a request.
    pub(crate) fn add_key(&self, headers: &mut HeaderMap, key: KeyId) {
        let key = self.provider.key(key);
        let (name, value) = self.key_header_of(&key.authorization, &key.bare);
        headers.insert(name, value.clone());
    }

    /// Adds a key that the provider does not know. Does nothing if it cannot be sent in a header.
    pub(crate) fn add_foreign_key(&self, headers: &mut HeaderMap, key: &'static str) {
        let secret = Secret::from(key);
        if let (Some(authorization), Some(bare)) = (secret.bearer(), secret.bare()) {
            let (name, value) = self.key_header_of(&authorization, &bare);
            headers.insert(name, value.clone());
        }
    }

    fn key_header_of<'a>(
        &self,
        authorization: &'a HeaderValue,
        bare: &'a HeaderValue,
    ) -> (HeaderName, &'a HeaderValue) {
        match self.key_header {
            KeyHeader::Bearer => (header::AUTHORIZATION, authorization),
            KeyHeader::ApiKey => (API_KEY, bare),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("name", &self.name)
            .field("base_url", &redacted(&self.base_url))
            .finish_non_exhaustive()
    }
}
