//! Admission: the wait queues and the limiter of one provider.
//!
//! [`Admission`] owns both, so every change of the limiter goes through it. After a change that may free a
//! key or a target, [`Admission`] serves the affected queues: it asks the limiter for a grant for the request
//! at the head of each queue. Because targets can share keys, the queues of several targets may be affected.
//! The heads of these queues are served in one common order.
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

mod events;
mod outcome;
mod serving;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use self::events::COLLECT_WITHIN;
use self::events::{Events, Uncollected};
pub use self::outcome::{AdmissionOutcome, Rejection};
use super::cooldown::{CooldownReason, RefusalWait};
use super::demand::Demand;
use super::denial::{Denial, WaitReason};
use super::fairness::{Caller, FairClocks};
use super::grant::Grant;
use super::key::{KeyId, KeyLimits};
use super::key_constraint::KeyConstraint;
use super::limiter::{Limiter, ProvisionalCooldown};
use super::limits::Limits;
use super::quota_group::QuotaGroupId;
use super::saved_limits::SavedLimits;
use super::target::{TargetId, TargetLimits};
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
    fn add_queues(&mut self) {
        let targets = self.limiter.target_count();
        self.queues.resize_with(targets, WaitQueue::default);
        self.blocked.resize_with(targets, BTreeSet::new);
    }
}

impl<W: Clone> Admission<W> {
    /// Returns the limiter for read-only queries.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Adds a quota group without keys. See [`Limiter::add_group`].
    pub fn add_group(&mut self, limits: Limits, learn: bool) -> QuotaGroupId {
        self.limiter.add_group(limits, learn)
    }

    /// Adds a key that belongs to no quota group. See [`Limiter::add_key`].
    pub fn add_key(&mut self, limits: KeyLimits) -> KeyId {
        self.limiter.add_key(limits)
    }

    /// Adds a key to a quota group. See [`Limiter::add_key_to_group`].
    pub fn add_key_to_group(&mut self, group: QuotaGroupId, limits: KeyLimits) -> KeyId {
        self.limiter.add_key_to_group(group, limits)
    }

    /// Adds a target with an empty wait queue. See [`Limiter::add_target`].
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
                Ok(grant) => return AdmissionOutcome::Granted(grant),
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
            Some(Uncollected::Granted(mut grant, _)) => self.release(&mut grant, false, now, wakes),
            Some(Uncollected::Woken(_) | Uncollected::Rejected(_)) => {}
            None => self.leave(target, request, now, wakes),
        }
    }

    /// Ends the attempt of a grant and frees its slots. See [`Limiter::release`].
    #[inline(always)]
    pub fn release(&mut self, grant: &mut Grant, used: bool, now: Timestamp, wakes: &mut Vec<W>) {
        let made_room = self.limiter.release(grant, used, now);
        self.serve_after(grant, made_room, now, wakes);
    }

    /// Replaces the estimated number of tokens of a grant by the actual number. See [`Limiter::settle`].
    ///
    /// Settle a grant before releasing it, so that the oldest waiting request receives the freed tokens and
    /// the freed slot together.
    pub fn settle(&mut self, grant: &mut Grant, tokens: u32, now: Timestamp, wakes: &mut Vec<W>) {
        if self.limiter.settle(grant, tokens, now) {
            self.serve_after(grant, true, now, wakes);
        }
    }

    /// Records that an attempt succeeded, and releases its grant. Serves the wait queues once, after both
    /// steps.
    #[inline(always)]
    pub fn complete(&mut self, grant: &mut Grant, now: Timestamp, wakes: &mut Vec<W>) {
        let changed = self.limiter.record_success(grant, now);
        let made_room = self.limiter.release(grant, true, now);
        self.serve_after(grant, changed || made_room, now, wakes);
    }

    /// Records how long the outcome of a probe is awaited. See [`Limiter::await_probe`].
    pub fn await_probe(&mut self, grant: &Grant, is_sent: bool, now: Timestamp, wakes: &mut Vec<W>) {
        self.limiter.await_probe(grant, is_sent, now);
        self.serve_key(grant.key(), now, wakes);
    }

    /// Records that an attempt succeeded. See [`Limiter::record_success`].
    pub fn record_success(&mut self, grant: &Grant, now: Timestamp, wakes: &mut Vec<W>) {
        if self.limiter.record_success(grant, now) {
            self.serve_after(grant, true, now, wakes);
        }
    }

    /// Records that the provider refused an attempt because of its key. See [`Limiter::record_refusal`].
    pub fn record_refusal(
        &mut self,
        grant: &Grant,
        reason: CooldownReason,
        wait: impl Into<RefusalWait>,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> Option<ProvisionalCooldown> {
        let cooldown = self.limiter.record_refusal(grant, reason, wait, now);
        self.reject_without_keys(grant.key(), now, wakes);
        self.serve_key(grant.key(), now, wakes);
        cooldown
    }

    /// Records a failure of an attempt that is blamed on the target. See [`Limiter::record_target_failure`].
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

    /// Reverts a cooldown that [`record_refusal`](Self::record_refusal) started. See [`Limiter::restore`].
    pub fn restore(&mut self, cooldown: ProvisionalCooldown, now: Timestamp, wakes: &mut Vec<W>) {
        self.limiter.restore(cooldown, now);
        self.serve_key(Some(cooldown.key()), now, wakes);
    }

    /// Enables or disables a key. See [`Limiter::set_enabled`].
    pub fn set_enabled(&mut self, key: KeyId, enabled: bool, now: Timestamp, wakes: &mut Vec<W>) {
        self.limiter.set_enabled(key, enabled, now);
        self.reject_without_keys(Some(key), now, wakes);
        self.serve_key(Some(key), now, wakes);
    }

    /// Starts a cooldown of a key until the time `until`. See [`Limiter::set_cooldown`].
    pub fn set_cooldown(
        &mut self,
        key: KeyId,
        reason: CooldownReason,
        until: Timestamp,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) {
        self.limiter.set_cooldown(key, reason, until, now);
        self.reject_without_keys(Some(key), now, wakes);
        self.serve_key(Some(key), now, wakes);
    }

    /// Adds the state that another limiter saved `elapsed` ago. See [`Limiter::load`].
    pub fn load(&mut self, saved: &[SavedLimits], elapsed: Duration, now: Timestamp, wakes: &mut Vec<W>) {
        self.limiter.load(saved, elapsed, now);
        for key in self.limiter.key_ids() {
            self.reject_without_keys(Some(key), now, wakes);
            self.serve_key(Some(key), now, wakes);
        }
    }

    /// Replaces the limits of a target. See [`Limiter::set_target_limits`].
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

    /// Fills the token buckets of a target, clears its sliding windows, and ends its cooldown. See
    /// [`Limiter::reset`].
    pub fn reset(&mut self, target: TargetId, now: Timestamp, wakes: &mut Vec<W>) {
        self.limiter.reset(target);
        self.serve_target(target, now, wakes);
    }

    /// Records a new call in the retry budget of its target. See [`Limiter::record_call`].
    pub fn record_call(&mut self, target: TargetId, now: Timestamp) {
        self.limiter.record_call(target, now);
    }

    /// Spends one retry from the target's retry budget. Returns whether the budget had a retry left.
    pub fn try_spend_retry(&mut self, target: TargetId, now: Timestamp) -> bool {
        self.limiter.try_spend_retry(target, now)
    }

    /// Rejects the requests that the loss of a key leaves without a usable one, unless they wait for keys.
    fn reject_without_keys(&mut self, key: Option<KeyId>, now: Timestamp, wakes: &mut Vec<W>) {
        let Some(key) = key.filter(|_| self.waiting > 0) else {
            return;
        };
        for target in self.limiter.users(key).collect::<Vec<_>>() {
            for constraint in self.queues[target.index()].constraints() {
                let Some(first) = self.limiter.lost_keys(target, constraint, now) else {
                    continue;
                };
                for request in self.queues[target.index()].requests_that_need_keys(constraint) {
                    self.reject(target, &request, Rejection::no_usable_key(first), wakes);
                }
                self.serve_target(target, now, wakes);
            }
        }
    }

    /// Serves the queues that wait for the grant's key. If `target_changed`, also serves the queues of the
    /// grant's target.
    #[inline(always)]
    fn serve_after(&mut self, grant: &Grant, target_changed: bool, now: Timestamp, wakes: &mut Vec<W>) {
        if target_changed {
            self.serve_target(grant.target(), now, wakes);
        }
        self.serve_key(grant.key(), now, wakes);
    }
}
