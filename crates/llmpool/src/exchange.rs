//! One attempt of a call: sends a request over a connection and reads the response, up to the first content
//! of a stream or to the end of another response.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, header, response};
use http_body_util::Full;
use llmpool_core::failure::{Failure, FailureKind, classify};
use llmpool_core::limits::KeyId;
use llmpool_core::provider_error::{self, ProviderError};
use llmpool_core::rate_headers::ErrorHeaders;
use llmpool_core::time::Timestamp;

use crate::account_header;
use crate::affinity::AffinityRecorder;
use crate::clock::{self, Timer};
use crate::encoded_request::EncodedRequest;
use crate::endpoint::Endpoint;
use crate::limits::Permit;
use crate::misdirected;
use crate::options::Timeouts;
use crate::stream::{RawEvent, RawEventStream, StreamLimits};
use crate::target::Target;
use crate::transport::{self, Body, SendError};

/// Number of bytes after which reading the body of an error response stops.
const MAX_ERROR_BODY: usize = 64 << 10;
/// Maximum size of the body of a response that is not streamed, in bytes.
const MAX_BODY: usize = 256 << 20;
/// Maximum time for reading the body of an error response, measured from the arrival of the response head.
const ERROR_BODY_GRACE: Duration = Duration::from_secs(5);
/// Number of bytes of a stream that are buffered while waiting for its first content. Beyond this number, the
/// stream is returned as if its first content had arrived. Copies of the request that the provider sends back
/// do not count: see [`MAX_ECHOES`].
const MAX_PREFIX: usize = 1 << 20;
/// Number of copies of the request whose bytes do not count towards [`MAX_PREFIX`]. The events "created",
/// "queued" and "in progress" contain one copy each. The fourth copy makes up for escape sequences, which can
/// make the other copies longer than the request.
const MAX_ECHOES: usize = 4;
/// Maximum number of connections that one attempt tries. The attempt moves on to the next connection if a
/// connection closes before the request is written to it.
const MAX_UNSENT: u32 = 8;

/// The timeouts of a call, and the time at which the call must have ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallDeadlines {
    pub(crate) timeouts: Timeouts,
    pub(crate) deadline: Timestamp,
}

/// The response of a successful attempt.
pub(crate) enum AttemptResponse {
    /// A response that is not streamed, with its complete body.
    Complete { head: ResponseHead, body: Bytes },
    /// A streamed response whose first content has arrived, or which has exceeded the maximum prefix.
    /// `prefix` contains the events that were read so far. `events` reads the rest of the stream.
    Stream {
        head: ResponseHead,
        prefix: Vec<RawEvent>,
        events: Box<RawEventStream>,
    },
}

pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) request_id: Option<String>,
}

impl AttemptResponse {
    pub(crate) fn head(&self) -> &ResponseHead {
        match self {
            Self::Complete { head, .. } | Self::Stream { head, .. } => head,
        }
    }
}

/// Makes one attempt: sends the request and reads the response, up to the first content of a stream or to the
/// end of another response. Marks the permit as used once the request is passed to a connection. The
/// timeouts of the attempt start at `admitted`.
pub(crate) async fn send_attempt(
    target: &Target,
    permit: &mut Permit,
    request: &EncodedRequest,
    deadlines: &CallDeadlines,
    admitted: Timestamp,
) -> Result<AttemptResponse, Failure> {
    let limits = StreamLimits {
        first_content_at: end_of(admitted, deadlines.timeouts.first_content).min(deadlines.deadline),
        idle: deadlines.timeouts.idle,
        deadline: deadlines.deadline,
    };
    let (head, body) = send(
        target,
        permit,
        request,
        deadlines,
        admitted,
        limits.first_content_at,
    )
    .await?;
    account_header::record(&target.provider, permit.key(), &head.headers);
    let affinity = AffinityRecorder::new(target, permit.key());
    if !head.status.is_success() {
        return Err(read_failure(&head, body, deadlines).await);
    }
    let response_head = ResponseHead {
        status: head.status.as_u16(),
        request_id: request_id(&head.headers),
    };
    if request.stream && !is_json(&head.headers) {
        let max_prefix = MAX_PREFIX + MAX_ECHOES * request.body.len();
        return first_content(
            response_head,
            Box::new(RawEventStream::new(body, target.format, limits, affinity)),
            max_prefix,
        )
        .await;
    }
    let body = read_body(body, deadlines).await?;
    check_plain(&head, &body, request.endpoint)?;
    if request.stream {
        // The provider ignored `stream` and sent a plain response.
        return Err(Failure {
            status: Some(response_head.status),
            request_id: response_head.request_id,
            ..Failure::new(FailureKind::InvalidResponse)
        });
    }
    if let Some(affinity) = affinity {
        affinity.record(&body);
    }
    Ok(AttemptResponse::Complete {
        head: response_head,
        body,
    })
}

/// Sends the request, marks the permit as used, and waits for the response head.
async fn send(
    target: &Target,
    permit: &mut Permit,
    request: &EncodedRequest,
    deadlines: &CallDeadlines,
    admitted: Timestamp,
    first_content_at: Timestamp,
) -> Result<(response::Parts, Body), Failure> {
    let head_by = if request.stream && first_content_at < deadlines.deadline {
        (first_content_at, FailureKind::FirstContentTimeout)
    } else {
        (deadlines.deadline, FailureKind::DeadlineExceeded)
    };
    let key = permit.key();
    let build = || http_request(target, key, request);
    let on_send = |sent: bool| {
        if sent {
            permit.mark_used();
        } else {
            permit.mark_unused();
        }
    };
    send_request(target, build, on_send, deadlines, admitted, head_by).await
}

/// Opens or reuses a connection, sends a request, and waits for the response head. If the head has not
/// arrived by the time `head_by`, fails with the kind of failure `late`.
///
/// Calls `on_send(true)` when the request is passed to a connection. If that connection closes before the
/// request is written, calls `on_send(false)` and tries another connection.
pub(crate) async fn send_request(
    target: &Target,
    request: impl Fn() -> Request<Full<Bytes>>,
    mut on_send: impl FnMut(bool),
    deadlines: &CallDeadlines,
    started: Timestamp,
    (head_by, late): (Timestamp, FailureKind),
) -> Result<(response::Parts, Body), Failure> {
    let mut now = started;
    for _ in 0..MAX_UNSENT {
        let connect_by = end_of(now, deadlines.timeouts.connect);
        let connecting = target.connections.acquire();
        let connection = match within(connect_by.min(deadlines.deadline), pin!(connecting)).await {
            Some(Ok(connection)) => connection,
            Some(Err(error)) => return Err(error.into_failure()),
            None => {
                let kind = if connect_by < deadlines.deadline {
                    FailureKind::ConnectTimeout
                } else {
                    FailureKind::DeadlineExceeded
                };
                let (party, waited) = (target.connections.party(), clock::now().since(now));
                let detail = format!("no connection to {party} within {:.1} s", waited.as_secs_f64());
                return Err(Failure::new(kind).with_detail(detail));
            }
        };
        on_send(true);
        let sending = transport::send(connection, target.connections.clone(), request());
        match within(head_by, pin!(sending)).await {
            None => return Err(Failure::new(late)),
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(SendError::NotSent)) => {
                on_send(false);
                now = clock::now();
            }
            Some(Err(SendError::StaleConnection)) => return Err(Failure::new(FailureKind::DeadConnection)),
            Some(Err(SendError::HeadTooLarge)) => {
                return Err(Failure::new(FailureKind::UnusableAnswer)
                    .with_detail("the answer has more than 1024 headers, or more than 400 KiB of them"));
            }
            Some(Err(SendError::SpeaksTls)) => {
                return Err(misdirected::expects_tls(&target.connections.party()));
            }
            Some(Err(SendError::NotHttp)) => return Err(Failure::new(FailureKind::InvalidResponse)),
            Some(Err(SendError::ConnectionLost)) => return Err(Failure::new(FailureKind::ConnectionLost)),
        }
    }
    Err(Failure::new(FailureKind::Connect))
}

pub(crate) fn http_request(
    target: &Target,
    key: Option<KeyId>,
    encoded: &EncodedRequest,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(encoded.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target.uris.get(encoded.endpoint).clone();
    *request.headers_mut() = target.headers.clone();
    if encoded.endpoint == Endpoint::Models {
        *request.method_mut() = Method::GET;
        request.headers_mut().remove(header::CONTENT_TYPE);
    }
    if let Some(key) = key {
        target.add_key(request.headers_mut(), key);
    }
    request
}

/// Reads a stream until its first content arrives or more than `max_prefix` bytes have been read. If the
/// stream fails or ends before that, the attempt fails, and the call can make another attempt.
async fn first_content(
    head: ResponseHead,
    mut events: Box<RawEventStream>,
    max_prefix: usize,
) -> Result<AttemptResponse, Failure> {
    let mut prefix = Vec::new();
    let mut buffered = 0;
    loop {
        match events.next_event().await {
            Some(Ok(event)) => {
                buffered += event.event.data.len();
                let is_visible = event.flags.content || event.flags.done;
                if event.flags.done && !events.view().has_content() {
                    // A stream that ends without content is not a valid response.
                    return Err(Failure {
                        status: Some(head.status),
                        request_id: head.request_id,
                        ..Failure::new(FailureKind::InvalidResponse)
                            .with_detail("the stream ended without content")
                    });
                }
                prefix.push(event);
                if is_visible || buffered > max_prefix {
                    return Ok(AttemptResponse::Stream { head, prefix, events });
                }
            }
            Some(Err(failure)) => {
                let request_id = failure.request_id.clone().or(head.request_id);
                return Err(Failure {
                    status: Some(head.status),
                    request_id,
                    ..failure
                });
            }
            // The stream is truncated: an arm above would have returned at a terminal event.
            None => return Err(Failure::new(FailureKind::Truncated)),
        }
    }
}

/// Reads the complete body of a response that is not streamed. Fails if the body exceeds [`MAX_BODY`] or
/// arrives too slowly.
pub(crate) async fn read_body(mut body: Body, deadlines: &CallDeadlines) -> Result<Bytes, Failure> {
    let mut buffer = BodyBuffer::default();
    let mut timer = Timer::default();
    loop {
        let idle_by = end_of(clock::now(), deadlines.timeouts.idle);
        timer.set(idle_by.min(deadlines.deadline));
        let piece = poll_fn(|cx| match body.poll_data(cx) {
            Poll::Ready(piece) => Poll::Ready(Some(piece)),
            Poll::Pending => timer.poll(cx).map(|()| None),
        })
        .await;
        match piece {
            Some(Some(Ok(piece))) => buffer.push(piece, MAX_BODY)?,
            Some(None) => return Ok(buffer.finish()),
            Some(Some(Err(_))) => return Err(Failure::new(FailureKind::ConnectionLost)),
            None if idle_by < deadlines.deadline => return Err(Failure::new(FailureKind::IdleTimeout)),
            None => return Err(Failure::new(FailureKind::DeadlineExceeded)),
        }
    }
}

/// The pieces of a body. Copies them only if there are several.
#[derive(Default)]
struct BodyBuffer {
    first: Option<Bytes>,
    /// All pieces joined. Empty while there is only one piece.
    joined: BytesMut,
}

impl BodyBuffer {
    /// Appends a piece. Fails if the body is then longer than `limit`.
    fn push(&mut self, piece: Bytes, limit: usize) -> Result<(), Failure> {
        let first = self.first.get_or_insert_default();
        let length = if self.joined.is_empty() {
            first.len()
        } else {
            self.joined.len()
        };
        if length + piece.len() > limit {
            let detail = format!("the answer is larger than {} MiB", limit >> 20);
            return Err(Failure::new(FailureKind::UnusableAnswer).with_detail(detail));
        }
        if length == 0 {
            *first = piece;
            return Ok(());
        }
        if self.joined.is_empty() {
            self.joined.extend_from_slice(first);
        }
        self.joined.extend_from_slice(&piece);
        Ok(())
    }

    fn finish(self) -> Bytes {
        if self.joined.is_empty() {
            return self.first.unwrap_or_default();
        }
        self.joined.freeze()
    }
}

/// Checks the body of a response with a success status. Fails if the body contains a provider error or does
/// not look like JSON.
fn check_plain(head: &response::Parts, body: &[u8], at: Endpoint) -> Result<(), Failure> {
    if let Some(error) = provider_error::find_error_in_success(body) {
        let failure = llmpool_core::failure::classify_in_stream(&error);
        let request_id = failure.request_id.clone().or_else(|| request_id(&head.headers));
        return Err(Failure {
            status: Some(head.status.as_u16()),
            request_id,
            ..failure
        });
    }
    let body = body.trim_ascii();
    let looks_like_json = match body.first() {
        Some(b'{') => body.ends_with(b"}"),
        // Some providers return the model list as a bare array.
        Some(b'[') => body.ends_with(b"]") && at == Endpoint::Models,
        _ => false,
    };
    if looks_like_json {
        return Ok(());
    }
    let status = Some(head.status.as_u16());
    Err(Failure {
        status,
        request_id: request_id(&head.headers),
        ..Failure::new(FailureKind::InvalidResponse)
    })
}

/// Reads the body of an error response and classifies the failure.
pub(crate) async fn read_failure(
    head: &response::Parts,
    mut body: Body,
    deadlines: &CallDeadlines,
) -> Failure {
    let by = (clock::now() + ERROR_BODY_GRACE).min(deadlines.deadline);
    let mut text = BytesMut::new();
    // If the body is incomplete or late, only the status and the headers determine the failure.
    let reading = async {
        while text.len() < MAX_ERROR_BODY
            && let Some(Ok(piece)) = body.data().await
        {
            text.extend_from_slice(&piece);
        }
    };
    let _ = within(by, pin!(reading)).await;
    let error = ProviderError::parse(&text);
    let get = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let headers = ErrorHeaders::parse(get, error.as_ref(), Some(clock::wall_now()));
    let failure = classify(head.status.as_u16(), &headers, error.as_ref());
    misdirected::explain(failure, &head.headers, &text, || body.party())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("application/json")
    })
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    headers
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

fn end_of(start: Timestamp, span: Option<Duration>) -> Timestamp {
    span.map_or(Timestamp::MAX, |span| start + span)
}

/// Returns the output of `future`, or `None` if the future is not ready by the time `by`.
async fn within<T>(by: Timestamp, mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut timer = Timer::at(by);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_limit_applies_to_every_piece() {
        for pieces in [&[5][..], &[4, 1], &[2, 2, 1]] {
            let mut buffer = BodyBuffer::default();
            let pushed: Vec<bool> = pieces
                .iter()
                .map(|length| buffer.push(Bytes::from(vec![b'x'; *length]), 4).is_ok())
                .collect();
            let (last, earlier) = pushed.split_last().unwrap();
            assert!(
                !last && earlier.iter().all(|is_ok| *is_ok),
                "{pieces:?}: {pushed:?}"
            );
        }
    }

    #[test]
    fn body_pieces_are_joined_in_order() {
        for pieces in [&[][..], &["ab"], &["", "ab"], &["a", "b"], &["a", "", "b"]] {
            let mut buffer = BodyBuffer::default();
            for piece in pieces {
                buffer.push(Bytes::from_static(piece.as_bytes()), 2).unwrap();
            }
            assert_eq!(buffer.finish(), pieces.concat(), "{pieces:?}");
        }
    }
}
