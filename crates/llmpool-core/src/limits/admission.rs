//! Admission: the wait queues and the limiter of one provider.
//!
//! [`Admission`] owns both, so every change of the limiter goes through [`Admission::change`]. The limiter notes
//! which target and key a change concerns, and [`Admission`] then serves the affected queues: it asks the limiter
//! for a grant for the request at the head of each queue. Because targets can share keys, the queues of several
//! targets may be affected. The heads of these queues are served in one common order.
//!
//! Methods that can serve queues take a list `wakes`. They append to `wakes` the waker of every waiting
//! request that was granted or rejected, and no other waker. `W` is the waker type of the crate `llmpool`,
//! which calls the wakers in `wakes` after it has released its lock.
//!
//! No waiting request has a timer: the caller calls [`Admission::advance`] at the time of
//! [`Admission::next_event`]. Thus no request depends on whether the owner of another one polls it.
//!
//! Invariants:
//! - A grant is either stored in `uncollected` or has been handed out, never both.
//! - Of the requests that wait for any key of the same key set (the keys that a target may use), only the
//!   request that will be served next has a retry time.

mod event_queue;
mod events;
mod outcome;
mod serving;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::event_queue::{Events, Uncollected};
pub use self::events::COLLECT_WITHIN;
pub use self::outcome::{AdmissionOutcome, Rejection};
use super::demand::Demand;
use super::denial::{Denial, WaitReason};
use super::fairness::{Caller, FairClocks};
use super::grant::Grant;
use super::key_constraint::KeyConstraint;
use super::limiter::Limiter;
use super::target::TargetId;
use super::wait_queue::{AcquireRequest, QueuePosition, Ticket, WaitQueue};
use crate::time::Timestamp;

/// Maximum number of waiting requests per target. Further requests are rejected with
/// [`Rejection::QueueFull`].
pub const MAX_WAITING: usize = 10_000;

/// The wait queues and the limiter of one provider. The limiter is changed only through this type.
#[derive(Debug)]
pub struct Admission<W> {
    limiter: Limiter,
    /// The wait queue of each target, indexed by [`TargetId::index`].
    queues: Vec<WaitQueue<Waiter<W>>>,
    /// Total number of waiting requests in all queues.
    waiting: usize,
    /// Fair clock of each caller: a virtual time that advances with each grant to the caller. Every queue
    /// serves the caller with the earliest clock next.
    fair: FairClocks,
    /// For each target, the heads of its queues that wait for a key or are about to be served.
    blocked: Vec<BTreeSet<BlockedHead>>,
    /// Outcomes of requests that have left their queues. The next [`Admission::poll`] of a request takes its
    /// outcome.
    uncollected: BTreeMap<(TargetId, Ticket), Uncollected>,
    events: Events,
}

/// Identifies a request that is at the head of its queue and waits for a key. Ordered by queue position.
type BlockedHead = (QueuePosition, TargetId, KeyConstraint);

#[derive(Debug)]
struct Waiter<W> {
    waker: W,
    /// The end of the wait in the limiter's most recent denial of this request, and whether the request might
    /// be granted before. `None` if the request is not the head of its queue or has not been denied yet. Set
    /// by [`Admission::set_wait`].
    wait: Option<(Timestamp, bool)>,
    /// Whether the owner of the request did not poll it in time when it was woken before. Such a request gets
    /// no grant while its owner is away: it is only woken.
    is_slow: bool,
}

impl<W> Default for Admission<W> {
    fn default() -> Self {
        Self::over(Limiter::new())
    }
}

impl<W> Admission<W> {
    /// Returns an [`Admission`] for an existing limiter, with an empty wait queue for each of its targets.
    pub fn over(limiter: Limiter) -> Self {
        let mut admission = Self {
            limiter,
            queues: Vec::new(),
            waiting: 0,
            fair: FairClocks::default(),
            blocked: Vec::new(),
            uncollected: BTreeMap::new(),
            events: Events::default(),
        };
        admission.add_queues();
        admission
    }

    /// Adds a wait queue for each target that has none yet.
    #[inline(always)]
    fn add_queues(&mut self) {
        let targets = self.limiter.target_count();
        if self.queues.len() < targets {
            self.queues.resize_with(targets, WaitQueue::default);
            self.blocked.resize_with(targets, BTreeSet::new);
        }
    }
}

impl<W: Clone> Admission<W> {
    /// Returns the limiter for read-only queries.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Changes the limiter, and serves the requests that the change concerns.
    #[inline(always)]
    pub fn change<T>(
        &mut self,
        now: Timestamp,
        wakes: &mut Vec<W>,
        change: impl FnOnce(&mut Limiter) -> T,
    ) -> T {
        let result = change(&mut self.limiter);
        self.add_queues();
        self.serve_changed(now, wakes);
        result
    }

    /// Returns the number of requests that wait for a target.
    pub fn waiting(&self, target: TargetId) -> usize {
        self.queues[target.index()].count()
    }

    /// Returns a lower bound on the time at which a new request for the target, arriving at `now`, could be
    /// granted after the requests that are already waiting.
    pub fn earliest(&mut self, target: TargetId, now: Timestamp) -> Timestamp {
        let queue = &self.queues[target.index()];
        let ahead = queue.ahead(KeyConstraint::Any, Caller::default(), Ticket(u64::MAX));
        self.limiter
            .earliest(target, Demand::ONE, ahead, KeyConstraint::Any, now)
    }

    /// Returns what the first waiting request of a target waits for. Considers only requests that may use any
    /// key, and returns `None` if no such request is waiting.
    pub fn wait_reason(&mut self, target: TargetId, now: Timestamp) -> Option<WaitReason> {
        let head = self.queues[target.index()].head(KeyConstraint::Any)?;
        let demand = head.request.demand;
        Some(self.limiter.wait_reason(target, demand, KeyConstraint::Any, now))
    }

    /// Returns a grant if the limits admit the request at once and no older request waits for the same keys.
    /// Otherwise returns `None`, without queueing the request.
    pub fn try_acquire(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        now: Timestamp,
    ) -> Option<Grant> {
        if self.queues[target.index()].has_waiters(request.constraint) {
            return None;
        }
        self.acquire_now(target, request, None, now).ok()
    }

    /// Grants a request at once, queues it, or rejects it.
    #[inline(always)]
    pub fn acquire(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        waker: &W,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> AdmissionOutcome {
        self.advance(now, wakes);
        if self.waiting == 0 || !self.queues[target.index()].has_waiters(request.constraint) {
            match self.acquire_now(target, request, None, now) {
                Ok(grant) => {
                    if self.waiting > 0 {
                        self.serve_changed(now, wakes);
                    }
                    return AdmissionOutcome::Granted(grant);
                }
                Err(Some(Denial::Unsatisfiable(why))) => {
                    return AdmissionOutcome::Rejected(Rejection::Unsatisfiable(why));
                }
                Err(_) => {}
            }
        }
        self.queue(target, request, waker, now, wakes)
    }

    /// Queues a request that cannot be granted at once. Rejects the request if it cannot be granted before
    /// its deadline, or if the queue is full.
    fn queue(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        waker: &W,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> AdmissionOutcome {
        let AcquireRequest {
            demand, constraint, ..
        } = *request;
        if let Some(why) = self.limiter.unsatisfiable(target, demand, constraint) {
            return AdmissionOutcome::Rejected(Rejection::Unsatisfiable(why));
        }
        if !request.wait_for_keys
            && let Some(first) = self.limiter.lost_keys(target, constraint, now)
        {
            return AdmissionOutcome::Rejected(Rejection::no_usable_key(first));
        }
        let ahead = self.queues[target.index()].ahead(constraint, request.caller, request.ticket);
        let ready_at = self.limiter.earliest(target, demand, ahead, constraint, now);
        if ready_at > request.deadline || now >= request.deadline {
            return AdmissionOutcome::Rejected(self.too_late(target, request, Some(ready_at), now));
        }
        if self.waiting(target) >= MAX_WAITING {
            return AdmissionOutcome::Rejected(Rejection::QueueFull { ready_at });
        }
        self.insert(target, *request, waker.clone(), now);
        if self.is_head(target, request) {
            self.serve_target(target, now, wakes);
        }
        self.poll(target, request, waker, now, wakes)
    }

    fn too_late(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        ready_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Rejection {
        let why = self
            .limiter
            .wait_reason(target, request.demand, request.constraint, now);
        Rejection::TooLate { ready_at, why }
    }

    /// Removes a queued request. If the request has been granted in the meantime, releases its grant as
    /// unused.
    pub fn cancel(&mut self, target: TargetId, request: &AcquireRequest, now: Timestamp, wakes: &mut Vec<W>) {
        match self.collect(target, request.ticket) {
            Some(Uncollected::Granted(mut grant, _)) => {
                self.change(now, wakes, |limiter| limiter.release(&mut grant, false, now));
            }
            Some(Uncollected::Woken(_) | Uncollected::Rejected(_)) => {}
            None => self.leave(target, request, now, wakes),
        }
    }
}
