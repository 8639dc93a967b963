//! The one interface: ask for an answer, or for a stream of it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use llmpool_core::chat::{Assembler, ChatChunk, ChatCompletion, ChatRequest};

use crate::error::Error;
use crate::options::CallOptions;
use crate::report::CallReport;

/// A model that can be asked. Implemented by the adapters here, by anything that points to one, and by whoever likes to.
pub trait LlmInterface: Send + Sync {
    /// The model's name.
    fn model_name(&self) -> &str;

    /// How many tokens prompt and answer may have together.
    fn context_window(&self) -> u32;

    /// Asks for a whole answer. Dropping the future closes the connection and frees the key.
    fn chat<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatResponse, Error>>;

    /// Asks for a stream. Resolves with the first content: until then failures are retried, afterwards they are the
    /// stream's. Dropping the future or the stream closes the connection and frees the key.
    fn chat_stream<'a>(
        &'a self,
        request: &'a ChatRequest,
        options: &'a CallOptions,
    ) -> BoxFuture<'a, Result<ChatStream, Error>>;
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

macro_rules! through_a_pointer {
    ($($pointer:ty),*) => {$(
        impl<T: LlmInterface + ?Sized> LlmInterface for $pointer {
            fn model_name(&self) -> &str {
                (**self).model_name()
            }

            fn context_window(&self) -> u32 {
                (**self).context_window()
            }

            fn chat<'a>(
                &'a self,
                request: &'a ChatRequest,
                options: &'a CallOptions,
            ) -> BoxFuture<'a, Result<ChatResponse, Error>> {
                (**self).chat(request, options)
            }

            fn chat_stream<'a>(
                &'a self,
                request: &'a ChatRequest,
                options: &'a CallOptions,
            ) -> BoxFuture<'a, Result<ChatStream, Error>> {
                (**self).chat_stream(request, options)
            }
        }
    )*};
}

through_a_pointer!(&T, Box<T>, Arc<T>);

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
