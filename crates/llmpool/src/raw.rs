//! Answers as they come: bytes and a side view of them, with the same permits, retries and report as every call.
//!
//! The typed interfaces decode on top of this; whoever passes an answer on need not decode it at all.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use llmpool_core::failure::{Failure, FailureKind};
use llmpool_core::time::Timestamp;
use llmpool_core::translate;

use crate::call::{self, Answer, RequestEncoder};
use crate::clock;
use crate::error::Error;
use crate::exchange::{Rendered, Reply};
use crate::options::CallOptions;
use crate::report::CallReport;
use crate::stream::{RawEvent, RawEventStream};
use crate::target::{Provider, Target};
use crate::tokens;

/// A whole answer as it came.
#[derive(Clone, Debug)]
pub struct RawResponse {
    /// The body.
    pub body: Bytes,
    /// What happened during the call.
    pub report: CallReport,
}

/// The events of an answer as they come, each with its side view. Ends after an error.
///
/// Dropping it closes the connection and frees the key.
pub struct RawStream {
    provider: Arc<Provider>,
    prefix: VecDeque<RawEvent>,
    frames: Box<RawEventStream>,
    report: CallReport,
    started: Timestamp,
    /// What was asked, for an estimate should the provider not say what it used.
    sent: Bytes,
    ended: bool,
}

/// A request that is already encoded.
pub(crate) struct Encoded {
    pub(crate) body: Bytes,
    pub(crate) stream: bool,
}

impl RequestEncoder for Encoded {
    fn render(&self, _: &Target) -> Result<Rendered, Error> {
        Ok(Rendered::new(self.body.clone(), self.stream))
    }
}

/// Runs a plain call over bytes.
pub(crate) async fn plain(
    target: &Arc<Target>,
    body: Bytes,
    options: &CallOptions,
) -> Result<RawResponse, Error> {
    let outgoing = Encoded { body, stream: false };
    let Answer {
        reply,
        mut report,
        sent,
        ..
    } = call::run(target, &outgoing, options).await?;
    let Reply::Plain { body, .. } = reply else {
        return Err(invalid_response(report));
    };
    report.note_usage(translate::parse_usage(&body), || {
        tokens::estimated_plain(&sent, &body)
    });
    Ok(RawResponse { body, report })
}

/// Runs a streamed call up to its first content.
pub(crate) async fn stream(
    target: &Arc<Target>,
    outgoing: &dyn RequestEncoder,
    options: &CallOptions,
) -> Result<RawStream, Error> {
    let Answer {
        reply,
        report,
        started,
        sent,
    } = call::run(target, outgoing, options).await?;
    let Reply::Stream { prefix, frames, .. } = reply else {
        return Err(invalid_response(report));
    };
    Ok(RawStream {
        provider: target.provider.clone(),
        prefix: prefix.into(),
        frames,
        report,
        started,
        sent,
        ended: false,
    })
}

pub(crate) fn invalid_response(mut report: CallReport) -> Error {
    if let Some(attempt) = report.attempts.last_mut() {
        attempt.failure = Some(FailureKind::InvalidResponse);
    }
    Error::from_failure(Failure::new(FailureKind::InvalidResponse)).with_report(report)
}

impl RawStream {
    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<RawEvent, Error>> {
        std::future::poll_fn(|cx| self.poll_frame(cx)).await
    }

    /// What happened so far; complete once the stream has ended.
    pub fn report(&self) -> &CallReport {
        &self.report
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RawEvent, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(frame) = self.prefix.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        Poll::Ready(match std::task::ready!(self.frames.poll_event(cx)) {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(failure)) => Some(Err(self.fail(failure))),
            None => {
                self.end();
                None
            }
        })
    }

    /// Ends the stream with an error.
    pub(crate) fn fail(&mut self, mut failure: Failure) -> Error {
        self.end();
        self.frames.close();
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
        let view = self.frames.view();
        let usage = view.usage().and_then(|json| serde_json::from_slice(json).ok());
        self.report
            .note_usage(usage, || tokens::estimated_stream(&self.sent, view));
        self.sent = Bytes::new();
    }
}

impl Stream for RawStream {
    type Item = Result<RawEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_frame(cx)
    }
}

impl fmt::Debug for RawStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawStream")
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
