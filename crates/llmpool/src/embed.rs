//! Calls to embedding models. Keys, limits and retries work as for chat calls.

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use llmpool_core::chat::Usage;
use llmpool_core::embeddings::{EmbeddingRequest, EmbeddingResponse, VectorError};

use crate::encoded_request::{EncodedRequest, RequestEncoder, encode_body};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::openai_compatible::OpenAiCompatible;
use crate::options::{CallOptions, DEFAULT_OPTIONS};
use crate::raw;
use crate::report::CallReport;
use crate::target::Target;
use crate::tokens;

/// A model that converts texts to vectors.
///
/// ```no_run
/// use llmpool::embeddings::EmbeddingRequest;
/// use llmpool::{EmbeddingInterface, OpenAiCompatible};
///
/// # async fn embed() -> Result<(), Box<dyn std::error::Error>> {
/// let model = OpenAiCompatible::load_from_json_file("provider.json")?.model("openai/text-embedding-3-small")?;
/// let request = EmbeddingRequest::new(vec!["one".to_owned(), "two".to_owned()]);
/// let vectors = model.embed(&request).await?.vectors()?;
/// assert_eq!(vectors.len(), 2);
/// # Ok(())
/// # }
/// ```
pub trait EmbeddingInterface: Send + Sync {
    /// Sends an embedding request and returns one vector per input text.
    ///
    /// Fails if the number of vectors in the answer differs from the number of input texts. Dropping the
    /// future closes the connection and releases the key.
    fn embed_with<'a>(
        &'a self,
        request: &'a EmbeddingRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<EmbeddingAnswer, Error>>;

    /// Sends an embedding request with the default options: see [`embed_with`](Self::embed_with).
    fn embed<'a>(&'a self, request: &'a EmbeddingRequest) -> BoxFuture<'a, Result<EmbeddingAnswer, Error>> {
        self.embed_with(request, &DEFAULT_OPTIONS)
    }
}

/// The answer to an embedding request: one vector per input text, and the report of the call.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct EmbeddingAnswer {
    /// The provider's response, which contains the vectors in the encoding that the provider chose.
    pub response: EmbeddingResponse,
    /// The report of the call: attempts, waiting time and token usage.
    pub report: CallReport,
}

impl EmbeddingAnswer {
    /// Creates an answer with an empty report, for programs with their own implementation of
    /// [`EmbeddingInterface`].
    pub fn new(response: EmbeddingResponse) -> Self {
        Self {
            response,
            report: CallReport::default(),
        }
    }

    /// Sets the report of the call.
    pub fn with_report(mut self, report: CallReport) -> Self {
        self.report = report;
        self
    }

    /// Returns the vectors in the order of the input texts. Fails if a vector is neither a list of numbers
    /// nor a base64 string of 32-bit floats.
    pub fn vectors(&self) -> Result<Vec<Vec<f32>>, VectorError> {
        self.response.vectors()
    }

    /// Returns the number of tokens that the call used, if known: see [`CallReport::usage`].
    pub fn usage(&self) -> Option<&Usage> {
        self.report.usage.as_ref()
    }
}

impl fmt::Debug for EmbeddingAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingAnswer")
            .field("vectors", &self.response.data.len())
            .field("report", &self.report)
            .finish()
    }
}

impl EmbeddingInterface for OpenAiCompatible {
    fn embed_with<'a>(
        &'a self,
        request: &'a EmbeddingRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<EmbeddingAnswer, Error>> {
        Box::pin(async move {
            let mut answer = raw::complete(self.handle(), &EmbeddingEncoder(request), options).await?;
            let expected = request.input.as_ref().and_then(|input| input.count());
            let response = answer.decode(|body| {
                let response =
                    EmbeddingResponse::decode(body).map_err(|_| "the list of vectors cannot be read")?;
                let vectors = response.data.len();
                match expected {
                    _ if !response.has("data") => Err("an answer without vectors".into()),
                    Some(inputs) if inputs != vectors => {
                        Err(format!("{vectors} vectors for {inputs} inputs").into())
                    }
                    _ => Ok(response),
                }
            })?;
            let estimate = || Some(tokens::estimated_input(&answer.request_body));
            answer.report.note_usage(response.usage.as_ref(), estimate);
            Ok(EmbeddingAnswer::new(response).with_report(answer.finish()))
        })
    }
}

macro_rules! impl_for_pointers {
    ($($pointer:ty),*) => {$(
        impl<T: EmbeddingInterface + ?Sized> EmbeddingInterface for $pointer {
            fn embed_with<'a>(
                &'a self,
                request: &'a EmbeddingRequest,
                options: &'a CallOptions,
            ) -> BoxFuture<'a, Result<EmbeddingAnswer, Error>> {
                (**self).embed_with(request, options)
            }
        }
    )*};
}

impl_for_pointers!(&T, Box<T>, Arc<T>);

/// An embedding request that can be encoded for any target.
struct EmbeddingEncoder<'a>(&'a EmbeddingRequest);

impl RequestEncoder for EmbeddingEncoder<'_> {
    fn encode(&self, target: &Target) -> Result<EncodedRequest, Error> {
        let Self(request) = self;
        let body = encode_body(
            target,
            &["model"],
            |name| request.has(name),
            |map| request.serialize_fields(map, &["model"]),
        )?;
        Ok(EncodedRequest::new(Endpoint::Embeddings, body, false))
    }

    fn destination(&self) -> (Endpoint, bool) {
        (Endpoint::Embeddings, false)
    }
}
