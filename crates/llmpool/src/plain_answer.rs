//! Reads the body of a successful response to a request that asked for no stream, whatever its framing.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use llmpool_core::failure::{Failure, FailureKind, classify_in_stream};
use llmpool_core::framing::{self, EventCollector, Framing, HTML_PAGE};
use llmpool_core::provider_error::find_error_in_success;
use llmpool_core::sse::SseEvent;
use llmpool_core::stream_view::StreamView;
use llmpool_core::time::Timestamp;

use crate::base_url;
use crate::call_deadlines::CallDeadlines;
use crate::clock::{self, Timer};
use crate::document_buffer::DocumentBuffer;
use crate::endpoint::Endpoint;
use crate::report::Conversion;
use crate::stream::{RawEventStream, StreamLimits, UNREADABLE_EVENT};
use crate::target::Target;
use crate::transport::Body;
use crate::unstreamed_answer;

/// The document of an answer, and how it was made if it did not come as a document.
pub(crate) struct PlainAnswer {
    pub(crate) body: Bytes,
    pub(crate) converted: Option<Conversion>,
}

/// Reads a complete answer. Fails if the answer reports an error, cannot be read, or arrives too slowly.
pub(crate) async fn read(
    target: &Target,
    endpoint: Endpoint,
    body: Body,
    deadlines: &CallDeadlines,
) -> Result<PlainAnswer, Failure> {
    let may_be_stream = endpoint == Endpoint::Generation;
    match read_bytes(body, deadlines, may_be_stream).await? {
        Read::Whole(bytes) => document_of(target, endpoint, bytes),
        // Boxed, so that the ordinary case needs less memory.
        Read::Stream { begun, rest } => Box::pin(collect(target, begun, rest, deadlines)).await,
    }
}

/// Reads the bytes of a body, whatever they are.
pub(crate) async fn read_body(body: Body, deadlines: &CallDeadlines) -> Result<Bytes, Failure> {
    match read_bytes(body, deadlines, false).await? {
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

/// Reads a body to its end or, if `may_be_stream` is set, until it turns out to be a stream of events.
async fn read_bytes(mut body: Body, deadlines: &CallDeadlines, may_be_stream: bool) -> Result<Read, Failure> {
    let mut buffer = DocumentBuffer::default();
    let mut timer = Timer::default();
    let end_of = |start: Timestamp, span: Option<Duration>| span.map_or(Timestamp::MAX, |span| start + span);
    let mut arrived = clock::now();
    loop {
        let idle_by = end_of(arrived, deadlines.timeouts.idle);
        let complete_by = end_of(arrived, buffer.grace());
        timer.set(idle_by.min(complete_by).min(deadlines.deadline));
        let piece = poll_fn(|cx| match body.poll_data(cx) {
            Poll::Ready(piece) => Poll::Ready(Some(piece)),
            Poll::Pending => timer.poll(cx).map(|()| None),
        })
        .await;
        match piece {
            Some(Some(Ok(piece))) => {
                buffer.push(piece)?;
                if may_be_stream && buffer.framing() == Some(Framing::Events) {
                    let begun = buffer.finish();
                    return Ok(Read::Stream { begun, rest: body });
                }
                arrived = clock::now();
            }
            Some(None) => return Ok(Read::Whole(buffer.finish())),
            // A body that is lost after a complete answer loses nothing.
            Some(Some(Err(_))) if buffer.is_complete() => return Ok(Read::Whole(buffer.finish())),
            Some(Some(Err(_))) => return Err(Failure::new(FailureKind::ConnectionLost)),
            None if complete_by <= clock::now() => {
                if buffer.is_complete_after_grace() {
                    return Ok(Read::Whole(buffer.finish()));
                }
            }
            None if idle_by < deadlines.deadline => return Err(Failure::new(FailureKind::IdleTimeout)),
            None => return Err(Failure::new(FailureKind::DeadlineExceeded)),
        }
    }
}

/// Collects the events of a stream into a document.
async fn collect(
    target: &Target,
    begun: Bytes,
    rest: Body,
    deadlines: &CallDeadlines,
) -> Result<PlainAnswer, Failure> {
    let limits = StreamLimits {
        first_content_at: deadlines.deadline,
        idle: deadlines.timeouts.idle,
        deadline: deadlines.deadline,
    };
    let mut events = RawEventStream::new(rest, StreamView::new(target.format), limits, None);
    events.push(begun)?;
    let mut collector = EventCollector::new(target.format);
    while let Some(event) = events.next_event().await {
        push(&mut collector, &event?.event)?;
    }
    document(collector)
}

fn push(collector: &mut EventCollector, event: &SseEvent) -> Result<(), Failure> {
    collector
        .push(&event.data)
        .map_err(|_| Failure::new(FailureKind::InvalidResponse).with_detail(UNREADABLE_EVENT))
}

fn document(collector: EventCollector) -> Result<PlainAnswer, Failure> {
    let failure =
        || Failure::new(FailureKind::InvalidResponse).with_detail("the stream ended without content");
    Ok(PlainAnswer {
        body: collector.finish().ok_or_else(failure)?.into(),
        converted: Some(Conversion::EventsToDocument),
    })
}

/// Returns the document that a body contains. Fails if the document reports an error, or if there is none.
fn document_of(target: &Target, endpoint: Endpoint, body: Bytes) -> Result<PlainAnswer, Failure> {
    // Some providers return the model list as a bare array.
    let is_list = endpoint == Endpoint::Models && is_list(&body);
    if framing::is_ordinary_document(&body) || is_list {
        return match find_error_in_success(&body) {
            Some(error) => Err(classify_in_stream(&error)),
            None => Ok(PlainAnswer {
                body,
                converted: None,
            }),
        };
    }
    let trimmed = body.trim_ascii();
    let documents = unstreamed_answer::documents(&body)?;
    match &documents[..] {
        [document] => Ok(PlainAnswer {
            converted: (document.len() != trimmed.len()).then_some(Conversion::Trimmed),
            body: if document.len() == trimmed.len() {
                body
            } else {
                document.clone()
            },
        }),
        events => {
            let mut view = StreamView::new(target.format);
            let mut collector = EventCollector::new(target.format);
            for data in events {
                let event = SseEvent {
                    data: data.clone(),
                    name: None,
                };
                view.observe(&event);
                push(&mut collector, &event)?;
            }
            if !view.is_complete() {
                return Err(Failure::new(FailureKind::Truncated));
            }
            document(collector)
        }
    }
}

fn is_list(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    body.starts_with(b"[") && body.ends_with(b"]")
}

/// Says what to do about an HTML page, where the base URL is likely to be wrong.
pub(crate) fn with_base_url_hint(target: &Target, failure: Failure) -> Failure {
    if failure.detail() != Some(HTML_PAGE) {
        return failure;
    }
    let Some(url) = base_url::suggested(&target.base_url) else {
        return failure;
    };
    let lacks_version = url.len() > target.base_url.len();
    let detail = if lacks_version {
        "an HTML page (is /v1 missing in base_url?)"
    } else {
        "an HTML page (is base_url correct?)"
    };
    let help = format!("set base_url to {}", base_url::redacted(&url));
    failure.with_detail(detail).with_help(help)
}
