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
use crate::target::Target;
use crate::tokens;
use crate::unreadable;

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
}

/// A complete answer that is not yet decoded, with the body of its request and the report of the call.
pub(crate) struct CompleteAnswer {
    pub(crate) body: Bytes,
    pub(crate) request_body: Bytes,
    pub(crate) report: CallReport,
}

impl CompleteAnswer {
    /// Decodes the body with `decode`. If `decode` returns the reason why it cannot, fails with
    /// [`FailureKind::InvalidResponse`] and that reason.
    pub(crate) fn decode<T>(
        &mut self,
        decode: impl FnOnce(&[u8]) -> Result<T, Cow<'static, str>>,
    ) -> Result<T, Error> {
        decode(&self.body).map_err(|reason| invalid_response(reason, std::mem::take(&mut self.report)))
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
    target: &Arc<Target>,
    encoder: &dyn RequestEncoder,
    options: &CallOptions,
) -> Result<CompleteAnswer, Error> {
    let outcome = call::run(target, encoder, options).await?;
    match outcome.response {
        AttemptResponse::Complete { body, .. } => Ok(CompleteAnswer {
            body,
            request_body: outcome.request_body,
            report: outcome.report,
        }),
        AttemptResponse::Stream { .. } => Err(invalid_response("a stream".into(), outcome.report)),
    }
}

/// Runs a streamed call until its first content arrives.
pub(crate) async fn stream(
    target: &Arc<Target>,
    encoder: &dyn RequestEncoder,
    options: &CallOptions,
) -> Result<RawStream, Error> {
    let CallOutcome {
        response,
        report,
        started,
        request_body,
    } = call::run(target, encoder, options).await?;
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
        }),
        AttemptResponse::Complete { body, .. } => Err(failed(unreadable::failure(target, &body), report)),
    }
}

#[cold]
pub(crate) fn invalid_response(reason: Cow<'static, str>, report: CallReport) -> Error {
    failed(
        Failure::new(FailureKind::InvalidResponse).with_detail(reason),
        report,
    )
}

/// Returns the error of a call whose last attempt got a complete answer that cannot be used.
#[cold]
pub(crate) fn failed(mut failure: Failure, mut report: CallReport) -> Error {
    if let Some(attempt) = report.attempts.last_mut() {
        attempt.failure = Some(failure.kind);
        failure.status = attempt.status;
        failure.request_id.clone_from(&attempt.request_id);
    }
    Error::from_failure(failure).with_report(report)
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
        Error::from_failure(failure).with_report(self.report.clone())
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
