//! Runs calls whose answers are returned undecoded, as bytes. Permits, retries and reports work as for all
//! other calls.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use llmpool_core::chat::Usage;
use llmpool_core::failure::{Failure, FailureKind};
use llmpool_core::time::Timestamp;

use crate::call::{self, CallOutcome};
use crate::clock;
use crate::encoded_request::RequestEncoder;
use crate::error::Error;
use crate::exchange::AttemptResponse;
use crate::options::CallOptions;
use crate::provider::Provider;
use crate::report::CallReport;
use crate::stream::{RawEvent, RawEventStream, UNREADABLE_EVENT};
use crate::target_handle::TargetHandle;
use crate::tokens;
use crate::unreadable;
use crate::watched_call::WatchedCall;

/// A complete, undecoded answer, and the report of the call.
///
/// `Debug` shows the size of the body and not its text, which may repeat a prompt.
#[derive(Clone)]
#[non_exhaustive]
pub struct RawResponse {
    /// The body of the response, without content coding. Exactly as the provider sent it unless
    /// [`CallReport::converted`] is set.
    pub body: Bytes,
    /// The report of the call: its attempts, the time it waited for permits, and its token usage.
    pub report: CallReport,
}

/// A stream of the undecoded events of one answer, each with its classification. The stream ends after its
/// first error.
///
/// Dropping the stream closes the connection and releases the key.
pub struct RawStream {
    provider: Arc<Provider>,
    /// The events that arrived before the stream was returned to the caller: all events up to the first
    /// content.
    prefix: VecDeque<RawEvent>,
    events: Box<RawEventStream>,
    report: CallReport,
    started: Timestamp,
    /// The body of the request. If the provider reports no usage, the number of prompt tokens is estimated
    /// from this body.
    request_body: Bytes,
    ended: bool,
    /// The receiver of the end of the call. `None` if the call is neither observed nor logged, and after its end.
    watched: Option<Box<WatchedCall>>,
}

/// A complete answer that is not yet decoded, with the body of its request and the report of the call.
pub(crate) struct CompleteAnswer {
    pub(crate) body: Bytes,
    pub(crate) request_body: Bytes,
    pub(crate) report: CallReport,
    watched: Option<Box<WatchedCall>>,
}

impl CompleteAnswer {
    /// Decodes the body with `decode`. If `decode` returns the reason why it cannot, fails with
    /// [`FailureKind::InvalidResponse`] and that reason.
    pub(crate) fn decode<T>(
        &mut self,
        decode: impl FnOnce(&[u8]) -> Result<T, Cow<'static, str>>,
    ) -> Result<T, Error> {
        decode(&self.body).map_err(|reason| {
            let failure = Failure::new(FailureKind::InvalidResponse).with_detail(reason);
            self.fail(failure)
        })
    }

    /// Ends the call, because its answer cannot be used, and returns its error.
    #[cold]
    pub(crate) fn fail(&mut self, failure: Failure) -> Error {
        failed(failure, std::mem::take(&mut self.report), self.watched.take())
    }

    /// Ends the call with success, and returns its report.
    pub(crate) fn finish(self) -> CallReport {
        if let Some(watched) = self.watched {
            watched.succeed(&self.report);
        }
        self.report
    }

    /// Records `usage`, the usage that the provider reported. If `usage` is `None`, records an estimate.
    pub(crate) fn note_usage(&mut self, usage: Option<Usage>) {
        self.report.note_usage(usage.as_ref(), || {
            tokens::estimated_plain(&self.request_body, &self.body)
        });
    }
}

/// Runs a call until its answer is complete.
pub(crate) async fn complete(
    handle: &TargetHandle,
    encoder: &dyn RequestEncoder,
    options: &CallOptions,
) -> Result<CompleteAnswer, Error> {
    let outcome = call::run(handle, encoder, options).await?;
    match outcome.response {
        AttemptResponse::Complete { body, .. } => Ok(CompleteAnswer {
            body,
            request_body: outcome.request_body,
            report: outcome.report,
            watched: outcome.watched,
        }),
        AttemptResponse::Stream { .. } => Err(unexpected_stream(outcome.report, outcome.watched)),
    }
}

/// Runs a streamed call until its first content arrives.
pub(crate) async fn stream(
    handle: &TargetHandle,
    encoder: &dyn RequestEncoder,
    options: &CallOptions,
) -> Result<RawStream, Error> {
    let target = &handle.target;
    let CallOutcome {
        response,
        report,
        started,
        request_body,
        watched,
    } = call::run(handle, encoder, options).await?;
    match response {
        AttemptResponse::Stream { prefix, events, .. } => Ok(RawStream {
            provider: target.provider.clone(),
            prefix: prefix.into(),
            report: CallReport {
                converted: events.converted(),
                ..report
            },
            events,
            started,
            request_body,
            ended: false,
            watched,
        }),
        AttemptResponse::Complete { body, .. } => {
            Err(failed(unreadable::failure(target, &body), report, watched))
        }
    }
}

/// Returns the error of a call that asked for no stream and got one.
#[cold]
pub(crate) fn unexpected_stream(report: CallReport, watched: Option<Box<WatchedCall>>) -> Error {
    let failure = Failure::new(FailureKind::InvalidResponse).with_detail("a stream");
    failed(failure, report, watched)
}

/// Ends a call whose last attempt got a complete answer that cannot be used, and returns its error.
#[cold]
pub(crate) fn failed(
    mut failure: Failure,
    mut report: CallReport,
    watched: Option<Box<WatchedCall>>,
) -> Error {
    if let Some(attempt) = report.attempts.last_mut() {
        attempt.failure = Some(failure.kind);
        failure.status = attempt.status;
        failure.request_id.clone_from(&attempt.request_id);
    }
    let error = Error::from_failure(failure).with_report(report);
    if let Some(watched) = watched {
        watched.fail(&error);
    }
    error
}

impl RawStream {
    /// Returns the next event, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Result<RawEvent, Error>> {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Returns the report of the call so far. The report is complete once the stream has ended.
    pub fn report(&self) -> &CallReport {
        &self.report
    }

    /// Polls for the next event. Skips the events whose data is not JSON: `[DONE]` and blank ones. After the answer is
    /// complete, also skips errors and unreadable events.
    pub(crate) fn poll_json(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RawEvent, Error>>> {
        loop {
            match ready!(self.poll_event(cx)) {
                // An error is passed on as an event only after a complete answer.
                Some(Ok(event)) if event.flags.done || event.flags.blank || event.flags.error => {}
                Some(Ok(event)) if event.flags.corrupt && self.events.view().is_complete() => {}
                event => return Poll::Ready(event),
            }
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RawEvent, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(event) = self.prefix.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        Poll::Ready(match ready!(self.events.poll_event(cx)) {
            Some(Ok(event)) => Some(Ok(event)),
            Some(Err(failure)) => Some(Err(self.fail_with(failure))),
            None => {
                self.end();
                if let Some(watched) = self.watched.take() {
                    watched.succeed(&self.report);
                }
                None
            }
        })
    }

    /// Ends the stream and closes the connection after an event that cannot be decoded.
    pub(crate) fn fail_unreadable(&mut self) -> Error {
        self.fail(UNREADABLE_EVENT)
    }

    /// Ends the stream and closes the connection, because the answer is invalid for the reason `detail`.
    pub(crate) fn fail(&mut self, detail: &'static str) -> Error {
        self.fail_with(Failure::new(FailureKind::InvalidResponse).with_detail(detail))
    }

    fn fail_with(&mut self, mut failure: Failure) -> Error {
        self.end();
        self.events.close();
        if let Some(attempt) = self.report.attempts.last_mut() {
            attempt.failure = Some(failure.kind);
            failure.status = failure.status.or(attempt.status);
            failure.request_id = failure.request_id.or_else(|| attempt.request_id.clone());
        }
        let failure = self.provider.masked(failure);
        let error = Error::from_failure(failure).with_report(self.report.clone());
        if let Some(watched) = self.watched.take() {
            watched.fail(&error);
        }
        error
    }

    fn end(&mut self) {
        self.ended = true;
        self.report.elapsed = clock::now().since(self.started);
        self.report.converted = self.events.converted();
        let view = self.events.view();
        let usage = view.usage().and_then(|json| serde_json::from_slice(json).ok());
        self.report.note_usage(usage.as_ref(), || {
            tokens::estimated_stream(&self.request_body, view)
        });
        self.request_body = Bytes::new();
    }
}

impl Drop for RawStream {
    fn drop(&mut self) {
        if let Some(watched) = self.watched.take() {
            self.events.abandon();
            self.end();
            watched.abandon(&self.report);
        }
    }
}

impl Stream for RawStream {
    type Item = Result<RawEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

impl fmt::Debug for RawResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawResponse")
            .field("bytes", &self.body.len())
            .field("report", &self.report)
            .finish()
    }
}

impl fmt::Debug for RawStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawStream")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
