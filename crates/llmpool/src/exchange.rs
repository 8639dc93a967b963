//! One attempt: sends a request over a connection, and reads the response up to the first content.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, header, response};
use http_body_util::Full;
use llmpool_core::failure::{Failure, FailureKind, classify};
use llmpool_core::limits::KeyId;
use llmpool_core::provider_error::{self, ProviderError};
use llmpool_core::rate_headers::ErrorHeaders;
use llmpool_core::time::Timestamp;

use crate::affinity::AffinityRecorder;
use crate::clock::{self, Timer};
use crate::encoded_request::EncodedRequest;
use crate::endpoint::Endpoint;
use crate::limit_headers;
use crate::limits::Permit;
use crate::options::Timeouts;
use crate::stream::{RawEvent, RawEventStream, StreamLimits};
use crate::target::Target;
use crate::transport::{self, Body, SendError};

/// Limit on what is read of the body of an error, in bytes.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// Limit on the body of a complete response, in bytes.
const MAX_BODY_BYTES: usize = 256 << 20;
/// How long the body of an error may take. The status is already known.
const ERROR_BODY_GRACE: Duration = Duration::from_secs(5);
/// Limit on what is buffered of a stream before its first content, in bytes, without repetitions of the request.
const MAX_PREFIX_BYTES: usize = 1 << 20;
/// How often a stream may repeat its request before its first content: in the events queued, created and in progress, and once more for
/// a longer escaping.
const MAX_REQUEST_ECHOES: usize = 4;
/// How often a request may be returned unsent by a closing connection before the attempt fails.
const MAX_UNSENT: u32 = 8;

/// Timeouts and deadline of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallDeadlines {
    pub(crate) timeouts: Timeouts,
    pub(crate) deadline: Timestamp,
}

/// The response to an attempt.
pub(crate) enum AttemptResponse {
    /// A response that is not a stream, with its complete body.
    Complete { head: ResponseHead, body: Bytes },
    /// A stream with content: the events up to the first content, and the remaining stream.
    Stream {
        head: ResponseHead,
        prefix: Vec<RawEvent>,
        events: Box<RawEventStream>,
    },
}

/// Status and id of a response.
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

/// Performs one attempt. Afterwards, the permit records whether the request was given to a connection.
pub(crate) async fn send_attempt(
    target: &Target,
    permit: &mut Permit,
    request: &EncodedRequest,
    deadlines: &CallDeadlines,
) -> Result<AttemptResponse, Failure> {
    let started = clock::now();
    let limits = StreamLimits {
        first_content_at: after(started, deadlines.timeouts.first_content).min(deadlines.deadline),
        idle: deadlines.timeouts.idle,
        deadline: deadlines.deadline,
    };
    let (parts, body) = send_with_permit(
        target,
        permit,
        request,
        deadlines,
        started,
        limits.first_content_at,
    )
    .await?;
    limit_headers::record(target, permit, &parts.headers);
    let recorder = AffinityRecorder::new(target, permit.key());
    if !parts.status.is_success() {
        return Err(read_error(&parts, body, deadlines).await);
    }
    let head = ResponseHead {
        status: parts.status.as_u16(),
        request_id: request_id(&parts.headers),
    };
    if request.stream && !is_json(&parts.headers) {
        let max_prefix = MAX_PREFIX_BYTES + MAX_REQUEST_ECHOES * request.body.len();
        return read_until_content(
            head,
            RawEventStream::new(body, target.format, limits, recorder),
            max_prefix,
        )
        .await;
    }
    let body = read_body(body, deadlines).await?;
    check_body(&parts, &body, request.endpoint)?;
    if request.stream {
        // The provider ignored `stream: true`.
        return Err(Failure {
            status: Some(head.status),
            ..Failure::new(FailureKind::InvalidResponse)
        });
    }
    if let Some(recorder) = recorder {
        recorder.record(&body);
    }
    Ok(AttemptResponse::Complete { head, body })
}

/// Sends the request of a call and returns the head of the response and its unread body.
async fn send_with_permit(
    target: &Target,
    permit: &mut Permit,
    request: &EncodedRequest,
    deadlines: &CallDeadlines,
    started: Timestamp,
    first_content_at: Timestamp,
) -> Result<(response::Parts, Body), Failure> {
    let head_by = if request.stream && first_content_at < deadlines.deadline {
        (first_content_at, FailureKind::FirstContentTimeout)
    } else {
        (deadlines.deadline, FailureKind::DeadlineExceeded)
    };
    let key = permit.key();
    let build = || http_request(target, key, request);
    let on_handoff = |is_sent: bool| {
        if is_sent {
            permit.mark_used();
        } else {
            permit.mark_unused();
        }
    };
    send_request(target, build, on_handoff, deadlines, started, head_by).await
}

/// Sends a request and returns the head of the response and its unread body.
///
/// Fails with the given kind if the head is not received by `head_by`. `on_handoff` is called with true when the request is given to a
/// connection, and with false when the connection returns it unsent.
pub(crate) async fn send_request(
    target: &Target,
    request: impl Fn() -> Request<Full<Bytes>>,
    mut on_handoff: impl FnMut(bool),
    deadlines: &CallDeadlines,
    started: Timestamp,
    (head_by, late_kind): (Timestamp, FailureKind),
) -> Result<(response::Parts, Body), Failure> {
    let mut now = started;
    for _ in 0..MAX_UNSENT {
        let connect_by = after(now, deadlines.timeouts.connect);
        let connection = match timeout_at(connect_by.min(deadlines.deadline), target.connections.acquire())
            .await
        {
            Some(Ok(connection)) => connection,
            Some(Err(error)) => {
                let message = Some(error.to_string());
                return Err(Failure {
                    message,
                    ..Failure::new(FailureKind::Connect)
                });
            }
            None if connect_by < deadlines.deadline => return Err(Failure::new(FailureKind::ConnectTimeout)),
            None => return Err(Failure::new(FailureKind::DeadlineExceeded)),
        };
        on_handoff(true);
        match timeout_at(
            head_by,
            transport::send(connection, target.connections.clone(), request()),
        )
        .await
        {
            None => return Err(Failure::new(late_kind)),
            Some(Ok(response)) => return Ok(response),
            Some(Err(SendError::NotSent)) => {
                on_handoff(false);
                now = clock::now();
            }
            Some(Err(SendError::StaleConnection)) => return Err(Failure::new(FailureKind::DeadConnection)),
            Some(Err(SendError::ConnectionLost(error))) if error.is_parse() => {
                return Err(Failure::new(FailureKind::InvalidResponse));
            }
            Some(Err(SendError::ConnectionLost(_))) => return Err(Failure::new(FailureKind::ConnectionLost)),
        }
    }
    Err(Failure::new(FailureKind::Connect))
}

/// Creates the HTTP request of an encoded request, with the key if there is one.
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

/// Reads a stream up to its first content or terminal event, or until more than `max_prefix` bytes are buffered. Until then, an error fails
/// the attempt, and the call can be retried.
async fn read_until_content(
    head: ResponseHead,
    mut events: RawEventStream,
    max_prefix: usize,
) -> Result<AttemptResponse, Failure> {
    let mut prefix = Vec::new();
    let mut buffered = 0;
    loop {
        match events.next_event().await {
            Some(Ok(event)) => {
                buffered += event.event.data.len();
                let has_content = event.flags.content || event.flags.done;
                if event.flags.done && !events.view().has_content() {
                    // A stream without content is not an answer.
                    return Err(Failure {
                        status: Some(head.status),
                        request_id: head.request_id,
                        ..Failure::new(FailureKind::InvalidResponse)
                    });
                }
                prefix.push(event);
                if has_content || buffered > max_prefix {
                    return Ok(AttemptResponse::Stream {
                        head,
                        prefix,
                        events: Box::new(events),
                    });
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
            // A stream without an error ends with a terminal event, which returned above.
            None => return Err(Failure::new(FailureKind::Truncated)),
        }
    }
}

/// Reads a body to its end.
pub(crate) async fn read_body(mut body: Body, deadlines: &CallDeadlines) -> Result<Bytes, Failure> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut timer = Timer::default();
    loop {
        let idle_by = after(clock::now(), deadlines.timeouts.idle);
        timer.set(idle_by.min(deadlines.deadline));
        let chunk = std::future::poll_fn(|cx| match body.poll_data(cx) {
            std::task::Poll::Ready(chunk) => std::task::Poll::Ready(Some(chunk)),
            std::task::Poll::Pending => timer.poll(cx).map(|()| None),
        })
        .await;
        match chunk {
            Some(Some(Ok(chunk))) if first.is_none() => first = Some(chunk),
            Some(Some(Ok(chunk))) => {
                if rest.is_empty()
                    && let Some(first) = &first
                {
                    rest.extend_from_slice(first);
                }
                rest.extend_from_slice(&chunk);
                if rest.len() > MAX_BODY_BYTES {
                    return Err(Failure::new(FailureKind::InvalidResponse));
                }
            }
            Some(None) if rest.is_empty() => return Ok(first.unwrap_or_default()),
            Some(None) => return Ok(rest.freeze()),
            Some(Some(Err(_))) => return Err(Failure::new(FailureKind::ConnectionLost)),
            None if idle_by < deadlines.deadline => return Err(Failure::new(FailureKind::IdleTimeout)),
            None => return Err(Failure::new(FailureKind::DeadlineExceeded)),
        }
    }
}

/// Fails if the body of a successful response contains an error or is not JSON.
fn check_body(head: &response::Parts, body: &[u8], endpoint: Endpoint) -> Result<(), Failure> {
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
        // Some providers return the list of models as a bare array.
        Some(b'[') => body.ends_with(b"]") && endpoint == Endpoint::Models,
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

/// Reads the body of an error response and classifies it.
pub(crate) async fn read_error(head: &response::Parts, mut body: Body, deadlines: &CallDeadlines) -> Failure {
    let deadline = (clock::now() + ERROR_BODY_GRACE).min(deadlines.deadline);
    let mut text = BytesMut::new();
    // If the body breaks off or hangs, the status alone is classified.
    let _ = timeout_at(deadline, async {
        while text.len() < MAX_ERROR_BYTES
            && let Some(Ok(chunk)) = body.data().await
        {
            text.extend_from_slice(&chunk);
        }
    })
    .await;
    let error = ProviderError::parse(&text);
    let get = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let headers = ErrorHeaders::parse(get, error.as_ref(), Some(clock::wall_now()));
    classify(head.status.as_u16(), &headers, error.as_ref())
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    content_type.is_some_and(|content_type| {
        content_type
            .trim_start()
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

fn after(start: Timestamp, span: Option<Duration>) -> Timestamp {
    span.map_or(Timestamp::MAX, |span| start + span)
}

/// Returns the output of the future, or `None` after `deadline`.
async fn timeout_at<T>(deadline: Timestamp, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut timer = Timer::at(deadline);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await
}
