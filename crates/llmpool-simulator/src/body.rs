//! A response body in pieces, each sent by itself and in its own time, with an end of its own kind.

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
use crate::connection::{Break, Link};
use crate::exchange::Exchange;

/// The pieces of a body and its length, where that is announced.
pub(crate) struct Pieces {
    iter: Box<dyn Iterator<Item = Bytes> + Send>,
    length: Option<u64>,
}

/// What follows the last piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The response is complete.
    Complete,
    /// Nothing, until the client leaves.
    Stall,
    /// The connection breaks.
    Break(Break),
}

/// The body of a response: owns the exchange, and ends it when it is dropped.
pub(crate) struct PacedBody {
    pieces: Pieces,
    /// Fetched ahead, so that the last piece is known to be the last and carries the end of the body with it.
    next: Option<Bytes>,
    ending: Ending,
    after: AfterResponse,
    chunk_delay: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// The last piece has not been flushed yet.
    unflushed: bool,
    sent: u64,
    exchange: Exchange,
    link: Arc<Link>,
}

impl Pieces {
    /// A body of known length, in one piece.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self {
            length: Some(bytes.len() as u64),
            iter: Box::new(Some(bytes).into_iter()),
        }
    }

    /// A body whose length nobody knows before its end.
    pub(crate) fn stream(iter: impl Iterator<Item = Bytes> + Send + 'static) -> Self {
        Self {
            iter: Box::new(iter),
            length: None,
        }
    }

    /// Splits at the given sizes; what is left is one piece more.
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

    pub(crate) fn none(self) -> Self {
        Self {
            iter: Box::new(std::iter::empty()),
            ..self
        }
    }

    /// Sends `count` pieces of a stream, or half of a body that is one piece; announces the length of all.
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

    /// Sends exactly the first `left` bytes; announces the length of all.
    pub(crate) fn first_bytes(self, mut left: usize) -> Self {
        let iter = self.iter.map_while(move |piece| {
            let taken = piece.len().min(left);
            left -= taken;
            (taken > 0).then(|| piece.slice(..taken))
        });
        Self {
            iter: Box::new(iter),
            ..self
        }
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl PacedBody {
    /// A body that is sent at once and completes.
    pub(crate) fn new(mut pieces: Pieces, exchange: Exchange, link: Arc<Link>) -> Self {
        Self {
            next: next_piece(&mut pieces),
            pieces,
            ending: Ending::Complete,
            after: AfterResponse::KeepOpen,
            chunk_delay: Duration::ZERO,
            timer: None,
            unflushed: false,
            sent: 0,
            exchange,
            link,
        }
    }

    pub(crate) fn paced(mut self, first: Duration, later: Duration) -> Self {
        self.timer = timer(first);
        self.chunk_delay = later;
        self
    }

    pub(crate) fn ending(mut self, ending: Ending, after: AfterResponse) -> Self {
        self.ending = ending;
        self.after = after;
        self
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.unflushed) {
            // The server flushes when the body has nothing for it, so each piece leaves in a write of its own.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(timer) = &mut self.timer {
            std::task::ready!(timer.as_mut().poll(cx));
            self.timer = None;
        }
        Poll::Ready(())
    }

    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.ending {
            Ending::Complete => Poll::Ready(None),
            Ending::Stall => Poll::Pending,
            Ending::Break(how) => {
                self.exchange.finish();
                self.link.break_off(how);
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
        let Some(piece) = self.next.take() else {
            return self.end();
        };
        self.next = next_piece(&mut self.pieces);
        self.unflushed = true;
        self.sent += piece.len() as u64;
        if self.next.is_some() {
            self.timer = timer(self.chunk_delay);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.ending == Ending::Complete
    }

    fn size_hint(&self) -> SizeHint {
        self.pieces
            .length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The server drops a body as soon as it has all of it, before the bytes are flushed; or when the client has left. It
/// takes an announced length as all of it, whatever ending was planned.
impl Drop for PacedBody {
    fn drop(&mut self) {
        let complete = self.is_end_stream() || self.pieces.length == Some(self.sent);
        if !complete {
            return;
        }
        self.exchange.finish();
        match self.ending {
            Ending::Complete | Ending::Stall => self.link.response_done(self.after),
            Ending::Break(how) => self.link.break_off(how),
        }
    }
}

/// An empty piece would be dropped by the server, and with it its turn.
fn next_piece(pieces: &mut Pieces) -> Option<Bytes> {
    pieces.iter.find(|piece| !piece.is_empty())
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
    use crate::stats::{Arrival, Recorder, RequestKind};

    fn collect(pieces: Pieces) -> Vec<Vec<u8>> {
        pieces.iter.map(Vec::from).collect()
    }

    fn events() -> Pieces {
        Pieces::stream([&b"abc"[..], b"de", b"f"].into_iter().map(Bytes::from_static))
    }

    #[test]
    fn any_number_of_bytes_is_cut_exactly() {
        for count in 0..8 {
            let sent = collect(events().first_bytes(count)).concat();
            assert_eq!(sent, &b"abcdef"[..count.min(6)]);
        }
    }

    #[test]
    fn events_are_counted_in_streams_and_a_plain_body_is_halved() {
        assert_eq!(collect(events().first_events(2)), [&b"abc"[..], b"de"]);
        let plain = || Pieces::whole(Bytes::from_static(b"abcdef"));
        assert_eq!(collect(plain().first_events(3)), [b"abc"]);
        assert!(collect(plain().first_events(0)).is_empty());
        assert_eq!(
            plain().first_events(3).length,
            Some(6),
            "the whole length is still announced"
        );
    }

    #[test]
    fn recorded_bytes_are_split_where_asked() {
        let split = |sizes| collect(Pieces::split(Bytes::from_static(b"abcdef"), sizes, false));
        assert_eq!(split(vec![1, 2]), [&b"a"[..], b"bc", b"def"]);
        assert_eq!(split(vec![4, 9]), [&b"abcd"[..], b"ef"]);
        assert_eq!(split(vec![]), [b"abcdef"]);
    }

    /// L54: the server writes what it has when a body is pending, so a pause between pieces is a write for each.
    #[test]
    fn the_server_gets_to_flush_after_each_piece() {
        let recorder = Arc::new(Recorder::new(&Scenario::default(), Clock::start(0.0)));
        let link = Link::open(Arc::clone(&recorder));
        let arrival = Arrival {
            connection: link.id(),
            key: None,
            kind: RequestKind::Chat,
        };
        let mut body = PacedBody::new(events(), Exchange::begin(recorder, arrival), link);
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
