//! The API endpoints of a target, and the URI of each endpoint.

use http::Uri;
use llmpool_core::api_format::ApiFormat;

use crate::base_url::endpoint;
use crate::error::Error;

/// An API endpoint. The path of the endpoint is appended to the target's base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// The endpoint that generates answers: `chat/completions` or `responses`, depending on the target's API
    /// format.
    Generation,
    Embeddings,
    /// The endpoint that lists models. Its requests use GET and have no body.
    Models,
}

impl Endpoint {
    /// Returns the path of the endpoint, which is appended to the base URL of a target with this API format.
    pub(crate) fn path(self, format: ApiFormat) -> &'static str {
        match self {
            Self::Generation => format.path(),
            Self::Embeddings => "embeddings",
            Self::Models => "models",
        }
    }
}

/// The URIs of all endpoints of a target.
pub(crate) struct EndpointUris {
    generation: Uri,
    embeddings: Uri,
    models: Uri,
}

impl EndpointUris {
    /// Creates the URIs by appending the path of each endpoint to the base URL. Fails if the base URL is
    /// invalid.
    pub(crate) fn new(base_url: &str, format: ApiFormat) -> Result<Self, Error> {
        let uri_of = |named: Endpoint| endpoint(base_url, named.path(format));
        Ok(Self {
            generation: uri_of(Endpoint::Generation)?,
            embeddings: uri_of(Endpoint::Embeddings)?,
            models: uri_of(Endpoint::Models)?,
        })
    }

    pub(crate) fn get(&self, endpoint: Endpoint) -> &Uri {
        match endpoint {
            Endpoint::Generation => &self.generation,
            Endpoint::Embeddings => &self.embeddings,
            Endpoint::Models => &self.models,
        }
    }
}
