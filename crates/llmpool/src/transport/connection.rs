//! An HTTP/1.1 connection without a background task: the task that uses the connection also performs its IO.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::connect::Connected;
use super::monitored_io::{IoRecord, MonitoredIo};
use super::poll_gate::PollGate;

/// Maximum number of times that one poll moves bytes between the socket and hyper. Without a maximum, a poll
/// might never return: once the task has used up its cooperative budget, tokio wakes the task at every IO
/// operation.
const MAX_DRIVES_PER_POLL: u32 = 32;
/// Maximum number of headers that hyper parses at once. A larger maximum costs two allocations per response.
const MAX_HEADERS_AT_ONCE: usize = 100;
/// Maximum number of headers of a response. A response head with more than [`MAX_HEADERS_AT_ONCE`] headers is
/// parsed a second time.
const MAX_HEADERS: usize = 1024;
/// Number of bytes of a response head from which on hyper's buffer, which is a little larger, may be too small.
const MAX_HEAD_BYTES: usize = 400 << 10;
/// Number of bytes that are kept of a response that is not HTTP: too few for a secret.
const MAX_SHOWN: usize = 8;

type HyperIo = TokioIo<MonitoredIo>;
type HyperDriver = http1::Connection<HyperIo, Full<Bytes>>;

/// An HTTP/1.1 connection, which carries one request and its response at a time.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// The future that moves bytes between the socket and hyper. Once the connection is closed, the future is
    /// dropped and this field is `None`, because hyper fails an unsent request only when the future is
    /// dropped.
    driver: Option<HyperDriver>,
    /// Whether a request was sent whose response head has not been read.
    awaits_head: bool,
    /// The byte stream, and the bytes that hyper has read but not used. `Some` if the driver ended while
    /// `awaits_head`.
    remains: Option<http1::Parts<HyperIo>>,
    record: Arc<IoRecord>,
    gate: Arc<PollGate>,
    /// The waker that hyper calls: the [`PollGate`], which does not wake the task while the task is polling.
    waker: Waker,
    absolute_form: bool,
    proxy_authorization: Option<HeaderValue>,
    /// Whether the first byte of the body has arrived, or is not needed to tell whether the body has a coding. Here
    /// because a [`Body`](super::Body) is moved several times.
    pub(super) body_has_begun: bool,
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
    /// The response has more headers than [`MAX_HEADERS`], or headers of more bytes than hyper's buffer.
    HeadTooLarge,
    /// The other end speaks TLS, and the connection does not.
    SpeaksTls,
    /// The response is not HTTP/1. Contains its first bytes, at most [`MAX_SHOWN`].
    NotHttp(Box<[u8]>),
    /// The response is HTTP/1, but its head cannot be read.
    UnreadableHead,
    /// The connection broke before the head of the response was complete.
    ConnectionLost,
}

impl Connection {
    /// Performs the HTTP handshake. Returns the connection in a box, because a connection is large and is
    /// moved several times per call.
    pub(super) async fn open(connected: Connected) -> Result<Box<Self>, hyper::Error> {
        let record = Arc::<IoRecord>::default();
        let io = MonitoredIo::new(connected.io, record.clone());
        let (sender, driver) = http1::handshake(TokioIo::new(io)).await?;
        let gate = PollGate::new();
        Ok(Box::new(Self {
            sender,
            driver: Some(driver),
            awaits_head: false,
            remains: None,
            record,
            waker: gate.clone().into(),
            gate,
            absolute_form: connected.absolute_form,
            proxy_authorization: connected.proxy_authorization,
            body_has_begun: false,
            is_reused: false,
        }))
    }

    /// Returns whether the connection can carry another request. First polls the socket, to detect whether
    /// the provider has closed the connection.
    pub(super) fn is_usable(&mut self) -> bool {
        self.gate.enter(Waker::noop());
        let is_open = self.drive();
        self.gate.leave();
        is_open && self.sender.is_ready() && !self.record.is_read_only()
    }

    /// Passes a request to hyper. The returned future waits for the response head. It does not contain the
    /// request, which is large.
    pub(super) fn send(
        mut self: Box<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> impl Future<Output = Result<(Response<Incoming>, Box<Self>), SendError>> {
        self.record.start_request();
        self.awaits_head = true;
        self.prepare(&mut request);
        let mut response = Box::pin(self.sender.try_send_request(request));
        async move {
            let result = poll_fn(|cx| self.poll_driven(cx, |cx| response.as_mut().poll(cx))).await;
            match result {
                Ok(response) => {
                    self.awaits_head = false;
                    Ok((response, self))
                }
                Err(error) if error.message().is_some() => Err(self.unsent()),
                Err(_) if self.is_reused && !self.record.has_read() => Err(SendError::StaleConnection),
                // Boxed because it is rare.
                Err(_) if self.unparsed_headers() > MAX_HEADERS_AT_ONCE => Box::pin(self.parse_again()).await,
                Err(error) => Err(self.broken_by(error.error())),
            }
        }
    }

    /// Returns why no byte of a request was written.
    #[cold]
    fn unsent(&self) -> SendError {
        match self.unparsed() {
            // Some protocols begin with a greeting. A server that is about to close a connection may say so in HTTP.
            head if self.is_reused || head.starts_with(b"HTTP/") || b"HTTP/".starts_with(head) => {
                SendError::NotSent
            }
            head => not_http(head),
        }
    }

    /// Returns the reason for an error of hyper that has ended the connection.
    fn broken_by(&self, error: &hyper::Error) -> SendError {
        match self.unparsed() {
            _ if !error.is_parse() => SendError::ConnectionLost,
            // The type of an alert or handshake record, and the first byte of its version.
            [0x15 | 0x16, 3, ..] => SendError::SpeaksTls,
            _ if self.unparsed_headers() > MAX_HEADERS => SendError::HeadTooLarge,
            head if head.len() > MAX_HEAD_BYTES => SendError::HeadTooLarge,
            // A connection that has carried answers speaks HTTP; this may be left over from the last one.
            head if self.is_reused || head.starts_with(b"HTTP/1.") => SendError::UnreadableHead,
            head => not_http(head),
        }
    }

    /// Returns the bytes that hyper has read but not used, if the connection ended before the head of a
    /// response.
    fn unparsed(&self) -> &[u8] {
        self.remains.as_ref().map_or(&[], |remains| &remains.read_buf)
    }

    /// Returns the number of complete header lines, the status line included, of a response head that hyper did
    /// not parse.
    fn unparsed_headers(&self) -> usize {
        let head = self.unparsed();
        if !head.starts_with(b"HTTP/1.") {
            return 0;
        }
        let end = head.windows(4).position(|end| end == b"\r\n\r\n");
        let head = &head[..end.unwrap_or(head.len())];
        head.iter().filter(|byte| **byte == b'\n').count()
    }

    /// Parses the response head again, with room for [`MAX_HEADERS`] headers. The rest of the request is not
    /// sent, and the connection cannot carry another request.
    async fn parse_again(mut self: Box<Self>) -> Result<(Response<Incoming>, Box<Self>), SendError> {
        let Some(remains) = self.remains.take() else {
            return Err(SendError::HeadTooLarge);
        };
        let io = MonitoredIo::read_only(remains.read_buf, remains.io.into_inner());
        let mut builder = http1::Builder::new();
        builder.max_headers(MAX_HEADERS);
        let (sender, driver) = builder
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| self.broken_by(&error))?;
        (self.sender, self.driver) = (sender, Some(driver));
        // Hyper parses a response only after a request. This request is not written anywhere.
        let mut response = Box::pin(self.sender.try_send_request(Request::default()));
        match poll_fn(|cx| self.poll_driven(cx, |cx| response.as_mut().poll(cx))).await {
            Ok(response) => {
                self.awaits_head = false;
                Ok((response, self))
            }
            Err(error) => Err(self.broken_by(error.error())),
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
            let driver = self.driver.take();
            if self.awaits_head {
                self.remains = driver.map(HyperDriver::into_parts);
            }
        }
        is_open
    }
}

fn not_http(begun: &[u8]) -> SendError {
    SendError::NotHttp(begun[..begun.len().min(MAX_SHOWN)].into())
}
