//! The events of one streamed answer: what the transport delivers, classified, under the timeouts of the call.
//!
//! Invariant: the permit is held until the last byte and no longer. The stream ends without an error only after a terminal signal.
//! Time during which the caller does not poll does not count against the provider.

use std::task::{Context, Poll};
use std::time::Duration;

use llmpool_core::api_format::ApiFormat;
use llmpool_core::failure::{Failure, FailureKind, classify_in_stream};
use llmpool_core::provider_error::ProviderError;
use llmpool_core::sse::{SseDecoder, SseEvent};
use llmpool_core::stream_view::{EventFlags, EventRepeat, StreamView};
use llmpool_core::time::Timestamp;

use crate::affinity::AffinityRecorder;
use crate::clock::{self, Timer};
use crate::tokens::StreamPermit;
use crate::transport::Body;

/// Limit on the size of one event, in bytes.
const MAX_EVENT_BYTES: usize = 16 << 20;
/// How long usage may follow the last finish reason.
const USAGE_GRACE: Duration = Duration::from_secs(10);
/// How long the end of the body may follow `[DONE]`. The connection can be reused only after it.
const END_GRACE: Duration = Duration::from_secs(1);

/// One event of a streamed answer, with its classification.
#[derive(Debug)]
#[non_exhaustive]
pub struct RawEvent {
    /// The event, unchanged.
    pub event: SseEvent,
    /// Facts about the event.
    pub flags: EventFlags,
    /// For the decoder: set if the event equals an earlier one except for a few values.
    pub(crate) repeat: Option<EventRepeat>,
}

/// The events of one answer.
pub(crate) struct RawEventStream {
    body: Option<Body>,
    decoder: SseDecoder,
    view: StreamView,
    permit: Option<StreamPermit>,
    recorder: Option<AffinityRecorder>,
    limits: StreamLimits,
    /// When the wait for the provider began.
    waiting_since: Option<Timestamp>,
    /// When the wait for what may follow the terminal signal began.
    complete_since: Option<Timestamp>,
    timer: Timer,
}

/// Timeouts of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamLimits {
    pub(crate) first_content_at: Timestamp,
    pub(crate) idle: Option<Duration>,
    pub(crate) deadline: Timestamp,
}

impl RawEventStream {
    /// Creates a stream over the body of an answer. `recorder` records the resources that the answer creates.
    pub(crate) fn new(
        body: Body,
        api_format: ApiFormat,
        limits: StreamLimits,
        recorder: Option<AffinityRecorder>,
    ) -> Self {
        Self {
            body: Some(body),
            decoder: SseDecoder::new(MAX_EVENT_BYTES),
            view: StreamView::new(api_format),
            permit: None,
            recorder,
            limits,
            waiting_since: None,
            complete_since: None,
            timer: Timer::default(),
        }
    }

    /// Holds the permit until the end of the stream.
    pub(crate) fn hold(&mut self, permit: StreamPermit) {
        if self.body.is_some() {
            self.permit = Some(permit);
        }
    }

    /// Returns the state of the stream.
    pub(crate) fn view(&self) -> &StreamView {
        &self.view
    }

    pub(crate) async fn next_event(&mut self) -> Option<Result<RawEvent, Failure>> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Polls for the next event. Returns `None` after a proper end, and otherwise one failure before `None`.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RawEvent, Failure>>> {
        loop {
            match self.decoder.next_event() {
                Err(_) => return self.fail(Failure::new(FailureKind::InvalidResponse)),
                // The body is read to its end only so that the connection can be reused.
                Ok(Some(_)) if self.view.is_done() => continue,
                Ok(Some(event)) => return self.classify(event),
                Ok(None) => {}
            }
            let Some(body) = &mut self.body else {
                return Poll::Ready(None);
            };
            match body.poll_data(cx) {
                Poll::Ready(Some(Ok(piece))) => {
                    self.waiting_since = None;
                    self.decoder.push(piece);
                }
                Poll::Ready(None) => return self.end(FailureKind::Truncated),
                Poll::Ready(Some(Err(_))) => return self.end(FailureKind::ConnectionLost),
                Poll::Pending => {
                    let (deadline, kind) = self.next_timeout();
                    self.timer.set(deadline);
                    if self.timer.poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    return self.end(kind);
                }
            }
        }
    }

    fn classify(&mut self, event: SseEvent) -> Poll<Option<Result<RawEvent, Failure>>> {
        let observation = self.view.observe(&event);
        let flags = observation.flags;
        if flags.error {
            let error = ProviderError::parse(&event.data).unwrap_or_default();
            return self.fail(classify_in_stream(&error));
        }
        if flags.corrupt && !self.view.has_content() {
            return self.fail(Failure::new(FailureKind::InvalidResponse));
        }
        if flags.done {
            self.complete_since = None;
        }
        if flags.creates_resources
            && let Some(recorder) = &self.recorder
        {
            recorder.record(&event.data);
        }
        Poll::Ready(Some(Ok(RawEvent {
            event,
            flags,
            repeat: observation.repeat,
        })))
    }

    /// Returns the time until which to wait for the next byte, and the failure if none arrives.
    fn next_timeout(&mut self) -> (Timestamp, FailureKind) {
        let StreamLimits {
            first_content_at,
            idle,
            deadline,
        } = self.limits;
        let timeout = if self.view.is_complete() {
            let grace = if self.view.is_done() {
                END_GRACE
            } else {
                USAGE_GRACE
            };
            let since = *self.complete_since.get_or_insert_with(clock::now);
            (since + grace, FailureKind::IdleTimeout)
        } else if self.view.has_content() {
            let since = *self.waiting_since.get_or_insert_with(clock::now);
            let idle_at = idle.map_or(Timestamp::MAX, |idle| since + idle);
            (idle_at, FailureKind::IdleTimeout)
        } else {
            (first_content_at, FailureKind::FirstContentTimeout)
        };
        if deadline < timeout.0 {
            (deadline, FailureKind::DeadlineExceeded)
        } else {
            timeout
        }
    }

    /// Ends the stream: properly after a terminal signal, and otherwise with a failure of this kind.
    fn end(&mut self, otherwise: FailureKind) -> Poll<Option<Result<RawEvent, Failure>>> {
        if self.view.is_complete() {
            self.close();
            return Poll::Ready(None);
        }
        self.fail(Failure::new(otherwise))
    }

    fn fail(&mut self, failure: Failure) -> Poll<Option<Result<RawEvent, Failure>>> {
        self.close();
        Poll::Ready(Some(Err(failure)))
    }

    /// Closes the stream: drops the body and settles the permit. Every later poll returns `None`.
    pub(crate) fn close(&mut self) {
        self.body = None;
        if let Some(permit) = self.permit.take() {
            permit.end(self.view.usage().map(|json| &json[..]));
        }
        self.decoder = SseDecoder::new(MAX_EVENT_BYTES);
    }
}
