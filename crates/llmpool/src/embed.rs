//! Embeddings: texts in, vectors out, with the keys, limits and retries of every call.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use llmpool_core::embeddings::{EmbeddingRequest, EmbeddingResponse};
use serde::ser::{SerializeMap, Serializer};

use crate::call::{self, Answer, RequestEncoder};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Endpoint, Rendered, Reply};
use crate::openai_compatible::OpenAiCompatible;
use crate::options::{CallOptions, DEFAULT_OPTIONS};
use crate::raw;
use crate::report::CallReport;
use crate::target::Target;
use crate::tokens;

/// A model that turns texts into vectors.
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
    /// Sends a request and returns one vector for each text of its input.
    ///
    /// An answer with fewer or more vectors than texts is an error. Dropping the future closes the connection and releases the key.
    fn embed_with<'a>(
        &'a self,
        request: &'a EmbeddingRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<EmbeddingAnswer, Error>>;

    /// Sends a request with default options: see [`embed_with`](Self::embed_with).
    fn embed<'a>(&'a self, request: &'a EmbeddingRequest) -> BoxFuture<'a, Result<EmbeddingAnswer, Error>> {
        self.embed_with(request, &DEFAULT_OPTIONS)
    }
}

/// The vectors, and what happened on the way to them.
#[derive(Clone, Default, PartialEq)]
pub struct EmbeddingAnswer {
    /// The answer.
    pub response: EmbeddingResponse,
    /// What happened during the call; never serialised.
    pub report: CallReport,
}

impl std::ops::Deref for EmbeddingAnswer {
    type Target = EmbeddingResponse;

    fn deref(&self) -> &EmbeddingResponse {
        &self.response
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
        Box::pin(embed(self.target(), request, options))
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

async fn embed(
    target: &Arc<Target>,
    request: &EmbeddingRequest,
    options: &CallOptions,
) -> Result<EmbeddingAnswer, Error> {
    let Answer {
        reply,
        mut report,
        sent,
        ..
    } = call::run(target, &Texts(request), options).await?;
    let Reply::Plain { body, .. } = reply else {
        return Err(raw::invalid_response(report));
    };
    let response = EmbeddingResponse::decode(&body).ok();
    let asked = request.input.as_ref().and_then(|input| input.count());
    let fits = |response: &EmbeddingResponse| {
        response.has("data") && asked.is_none_or(|asked| asked == response.data.len())
    };
    let Some(response) = response.filter(fits) else {
        return Err(raw::invalid_response(report));
    };
    report.note_usage(response.usage.clone(), || Some(tokens::estimated_input(&sent)));
    Ok(EmbeddingAnswer { response, report })
}

/// A request on its way out.
struct Texts<'a>(&'a EmbeddingRequest);

impl RequestEncoder for Texts<'_> {
    fn render(&self, target: &Target) -> Result<Rendered, Error> {
        let body = encode(self.0, target).map_err(|error| {
            Error::new(ErrorKind::Unsendable, "the request cannot be encoded").with_source(error)
        })?;
        Ok(Rendered {
            at: Endpoint::Embeddings,
            ..Rendered::new(Bytes::from(body), false)
        })
    }
}

fn encode(request: &EmbeddingRequest, target: &Target) -> Result<Vec<u8>, serde_json::Error> {
    const OURS: [&str; 1] = ["model"];
    let mut body = Vec::with_capacity(512);
    let mut json = serde_json::Serializer::new(&mut body);
    let mut map = json.serialize_map(None)?;
    map.serialize_entry("model", &target.model)?;
    request.serialize_fields(&mut map, &OURS)?;
    for (name, value) in &target.api_params {
        if !request.has(name) && !OURS.contains(&name.as_str()) {
            map.serialize_entry(name, value)?;
        }
    }
    map.end()?;
    Ok(body)
}
