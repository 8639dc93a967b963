//! The socket below the HTTP server: counts what comes in, and breaks the connection where a behaviour says so.
//!
//! A break is asked for through the [`Link`] while the server is being polled, and happens in the flush that follows,
//! when all that was written before has reached the socket. That is what makes a cut exact to the byte.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::behaviour::AfterResponse;
use crate::stats::Recorder;

/// How a connection is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// An orderly end of the stream, wherever the response stands.
    End,
    /// A reset, where the stream can do that.
    Reset,
}

/// What handler, response body and socket of one connection know of each other.
#[derive(Debug)]
pub(crate) struct Link {
    id: u64,
    recorder: Arc<Recorder>,
    state: Mutex<LinkState>,
}

#[derive(Debug)]
struct LinkState {
    /// Between requests: the next byte is the first of a new one.
    idle: bool,
    /// Bytes of a request have come, and its head is not complete yet.
    head_incomplete: bool,
    drop_on_reuse: bool,
    broken: Option<Break>,
}

impl Link {
    pub(crate) fn open(recorder: Arc<Recorder>) -> Arc<Self> {
        let state = LinkState {
            idle: true,
            head_incomplete: false,
            drop_on_reuse: false,
            broken: None,
        };
        Arc::new(Self {
            id: recorder.connection_opened(),
            recorder,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The head of a request is complete.
    pub(crate) fn head_read(&self) {
        self.lock().head_incomplete = false;
    }

    /// Breaks the connection at the next flush. Only to be called while the connection is being polled.
    pub(crate) fn break_off(&self, how: Break) {
        self.lock().broken = Some(how);
    }

    /// The response was handed over to its last byte.
    pub(crate) fn response_done(&self, after: AfterResponse) {
        let mut state = self.lock();
        state.idle = true;
        match after {
            AfterResponse::KeepOpen | AfterResponse::Close => {}
            AfterResponse::DropIdle => state.broken = Some(Break::End),
            AfterResponse::DropOnReuse => state.drop_on_reuse = true,
        }
    }

    /// Counts bytes; says whether the connection ends here instead of taking them.
    fn received(&self, count: usize) -> io::Result<()> {
        let mut state = self.lock();
        let first_of_request = state.idle;
        let dropped = first_of_request && state.drop_on_reuse;
        state.idle = false;
        state.head_incomplete |= first_of_request && !dropped;
        drop(state);
        self.recorder.bytes(count, first_of_request);
        if dropped {
            Err(io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }

    fn broken(&self) -> Option<Break> {
        self.lock().broken
    }

    fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection ends when socket, handler and body have all let go of it.
impl Drop for Link {
    fn drop(&mut self) {
        let unfinished = self.lock().head_incomplete;
        self.recorder.connection_closed(self.id, unfinished);
    }
}

/// A stream that reports to its [`Link`] and obeys it.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    stream: S,
    /// Makes the end of the stream a reset.
    reset: fn(&S) -> io::Result<()>,
    link: Arc<Link>,
}

impl<S> Socket<S> {
    pub(crate) fn new(stream: S, reset: fn(&S) -> io::Result<()>, link: Arc<Link>) -> Self {
        Self { stream, reset, link }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        match buf.filled().len() - before {
            0 => Poll::Ready(Ok(())),
            count => Poll::Ready(self.link.received(count)),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        match self.link.broken() {
            None => return Poll::Ready(Ok(())),
            Some(Break::End) => {}
            Some(Break::Reset) => (self.reset)(&self.stream)?,
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
