//! Collects an answer that is no stream of events, and finds out when it is complete.

use std::time::Duration;

use bytes::Bytes;
use llmpool_core::failure::Failure;
use llmpool_core::framing::{self, Completeness, Framing};
use llmpool_core::stream_view::StreamView;

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
/// may be the end of a document, the buffer looks whether the answer is complete.
#[derive(Default)]
pub(crate) struct DocumentBuffer {
    buffer: BodyBuffer,
    framing: Option<Framing>,
    /// The number of bytes at the start that are white space or byte order marks.
    blank: usize,
    /// The last byte that is no white space.
    last: Option<u8>,
    /// What was found when nothing more arrived. `None` after each piece.
    completeness: Option<Completeness>,
}

impl DocumentBuffer {
    /// Appends a piece of the body. Fails if the body is then larger than the limit.
    pub(crate) fn push(&mut self, piece: Bytes) -> Result<(), Failure> {
        let arrived = self.buffer.as_slice().len();
        self.last = piece.trim_ascii_end().last().copied().or(self.last);
        self.buffer.push(piece, MAX_BODY)?;
        self.completeness = None;
        match self.framing {
            None => self.framing = self.sniff(),
            // The line may begin in the pieces before.
            Some(Framing::Text) => {
                let from = arrived.saturating_sub(b"\ndata:".len());
                if framing::has_data_line(&self.buffer.as_slice()[from..]) {
                    self.framing = Some(Framing::Events);
                }
            }
            Some(_) => {}
        }
        let is_text = matches!(self.framing, Some(Framing::Page | Framing::Text));
        if is_text && self.buffer.as_slice().len() > MAX_TEXT {
            return Err(framing::unusable(self.buffer.as_slice()));
        }
        Ok(())
    }

    fn sniff(&mut self) -> Option<Framing> {
        let begun = &self.buffer.as_slice()[self.blank..];
        if begun.starts_with(b"{") {
            return Some(Framing::Document);
        }
        self.blank += begun.len() - framing::without_prefix(begun).len();
        framing::sniff(&self.buffer.as_slice()[self.blank..])
    }

    /// Returns the framing of the answer. `None` if too little has arrived to tell.
    pub(crate) fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// Returns how long to wait for more bytes before [`is_complete_after_grace`](Self::is_complete_after_grace) is asked.
    /// `None` if what has arrived is no complete answer: it does not end with a closing bracket, or was examined.
    pub(crate) fn grace(&self) -> Option<Duration> {
        // `]` ends the mark [DONE].
        let may_be_complete = matches!(self.last, Some(b'}' | b']'));
        match self.completeness {
            Some(Completeness::Unfinished) => None,
            Some(Completeness::WithoutUsage) => Some(USAGE_GRACE),
            Some(Completeness::Complete) | None => may_be_complete.then_some(END_GRACE),
        }
    }

    /// Returns whether the answer is complete, if nothing has arrived for the time of [`grace`](Self::grace). `view` is
    /// the state of a stream before its first event; `None` if the answer is no generated text.
    pub(crate) fn is_complete_after_grace(&mut self, view: Option<&StreamView>) -> bool {
        let had_time = self.completeness == Some(Completeness::WithoutUsage);
        let completeness = match (self.completeness, view) {
            (Some(completeness), _) => completeness,
            (None, Some(view)) => framing::completeness(self.buffer.as_slice(), view.clone()),
            (None, None) if self.has_whole_documents() => Completeness::Complete,
            (None, None) => Completeness::Unfinished,
        };
        self.completeness = Some(completeness);
        had_time || completeness == Completeness::Complete
    }

    /// Returns whether what has arrived consists of whole documents, which may be all that comes. Takes linear time.
    pub(crate) fn has_whole_documents(&self) -> bool {
        !framing::documents(self.buffer.as_slice()).is_empty()
    }

    pub(crate) fn finish(self) -> Bytes {
        self.buffer.finish()
    }
}
