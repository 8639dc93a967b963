//! A response body that is sent in chunks. Each chunk is flushed separately and can be delayed, and the body
//! can stop before it is complete.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::behaviour::AfterResponse;
use crate::connection::{ConnectionBreak, ConnectionHandle};
use crate::in_flight::InFlightRequest;

/// The chunks of a body. `length` is the body's `content-length` in bytes, or `None` if the response has no
/// such header.
pub(crate) struct BodyChunks {
    iter: Box<dyn Iterator<Item = Bytes> + Send>,
    length: Option<u64>,
}

/// What happens after the last chunk of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// The response ends normally.
    Complete,
    /// The simulator sends no more bytes, but keeps the connection open until the client closes it.
    Stall,
    /// The simulator breaks the connection, either with a FIN or with a reset.
    Break(ConnectionBreak),
}

/// The body of a response. Dropping the body ends its request, which is then no longer in flight.
pub(crate) struct PacedBody {
    chunks: BodyChunks,
    /// The next chunk to send, or `None` after the last chunk. Fetching the next chunk in advance allows
    /// `is_end_stream` to return `true` as soon as the server has taken the last chunk.
    next: Option<Bytes>,
    end: BodyEnd,
    after_response: AfterResponse,
    chunk_delay: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the chunk that the server took most recently still has to be flushed.
    unflushed: bool,
    sent: u64,
    request: InFlightRequest,
    connection: Arc<ConnectionHandle>,
}

impl BodyChunks {
    /// Creates a body of one chunk, with a `content-length`.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self {
            length: Some(bytes.len() as u64),
            iter: Box::new(Some(bytes).into_iter()),
        }
    }

    /// Creates a body from an iterator over its chunks, without a `content-length`.
    pub(crate) fn stream(iter: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Self {
            iter: Box::new(iter),
            length: None,
        }
    }

    /// Splits a body into chunks of the given sizes in bytes. Any remaining bytes form one more chunk. The
    /// response has a `content-length` if `announced` is `true`.
    pub(crate) fn split(mut bytes: Bytes, sizes: Vec<usize>, announced: bool) -> Self {
        let length = announced.then_some(bytes.len() as u64);
        let mut sizes = sizes.into_iter();
        let iter = std::iter::from_fn(move || {
            let size = sizes.next().unwrap_or(bytes.len()).min(bytes.len());
            (size > 0).then(|| bytes.split_to(size))
        });
        Self {
            iter: Box::new(iter),
            length,
        }
    }

    /// Removes all chunks, but keeps the `content-length`.
    pub(crate) fn none(self) -> Self {
        Self {
            iter: Box::new(std::iter::empty()),
            ..self
        }
    }

    /// Truncates the body. A stream (a body without `content-length`) keeps its first `count` events, each of
    /// which is one chunk. Any other body keeps half of its bytes, or none if `count` is 0. The
    /// `content-length` stays the same, so the client sees a truncated body.
    pub(crate) fn first_events(self, count: usize) -> Self {
        match self.length {
            None => Self {
                iter: Box::new(self.iter.take(count)),
                ..self
            },
            Some(_) if count == 0 => self.none(),
            Some(length) => self.first_bytes(usize::try_from(length / 2).unwrap_or(usize::MAX)),
        }
    }

    /// Truncates the body to exactly the first `remaining` bytes, but keeps the `content-length`.
    pub(crate) fn first_bytes(self, mut remaining: usize) -> Self {
        let iter = self.iter.map_while(move |chunk| {
            let taken = chunk.len().min(remaining);
            remaining -= taken;
            (taken > 0).then(|| chunk.slice(..taken))
        });
        Self {
            iter: Box::new(iter),
            ..self
        }
    }
}

impl fmt::Debug for BodyChunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyChunks")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl PacedBody {
    /// Creates a body that is sent completely and without delays.
    pub(crate) fn new(
        mut chunks: BodyChunks,
        request: InFlightRequest,
        connection: Arc<ConnectionHandle>,
    ) -> Self {
        Self {
            next: next_chunk(&mut chunks),
            chunks,
            end: BodyEnd::Complete,
            after_response: AfterResponse::KeepOpen,
            chunk_delay: Duration::ZERO,
            timer: None,
            unflushed: false,
            sent: 0,
            request,
            connection,
        }
    }

    /// Sets the delay before the first chunk and the delay before each later chunk.
    pub(crate) fn with_delays(mut self, first: Duration, later: Duration) -> Self {
        self.timer = timer(first);
        self.chunk_delay = later;
        self
    }

    /// Sets what happens after the last chunk (`end`), and what happens to the connection after a complete
    /// response (`after_response`).
    pub(crate) fn with_end(mut self, end: BodyEnd, after_response: AfterResponse) -> Self {
        self.end = end;
        self.after_response = after_response;
        self
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.unflushed) {
            // The server flushes when the body is pending, so returning `Pending` sends each chunk in a separate write.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(timer) = &mut self.timer {
            std::task::ready!(timer.as_mut().poll(cx));
            self.timer = None;
        }
        Poll::Ready(())
    }

    fn poll_end(&mut self) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.end {
            BodyEnd::Complete => Poll::Ready(None),
            BodyEnd::Stall => Poll::Pending,
            BodyEnd::Break(how) => {
                self.request.finish();
                self.connection.request_break(how);
                Poll::Pending
            }
        }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::ready!(self.poll_wait(cx));
        let Some(chunk) = self.next.take() else {
            return self.poll_end();
        };
        self.next = next_chunk(&mut self.chunks);
        self.unflushed = true;
        self.sent += chunk.len() as u64;
        if self.next.is_some() {
            self.timer = timer(self.chunk_delay);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.end == BodyEnd::Complete
    }

    fn size_hint(&self) -> SizeHint {
        self.chunks
            .length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// hyper drops a body when the client disconnects, or after taking the last byte of the body but before
/// flushing this byte. hyper does not poll a body again once it has taken `content-length` bytes, so a break
/// that should follow the last byte is requested here.
impl Drop for PacedBody {
    fn drop(&mut self) {
        let complete = self.is_end_stream() || self.chunks.length == Some(self.sent);
        if !complete {
            return;
        }
        self.request.finish();
        match self.end {
            BodyEnd::Complete | BodyEnd::Stall => self.connection.response_done(self.after_response),
            BodyEnd::Break(how) => self.connection.request_break(how),
        }
    }
}

/// Returns the next chunk that is not empty, or `None` after the last chunk. Skips empty chunks, because the
/// server flushes nothing for an empty chunk.
fn next_chunk(chunks: &mut BodyChunks) -> Option<Bytes> {
    chunks.iter.find(|chunk| !chunk.is_empty())
}

fn timer(delay: Duration) -> Option<Pin<Box<Sleep>>> {
    (!delay.is_zero()).then(|| Box::pin(tokio::time::sleep(delay)))
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::clock::Clock;
    use crate::scenario::Scenario;
    use crate::stats::{Recorder, RequestKind, RequestOrigin};

    fn collect(chunks: BodyChunks) -> Vec<Vec<u8>> {
        chunks.iter.map(Vec::from).collect()
    }

    fn events() -> BodyChunks {
        BodyChunks::stream([&b"abc"[..], b"de", b"f"].into_iter().map(Bytes::from_static))
    }

    #[test]
    fn byte_cut_is_exact() {
        for count in 0..8 {
            let sent = collect(events().first_bytes(count)).concat();
            assert_eq!(sent, &b"abcdef"[..count.min(6)]);
        }
    }

    #[test]
    fn event_cut_halves_a_plain_body() {
        assert_eq!(collect(events().first_events(2)), [&b"abc"[..], b"de"]);
        let plain = || BodyChunks::whole(Bytes::from_static(b"abcdef"));
        assert_eq!(collect(plain().first_events(3)), [b"abc"]);
        assert!(collect(plain().first_events(0)).is_empty());
        assert_eq!(
            plain().first_events(3).length,
            Some(6),
            "the whole length is announced"
        );
    }

    #[test]
    fn recorded_body_is_split_into_writes() {
        let split = |sizes| collect(BodyChunks::split(Bytes::from_static(b"abcdef"), sizes, false));
        assert_eq!(split(vec![1, 2]), [&b"a"[..], b"bc", b"def"]);
        assert_eq!(split(vec![4, 9]), [&b"abcd"[..], b"ef"]);
        assert_eq!(split(vec![]), [b"abcdef"]);
    }

    /// The server flushes when a body is pending, so a body that is pending after each chunk sends each chunk in a
    /// separate write.
    // L54
    #[test]
    fn body_is_pending_after_each_chunk() {
        let recorder = Arc::new(Recorder::new(&Scenario::default(), Clock::start(0.0)));
        let connection = ConnectionHandle::open(Arc::clone(&recorder));
        let origin = RequestOrigin {
            connection: connection.id(),
            key: None,
            kind: RequestKind::Chat,
        };
        let mut body = PacedBody::new(events(), InFlightRequest::begin(recorder, origin), connection);
        let mut polled = Vec::new();
        while !body.is_end_stream() {
            polled.push(
                Pin::new(&mut body)
                    .poll_frame(&mut Context::from_waker(Waker::noop()))
                    .is_ready(),
            );
        }
        assert_eq!(polled, [true, false, true, false, true]);
    }
}
