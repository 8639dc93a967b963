//! Reads the events of a streamed answer from the response body, classifies them, and enforces the timeouts
//! of the call.
//!
//! Invariants: the permit is released when the stream ends or is dropped. Dropping a stream in the middle of
//! an answer closes the connection at once; a stream whose end has arrived or is near gives it back to the
//! pool. A stream without a terminal event (`[DONE]`, for example) ends with an error. The idle timeout
//! starts when a poll finds no bytes to read, so that a caller that stops polling does not cause an idle
//! timeout.

use std::task::{Context, Poll};
use std::time::Duration;

use llmpool_core::failure::{Failure, FailureKind, classify_in_stream};
use llmpool_core::provider_error::ProviderError;
use llmpool_core::sse::{SseDecoder, SseEvent};
use llmpool_core::stream_view::{EventFlags, EventRepeat, StreamView};
use llmpool_core::time::Timestamp;

use crate::affinity::AffinityRecorder;
use crate::clock::{self, Timer};
use crate::tokens::StreamPermit;
use crate::transport::{Body, MAX_DRAIN_BYTES, MAX_DRAIN_TIME};

/// The maximum size of one event, in bytes. A larger event ends the stream with an error.
const MAX_EVENT_BYTES: usize = 16 << 20;
/// Why an answer is invalid that has an event which is not a JSON object of the expected shape.
pub(crate) const UNREADABLE_EVENT: &str = "an event cannot be read";
/// The maximum time to wait for the event with the usage once the answer is complete.
const USAGE_GRACE: Duration = Duration::from_secs(2);
/// The maximum time to wait for `[DONE]` or the end of the body once the answer is complete and its usage has
/// arrived.
const END_GRACE: Duration = Duration::from_millis(200);

/// One event of a streamed answer, with its classification.
#[derive(Debug)]
#[non_exhaustive]
pub struct RawEvent {
    /// The event as the provider sent it.
    pub event: SseEvent,
    /// What the event contains: content, usage, an error or the end of the answer.
    pub flags: EventFlags,
    /// Set if the event equals an earlier event except for a few values: the positions of these values. With
    /// the positions, the decoder avoids parsing the whole event.
    pub(crate) repeat: Option<EventRepeat>,
}

/// The stream of the events of one answer. Holds the permit of the attempt until the stream ends.
pub(crate) struct RawEventStream {
    body: Option<Body>,
    decoder: SseDecoder,
    view: StreamView,
    permit: Option<StreamPermit>,
    recorder: Option<AffinityRecorder>,
    limits: StreamLimits,
    /// The time at which the stream began to wait for more bytes, which is when the idle timeout starts.
    /// `None` before the first content, and while bytes are arriving.
    waiting_since: Option<Timestamp>,
    /// After the answer was complete: for how long the stream waits for what may still come, and when this
    /// wait began.
    ending: Option<(Duration, Timestamp)>,
    /// The number of bytes that were read after `[DONE]`, only to reach the end of the body.
    drained: usize,
    timer: Timer,
}

/// The time limits of a stream: the deadlines for its first content and its end, and the maximum time without
/// new bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamLimits {
    pub(crate) first_content_at: Timestamp,
    pub(crate) idle: Option<Duration>,
    pub(crate) deadline: Timestamp,
}

impl RawEventStream {
    /// Creates a stream of the events in `body`. `view` is the state before the first event. `recorder` records
    /// the resources that the answer creates, such as a stored response.
    pub(crate) fn new(
        body: Body,
        view: StreamView,
        limits: StreamLimits,
        recorder: Option<AffinityRecorder>,
    ) -> Self {
        Self {
            body: Some(body),
            decoder: SseDecoder::new(MAX_EVENT_BYTES),
            view,
            permit: None,
            recorder,
            limits,
            waiting_since: None,
            ending: None,
            drained: 0,
            timer: Timer::default(),
        }
    }

    /// Holds the permit until the stream ends or is dropped. If the stream has already ended, releases the
    /// permit at once.
    pub(crate) fn hold(&mut self, permit: StreamPermit) {
        if self.body.is_some() {
            self.permit = Some(permit);
        }
    }

    /// Returns what the events so far have revealed: whether content arrived, the usage, and whether the
    /// answer is complete.
    pub(crate) fn view(&self) -> &StreamView {
        &self.view
    }

    pub(crate) async fn next_event(&mut self) -> Option<Result<RawEvent, Failure>> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Polls for the next event. At the end of a complete answer, returns `None`. If the answer fails,
    /// returns one failure and then `None`.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RawEvent, Failure>>> {
        loop {
            match self.decoder.next_event() {
                Err(_) => {
                    let detail = format!("an event is larger than {} MiB", MAX_EVENT_BYTES >> 20);
                    return self.fail(Failure::new(FailureKind::UnusableAnswer).with_detail(detail));
                }
                // The rest of the body is only read to its end, so that the connection can be reused.
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
                    if self.view.is_done() {
                        self.drained += piece.len();
                        if self.drained > MAX_DRAIN_BYTES {
                            return self.end(FailureKind::Truncated);
                        }
                    }
                    self.decoder.push(piece);
                }
                Poll::Ready(None) => match self.decoder.take_unfinished() {
                    Some(event) if !self.view.is_done() => return self.classify(event),
                    _ => return self.end(FailureKind::Truncated),
                },
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
            return self.fail(Failure::new(FailureKind::InvalidResponse).with_detail(UNREADABLE_EVENT));
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

    /// Returns the deadline for the next byte, and the kind of failure if no byte arrives before that
    /// deadline.
    fn next_timeout(&mut self) -> (Timestamp, FailureKind) {
        let StreamLimits {
            first_content_at,
            idle,
            deadline,
        } = self.limits;
        let timeout = if self.view.is_complete() {
            let grace = if self.view.is_done() {
                MAX_DRAIN_TIME
            } else if self.view.usage().is_some() {
                END_GRACE
            } else {
                USAGE_GRACE
            };
            let started = self.ending.filter(|(other, _)| *other == grace);
            let (_, since) = *self
                .ending
                .insert(started.unwrap_or_else(|| (grace, clock::now())));
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

    /// Ends the stream: without an error if the answer is complete, otherwise with a failure of the kind
    /// `otherwise`.
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

    /// Closes the stream: drops the body, replaces the reserved tokens by the reported usage, and releases
    /// the permit. All later polls return `None`.
    pub(crate) fn close(&mut self) {
        self.body = None;
        if let Some(permit) = self.permit.take() {
            permit.end(&self.view);
        }
        self.decoder = SseDecoder::new(MAX_EVENT_BYTES);
    }
}

impl Drop for RawEventStream {
    fn drop(&mut self) {
        self.observe_arrived();
        if let Some(permit) = self.permit.take() {
            permit.abandon(&self.view);
        }
        if let Some(body) = self.body.take()
            && self.view.is_complete()
        {
            body.drain_in_background(MAX_DRAIN_BYTES.saturating_sub(self.drained));
        }
    }
}

impl RawEventStream {
    /// Observes the events that have already arrived, up to [`MAX_DRAIN_BYTES`]. They may contain the usage,
    /// and reading the end of the body gives its connection back to the pool. Waits for nothing.
    fn observe_arrived(&mut self) {
        loop {
            while let Ok(Some(event)) = self.decoder.next_event() {
                self.view.observe(&event);
            }
            let Some(body) = &mut self.body else { return };
            match body.try_data() {
                Poll::Ready(Some(Ok(piece))) if self.drained + piece.len() <= MAX_DRAIN_BYTES => {
                    self.drained += piece.len();
                    self.decoder.push(piece);
                }
                Poll::Ready(end) => {
                    if end.is_none()
                        && let Some(event) = self.decoder.take_unfinished()
                    {
                        self.view.observe(&event);
                    }
                    self.body = None;
                    return;
                }
                Poll::Pending => return,
            }
        }
    }
}
