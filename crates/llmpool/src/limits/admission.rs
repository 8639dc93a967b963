//! The desk of one provider behind one lock, and the futures that wait at it.
//!
//! What is decided is decided by the [desk](llmpool_core::limits::desk); here it is locked and its wakers are called. Everybody has one
//! timer, for the time he was told and for his deadline.
//!
//! Always true: a grant is held by exactly one of the desk, a permit, or nobody; a future that is dropped anywhere gives back what it had
//! been granted. No lock is held across an await, and no waker is called under it. The lock and the wakers are all there is to it, so that
//! `tests/loom.rs` can try every order of events.

use std::future::Future;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use llmpool_core::limits::desk::{Answer, Desk};
pub(crate) use llmpool_core::limits::desk::{LONGEST_LINE, Refusal};
use llmpool_core::limits::key::{KeyId, KeyLimits};
use llmpool_core::limits::learned::Sights;
use llmpool_core::limits::ledger::{Grant, GroupId, Ledger, Limits, Rest, TargetId, TargetLimits, Undo};
use llmpool_core::limits::room::{Arrival, Ticket};
use llmpool_core::time::Timestamp;

use super::Permit;
use crate::clock::{self, Timer};
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering};

/// One provider's admission.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    desk: Mutex<Desk<Waker>>,
    last_ticket: AtomicU64,
}

impl Admission {
    pub(crate) fn add_key(&self, limits: KeyLimits) -> KeyId {
        self.lock().ledger_mut().add_key(limits)
    }

    /// Every key, in the order in which they were added.
    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        self.lock().ledger_mut().key_ids()
    }

    pub(crate) fn add_target(&self, keys: &[KeyId], limits: impl Into<TargetLimits>) -> TargetId {
        self.lock().add_target(keys, limits, clock::now())
    }

    /// Makes one account of these keys.
    pub(crate) fn join_keys(&self, keys: &[KeyId], limits: Limits, learn: bool) -> GroupId {
        self.change(|desk, now, wakes| {
            let group = desk.ledger_mut().join_keys(keys, limits, learn, now);
            desk.ask_for_key(keys.first().copied(), now, wakes);
            group
        })
    }

    /// Takes a key out of use, or puts it back.
    pub(crate) fn set_enabled(&self, key: KeyId, enabled: bool) {
        self.change(|desk, now, wakes| {
            desk.ledger_mut().set_enabled(key, enabled, now);
            desk.ask_for_key(Some(key), now, wakes);
        });
    }

    /// Lets a key rest, as was known from an earlier run.
    pub(crate) fn set_resting(&self, key: KeyId, why: Rest, until: Timestamp) {
        self.change(|desk, now, _| desk.ledger_mut().set_resting(key, why, until, now));
    }

    /// The next place in line.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.last_ticket.fetch_add(1, Ordering::Relaxed))
    }

    /// Reads the ledger.
    pub(crate) fn look<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        read(self.lock().ledger())
    }

    /// The earliest instant at which somebody who arrives now could go.
    pub(crate) fn earliest(&self, target: TargetId) -> Timestamp {
        self.lock().earliest(target, clock::now())
    }

    /// How many wait for this target.
    pub(crate) fn waiting(&self, target: TargetId) -> usize {
        self.lock().waiting(target)
    }

    /// Takes a permit if one is to be had at once and nobody stands before.
    pub(crate) fn try_enter(self: &Arc<Self>, target: TargetId, arrival: &Arrival) -> Option<Permit> {
        let grant = self.lock().try_enter(target, arrival, clock::now())?;
        Some(Permit::new(self.clone(), grant))
    }

    /// Waits for a permit. Dropping the future leaves the line and gives back whatever it had been granted.
    pub(crate) fn enter(self: &Arc<Self>, target: TargetId, arrival: Arrival) -> Enter {
        Enter {
            admission: self.clone(),
            target,
            arrival,
            queued: false,
            timer: Timer::default(),
        }
    }

    /// Fills the bucket of a target, and lets in who can go now.
    pub(crate) fn reset(&self, target: TargetId) {
        self.change(|desk, now, wakes| {
            desk.ledger_mut().reset(target);
            desk.ask_room(target, now, wakes);
        });
    }

    pub(super) fn put_back(&self, grant: &mut Grant, used: bool) {
        self.change(|desk, now, wakes| desk.put_back(grant, used, now, wakes));
    }

    pub(super) fn succeeded(&self, grant: &Grant) {
        if self.lock().ledger_mut().succeeded_as_expected(grant) {
            return;
        }
        self.change(|desk, now, wakes| {
            if desk.ledger_mut().succeeded(grant, now) {
                desk.ask_room(grant.target(), now, wakes);
                desk.ask_for_key(grant.key(), now, wakes);
            }
        });
    }

    /// An attempt that was sent got through and is over.
    pub(super) fn end_in_success(&self, grant: &mut Grant) {
        self.change(|desk, now, wakes| desk.end_in_success(grant, now, wakes));
    }

    pub(super) fn settle(&self, grant: &mut Grant, tokens: u32) {
        self.change(|desk, now, wakes| desk.settle(grant, tokens, now, wakes));
    }

    /// An answer said what is left of the limits.
    pub(super) fn observed(&self, grant: &Grant, sights: &Sights) {
        self.change(|desk, now, _| desk.ledger_mut().observed(grant, sights, now));
    }

    /// The target failed.
    pub(super) fn target_failed(&self, grant: &Grant, pause: Option<Duration>) {
        self.change(|desk, now, wakes| {
            desk.ledger_mut().target_failed(grant, pause, now);
            desk.ask_room(grant.target(), now, wakes);
        });
    }

    /// A call begins.
    pub(crate) fn fresh_call(&self, target: TargetId, now: Timestamp) -> Ticket {
        self.lock().ledger_mut().fresh_call(target, now);
        self.ticket()
    }

    /// Spends one of the target's retries.
    pub(crate) fn spend_retry(&self, target: TargetId) -> bool {
        self.lock().ledger_mut().spend_retry(target, clock::now())
    }

    pub(super) fn refused(&self, grant: &Grant, why: Rest, pause: Option<Duration>) -> Option<Undo> {
        self.change(|desk, now, wakes| {
            let undo = desk.ledger_mut().refused(grant, why, pause, now);
            desk.ask_for_key(grant.key(), now, wakes);
            undo
        })
    }

    /// It is not clear whether the key is to blame.
    pub(super) fn refused_unclearly(&self, grant: &Grant, pause: Duration) -> Option<Undo> {
        self.change(|desk, now, wakes| {
            let undo = desk.ledger_mut().refused_unclearly(grant, pause, now);
            desk.ask_for_key(grant.key(), now, wakes);
            undo
        })
    }

    /// Takes a refusal back.
    pub(crate) fn restore(&self, undo: Undo) {
        self.change(|desk, now, wakes| {
            desk.ledger_mut().restore(undo, now);
            desk.ask_for_key(Some(undo.key()), now, wakes);
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Desk<Waker>, Timestamp, &mut Vec<Waker>) -> T) -> T {
        let mut wakes = Vec::new();
        let answer = change(&mut self.lock(), clock::now(), &mut wakes);
        wakes.into_iter().for_each(Waker::wake);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Desk<Waker>> {
        // Every change under the lock is complete before anything in it could panic.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits in a room until granted, refused, or dropped.
#[derive(Debug)]
pub(crate) struct Enter {
    admission: Arc<Admission>,
    target: TargetId,
    arrival: Arrival,
    queued: bool,
    timer: Timer,
}

impl Future for Enter {
    type Output = Result<Permit, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let Poll::Ready(answer) = this.look(cx) {
                return Poll::Ready(answer);
            }
            if this.timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Enter {
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Refusal>> {
        let (target, arrival, queued) = (self.target, self.arrival, self.queued);
        let answer = self.admission.change(|desk, now, wakes| {
            if queued {
                desk.look_again(target, &arrival, cx.waker(), now, wakes)
            } else {
                desk.arrive(target, &arrival, cx.waker(), now, wakes)
            }
        });
        self.queued = matches!(answer, Answer::Wait(_));
        match answer {
            Answer::Granted(grant) => Poll::Ready(Ok(Permit::new(self.admission.clone(), grant))),
            Answer::Refused(refusal) => Poll::Ready(Err(refusal)),
            Answer::Wait(until) => {
                self.timer.set(until);
                Poll::Pending
            }
        }
    }
}

impl Drop for Enter {
    fn drop(&mut self) {
        if self.queued {
            let (target, arrival) = (self.target, self.arrival);
            self.admission
                .change(|desk, now, wakes| desk.withdraw(target, &arrival, now, wakes));
        }
    }
}
