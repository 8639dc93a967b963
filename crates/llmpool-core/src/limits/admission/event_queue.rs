//! The events to come of an admission, and the outcomes that wait to be collected.

use std::collections::BTreeSet;

use super::super::fairness::Caller;
use super::super::grant::Grant;
use super::super::key_constraint::KeyConstraint;
use super::super::target::TargetId;
use super::super::wait_queue::Ticket;
use super::outcome::Rejection;
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

/// The events to come, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Events(BTreeSet<(Timestamp, Event)>);

impl Events {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the time of the first event.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Schedules an event. An event at [`Timestamp::MAX`] never happens.
    pub(super) fn insert(&mut self, at: Timestamp, event: Event) {
        if at < Timestamp::MAX {
            self.0.insert((at, event));
        }
    }

    pub(super) fn remove(&mut self, at: Timestamp, event: Event) {
        self.0.remove(&(at, event));
    }

    /// Removes and returns the first event that is due at `now`.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Event> {
        let first = self.0.first().filter(|(at, _)| *at <= now)?;
        let (_, event) = *first;
        self.0.pop_first();
        Some(event)
    }
}

/// What has become of a request since it was last polled.
#[derive(Debug)]
pub(super) enum Uncollected {
    /// The request was granted, and keeps its grant until the contained time.
    Granted(Grant, Timestamp),
    /// The owner was woken at the contained time. The request has no grant, and waits in no queue until it is
    /// polled, so that no other request waits for it.
    Woken(Timestamp),
    /// The request was rejected.
    Rejected(Rejection),
}
