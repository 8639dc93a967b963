//! Permits. Each permit allows one attempt.

use std::fmt;
use std::time::Duration;

use llmpool_core::limits::{CooldownReason, Grant, KeyId, Limiter, ProvisionalCooldown, RefusalWait};
use llmpool_core::time::Timestamp;

use super::key_changes::{KeyWatcher, Reach};
use super::shared_admission::SharedAdmission;
use crate::sync::Arc;

/// Permission for one attempt. The permit occupies a concurrency slot of a key and reserves quota: one
/// request, and the estimated number of tokens. Dropping the permit frees the slot. If the request was not
/// handed to a connection, dropping the permit also refunds the quota.
pub(crate) struct Permit {
    admission: Arc<SharedAdmission>,
    grant: Grant,
    /// Receives the changes of keys that the attempt causes. Usually `None`.
    watcher: Option<Arc<dyn KeyWatcher>>,
    is_used: bool,
    is_released: bool,
}

impl Permit {
    pub(super) fn new(admission: Arc<SharedAdmission>, grant: Grant) -> Self {
        Self {
            admission,
            grant,
            watcher: None,
            is_used: false,
            is_released: false,
        }
    }

    /// Returns the key that the attempt must use, or `None` if the target has no keys.
    pub(crate) fn key(&self) -> Option<KeyId> {
        self.grant.key()
    }

    /// Passes the changes of keys that the attempt causes to `watcher`, from now on.
    pub(crate) fn watch(&mut self, watcher: Arc<dyn KeyWatcher>) {
        self.watcher = Some(watcher);
    }

    /// Changes the limiter by something other than a refusal, and passes the changes of keys to the watcher.
    #[inline(always)]
    fn change<T>(&mut self, change: impl FnOnce(&mut Limiter, &mut Grant, Timestamp) -> T) -> T {
        self.change_within(Reach::Recovery, change)
    }

    /// Changes the limiter, and passes the changes of keys to the watcher.
    #[inline(always)]
    fn change_within<T>(
        &mut self,
        reach: Reach,
        change: impl FnOnce(&mut Limiter, &mut Grant, Timestamp) -> T,
    ) -> T {
        let grant = &mut self.grant;
        match (&self.watcher, grant.key()) {
            (Some(watcher), Some(key)) => {
                let target = grant.target();
                let change = |limiter: &mut Limiter, now| change(limiter, grant, now);
                self.admission
                    .change_watched(&**watcher, (target, key), reach, change)
            }
            _ => self.admission.change(|limiter, now| change(limiter, grant, now)),
        }
    }

    /// Marks the reserved quota as spent. Called when the request is handed to a connection.
    pub(crate) fn mark_used(&mut self) {
        self.is_used = true;
        if self.grant.is_probe() {
            self.change(|limiter, grant, now| limiter.await_probe(grant, true, now));
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
    pub(crate) fn record_success(&mut self) {
        self.change(|limiter, grant, now| limiter.record_success(grant, now));
    }

    /// Records that the attempt succeeded and releases the permit, while taking the lock only once.
    pub(crate) fn complete(mut self) {
        self.is_released = true;
        self.change(|limiter, grant, now| limiter.complete(grant, now));
    }

    /// Records that the target failed. If `duration` is `Some`, the target starts a cooldown of that length.
    /// If `duration` is `None`, the target starts a cooldown only if this failure opens its circuit breaker.
    pub(crate) fn record_target_failure(&mut self, duration: Option<Duration>) {
        self.change(|limiter, grant, now| limiter.record_target_failure(grant, duration, now));
    }

    /// Settles the attempt: replaces the estimated tokens, which the limits have counted so far, by the
    /// number of tokens that were really used.
    pub(crate) fn settle(&mut self, tokens: u32) {
        self.change(|limiter, grant, now| limiter.settle(grant, tokens, now));
    }

    /// Records a refusal with status 429 and no readable cause. `is_first`: whether the call has not failed
    /// before. Returns whether the key refuses other calls as well.
    pub(crate) fn refuses_other_calls(&mut self, is_first: bool) -> bool {
        self.change_within(Reach::Any, |limiter, grant, now| {
            limiter.refuses_other_calls(grant, is_first, now)
        })
    }

    /// Records that the provider refused the key, and starts a cooldown of the key. `wait`: what the refusal
    /// says about the time until requests are admitted again.
    ///
    /// Returns a value with which [`SharedAdmission::restore`] can revert the cooldown. Returns `None` if
    /// there is no cooldown to revert.
    pub(crate) fn record_refusal(
        &mut self,
        reason: CooldownReason,
        wait: RefusalWait,
    ) -> Option<ProvisionalCooldown> {
        self.change_within(Reach::Any, |limiter, grant, now| {
            limiter.record_refusal(grant, reason, wait, now)
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_released {
            let is_used = self.is_used;
            self.change(|limiter, grant, now| limiter.release(grant, is_used, now));
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("grant", &self.grant)
            .field("is_used", &self.is_used)
            .finish_non_exhaustive()
    }
}
