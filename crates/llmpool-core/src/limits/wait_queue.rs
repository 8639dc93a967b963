//! The wait queue of one target.
//!
//! A call receives its ticket on arrival, and keeps the ticket when it is retried, except after a refusal without
//! a readable cause. Thus a call never waits behind a younger ticket of the same caller. Between callers, the order is [fair](super::fairness).
//! Requests that are constrained to a key or quota group wait in separate queues, so that they do not hold up
//! requests that any key can serve.
//!
//! Invariants: `ConstraintQueue::firsts` holds the position of each caller's oldest ticket. `CallerQueue::requests`
//! equals the sum of the requests that the caller's waiting attempts demand.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::demand::Demand;
use super::fairness::{Caller, FairClocks};
use super::key_constraint::KeyConstraint;
use crate::time::Timestamp;

/// [`WaitQueue::ahead`] visits at most this many other callers, and at most this many older requests of the
/// request's own caller.
const MAX_VISITED: usize = 64;

/// A call's place in the order of arrival. A lower number means an earlier arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A request for a grant, the permission for one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireRequest {
    /// The call's place in the order of arrival.
    pub ticket: Ticket,
    /// The caller that sends the request.
    pub caller: Caller,
    /// The requests and tokens that the attempt takes from the limits.
    pub demand: Demand,
    /// The keys that the attempt may use.
    pub constraint: KeyConstraint,
    /// The time at which the caller stops waiting. A request that cannot be granted before this time is
    /// rejected.
    pub deadline: Timestamp,
    /// Whether the request also waits while no key is usable. Otherwise it is rejected as soon as every key
    /// that it may use is invalid, out of quota, forbidden or disabled, unless the provider has named a time before
    /// the deadline at which quota returns.
    pub wait_for_keys: bool,
}

/// Position of a caller's first request in a queue. Positions are ordered by the caller's fair clock, a
/// virtual time that advances with each grant, and then by ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QueuePosition {
    clock: u64,
    ticket: Ticket,
    caller: Caller,
}

/// The waiting requests of one target, each stored with data of type `S`.
#[derive(Debug)]
pub(super) struct WaitQueue<S> {
    queues: BTreeMap<KeyConstraint, ConstraintQueue<S>>,
    len: usize,
}

/// The waiting requests that have the same key constraint.
#[derive(Debug)]
struct ConstraintQueue<S> {
    callers: BTreeMap<Caller, CallerQueue<S>>,
    /// The position of each caller's first request. The queue serves the lowest position next.
    firsts: BTreeSet<QueuePosition>,
}

#[derive(Debug)]
struct CallerQueue<S> {
    waiters: BTreeMap<Ticket, (AcquireRequest, S)>,
    /// Total number of requests that the caller's waiting attempts demand.
    requests: u64,
    /// The fair clock in the caller's position.
    clock: u64,
}

impl<S> WaitQueue<S> {
    pub(super) fn new() -> Self {
        Self {
            queues: BTreeMap::new(),
            len: 0,
        }
    }

    /// Returns the number of waiting requests.
    pub(super) fn count(&self) -> usize {
        self.len
    }

    /// Returns a lower bound on the number of requests that are served before a request with this `ticket`:
    /// the older requests of the same caller, and the fair share of every other caller.
    ///
    /// Some of these requests are not counted if there are many callers, or if the request is in the middle
    /// of a long queue.
    pub(super) fn ahead(&self, constraint: KeyConstraint, caller: Caller, ticket: Ticket) -> u64 {
        let Some(queue) = self.queues.get(&constraint) else {
            return 0;
        };
        let own = queue.callers.get(&caller);
        let (requests, before) = own.map_or((0, 0), |own| own.before(ticket));
        let others = queue.callers.iter();
        let others = others.filter(|(other, _)| **other != caller);
        let others = others.take(MAX_VISITED).map(|(of, other)| {
            // For each own request, the other caller may be granted `weight / own weight` requests, except
            // that its first request may still come after this one.
            let share = u64::from(of.weight.max(1)) * before / u64::from(caller.weight.max(1));
            share.saturating_sub(1).min(other.waiters.len() as u64)
        });
        requests + others.sum::<u64>()
    }

    /// Inserts a request whose ticket is not in the queue yet, and stores `waiter` with it.
    pub(super) fn insert(&mut self, request: AcquireRequest, waiter: S, fair: &mut FairClocks) {
        let (caller, constraint) = (request.caller, request.constraint);
        let queue = self.queues.entry(constraint);
        let queue = queue.or_insert_with(|| ConstraintQueue {
            callers: BTreeMap::new(),
            firsts: BTreeSet::new(),
        });
        queue.change(caller, |own| {
            if own.waiters.is_empty() {
                own.clock = fair.start_waiting(caller);
            }
            own.requests += u64::from(request.demand.requests);
            own.waiters.insert(request.ticket, (request, waiter));
        });
        self.len += 1;
    }

    /// Removes a request and returns the data stored with it, or `None` if the request is not in the queue.
    /// Afterwards, the position of the caller may be outdated.
    pub(super) fn remove(&mut self, request: &AcquireRequest, fair: &mut FairClocks) -> Option<S> {
        let (caller, constraint) = (request.caller, request.constraint);
        let queue = self.queues.get_mut(&constraint)?;
        let removed = queue.change(caller, |own| {
            let (removed, waiter) = own.waiters.remove(&request.ticket)?;
            own.requests -= u64::from(removed.demand.requests);
            if own.waiters.is_empty() {
                fair.stop_waiting(caller);
            }
            Some(waiter)
        });
        if queue.callers.is_empty() {
            self.queues.remove(&constraint);
        }
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// Returns a waiting request and the data stored with it.
    pub(super) fn get_mut(
        &mut self,
        constraint: KeyConstraint,
        caller: Caller,
        ticket: Ticket,
    ) -> Option<&mut (AcquireRequest, S)> {
        let queue = self.queues.get_mut(&constraint)?;
        queue.callers.get_mut(&caller)?.waiters.get_mut(&ticket)
    }

    /// Returns the requests with this constraint that do not wait for keys.
    pub(super) fn requests_that_need_keys(
        &self,
        constraint: KeyConstraint,
    ) -> impl Iterator<Item = AcquireRequest> {
        let callers = self.queues.get(&constraint).into_iter();
        let callers = callers.flat_map(|queue| queue.callers.values());
        let requests = callers.flat_map(|own| own.waiters.values().map(|(request, _)| *request));
        requests.filter(|request| !request.wait_for_keys)
    }

    /// Returns the position of the request to serve next among those with this constraint, or `None` if no
    /// such request is waiting.
    pub(super) fn head_position(&self, constraint: KeyConstraint) -> Option<QueuePosition> {
        self.queues.get(&constraint)?.firsts.first().copied()
    }

    /// Returns the request to serve next among those with this constraint, or `None` if no such request is
    /// waiting.
    pub(super) fn head(&self, constraint: KeyConstraint) -> Option<AcquireRequest> {
        let queue = self.queues.get(&constraint)?;
        let own = queue.callers.get(&queue.firsts.first()?.caller)?;
        own.waiters.first_key_value().map(|(_, (request, _))| *request)
    }

    /// Returns the constraints of all waiting requests, each once, with the position of the request to serve
    /// next.
    pub(super) fn heads(&self) -> impl Iterator<Item = (KeyConstraint, QueuePosition)> {
        let queues = self.queues.iter();
        queues.filter_map(|(constraint, queue)| Some((*constraint, *queue.firsts.first()?)))
    }

    /// Updates outdated positions of callers until the first position is correct. The position of a caller is
    /// outdated if a request of the same caller has been granted, from this queue or another one.
    pub(super) fn refresh(&mut self, constraint: KeyConstraint, fair: &FairClocks) {
        let Some(queue) = self.queues.get_mut(&constraint) else {
            return;
        };
        while let Some(&first) = queue.firsts.first() {
            let clock = fair.clock_of(first.caller);
            if clock <= first.clock {
                return;
            }
            queue.change(first.caller, |own| own.clock = clock);
        }
    }
}

impl<S> ConstraintQueue<S> {
    /// Changes the queue of a caller, and updates the position of the caller.
    fn change<T>(&mut self, caller: Caller, change: impl FnOnce(&mut CallerQueue<S>) -> T) -> T {
        let own = self.callers.entry(caller).or_insert_with(|| CallerQueue {
            waiters: BTreeMap::new(),
            requests: 0,
            clock: 0,
        });
        if let Some(previous) = own.first(caller) {
            self.firsts.remove(&previous);
        }
        let result = change(own);
        let first = own.first(caller);
        if first.is_none() {
            self.callers.remove(&caller);
        }
        self.firsts.extend(first);
        result
    }
}

impl<S> CallerQueue<S> {
    /// Returns the position of the request with the oldest ticket.
    fn first(&self, caller: Caller) -> Option<QueuePosition> {
        let (ticket, _) = self.waiters.first_key_value()?;
        Some(QueuePosition {
            clock: self.clock,
            ticket: *ticket,
            caller,
        })
    }

    /// Returns the sum of the requests that attempts with older tickets than `ticket` demand, and the number
    /// of these attempts.
    fn before(&self, ticket: Ticket) -> (u64, u64) {
        match self.waiters.last_key_value() {
            Some((youngest, _)) if *youngest < ticket => (self.requests, self.waiters.len() as u64),
            _ => {
                let older = self.waiters.range(..ticket).take(MAX_VISITED);
                older.fold((0, 0), |(requests, count), (_, (request, _))| {
                    (requests + u64::from(request.demand.requests), count + 1)
                })
            }
        }
    }
}
