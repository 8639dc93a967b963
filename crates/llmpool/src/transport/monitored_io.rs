//! The byte streams below hyper: [`MonitoredIo`] lets hyper read an answer that comes before the request is
//! written, and [`ReadOnlyIo`] lets hyper read bytes that were read before.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::BoxIo;

/// What has happened on a byte stream.
#[derive(Default)]
pub(super) struct IoRecord {
    has_read: AtomicBool,
    is_read_only: AtomicBool,
}

impl IoRecord {
    /// Marks the start of a request, before any byte of its response was read.
    pub(super) fn start_request(&self) {
        self.has_read.store(false, Ordering::Relaxed);
    }

    /// Returns whether any byte was read since the last request was started.
    pub(super) fn has_read(&self) -> bool {
        self.has_read.load(Ordering::Relaxed)
    }

    /// Returns whether the rest of a request was discarded, so that no other request can be written.
    pub(super) fn is_read_only(&self) -> bool {
        self.is_read_only.load(Ordering::Relaxed)
    }
}

/// A byte stream that hides from hyper that the other end no longer reads.
///
/// A provider that refuses a request early, for example because the body is too large, answers and closes the
/// connection while the body is still being written. Hyper would report the failed write and leave the answer
/// unread. With this stream, the rest of the request is discarded and hyper goes on to read. If there is no
/// answer, hyper finds the end of the stream or a read error.
pub(super) struct MonitoredIo {
    io: BoxIo,
    record: Arc<IoRecord>,
}

impl MonitoredIo {
    pub(super) fn new(io: BoxIo, record: Arc<IoRecord>) -> Self {
        Self { io, record }
    }

    /// Creates a stream of the bytes of `unread` and then of `io`, which can be read after the first write. All
    /// writes are discarded.
    pub(super) fn read_only(unread: Bytes, io: Self) -> Self {
        let Self { io, record } = io;
        record.is_read_only.store(true, Ordering::Relaxed);
        let io = Box::new(ReadOnlyIo {
            unread,
            is_written: false,
            io,
        });
        Self { io, record }
    }

    /// Returns the result of a write or flush. If the other end no longer reads, returns `done` instead of the
    /// error and discards all further writes.
    #[inline]
    fn absorb<T>(&mut self, result: Poll<io::Result<T>>, done: T) -> Poll<io::Result<T>> {
        match &result {
            Poll::Ready(Err(error)) if is_closed_by_peer(error) => {
                self.discard_writes();
                Poll::Ready(Ok(done))
            }
            _ => result,
        }
    }

    #[cold]
    fn discard_writes(&mut self) {
        let io = std::mem::replace(&mut self.io, Box::new(tokio::io::empty()));
        self.io = Box::new(ReadOnlyIo {
            unread: Bytes::new(),
            is_written: true,
            io,
        });
        self.record.is_read_only.store(true, Ordering::Relaxed);
    }
}

/// Returns whether a write failed because the other end closed the connection. After other errors, reading
/// might wait forever.
fn is_closed_by_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

impl AsyncRead for MonitoredIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.record.has_read.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for MonitoredIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.absorb(written, buf.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.absorb(flushed, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.absorb(written, length(bufs))
    }
}

/// A byte stream that is only read: writes succeed and are discarded.
struct ReadOnlyIo {
    /// Bytes that were read from `io` before, and are read again first.
    unread: Bytes,
    /// Whether anything was written. Hyper takes bytes that it reads before it has written a request for an
    /// error.
    is_written: bool,
    io: BoxIo,
}

impl AsyncRead for ReadOnlyIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_written {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.unread.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let length = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..length]);
        self.unread.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadOnlyIo {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.is_written = true;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_written = true;
        Poll::Ready(Ok(length(bufs)))
    }
}

fn length(bufs: &[io::IoSlice<'_>]) -> usize {
    bufs.iter().map(|buf| buf.len()).sum()
}
