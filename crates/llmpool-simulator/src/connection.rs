//! The byte stream below the HTTP server. The stream counts the bytes received, and breaks the connection
//! when a behaviour requires a break.
//!
//! A break is requested through the [`ConnectionHandle`] while the server is polled. The break happens in the
//! next flush, after all earlier bytes have reached the socket, so the response stops at exactly the intended
//! byte.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::behaviour::AfterResponse;
use crate::stats::Recorder;

/// How the simulator breaks a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionBreak {
    /// An orderly end of the byte stream (TCP FIN).
    End,
    /// A TCP reset (RST). On a stream without resets, such as an in-memory pipe, an orderly end.
    Reset,
}

/// The state of a connection, shared by the request handler, the response body and the byte stream of the
/// connection. The connection counts as closed when all three have dropped their handles.
#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    id: u64,
    recorder: Arc<Recorder>,
    state: Mutex<ConnectionState>,
}

#[derive(Debug)]
struct ConnectionState {
    /// Whether no request is in progress, in which case the next byte received starts a new request.
    idle: bool,
    /// Whether a part of the current request's head has arrived, but not the whole head.
    head_incomplete: bool,
    drop_on_reuse: bool,
    /// The break to perform at the next flush, if any.
    requested_break: Option<ConnectionBreak>,
}

impl ConnectionHandle {
    pub(crate) fn open(recorder: Arc<Recorder>) -> Arc<Self> {
        let state = ConnectionState {
            idle: true,
            head_incomplete: false,
            drop_on_reuse: false,
            requested_break: None,
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

    /// Records that the whole head of a request has arrived.
    pub(crate) fn head_read(&self) {
        self.lock().head_incomplete = false;
    }

    /// Makes the next flush break the connection. Must be called while the connection's task is polled,
    /// because this method does not wake that task.
    pub(crate) fn request_break(&self, how: ConnectionBreak) {
        self.lock().requested_break = Some(how);
    }

    /// Records that the server has taken the last byte of a response. `after` is what happens to the
    /// connection next.
    pub(crate) fn response_done(&self, after: AfterResponse) {
        let mut state = self.lock();
        state.idle = true;
        match after {
            AfterResponse::KeepOpen | AfterResponse::Close => {}
            AfterResponse::DropIdle => state.requested_break = Some(ConnectionBreak::End),
            AfterResponse::DropOnReuse => state.drop_on_reuse = true,
        }
    }

    /// Counts `count` received bytes.
    ///
    /// # Errors
    /// Returns an error, which closes the connection, if the bytes start a new request and the connection
    /// must break on reuse ([`AfterResponse::DropOnReuse`]).
    fn received(&self, count: usize) -> io::Result<()> {
        let mut state = self.lock();
        let first_of_request = state.idle;
        let dropped = first_of_request && state.drop_on_reuse;
        state.idle = false;
        state.head_incomplete |= first_of_request && !dropped;
        drop(state);
        self.recorder.bytes_received(count, first_of_request);
        if dropped {
            Err(io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }

    fn requested_break(&self) -> Option<ConnectionBreak> {
        self.lock().requested_break
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        let unfinished = self.lock().head_incomplete;
        self.recorder.connection_closed(self.id, unfinished);
    }
}

/// A stream that counts received bytes and performs the break requested through its [`ConnectionHandle`].
#[derive(Debug)]
pub(crate) struct InstrumentedStream<S> {
    stream: S,
    /// Configures the stream to send a TCP reset when it is closed.
    reset: fn(&S) -> io::Result<()>,
    connection: Arc<ConnectionHandle>,
}

impl<S> InstrumentedStream<S> {
    pub(crate) fn new(stream: S, reset: fn(&S) -> io::Result<()>, connection: Arc<ConnectionHandle>) -> Self {
        Self {
            stream,
            reset,
            connection,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for InstrumentedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        match buf.filled().len() - before {
            0 => Poll::Ready(Ok(())),
            count => Poll::Ready(self.connection.received(count)),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for InstrumentedStream<S> {
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
        match self.connection.requested_break() {
            None => return Poll::Ready(Ok(())),
            Some(ConnectionBreak::End) => {}
            Some(ConnectionBreak::Reset) => (self.reset)(&self.stream)?,
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
