//! The wait queue of one target.
//!
//! A ticket is assigned once, on first arrival, and a retry keeps it, so a call never waits behind a younger call of the same caller. Between
//! callers the order is [fair](super::fairness). Requests constrained to a key or quota group wait in queues of their own, so that they do not
//! hold up requests that any key can serve.
//!
//! Invariant: of each caller the oldest ticket is first; `requests` equals the sum over the caller's waiters.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::demand::Demand;
use super::fairness::{Caller, FairClocks};
use super::key_constraint::KeyConstraint;
use crate::time::Timestamp;

/// Limit of callers, and of older requests of the same caller, that [`WaitQueue::ahead`] visits.
const MAX_VISITED: usize = 64;

/// A call's place in the order of arrival; lower is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A request for a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireRequest {
    /// Order of arrival.
    pub ticket: Ticket,
    /// Who sends the request.
    pub caller: Caller,
    /// What the attempt takes from the limits.
    pub demand: Demand,
    /// Which keys it may use.
    pub constraint: KeyConstraint,
    /// When the caller gives up.
    pub deadline: Timestamp,
}

/// Position of a caller's first request: by the caller's fair clock, then by ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuePosition {
    clock: u64,
    /// The ticket of that request.
    pub ticket: Ticket,
    caller: Caller,
}

/// The next request to serve.
#[derive(Debug)]
pub struct QueueHead<'a, S> {
    /// Its position in the queue.
    pub position: QueuePosition,
    /// The request itself.
    pub request: &'a AcquireRequest,
    /// The data stored with the request.
    pub waiter: &'a S,
}

/// The waiting requests of one target, each stored with data of type `S`.
#[derive(Debug)]
pub struct WaitQueue<S> {
    queues: BTreeMap<KeyConstraint, ConstraintQueue<S>>,
    len: usize,
}

/// Requests of one constraint.
#[derive(Debug)]
struct ConstraintQueue<S> {
    callers: BTreeMap<Caller, CallerQueue<S>>,
    /// The first request of every caller.
    firsts: BTreeSet<QueuePosition>,
}

#[derive(Debug)]
struct CallerQueue<S> {
    waiters: BTreeMap<Ticket, (AcquireRequest, S)>,
    /// Requests that all waiters demand together.
    requests: u64,
    first: QueuePosition,
}

impl<S> Default for WaitQueue<S> {
    fn default() -> Self {
        Self {
            queues: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<S> WaitQueue<S> {
    /// The number of waiting requests.
    pub fn count(&self) -> usize {
        self.len
    }

    /// Returns whether a request with this constraint waits.
    pub fn has_waiters(&self, constraint: KeyConstraint) -> bool {
        self.queues.contains_key(&constraint)
    }

    /// Returns how many requests are certainly served before this one: older ones of the same caller, and every other caller's fair share.
    ///
    /// A lower bound: with many callers, or in the middle of a long queue, some are not counted.
    pub fn ahead(&self, constraint: KeyConstraint, caller: Caller, ticket: Ticket) -> u64 {
        let Some(queue) = self.queues.get(&constraint) else {
            return 0;
        };
        let own = queue.callers.get(&caller);
        let (requests, before) = own.map_or((0, 0), |own| own.before(ticket));
        let others = queue.callers.iter();
        let others = others.filter(|(other, _)| **other != caller);
        let others = others.take(MAX_VISITED).map(|(of, other)| {
            // Each own request lets the other caller have `weight / own weight`; its first one may come after this request.
            let share = u64::from(of.weight.max(1)) * before / u64::from(caller.weight.max(1));
            share.saturating_sub(1).min(other.waiters.len() as u64)
        });
        requests + others.sum::<u64>()
    }

    /// Inserts a request.
    pub fn insert(&mut self, request: AcquireRequest, waiter: S, fair: &mut FairClocks) {
        let queue = self
            .queues
            .entry(request.constraint)
            .or_insert_with(|| ConstraintQueue {
                callers: BTreeMap::new(),
                firsts: BTreeSet::new(),
            });
        let own = queue.callers.entry(request.caller).or_insert_with(|| {
            let first = QueuePosition {
                clock: fair.start_waiting(request.caller),
                ticket: request.ticket,
                caller: request.caller,
            };
            queue.firsts.insert(first);
            CallerQueue {
                waiters: BTreeMap::new(),
                requests: 0,
                first,
            }
        });
        if request.ticket < own.first.ticket {
            queue.firsts.remove(&own.first);
            own.first.ticket = request.ticket;
            queue.firsts.insert(own.first);
        }
        if own.waiters.insert(request.ticket, (request, waiter)).is_none() {
            own.requests += u64::from(request.demand.requests);
            self.len += 1;
        }
    }

    /// Removes a request and returns its data. If it was granted, [`FairClocks::record_grant`] must be called before.
    pub fn remove(&mut self, request: &AcquireRequest, fair: &mut FairClocks) -> Option<S> {
        let queue = self.queues.get_mut(&request.constraint)?;
        let own = queue.callers.get_mut(&request.caller)?;
        let (removed, waiter) = own.waiters.remove(&request.ticket)?;
        own.requests -= u64::from(removed.demand.requests);
        self.len -= 1;
        if own.first.ticket == request.ticket {
            queue.firsts.remove(&own.first);
            match own.waiters.first_key_value() {
                None => {
                    queue.callers.remove(&request.caller);
                    fair.stop_waiting(request.caller);
                }
                Some((next, _)) => {
                    own.first = QueuePosition {
                        clock: own.first.clock.max(fair.clock_of(request.caller)),
                        ticket: *next,
                        caller: request.caller,
                    };
                    queue.firsts.insert(own.first);
                }
            }
        }
        if queue.callers.is_empty() {
            self.queues.remove(&request.constraint);
        }
        Some(waiter)
    }

    /// The data stored with a request.
    pub fn waiter_mut(&mut self, request: &AcquireRequest) -> Option<&mut S> {
        let queue = self.queues.get_mut(&request.constraint)?;
        let own = queue.callers.get_mut(&request.caller)?;
        own.waiters.get_mut(&request.ticket).map(|(_, waiter)| waiter)
    }

    /// The position of the head of a queue.
    pub fn head_position(&self, constraint: KeyConstraint) -> Option<QueuePosition> {
        self.queues.get(&constraint)?.firsts.first().copied()
    }

    /// The next request to serve of those with a constraint.
    pub fn head(&self, constraint: KeyConstraint) -> Option<QueueHead<'_, S>> {
        let position = self.head_position(constraint)?;
        let queue = self.queues.get(&constraint)?;
        let (request, waiter) = queue
            .callers
            .get(&position.caller)?
            .waiters
            .get(&position.ticket)?;
        Some(QueueHead {
            position,
            request,
            waiter,
        })
    }

    /// Updates the positions of callers that were granted requests in other queues, until the head is up to date.
    pub fn refresh(&mut self, constraint: KeyConstraint, fair: &FairClocks) {
        let Some(queue) = self.queues.get_mut(&constraint) else {
            return;
        };
        while let Some(&stale) = queue.firsts.first() {
            let clock = fair.clock_of(stale.caller);
            let own = queue.callers.get_mut(&stale.caller);
            let Some(own) = own.filter(|_| clock > stale.clock) else {
                return;
            };
            queue.firsts.remove(&stale);
            own.first.clock = clock;
            queue.firsts.insert(own.first);
        }
    }

    /// The constraints of waiting requests, ordered by their heads.
    pub fn constraints(&self) -> Vec<KeyConstraint> {
        let queues = self.queues.iter();
        let heads = queues.filter_map(|(constraint, queue)| Some((*queue.firsts.first()?, *constraint)));
        let mut heads: Vec<_> = heads.collect();
        heads.sort_unstable();
        heads.into_iter().map(|(_, constraint)| constraint).collect()
    }
}

impl<S> CallerQueue<S> {
    /// Returns the demanded requests of older tickets, and the number of those tickets.
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
