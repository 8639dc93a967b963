//! One HTTP/1.1 connection, driven by whoever uses it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header, response};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::{BoxIo, Connected};
use super::gate::Gate;
use super::pool::Pool;

/// A connection between two exchanges.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Gone once the connection is closed: hyper answers what it could not send when its driver is dropped, and not before.
    driver: Option<http1::Connection<TokioIo<Watched>, Full<Bytes>>>,
    heard: Heard,
    gate: Arc<Gate>,
    /// What hyper wakes: the gate.
    waker: Waker,
    absolute_form: bool,
    proxy_authorization: Option<HeaderValue>,
    /// Whether it has carried an exchange before.
    reused: bool,
}

/// More turns in one poll than this mean that the runtime wants us to stop: it wakes whoever has used up his share.
const MOST_LAPS: u32 = 32;

/// Whether a byte has come since the last request.
type Heard = Arc<AtomicBool>;

/// Why an exchange has no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The connection closed before anything of the request was written: nothing happened.
    Unwritten,
    /// A reused connection closed before any byte of the answer: it had most likely been dead already.
    Dead,
    /// The connection broke, or what came was not HTTP.
    Lost(hyper::Error),
}

impl Connection {
    /// Boxed, because it is large and changes hands several times in every call.
    pub(super) async fn open(connected: Connected) -> Result<Box<Self>, hyper::Error> {
        let heard = Heard::default();
        let io = Watched {
            io: connected.io,
            heard: heard.clone(),
        };
        let (sender, driver) = http1::handshake(TokioIo::new(io)).await?;
        let gate = Gate::new();
        Ok(Box::new(Self {
            sender,
            driver: Some(driver),
            heard,
            waker: gate.clone().into(),
            gate,
            absolute_form: connected.absolute_form,
            proxy_authorization: connected.proxy_authorization,
            reused: false,
        }))
    }

    /// Whether a request can be sent. Looks at the socket, so a connection that the provider closed meanwhile is found out
    /// without sending anything.
    pub(super) fn is_usable(&mut self) -> bool {
        self.gate.enter(Waker::noop());
        let open = self.drive();
        self.gate.leave();
        open && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of the answer. Dropping the future closes the connection.
    pub(super) async fn send(
        mut self: Box<Self>,
        mut request: Request<Full<Bytes>>,
        pool: Arc<Pool>,
    ) -> Result<(response::Parts, Body), SendError> {
        self.heard.store(false, Ordering::Relaxed);
        self.adapt(&mut request);
        let mut answer = Box::pin(self.sender.try_send_request(request));
        let answered = std::future::poll_fn(|cx| {
            // The answer comes through the driver, which has the waker.
            let mut quiet = Context::from_waker(Waker::noop());
            self.gate.enter(cx.waker());
            for _ in 0..MOST_LAPS {
                self.drive();
                let answered = answer.as_mut().poll(&mut quiet);
                if answered.is_ready() {
                    self.gate.leave();
                    return answered;
                }
                if self.gate.sleep() {
                    return Poll::Pending;
                }
            }
            self.gate.leave();
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        drop(answer);
        match answered {
            Ok(response) => {
                let (head, incoming) = response.into_parts();
                Ok((
                    head,
                    Body {
                        incoming,
                        connection: Some(self),
                        pool,
                    },
                ))
            }
            Err(error) if error.message().is_some() => Err(SendError::Unwritten),
            Err(_) if self.reused && !self.heard.load(Ordering::Relaxed) => Err(SendError::Dead),
            Err(error) => Err(SendError::Lost(error.into_error())),
        }
    }

    fn adapt(&self, request: &mut Request<Full<Bytes>>) {
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

    /// Moves bytes, from inside the gate. Answers whether the connection is still open.
    fn drive(&mut self) -> bool {
        let Some(driver) = &mut self.driver else {
            return false;
        };
        let mut cx = Context::from_waker(&self.waker);
        let open = Pin::new(driver).poll(&mut cx).is_pending();
        if !open {
            self.driver = None;
        }
        open
    }
}

/// The body of an answer. Dropped before its end it closes the connection, which tells the provider to stop.
pub(crate) struct Body {
    incoming: Incoming,
    connection: Option<Box<Connection>>,
    pool: Arc<Pool>,
}

impl Body {
    /// The next piece, `None` at the end. The connection is back in the pool by then.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        if let Some(connection) = &self.connection {
            connection.gate.enter(cx.waker());
        }
        let mut laps = 0;
        loop {
            // Pieces come through the driver, which has the waker.
            let mut quiet = Context::from_waker(Waker::noop());
            let piece = match Pin::new(&mut self.incoming).poll_frame(&mut quiet) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => Some(Ok(piece)),
                    Err(_) => continue,
                },
                Poll::Ready(Some(Err(error))) => {
                    self.connection = None;
                    Some(Err(error))
                }
                Poll::Ready(None) => {
                    self.finish();
                    None
                }
                Poll::Pending => {
                    let Some(connection) = &mut self.connection else {
                        return Poll::Pending;
                    };
                    if laps > 0 && connection.gate.sleep() {
                        return Poll::Pending;
                    }
                    laps += 1;
                    if laps > MOST_LAPS {
                        connection.gate.leave();
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    if !connection.drive() {
                        self.connection = None;
                    }
                    continue;
                }
            };
            if let Some(connection) = &self.connection {
                connection.gate.leave();
            }
            return Poll::Ready(piece);
        }
    }

    /// The next piece.
    pub(crate) async fn piece(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        std::future::poll_fn(|cx| self.poll_piece(cx)).await
    }

    fn finish(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && connection.is_usable()
        {
            connection.reused = true;
            self.pool.release(connection);
        }
    }
}

/// Notes that something was read.
struct Watched {
    io: BoxIo,
    heard: Heard,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Watched {
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
