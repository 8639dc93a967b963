//! The right to make one attempt.

use std::time::Duration;

use llmpool_core::limits::{CooldownReason, Grant, KeyId, LimitSnapshots, ProvisionalCooldown};

use super::shared_admission::SharedAdmission;
use crate::sync::Arc;

/// A concurrency slot on a key plus reserved quota. Dropping it frees the slot, and refunds the quota unless the request was handed to a
/// connection.
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

    /// The reserved key; `None` if the target has none.
    pub(crate) fn key(&self) -> Option<KeyId> {
        self.grant.key()
    }

    /// Marks the quota as spent: the request is handed to a connection.
    pub(crate) fn mark_used(&mut self) {
        self.is_used = true;
    }

    /// Marks the quota as unspent: the connection returned the request unwritten.
    pub(crate) fn mark_unused(&mut self) {
        self.is_used = false;
    }

    /// Returns whether the request was handed to a connection.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used
    }

    /// Records that the attempt succeeded.
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

    /// Records that the target failed. It cools down for `duration`, or without one if its circuit breaker opens.
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

    /// Corrects the reserved tokens from the estimate to those used.
    pub(crate) fn settle(&mut self, tokens: u32) {
        let grant = &mut self.grant;
        self.admission
            .change(|admission, now, wakes| admission.settle(grant, tokens, now, wakes));
    }

    /// Records that the provider refused the key, which cools down: for `duration`, or without one for a time that doubles.
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
