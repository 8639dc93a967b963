//! The trait [`LlmInterface`] of language models, and their answers: complete or streamed.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use llmpool_core::chat::{
    Assembler, ChatChunk, ChatCompletion, ChatRequest, FinishReason, Message, ToolCall, Usage,
};
#[cfg(feature = "structured")]
use llmpool_core::structured::{ReplyError, parse_reply};

use crate::error::Error;
use crate::options::{CallOptions, DEFAULT_OPTIONS};
use crate::report::CallReport;

/// A language model that answers chat requests.
///
/// Implemented for [`OpenAiCompatible`](crate::OpenAiCompatible) and
/// [`OpenAiResponsesCompatible`](crate::OpenAiResponsesCompatible), and for `&T`, `Box<T>` and `Arc<T>` of
/// every implementation `T`. To implement the trait yourself, for tests for example, write the four methods
/// that have no default.
pub trait LlmInterface: Send + Sync {
    /// Returns the name of the model, without the name of its provider.
    fn model_name(&self) -> &str;

    /// Returns the size of the context window: the maximum number of tokens in a prompt and its answer
    /// together.
    fn context_window(&self) -> u32;

    /// Sends a chat request and returns the complete answer.
    ///
    /// Dropping the future closes the connection and releases the key.
    fn chat_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatResponse, Error>>;

    /// Sends a chat request and returns the answer as a stream.
    ///
    /// The future resolves when the first content arrives. Failed attempts are retried before the first
    /// content, but never after it: if the stream fails later, the stream returns an error. Dropping the
    /// future or the stream closes the connection and releases the key.
    fn chat_stream_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatStream, Error>>;

    /// Sends a chat request with the default options: see [`chat_with`](Self::chat_with).
    fn chat<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<ChatResponse, Error>> {
        self.chat_with(request, &DEFAULT_OPTIONS)
    }

    /// Sends a chat request with the default options and returns a stream: see
    /// [`chat_stream_with`](Self::chat_stream_with).
    fn chat_stream<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<ChatStream, Error>> {
        self.chat_stream_with(request, &DEFAULT_OPTIONS)
    }
}

/// A complete chat answer, and the report of the call.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ChatResponse {
    /// The answer in the Chat Completions format.
    pub completion: ChatCompletion,
    /// The report of the call: attempts, waiting time and token usage.
    pub report: CallReport,
}

impl ChatResponse {
    /// Creates an answer with an empty report, for programs with their own implementation of
    /// [`LlmInterface`].
    pub fn new(completion: ChatCompletion) -> Self {
        Self {
            completion,
            report: CallReport::default(),
        }
    }

    /// Sets the report of the call.
    pub fn with_report(mut self, report: CallReport) -> Self {
        self.report = report;
        self
    }

    /// Returns the text of the first choice: all text parts, joined. Empty if the choice contains no text.
    pub fn text(&self) -> String {
        self.completion.text()
    }

    /// Returns the message of the first choice, which can be appended to the conversation. `None` if the
    /// answer has no choice.
    pub fn message(&self) -> Option<&Message> {
        self.completion.first().map(|choice| &choice.message)
    }

    /// Returns the tool calls of the first choice. Empty if the model called no tool.
    pub fn tool_calls(&self) -> &[ToolCall] {
        self.message().map_or(&[], |message| &message.tool_calls)
    }

    /// Parses the text of the first choice as JSON of type `T`: see [`parse_reply`].
    #[cfg(feature = "structured")]
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, ReplyError> {
        parse_reply(&self.completion)
    }

    /// Returns why the model ended the first choice, such as `stop` or `length`. `None` if the provider
    /// reports no reason.
    pub fn finish_reason(&self) -> Option<&FinishReason> {
        self.completion.first()?.finish_reason.as_ref()
    }

    /// Returns the number of tokens that the call used, if known: see [`CallReport::usage`].
    pub fn usage(&self) -> Option<&Usage> {
        self.report.usage.as_ref()
    }
}

macro_rules! impl_for_pointers {
    ($($pointer:ty),*) => {$(
        impl<T: LlmInterface + ?Sized> LlmInterface for $pointer {
            fn model_name(&self) -> &str {
                (**self).model_name()
            }

            fn context_window(&self) -> u32 {
                (**self).context_window()
            }

            fn chat_with<'a>(
                &'a self,
                request: &'a ChatRequest,
                options: &'a CallOptions,
            ) -> BoxFuture<'a, Result<ChatResponse, Error>> {
                (**self).chat_with(request, options)
            }

            fn chat_stream_with<'a>(
                &'a self,
                request: &'a ChatRequest,
                options: &'a CallOptions,
            ) -> BoxFuture<'a, Result<ChatStream, Error>> {
                (**self).chat_stream_with(request, options)
            }
        }
    )*};
}

impl_for_pointers!(&T, Box<T>, Arc<T>);

/// A stream of the chunks of one answer. After an error, the stream ends.
///
/// Dropping the stream closes the connection and releases the key.
pub struct ChatStream(Pin<Box<dyn ChunkSource>>);

/// A stream of chunks that can also return the report of its call.
pub(crate) trait ChunkSource: Stream<Item = Result<ChatChunk, Error>> + Send {
    fn report(&self) -> CallReport;
}

impl ChatStream {
    /// Creates a stream from `chunks` with an empty report, for programs with their own implementation of
    /// [`LlmInterface`].
    pub fn new(chunks: impl Stream<Item = Result<ChatChunk, Error>> + Send + 'static) -> Self {
        Self::with_report(chunks, CallReport::default())
    }

    /// Creates a stream from `chunks`, for which [`report`](Self::report) returns `report`.
    pub fn with_report(
        chunks: impl Stream<Item = Result<ChatChunk, Error>> + Send + 'static,
        report: CallReport,
    ) -> Self {
        Self::from_source(ReportedChunks {
            chunks: Box::pin(chunks),
            report,
        })
    }

    pub(crate) fn from_source(source: impl ChunkSource + 'static) -> Self {
        Self(Box::pin(source))
    }

    /// Returns the next chunk, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Result<ChatChunk, Error>> {
        std::future::poll_fn(|cx| self.0.as_mut().poll_next(cx)).await
    }

    /// Returns what is known about the call so far. The report is complete once the stream has ended.
    pub fn report(&self) -> CallReport {
        self.0.report()
    }

    /// Returns the text of the next chunk that adds text to the first choice, or `None` at the end of the
    /// stream.
    pub async fn next_text(&mut self) -> Option<Result<String, Error>> {
        loop {
            match self.next().await? {
                Ok(chunk) => {
                    let text = chunk.text();
                    if !text.is_empty() {
                        return Some(Ok(text.into_owned()));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Reads the stream to its end and returns the complete answer.
    ///
    /// If the stream fails, the error contains the part of the answer that was received before: see
    /// [`Error::partial`].
    pub async fn into_response(mut self) -> Result<ChatResponse, Error> {
        let mut assembler = Assembler::new();
        while let Some(chunk) = self.next().await {
            match chunk {
                Ok(chunk) => assembler.push(chunk),
                Err(error) => return Err(error.with_partial(assembler.finish())),
            }
        }
        Ok(ChatResponse::new(assembler.finish()).with_report(self.report()))
    }
}

impl Stream for ChatStream {
    type Item = Result<ChatChunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}

struct ReportedChunks<S> {
    chunks: Pin<Box<S>>,
    report: CallReport,
}

impl<S: Stream> Stream for ReportedChunks<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.chunks.as_mut().poll_next(cx)
    }
}

impl<S: Stream<Item = Result<ChatChunk, Error>> + Send> ChunkSource for ReportedChunks<S> {
    fn report(&self) -> CallReport {
        self.report.clone()
    }
}
