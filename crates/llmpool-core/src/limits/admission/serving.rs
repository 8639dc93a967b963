//! Serves the wait queues after a change: asks the limiter for grants for waiting requests, in the order of
//! their queue positions.
//!
//! The head of a queue is the request that the queue serves next. A head is *blocked* while
//! `Admission::blocked` lists it as waiting for a key of its target's key set (the keys that the target may
//! use).

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use super::super::changed::Changed;
use super::super::denial::Denial;
use super::super::grant::Grant;
use super::super::key_constraint::KeyConstraint;
use super::super::target::TargetId;
use super::super::wait_queue::{AcquireRequest, QueueHead, QueuePosition};
use super::{Admission, BlockedHead, Rejection, Waiter};
use crate::time::Timestamp;

impl<W: Clone> Admission<W> {
    /// Serves the queues that the latest changes of the limiter concern.
    #[inline(always)]
    pub(super) fn serve_changed(&mut self, now: Timestamp, wakes: &mut Vec<W>) {
        let changed = std::mem::take(&mut self.limiter.changed);
        if self.waiting > 0 {
            self.serve_queues_of(changed, now, wakes);
        }
    }

    #[inline(never)]
    fn serve_queues_of(&mut self, changed: Changed, now: Timestamp, wakes: &mut Vec<W>) {
        let Changed { target, key, others } = changed;
        if others {
            for target in (0..self.queues.len()).map(|index| TargetId(index as u32)) {
                self.reject_without_keys(target, now, wakes);
                self.serve_target(target, now, wakes);
            }
            return;
        }
        if let Some(target) = target {
            self.serve_target(target, now, wakes);
        }
        if let Some(key) = key {
            for target in self.limiter.users(key).collect::<Vec<_>>() {
                self.reject_without_keys(target, now, wakes);
            }
            let users = self.limiter.users(key);
            let heads = users.filter_map(|target| self.next_head(target, None));
            self.serve(heads.collect(), now, wakes);
        }
    }

    /// Rejects the requests for a target that have no usable key left, unless they wait for keys.
    fn reject_without_keys(&mut self, target: TargetId, now: Timestamp, wakes: &mut Vec<W>) {
        for constraint in self.queues[target.index()].constraints() {
            let Some(first) = self.limiter.lost_keys(target, constraint, now) else {
                continue;
            };
            let rejected = self.queues[target.index()].requests_that_need_keys(constraint);
            for request in &rejected {
                self.reject(target, request, Rejection::no_usable_key(first), wakes);
            }
            if !rejected.is_empty() {
                self.serve_target(target, now, wakes);
            }
        }
    }

    /// Serves the queues of a target after a change that concerns no particular key: a new queue head, the
    /// passing of time, or a change of the target's limits or health. Also serves the queues of the targets that
    /// share keys with it: a head that has left the queue may have been older than theirs.
    pub(super) fn serve_target(&mut self, target: TargetId, now: Timestamp, wakes: &mut Vec<W>) {
        if self.waiting == 0 {
            return;
        }
        for constraint in self.queues[target.index()].constraints() {
            self.block_head(target, constraint);
        }
        let targets = self.limiter.neighbours(target).iter();
        let heads = targets.filter_map(|target| self.next_head(*target, None));
        self.serve(heads.collect(), now, wakes);
    }

    /// Serves the queues of several targets, the oldest head first. `heads`: the first head of each target. When a
    /// head no longer waits for a key, also serves the younger heads for which no key was left before.
    fn serve(&mut self, mut heads: BTreeSet<BlockedHead>, now: Timestamp, wakes: &mut Vec<W>) {
        while let Some(head) = heads.pop_first() {
            let target = head.1;
            if !self.refresh_head(head, now) {
                self.serve_head(head, now, wakes);
            }
            heads.extend(self.next_head(target, Some(head)));
            if !self.blocked[target.index()].contains(&head) {
                let neighbours = self.limiter.neighbours(target).iter();
                heads.extend(neighbours.filter_map(|other| self.next_head(*other, Some(head))));
            }
        }
        // The grants may have changed what other requests wait for.
        self.serve_changed(now, wakes);
    }

    /// Returns the head of a target that follows `previous` in the order of queue positions, or the first head if
    /// `previous` is `None`.
    fn next_head(&self, target: TargetId, previous: Option<BlockedHead>) -> Option<BlockedHead> {
        let from = previous.map_or(Unbounded, Excluded);
        let mut heads = self.blocked[target.index()].range((from, Unbounded));
        heads.next().copied()
    }

    /// Asks the limiter for a grant for a queue head. Rejects the head if its deadline is too early.
    fn serve_head(&mut self, head: BlockedHead, now: Timestamp, wakes: &mut Vec<W>) {
        let (position, target, constraint) = head;
        let Some(QueueHead { request, waiter, .. }) = self.queues[target.index()].head(constraint) else {
            return;
        };
        let (request, is_slow) = (*request, waiter.is_slow);
        match self.acquire_now(target, &request, Some(position), now) {
            Ok(grant) => {
                wakes.extend(self.remove(target, &request));
                self.keep_grant(target, request.ticket, grant, is_slow, now);
                self.block_head(target, constraint);
            }
            Err(Some(Denial::Wait(wait))) if !wait.slot && wait.until > request.deadline => {
                let rejection = self.too_late(target, &request, Some(wait.until), now);
                self.reject(target, &request, rejection, wakes);
                self.block_head(target, constraint);
            }
            Err(Some(Denial::Wait(wait))) => {
                if wait.why.is_of_target() {
                    self.unblock(target, position, constraint);
                }
                self.set_wait(target, &request, Some(&wait), now);
            }
            // `acquire` has already rejected unsatisfiable requests. If a limit shrinks afterwards, the
            // request waits until its deadline.
            Err(Some(Denial::Unsatisfiable(_))) => self.unblock(target, position, constraint),
            // Served again after the older request for which all keys are kept.
            Err(None) => self.set_wait(target, &request, None, now),
        }
    }

    /// Asks the limiter for a grant, without queueing the request if it is denied. On success, advances the
    /// fair clock of the request's caller. The error is `None` if all keys are kept for older requests.
    ///
    /// `position`: the position of the request in its queue. `None` if it is not in a queue yet.
    #[inline(always)]
    pub(super) fn acquire_now(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        position: Option<QueuePosition>,
        now: Timestamp,
    ) -> Result<Grant, Option<Denial>> {
        let older = if self.waiting == 0 {
            Vec::new()
        } else {
            self.older_heads(target, position).ok_or(None)?
        };
        let (demand, constraint) = (request.demand, request.constraint);
        let outcome = self
            .limiter
            .acquire_behind(target, demand, constraint, &older, now);
        if outcome.is_ok() {
            self.fair.record_grant(request.caller);
        }
        outcome.map_err(Some)
    }

    /// Returns the queue heads before `position` that wait for keys that `target` may use. `None` if one of them
    /// waits for every key of the target.
    fn older_heads(
        &self,
        target: TargetId,
        position: Option<QueuePosition>,
    ) -> Option<Vec<(TargetId, KeyConstraint)>> {
        let mut older = Vec::new();
        for neighbour in self.limiter.neighbours(target) {
            let heads = self.blocked[neighbour.index()].iter();
            for &(_, of, constraint) in heads.take_while(|head| position.is_none_or(|end| head.0 < end)) {
                if constraint == KeyConstraint::Any && self.limiter.waits_for_all(of, target) {
                    return None;
                }
                older.push((of, constraint));
            }
        }
        Some(older)
    }

    /// Updates the position of a blocked head (a queue head that waits for a key). Returns whether the
    /// position has changed, which happens when another queue grants a request of the same caller. If another
    /// request is now the head, the previous head loses its retry time.
    fn refresh_head(&mut self, blocked: BlockedHead, now: Timestamp) -> bool {
        let (position, target, constraint) = blocked;
        let queue = &mut self.queues[target.index()];
        let previous = queue.head(constraint).map(|head| *head.request);
        queue.refresh(constraint, &self.fair);
        if queue.head_position(constraint) == Some(position) {
            return false;
        }
        if let Some(previous) = previous {
            self.set_wait(target, &previous, None, now);
        }
        self.unblock(target, position, constraint);
        self.block_head(target, constraint);
        true
    }

    /// Registers the head of a queue as waiting. Does nothing if the queue is empty.
    fn block_head(&mut self, target: TargetId, constraint: KeyConstraint) {
        if let Some(position) = self.queues[target.index()].head_position(constraint) {
            self.blocked[target.index()].insert((position, target, constraint));
        }
    }

    fn unblock(&mut self, target: TargetId, position: QueuePosition, constraint: KeyConstraint) {
        self.blocked[target.index()].remove(&(position, target, constraint));
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
