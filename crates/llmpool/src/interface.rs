//! The one interface: ask for an answer, or for a stream of it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use llmpool_core::chat::{Assembler, ChatChunk, ChatCompletion, ChatRequest};

use crate::error::Error;
use crate::options::{CallOptions, DEFAULT_OPTIONS};
use crate::report::CallReport;

/// A language model that answers chat requests.
///
/// Implemented by [`OpenAiCompatible`](crate::OpenAiCompatible) and [`OpenAiResponsesCompatible`](crate::OpenAiResponsesCompatible), and
/// through references, `Box` and `Arc`. An implementation of your own needs the four required methods.
pub trait LlmInterface: Send + Sync {
    /// Returns the model's name without its provider.
    fn model_name(&self) -> &str;

    /// Returns the largest number of tokens that a prompt and its answer may have together.
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
    /// Resolves at the first content: earlier failures are retried, later ones are reported by the stream and never retried. Dropping the
    /// future or the stream closes the connection and releases the key.
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

/// A whole answer, and what happened on the way to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatResponse {
    /// The answer.
    pub completion: ChatCompletion,
    /// What happened during the call; never serialised.
    pub report: CallReport,
}

impl std::ops::Deref for ChatResponse {
    type Target = ChatCompletion;

    fn deref(&self) -> &ChatCompletion {
        &self.completion
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

/// Chunks of an answer as they come. Ends after an error.
pub struct ChatStream(Pin<Box<dyn ChunkSource>>);

/// A stream of chunks that can tell what happened.
pub(crate) trait ChunkSource: Stream<Item = Result<ChatChunk, Error>> + Send {
    fn report(&self) -> CallReport;
}

impl ChatStream {
    /// A stream made of any stream of chunks.
    pub fn new(chunks: impl Stream<Item = Result<ChatChunk, Error>> + Send + 'static) -> Self {
        Self::with_report(chunks, CallReport::default())
    }

    /// A stream made of any stream of chunks, with a report of what happened.
    pub fn with_report(
        chunks: impl Stream<Item = Result<ChatChunk, Error>> + Send + 'static,
        report: CallReport,
    ) -> Self {
        Self::from_source(Reported {
            chunks: Box::pin(chunks),
            report,
        })
    }

    pub(crate) fn from_source(source: impl ChunkSource + 'static) -> Self {
        Self(Box::pin(source))
    }

    /// The next chunk; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<ChatChunk, Error>> {
        std::future::poll_fn(|cx| self.0.as_mut().poll_next(cx)).await
    }

    /// What happened so far; complete once the stream has ended.
    pub fn report(&self) -> CallReport {
        self.0.report()
    }

    /// Reads to the end and puts the answer together. An error carries what had come.
    pub async fn assemble(mut self) -> Result<ChatResponse, Error> {
        let mut assembler = Assembler::new();
        while let Some(chunk) = self.next().await {
            match chunk {
                Ok(chunk) => assembler.push(chunk),
                Err(error) => return Err(error.with_partial(assembler.finish())),
            }
        }
        Ok(ChatResponse {
            completion: assembler.finish(),
            report: self.report(),
        })
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

struct Reported<S> {
    chunks: Pin<Box<S>>,
    report: CallReport,
}

impl<S: Stream> Stream for Reported<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.chunks.as_mut().poll_next(cx)
    }
}

impl<S: Stream<Item = Result<ChatChunk, Error>> + Send> ChunkSource for Reported<S> {
    fn report(&self) -> CallReport {
        self.report.clone()
    }
}
