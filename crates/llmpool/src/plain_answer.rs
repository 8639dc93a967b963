//! Reads the body of a successful response to a request that asked for no stream, whatever its framing.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use llmpool_core::failure::{Failure, FailureKind, classify_in_stream};
use llmpool_core::framing::{self, EventCollector, Framing, HTML_PAGE};
use llmpool_core::provider_error::find_error_in_success;
use llmpool_core::sse::SseEvent;
use llmpool_core::stream_view::{StreamView, requested_choices};
use llmpool_core::time::Timestamp;

use crate::base_url;
use crate::call_deadlines::CallDeadlines;
use crate::clock::{self, Timer};
use crate::document_buffer::DocumentBuffer;
use crate::encoded_request::EncodedRequest;
use crate::endpoint::Endpoint;
use crate::report::Conversion;
use crate::stream::{RawEventStream, StreamLimits, UNREADABLE_EVENT, WITHOUT_CONTENT};
use crate::target::Target;
use crate::transport::Body;
use crate::unstreamed_answer::{self, Parts};

/// The document of an answer, and how it was made if it did not come as a document.
pub(crate) struct PlainAnswer {
    pub(crate) body: Bytes,
    pub(crate) converted: Option<Conversion>,
}

/// Reads a complete answer. Fails if the answer reports an error, cannot be read, or arrives too slowly.
pub(crate) async fn read(
    target: &Target,
    request: &EncodedRequest,
    body: Body,
    deadlines: &CallDeadlines,
) -> Result<PlainAnswer, Failure> {
    let is_generation = request.endpoint == Endpoint::Generation;
    // Looks at the request only if it must, since nearly all answers are ordinary documents.
    let view = || StreamView::new(target.format).with_choices(requested_choices(&request.body));
    let events = match read_bytes(body, deadlines, is_generation.then_some(&view)).await? {
        Read::Whole(bytes) => match document_of(request.endpoint, bytes)? {
            Found::Document(answer) => return Ok(answer),
            Found::Events(events) => event_stream(None, view(), deadlines).with_events(events),
        },
        Read::Stream { begun, rest } => {
            let mut events = event_stream(Some(rest), view(), deadlines);
            events.push(begun)?;
            events
        }
    };
    // Boxed, so that the ordinary case needs less memory.
    Box::pin(collect(events, EventCollector::new(target.format))).await
}

/// Reads the bytes of a body, whatever they are.
pub(crate) async fn read_body(body: Body, deadlines: &CallDeadlines) -> Result<Bytes, Failure> {
    match read_bytes(body, deadlines, None).await? {
        Read::Whole(bytes) | Read::Stream { begun: bytes, .. } => Ok(bytes),
    }
}

enum Read {
    Whole(Bytes),
    /// The body turned out to be a stream of events. `begun` is what has been read of it.
    Stream {
        begun: Bytes,
        rest: Body,
    },
}

/// Reads a body to its end or, if it may be a stream of events, until it turns out to be one. `view` returns the state
/// of this stream before its first event.
async fn read_bytes(
    mut body: Body,
    deadlines: &CallDeadlines,
    view: Option<&(dyn Fn() -> StreamView + Sync)>,
) -> Result<Read, Failure> {
    let mut buffer = DocumentBuffer::default();
    let mut timer = Timer::default();
    let end_of = |start: Timestamp, span: Option<Duration>| span.map_or(Timestamp::MAX, |span| start + span);
    let mut arrived = clock::now();
    loop {
        let idle_by = end_of(arrived, deadlines.timeouts.idle);
        let complete_by = end_of(arrived, buffer.grace());
        let late_by = idle_by.min(deadlines.deadline);
        timer.set(complete_by.min(late_by));
        let piece = poll_fn(|cx| match body.poll_data(cx) {
            Poll::Ready(piece) => Poll::Ready(Some(piece)),
            Poll::Pending => timer.poll(cx).map(|()| None),
        })
        .await;
        match piece {
            Some(Some(Ok(piece))) => {
                buffer.push(piece)?;
                if view.is_some() && buffer.framing() == Some(Framing::Events) {
                    let begun = buffer.finish();
                    return Ok(Read::Stream { begun, rest: body });
                }
                arrived = clock::now();
                continue;
            }
            Some(None) => return Ok(Read::Whole(buffer.finish())),
            // A body that is lost after a complete answer loses nothing.
            Some(Some(Err(_))) if buffer.has_whole_documents() => {}
            Some(Some(Err(error))) => return Err(error.failure()),
            None if complete_by <= clock::now() => {
                if !buffer.is_complete_after_grace(view.map(|view| view()).as_ref()) {
                    continue;
                }
            }
            None if buffer.has_whole_documents() => {}
            None if idle_by < deadlines.deadline => return Err(Failure::new(FailureKind::IdleTimeout)),
            None => return Err(Failure::new(FailureKind::DeadlineExceeded)),
        }
        return Ok(Read::Whole(buffer.finish()));
    }
}

fn event_stream(body: Option<Body>, view: StreamView, deadlines: &CallDeadlines) -> RawEventStream {
    let limits = StreamLimits {
        first_content_at: None,
        idle: deadlines.timeouts.idle,
        deadline: deadlines.deadline,
    };
    RawEventStream::new(body, view, limits, None)
}

/// Collects the events of a stream into a document.
async fn collect(mut events: RawEventStream, mut collector: EventCollector) -> Result<PlainAnswer, Failure> {
    let invalid = |detail| Failure::new(FailureKind::InvalidResponse).with_detail(detail);
    while let Some(event) = events.next_event().await {
        let event = event?;
        // An error is passed on as an event only after a complete answer.
        if event.flags.error {
            continue;
        }
        let pushed = collector.push(&event.event.data);
        // After a complete answer, an unreadable event takes nothing away.
        if pushed.is_err() && !events.view().is_complete() {
            return Err(invalid(UNREADABLE_EVENT));
        }
    }
    // An answer without content that was paid for is a document without output, which is not requested again.
    let (view, document) = (events.view(), collector.finish());
    let document = document.filter(|_| view.has_content() || view.is_billed());
    Ok(PlainAnswer {
        body: document.ok_or_else(|| invalid(WITHOUT_CONTENT))?.into(),
        converted: Some(Conversion::EventsToDocument),
    })
}

/// What the body of an answer is made of.
enum Found {
    Document(PlainAnswer),
    Events(Vec<SseEvent>),
}

/// Finds the document that a body consists of, or its events. Fails if the document reports an error, or if there is
/// nothing to read.
fn document_of(endpoint: Endpoint, body: Bytes) -> Result<Found, Failure> {
    let found = |body, converted| Ok(Found::Document(PlainAnswer { body, converted }));
    // Some providers return the model list as a bare array.
    let is_list = endpoint == Endpoint::Models && is_list(&body);
    if framing::is_ordinary_document(&body) || is_list {
        return match find_error_in_success(&body) {
            Some(error) => Err(classify_in_stream(&error)),
            None => found(body, None),
        };
    }
    match unstreamed_answer::parts(&body)? {
        Parts::Document(document) if document.len() == body.trim_ascii().len() => found(body, None),
        Parts::Document(document) => found(document, Some(Conversion::Trimmed)),
        Parts::Events(events) if endpoint == Endpoint::Generation => Ok(Found::Events(events)),
        Parts::Events(_) => {
            Err(Failure::new(FailureKind::UnusableAnswer).with_detail("more than one document"))
        }
    }
}

fn is_list(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    body.starts_with(b"[") && body.ends_with(b"]")
}

/// Says what to do about an answer that comes from another place than the API if the base URL is likely to be wrong: an
/// HTML page, or status 404 or 405 without a code or a message that says what is missing.
pub(crate) fn with_base_url_hint(target: &Target, failure: Failure) -> Failure {
    let is_page = failure.detail() == Some(HTML_PAGE);
    let is_missing = failure.kind == FailureKind::InvalidRequest
        && matches!(failure.status, Some(404 | 405))
        && failure.code.as_deref().is_none_or(|code| code == "404");
    // A model or a deployment may be missing at a URL that is right.
    let message = failure
        .message
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let names_a_model = message.contains("model") || message.contains("deployment");
    let has_own_path = target.base_url.contains('?') || target.base_url.contains("/deployments/");
    if !is_page && (!is_missing || names_a_model || has_own_path) {
        return failure;
    }
    let Some(url) = base_url::suggested(&target.base_url) else {
        return failure;
    };
    let lacks_version = url.len() > target.base_url.len();
    let detail = match (is_page, lacks_version) {
        (true, true) => "an HTML page (is /v1 missing in base_url?)",
        (true, false) => "an HTML page (is base_url correct?)",
        (false, true) => "no such URL (is /v1 missing in base_url?)",
        (false, false) => "no such URL (is base_url correct?)",
    };
    let help = format!("set base_url to {}", base_url::redacted(&url));
    failure.with_detail(detail).with_help(help)
}
