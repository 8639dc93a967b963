//! Admission: the wait queues and the limiter of one provider.
//!
//! Every change goes through [`Admission`]. After a change that may free a key or a target, [`Admission`] serves the heads of the affected
//! queues, oldest first across all targets that share the keys. It appends to `wakes` the waker of every request that was granted or got a
//! new retry time, and no other waker. `W` is the waker type of the crate `llmpool`, which calls the wakers after it has released its lock.
//!
//! Invariants: every grant is either stored in `granted` or handed out, never both. Of the requests that wait for any key of one key set,
//! only the one at the front has a retry time; the others wait behind it.

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

/// Maximum number of waiting requests per target. Further requests are rejected with [`Rejection::QueueFull`].
pub const MAX_WAITING: usize = 10_000;

/// The wait queues and the limiter of one provider. The limiter is changed only through this type.
#[derive(Debug)]
pub struct Admission<W> {
    limiter: Limiter,
    /// One wait queue per target, indexed by target.
    queues: Vec<WaitQueue<Waiter<W>>>,
    /// Number of waiting requests in all queues together.
    waiting: usize,
    /// Fair clocks of the callers: virtual times that each grant advances. In every queue, the caller with the earliest clock is served
    /// next.
    fair: FairClocks,
    /// For each key set, the queue heads that wait for a key of the set or are about to be served.
    blocked: Vec<BTreeSet<BlockedHead>>,
    /// Grants of requests that were served while they waited. The next [`Admission::poll`] of the request removes its grant and returns it.
    granted: BTreeMap<(TargetId, Ticket), Grant>,
}

/// The head of a queue that waits for a key. Heads are ordered by their positions.
type BlockedHead = (QueuePosition, TargetId, KeyConstraint);

#[derive(Debug)]
struct Waiter<W> {
    waker: W,
    /// The most recent denial that the request received as the head of its queue. `None` if the request has not been denied as the head.
    wait: Option<Wait>,
}

impl<W> Default for Admission<W> {
    fn default() -> Self {
        Self::over(Limiter::new())
    }
}

impl<W> Admission<W> {
    /// Returns an admission with empty queues for an existing limiter.
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

    /// Adds a queue for each target that has no queue, and a set of blocked heads for each new key set.
    fn add_queues(&mut self) {
        let (targets, sets) = (self.limiter.target_count(), &self.limiter.key_sets().sets);
        self.queues.resize_with(targets, WaitQueue::default);
        self.blocked.resize_with(sets.len(), BTreeSet::new);
    }
}

impl<W: Clone> Admission<W> {
    /// Returns the limiter for read-only queries.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Adds a key with these limits. No target uses the key until [`add_target`](Self::add_target) names it.
    pub fn add_key(&mut self, limits: KeyLimits) -> KeyId {
        self.limiter.add_key(limits)
    }

    /// Adds a target with an empty wait queue: see [`Limiter::add_target`].
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

    /// Returns the number of requests that wait for a target.
    pub fn waiting(&self, target: TargetId) -> usize {
        self.queues[target.index()].count()
    }

    /// Returns a lower bound of the time at which a request that arrives at `now` could be granted.
    pub fn earliest(&mut self, target: TargetId, now: Timestamp) -> Timestamp {
        let queue = &self.queues[target.index()];
        let ahead = queue.ahead(KeyConstraint::Any, Caller::default(), Ticket(u64::MAX));
        self.limiter
            .earliest(target, Demand::ONE, ahead, KeyConstraint::Any, now)
    }

    /// Returns what the first waiting request of a target waits for, considering only requests that may use any key. `None` if the target's
    /// queue contains no such request.
    pub fn wait_reason(&mut self, target: TargetId, now: Timestamp) -> Option<WaitReason> {
        let head = self.queues[target.index()].head(KeyConstraint::Any)?;
        let demand = head.request.demand;
        Some(self.limiter.wait_reason(target, demand, KeyConstraint::Any, now))
    }

    /// Acquires a grant if one is available at once and no older request waits for the same keys. Never queues the request.
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

    /// Grants a request at once, queues the request, or rejects it.
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

    /// Queues a request that cannot be granted at once. Rejects the request if it could not be granted by its deadline or if the queue is
    /// full.
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

    /// Polls a queued request. Must be called when the request's waker is called, and at the time in the most recent
    /// [`AdmissionOutcome::Wait`].
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
            // A retry time in the past is outdated: an older request has taken over the timer.
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

    /// Removes a queued request. If the request was granted in the meantime, the grant is released unused.
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

    /// Corrects the tokens of a grant: see [`Limiter::settle`]. Settle a grant before releasing it, so that the oldest waiting request
    /// receives the freed tokens and the freed slot together.
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

    /// Records that the provider refused an attempt because of the key: see [`Limiter::record_refusal`].
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

    /// Records a failure of an attempt that is blamed on the target: see [`Limiter::record_target_failure`].
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

    /// Records the rate limits that a response reports for the key of its request: see [`Limiter::record_limits`].
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

    /// Reverts a cooldown of a key: see [`Limiter::restore`].
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

    /// Fills the buckets of a target and clears its windows: see [`Limiter::reset`].
    pub fn reset(&mut self, target: TargetId, now: Timestamp, wakes: &mut Vec<W>) {
        self.limiter.reset(target);
        self.serve_target(target, now, wakes);
    }

    /// Records a new call in the retry budget of its target: see [`Limiter::record_call`].
    pub fn record_call(&mut self, target: TargetId, now: Timestamp) {
        self.limiter.record_call(target, now);
    }

    /// Spends one retry from the target's retry budget. Returns whether the budget had a retry left.
    pub fn try_spend_retry(&mut self, target: TargetId, now: Timestamp) -> bool {
        self.limiter.try_spend_retry(target, now)
    }

    /// Serves the queues that a change to a grant concerns: the queues that wait for the grant's key and, if `target_changed`, the queues
    /// of the grant's target.
    #[inline(always)]
    fn serve_after(&mut self, grant: &Grant, target_changed: bool, now: Timestamp, wakes: &mut Vec<W>) {
        if target_changed {
            self.serve_target(grant.target(), now, wakes);
        }
        self.serve_key(grant.key(), now, wakes);
    }
}
