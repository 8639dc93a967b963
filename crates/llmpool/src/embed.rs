//! Embeddings, with the keys, limits and retries of every call.

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
/// # /// An embedding request to encode.
struct EmbeddingEncoder<'a>(&'a EmbeddingRequest);

impl RequestEncoder for EmbeddingEncoder<'_> {
    fn encode(&self, target: &Target) -> Result<EncodedRequest, Error> {
        let Self(request) = self;
        let body = encode_body(
            target,
            &["model"],
            |name| request.has(name),
            |map| request.serialize_members(map, &["model"]),
        )?;
        Ok(EncodedRequest::new(Endpoint::Embeddings, body, false))
    }
}
