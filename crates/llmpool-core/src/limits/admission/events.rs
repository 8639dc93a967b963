//! What the passing of time does to the wait queues: heads are served, deadlines pass, and grants that no
//! owner collects are returned.
//!
//! Invariant: every request that waits for a time has an event at that time: its deadline, and, if the limiter
//! has told it when to retry, that time.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::super::denial::Wait;
use super::super::grant::Grant;
use super::super::target::TargetId;
use super::super::wait_queue::{AcquireRequest, Ticket};
use super::event_queue::{Event, Uncollected};
use super::outcome::Rejection;
use super::{Admission, AdmissionOutcome};
use crate::time::Timestamp;

/// Time after which a grant that its owner has not collected is returned.
pub const COLLECT_WITHIN: Duration = Duration::from_secs(1);

impl<W: Clone> Admission<W> {
    /// Returns the time of the next event, or `None` if only a change of the limiter can serve a waiting
    /// request. [`advance`](Self::advance) must be called at that time.
    pub fn next_event(&self) -> Option<Timestamp> {
        self.events.next_at()
    }

    /// Returns whether no request waits and every grant has been collected or returned. If so, there is no
    /// event to come.
    pub fn is_idle(&self) -> bool {
        self.waiting == 0 && self.events.is_empty()
    }

    /// Handles the events that are due.
    #[inline(always)]
    pub fn advance(&mut self, now: Timestamp, wakes: &mut Vec<W>) {
        while let Some(event) = self.events.pop_due(now) {
            self.handle(event, now, wakes);
        }
    }

    #[inline(never)]
    fn handle(&mut self, event: Event, now: Timestamp, wakes: &mut Vec<W>) {
        match event {
            Event::Retry(target, _) => self.serve_target(target, now, wakes),
            Event::Return(target, ticket) => {
                let returned = self.uncollected.remove(&(target, ticket));
                if let Some(Uncollected::Granted(mut grant, _)) = returned {
                    let woken = Uncollected::Woken(grant.charge.at);
                    self.uncollected.insert((target, ticket), woken);
                    self.change(now, wakes, |limiter| limiter.release(&mut grant, false, now));
                }
            }
            Event::Deadline(target, constraint, caller, ticket) => {
                let queue = &self.queues[target.index()];
                let Some((&request, waiter)) = queue.find(constraint, caller, ticket) else {
                    return;
                };
                let wait = waiter.wait.filter(|(until, slot)| !slot && *until > now);
                let ready_at = wait.map(|(until, _)| until);
                let was_head = self.is_head(target, &request);
                let rejection = self.too_late(target, &request, ready_at, now);
                self.reject(target, &request, rejection, wakes);
                if was_head {
                    self.serve_target(target, now, wakes);
                }
            }
        }
    }

    /// Sets what a waiting request waits for, and schedules its retry. `None`: the request has no retry time
    /// of its own.
    pub(super) fn set_wait(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        wait: Option<&Wait>,
        now: Timestamp,
    ) {
        let Some(waiter) = self.queues[target.index()].waiter_mut(request) else {
            return;
        };
        // A retry at once could be denied for ever at the same time.
        let wait = wait.map(|wait| (wait.until.max(now + Duration::from_nanos(1)), wait.slot));
        let event = Event::Retry(target, request.constraint);
        if let Some((previous, _)) = std::mem::replace(&mut waiter.wait, wait) {
            self.events.remove(previous, event);
        }
        if let Some((until, _)) = wait {
            self.events.insert(until, event);
        }
    }

    pub(super) fn schedule_deadline(&mut self, target: TargetId, request: &AcquireRequest) {
        self.events.insert(request.deadline, deadline(target, request));
    }

    /// Removes the events of a request that has left its queue. `retry_at`: the end of its wait.
    pub(super) fn unschedule(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        retry_at: Option<Timestamp>,
    ) {
        self.events.remove(request.deadline, deadline(target, request));
        if let Some(at) = retry_at {
            self.events.remove(at, Event::Retry(target, request.constraint));
        }
    }

    /// Keeps the grant of a request that has left its queue until the request is polled. If `is_slow`, releases
    /// the grant.
    ///
    /// Slow owners would otherwise hold the room in turns, and neither they nor any other request would be
    /// served.
    pub(super) fn keep_grant(
        &mut self,
        target: TargetId,
        ticket: Ticket,
        mut grant: Grant,
        is_slow: bool,
        now: Timestamp,
    ) {
        let outcome = if is_slow {
            self.limiter.release(&mut grant, false, now);
            Uncollected::Woken(now)
        } else {
            let until = now + COLLECT_WITHIN;
            self.events.insert(until, Event::Return(target, ticket));
            Uncollected::Granted(grant, until)
        };
        self.uncollected.insert((target, ticket), outcome);
    }

    /// Removes a request from its queue, without serving the next one, and keeps the rejection until the
    /// request is polled.
    pub(super) fn reject(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        rejection: Rejection,
        wakes: &mut Vec<W>,
    ) {
        wakes.extend(self.remove(target, request));
        self.uncollected
            .insert((target, request.ticket), Uncollected::Rejected(rejection));
    }

    /// Removes and returns what has become of a request that left its queue. `None` if the request still waits.
    pub(super) fn collect(&mut self, target: TargetId, ticket: Ticket) -> Option<Uncollected> {
        let outcome = self.uncollected.remove(&(target, ticket))?;
        if let Uncollected::Granted(_, until) = outcome {
            self.events.remove(until, Event::Return(target, ticket));
        }
        Some(outcome)
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
        match self.collect(target, request.ticket) {
            Some(Uncollected::Granted(grant, _)) => return AdmissionOutcome::Granted(grant),
            Some(Uncollected::Rejected(rejection)) => return AdmissionOutcome::Rejected(rejection),
            Some(Uncollected::Woken(at)) => {
                let outcome = self.acquire(target, request, waker, now, wakes);
                if let Some(waiter) = self.queues[target.index()].waiter_mut(request) {
                    waiter.is_slow = now.since(at) >= COLLECT_WITHIN;
                }
                return outcome;
            }
            None => {}
        }
        if let Some(waiter) = self.queues[target.index()].waiter_mut(request) {
            waiter.waker.clone_from(waker);
        }
        AdmissionOutcome::Wait
    }
}

fn deadline(target: TargetId, request: &AcquireRequest) -> Event {
    Event::Deadline(target, request.constraint, request.caller, request.ticket)
}
