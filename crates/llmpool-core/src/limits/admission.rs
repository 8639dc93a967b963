//! Admission: the wait queues and the limiter of one provider.
//!
//! Every change goes through [`Admission`]. A change that may let a waiter proceed serves the queue heads that it concerns, oldest first across
//! all targets that compete for the key, and appends to `wakes` the wakers of exactly those waiters that were granted or whose time to retry
//! changed. `W` is the shell's waker; the shell calls the wakers after it released its lock.
//!
//! Invariant: every grant is either in `granted` or handed out, never both. Of the waiters for a key set, only the first that is denied holds
//! a timer.

mod outcome;
mod serving;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use self::outcome::{AdmissionOutcome, Rejection};
use super::cooldown::CooldownReason;
use super::demand::Demand;
use super::denial::{Denial, Wait, WaitReason};
use super::fairness::{Caller, FairClocks};
use super::grant::Grant;
use super::key::{KeyId, KeyLimits};
use super::key_constraint::KeyConstraint;
use super::key_table::ProvisionalCooldown;
use super::limit_snapshot::LimitSnapshots;
use super::limiter::Limiter;
use super::limits::Limits;
use super::quota_group::QuotaGroupId;
use super::target::{TargetId, TargetLimits};
use super::wait_queue::{AcquireRequest, QueuePosition, Ticket, WaitQueue};
use crate::time::Timestamp;

/// Maximum number of waiters per target.
pub const MAX_WAITING: usize = 10_000;

/// The wait queues and the limiter of one provider.
#[derive(Debug)]
pub struct Admission<W> {
    limiter: Limiter,
    /// One queue per target.
    queues: Vec<WaitQueue<Waiter<W>>>,
    /// Waiters of all queues together.
    waiting: usize,
    /// The order among callers, across all queues.
    fair: FairClocks,
    /// For each key set, the queue heads that wait for one of its keys or are yet to be served.
    blocked: Vec<BTreeSet<BlockedHead>>,
    /// Granted while waiting, and not yet picked up.
    granted: BTreeMap<(TargetId, Ticket), Grant>,
}

/// The head of a queue among those that wait for keys, ordered by its position.
type BlockedHead = (QueuePosition, TargetId, KeyConstraint);

#[derive(Debug)]
struct Waiter<W> {
    waker: W,
    /// The last denial, from when the waiter was the head of its queue.
    wait: Option<Wait>,
}

impl<W> Default for Admission<W> {
    fn default() -> Self {
        Self::over(Limiter::new())
    }
}

impl<W> Admission<W> {
    /// Returns an admission for an existing limiter, with empty queues.
    pub fn over(limiter: Limiter) -> Self {
        let mut admission = Self {
            limiter,
            queues: Vec::new(),
            waiting: 0,
            fair: FairClocks::default(),
            blocked: Vec::new(),
            granted: BTreeMap::new(),
        };
        admission.add_queues();
        admission
    }

    /// Adds the queues of targets that have none.
    fn add_queues(&mut self) {
        let (targets, sets) = (self.limiter.target_count(), &self.limiter.key_sets().sets);
        self.queues.resize_with(targets, WaitQueue::default);
        self.blocked.resize_with(sets.len(), BTreeSet::new);
    }
}

impl<W: Clone> Admission<W> {
    /// Read access to the limiter.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Adds a key that no target uses yet.
    pub fn add_key(&mut self, limits: KeyLimits) -> KeyId {
        self.limiter.add_key(limits)
    }

    /// Adds a target with an empty queue: see [`Limiter::add_target`].
    pub fn add_target(
        &mut self,
        keys: &[KeyId],
        limits: impl Into<TargetLimits>,
        now: Timestamp,
    ) -> TargetId {
        let target = self.limiter.add_target(keys, limits, now);
        self.add_queues();
        target
    }

    /// The number of waiters for this target.
    pub fn waiting(&self, target: TargetId) -> usize {
        self.queues[target.index()].count()
    }

    /// Returns a lower bound of the time at which a request that arrives now could be granted.
    pub fn earliest(&mut self, target: TargetId, now: Timestamp) -> Timestamp {
        let queue = &self.queues[target.index()];
        let ahead = queue.ahead(KeyConstraint::Any, Caller::default(), Ticket(u64::MAX));
        self.limiter
            .earliest(target, Demand::ONE, ahead, KeyConstraint::Any, now)
    }

    /// Returns what the first waiter that any key would serve waits for; `None` if none waits.
    pub fn wait_reason(&mut self, target: TargetId, now: Timestamp) -> Option<WaitReason> {
        let head = self.queues[target.index()].head(KeyConstraint::Any)?;
        let demand = head.request.demand;
        Some(self.limiter.wait_reason(target, demand, KeyConstraint::Any, now))
    }

    /// Acquires a grant if it is available at once and no older request waits for it. Never queues.
    pub fn try_acquire(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        now: Timestamp,
    ) -> Option<Grant> {
        if self.must_queue(target, request.constraint) {
            return None;
        }
        self.acquire_now(target, request, now).ok()
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
        if !self.must_queue(target, request.constraint) {
            match self.acquire_now(target, request, now) {
                Ok(grant) => return AdmissionOutcome::Granted(grant),
                Err(Denial::Unsatisfiable(why)) => {
                    return AdmissionOutcome::Rejected(Rejection::Unsatisfiable(why));
                }
                Err(Denial::Wait(_)) => {}
            }
        }
        self.queue(target, request, waker, now, wakes)
    }

    /// Queues a request that cannot be granted at once, or rejects it.
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
        let ahead = self.queues[target.index()].ahead(constraint, request.caller, request.ticket);
        let ready_at = self.limiter.earliest(target, demand, ahead, constraint, now);
        if ready_at > request.deadline || now >= request.deadline {
            return self.too_late(target, request, Some(ready_at), now);
        }
        if self.waiting(target) >= MAX_WAITING {
            return AdmissionOutcome::Rejected(Rejection::QueueFull { ready_at });
        }
        self.insert(target, *request, waker.clone());
        self.poll(target, request, waker, now, wakes)
    }

    /// Polls a queued request, after it was woken or at the time of its last [`AdmissionOutcome::Wait`].
    pub fn poll(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        waker: &W,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> AdmissionOutcome {
        if self.is_head(target, request) && now < request.deadline {
            self.serve_target(target, now, wakes);
        }
        if let Some(grant) = self.granted.remove(&(target, request.ticket)) {
            return AdmissionOutcome::Granted(grant);
        }
        let waiter = self.queues[target.index()].waiter_mut(request);
        let wait = waiter.and_then(|waiter| {
            waiter.waker.clone_from(waker);
            // A time that has passed is outdated: an older waiter holds the timer meanwhile.
            waiter.wait.filter(|wait| wait.until > now)
        });
        let hopeless = wait.is_some_and(|wait| !wait.slot && wait.until > request.deadline);
        if hopeless || now >= request.deadline {
            self.leave(target, request, now, wakes);
            let ready_at = wait.filter(|wait| !wait.slot).map(|wait| wait.until);
            return self.too_late(target, request, ready_at, now);
        }
        let until = wait.map_or(request.deadline, |wait| wait.until.min(request.deadline));
        AdmissionOutcome::Wait(until)
    }

    fn too_late(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        ready_at: Option<Timestamp>,
        now: Timestamp,
    ) -> AdmissionOutcome {
        let why = self
            .limiter
            .wait_reason(target, request.demand, request.constraint, now);
        AdmissionOutcome::Rejected(Rejection::TooLate { ready_at, why })
    }

    /// Removes a queued request; if it was granted meanwhile, the grant is released unused.
    pub fn cancel(&mut self, target: TargetId, request: &AcquireRequest, now: Timestamp, wakes: &mut Vec<W>) {
        match self.granted.remove(&(target, request.ticket)) {
            Some(mut grant) => self.release(&mut grant, false, now, wakes),
            None => self.leave(target, request, now, wakes),
        }
    }

    /// Releases a grant: see [`Limiter::release`].
    #[inline(always)]
    pub fn release(&mut self, grant: &mut Grant, used: bool, now: Timestamp, wakes: &mut Vec<W>) {
        let made_room = self.limiter.release(grant, used, now);
        self.serve_after(grant, made_room, now, wakes);
    }

    /// Corrects the tokens of a grant: see [`Limiter::settle`]. To be called before the release, so that freed tokens and the freed slot
    /// go to the oldest waiter.
    pub fn settle(&mut self, grant: &mut Grant, tokens: u32, now: Timestamp, wakes: &mut Vec<W>) {
        if self.limiter.settle(grant, tokens, now) {
            self.serve_after(grant, true, now, wakes);
        }
    }

    /// Records the success of an attempt and releases its grant.
    #[inline(always)]
    pub fn complete(&mut self, grant: &mut Grant, now: Timestamp, wakes: &mut Vec<W>) {
        let changed = self.limiter.record_success(grant, now);
        let made_room = self.limiter.release(grant, true, now);
        self.serve_after(grant, changed || made_room, now, wakes);
    }

    /// Records the success of an attempt: see [`Limiter::record_success`].
    pub fn record_success(&mut self, grant: &Grant, now: Timestamp, wakes: &mut Vec<W>) {
        if self.limiter.record_success(grant, now) {
            self.serve_after(grant, true, now, wakes);
        }
    }

    /// Records a refusal because of the key: see [`Limiter::record_refusal`].
    pub fn record_refusal(
        &mut self,
        grant: &Grant,
        reason: CooldownReason,
        duration: Option<Duration>,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> Option<ProvisionalCooldown> {
        let cooldown = self.limiter.record_refusal(grant, reason, duration, now);
        self.serve_key(grant.key(), now, wakes);
        cooldown
    }

    /// Records a failure of the target: see [`Limiter::record_target_failure`].
    pub fn record_target_failure(
        &mut self,
        grant: &Grant,
        duration: Option<Duration>,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) {
        self.limiter.record_target_failure(grant, duration, now);
        self.serve_target(grant.target(), now, wakes);
    }

    /// Records what a response reveals of its key's limits.
    pub fn record_limits(
        &mut self,
        grant: &Grant,
        snapshots: &LimitSnapshots,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) {
        self.limiter.record_limits(grant, snapshots, now);
        self.serve_key(grant.key(), now, wakes);
    }

    /// Reverts a cooldown: see [`Limiter::restore`].
    pub fn restore(&mut self, cooldown: ProvisionalCooldown, now: Timestamp, wakes: &mut Vec<W>) {
        self.limiter.restore(cooldown, now);
        self.serve_key(Some(cooldown.key()), now, wakes);
    }

    /// Joins keys into one quota group: see [`Limiter::join_keys`].
    pub fn join_keys(
        &mut self,
        keys: &[KeyId],
        limits: Limits,
        learn: bool,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> QuotaGroupId {
        let group = self.limiter.join_keys(keys, limits, learn, now);
        self.serve_key(keys.first().copied(), now, wakes);
        group
    }

    /// Enables or disables a key: see [`Limiter::set_enabled`].
    pub fn set_enabled(&mut self, key: KeyId, enabled: bool, now: Timestamp, wakes: &mut Vec<W>) {
        self.limiter.set_enabled(key, enabled, now);
        self.serve_key(Some(key), now, wakes);
    }

    /// Sets a cooldown of a key: see [`Limiter::set_cooldown`].
    pub fn set_cooldown(
        &mut self,
        key: KeyId,
        reason: CooldownReason,
        until: Timestamp,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) {
        self.limiter.set_cooldown(key, reason, until, now);
        self.serve_key(Some(key), now, wakes);
    }

    /// Replaces the limits of a target: see [`Limiter::set_target_limits`].
    pub fn set_target_limits(
        &mut self,
        target: TargetId,
        limits: impl Into<TargetLimits>,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) {
        self.limiter.set_target_limits(target, limits, now);
        self.serve_target(target, now, wakes);
    }

    /// Fills the buckets of a target and clears its windows.
    pub fn reset(&mut self, target: TargetId, now: Timestamp, wakes: &mut Vec<W>) {
        self.limiter.reset(target);
        self.serve_target(target, now, wakes);
    }

    /// Records a new call in the retry budget: see [`Limiter::record_call`].
    pub fn record_call(&mut self, target: TargetId, now: Timestamp) {
        self.limiter.record_call(target, now);
    }

    /// Spends one retry of the target's retry budget, and returns whether there was one.
    pub fn try_spend_retry(&mut self, target: TargetId, now: Timestamp) -> bool {
        self.limiter.try_spend_retry(target, now)
    }

    /// Serves the queues that a change to a grant concerns: those of its key, and those of its target if `target_changed`.
    #[inline(always)]
    fn serve_after(&mut self, grant: &Grant, target_changed: bool, now: Timestamp, wakes: &mut Vec<W>) {
        if target_changed {
            self.serve_target(grant.target(), now, wakes);
        }
        self.serve_key(grant.key(), now, wakes);
    }
}
