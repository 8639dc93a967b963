//! Serves the wait queues after a change: asks the limiter for grants for waiting requests, in the order of
//! their queue positions.
//!
//! The head of a queue is the request that the queue serves next. A head is *blocked* while
//! `Admission::blocked` lists it as waiting for a key of its target's key set (the keys that the target may
//! use).

use std::collections::BTreeSet;
use std::ops::Bound::{self, Excluded, Unbounded};
use std::time::Duration;

use super::super::changed::Changed;
use super::super::denial::{Denial, Wait, WaitReason};
use super::super::grant::Grant;
use super::super::key_constraint::KeyConstraint;
use super::super::target::TargetId;
use super::super::wait_queue::{AcquireRequest, QueuePosition};
use super::{Admission, AdmissionOutcome, BlockedHead, Rejection};
use crate::time::Timestamp;

impl<W: Clone> Admission<W> {
    /// Serves the queues that the latest changes of the limiter concern.
    pub(super) fn serve_changed(&mut self, now: Timestamp, wakes: &mut Vec<W>) {
        let Changed { target, key, others } = std::mem::take(&mut self.limiter.changed);
        if self.waiting == 0 {
            return;
        }
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
            let users: Vec<_> = self.limiter.users(key).collect();
            for target in &users {
                self.reject_without_keys(*target, now, wakes);
            }
            self.serve(users, now, wakes);
        }
    }

    /// Rejects the requests for a target none of whose keys is expected to return by their deadline, unless they wait
    /// for keys.
    fn reject_without_keys(&mut self, target: TargetId, now: Timestamp, wakes: &mut Vec<W>) {
        let queue = &self.queues[target.index()];
        let mut rejected = Vec::new();
        for (constraint, _) in queue.heads() {
            if let Some(lost) = self.limiter.lost_keys(target, constraint, now) {
                let outcome = AdmissionOutcome::Rejected(Rejection::no_usable_key(lost));
                let requests = queue.requests_that_need_keys(constraint);
                let requests = requests.filter(|request| !lost.return_by(request.deadline));
                rejected.extend(requests.map(|request| (request, outcome)));
            }
        }
        for (request, outcome) in rejected {
            self.dismiss(target, &request, outcome, now, wakes);
        }
    }

    /// Serves the queues of a target after a change that concerns no particular key: a new queue head, the
    /// passing of time, or a change of the target's limits or health. Also serves the queues of the targets that
    /// share keys with it: a head that has left the queue may have been older than theirs.
    pub(super) fn serve_target(&mut self, target: TargetId, now: Timestamp, wakes: &mut Vec<W>) {
        let heads = self.queues[target.index()].heads();
        let heads = heads.map(|(constraint, position)| (position, target, constraint));
        self.blocked[target.index()].extend(heads);
        let neighbours = self.limiter.neighbours(target).to_vec();
        self.serve(neighbours, now, wakes);
    }

    /// Serves the blocked heads of several targets, the oldest head first. When a head no longer waits for a key,
    /// also serves the younger heads for which no key was left before.
    fn serve(&mut self, targets: Vec<TargetId>, now: Timestamp, wakes: &mut Vec<W>) {
        let firsts = targets
            .into_iter()
            .filter_map(|target| self.next_head(target, Unbounded));
        let mut heads: BTreeSet<BlockedHead> = firsts.collect();
        while let Some(head) = heads.pop_first() {
            self.serve_head(head, now, wakes);
            let target = head.1;
            heads.extend(self.next_head(target, Excluded(head)));
            if !self.blocked[target.index()].contains(&head) {
                let neighbours = self.limiter.neighbours(target).iter();
                heads.extend(neighbours.filter_map(|other| self.next_head(*other, Excluded(head))));
            }
        }
        // The grants may have changed what other requests wait for.
        self.serve_changed(now, wakes);
    }

    /// Returns the oldest blocked head of a target that is younger than the head served last.
    fn next_head(&self, target: TargetId, served: Bound<BlockedHead>) -> Option<BlockedHead> {
        let mut heads = self.blocked[target.index()].range((served, Unbounded));
        heads.next().copied()
    }

    /// Asks the limiter for a grant for a queue head. Rejects the head if its deadline is too early, or if a lowered
    /// limit can never admit it. Does nothing if the position of the head has changed, which happens when another
    /// queue grants a request of the same caller.
    fn serve_head(&mut self, head: BlockedHead, now: Timestamp, wakes: &mut Vec<W>) {
        let (position, target, constraint) = head;
        if self.change_queue(target, constraint, |_, _| {}) {
            return;
        }
        let Some(request) = self.queues[target.index()].head(constraint) else {
            return;
        };
        let outcome = match self.acquire_now(target, &request, Some(position), now) {
            Ok(grant) => AdmissionOutcome::Granted(grant),
            Err(Denial::Unsatisfiable(why)) => AdmissionOutcome::Rejected(Rejection::Unsatisfiable(why)),
            Err(Denial::Wait(wait)) => {
                if let Some(rejection) = self.rejection_of_head(target, &request, wait, now) {
                    let outcome = AdmissionOutcome::Rejected(rejection);
                    self.dismiss(target, &request, outcome, now, wakes);
                    return;
                }
                if wait.why.is_of_target() {
                    self.blocked[target.index()].remove(&head);
                }
                // A retry at once could be denied for ever at the same time.
                let retry_at = wait.until.max(now + Duration::from_nanos(1));
                self.set_retry(target, constraint, Some(retry_at));
                return;
            }
        };
        self.dismiss(target, &request, outcome, now, wakes);
    }

    /// Returns why a denied queue head stops waiting: it cannot be granted by its deadline, or most likely not.
    fn rejection_of_head(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        wait: Wait,
        now: Timestamp,
    ) -> Option<Rejection> {
        if wait.slot {
            return None;
        }
        if wait.until > request.deadline {
            return Some(self.too_late(target, request, Some(wait.until), now));
        }
        self.rejection_without_keys(target, request, now)
    }

    /// Asks the limiter for a grant, without queueing the request if it is denied. On success, advances the
    /// fair clock of the request's caller.
    ///
    /// `position`: the position of the request in its queue. `None` if it is not in a queue yet.
    pub(super) fn acquire_now(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        position: Option<QueuePosition>,
        now: Timestamp,
    ) -> Result<Grant, Denial> {
        let Some(older) = self.older_heads(target, position) else {
            // Served again after the older request for which all keys are kept.
            return Err(Denial::Wait(Wait {
                until: Timestamp::MAX,
                slot: true,
                why: WaitReason::KeyConcurrency,
            }));
        };
        let (demand, constraint) = (request.demand, request.constraint);
        let limiter = &mut self.limiter;
        let grant = limiter.acquire_behind(target, demand, constraint, &older, now)?;
        self.fair.record_grant(request.caller);
        Ok(grant)
    }

    /// Returns the queue heads before `position` that wait for keys that `target` may use. `None` if one of them
    /// waits for every key of the target.
    fn older_heads(
        &self,
        target: TargetId,
        position: Option<QueuePosition>,
    ) -> Option<Vec<(TargetId, KeyConstraint)>> {
        if self.waiting == 0 {
            return Some(Vec::new());
        }
        let is_older = |head: &&BlockedHead| position.is_none_or(|position| head.0 < position);
        let neighbours = self.limiter.neighbours(target).iter();
        let heads = neighbours.flat_map(|target| self.blocked[target.index()].iter().take_while(is_older));
        let older = heads.map(|&(_, of, constraint)| {
            let waits_for_all = constraint == KeyConstraint::Any && self.limiter.waits_for_all(of, target);
            (!waits_for_all).then_some((of, constraint))
        });
        older.collect()
    }
}
