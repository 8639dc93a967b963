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
//! - Whenever the head of a queue changes, the new head is in `blocked` and has no retry time until it is served.
//! - A grant is either stored in `uncollected` or has been handed out, never both.
//! - Of the requests that wait for any key of the same key set (the keys that a target may use), only the
//!   request that will be served next has a retry time.

mod events;
mod outcome;
mod serving;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use self::events::COLLECT_WITHIN;
pub use self::outcome::{AdmissionOutcome, Rejection};
use super::demand::Demand;
use super::denial::WaitReason;
use super::fairness::{Caller, FairClocks};
use super::grant::Grant;
use super::key::KeyId;
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
    /// For each target, the heads of its queues that wait for a key or are about to be served: all except those
    /// that wait for the target itself.
    blocked: Vec<BTreeSet<BlockedHead>>,
    /// Outcomes of requests that have left their queues, each with the time at which the owner was woken. The next
    /// [`Admission::poll`] of a request takes its outcome. [`AdmissionOutcome::Wait`]: the request has no grant, and
    /// waits in no queue until it is polled, so that no other request waits for it.
    uncollected: BTreeMap<(TargetId, Ticket), (Timestamp, AdmissionOutcome)>,
    /// The events to come, the earliest first.
    events: BTreeSet<(Timestamp, Event)>,
    /// The time of the [`Event::Retry`] of each queue.
    retries: BTreeMap<(TargetId, KeyConstraint), Timestamp>,
}

/// Identifies a request that is at the head of its queue and waits for a key. Ordered by queue position.
type BlockedHead = (QueuePosition, TargetId, KeyConstraint);

#[derive(Debug)]
struct Waiter<W> {
    waker: W,
    /// Whether the owner of the request did not poll it in time when it was woken before. Such a request gets
    /// no grant while its owner is away: it is only woken.
    is_slow: bool,
}

/// What happens at a certain time. Of the events at one time, a deadline comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A waiting request reaches its deadline.
    Deadline(TargetId, KeyConstraint, Caller, Ticket),
    /// An uncollected grant is returned.
    Return(TargetId, Ticket),
    /// The head of the target's queue for this constraint may be granted.
    Retry(TargetId, KeyConstraint),
}

impl Event {
    fn deadline(target: TargetId, request: &AcquireRequest) -> Self {
        Self::Deadline(target, request.constraint, request.caller, request.ticket)
    }
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
            events: BTreeSet::new(),
            retries: BTreeMap::new(),
        };
        admission.add_queues();
        admission
    }

    /// Adds a wait queue for each target that has none yet.
    fn add_queues(&mut self) {
        let targets = self.limiter.target_count();
        if self.queues.len() < targets {
            self.queues.resize_with(targets, WaitQueue::new);
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
    /// granted after the requests that are already waiting. [`Timestamp::MAX`] if that is unknown because no key has
    /// quota.
    pub fn earliest(&mut self, target: TargetId, now: Timestamp) -> Timestamp {
        let lost = self.limiter.lost_keys(target, KeyConstraint::Any, now);
        let by_keys = lost.map_or(now, |lost| lost.ready_at().unwrap_or(Timestamp::MAX));
        let queue = &self.queues[target.index()];
        let ahead = queue.ahead(KeyConstraint::Any, Caller::default(), Ticket(u64::MAX));
        self.limiter
            .earliest(target, Demand::ONE, ahead, KeyConstraint::Any, now)
            .max(by_keys)
    }

    /// Returns the key that a request that arrives at `now` would get at once: see [`Limiter::next_key`]. Does not take
    /// into account the requests that are already waiting.
    pub fn next_key(&mut self, target: TargetId, constraint: KeyConstraint, now: Timestamp) -> Option<KeyId> {
        self.limiter.next_key(target, constraint, now)
    }

    /// Returns what the first waiting request of a target waits for. Considers only requests that may use any
    /// key, and returns `None` if no such request is waiting.
    pub fn wait_reason(&mut self, target: TargetId, now: Timestamp) -> Option<WaitReason> {
        let head = self.queues[target.index()].head(KeyConstraint::Any)?;
        Some(
            self.limiter
                .wait_reason(target, head.demand, head.constraint, now),
        )
    }

    /// Returns what a waiting request waits for, or `None` if only older requests delay it.
    pub fn wait_reason_of(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        now: Timestamp,
    ) -> Option<WaitReason> {
        let AcquireRequest {
            demand, constraint, ..
        } = *request;
        self.limiter.known_wait_reason(target, demand, constraint, now)
    }

    /// Returns a grant if the limits admit the request at once and no older request waits for the same keys.
    /// Otherwise returns `None`, without queueing the request.
    pub fn try_acquire(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> Option<Grant> {
        let queue = &self.queues[target.index()];
        if queue.head_position(request.constraint).is_some() {
            return None;
        }
        let grant = self.acquire_now(target, request, None, now).ok()?;
        self.serve_changed(now, wakes);
        Some(grant)
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
        match self.try_acquire(target, request, now, wakes) {
            Some(grant) => AdmissionOutcome::Granted(grant),
            None => self.queue(target, request, waker, now, wakes),
        }
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
        if let Some(rejection) = self.rejection(target, request, now) {
            return AdmissionOutcome::Rejected(rejection);
        }
        let waiter = Waiter {
            waker: waker.clone(),
            is_slow: false,
        };
        self.schedule(request.deadline, Event::deadline(target, request));
        if self.change_queue(target, request.constraint, |queue, fair| {
            queue.insert(*request, waiter, fair);
        }) {
            self.serve_target(target, now, wakes);
        }
        let collected = self.collect(target, request.ticket);
        collected.map_or(AdmissionOutcome::Wait, |(_, outcome)| outcome)
    }

    /// Returns why a request that cannot be granted at once is not queued either.
    fn rejection(&mut self, target: TargetId, request: &AcquireRequest, now: Timestamp) -> Option<Rejection> {
        let (demand, constraint) = (request.demand, request.constraint);
        if let Some(why) = self.limiter.unsatisfiable(target, demand, constraint) {
            return Some(Rejection::Unsatisfiable(why));
        }
        if let Some(rejection) = self.rejection_without_keys(target, request, now) {
            return Some(rejection);
        }
        let ahead = self.queues[target.index()].ahead(constraint, request.caller, request.ticket);
        let ready_at = self.limiter.earliest(target, demand, ahead, constraint, now);
        if ready_at > request.deadline || now >= request.deadline {
            return Some(self.too_late(target, request, Some(ready_at), now));
        }
        let is_full = self.waiting(target) >= MAX_WAITING;
        is_full.then_some(Rejection::QueueFull { ready_at })
    }

    /// Returns the rejection of a request none of whose keys is expected to return by its deadline, unless the request
    /// waits for keys.
    fn rejection_without_keys(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        now: Timestamp,
    ) -> Option<Rejection> {
        if request.wait_for_keys {
            return None;
        }
        let lost = self.limiter.lost_keys(target, request.constraint, now)?;
        (!lost.return_by(request.deadline)).then(|| Rejection::no_usable_key(lost))
    }

    fn too_late(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        ready_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Rejection {
        let (demand, constraint) = (request.demand, request.constraint);
        let why = self.limiter.wait_reason(target, demand, constraint, now);
        Rejection::TooLate { ready_at, why }
    }

    /// Removes a queued request. If the request has been granted in the meantime, releases its grant as
    /// unused.
    pub fn cancel(&mut self, target: TargetId, request: &AcquireRequest, now: Timestamp, wakes: &mut Vec<W>) {
        match self.collect(target, request.ticket) {
            Some((_, AdmissionOutcome::Granted(mut grant))) => {
                self.change(now, wakes, |limiter| limiter.release(&mut grant, false, now));
            }
            Some(_) => {}
            None => {
                if let (_, true) = self.remove(target, request) {
                    self.serve_target(target, now, wakes);
                }
            }
        }
    }

    /// Removes a request from its queue. Returns its waiter, or `None` if the request was not queued, and whether
    /// the queue has a new head, which must be served.
    fn remove(&mut self, target: TargetId, request: &AcquireRequest) -> (Option<Waiter<W>>, bool) {
        self.events
            .remove(&(request.deadline, Event::deadline(target, request)));
        let mut removed = None;
        let has_new_head = self.change_queue(target, request.constraint, |queue, fair| {
            removed = queue.remove(request, fair);
        });
        (removed, has_new_head)
    }

    /// Changes a queue of a target. Returns whether the queue has a new head, or the head a new position. If so,
    /// the previous head loses its retry time, and the new one is blocked until it is served.
    fn change_queue(
        &mut self,
        target: TargetId,
        constraint: KeyConstraint,
        change: impl FnOnce(&mut WaitQueue<Waiter<W>>, &mut FairClocks),
    ) -> bool {
        let queue = &mut self.queues[target.index()];
        let (count, previous) = (queue.count(), queue.head_position(constraint));
        change(queue, &mut self.fair);
        queue.refresh(constraint, &self.fair);
        self.waiting = self.waiting + queue.count() - count;
        let head = queue.head_position(constraint);
        if head == previous {
            return false;
        }
        let blocked = &mut self.blocked[target.index()];
        if let Some(position) = previous {
            blocked.remove(&(position, target, constraint));
        }
        blocked.extend(head.map(|position| (position, target, constraint)));
        self.set_retry(target, constraint, None);
        true
    }
}
