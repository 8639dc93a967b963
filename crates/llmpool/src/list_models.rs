//! Which models a provider offers.

use bytes::Bytes;
use llmpool_core::models::ModelList;

use crate::call::{self, Answer, RequestEncoder};
use crate::error::Error;
use crate::exchange::{Endpoint, Rendered, Reply};
use crate::openai_compatible::OpenAiCompatible;
use crate::options::CallOptions;
use crate::raw;
use crate::target::Target;

impl OpenAiCompatible {
    /// Asks the provider which models it offers, with whichever key is free: keys may see different ones, which
    /// [`check_keys`](Self::check_keys) tells. It counts as a request towards the limits. Dropping the future closes the connection and
    /// frees the key.
    pub async fn list_models(&self, options: &CallOptions) -> Result<ModelList, Error> {
        let Answer { reply, report, .. } = call::run(self.target(), &Question, options).await?;
        let listed = match &reply {
            Reply::Plain { body, .. } => ModelList::read(body),
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
