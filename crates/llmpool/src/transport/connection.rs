//! An HTTP/1.1 connection without a background task: the task that uses the connection also performs its IO.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::{BoxIo, Connected};
use super::poll_gate::PollGate;

/// Maximum number of times that one poll moves bytes between the socket and hyper. Without a maximum, a poll
/// might never return: once the task has used up its cooperative budget, tokio wakes the task at every IO
/// operation.
const MAX_DRIVES_PER_POLL: u32 = 32;

/// An HTTP/1.1 connection, which carries one request and its response at a time.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// The future that moves bytes between the socket and hyper. Once the connection is closed, the future is
    /// dropped and this field is `None`, because hyper fails an unsent request only when the future is
    /// dropped.
    driver: Option<http1::Connection<TokioIo<ReadMonitor>, Full<Bytes>>>,
    /// Whether any byte was received since the last request was sent.
    has_read: Arc<AtomicBool>,
    gate: Arc<PollGate>,
    /// The waker that hyper calls: the [`PollGate`], which does not wake the task while the task is polling.
    waker: Waker,
    absolute_form: bool,
    proxy_authorization: Option<HeaderValue>,
    /// Whether the connection has already carried an earlier request.
    pub(super) is_reused: bool,
}

/// Why a request got no response.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The connection closed before any byte of the request was written, so the request can be sent again.
    NotSent,
    /// A reused connection closed before any byte of the response was received. Most likely, the provider
    /// closed the connection before the request arrived.
    StaleConnection,
    /// The connection broke before the head of the response was complete, or the response was not HTTP.
    ConnectionLost(hyper::Error),
}

impl Connection {
    /// Performs the HTTP handshake. Returns the connection in a box, because a connection is large and is
    /// moved several times per call.
    pub(super) async fn open(connected: Connected) -> Result<Box<Self>, hyper::Error> {
        let has_read = Arc::<AtomicBool>::default();
        let io = ReadMonitor {
            io: connected.io,
            has_read: has_read.clone(),
        };
        let (sender, driver) = http1::handshake(TokioIo::new(io)).await?;
        let gate = PollGate::new();
        Ok(Box::new(Self {
            sender,
            driver: Some(driver),
            has_read,
            waker: gate.clone().into(),
            gate,
            absolute_form: connected.absolute_form,
            proxy_authorization: connected.proxy_authorization,
            is_reused: false,
        }))
    }

    /// Returns whether the connection can carry another request. First polls the socket, to detect whether
    /// the provider has closed the connection.
    pub(super) fn is_usable(&mut self) -> bool {
        self.gate.enter(Waker::noop());
        let is_open = self.drive();
        self.gate.leave();
        is_open && self.sender.is_ready()
    }

    /// Passes a request to hyper. The returned future waits for the response head. It does not contain the
    /// request, which is large.
    pub(super) fn send(
        mut self: Box<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> impl Future<Output = Result<(Response<Incoming>, Box<Self>), SendError>> {
        self.has_read.store(false, Ordering::Relaxed);
        self.prepare(&mut request);
        let mut response = Box::pin(self.sender.try_send_request(request));
        async move {
            let result = poll_fn(|cx| self.poll_driven(cx, |cx| response.as_mut().poll(cx))).await;
            match result {
                Ok(response) => Ok((response, self)),
                Err(error) if error.message().is_some() => Err(SendError::NotSent),
                Err(_) if self.is_reused && !self.has_read.load(Ordering::Relaxed) => {
                    Err(SendError::StaleConnection)
                }
                Err(error) => Err(SendError::ConnectionLost(error.into_error())),
            }
        }
    }

    /// Puts the URI and the headers of a request into the form that the other end of the connection expects.
    /// The other end is a forward proxy or the provider.
    fn prepare(&self, request: &mut Request<Full<Bytes>>) {
        if let Some(authorization) = &self.proxy_authorization {
            request
                .headers_mut()
                .insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        if !self.absolute_form
            && let Some(path) = request.uri().path_and_query()
        {
            *request.uri_mut() = Uri::from(path.clone());
        }
    }

    /// Alternates between `poll` and the IO of the connection until `poll` is ready or no more IO is possible
    /// at the moment. `poll` must not wait for anything other than this connection.
    pub(super) fn poll_driven<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // `poll` needs no waker, because only the driver makes `poll` ready, and the driver has the waker.
        let mut noop = Context::from_waker(Waker::noop());
        self.gate.enter(cx.waker());
        for drives in 0..=MAX_DRIVES_PER_POLL {
            let polled = poll(&mut noop);
            if polled.is_ready() {
                self.gate.leave();
                return polled;
            }
            if drives > 0 && self.gate.try_park() {
                return Poll::Pending;
            }
            self.drive();
        }
        self.gate.leave();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Moves bytes between the socket and hyper. Returns whether the connection is still open.
    ///
    /// Invariant: called only between [`PollGate::enter`] and [`PollGate::leave`].
    fn drive(&mut self) -> bool {
        let Some(driver) = &mut self.driver else {
            return false;
        };
        let mut cx = Context::from_waker(&self.waker);
        let is_open = Pin::new(driver).poll(&mut cx).is_pending();
        if !is_open {
            self.driver = None;
        }
        is_open
    }
}

/// A byte stream that records whether any byte was read from it.
struct ReadMonitor {
    io: BoxIo,
    has_read: Arc<AtomicBool>,
}

impl AsyncRead for ReadMonitor {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.has_read.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for ReadMonitor {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
