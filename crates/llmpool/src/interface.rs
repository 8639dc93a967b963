//! The interface to language models, with complete and with streamed answers.

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
/// Implemented by [`OpenAiCompatible`](crate::OpenAiCompatible) and [`OpenAiResponsesCompatible`](crate::OpenAiResponsesCompatible), and
/// through references, `Box` and `Arc`. Programs that implement the trait themselves, for example in tests, write its four required
/// methods.
pub trait LlmInterface: Send + Sync {
    /// Returns the model's name without its provider.
    fn model_name(&self) -> &str;

    /// Returns the context window: the maximum number of tokens of a prompt and its answer together.
    fn context_window(&self) -> u32;

    /// Sends a request and returns the complete answer.
    ///
    /// Dropping the future closes the connection and releases the key.
    fn chat_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatResponse, Error>>;

    /// Sends a request and returns the answer as a stream.
    ///
    /// The future resolves when the first content arrives. Failures before that are retried. Later failures are reported by the stream and
    /// are never retried. Dropping the future or the stream closes the connection and releases the key.
    fn chat_stream_with<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatStream, Error>>;

    /// Sends a request with default options: see [`chat_with`](Self::chat_with).
    fn chat<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<ChatResponse, Error>> {
        self.chat_with(request, &DEFAULT_OPTIONS)
    }

    /// Opens a stream with default options: see [`chat_stream_with`](Self::chat_stream_with).
    fn chat_stream<'a>(&'a self, request: &'a ChatRequest) -> BoxFuture<'a, Result<ChatStream, Error>> {
        self.chat_stream_with(request, &DEFAULT_OPTIONS)
    }
}

/// A complete answer, and the report of the call.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ChatResponse {
    /// The provider's response.
    pub completion: ChatCompletion,
    /// The report of the call: attempts, waits and usage. Never serialised.
    pub report: CallReport,
}

impl ChatResponse {
    /// Creates an answer with an empty report. For programs that implement [`LlmInterface`] themselves.
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

    /// Returns the text of the first choice, with all text parts joined. Empty if there is no text.
    pub fn text(&self) -> String {
        self.completion.text()
    }

    /// Returns the message of the first choice, to append to the conversation. `None` if `choices` is empty.
    pub fn message(&self) -> Option<&Message> {
        self.completion.first().map(|choice| &choice.message)
    }

    /// Returns the tool calls of the first choice; empty if the model called no tool.
    pub fn tool_calls(&self) -> &[ToolCall] {
        self.message().map_or(&[], |message| &message.tool_calls)
    }

    /// Parses the text of the first choice as JSON of type `T`: see [`parse_choice`](llmpool_core::structured::parse_choice).
    #[cfg(feature = "structured")]
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, ReplyError> {
        parse_reply(&self.completion)
    }

    /// Returns the reason why the first choice ended, if the provider reports one.
    pub fn finish_reason(&self) -> Option<&FinishReason> {
        self.completion.first()?.finish_reason.as_ref()
    }

    /// Returns the tokens that the call used: see [`CallReport::usage`].
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

/// The chunks of a streamed answer. The stream ends after its first error.
///
/// Dropping the stream closes the connection and releases the key.
pub struct ChatStream(Pin<Box<dyn ChunkSource>>);

/// A stream of chunks that also reports on its call.
pub(crate) trait ChunkSource: Stream<Item = Result<ChatChunk, Error>> + Send {
    fn report(&self) -> CallReport;
}

impl ChatStream {
    /// Creates a stream from `chunks`, with an empty report. For programs that implement [`LlmInterface`] themselves.
    pub fn new(chunks: impl Stream<Item = Result<ChatChunk, Error>> + Send + 'static) -> Self {
        Self::with_report(chunks, CallReport::default())
    }

    /// Creates a stream from `chunks`, with the given report.
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

    /// Returns the report of the call so far. The report is complete once the stream has ended.
    pub fn report(&self) -> CallReport {
        self.0.report()
    }

    /// Returns the next piece of text of the first choice, or `None` at the end of the stream. Skips chunks without text.
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
    /// If the stream fails, the error contains the part of the answer that was received: see [`Error::partial`].
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
