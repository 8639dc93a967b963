//! Where the callers of one target wait, and whose turn it is to ask.
//!
//! A ticket is given once, on first arrival, and a retry comes back with it, so an old call is never behind a younger one of the same
//! caller. Between callers the order is [fair](super::fairness). Calls bound to one key or account stand in a line of their own: they must
//! not hold up those that any key would serve.
//!
//! Always true: of each caller the oldest ticket is first; what is summed up is exactly what those who stand there need.

use std::collections::{BTreeMap, BTreeSet};

use super::demand::Demand;
pub use super::fairness::Caller;
use super::fairness::FairClocks;
use super::limiter::KeyConstraint;
use crate::time::Timestamp;

/// More callers than this are not counted when an arrival asks how many are before him; more of a caller's own neither, where he is in
/// the midst of them.
const FEW: usize = 64;

/// A call's place in line: lower is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Someone who wants a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquireRequest {
    /// The place in line.
    pub ticket: Ticket,
    /// Who calls.
    pub caller: Caller,
    /// What is needed.
    pub demand: Demand,
    /// Which keys will do.
    pub constraint: KeyConstraint,
    /// When the caller gives up.
    pub deadline: Timestamp,
}

/// Where somebody stands who is first of his caller: by his caller's clock, then by ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuePosition {
    clock: u64,
    ticket: Ticket,
    caller: Caller,
}

impl QueuePosition {
    /// Whose turn it is.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }
}

/// The first of a line.
#[derive(Debug)]
pub struct QueueHead<'a, S> {
    /// Where he stands.
    pub turn: QueuePosition,
    /// What he wants.
    pub request: &'a AcquireRequest,
    /// What is kept for him.
    pub waiter: &'a S,
}

/// The callers of one target who wait, each with whatever the shell keeps for it (`S`).
#[derive(Debug)]
pub struct WaitQueue<S> {
    lines: BTreeMap<KeyConstraint, ConstraintQueue<S>>,
    waiting: usize,
}

#[derive(Debug)]
struct ConstraintQueue<S> {
    callers: BTreeMap<Caller, CallerQueue<S>>,
    /// The first of every caller.
    firsts: BTreeSet<QueuePosition>,
}

#[derive(Debug)]
struct CallerQueue<S> {
    seats: BTreeMap<Ticket, (AcquireRequest, S)>,
    /// The requests that all of them need together.
    requests: u64,
    first: QueuePosition,
}

impl<S> Default for WaitQueue<S> {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            waiting: 0,
        }
    }
}

impl<S> WaitQueue<S> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Whether somebody who arrives with this binding would find someone waiting.
    pub fn must_queue(&self, constraint: KeyConstraint) -> bool {
        self.lines.contains_key(&constraint)
    }

    /// The requests of everyone certainly served before this arrival: those of his caller with an older ticket, and of every other caller as
    /// many as his share is. A lower bound: where many callers wait, or where he is in the midst of many, some are not counted.
    pub fn ahead(&self, request: &AcquireRequest) -> u64 {
        let Some(line) = self.lines.get(&request.constraint) else {
            return 0;
        };
        let (own, before) = match line.callers.get(&request.caller) {
            None => (0, 0),
            Some(queue) => queue.before(request.ticket),
        };
        let others = line
            .callers
            .iter()
            .filter(|(caller, _)| **caller != request.caller);
        let others = others.take(FEW).map(|(caller, queue)| {
            // Each of mine lets him have as many as his weight is of mine; the first of his may come after me.
            let share = u64::from(caller.weight.max(1)) * before / u64::from(request.caller.weight.max(1));
            share.saturating_sub(1).min(queue.seats.len() as u64)
        });
        own + others.sum::<u64>()
    }

    /// Takes a seat.
    pub fn join(&mut self, request: AcquireRequest, waiter: S, fair: &mut FairClocks) {
        let line = self
            .lines
            .entry(request.constraint)
            .or_insert_with(|| ConstraintQueue {
                callers: BTreeMap::new(),
                firsts: BTreeSet::new(),
            });
        let queue = line.callers.entry(request.caller).or_insert_with(|| {
            let turn = QueuePosition {
                clock: fair.begins_to_wait(request.caller),
                ticket: request.ticket,
                caller: request.caller,
            };
            line.firsts.insert(turn);
            CallerQueue {
                seats: BTreeMap::new(),
                requests: 0,
                first: turn,
            }
        });
        if request.ticket < queue.first.ticket {
            line.firsts.remove(&queue.first);
            queue.first.ticket = request.ticket;
            line.firsts.insert(queue.first);
        }
        if queue.seats.insert(request.ticket, (request, waiter)).is_none() {
            queue.requests += u64::from(request.demand.requests);
            self.waiting += 1;
        }
    }

    /// Leaves the room, granted or not; who was granted was [served](Fair::served) before. Answers what was kept for the seat.
    pub fn leave(&mut self, request: &AcquireRequest, fair: &mut FairClocks) -> Option<S> {
        let line = self.lines.get_mut(&request.constraint)?;
        let queue = line.callers.get_mut(&request.caller)?;
        let (left, waiter) = queue.seats.remove(&request.ticket)?;
        queue.requests -= u64::from(left.demand.requests);
        self.waiting -= 1;
        if queue.first.ticket == request.ticket {
            line.firsts.remove(&queue.first);
            match queue.seats.first_key_value() {
                None => {
                    line.callers.remove(&request.caller);
                    fair.ends_waiting(request.caller);
                }
                Some((next, _)) => {
                    queue.first = QueuePosition {
                        clock: queue.first.clock.max(fair.clock_of(request.caller)),
                        ticket: *next,
                        caller: request.caller,
                    };
                    line.firsts.insert(queue.first);
                }
            }
        }
        if line.callers.is_empty() {
            self.lines.remove(&request.constraint);
        }
        Some(waiter)
    }

    /// What is kept for a seat.
    pub fn waiter_mut(&mut self, request: &AcquireRequest) -> Option<&mut S> {
        let queue = self
            .lines
            .get_mut(&request.constraint)?
            .callers
            .get_mut(&request.caller)?;
        queue.seats.get_mut(&request.ticket).map(|(_, waiter)| waiter)
    }

    /// The first of a line.
    pub fn head(&self, constraint: KeyConstraint) -> Option<QueueHead<'_, S>> {
        let line = self.lines.get(&constraint)?;
        let turn = *line.firsts.first()?;
        let (request, waiter) = line.callers.get(&turn.caller)?.seats.get(&turn.ticket)?;
        Some(QueueHead {
            turn,
            request,
            waiter,
        })
    }

    /// Moves those to where they belong now whose callers were served elsewhere, as far as they would be first.
    pub fn freshen(&mut self, constraint: KeyConstraint, fair: &FairClocks) {
        let Some(line) = self.lines.get_mut(&constraint) else {
            return;
        };
        while let Some(&stale) = line.firsts.first() {
            let clock = fair.clock_of(stale.caller);
            let Some(queue) = line
                .callers
                .get_mut(&stale.caller)
                .filter(|_| clock > stale.clock)
            else {
                return;
            };
            line.firsts.remove(&stale);
            queue.first.clock = clock;
            line.firsts.insert(queue.first);
        }
    }

    /// The lines in which somebody waits, the one whose head is first.
    pub fn lines(&self) -> Vec<KeyConstraint> {
        let mut lines: Vec<_> = self
            .lines
            .iter()
            .filter_map(|(constraint, line)| Some((*line.firsts.first()?, *constraint)))
            .collect();
        lines.sort_unstable();
        lines.into_iter().map(|(_, constraint)| constraint).collect()
    }
}

impl<S> CallerQueue<S> {
    /// The requests of those with an older ticket, and how many they are.
    fn before(&self, ticket: Ticket) -> (u64, u64) {
        match self.seats.last_key_value() {
            Some((youngest, _)) if *youngest < ticket => (self.requests, self.seats.len() as u64),
            _ => {
                let mut sum = (0, 0);
                for (_, (request, _)) in self.seats.range(..ticket).take(FEW) {
                    sum.0 += u64::from(request.demand.requests);
                    sum.1 += 1;
                }
                sum
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(ticket: u64) -> AcquireRequest {
        of(Caller::default(), ticket)
    }

    fn of(caller: Caller, ticket: u64) -> AcquireRequest {
        AcquireRequest {
            ticket: Ticket(ticket),
            caller,
            demand: Demand::ONE,
            constraint: KeyConstraint::Any,
            deadline: Timestamp::MAX,
        }
    }

    /// Serves the head of the line of those whom any key would serve.
    /// Who waits in one line already is no newcomer in another, however many others were served meanwhile.
    #[test]
    fn calls_of_one_caller_go_by_ticket_in_all_lines() {
        let (one, two) = (Caller::new(1), Caller::new(2));
        let (mut here, mut there, mut fair) =
            (WaitQueue::default(), WaitQueue::default(), FairClocks::default());
        here.join(of(one, 1), (), &mut fair);
        (0..5).for_each(|_| fair.served(two));
        there.join(of(one, 2), (), &mut fair);
        here.join(of(one, 3), (), &mut fair);
        here.leave(&of(one, 1), &mut fair);
        let turn = |queue: &WaitQueue<()>| queue.head(KeyConstraint::Any).unwrap().turn;
        assert!(turn(&there) < turn(&here));
        there.leave(&of(one, 2), &mut fair);
        here.leave(&of(one, 3), &mut fair);
        // And who comes back after a silence begins where a newcomer does.
        (0..5).for_each(|_| fair.served(two));
        here.join(of(one, 4), (), &mut fair);
        there.join(of(Caller::new(3), 5), (), &mut fair);
        assert_eq!(turn(&here).clock, turn(&there).clock);
    }

    fn serve(queue: &mut WaitQueue<()>, fair: &mut FairClocks) -> Option<AcquireRequest> {
        let head = *queue.head(KeyConstraint::Any)?.request;
        fair.served(head.caller);
        queue.leave(&head, fair);
        Some(head)
    }

    #[test]
    fn a_retry_comes_back_to_its_old_place() {
        let (mut queue, mut fair) = (WaitQueue::default(), FairClocks::default());
        for ticket in [7, 9, 3] {
            queue.join(request(ticket), (), &mut fair);
        }
        let head = |queue: &WaitQueue<()>| queue.head(KeyConstraint::Any).unwrap().turn.ticket();
        assert_eq!(head(&queue), Ticket(3));
        assert_eq!(queue.ahead(&request(8)), 2);
        assert_eq!(queue.ahead(&request(10)), 3);
        queue.leave(&request(3), &mut fair);
        assert_eq!(head(&queue), Ticket(7));
    }

    #[test]
    fn an_empty_room_keeps_no_line() {
        let (mut queue, mut fair) = (WaitQueue::default(), FairClocks::default());
        queue.join(request(1), (), &mut fair);
        assert!(queue.must_queue(KeyConstraint::Any));
        assert_eq!(queue.leave(&request(1), &mut fair), Some(()));
        assert_eq!(queue.leave(&request(1), &mut fair), None);
        assert!(queue.is_empty() && !queue.must_queue(KeyConstraint::Any) && queue.lines().is_empty());
    }

    #[test]
    fn a_single_call_waits_behind_at_most_one_of_each_other_caller() {
        let (mut queue, mut fair) = (WaitQueue::default(), FairClocks::default());
        for ticket in 0..700 {
            queue.join(of(Caller::new(ticket % 7), ticket), (), &mut fair);
        }
        for served in 0..200 {
            let lone = of(Caller::new(99), 1000 + served);
            queue.join(lone, (), &mut fair);
            let before = std::iter::from_fn(|| serve(&mut queue, &mut fair)).take_while(|head| *head != lone);
            let before: Vec<_> = before.map(|head| head.caller.id).collect();
            let mut distinct = before.clone();
            distinct.sort_unstable();
            distinct.dedup();
            assert_eq!(before.len(), distinct.len(), "{before:?}");
            if queue.is_empty() {
                return;
            }
        }
    }

    #[test]
    fn callers_share_by_weight_and_in_order_of_their_tickets() {
        let (mut queue, mut fair) = (WaitQueue::default(), FairClocks::default());
        let heavy = Caller { id: 1, weight: 3 };
        let light = Caller { id: 2, weight: 1 };
        for ticket in 0..400 {
            queue.join(
                of(if ticket % 2 == 0 { heavy } else { light }, ticket),
                (),
                &mut fair,
            );
        }
        let served: Vec<_> = (0..200).map(|_| serve(&mut queue, &mut fair).unwrap()).collect();
        let of_heavy = served.iter().filter(|served| served.caller == heavy);
        assert_eq!(of_heavy.clone().count(), 150);
        assert!(of_heavy.is_sorted_by_key(|served| served.ticket));
    }

    #[test]
    fn what_left_without_a_grant_costs_its_caller_nothing() {
        let (mut queue, mut fair) = (WaitQueue::default(), FairClocks::default());
        let (one, two) = (Caller::new(1), Caller::new(2));
        for ticket in 0..100 {
            queue.join(of(one, ticket), (), &mut fair);
        }
        (0..100).for_each(|ticket| {
            queue.leave(&of(one, ticket), &mut fair);
        });
        for ticket in 100..120 {
            queue.join(of(if ticket < 110 { two } else { one }, ticket), (), &mut fair);
        }
        let first: Vec<_> = (0..4)
            .map(|_| serve(&mut queue, &mut fair).unwrap().caller.id)
            .collect();
        assert_eq!(first.iter().filter(|id| **id == 1).count(), 2, "{first:?}");
    }

    #[test]
    fn who_was_silent_saved_nothing_up() {
        let (mut queue, mut fair) = (WaitQueue::default(), FairClocks::default());
        let (busy, silent) = (Caller::new(1), Caller::new(2));
        for ticket in 0..500 {
            queue.join(of(busy, ticket), (), &mut fair);
            serve(&mut queue, &mut fair);
        }
        for ticket in 500..520 {
            queue.join(
                of(if ticket < 510 { busy } else { silent }, ticket),
                (),
                &mut fair,
            );
        }
        let first: Vec<_> = (0..8)
            .map(|_| serve(&mut queue, &mut fair).unwrap().caller.id)
            .collect();
        assert_eq!(first.iter().filter(|id| **id == 2).count(), 4, "{first:?}");
    }
}
