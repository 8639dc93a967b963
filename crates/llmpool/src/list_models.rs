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
    /// Requests the list of models that the provider offers, with the default options: see
    /// [`list_models_with`](Self::list_models_with).
    pub async fn list_models(&self) -> Result<ModelList, Error> {
        self.list_models_with(&DEFAULT_OPTIONS).await
    }

    /// Requests the list of models that the provider offers, with the least loaded key.
    ///
    /// Different keys may see different models: [`check_keys`](Self::check_keys) returns the models of each
    /// key. The call counts as one request towards the limits. Dropping the future closes the connection and
    /// releases the key.
    pub async fn list_models_with(&self, options: &CallOptions) -> Result<ModelList, Error> {
        let request = EncodedRequest::new(Endpoint::Models, Bytes::new(), false);
        let mut answer = raw::complete(self.handle(), &request, options).await?;
        let models = answer
            .decode(|body| ModelList::decode_lenient(body).ok_or_else(|| "no list of models".into()))?;
        answer.finish();
        Ok(models)
    }
}
