//! Permits. Each permit allows one attempt.

use std::time::Duration;

use llmpool_core::limits::{CooldownReason, Grant, KeyId, ProvisionalCooldown, RefusalWait};

use super::shared_admission::SharedAdmission;
use crate::sync::Arc;

/// Permission for one attempt. The permit occupies a concurrency slot of a key and reserves quota: one
/// request, and the estimated number of tokens. Dropping the permit frees the slot. If the request was not
/// handed to a connection, dropping the permit also refunds the quota.
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

    /// Returns the key that the attempt must use, or `None` if the target has no keys.
    pub(crate) fn key(&self) -> Option<KeyId> {
        self.grant.key()
    }

    /// Marks the reserved quota as spent. Called when the request is handed to a connection.
    pub(crate) fn mark_used(&mut self) {
        self.is_used = true;
        if self.grant.is_probe() {
            let grant = &self.grant;
            self.admission
                .change(|limiter, now| limiter.await_probe(grant, true, now));
        }
    }

    /// Marks the reserved quota as unspent. Called if the connection closes before the request is written.
    pub(crate) fn mark_unused(&mut self) {
        self.is_used = false;
    }

    /// Returns whether the reserved quota is spent, that is, whether the request was handed to a connection.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used
    }

    /// Records that the attempt succeeded. The permit keeps its slot, because a streamed answer may still be
    /// in progress.
    pub(crate) fn record_success(&self) {
        let grant = &self.grant;
        self.admission
            .change(|limiter, now| limiter.record_success(grant, now));
    }

    /// Records that the attempt succeeded and releases the permit, while taking the lock only once.
    pub(crate) fn complete(mut self) {
        self.is_released = true;
        let grant = &mut self.grant;
        self.admission.change(|limiter, now| limiter.complete(grant, now));
    }

    /// Records that the target failed. If `duration` is `Some`, the target starts a cooldown of that length.
    /// If `duration` is `None`, the target starts a cooldown only if this failure opens its circuit breaker.
    pub(crate) fn record_target_failure(&self, duration: Option<Duration>) {
        let grant = &self.grant;
        self.admission
            .change(|limiter, now| limiter.record_target_failure(grant, duration, now));
    }

    /// Settles the attempt: replaces the estimated tokens, which the limits have counted so far, by the
    /// number of tokens that were really used.
    pub(crate) fn settle(&mut self, tokens: u32) {
        let grant = &mut self.grant;
        self.admission
            .change(|limiter, now| limiter.settle(grant, tokens, now));
    }

    /// Records a refusal with status 429 and no readable cause. `is_first`: whether the call has not failed
    /// before. Returns whether the key refuses other calls as well.
    pub(crate) fn refuses_other_calls(&self, is_first: bool) -> bool {
        let grant = &self.grant;
        self.admission
            .change(|limiter, now| limiter.refuses_other_calls(grant, is_first, now))
    }

    /// Records that the provider refused the key, and starts a cooldown of the key. `wait`: what the refusal
    /// says about the time until requests are admitted again.
    ///
    /// Returns a value with which [`SharedAdmission::restore`] can revert the cooldown. Returns `None` if
    /// there is no cooldown to revert.
    pub(crate) fn record_refusal(
        &self,
        reason: CooldownReason,
        wait: RefusalWait,
    ) -> Option<ProvisionalCooldown> {
        let grant = &self.grant;
        self.admission
            .change(|limiter, now| limiter.record_refusal(grant, reason, wait, now))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_released {
            let (grant, is_used) = (&mut self.grant, self.is_used);
            self.admission
                .change(|limiter, now| limiter.release(grant, is_used, now));
        }
    }
}
