//! What is told to logs: labels, kinds and times; never a key, never a prompt, never the provider's own words.

use llmpool_core::limits::KeyId;
use tracing::{debug, warn};

use crate::report::{AttemptReport, CallReport};
use crate::target::Provider;

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

pub(crate) fn one_quota(provider: &Provider, keys: &[KeyId]) {
    let labels: Vec<_> = keys
        .iter()
        .map(|key| provider.key(*key).label.to_string())
        .collect();
    warn!(
        target: "llmpool",
        provider = %provider.id,
        keys = labels.join(", "),
        "these {} keys are one quota: they share one account, so more of them do not give more", keys.len()
    );
}

pub(crate) fn no_retry_left(report: &CallReport) {
    debug!(
        target: "llmpool",
        trace_id = %report.trace_id,
        target_id = %report.target,
        "not tried again: the target's share of retries is used up"
    );
}

pub(crate) fn key_rests(provider: &Provider, key: KeyId) {
    let state = provider
        .admission
        .with_limiter(|limiter| limiter.key_availability(key));
    let key = &provider.key(key).label;
    warn!(target: "llmpool", provider = %provider.id, key = %key, state = state.as_str(), "key rests");
}
