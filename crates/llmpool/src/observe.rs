//! Writes the log records of this library. At level `debug`, the records of a trace id explain a call from its start
//! to its end.
//!
//! A record contains key labels, failure kinds and durations. It never contains a key, a prompt or text that
//! the provider sent.
//!
//! Without the feature `tracing`, this module records nothing and does not evaluate the arguments of records.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

use std::time::Duration;

use llmpool_core::limits::KeyId;
#[cfg(feature = "tracing")]
use tracing::{debug, warn};

use crate::observer::{
    AttemptEnded, CallEnd, CallEnded, CallStarted, KeyStateChanged, LimitChanged, WaitCause, Waited,
};
use crate::provider::Provider;
use crate::report::CallReport;

#[cfg(not(feature = "tracing"))]
macro_rules! discard {
    ($($record:tt)*) => {};
}
#[cfg(not(feature = "tracing"))]
use {discard as debug, discard as warn};

/// Returns whether the records of every call are enabled: those of level `debug`.
#[inline]
pub(crate) fn is_verbose() -> bool {
    #[cfg(feature = "tracing")]
    return tracing::enabled!(target: "llmpool", tracing::Level::DEBUG);
    #[cfg(not(feature = "tracing"))]
    return false;
}

pub(crate) fn call_started(event: &CallStarted<'_>) {
    debug!(
        target: "llmpool",
        trace_id = %event.trace_id,
        target_id = %event.target,
        endpoint = event.endpoint,
        stream = event.is_streamed,
        "call started"
    );
}

pub(crate) fn waited(event: &Waited<'_>) {
    let waited_for = match event.cause {
        WaitCause::Permit(Some(reason)) => reason.as_str(),
        WaitCause::Permit(None) => "earlier calls",
        WaitCause::Backoff(_) => "backoff",
    };
    let after = match event.cause {
        WaitCause::Backoff(kind) => Some(kind.as_str()),
        WaitCause::Permit(_) => None,
    };
    debug!(
        target: "llmpool",
        trace_id = %event.trace_id,
        target_id = %event.target,
        waited_ms = event.duration.as_millis() as u64,
        waited_for,
        after,
        "waited"
    );
}

pub(crate) fn attempt_ended(event: &AttemptEnded<'_>) {
    let outcome = match event.report.failure {
        Some(_) => "attempt failed",
        None => "attempt succeeded",
    };
    debug!(
        target: "llmpool",
        trace_id = %event.trace_id,
        target_id = %event.target,
        key = %event.report.key,
        failure = event.report.failure.map(|kind| kind.as_str()),
        status = event.report.status,
        duration_ms = event.report.duration.as_millis() as u64,
        sent = event.is_sent,
        "{outcome}"
    );
}

pub(crate) fn retries(report: &CallReport, wait: Duration) {
    debug!(
        target: "llmpool",
        trace_id = %report.trace_id,
        target_id = %report.target,
        wait_ms = wait.as_millis() as u64,
        "retrying after a wait"
    );
}

pub(crate) fn call_ended(event: &CallEnded<'_>) {
    let report = event.report;
    let (outcome, failure) = match event.outcome {
        CallEnd::Succeeded => ("succeeded", None),
        CallEnd::Dropped => ("dropped", None),
        CallEnd::Failed(kind) => ("failed", Some(kind.as_str())),
    };
    let usage = report.usage.as_ref();
    debug!(
        target: "llmpool",
        trace_id = %report.trace_id,
        target_id = %report.target,
        outcome,
        failure,
        attempts = report.attempts.len() + report.unsent.len(),
        permit_wait_ms = report.waited.as_millis() as u64,
        first_content_ms = report.first_content.map(|time| time.as_millis() as u64),
        elapsed_ms = report.elapsed.as_millis() as u64,
        prompt_tokens = usage.and_then(|usage| usage.prompt_tokens()),
        completion_tokens = usage.and_then(|usage| usage.completion_tokens()),
        usage_source = report.usage_source.as_str(),
        "call ended"
    );
}

pub(crate) fn key_state_changed(event: &KeyStateChanged<'_>) {
    debug!(
        target: "llmpool",
        provider = %event.provider,
        key = %event.key,
        target_id = event.target,
        before = event.before.as_str(),
        after = event.after.as_str(),
        retry_in_ms = event.retry_in.map(|time| time.as_millis() as u64),
        "key state changed"
    );
}

pub(crate) fn limit_changed(event: &LimitChanged<'_>) {
    debug!(
        target: "llmpool",
        provider = %event.provider,
        key = %event.key,
        target_id = event.target,
        before = event.before,
        per_minute = event.per_minute,
        "learned pace changed"
    );
}

pub(crate) fn account_may_be_shared(provider: &Provider, one: KeyId, other: KeyId) {
    let (one, other) = (&provider.key(one).label, &provider.key(other).label);
    warn!(
        target: "llmpool",
        provider = %provider.id,
        "{one} and {other} look like one account; if they share its limits, set the same quota_group for both"
    );
}

pub(crate) fn retry_budget_exhausted(report: &CallReport) {
    debug!(
        target: "llmpool",
        trace_id = %report.trace_id,
        target_id = %report.target,
        "not retried: the retry budget of the target is exhausted"
    );
}

pub(crate) fn wait_too_long(report: &CallReport) {
    debug!(
        target: "llmpool",
        trace_id = %report.trace_id,
        target_id = %report.target,
        "not retried: the provider asks for a longer wait than the call may make"
    );
}

pub(crate) fn key_unavailable(provider: &Provider, key: KeyId) {
    let state = provider
        .admission
        .with_limiter(|limiter| limiter.key_availability(key, crate::clock::now()));
    let key = &provider.key(key).label;
    warn!(target: "llmpool", provider = %provider.id, key = %key, state = state.as_str(), "key unavailable");
}
