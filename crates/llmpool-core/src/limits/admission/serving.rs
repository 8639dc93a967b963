//! Serves the wait queues after a change: asks the limiter for grants for waiting requests, in the order of
//! their queue positions.
//!
//! The head of a queue is the request that the queue serves next. A head is *blocked* while
//! `Admission::blocked` lists it as waiting for a key of its target's key set (the keys that the target may
//! use).

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use super::super::denial::Denial;
use super::super::grant::Grant;
use super::super::key::KeyId;
use super::super::key_constraint::KeyConstraint;
use super::super::target::TargetId;
use super::super::wait_queue::{AcquireRequest, QueueHead, QueuePosition};
use super::{Admission, BlockedHead, Waiter};
use crate::time::Timestamp;

impl<W: Clone> Admission<W> {
    /// Serves the queues of a target after a change that concerns no particular key: a new queue head, the
    /// passing of time, or a change of the target's limits or health.
    ///
    /// Registers all heads of the target's queues as blocked before it serves any of them, so that a younger
    /// head cannot overtake an older head that is not registered yet.
    pub(super) fn serve_target(&mut self, target: TargetId, now: Timestamp, wakes: &mut Vec<W>) {
        if self.waiting == 0 {
            return;
        }
        let Some(set) = self.limiter.set_of(target) else {
            while self.serve_head(target, KeyConstraint::Any, now, wakes) == Some(true) {}
            return;
        };
        for constraint in self.queues[target.index()].constraints() {
            self.block_head(target, constraint);
        }
        // Serving is needed even if this target's queue is empty: a head that has left the queue may have
        // held the timer for other queues.
        self.serve_sets(self.limiter.key_sets().neighbours[set].clone(), now, wakes);
    }

    /// Serves the queues that wait for `key`, after a change of this key. Does nothing if `key` is `None`.
    pub(super) fn serve_key(&mut self, key: Option<KeyId>, now: Timestamp, wakes: &mut Vec<W>) {
        if let Some(key) = key.filter(|_| self.waiting > 0) {
            self.serve_sets(self.limiter.key_sets().of_key[key.index()].clone(), now, wakes);
        }
    }

    /// Serves the queue heads that wait for keys of the key sets `sets`, the oldest head first, across all
    /// targets.
    ///
    /// If the limiter denies a head that may use any key, no other head of the same key set is served in this
    /// pass. The denied head keeps the only retry time of the key set.
    fn serve_sets(&mut self, sets: Vec<usize>, now: Timestamp, wakes: &mut Vec<W>) {
        let mut open: Vec<(usize, Option<BlockedHead>)> = sets.into_iter().map(|set| (set, None)).collect();
        loop {
            let heads = open.iter().enumerate();
            let heads = heads
                .filter_map(|(at, (set, previous))| Some((next_head(&self.blocked[*set], *previous)?, at)));
            let Some((head, at)) = heads.min() else { return };
            let (_, target, constraint) = head;
            if self.refresh_head(head) {
                continue;
            }
            match self.serve_head(target, constraint, now, wakes) {
                Some(true) => {}
                Some(false)
                    if constraint == KeyConstraint::Any && self.blocked[open[at].0].contains(&head) =>
                {
                    open.swap_remove(at);
                }
                Some(false) | None => open[at].1 = Some(head),
            }
        }
    }

    /// Asks the limiter for a grant for the head of the queue with this target and constraint. Returns
    /// whether the request left the queue: granted, or rejected because its deadline is too early. `None` if
    /// the queue is empty.
    fn serve_head(
        &mut self,
        target: TargetId,
        constraint: KeyConstraint,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> Option<bool> {
        let QueueHead {
            position,
            request,
            waiter,
        } = self.queues[target.index()].head(constraint)?;
        let (request, is_slow) = (*request, waiter.is_slow);
        match self.acquire_now(target, &request, now) {
            Ok(grant) => {
                wakes.extend(self.remove(target, &request));
                self.keep_grant(target, request.ticket, grant, is_slow, now);
                self.block_head(target, constraint);
                Some(true)
            }
            Err(Denial::Wait(wait)) => {
                if wait.why.is_of_target() {
                    self.unblock(target, position, constraint);
                }
                if !wait.slot && wait.until > request.deadline {
                    let rejection = self.too_late(target, &request, Some(wait.until), now);
                    self.reject(target, &request, rejection, wakes);
                    self.block_head(target, constraint);
                    return Some(true);
                }
                self.set_wait(target, &request, Some(&wait), now);
                Some(false)
            }
            // `acquire` has already rejected unsatisfiable requests. If a limit shrinks afterwards, the
            // request waits until its deadline.
            Err(Denial::Unsatisfiable(_)) => {
                self.unblock(target, position, constraint);
                Some(false)
            }
        }
    }

    /// Asks the limiter for a grant, without queueing the request if it is denied. On success, advances the
    /// fair clock of the request's caller.
    #[inline(always)]
    pub(super) fn acquire_now(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        now: Timestamp,
    ) -> Result<Grant, Denial> {
        let outcome = self
            .limiter
            .acquire(target, request.demand, request.constraint, now);
        if outcome.is_ok() {
            self.fair.record_grant(request.caller);
        }
        outcome
    }

    /// Updates the position of a blocked head (a queue head that waits for a key). Returns whether the
    /// position has changed, which happens when another queue grants a request of the same caller.
    fn refresh_head(&mut self, blocked: BlockedHead) -> bool {
        let (position, target, constraint) = blocked;
        let queue = &mut self.queues[target.index()];
        queue.refresh(constraint, &self.fair);
        if queue.head_position(constraint) == Some(position) {
            return false;
        }
        self.unblock(target, position, constraint);
        self.block_head(target, constraint);
        true
    }

    /// Registers the head of a queue as waiting for a key of the target's key set. Does nothing if the queue
    /// is empty or the target has no keys.
    fn block_head(&mut self, target: TargetId, constraint: KeyConstraint) {
        let position = self.queues[target.index()].head_position(constraint);
        if let (Some(position), Some(set)) = (position, self.limiter.set_of(target)) {
            self.blocked[set].insert((position, target, constraint));
        }
    }

    fn unblock(&mut self, target: TargetId, position: QueuePosition, constraint: KeyConstraint) {
        if let Some(set) = self.limiter.set_of(target) {
            self.blocked[set].remove(&(position, target, constraint));
        }
    }

    /// Returns whether a new request must be queued, because older requests already wait for the same keys.
    pub(super) fn must_queue(&self, target: TargetId, constraint: KeyConstraint) -> bool {
        self.waiting > 0 && (self.queues[target.index()].has_waiters(constraint) || self.is_contended(target))
    }

    /// Returns whether the head of any queue, of this or another target, waits for a key that this target
    /// could use.
    fn is_contended(&self, target: TargetId) -> bool {
        let neighbours = &self.limiter.key_sets().neighbours;
        let mut sets = self
            .limiter
            .set_of(target)
            .into_iter()
            .flat_map(|set| &neighbours[set]);
        sets.any(|set| !self.blocked[*set].is_empty())
    }

    /// Adds a request to its queue. If the request becomes the head of the queue, the previous head loses its
    /// retry time and is served once it is the head again.
    pub(super) fn insert(&mut self, target: TargetId, request: AcquireRequest, waker: W, now: Timestamp) {
        self.schedule_deadline(target, &request);
        let queue = &mut self.queues[target.index()];
        let previous = queue
            .head(request.constraint)
            .map(|head| (head.position, *head.request));
        let before = queue.count();
        queue.insert(
            request,
            Waiter {
                waker,
                wait: None,
                is_slow: false,
            },
            &mut self.fair,
        );
        self.waiting += queue.count() - before;
        let Some((position, second)) = previous else {
            return;
        };
        if queue.head_position(request.constraint) == Some(position) {
            return;
        }
        self.set_wait(target, &second, None, now);
        self.unblock(target, position, request.constraint);
    }

    /// Removes a request from its queue. If the request was the head of the queue, serves the queues of the
    /// target.
    pub(super) fn leave(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) {
        let was_head = self.is_head(target, request);
        self.remove(target, request);
        if was_head {
            self.serve_target(target, now, wakes);
        }
    }

    /// Removes a request from its queue, without serving the next request. Returns the request's waker, or
    /// `None` if the request was not queued.
    pub(super) fn remove(&mut self, target: TargetId, request: &AcquireRequest) -> Option<W> {
        let queue = &mut self.queues[target.index()];
        let head = queue.head_position(request.constraint);
        let waiter = queue.remove(request, &mut self.fair);
        self.waiting -= usize::from(waiter.is_some());
        if let Some(position) = head.filter(|head| head.ticket == request.ticket) {
            self.unblock(target, position, request.constraint);
        }
        let Waiter { waker, wait, .. } = waiter?;
        self.unschedule(target, request, wait.map(|(until, _)| until));
        Some(waker)
    }

    pub(super) fn is_head(&self, target: TargetId, request: &AcquireRequest) -> bool {
        let head = self.queues[target.index()].head_position(request.constraint);
        head.is_some_and(|head| head.ticket == request.ticket)
    }
}

/// Returns the head that follows `previous` in the order of queue positions, or the first head if `previous`
/// is `None`.
fn next_head(heads: &BTreeSet<BlockedHead>, previous: Option<BlockedHead>) -> Option<BlockedHead> {
    let from = previous.map_or(Unbounded, Excluded);
    heads.range((from, Unbounded)).next().copied()
}
