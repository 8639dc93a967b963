//! The admission of one provider (its wait queues and limits), protected by a lock.
//!
//! Core's [`Admission`] makes all decisions. This module locks the admission, calls the wakers, and wakes the
//! drivers (`driver.rs`), the only tasks that wait for a time.
//!
//! Invariants: the lock is never held across an `.await`, and never while a waker is called. Tasks are
//! synchronised only by the lock and the wakers, so that `tests/loom.rs` can explore every interleaving.

use std::sync::PoisonError;
use std::task::Waker;
use std::time::Duration;

use llmpool_core::limits::{
    Admission, CooldownReason, KeyId, KeyLimits, Limiter, Limits, ProvisionalCooldown, QuotaGroupId,
    SavedLimits, TargetId, TargetLimits, Ticket,
};
use llmpool_core::time::Timestamp;

use super::driver::Drivers;
use crate::clock;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// The wait queues and limits of one provider, shared by all calls to the provider.
#[derive(Debug, Default)]
pub(crate) struct SharedAdmission {
    state: Mutex<State>,
    next_ticket: AtomicU64,
}

/// What the lock of a [`SharedAdmission`] protects.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) admission: Admission<Waker>,
    pub(super) drivers: Drivers,
}

impl SharedAdmission {
    /// Calls `change` under the lock, with the admission, the current time and an empty list of wakers. After
    /// the lock is released, calls the wakers that `change` has added to the list.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Admission<Waker>, Timestamp, &mut Vec<Waker>) -> T,
    ) -> T {
        self.change_state(|state, now, wakes| change(&mut state.admission, now, wakes))
    }

    /// Like [`change`](Self::change), with the drivers. Also wakes the drivers that now sleep for too long.
    #[inline(always)]
    pub(super) fn change_state<T>(
        &self,
        change: impl FnOnce(&mut State, Timestamp, &mut Vec<Waker>) -> T,
    ) -> T {
        let mut wakes = Vec::new();
        let mut state = self.lock();
        let result = change(&mut state, clock::now(), &mut wakes);
        state.wake_drivers(&mut wakes);
        drop(state);
        wakes.into_iter().for_each(Waker::wake);
        result
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics halfway through a change, so a poisoned lock still holds valid data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `read` on the limiter under the lock, and returns the result of `read`.
    pub(crate) fn with_limiter<T>(&self, read: impl FnOnce(&Limiter) -> T) -> T {
        read(self.lock().admission.limiter())
    }

    /// Adds a key with these limits, and returns the id of the key.
    pub(crate) fn add_key(&self, limits: KeyLimits) -> KeyId {
        self.lock().admission.add_key(limits)
    }

    /// Adds a quota group without keys. `limits` apply to the keys of the group together. If `learn` is true,
    /// the group also obeys limits that the provider reveals by refusing requests.
    pub(crate) fn add_group(&self, limits: Limits, learn: bool) -> QuotaGroupId {
        self.lock().admission.add_group(limits, learn)
    }

    /// Adds a key with these limits to a quota group, and returns the id of the key.
    pub(crate) fn add_key_to_group(&self, group: QuotaGroupId, limits: KeyLimits) -> KeyId {
        self.lock().admission.add_key_to_group(group, limits)
    }

    /// Adds a target that may use `keys`, and returns the id of the target.
    pub(crate) fn add_target(&self, keys: &[KeyId], limits: impl Into<TargetLimits>) -> TargetId {
        self.lock().admission.add_target(keys, limits, clock::now())
    }

    /// Returns the ids of all keys, in the order in which the keys were added.
    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        self.with_limiter(Limiter::key_ids)
    }

    /// Enables or disables a key. Enabling a key also ends its cooldown.
    pub(crate) fn set_enabled(&self, key: KeyId, enabled: bool) {
        self.change(|admission, now, wakes| admission.set_enabled(key, enabled, now, wakes));
    }

    /// Starts a cooldown that an earlier run of the program has saved. The cooldown ends at `until`. Has no
    /// effect if a current cooldown of the key ends later.
    pub(crate) fn set_cooldown(&self, key: KeyId, reason: CooldownReason, until: Timestamp) {
        self.change(|admission, now, wakes| admission.set_cooldown(key, reason, until, now, wakes));
    }

    /// Adds the state of limits that was saved `elapsed` ago.
    pub(crate) fn load(&self, saved: &[SavedLimits], elapsed: Duration) {
        self.change(|admission, now, wakes| admission.load(saved, elapsed, now, wakes));
    }

    /// Reverts a cooldown that started when it was unclear whether the key was to blame. Called when the key
    /// turns out not to be to blame.
    pub(crate) fn restore(&self, cooldown: ProvisionalCooldown) {
        self.change(|admission, now, wakes| admission.restore(cooldown, now, wakes));
    }

    /// Resets a target: fills its token buckets, clears its sliding windows, and ends its cooldown.
    pub(crate) fn reset(&self, target: TargetId) {
        self.change(|admission, now, wakes| admission.reset(target, now, wakes));
    }

    /// Returns a new ticket: a place in the order of arrival, behind all earlier tickets.
    pub(crate) fn next_ticket(&self) -> Ticket {
        Ticket(self.next_ticket.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts a new call for the target's retry budget, which grows with the number of calls, and returns the
    /// ticket of the call.
    pub(crate) fn record_call(&self, target: TargetId, now: Timestamp) -> Ticket {
        self.lock().admission.record_call(target, now);
        self.next_ticket()
    }

    /// Spends one retry of the target's retry budget. Returns false, without spending a retry, if the budget
    /// is used up.
    pub(crate) fn try_spend_retry(&self, target: TargetId) -> bool {
        self.lock().admission.try_spend_retry(target, clock::now())
    }

    /// Returns the earliest time at which a request that arrives now may be granted. The actual time may be
    /// later.
    pub(crate) fn earliest(&self, target: TargetId) -> Timestamp {
        self.lock().admission.earliest(target, clock::now())
    }

    /// Returns the number of calls in the wait queue of a target.
    pub(crate) fn waiting(&self, target: TargetId) -> usize {
        self.lock().admission.waiting(target)
    }
}

impl State {
    fn wake_drivers(&mut self, wakes: &mut Vec<Waker>) {
        if self.drivers.is_empty() {
            return;
        }
        if self.admission.is_idle() {
            self.drivers.wake_all(wakes);
        } else if let Some(next) = self.admission.next_event() {
            self.drivers.wake_before(next, wakes);
        }
    }
}

/// Ends the drivers, which find the admission gone.
impl Drop for SharedAdmission {
    fn drop(&mut self) {
        let mut wakes = Vec::new();
        self.lock().drivers.wake_all(&mut wakes);
        wakes.into_iter().for_each(Waker::wake);
    }
}
