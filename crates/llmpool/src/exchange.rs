//! One attempt: a request handed to a connection, and its answer up to the first content.

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

/// The most that is read of an error's body.
const LONGEST_ERROR: usize = 64 << 10;
/// The most that is read of a plain answer.
const LONGEST_BODY: usize = 256 << 20;
/// How long the body of an error may take; its status is known already.
const ERROR_BODY_GRACE: Duration = Duration::from_secs(5);
/// The most that is held back of a stream before its first content, beside what it may say again of its request.
const LONGEST_PREFIX: usize = 1 << 20;
/// How often a stream says its request again before its first content: queued, created, in progress, and escaped otherwise.
const ECHOES: usize = 4;
/// How often a request may come back unwritten before we believe that there is no connection to be had.
const MOST_UNWRITTEN: u32 = 8;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallDeadlines {
    pub(crate) timeouts: Timeouts,
    pub(crate) deadline: Timestamp,
}

/// What came back.
pub(crate) enum Reply {
    /// The whole body of a plain answer.
    Plain { head: Head, body: Bytes },
    /// A stream whose first content has come: everything up to there, and the rest.
    Stream {
        head: Head,
        prefix: Vec<RawEvent>,
        frames: Box<RawEventStream>,
    },
}

/// What is kept of an answer's head.
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) request_id: Option<String>,
}

impl Reply {
    pub(crate) fn head(&self) -> &Head {
        match self {
            Self::Plain { head, .. } | Self::Stream { head, .. } => head,
        }
    }
}

/// Makes one attempt. The permit tells afterwards whether the request was handed to a connection.
pub(crate) async fn once(
    target: &Target,
    permit: &mut Permit,
    request: &EncodedRequest,
    patience: &CallDeadlines,
) -> Result<Reply, Failure> {
    let sent_by = clock::now();
    let limits = StreamLimits {
        first_content_at: end_of(sent_by, patience.timeouts.first_content).min(patience.deadline),
        idle: patience.timeouts.idle,
        deadline: patience.deadline,
    };
    let (head, body) = send(
        target,
        permit,
        request,
        patience,
        sent_by,
        limits.first_content_at,
    )
    .await?;
    limit_headers::record(target, permit, &head.headers);
    let maker = AffinityRecorder::new(target, permit.key());
    if !head.status.is_success() {
        return Err(refusal(&head, body, patience).await);
    }
    let kept = Head {
        status: head.status.as_u16(),
        request_id: request_id(&head.headers),
    };
    if request.stream && !is_json(&head.headers) {
        let most = LONGEST_PREFIX + ECHOES * request.body.len();
        return first_content(
            kept,
            RawEventStream::new(body, target.format, limits, maker),
            most,
        )
        .await;
    }
    let body = whole(body, patience).await?;
    check_plain(&head, &body, request.endpoint)?;
    if request.stream {
        // The provider ignored that a stream was asked for, and its answer is no stream.
        return Err(Failure {
            status: Some(kept.status),
            ..Failure::new(FailureKind::InvalidResponse)
        });
    }
    if let Some(maker) = maker {
        maker.record(&body);
    }
    Ok(Reply::Plain { head: kept, body })
}

/// Hands the request to a connection and waits for the head of the answer.
async fn send(
    target: &Target,
    permit: &mut Permit,
    request: &EncodedRequest,
    patience: &CallDeadlines,
    sent_by: Timestamp,
    first_content_at: Timestamp,
) -> Result<(response::Parts, Body), Failure> {
    let head_by = if request.stream && first_content_at < patience.deadline {
        (first_content_at, FailureKind::FirstContentTimeout)
    } else {
        (patience.deadline, FailureKind::DeadlineExceeded)
    };
    let key = permit.key();
    let build = || http_request(target, key, request);
    let handed = |handed: bool| {
        if handed {
            permit.mark_used();
        } else {
            permit.mark_unused();
        }
    };
    hand_over(target, build, handed, patience, sent_by, head_by).await
}

/// Hands a request to a connection and waits for the head of its answer, until an instant that has a name. `handed` is told when the
/// request is with a connection, and when it came back unwritten.
pub(crate) async fn hand_over(
    target: &Target,
    request: impl Fn() -> Request<Full<Bytes>>,
    mut handed: impl FnMut(bool),
    patience: &CallDeadlines,
    sent_by: Timestamp,
    (head_by, late): (Timestamp, FailureKind),
) -> Result<(response::Parts, Body), Failure> {
    let mut now = sent_by;
    for _ in 0..MOST_UNWRITTEN {
        let connect_by = end_of(now, patience.timeouts.connect);
        let connection = match within(connect_by.min(patience.deadline), target.connections.acquire()).await {
            Some(Ok(connection)) => connection,
            Some(Err(error)) => {
                let message = Some(error.to_string());
                return Err(Failure {
                    message,
                    ..Failure::new(FailureKind::Connect)
                });
            }
            None if connect_by < patience.deadline => return Err(Failure::new(FailureKind::ConnectTimeout)),
            None => return Err(Failure::new(FailureKind::DeadlineExceeded)),
        };
        handed(true);
        match within(
            head_by,
            transport::send(connection, target.connections.clone(), request()),
        )
        .await
        {
            None => return Err(Failure::new(late)),
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(SendError::NotSent)) => {
                handed(false);
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

/// Reads a stream up to its first content or terminal event. Until then, or until more than `most` bytes are held back, an error is still a
/// failure that may be repeated.
async fn first_content(head: Head, mut frames: RawEventStream, most: usize) -> Result<Reply, Failure> {
    let mut prefix = Vec::new();
    let mut held = 0;
    loop {
        match frames.next_event().await {
            Some(Ok(frame)) => {
                held += frame.event.data.len();
                let shown = frame.flags.content || frame.flags.done;
                if frame.flags.done && !frames.view().has_content() {
                    // A stream that ends before it has begun is no answer.
                    return Err(Failure {
                        status: Some(head.status),
                        request_id: head.request_id,
                        ..Failure::new(FailureKind::InvalidResponse)
                    });
                }
                prefix.push(frame);
                if shown || held > most {
                    return Ok(Reply::Stream {
                        head,
                        prefix,
                        frames: Box::new(frames),
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
            // Only a stream with a terminal event ends cleanly, and that was shown.
            None => return Err(Failure::new(FailureKind::Truncated)),
        }
    }
}

/// Reads a whole plain body.
pub(crate) async fn whole(mut body: Body, patience: &CallDeadlines) -> Result<Bytes, Failure> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut timer = Timer::default();
    loop {
        let idle_by = end_of(clock::now(), patience.timeouts.idle);
        timer.set(idle_by.min(patience.deadline));
        let piece = std::future::poll_fn(|cx| match body.poll_data(cx) {
            std::task::Poll::Ready(piece) => std::task::Poll::Ready(Some(piece)),
            std::task::Poll::Pending => timer.poll(cx).map(|()| None),
        })
        .await;
        match piece {
            Some(Some(Ok(piece))) if first.is_none() => first = Some(piece),
            Some(Some(Ok(piece))) => {
                if rest.is_empty()
                    && let Some(first) = &first
                {
                    rest.extend_from_slice(first);
                }
                rest.extend_from_slice(&piece);
                if rest.len() > LONGEST_BODY {
                    return Err(Failure::new(FailureKind::InvalidResponse));
                }
            }
            Some(None) if rest.is_empty() => return Ok(first.unwrap_or_default()),
            Some(None) => return Ok(rest.freeze()),
            Some(Some(Err(_))) => return Err(Failure::new(FailureKind::ConnectionLost)),
            None if idle_by < patience.deadline => return Err(Failure::new(FailureKind::IdleTimeout)),
            None => return Err(Failure::new(FailureKind::DeadlineExceeded)),
        }
    }
}

/// A success whose body is an error, or no answer at all, is a failure.
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
        // Some providers list their models without anything around them.
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

pub(crate) async fn refusal(head: &response::Parts, mut body: Body, patience: &CallDeadlines) -> Failure {
    let by = (clock::now() + ERROR_BODY_GRACE).min(patience.deadline);
    let mut text = BytesMut::new();
    // A body that breaks or hangs leaves us with the status, which is enough.
    let _ = within(by, async {
        while text.len() < LONGEST_ERROR
            && let Some(Ok(piece)) = body.data().await
        {
            text.extend_from_slice(&piece);
        }
    })
    .await;
    let error = ProviderError::parse(&text);
    let get = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let headers = ErrorHeaders::parse(get, error.as_ref(), Some(clock::wall_now()));
    classify(head.status.as_u16(), &headers, error.as_ref())
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

/// The future's output, or `None` once `by` has come.
async fn within<T>(by: Timestamp, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut timer = Timer::at(by);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await
}
