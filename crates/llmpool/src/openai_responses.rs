//! A model behind a Responses API: asked in its own words, or as a chat that is translated.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{ChatChunk, ChatRequest};
use llmpool_core::failure::{Failure, FailureKind};
use llmpool_core::responses::{Reasoning, Response, ResponseEvent, ResponsesRequest, TextOptions};
use llmpool_core::translate::{self, EventToChunkTranslator};
use serde::ser::{SerializeMap, Serializer};

use crate::call::{self, Answer, RequestEncoder};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Rendered, Reply};
use crate::interface::{ChatResponse, ChatStream, ChunkSource, LlmInterface};
use crate::key_pool::ApiKeyPool;
use crate::openai_compatible::{OpenAiCompatible, TargetSettings};
use crate::options::{CallOptions, DEFAULT_OPTIONS};
use crate::provider_file::ProviderFile;
use crate::providers::Providers;
use crate::raw::{self, RawStream};
use crate::report::CallReport;
use crate::target::Target;
use crate::tokens;

/// A model that is asked through the Responses API. A clone is another handle on the same target.
///
/// As an [`LlmInterface`] it translates chat requests and answers; a request field without an equivalent is an error that names it.
/// [`create_response`](Self::create_response) and [`create_response_stream`](Self::create_response_stream) use the format itself.
#[derive(Clone)]
pub struct OpenAiResponsesCompatible {
    model: OpenAiCompatible,
}

/// A whole response, and what happened on the way to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseAnswer {
    /// The answer.
    pub response: Response,
    /// What happened during the call; never serialised.
    pub report: CallReport,
}

impl std::ops::Deref for ResponseAnswer {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
}

impl OpenAiResponsesCompatible {
    /// A model at a base URL, with the keys of a pool and no limit of its own. Models over one pool share its load.
    ///
    /// The base URL is joined as it is with `responses`: it has to carry `/v1` where the provider wants it.
    pub fn new(pool: &ApiKeyPool, model: impl Into<String>, base_url: &str) -> Result<Self, Error> {
        Self::with_settings(pool, model, base_url, TargetSettings::default())
    }

    /// A model at a base URL, with everything set; `api` need not be.
    pub fn with_settings(
        pool: &ApiKeyPool,
        model: impl Into<String>,
        base_url: &str,
        settings: TargetSettings,
    ) -> Result<Self, Error> {
        let settings = TargetSettings {
            api: ApiFormat::Responses,
            ..settings
        };
        let model = OpenAiCompatible::with_settings(pool, model, base_url, settings)?;
        Ok(Self { model })
    }

    /// The model that was configured with `"api": "responses"`; `None` where it speaks another format.
    pub fn of(model: &OpenAiCompatible) -> Option<Self> {
        let speaks = model.target().wire == ApiFormat::Responses;
        speaks.then(|| Self { model: model.clone() })
    }

    /// Loads a `provider.json` of which every model is asked through the Responses API, whatever it says of `api`. Every call makes its own
    /// pools and limits: load once and share.
    pub fn load_from_json_file(path: impl AsRef<Path>) -> Result<Providers, Error> {
        let env = |name: &str| std::env::var(name).ok();
        let mut file = ProviderFile::read(path.as_ref(), &env)?;
        let models = file
            .providers
            .iter_mut()
            .flat_map(|provider| &mut provider.models);
        models.for_each(|model| model.settings.api = ApiFormat::Responses);
        Providers::from_provider_file(file)
    }

    /// The model with its keys, states and limits.
    pub fn model(&self) -> &OpenAiCompatible {
        &self.model
    }

    /// Creates a response with default options: see [`create_response_with`](Self::create_response_with).
    pub async fn create_response(&self, request: &ResponsesRequest) -> Result<ResponseAnswer, Error> {
        self.create_response_with(request, &DEFAULT_OPTIONS).await
    }

    /// Creates a response as a stream with default options: see [`create_response_stream_with`](Self::create_response_stream_with).
    pub async fn create_response_stream(&self, request: &ResponsesRequest) -> Result<EventStream, Error> {
        self.create_response_stream_with(request, &DEFAULT_OPTIONS).await
    }

    /// Sends a request and returns the complete response.
    ///
    /// A failed response is an error; an incomplete one is not: see its `status`. Dropping the future closes the connection and
    /// releases the key.
    pub async fn create_response_with(
        &self,
        request: &ResponsesRequest,
        options: &CallOptions,
    ) -> Result<ResponseAnswer, Error> {
        let outgoing = Native {
            request,
            stream: false,
        };
        let Answer {
            reply,
            mut report,
            sent,
            ..
        } = call::run(self.model.target(), &outgoing, options).await?;
        let Reply::Plain { body, .. } = reply else {
            return Err(raw::invalid_response(report));
        };
        let decoded = Response::decode(&body).ok();
        let Some(response) = decoded.filter(|response| response.has("output")) else {
            return Err(raw::invalid_response(report));
        };
        report.note_usage(translate::parse_usage(&body), || {
            tokens::estimated_plain(&sent, &body)
        });
        Ok(ResponseAnswer { response, report })
    }

    /// Sends a request and returns the response as a stream of events.
    ///
    /// Resolves at the first content: earlier failures are retried, later ones are reported by the stream and never retried. Dropping the
    /// future or the stream closes the connection and releases the key.
    pub async fn create_response_stream_with(
        &self,
        request: &ResponsesRequest,
        options: &CallOptions,
    ) -> Result<EventStream, Error> {
        let outgoing = Native {
            request,
            stream: true,
        };
        let frames = raw::stream(self.model.target(), &outgoing, options).await?;
        Ok(EventStream { frames })
    }
}

impl LlmInterface for OpenAiResponsesCompatible {
    fn model_name(&self) -> &str {
        self.model.model_name()
    }

    fn context_window(&self) -> u32 {
        self.model.context_window()
    }

    fn chat_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatResponse, Error>> {
        self.model.chat_with(request, options)
    }

    fn chat_stream_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatStream, Error>> {
        self.model.chat_stream_with(request, options)
    }
}

impl fmt::Debug for OpenAiResponsesCompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiResponsesCompatible")
            .field("model", &self.model)
            .finish()
    }
}

/// A request in the format's own words on its way out.
struct Native<'a> {
    request: &'a ResponsesRequest,
    stream: bool,
}

impl RequestEncoder for Native<'_> {
    fn render(&self, target: &Target) -> Result<Rendered, Error> {
        render(self.request, self.stream, target)
    }
}

/// Members that a chat says only in part get the rest from the target's parameters. `keeps`: whether the chat says if it is to be kept.
pub(crate) fn complete(request: &mut ResponsesRequest, keeps: bool, target: &Target) {
    for (name, value) in &target.api_params {
        match name.as_str() {
            "store" if !keeps => request.store = None,
            "include" => {
                let more: Vec<String> = serde_json::from_str(value.get()).unwrap_or_default();
                let more = more.into_iter().filter(|what| !request.include.contains(what));
                let more: Vec<_> = more.collect();
                request.include.extend(more);
            }
            "reasoning" => {
                if let (Some(said), Ok(rest)) = (
                    &mut request.reasoning,
                    serde_json::from_str::<Reasoning>(value.get()),
                ) {
                    said.effort = said.effort.take().or(rest.effort);
                    said.summary = said.summary.take().or(rest.summary);
                }
            }
            "text" => {
                if let (Some(said), Ok(rest)) = (
                    &mut request.text,
                    serde_json::from_str::<TextOptions>(value.get()),
                ) {
                    said.format = said.format.take().or(rest.format);
                    said.verbosity = said.verbosity.take().or(rest.verbosity);
                }
            }
            _ => {}
        }
    }
}

/// Encodes a request for a target.
pub(crate) fn render(request: &ResponsesRequest, stream: bool, target: &Target) -> Result<Rendered, Error> {
    const OURS: [&str; 2] = ["model", "stream"];
    // Refused where nothing is streamed.
    const OF_STREAMS: [&str; 3] = ["model", "stream", "stream_options"];
    let skipped: &[&str] = if stream { &OURS } else { &OF_STREAMS };
    let write = || {
        let mut body = Vec::with_capacity(512);
        let mut json = serde_json::Serializer::new(&mut body);
        let mut map = json.serialize_map(None)?;
        map.serialize_entry("model", &target.model)?;
        request.serialize_fields(&mut map, skipped)?;
        if stream {
            map.serialize_entry("stream", &true)?;
        }
        for (name, value) in &target.api_params {
            if !request.has(name) && !skipped.contains(&name.as_str()) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()?;
        Ok::<_, serde_json::Error>(body)
    };
    let body = write().map_err(|error| {
        Error::new(ErrorKind::Unsendable, "the request cannot be encoded").with_source(error)
    })?;
    Ok(Rendered::new(Bytes::from(body), stream))
}

/// The events of a response as they come. Ends after an error.
///
/// Dropping it closes the connection and frees the key.
pub struct EventStream {
    frames: RawStream,
}

impl EventStream {
    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<ResponseEvent, Error>> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// What happened so far; complete once the stream has ended.
    pub fn report(&self) -> &CallReport {
        self.frames.report()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ResponseEvent, Error>>> {
        loop {
            let frame = match std::task::ready!(self.frames.poll_frame(cx)) {
                Some(Ok(frame)) if frame.flags.done => continue,
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            return Poll::Ready(Some(match ResponseEvent::decode(&frame.event.data) {
                Ok(event) => Ok(event),
                Err(_) => Err(self.frames.fail(Failure::new(FailureKind::InvalidResponse))),
            }));
        }
    }
}

impl Stream for EventStream {
    type Item = Result<ResponseEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("report", self.report())
            .finish_non_exhaustive()
    }
}

/// Events told as chunks.
pub(crate) struct TranslatedChunks {
    frames: RawStream,
    translator: EventToChunkTranslator,
}

impl TranslatedChunks {
    pub(crate) fn new(frames: RawStream) -> Self {
        Self {
            frames,
            translator: EventToChunkTranslator::new(),
        }
    }
}

impl Stream for TranslatedChunks {
    type Item = Result<ChatChunk, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(chunk) = this.translator.next_chunk() {
                return Poll::Ready(Some(Ok(chunk)));
            }
            let frame = match std::task::ready!(this.frames.poll_frame(cx)) {
                Some(Ok(frame)) if frame.flags.done => continue,
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            if this
                .translator
                .push_data(&frame.event.data, frame.repeat.as_ref())
                .is_err()
            {
                let failure = Failure::new(FailureKind::InvalidResponse);
                return Poll::Ready(Some(Err(this.frames.fail(failure))));
            }
        }
    }
}

impl ChunkSource for TranslatedChunks {
    fn report(&self) -> CallReport {
        self.frames.report().clone()
    }
}
