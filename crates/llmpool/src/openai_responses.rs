//! Models of providers with a Responses API.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{ChatRequest, Usage};
use llmpool_core::responses::{EventDecoder, Response, ResponseEvent, ResponsesRequest};
use llmpool_core::translate;

use crate::error::{Error, ErrorKind};
use crate::interface::{ChatResponse, ChatStream, LlmInterface};
use crate::key_pool::ApiKeyPool;
use crate::observer::Observer;
use crate::openai_compatible::OpenAiCompatible;
use crate::openai_compatible_builder::OpenAiCompatibleBuilder;
use crate::options::{CallOptions, DEFAULT_OPTIONS};
use crate::provider_file::ProviderFile;
use crate::providers::Providers;
use crate::raw::{self, RawStream};
use crate::report::CallReport;
use crate::responses_encoder::ResponsesEncoder;

/// A model of a provider with a Responses API. A clone is another handle to the same model.
///
/// Implements [`LlmInterface`]: translates each chat request to a Responses request, and translates the
/// answer back. If a field of the chat request has no equivalent and the answer would be wrong without the
/// field, the call fails with an error that names the field.
///
/// [`create_response`](Self::create_response) and [`create_response_stream`](Self::create_response_stream)
/// send Responses requests without translation.
#[derive(Clone)]
pub struct OpenAiResponsesCompatible {
    model: OpenAiCompatible,
}

/// A complete response of the provider, and the report of the call.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ResponseAnswer {
    /// The decoded response.
    pub response: Response,
    /// The report of the call: its attempts, the time it waited for permits, and its token usage.
    pub report: CallReport,
}

impl ResponseAnswer {
    /// Returns the text of all messages in the response, concatenated without a separator. Empty if no
    /// message contains text.
    pub fn text(&self) -> String {
        self.response.text()
    }

    /// Returns the token usage of the call, or `None` if the usage is unknown: see [`CallReport::usage`].
    pub fn usage(&self) -> Option<&Usage> {
        self.report.usage.as_ref()
    }
}

impl OpenAiResponsesCompatible {
    /// Creates a model that uses the keys of `pool` and has no limits of its own: see
    /// [`OpenAiCompatible::new`].
    ///
    /// Requests go to the base URL followed by `/responses`. The base URL must therefore include the
    /// provider's path prefix, which is usually `/v1`.
    pub fn new(pool: &ApiKeyPool, model: impl Into<String>, base_url: &str) -> Result<Self, Error> {
        OpenAiCompatible::builder(pool, model, base_url).build_responses()
    }

    /// Returns a Responses client for `model`. Returns `None` if `model` does not use the Responses API. In a
    /// provider file, `"api": "responses"` selects this API.
    pub fn from_model(model: &OpenAiCompatible) -> Option<Self> {
        let is_responses = model.target().format == ApiFormat::Responses;
        is_responses.then(|| Self { model: model.clone() })
    }

    /// Loads a `provider.json`. All models of the file use the Responses API, even if their `api` field
    /// selects another API.
    ///
    /// Each call of this function creates separate key pools and limits, so load the file once and share the
    /// result. Fails with [`ErrorKind::Config`] if the file cannot be loaded.
    pub fn load_from_json_file(path: impl AsRef<Path>) -> Result<Providers, Error> {
        let env = |name: &str| std::env::var(name).ok();
        let mut file = ProviderFile::read(path.as_ref(), &env)?;
        for provider in &mut file.providers {
            for model in &mut provider.models {
                model.settings.api = ApiFormat::Responses;
            }
        }
        Providers::from_provider_file(file)
    }

    /// Returns a handle to the same model with another observer: see
    /// [`OpenAiCompatible::with_observer`].
    #[must_use]
    pub fn with_observer(self, observer: Arc<dyn Observer>) -> Self {
        Self {
            model: self.model.with_observer(observer),
        }
    }

    /// Returns the underlying model, for example to read the states of its keys or to reset its limits.
    pub fn model(&self) -> &OpenAiCompatible {
        &self.model
    }

    /// Creates a response with default options: see [`create_response_with`](Self::create_response_with).
    pub async fn create_response(&self, request: &ResponsesRequest) -> Result<ResponseAnswer, Error> {
        self.create_response_with(request, &DEFAULT_OPTIONS).await
    }

    /// Creates a response as a stream with default options: see
    /// [`create_response_stream_with`](Self::create_response_stream_with).
    pub async fn create_response_stream(&self, request: &ResponsesRequest) -> Result<EventStream, Error> {
        self.create_response_stream_with(request, &DEFAULT_OPTIONS).await
    }

    /// Sends a request and returns the complete response.
    ///
    /// Fails if the status of the response is `failed`. A response with the status `incomplete` is returned
    /// as `Ok`. Dropping the future closes the connection and releases the key.
    pub async fn create_response_with(
        &self,
        request: &ResponsesRequest,
        options: &CallOptions,
    ) -> Result<ResponseAnswer, Error> {
        let encoder = ResponsesEncoder {
            request,
            stream: false,
        };
        let mut answer = raw::complete(self.model.handle(), &encoder, options).await?;
        let response = answer.decode(|body| {
            let response = Response::decode(body).map_err(|_| "the response cannot be read")?;
            let response = Some(response).filter(Response::has_readable_output);
            response.ok_or_else(|| "a response without output".into())
        })?;
        answer.note_usage(translate::parse_usage(&answer.body));
        let report = answer.finish();
        Ok(ResponseAnswer { response, report })
    }

    /// Sends a request and returns the response as a stream of events.
    ///
    /// The future resolves when the first content of the response arrives. Failures before the first content
    /// are retried. The stream returns later failures as errors and never retries the request. Dropping the
    /// future or the stream closes the connection and releases the key.
    pub async fn create_response_stream_with(
        &self,
        request: &ResponsesRequest,
        options: &CallOptions,
    ) -> Result<EventStream, Error> {
        let encoder = ResponsesEncoder {
            request,
            stream: true,
        };
        let events = raw::stream(self.model.handle(), &encoder, options).await?;
        Ok(EventStream {
            events,
            decoder: EventDecoder::new(),
        })
    }
}

impl Providers {
    /// Returns the model with the id `id` as a Responses client. For the forms of an id, see
    /// [`model`](Self::model).
    ///
    /// Fails with [`ErrorKind::UnknownModel`] if no such model is configured, and with [`ErrorKind::Config`]
    /// if the model uses another API.
    pub fn responses_model(&self, id: &str) -> Result<OpenAiResponsesCompatible, Error> {
        let model = self.model_with(id, ApiFormat::Responses)?;
        OpenAiResponsesCompatible::from_model(&model).ok_or_else(|| {
            let problem = format!(
                "{} does not use the Responses API; configure it with \"api\": \"responses\"",
                model.id()
            );
            Error::new(ErrorKind::Config, problem)
        })
    }
}

impl OpenAiCompatibleBuilder {
    /// Builds a model that uses the Responses API, even if the settings select another API. Fails under the
    /// same conditions as [`build`](Self::build).
    pub fn build_responses(mut self) -> Result<OpenAiResponsesCompatible, Error> {
        self.settings.api = ApiFormat::Responses;
        let model = self.build()?;
        Ok(OpenAiResponsesCompatible { model })
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

/// A stream of the events of one response. The stream ends after its first error.
///
/// Dropping the stream closes the connection and releases the key.
pub struct EventStream {
    events: RawStream,
    decoder: EventDecoder,
}

impl EventStream {
    /// Returns the next event, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Result<ResponseEvent, Error>> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Returns the report of the call so far. The report is complete once the stream has ended.
    pub fn report(&self) -> &CallReport {
        self.events.report()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ResponseEvent, Error>>> {
        Poll::Ready(match ready!(self.events.poll_json(cx)) {
            Some(Ok(event)) => Some(match self.decoder.decode(&event.event.data) {
                Ok(event) => Ok(event),
                Err(_) => Err(self.events.fail_unreadable()),
            }),
            Some(Err(error)) => Some(Err(error)),
            None => None,
        })
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
