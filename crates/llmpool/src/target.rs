//! A target: one model at one base URL, with everything that a call needs.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use llmpool_core::answer_format::AnswerFormat;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::Json;
use llmpool_core::failure::status_policy::StatusPolicy;
use llmpool_core::limits::KeyId;
use llmpool_core::limits::TargetId;
use llmpool_core::provider_profile::KeyHeader;
use llmpool_core::routing::retry::RetryPolicy;
use llmpool_core::schema_limits::SchemaLimitError;

use crate::base_url::redacted;
use crate::endpoint::EndpointUris;
use crate::error::{Error, ErrorKind};
use crate::learned_capabilities::LearnedCapabilities;
use crate::options::Timeouts;
use crate::provider::Provider;
use crate::secrets::Secret;
use crate::transport::ConnectionPool;

const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// One model at one base URL, with its keys, settings and connections. Dropping it removes it from the admission.
///
/// Invariant: a call or stream holds its target for longer than its permit.
pub(crate) struct Target {
    pub(crate) provider: Arc<Provider>,
    pub(crate) id: TargetId,
    /// The keys that calls to this target may use. All of them belong to the provider.
    pub(crate) keys: Vec<KeyId>,
    /// The target's id, `provider/model`.
    pub(crate) name: Arc<str>,
    pub(crate) model: String,
    /// The base URL as configured. The query of the URL may contain a key.
    pub(crate) base_url: String,
    pub(crate) format: ApiFormat,
    pub(crate) uris: EndpointUris,
    /// The request header in which the key is sent.
    pub(crate) key_header: KeyHeader,
    /// Whether the provider is OpenAI or Azure, which refuse unknown fields and limit strict schemas.
    pub(crate) is_openai: bool,
    pub(crate) connections: Arc<ConnectionPool>,
    /// The headers that are sent with every request, except the header with the key.
    pub(crate) headers: HeaderMap,
    /// Fields that are added to each request body. A field that the request itself sets is not overwritten.
    pub(crate) api_params: Vec<(String, Json)>,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeouts: Timeouts,
    pub(crate) context_window: u32,
    /// Whether a limit of the target or of its keys counts tokens, so that the tokens of each call must be
    /// estimated.
    pub(crate) counts_tokens: bool,
    pub(crate) expected_output: Option<u32>,
    pub(crate) on_status: StatusPolicy,
    /// The configured format of structured answers. Without one, [`capabilities`](Self::capabilities) knows it.
    pub(crate) structured_output: Option<AnswerFormat>,
    pub(crate) capabilities: LearnedCapabilities,
}

impl Target {
    /// Adds the request header that contains `key`, a key of the provider.
    pub(crate) fn add_key(&self, headers: &mut HeaderMap, key: KeyId) {
        let key = self.provider.key(key);
        let (name, value) = self.key_header_of(&key.authorization, &key.bare);
        headers.insert(name, value.clone());
    }

    /// Adds the request header that contains `key`, which is not a key of the pool. Does nothing if a header
    /// cannot contain `key`.
    pub(crate) fn add_foreign_key(&self, headers: &mut HeaderMap, key: &'static str) {
        let secret = Secret::from(key);
        if let (Some(authorization), Some(bare)) = (secret.bearer(), secret.bare()) {
            let (name, value) = self.key_header_of(&authorization, &bare);
            headers.insert(name, value.clone());
        }
    }

    /// Runs a check of the request's schemas if the provider has OpenAI's limits.
    pub(crate) fn check_schemas(
        &self,
        check: impl FnOnce() -> Result<(), SchemaLimitError>,
    ) -> Result<(), Error> {
        if !self.is_openai {
            return Ok(());
        }
        check().map_err(|error| Error::new(ErrorKind::Unsendable, error.to_string()).with_param(error.param))
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

impl Drop for Target {
    fn drop(&mut self) {
        let id = self.id;
        self.provider
            .admission
            .change(|limiter, _| limiter.remove_target(id));
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
