//! What the passing of time does to the wait queues: heads are served, deadlines pass, and grants that no
//! owner collects are returned.
//!
//! Invariant: every request that waits for a time has an event at that time: its deadline, and, if the limiter
//! has told it when to retry, that time.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::super::key_constraint::KeyConstraint;
use super::super::target::TargetId;
use super::super::wait_queue::{AcquireRequest, Ticket};
use super::{Admission, AdmissionOutcome, Event, Waiter};
use crate::time::Timestamp;

/// Time after which a grant that its owner has not collected is returned.
pub const COLLECT_WITHIN: Duration = Duration::from_secs(1);

impl<W: Clone> Admission<W> {
    /// Returns the time of the next event, or `None` if only a change of the limiter can serve a waiting
    /// request. [`advance`](Self::advance) must be called at that time.
    pub fn next_event(&self) -> Option<Timestamp> {
        self.events.first().map(|(at, _)| *at)
    }

    /// Returns whether no request waits and every grant has been collected or returned. If so, there is no
    /// event to come.
    pub fn is_idle(&self) -> bool {
        self.waiting == 0 && self.events.is_empty()
    }

    /// Handles the events that are due.
    pub fn advance(&mut self, now: Timestamp, wakes: &mut Vec<W>) {
        while let Some(&(at, event)) = self.events.first()
            && at <= now
        {
            self.events.pop_first();
            self.handle(event, now, wakes);
        }
    }

    fn handle(&mut self, event: Event, now: Timestamp, wakes: &mut Vec<W>) {
        match event {
            Event::Retry(target, _) => self.serve_target(target, now, wakes),
            Event::Return(target, ticket) => {
                if let Some((_, outcome)) = self.uncollected.get_mut(&(target, ticket))
                    && let &mut AdmissionOutcome::Granted(mut grant) = outcome
                {
                    *outcome = AdmissionOutcome::Wait;
                    self.change(now, wakes, |limiter| limiter.release(&mut grant, false, now));
                }
            }
            Event::Deadline(target, constraint, caller, ticket) => {
                let queue = &mut self.queues[target.index()];
                if let Some(&mut (request, _)) = queue.get_mut(constraint, caller, ticket) {
                    let rejected = AdmissionOutcome::Rejected(self.too_late(target, &request, None, now));
                    if self.dismiss(target, &request, rejected, now, wakes) {
                        self.serve_target(target, now, wakes);
                    }
                }
            }
        }
    }

    /// Schedules an event. An event at [`Timestamp::MAX`] never happens.
    pub(super) fn schedule(&mut self, at: Timestamp, event: Event) {
        if at < Timestamp::MAX {
            self.events.insert((at, event));
        }
    }

    /// Schedules the retry of the head of a queue, and removes the previous retry of the queue. `None`: the head
    /// has no retry time of its own.
    pub(super) fn set_retry(&mut self, target: TargetId, constraint: KeyConstraint, at: Option<Timestamp>) {
        let event = Event::Retry(target, constraint);
        if let Some(previous) = self.retries.remove(&(target, constraint)) {
            self.events.remove(&(previous, event));
        }
        if let Some(at) = at {
            self.retries.insert((target, constraint), at);
            self.schedule(at, event);
        }
    }

    /// Removes a request from its queue, wakes its owner, and keeps the outcome until the request is polled.
    /// Returns whether the queue has a new head, which must be served.
    ///
    /// A slow owner gets no grant: it is only woken. Slow owners would otherwise hold the room in turns, and
    /// neither they nor any other request would be served.
    pub(super) fn dismiss(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        mut outcome: AdmissionOutcome,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> bool {
        let (waiter, has_new_head) = self.remove(target, request);
        let Some(Waiter { waker, is_slow }) = waiter else {
            return false;
        };
        wakes.push(waker);
        if let AdmissionOutcome::Granted(grant) = &mut outcome {
            if is_slow {
                self.limiter.release(grant, false, now);
                outcome = AdmissionOutcome::Wait;
            } else {
                self.schedule(now + COLLECT_WITHIN, Event::Return(target, request.ticket));
            }
        }
        self.uncollected.insert((target, request.ticket), (now, outcome));
        has_new_head
    }

    /// Removes and returns the outcome of a request that has left its queue, with the time at which its owner was
    /// woken. `None` if the request still waits.
    pub(super) fn collect(
        &mut self,
        target: TargetId,
        ticket: Ticket,
    ) -> Option<(Timestamp, AdmissionOutcome)> {
        let (woken_at, outcome) = self.uncollected.remove(&(target, ticket))?;
        let returned_at = woken_at + COLLECT_WITHIN;
        self.events.remove(&(returned_at, Event::Return(target, ticket)));
        Some((woken_at, outcome))
    }

    /// Returns the current outcome of a queued request: granted, rejected, or still waiting. Must be called
    /// when the request's waker is called.
    ///
    /// A grant that is not collected within [`COLLECT_WITHIN`] is returned. The request then waits again from
    /// its next poll on, in its old place. When its turn comes, it is woken without a grant, until its owner
    /// has once polled in time.
    pub fn poll(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        waker: &W,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> AdmissionOutcome {
        self.advance(now, wakes);
        let Some((woken_at, outcome)) = self.collect(target, request.ticket) else {
            if let Some(waiter) = self.waiter_mut(target, request) {
                waiter.waker.clone_from(waker);
            }
            return AdmissionOutcome::Wait;
        };
        if !matches!(outcome, AdmissionOutcome::Wait) {
            return outcome;
        }
        let outcome = self.acquire(target, request, waker, now, wakes);
        if let Some(waiter) = self.waiter_mut(target, request) {
            waiter.is_slow = now.since(woken_at) >= COLLECT_WITHIN;
        }
        outcome
    }

    fn waiter_mut(&mut self, target: TargetId, request: &AcquireRequest) -> Option<&mut Waiter<W>> {
        let queue = &mut self.queues[target.index()];
        let (_, waiter) = queue.get_mut(request.constraint, request.caller, request.ticket)?;
        Some(waiter)
    }
}
