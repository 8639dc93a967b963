//! Writes the log records of this library.
//!
//! A record contains key labels, failure kinds and durations. It never contains a key, a prompt or text that
//! the provider sent.
//!
//! Without the feature `tracing`, this module records nothing and does not evaluate the arguments of records.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

use llmpool_core::limits::KeyId;
#[cfg(feature = "tracing")]
use tracing::{debug, warn};

use crate::provider::Provider;
use crate::report::{AttemptReport, CallReport};

#[cfg(not(feature = "tracing"))]
macro_rules! discard {
    ($($record:tt)*) => {};
}
#[cfg(not(feature = "tracing"))]
use {discard as debug, discard as warn};

pub(crate) fn attempt_failed(report: &CallReport, attempt: &AttemptReport) {
    debug!(
        target: "llmpool",
        trace_id = %report.trace_id,
        target_id = %report.target,
        key = %attempt.key,
        failure = attempt.failure.map(|kind| kind.as_str()),
        status = attempt.status,
        duration_ms = attempt.duration.as_millis() as u64,
        "attempt failed"
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

pub(crate) fn key_unavailable(provider: &Provider, key: KeyId) {
    let state = provider
        .admission
        .with_limiter(|limiter| limiter.key_availability(key));
    let key = &provider.key(key).label;
    warn!(target: "llmpool", provider = %provider.id, key = %key, state = state.as_str(), "key unavailable");
}
