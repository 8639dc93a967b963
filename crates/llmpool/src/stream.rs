//! The frames of one streamed answer: what the transport brings, event by event, with its side view and its timeouts.
//!
//! Always true: the permit is held to the last byte and no longer; the stream ends cleanly only after a terminal signal; time
//! in which nobody asks for the next frame is not the provider's.

use std::task::{Context, Poll};
use std::time::Duration;

use llmpool_core::api_format::ApiFormat;
use llmpool_core::failure::{Failure, FailureKind, classify_in_stream};
use llmpool_core::provider_error::ProviderError;
use llmpool_core::sse::{SseDecoder, SseEvent};
use llmpool_core::stream_view::{EventFlags, StreamView};
use llmpool_core::time::Timestamp;

use crate::affinity::AffinityRecorder;
use crate::clock::{self, Timer};
use crate::tokens::StreamPermit;
use crate::transport::Body;

/// The longest event that is read.
const LONGEST_EVENT: usize = 16 << 20;
/// How long usage may come after the last finish reason.
const USAGE_GRACE: Duration = Duration::from_secs(10);
/// How long the end of the body may come after `[DONE]`; with it the connection can be used again.
const END_GRACE: Duration = Duration::from_secs(1);

/// One event of a streamed answer, and what it shows.
#[derive(Debug)]
pub struct RawEvent {
    /// The event as it came.
    pub event: SseEvent,
    /// What it shows without being decoded.
    pub flags: EventFlags,
}

/// The frames of one answer.
pub(crate) struct RawEventStream {
    body: Option<Body>,
    decoder: SseDecoder,
    view: StreamView,
    permit: Option<StreamPermit>,
    maker: Option<AffinityRecorder>,
    limits: StreamLimits,
    /// Since when we have been waiting for the provider.
    waiting_since: Option<Timestamp>,
    /// Since when we have been waiting for what may still come after the terminal signal.
    complete_at: Option<Timestamp>,
    timer: Timer,
}

/// When a stream is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamLimits {
    pub(crate) first_content_at: Timestamp,
    pub(crate) idle: Option<Duration>,
    pub(crate) deadline: Timestamp,
}

impl RawEventStream {
    /// `maker` notes what the stream says was made.
    pub(crate) fn new(
        body: Body,
        wire: ApiFormat,
        limits: StreamLimits,
        maker: Option<AffinityRecorder>,
    ) -> Self {
        Self {
            body: Some(body),
            decoder: SseDecoder::new(LONGEST_EVENT),
            view: StreamView::new(wire),
            permit: None,
            maker,
            limits,
            waiting_since: None,
            complete_at: None,
            timer: Timer::default(),
        }
    }

    /// Keeps the permit until the end of the stream.
    pub(crate) fn hold(&mut self, permit: StreamPermit) {
        if self.body.is_some() {
            self.permit = Some(permit);
        }
    }

    /// What has been seen so far.
    pub(crate) fn view(&self) -> &StreamView {
        &self.view
    }

    pub(crate) async fn next_frame(&mut self) -> Option<Result<RawEvent, Failure>> {
        std::future::poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// The next frame; `None` after a clean end, an error once where there was none.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RawEvent, Failure>>> {
        loop {
            match self.decoder.next_event() {
                Err(_) => return self.fail(Failure::new(FailureKind::InvalidResponse)),
                // What comes behind [DONE] is read for the connection's sake only.
                Ok(Some(_)) if self.view.is_done() => continue,
                Ok(Some(event)) => return self.show(event),
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
                    let (until, kind) = self.patience();
                    self.timer.set(until);
                    if self.timer.poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    return self.end(kind);
                }
            }
        }
    }

    fn show(&mut self, event: SseEvent) -> Poll<Option<Result<RawEvent, Failure>>> {
        let flags = self.view.see(&event);
        if flags.error {
            let error = ProviderError::parse(&event.data).unwrap_or_default();
            return self.fail(classify_in_stream(&error));
        }
        if flags.corrupt && !self.view.has_content() {
            return self.fail(Failure::new(FailureKind::InvalidResponse));
        }
        if flags.done {
            self.complete_at = None;
        }
        if flags.creates_resources
            && let Some(maker) = &self.maker
        {
            maker.note(&event.data);
        }
        Poll::Ready(Some(Ok(RawEvent { event, flags })))
    }

    /// Until when we wait for the next byte, and what it is called if none comes.
    fn patience(&mut self) -> (Timestamp, FailureKind) {
        let StreamLimits {
            first_content_at,
            idle,
            deadline,
        } = self.limits;
        let complete = self.view.is_complete();
        let complete_at = complete.then(|| *self.complete_at.get_or_insert_with(clock::now));
        let by = match complete_at {
            Some(at) => (
                at + if self.view.is_done() {
                    END_GRACE
                } else {
                    USAGE_GRACE
                },
                FailureKind::IdleTimeout,
            ),
            None if !self.view.has_content() => (first_content_at, FailureKind::FirstContentTimeout),
            None => {
                let since = *self.waiting_since.get_or_insert_with(clock::now);
                (
                    idle.map_or(Timestamp::MAX, |idle| since + idle),
                    FailureKind::IdleTimeout,
                )
            }
        };
        if deadline < by.0 {
            (deadline, FailureKind::DeadlineExceeded)
        } else {
            by
        }
    }

    /// No more will come: an end where a terminal signal was seen, a failure otherwise.
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

    pub(crate) fn close(&mut self) {
        self.body = None;
        if let Some(permit) = self.permit.take() {
            permit.end(self.view.usage().map(|json| &json[..]));
        }
        self.decoder = SseDecoder::new(LONGEST_EVENT);
    }
}
