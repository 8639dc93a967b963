//! Models of providers with a Responses API.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{ChatRequest, Usage};
use llmpool_core::failure::FailureKind;
use llmpool_core::responses::{Response, ResponseEvent, ResponsesRequest};
use llmpool_core::translate;

use crate::error::{Error, ErrorKind};
use crate::interface::{ChatResponse, ChatStream, LlmInterface};
use crate::key_pool::ApiKeyPool;
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
/// Implements [`LlmInterface`] by translating chat requests to Responses requests, and the answers back. A call fails if its request has a
/// field without which the answer would be wrong and that has no equivalent; the error names the field.
/// [`create_response`](Self::create_response) and [`create_response_stream`](Self::create_response_stream) send Responses requests without
/// translation.
#[derive(Clone)]
pub struct OpenAiResponsesCompatible {
    model: OpenAiCompatible,
}

/// A complete response, and the report of the call.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ResponseAnswer {
    /// The provider's response.
    pub response: Response,
    /// The report of the call: attempts, waits and usage. Never serialised.
    pub report: CallReport,
}

impl ResponseAnswer {
    /// Returns the joined text of all message items; empty if there is no text.
    pub fn text(&self) -> String {
        self.response.text()
    }

    /// Returns the tokens that the call used: see [`CallReport::usage`].
    pub fn usage(&self) -> Option<&Usage> {
        self.report.usage.as_ref()
    }
}

impl OpenAiResponsesCompatible {
    /// Creates a model that uses the keys of `pool` and has no limits of its own: see [`OpenAiCompatible::new`].
    ///
    /// `responses` is appended to the base URL, so the base URL must include `/v1` if the provider's endpoints have it in their path.
    pub fn new(pool: &ApiKeyPool, model: impl Into<String>, base_url: &str) -> Result<Self, Error> {
        OpenAiCompatible::builder(pool, model, base_url).build_responses()
    }

    /// Returns the same model as a Responses client, or `None` if the model is not configured with `"api": "responses"`: see
    /// [`Providers::responses_model`].
    pub fn from_model(model: &OpenAiCompatible) -> Option<Self> {
        let is_responses = model.target().format == ApiFormat::Responses;
        is_responses.then(|| Self { model: model.clone() })
    }

    /// Loads a `provider.json`. All its models use the Responses API, whatever their `api` field is.
    ///
    /// Each call of this function creates separate key pools and limits, so load the file once and share the result. Fails with
    /// [`ErrorKind::Config`].
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

    /// Returns the underlying model, which gives access to keys, key states and limits.
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
    /// A response with the status `failed` is an error. A response with the status `incomplete` is returned. Dropping the future closes the
    /// connection and releases the key.
    pub async fn create_response_with(
        &self,
        request: &ResponsesRequest,
        options: &CallOptions,
    ) -> Result<ResponseAnswer, Error> {
        let encoder = ResponsesEncoder {
            request,
            stream: false,
        };
        let mut answer = raw::complete(self.model.target(), &encoder, options).await?;
        let response = answer.decode(|body| {
            let response = Response::decode(body).ok();
            response.filter(|response| response.has("output"))
        })?;
        answer.note_usage(translate::parse_usage(&answer.body));
        let report = answer.report;
        Ok(ResponseAnswer { response, report })
    }

    /// Sends a request and returns the response as a stream of events.
    ///
    /// The future resolves when the first content arrives. Failures before that are retried. Later failures are reported by the stream and
    /// are never retried. Dropping the future or the stream closes the connection and releases the key.
    pub async fn create_response_stream_with(
        &self,
        request: &ResponsesRequest,
        options: &CallOptions,
    ) -> Result<EventStream, Error> {
        let encoder = ResponsesEncoder {
            request,
            stream: true,
        };
        let events = raw::stream(self.model.target(), &encoder, options).await?;
        Ok(EventStream { events })
    }
}

impl Providers {
    /// Returns a model behind a Responses API by its id, as [`model`](Self::model) does.
    ///
    /// Fails with [`ErrorKind::UnknownModel`], or with [`ErrorKind::Config`] if the model uses another API.
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
    /// Builds a model that uses the Responses API, whatever `settings.api` is. Fails as [`build`](Self::build) does.
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

/// The events of a streamed response. The stream ends after its first error.
///
/// Dropping the stream closes the connection and releases the key.
pub struct EventStream {
    events: RawStream,
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
            Some(Ok(event)) => Some(match ResponseEvent::decode(&event.event.data) {
                Ok(event) => Ok(event),
                Err(_) => Err(self.events.fail(FailureKind::InvalidResponse)),
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
