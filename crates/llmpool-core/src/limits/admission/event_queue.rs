//! The events to come of an admission.

use std::collections::{BTreeMap, BTreeSet};

use super::super::fairness::Caller;
use super::super::key_constraint::KeyConstraint;
use super::super::target::TargetId;
use super::super::wait_queue::Ticket;
use crate::time::Timestamp;

/// What happens at a certain time. Of the events at one time, a deadline comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A waiting request reaches its deadline.
    Deadline(TargetId, KeyConstraint, Caller, Ticket),
    /// An uncollected grant is returned.
    Return(TargetId, Ticket),
    /// The head of the target's queue for this constraint may be granted.
    Retry(TargetId, KeyConstraint),
}

#[derive(Debug, Default)]
pub(super) struct Events {
    /// The events to come, the earliest first.
    queue: BTreeSet<(Timestamp, Event)>,
    /// The time of the most recent [`Event::Retry`] of each queue.
    retries: BTreeMap<(TargetId, KeyConstraint), Timestamp>,
}

impl Events {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Returns the time of the first event.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Schedules an event. An event at [`Timestamp::MAX`] never happens.
    pub(super) fn insert(&mut self, at: Timestamp, event: Event) {
        if at < Timestamp::MAX {
            self.queue.insert((at, event));
        }
    }

    pub(super) fn remove(&mut self, at: Timestamp, event: Event) {
        self.queue.remove(&(at, event));
    }

    /// Schedules the retry of the head of a queue, and removes the previous retry of the queue. `None`: the head
    /// has no retry time of its own.
    pub(super) fn set_retry(&mut self, target: TargetId, constraint: KeyConstraint, at: Option<Timestamp>) {
        let event = Event::Retry(target, constraint);
        if let Some(previous) = self.retries.remove(&(target, constraint)) {
            self.remove(previous, event);
        }
        if let Some(at) = at {
            self.retries.insert((target, constraint), at);
            self.insert(at, event);
        }
    }

    /// Removes and returns the first event that is due at `now`.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Event> {
        let first = self.queue.first().filter(|(at, _)| *at <= now)?;
        let (_, event) = *first;
        self.queue.pop_first();
        Some(event)
    }
}
