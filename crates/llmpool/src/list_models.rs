//! Which models a provider offers.

use bytes::Bytes;
use llmpool_core::models::ModelList;

use crate::call::{self, Answer, RequestEncoder};
use crate::error::Error;
use crate::exchange::{Endpoint, Rendered, Reply};
use crate::openai_compatible::OpenAiCompatible;
use crate::options::{CallOptions, DEFAULT_OPTIONS};
use crate::raw;
use crate::target::Target;

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
        let Answer { reply, report, .. } = call::run(self.target(), &Question, options).await?;
        let listed = match &reply {
            Reply::Plain { body, .. } => ModelList::decode_lenient(body),
            Reply::Stream { .. } => None,
        };
        listed.ok_or_else(|| raw::invalid_response(report))
    }
}

struct Question;

impl RequestEncoder for Question {
    fn render(&self, _: &Target) -> Result<Rendered, Error> {
        Ok(Rendered {
            at: Endpoint::Models,
            ..Rendered::new(Bytes::new(), false)
        })
    }
}
