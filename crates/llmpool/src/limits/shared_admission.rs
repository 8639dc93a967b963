//! The admission of one provider behind one lock.
//!
//! Core's [`Admission`] makes all decisions; this file locks it and calls the wakers.
//!
//! Invariant: no lock is held across an await, and no waker is called under the lock. Tasks are synchronised only by the lock and the
//! wakers, so that `tests/loom.rs` can explore every interleaving.

use std::sync::PoisonError;
use std::task::Waker;

use llmpool_core::limits::{
    Admission, CooldownReason, KeyId, KeyLimits, Limiter, Limits, ProvisionalCooldown, QuotaGroupId,
    TargetId, TargetLimits, Ticket,
};
use llmpool_core::time::Timestamp;

use crate::clock;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// The wait queues and limits of one provider, shared by all calls to the provider.
#[derive(Debug, Default)]
pub(crate) struct SharedAdmission {
    admission: Mutex<Admission<Waker>>,
    next_ticket: AtomicU64,
}

impl SharedAdmission {
    /// Runs `change` under the lock, then wakes the waiters that the change concerns. `change` receives the current time, and the list to
    /// which it adds the wakers.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Admission<Waker>, Timestamp, &mut Vec<Waker>) -> T,
    ) -> T {
        let mut wakes = Vec::new();
        let result = change(&mut self.lock(), clock::now(), &mut wakes);
        wakes.into_iter().for_each(Waker::wake);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Admission<Waker>> {
        // Nothing under the lock panics halfway through a change.
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `read` on the limiter under the lock, and returns its result.
    pub(crate) fn with_limiter<T>(&self, read: impl FnOnce(&Limiter) -> T) -> T {
        read(self.lock().limiter())
    }

    /// Adds a key with its limits, and returns its id.
    pub(crate) fn add_key(&self, limits: KeyLimits) -> KeyId {
        self.lock().add_key(limits)
    }

    /// Adds a target that may use `keys`, and returns its id.
    pub(crate) fn add_target(&self, keys: &[KeyId], limits: impl Into<TargetLimits>) -> TargetId {
        self.lock().add_target(keys, limits, clock::now())
    }

    /// Returns all keys, in the order in which they were added.
    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        self.with_limiter(Limiter::key_ids)
    }

    /// Joins keys into one quota group with these limits. `learn` is whether limits that responses reveal also apply to the group.
    pub(crate) fn join_keys(&self, keys: &[KeyId], limits: Limits, learn: bool) -> QuotaGroupId {
        self.change(|admission, now, wakes| admission.join_keys(keys, limits, learn, now, wakes))
    }

    /// Enables or disables a key.
    pub(crate) fn set_enabled(&self, key: KeyId, enabled: bool) {
        self.change(|admission, now, wakes| admission.set_enabled(key, enabled, now, wakes));
    }

    /// Puts a key in a cooldown that an earlier run of the program has saved.
    pub(crate) fn set_cooldown(&self, key: KeyId, reason: CooldownReason, until: Timestamp) {
        self.change(|admission, now, wakes| admission.set_cooldown(key, reason, until, now, wakes));
    }

    /// Reverts a provisional cooldown, because the key turned out not to be to blame.
    pub(crate) fn restore(&self, cooldown: ProvisionalCooldown) {
        self.change(|admission, now, wakes| admission.restore(cooldown, now, wakes));
    }

    /// Fills the buckets of a target and clears its windows.
    pub(crate) fn reset(&self, target: TargetId) {
        self.change(|admission, now, wakes| admission.reset(target, now, wakes));
    }

    /// Returns a new ticket, which stands behind all earlier tickets in the order of arrival.
    pub(crate) fn next_ticket(&self) -> Ticket {
        Ticket(self.next_ticket.fetch_add(1, Ordering::Relaxed))
    }

    /// Records a new call in the target's retry budget, and returns its ticket.
    pub(crate) fn record_call(&self, target: TargetId, now: Timestamp) -> Ticket {
        self.lock().record_call(target, now);
        self.next_ticket()
    }

    /// Spends one retry of the target's retry budget. Returns whether a retry was left.
    pub(crate) fn try_spend_retry(&self, target: TargetId) -> bool {
        self.lock().try_spend_retry(target, clock::now())
    }

    /// Returns a lower bound of the time at which a request that arrives now could be granted.
    pub(crate) fn earliest(&self, target: TargetId) -> Timestamp {
        self.lock().earliest(target, clock::now())
    }

    /// Returns the number of calls in the wait queue of a target.
    pub(crate) fn waiting(&self, target: TargetId) -> usize {
        self.lock().waiting(target)
    }
}
