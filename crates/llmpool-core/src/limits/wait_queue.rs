//! The wait queue of one target.
//!
//! A call receives its ticket once, on arrival, and keeps the ticket when it is retried. Thus a call never
//! waits behind a younger call of the same caller. Between callers, the order is [fair](super::fairness).
//! Requests that are constrained to a key or quota group wait in separate queues, so that they do not hold up
//! requests that any key can serve.
//!
//! Invariants: the first request of each caller is the one with the oldest ticket. `CallerQueue::requests`
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
    /// that it may use is invalid, out of quota, forbidden or disabled.
    pub wait_for_keys: bool,
}

/// Position of a caller's first request in a queue. Positions are ordered by the caller's fair clock, a
/// virtual time that advances with each grant, and then by ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuePosition {
    clock: u64,
    /// The ticket of the caller's first request in the queue.
    pub ticket: Ticket,
    caller: Caller,
}

/// The request that a queue serves next.
#[derive(Debug)]
pub struct QueueHead<'a, S> {
    /// Position of the request in the queue.
    pub position: QueuePosition,
    /// The waiting request.
    pub request: &'a AcquireRequest,
    /// The data that was stored with the request when it was inserted.
    pub waiter: &'a S,
}

/// The waiting requests of one target, each stored with data of type `S`.
#[derive(Debug)]
pub struct WaitQueue<S> {
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
    /// Returns the number of waiting requests.
    pub fn count(&self) -> usize {
        self.len
    }

    /// Returns whether any request with this constraint is waiting.
    pub fn has_waiters(&self, constraint: KeyConstraint) -> bool {
        self.queues.contains_key(&constraint)
    }

    /// Returns a lower bound on the number of requests that are served before a request with this `ticket`:
    /// the older requests of the same caller, and the fair share of every other caller.
    ///
    /// Some of these requests are not counted if there are many callers, or if the request is in the middle
    /// of a long queue.
    pub fn ahead(&self, constraint: KeyConstraint, caller: Caller, ticket: Ticket) -> u64 {
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

    /// Inserts a request, and stores `waiter` with it.
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

    /// Removes a request and returns the data stored with it, or `None` if the request is not in the queue.
    ///
    /// If the request was granted, call [`FairClocks::record_grant`] first, because the caller's fair clock
    /// determines the position of the caller's next request.
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

    /// Returns the data stored with a request, or `None` if the request is not in the queue.
    pub fn waiter_mut(&mut self, request: &AcquireRequest) -> Option<&mut S> {
        let queue = self.queues.get_mut(&request.constraint)?;
        let own = queue.callers.get_mut(&request.caller)?;
        own.waiters.get_mut(&request.ticket).map(|(_, waiter)| waiter)
    }

    /// Returns a waiting request and the data stored with it.
    pub fn find(
        &self,
        constraint: KeyConstraint,
        caller: Caller,
        ticket: Ticket,
    ) -> Option<(&AcquireRequest, &S)> {
        let own = self.queues.get(&constraint)?.callers.get(&caller)?;
        own.waiters
            .get(&ticket)
            .map(|(request, waiter)| (request, waiter))
    }

    /// Returns the requests with this constraint that do not wait for keys.
    pub fn requests_that_need_keys(&self, constraint: KeyConstraint) -> Vec<AcquireRequest> {
        let callers = self.queues.get(&constraint).into_iter();
        let callers = callers.flat_map(|queue| queue.callers.values());
        let requests = callers.flat_map(|own| own.waiters.values().map(|(request, _)| *request));
        requests.filter(|request| !request.wait_for_keys).collect()
    }

    /// Returns the position of the request to serve next among those with this constraint, or `None` if no
    /// such request is waiting.
    pub fn head_position(&self, constraint: KeyConstraint) -> Option<QueuePosition> {
        self.queues.get(&constraint)?.firsts.first().copied()
    }

    /// Returns the request to serve next among those with this constraint, or `None` if no such request is
    /// waiting.
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

    /// Updates outdated positions of callers until the first position is correct. The position of a caller is
    /// outdated if another queue has granted a request of the same caller.
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

    /// Returns the constraints of all waiting requests, each once, in the order in which their first requests
    /// are to be served.
    pub fn constraints(&self) -> Vec<KeyConstraint> {
        let queues = self.queues.iter();
        let heads = queues.filter_map(|(constraint, queue)| Some((*queue.firsts.first()?, *constraint)));
        let mut heads: Vec<_> = heads.collect();
        heads.sort_unstable();
        heads.into_iter().map(|(_, constraint)| constraint).collect()
    }
}

impl<S> CallerQueue<S> {
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
