//! Sends a request over a connection, and reads the body of the response, decoded.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, response};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use llmpool_core::failure::{Failure, FailureKind};

use super::coding::{self, BodyDecoder, CodingError, Recognised};
use super::connection::{Connection, SendError};
use super::party::Party;
use super::pool::ConnectionPool;
use crate::clock::{self, Timer};

/// Maximum number of bytes, and maximum time, for reading the rest of a body that is no longer needed.
/// Reading it is worth that much, because it saves opening a connection for the next request.
pub(crate) const MAX_DRAIN_BYTES: usize = 64 << 10;
pub(crate) const MAX_DRAIN_TIME: Duration = Duration::from_millis(50);

/// Sends a request over `connection` and waits for the response head. Once the returned body has been read to
/// its end, the connection goes into `pool`. Dropping the future closes the connection.
pub(crate) fn send(
    connection: Box<Connection>,
    pool: Arc<ConnectionPool>,
    request: Request<Full<Bytes>>,
) -> impl Future<Output = Result<(response::Parts, Body), SendError>> {
    let sending = connection.send(request);
    async move {
        let (response, mut connection) = sending.await?;
        let (head, incoming) = response.into_parts();
        let coding = BodyDecoder::new(&head.headers).map(|decoder| Box::new(BodyCoding::Coded(decoder)));
        connection.body_has_begun = coding.is_some();
        let raw = RawBody {
            incoming,
            connection: Some(connection),
            pool,
        };
        let body = Body { raw, coding };
        Ok((head, body))
    }
}

/// The body of a response, without its content coding. Dropping the body before its end closes the connection,
/// which tells the provider to stop generating. To keep the connection where the end is near, see
/// [`Body::drain_in_background`].
pub(crate) struct Body {
    raw: RawBody,
    /// `None` if the body is passed on as it is. Boxed, since few bodies have a coding and all are moved.
    coding: Option<Box<BodyCoding>>,
}

/// The content coding of a body.
enum BodyCoding {
    /// The head names no coding. Contains the bytes so far, which are too few to tell whether there is one.
    Unnamed(Bytes),
    Coded(BodyDecoder),
}

/// The body of a response as it was sent.
struct RawBody {
    incoming: Incoming,
    connection: Option<Box<Connection>>,
    pool: Arc<ConnectionPool>,
}

/// The body ended early: its content coding cannot be decoded or, if there is no such error, its connection was lost.
#[derive(Debug)]
pub(crate) struct BodyError(Option<Box<CodingError>>);

impl BodyError {
    const LOST: Self = Self(None);

    /// Returns the failure of an answer of which more was needed.
    #[cold]
    pub(crate) fn failure(&self) -> Failure {
        match &self.0 {
            Some(error) => error.failure(),
            None => Failure::new(FailureKind::ConnectionLost),
        }
    }
}

impl From<CodingError> for BodyError {
    fn from(error: CodingError) -> Self {
        Self(Some(Box::new(error)))
    }
}

impl Body {
    /// Polls for the next bytes of the body. At the end of the body, puts the connection back into its pool
    /// and returns `None`.
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.coding.is_some() {
            return self.poll_decoded(cx);
        }
        let data = self.raw.poll_data(cx);
        if let Poll::Ready(Some(Ok(piece))) = &data
            && let Some(first) = piece.first()
            && let Some(connection) = &mut self.raw.connection
            && !connection.body_has_begun
        {
            connection.body_has_begun = true;
            if coding::may_begin_coded(*first) {
                let begun = piece.clone();
                return self.poll_begun(cx, begun);
            }
        }
        data
    }

    /// Goes on with a body whose first bytes are those of a coding, or may be.
    #[cold]
    fn poll_begun(&mut self, cx: &mut Context<'_>, begun: Bytes) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.coding = Some(Box::new(BodyCoding::Unnamed(begun)));
        self.poll_decoded(cx)
    }

    #[cold]
    fn poll_decoded(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let data = ready!(self.poll_decoder(cx));
        if let Some(Err(_)) = data {
            self.raw.connection = None;
        }
        Poll::Ready(data)
    }

    fn poll_decoder(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        while let Some(coding) = &mut self.coding {
            match &mut **coding {
                BodyCoding::Unnamed(begun) => {
                    let more = match BodyDecoder::recognise(begun) {
                        Recognised::Coded(mut decoder) => {
                            decoder.push(std::mem::take(begun))?;
                            **coding = BodyCoding::Coded(decoder);
                            continue;
                        }
                        Recognised::Plain => None,
                        Recognised::Undecided => ready!(self.raw.poll_data(cx)?),
                    };
                    if let Some(piece) = more {
                        *begun = [&begun[..], &piece].concat().into();
                        continue;
                    }
                    let begun = std::mem::take(begun);
                    self.coding = None;
                    return Poll::Ready(Some(Ok(begun)));
                }
                BodyCoding::Coded(decoder) => {
                    if let Some(piece) = decoder.next_piece()? {
                        return Poll::Ready(Some(Ok(piece)));
                    }
                    match ready!(self.raw.poll_data(cx)?) {
                        Some(piece) if decoder.is_text(&piece) => {
                            self.coding = None;
                            return Poll::Ready(Some(Ok(piece)));
                        }
                        Some(piece) => decoder.push(piece)?,
                        None => {
                            decoder.finish()?;
                            return Poll::Ready(None);
                        }
                    }
                }
            }
        }
        self.raw.poll_data(cx)
    }

    /// Returns the next bytes of the body if they have already arrived.
    pub(crate) fn try_data(&mut self) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.poll_data(&mut Context::from_waker(Waker::noop()))
    }

    /// Reads the body to its end in a task of its own, so that the connection can be reused. Closes the
    /// connection if the body does not end within `limit` bytes and [`MAX_DRAIN_TIME`], or if there is no
    /// tokio runtime.
    pub(crate) fn drain_in_background(mut self, limit: usize) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let mut timer = Timer::at(clock::now() + MAX_DRAIN_TIME);
            let mut drained = 0;
            std::future::poll_fn(|cx| {
                while let Poll::Ready(data) = self.poll_data(cx) {
                    match data {
                        Some(Ok(piece)) => drained += piece.len(),
                        Some(Err(_)) | None => return Poll::Ready(()),
                    }
                    if drained > limit {
                        return Poll::Ready(());
                    }
                }
                timer.poll(cx)
            })
            .await;
        });
    }

    /// Returns the names of the host and of the proxy, for error messages.
    pub(crate) fn party(&self) -> Party {
        self.raw.pool.party()
    }

    /// Returns the next bytes of the body, or `None` at the end of the body.
    pub(crate) async fn data(&mut self) -> Option<Result<Bytes, BodyError>> {
        std::future::poll_fn(|cx| self.poll_data(cx)).await
    }
}

impl RawBody {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let incoming = &mut self.incoming;
        let data = match &mut self.connection {
            Some(connection) => ready!(connection.poll_driven(cx, |cx| poll_data(incoming, cx))),
            None => ready!(poll_data(incoming, cx)),
        };
        match &data {
            Some(Ok(_)) => {}
            Some(Err(_)) => self.connection = None,
            None => {
                if let Some(connection) = self.connection.take() {
                    self.pool.release(connection);
                }
            }
        }
        Poll::Ready(data)
    }
}

/// Polls for the next data frame of the body. Skips trailers.
fn poll_data(incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
    loop {
        match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
            Some(Err(_)) => return Poll::Ready(Some(Err(BodyError::LOST))),
            None => return Poll::Ready(None),
        }
    }
}
