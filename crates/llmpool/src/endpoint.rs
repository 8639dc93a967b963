//! The endpoints of a target and their URIs.

use http::Uri;
use llmpool_core::api_format::ApiFormat;

use crate::base_url::endpoint;
use crate::error::Error;

/// An endpoint of the provider's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `chat/completions` or `responses`, depending on the target's API format.
    Generation,
    Embeddings,
    /// The list of models, which is requested with GET and without a body.
    Models,
}

/// The URI of each endpoint of a target.
pub(crate) struct EndpointUris {
    generation: Uri,
    embeddings: Uri,
    models: Uri,
}

impl EndpointUris {
    /// Appends the path of each endpoint to the base URL. Fails if the base URL is invalid.
    pub(crate) fn new(base_url: &str, format: ApiFormat) -> Result<Self, Error> {
        Ok(Self {
            generation: endpoint(base_url, format.path())?,
            embeddings: endpoint(base_url, "embeddings")?,
            models: endpoint(base_url, "models")?,
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
