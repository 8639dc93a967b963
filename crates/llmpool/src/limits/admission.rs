//! The desk of one provider behind one lock, and the futures that wait at it.
//!
//! What is decided is decided by the [admission](llmpool_core::limits::admission); here it is locked and its wakers are called. Everybody has one
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

use llmpool_core::limits::Limits;
use llmpool_core::limits::admission::{Admission, AdmissionOutcome};
pub(crate) use llmpool_core::limits::admission::{LONGEST_LINE, Rejection};
use llmpool_core::limits::key::{KeyId, KeyLimits};
use llmpool_core::limits::limiter::{
    CooldownReason, Grant, Limiter, ProvisionalCooldown, QuotaGroupId, TargetId, TargetLimits,
};
use llmpool_core::limits::observed_limits::LimitSnapshots;
use llmpool_core::limits::wait_queue::{AcquireRequest, Ticket};
use llmpool_core::time::Timestamp;

use super::Permit;
use crate::clock::{self, Timer};
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering};

/// One provider's admission.
#[derive(Debug, Default)]
pub(crate) struct SharedAdmission {
    admission: Mutex<Admission<Waker>>,
    last_ticket: AtomicU64,
}

impl SharedAdmission {
    pub(crate) fn add_key(&self, limits: KeyLimits) -> KeyId {
        self.lock().limiter_mut().add_key(limits)
    }

    /// Every key, in the order in which they were added.
    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        self.lock().limiter_mut().key_ids()
    }

    pub(crate) fn add_target(&self, keys: &[KeyId], limits: impl Into<TargetLimits>) -> TargetId {
        self.lock().add_target(keys, limits, clock::now())
    }

    /// Makes one account of these keys.
    pub(crate) fn join_keys(&self, keys: &[KeyId], limits: Limits, learn: bool) -> QuotaGroupId {
        self.change(|admission, now, wakes| {
            let group = admission.limiter_mut().join_keys(keys, limits, learn, now);
            admission.serve_key(keys.first().copied(), now, wakes);
            group
        })
    }

    /// Takes a key out of use, or puts it back.
    pub(crate) fn set_enabled(&self, key: KeyId, enabled: bool) {
        self.change(|admission, now, wakes| {
            admission.limiter_mut().set_enabled(key, enabled, now);
            admission.serve_key(Some(key), now, wakes);
        });
    }

    /// Lets a key rest, as was known from an earlier run.
    pub(crate) fn set_cooldown(&self, key: KeyId, why: CooldownReason, until: Timestamp) {
        self.change(|admission, now, _| admission.limiter_mut().set_cooldown(key, why, until, now));
    }

    /// The next place in line.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.last_ticket.fetch_add(1, Ordering::Relaxed))
    }

    /// Reads the ledger.
    pub(crate) fn look<T>(&self, read: impl FnOnce(&Limiter) -> T) -> T {
        read(self.lock().limiter())
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
    pub(crate) fn try_acquire(
        self: &Arc<Self>,
        target: TargetId,
        request: &AcquireRequest,
    ) -> Option<Permit> {
        let grant = self.lock().try_acquire(target, request, clock::now())?;
        Some(Permit::new(self.clone(), grant))
    }

    /// Waits for a permit. Dropping the future leaves the line and gives back whatever it had been granted.
    pub(crate) fn enter(self: &Arc<Self>, target: TargetId, request: AcquireRequest) -> Enter {
        Enter {
            admission: self.clone(),
            target,
            request,
            queued: false,
            timer: Timer::default(),
        }
    }

    /// Fills the bucket of a target, and lets in who can go now.
    pub(crate) fn reset(&self, target: TargetId) {
        self.change(|admission, now, wakes| {
            admission.limiter_mut().reset(target);
            admission.serve_target(target, now, wakes);
        });
    }

    pub(super) fn release(&self, grant: &mut Grant, used: bool) {
        self.change(|admission, now, wakes| admission.release(grant, used, now, wakes));
    }

    pub(super) fn succeeded(&self, grant: &Grant) {
        if self.lock().limiter_mut().succeeded_as_expected(grant) {
            return;
        }
        self.change(|admission, now, wakes| {
            if admission.limiter_mut().succeeded(grant, now) {
                admission.serve_target(grant.target(), now, wakes);
                admission.serve_key(grant.key(), now, wakes);
            }
        });
    }

    /// An attempt that was sent got through and is over.
    pub(super) fn complete(&self, grant: &mut Grant) {
        self.change(|admission, now, wakes| admission.complete(grant, now, wakes));
    }

    pub(super) fn settle(&self, grant: &mut Grant, tokens: u32) {
        self.change(|admission, now, wakes| admission.settle(grant, tokens, now, wakes));
    }

    /// An answer said what is left of the limits.
    pub(super) fn observed(&self, grant: &Grant, sights: &LimitSnapshots) {
        self.change(|admission, now, _| admission.limiter_mut().observed(grant, sights, now));
    }

    /// The target failed.
    pub(super) fn target_failed(&self, grant: &Grant, pause: Option<Duration>) {
        self.change(|admission, now, wakes| {
            admission.limiter_mut().target_failed(grant, pause, now);
            admission.serve_target(grant.target(), now, wakes);
        });
    }

    /// A call begins.
    pub(crate) fn fresh_call(&self, target: TargetId, now: Timestamp) -> Ticket {
        self.lock().limiter_mut().fresh_call(target, now);
        self.ticket()
    }

    /// Spends one of the target's retries.
    pub(crate) fn spend_retry(&self, target: TargetId) -> bool {
        self.lock().limiter_mut().spend_retry(target, clock::now())
    }

    pub(super) fn refused(
        &self,
        grant: &Grant,
        why: CooldownReason,
        pause: Option<Duration>,
    ) -> Option<ProvisionalCooldown> {
        self.change(|admission, now, wakes| {
            let cooldown = admission.limiter_mut().refused(grant, why, pause, now);
            admission.serve_key(grant.key(), now, wakes);
            cooldown
        })
    }

    /// It is not clear whether the key is to blame.
    pub(super) fn refused_unclearly(&self, grant: &Grant, pause: Duration) -> Option<ProvisionalCooldown> {
        self.change(|admission, now, wakes| {
            let cooldown = admission.limiter_mut().refused_unclearly(grant, pause, now);
            admission.serve_key(grant.key(), now, wakes);
            cooldown
        })
    }

    /// Takes a refusal back.
    pub(crate) fn restore(&self, cooldown: ProvisionalCooldown) {
        self.change(|admission, now, wakes| {
            admission.limiter_mut().restore(cooldown, now);
            admission.serve_key(Some(cooldown.key()), now, wakes);
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut Admission<Waker>, Timestamp, &mut Vec<Waker>) -> T) -> T {
        let mut wakes = Vec::new();
        let answer = change(&mut self.lock(), clock::now(), &mut wakes);
        wakes.into_iter().for_each(Waker::wake);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Admission<Waker>> {
        // Every change under the lock is complete before anything in it could panic.
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits in a room until granted, refused, or dropped.
#[derive(Debug)]
pub(crate) struct Enter {
    admission: Arc<SharedAdmission>,
    target: TargetId,
    request: AcquireRequest,
    queued: bool,
    timer: Timer,
}

impl Future for Enter {
    type Output = Result<Permit, Rejection>;

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
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Rejection>> {
        let (target, request, queued) = (self.target, self.request, self.queued);
        let answer = self.admission.change(|admission, now, wakes| {
            if queued {
                admission.poll(target, &request, cx.waker(), now, wakes)
            } else {
                admission.acquire(target, &request, cx.waker(), now, wakes)
            }
        });
        self.queued = matches!(answer, AdmissionOutcome::Wait(_));
        match answer {
            AdmissionOutcome::Granted(grant) => Poll::Ready(Ok(Permit::new(self.admission.clone(), grant))),
            AdmissionOutcome::Refused(refusal) => Poll::Ready(Err(refusal)),
            AdmissionOutcome::Wait(until) => {
                self.timer.set(until);
                Poll::Pending
            }
        }
    }
}

impl Drop for Enter {
    fn drop(&mut self) {
        if self.queued {
            let (target, request) = (self.target, self.request);
            self.admission
                .change(|admission, now, wakes| admission.cancel(target, &request, now, wakes));
        }
    }
}
