//! Collects an answer that is no stream of events, and finds out when it is complete.

use std::time::Duration;

use bytes::Bytes;
use llmpool_core::failure::Failure;
use llmpool_core::framing::{self, Completeness, Framing};

use crate::body_buffer::BodyBuffer;

/// The maximum size of an answer that is not streamed, in bytes.
const MAX_BODY: usize = 256 << 20;
/// The maximum number of bytes that are read of a text that is no document.
const MAX_TEXT: usize = 64 << 10;
/// The maximum time to wait for the usage once an answer is complete.
pub(crate) const USAGE_GRACE: Duration = Duration::from_secs(2);
/// The maximum time to wait for the end of the body once an answer is complete and its usage has arrived.
pub(crate) const END_GRACE: Duration = Duration::from_millis(200);

/// The start of an answer, up to what has arrived.
///
/// Some servers never end the body of a complete answer. Therefore, when nothing has arrived for a while after what
/// may be the end of a document, the buffer looks whether the document is complete.
#[derive(Default)]
pub(crate) struct DocumentBuffer {
    buffer: BodyBuffer,
    framing: Option<Framing>,
    /// What was found when nothing more arrived. `None` after each piece.
    completeness: Option<Completeness>,
}

impl DocumentBuffer {
    /// Appends a piece of the body. Fails if the body is then larger than the limit.
    pub(crate) fn push(&mut self, piece: Bytes) -> Result<(), Failure> {
        self.buffer.push(piece, MAX_BODY)?;
        self.completeness = None;
        if self.framing.is_none() {
            self.framing = match self.buffer.as_slice() {
                [b'{', ..] => Some(Framing::Document),
                begun => framing::sniff(begun),
            };
        }
        let is_text = matches!(self.framing, Some(Framing::Page | Framing::Text));
        if is_text && self.buffer.as_slice().len() > MAX_TEXT {
            return Err(framing::unusable(self.buffer.as_slice()));
        }
        Ok(())
    }

    /// Returns the framing of the answer. `None` if too little has arrived to tell.
    pub(crate) fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// Returns how long to wait for more bytes before [`is_complete_after_grace`](Self::is_complete_after_grace) is asked.
    /// `None` if what has arrived cannot be a complete answer: its last byte is not a closing bracket.
    pub(crate) fn grace(&self) -> Option<Duration> {
        let ends_an_object = self.buffer.as_slice().last() == Some(&b'}');
        match self.completeness {
            Some(Completeness::Unfinished) => None,
            Some(Completeness::WithoutUsage) => Some(USAGE_GRACE),
            Some(Completeness::Complete) | None => ends_an_object.then_some(END_GRACE),
        }
    }

    /// Returns whether the answer is complete, if nothing has arrived for the time of [`grace`](Self::grace).
    pub(crate) fn is_complete_after_grace(&mut self) -> bool {
        let had_time = self.completeness == Some(Completeness::WithoutUsage);
        let completeness = *self
            .completeness
            .get_or_insert_with(|| framing::completeness(self.buffer.as_slice()));
        had_time || completeness == Completeness::Complete
    }

    /// Returns whether what has arrived consists of whole documents. Takes linear time.
    pub(crate) fn is_complete(&self) -> bool {
        framing::completeness(self.buffer.as_slice()) != Completeness::Unfinished
    }

    pub(crate) fn finish(self) -> Bytes {
        self.buffer.finish()
    }
}
