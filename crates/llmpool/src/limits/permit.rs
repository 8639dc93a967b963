//! Permits: each gives the right to make one attempt.

use std::time::Duration;

use llmpool_core::limits::{CooldownReason, Grant, KeyId, LimitSnapshots, ProvisionalCooldown};

use super::shared_admission::SharedAdmission;
use crate::sync::Arc;

/// The right to make one attempt: a concurrency slot of a key, plus reserved quota. Dropping the permit frees the slot. It also refunds the
/// quota, unless the request was handed to a connection.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<SharedAdmission>,
    grant: Grant,
    is_used: bool,
    is_released: bool,
}

impl Permit {
    pub(super) fn new(admission: Arc<SharedAdmission>, grant: Grant) -> Self {
        Self {
            admission,
            grant,
            is_used: false,
            is_released: false,
        }
    }

    /// Returns the reserved key, or `None` if the target has no keys.
    pub(crate) fn key(&self) -> Option<KeyId> {
        self.grant.key()
    }

    /// Marks the quota as spent, because the request is handed to a connection.
    pub(crate) fn mark_used(&mut self) {
        self.is_used = true;
    }

    /// Marks the quota as unspent, because the connection closed before the request was written.
    pub(crate) fn mark_unused(&mut self) {
        self.is_used = false;
    }

    /// Returns whether the quota is spent: the request was handed to a connection.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used
    }

    /// Records that the attempt succeeded. The permit keeps its slot.
    pub(crate) fn record_success(&self) {
        let grant = &self.grant;
        self.admission
            .change(|admission, now, wakes| admission.record_success(grant, now, wakes));
    }

    /// Records that the attempt succeeded, and releases the permit, in one step.
    pub(crate) fn complete(mut self) {
        self.is_released = true;
        let grant = &mut self.grant;
        self.admission
            .change(|admission, now, wakes| admission.complete(grant, now, wakes));
    }

    /// Records that the target failed. With a `duration`, the target cools down for that time. Without one, it cools down only if this
    /// failure opens its circuit breaker.
    pub(crate) fn record_target_failure(&self, duration: Option<Duration>) {
        let grant = &self.grant;
        self.admission
            .change(|admission, now, wakes| admission.record_target_failure(grant, duration, now, wakes));
    }

    /// Records the limits that the response reports.
    pub(crate) fn record_limits(&self, snapshots: &LimitSnapshots) {
        let grant = &self.grant;
        self.admission
            .change(|admission, now, wakes| admission.record_limits(grant, snapshots, now, wakes));
    }

    /// Settles the attempt: replaces the estimated tokens that the limits have counted by the `tokens` that were used.
    pub(crate) fn settle(&mut self, tokens: u32) {
        let grant = &mut self.grant;
        self.admission
            .change(|admission, now, wakes| admission.settle(grant, tokens, now, wakes));
    }

    /// Records that the provider refused the key, and starts a cooldown of the key. Without a `duration`, the cooldown doubles with each
    /// consecutive refusal. Returns a value with which [`SharedAdmission::restore`] reverts the cooldown.
    pub(crate) fn record_refusal(
        &self,
        reason: CooldownReason,
        duration: Option<Duration>,
    ) -> Option<ProvisionalCooldown> {
        let grant = &self.grant;
        self.admission
            .change(|admission, now, wakes| admission.record_refusal(grant, reason, duration, now, wakes))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_released {
            let (grant, is_used) = (&mut self.grant, self.is_used);
            self.admission
                .change(|admission, now, wakes| admission.release(grant, is_used, now, wakes));
        }
    }
}
