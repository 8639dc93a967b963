//! One attempt of a call: sends a request over a connection and reads the response, up to the first content
//! of a stream or to the end of another response.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Method, Request, header, response};
use http_body_util::Full;
use llmpool_core::failure::{Failure, FailureKind, classify};
use llmpool_core::limits::KeyId;
use llmpool_core::provider_error::ProviderError;
use llmpool_core::rate_headers::ErrorHeaders;
use llmpool_core::stream_view::{StreamView, requested_choices};
use llmpool_core::time::Timestamp;

use crate::account_header;
use crate::affinity::AffinityRecorder;
use crate::call_deadlines::CallDeadlines;
use crate::clock::{self, Timer};
use crate::encoded_request::EncodedRequest;
use crate::endpoint::Endpoint;
use crate::limits::Permit;
use crate::misdirected;
use crate::plain_answer::{self, PlainAnswer};
use crate::report::Conversion;
use crate::stream::{RawEvent, RawEventStream, StreamLimits, WITHOUT_CONTENT};
use crate::target::Target;
use crate::transport::{self, Body, SendError};
use crate::unreadable;

/// Number of bytes after which reading the body of an error response stops.
const MAX_ERROR_BODY: usize = 64 << 10;
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

/// The response of a successful attempt.
pub(crate) enum AttemptResponse {
    /// A response that is not streamed, with its complete body. For a streamed call, a complete answer without
    /// output, which was paid for.
    Complete {
        head: ResponseHead,
        body: Bytes,
        converted: Option<Conversion>,
    },
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

impl ResponseHead {
    /// Adds what is known from the head of the response to the failure of its body.
    fn failure(self, target: &Target, failure: Failure) -> Failure {
        let request_id = failure.request_id.clone().or(self.request_id);
        plain_answer::with_base_url_hint(
            target,
            Failure {
                status: Some(self.status),
                request_id,
                ..failure
            },
        )
    }
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
    let first_content_at = end_of(admitted, deadlines.timeouts.first_content).min(deadlines.deadline);
    let (head, body) = send(target, permit, request, deadlines, admitted, first_content_at).await?;
    account_header::record(&target.provider, permit.key(), &head.headers);
    let affinity = AffinityRecorder::new(target, permit.key());
    if !head.status.is_success() {
        let failure = read_failure(&head, body, deadlines).await;
        return Err(plain_answer::with_base_url_hint(target, failure));
    }
    let response_head = ResponseHead {
        status: head.status.as_u16(),
        request_id: request_id(&head.headers),
    };
    if request.stream {
        let limits = StreamLimits {
            first_content_at: Some(first_content_at),
            idle: deadlines.timeouts.idle,
            deadline: deadlines.deadline,
        };
        let view = StreamView::new(target.format).with_choices(requested_choices(&request.body));
        let events = Box::new(RawEventStream::new(Some(body), view, limits, affinity));
        let max_prefix = MAX_PREFIX + MAX_ECHOES * request.body.len();
        return first_content(target, response_head, events, max_prefix).await;
    }
    let answer = plain_answer::read(target, request, body, deadlines);
    match answer.await {
        Ok(PlainAnswer { body, converted }) => {
            if let Some(affinity) = affinity {
                affinity.record(&body);
            }
            Ok(AttemptResponse::Complete {
                head: response_head,
                body,
                converted,
            })
        }
        Err(failure) => Err(response_head.failure(target, failure)),
    }
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
            None => return Err(connect_timeout(target, deadlines, now)),
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
            Some(Err(error)) => return Err(send_failure(target, &error)),
        }
    }
    Err(Failure::new(FailureKind::Connect))
}

/// Returns the failure of an attempt for which no connection was open in time. `since`: when it began to wait.
#[cold]
fn connect_timeout(target: &Target, deadlines: &CallDeadlines, since: Timestamp) -> Failure {
    let kind = if end_of(since, deadlines.timeouts.connect) < deadlines.deadline {
        FailureKind::ConnectTimeout
    } else {
        FailureKind::DeadlineExceeded
    };
    let (party, waited) = (target.connections.party(), clock::now().since(since));
    let detail = format!("no connection to {party} within {:.1} s", waited.as_secs_f64());
    Failure::new(kind).with_detail(detail)
}

#[cold]
fn send_failure(target: &Target, error: &SendError) -> Failure {
    match error {
        SendError::NotSent => Failure::new(FailureKind::Connect),
        SendError::StaleConnection => Failure::new(FailureKind::DeadConnection),
        SendError::HeadTooLarge => Failure::new(FailureKind::UnusableAnswer)
            .with_detail("the answer has more than 1024 headers, or more than 400 KiB of them"),
        SendError::SpeaksTls => misdirected::expects_tls(&target.connections.party()),
        SendError::NotHttp(begun) => misdirected::not_http(&target.connections.party(), begun),
        SendError::UnreadableHead => {
            Failure::new(FailureKind::InvalidResponse).with_detail("an HTTP header that cannot be read")
        }
        SendError::ConnectionLost => Failure::new(FailureKind::ConnectionLost),
    }
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
    target: &Target,
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
                    return without_content(target, head, &events, &prefix, ended_without_content());
                }
                prefix.push(event);
                if is_visible || buffered > max_prefix {
                    return Ok(AttemptResponse::Stream { head, prefix, events });
                }
            }
            Some(Err(failure)) if events.document().is_some() && is_without_end(&failure) => {
                return without_content(target, head, &events, &prefix, failure);
            }
            Some(Err(failure)) => return Err(head.failure(target, failure)),
            // The answer is complete, and no event had content.
            None => return without_content(target, head, &events, &prefix, ended_without_content()),
        }
    }
}

/// Returns whether a document became no events, or no event that ends a stream.
fn is_without_end(failure: &Failure) -> bool {
    matches!(
        failure.kind,
        FailureKind::InvalidResponse | FailureKind::Truncated
    )
}

fn ended_without_content() -> Failure {
    Failure::new(FailureKind::InvalidResponse).with_detail(WITHOUT_CONTENT)
}

/// Returns the result of an attempt whose stream ended without content: `failure`, after which the call can make
/// another attempt, or the answer as a document if it was paid for.
#[cold]
fn without_content(
    target: &Target,
    head: ResponseHead,
    events: &RawEventStream,
    prefix: &[RawEvent],
    failure: Failure,
) -> Result<AttemptResponse, Failure> {
    match unreadable::billed_document(events, prefix) {
        Some(body) => Ok(AttemptResponse::Complete {
            head,
            body,
            converted: None,
        }),
        None => Err(head.failure(target, failure)),
    }
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

fn request_id(headers: &HeaderMap) -> Option<String> {
    static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    headers
        .get(&REQUEST_ID)
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
