//! Streams of chat chunks, which are decoded from a Chat Completions stream or translated from a Responses
//! stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use llmpool_core::chat::{ChatChunk, ChunkDecoder};
use llmpool_core::translate::{EventError, EventToChunkTranslator};

use crate::error::Error;
use crate::interface::ChunkSource;
use crate::raw::RawStream;
use crate::report::CallReport;

/// A stream of chat chunks, decoded from the events of a Chat Completions stream.
pub(crate) struct DecodedChunks {
    events: RawStream,
    decoder: ChunkDecoder,
}

impl DecodedChunks {
    pub(crate) fn new(events: RawStream) -> Self {
        Self {
            events,
            decoder: ChunkDecoder::new(),
        }
    }
}

impl Stream for DecodedChunks {
    type Item = Result<ChatChunk, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        Poll::Ready(match ready!(this.events.poll_json(cx)) {
            Some(Ok(event)) => Some(
                match this
                    .decoder
                    .decode_observed(&event.event.data, event.repeat.as_ref())
                {
                    Ok(chunk) => Ok(chunk),
                    Err(_) => Err(this.events.fail_unreadable()),
                },
            ),
            Some(Err(error)) => Some(Err(error)),
            None => this.decoder.finish().map(Ok),
        })
    }
}

impl ChunkSource for DecodedChunks {
    fn report(&self) -> CallReport {
        self.events.report().clone()
    }
}

/// A stream of chat chunks, translated from the events of a Responses stream.
pub(crate) struct TranslatedChunks {
    events: RawStream,
    translator: EventToChunkTranslator,
}

impl TranslatedChunks {
    pub(crate) fn new(events: RawStream) -> Self {
        Self {
            events,
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
            let event = match ready!(this.events.poll_json(cx)) {
                Some(Ok(event)) => event,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            let pushed = this
                .translator
                .push_data(&event.event.data, event.repeat.as_ref());
            match pushed {
                Ok(()) => {}
                Err(EventError::Malformed) => return Poll::Ready(Some(Err(this.events.fail_unreadable()))),
                Err(EventError::Failed(failed)) => {
                    return Poll::Ready(Some(Err(this.events.fail(failed.detail()))));
                }
            }
        }
    }
}

impl ChunkSource for TranslatedChunks {
    fn report(&self) -> CallReport {
        CallReport {
            dropped_output: self.translator.dropped_output().to_vec(),
            ..self.events.report().clone()
        }
    }
}
