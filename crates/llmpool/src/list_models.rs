//! Requests the list of models that a provider offers.

use bytes::Bytes;
use llmpool_core::models::ModelList;

use crate::encoded_request::EncodedRequest;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::openai_compatible::OpenAiCompatible;
use crate::options::{CallOptions, DEFAULT_OPTIONS};
use crate::raw;

impl OpenAiCompatible {
    /// Returns the models that the provider offers, with default options: see [`list_models_with`](Self::list_models_with).
    pub async fn list_models(&self) -> Result<ModelList, Error> {
        self.list_models_with(&DEFAULT_OPTIONS).await
    }

    /// Returns the models that the provider offers to the least loaded key.
    ///
    /// Keys may see different models: [`check_keys`](Self::check_keys) lists the models of each key. The call counts as one request
    /// towards the limits. Dropping the future closes the connection and releases the key.
    pub async fn list_models_with(&self, options: &CallOptions) -> Result<ModelList, Error> {
        let request = EncodedRequest::new(Endpoint::Models, Bytes::new(), false);
        let mut answer = raw::complete(self.target(), &request, options).await?;
        answer.decode(ModelList::decode_lenient)
    }
}
