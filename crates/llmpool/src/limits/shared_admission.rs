//! The admission of one provider (its wait queues and limits), protected by a lock.
//!
//! Core's [`Admission`] makes all decisions. This module locks the admission, calls the wakers, and wakes the
//! drivers (`driver.rs`), the only tasks that wait for a time.
//!
//! Invariants: the lock is never held across an `.await`, and never while a waker is called. Tasks are
//! synchronised only by the lock and the wakers, so that `tests/loom.rs` can explore every interleaving.

use std::sync::PoisonError;
use std::task::Waker;

use llmpool_core::limits::{
    AcquireRequest, Admission, KeyConstraint, KeyId, Limiter, TargetId, Ticket, WaitReason,
};
use llmpool_core::time::Timestamp;

use super::drivers::Drivers;
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
    /// Changes the limiter at the current time, and calls the wakers of the calls that the change serves.
    #[inline(always)]
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Limiter, Timestamp) -> T) -> T {
        self.change_state(|state, now, wakes| {
            let admission = &mut state.admission;
            admission.change(now, wakes, |limiter| change(limiter, now))
        })
    }

    /// Calls `change` under the lock, with the current time and an empty list of wakers. Wakes the drivers that
    /// then sleep for too long. After the lock is released, calls the wakers that `change` has added to the list.
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

    /// Returns the ids of all keys, in the order in which the keys were added.
    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        self.with_limiter(Limiter::key_ids)
    }

    /// Returns a new ticket: a place in the order of arrival, behind all earlier tickets.
    pub(crate) fn next_ticket(&self) -> Ticket {
        Ticket(self.next_ticket.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts a new call for the target's retry budget, which grows with the number of calls, and returns the
    /// ticket of the call.
    pub(crate) fn record_call(&self, target: TargetId, now: Timestamp) -> Ticket {
        self.change(|limiter, _| limiter.record_call(target, now));
        self.next_ticket()
    }

    /// Returns the earliest time at which a request that arrives now may be granted. The actual time may be
    /// later.
    pub(crate) fn earliest(&self, target: TargetId) -> Timestamp {
        self.lock().admission.earliest(target, clock::now())
    }

    /// Returns the key that a request that arrives now would get at once. Reserves nothing.
    pub(crate) fn next_key(&self, target: TargetId, constraint: KeyConstraint) -> Option<KeyId> {
        let now = clock::now();
        self.lock().admission.next_key(target, constraint, now)
    }

    /// Returns what a waiting request waits for, or `None` if only older requests delay it.
    pub(crate) fn wait_reason_of(&self, target: TargetId, request: &AcquireRequest) -> Option<WaitReason> {
        let now = clock::now();
        self.lock().admission.wait_reason_of(target, request, now)
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
