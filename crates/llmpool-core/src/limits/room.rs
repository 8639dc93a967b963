//! Where the callers of one target wait, and whose turn it is to ask.
//!
//! A ticket is given once, on first arrival, and a retry comes back with it, so an old call is never behind a younger one.
//! Calls bound to one key stand in a line of their own: they must not hold up those that any key would serve.
//!
//! Always true: within a line the oldest ticket is first; what `ahead` sums up is exactly what those before would take.

use std::collections::BTreeMap;

use super::ledger::{Binding, Need};
use crate::time::Timestamp;

/// A call's place in line: lower is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Who calls. Calls of one caller are served by ticket; callers share what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerId(pub u64);

/// Someone who wants a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The place in line.
    pub ticket: Ticket,
    /// Who calls.
    pub caller: CallerId,
    /// What is needed.
    pub need: Need,
    /// Which keys will do.
    pub binding: Binding,
    /// When the caller gives up.
    pub deadline: Timestamp,
}

/// The callers of one target who wait, each with whatever the shell keeps for it (`S`).
#[derive(Debug)]
pub struct Room<S> {
    lines: BTreeMap<Binding, Line<S>>,
    waiting: usize,
}

#[derive(Debug)]
struct Line<S> {
    seats: BTreeMap<Ticket, (Arrival, S)>,
    /// Requests that everyone in this line together would take.
    needed: u64,
}

impl<S> Default for Room<S> {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            waiting: 0,
        }
    }
}

impl<S> Room<S> {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Whether somebody who arrives with this binding would stand behind someone.
    pub fn must_queue(&self, binding: Binding) -> bool {
        self.lines.contains_key(&binding)
    }

    /// What everyone certainly served before `ticket` would take, in requests: everyone in its line with an older ticket.
    /// Exact and cheap for the youngest ticket, which is what an arrival nearly always has.
    pub fn ahead(&self, ticket: Ticket, binding: Binding) -> u64 {
        let Some(line) = self.lines.get(&binding) else {
            return 0;
        };
        match line.seats.last_key_value() {
            Some((youngest, _)) if *youngest < ticket => line.needed,
            _ => line
                .seats
                .range(..ticket)
                .map(|(_, (arrival, _))| u64::from(arrival.need.requests))
                .sum(),
        }
    }

    /// Takes a seat.
    pub fn join(&mut self, arrival: Arrival, seat: S) {
        let line = self.lines.entry(arrival.binding).or_insert_with(|| Line {
            seats: BTreeMap::new(),
            needed: 0,
        });
        if line.seats.insert(arrival.ticket, (arrival, seat)).is_none() {
            line.needed += u64::from(arrival.need.requests);
            self.waiting += 1;
        }
    }

    /// Leaves the room, granted or not. Answers what was kept for the seat.
    pub fn leave(&mut self, ticket: Ticket, binding: Binding) -> Option<S> {
        let line = self.lines.get_mut(&binding)?;
        let (arrival, seat) = line.seats.remove(&ticket)?;
        line.needed -= u64::from(arrival.need.requests);
        self.waiting -= 1;
        if line.seats.is_empty() {
            self.lines.remove(&binding);
        }
        Some(seat)
    }

    /// What is kept for a seat.
    pub fn seat_mut(&mut self, ticket: Ticket, binding: Binding) -> Option<&mut S> {
        self.lines
            .get_mut(&binding)?
            .seats
            .get_mut(&ticket)
            .map(|(_, seat)| seat)
    }

    /// The first of a line.
    pub fn head(&self, binding: Binding) -> Option<(&Arrival, &S)> {
        let (_, (arrival, seat)) = self.lines.get(&binding)?.seats.first_key_value()?;
        Some((arrival, seat))
    }

    /// The lines in which somebody waits, the one with the oldest first ticket first.
    pub fn lines(&self) -> Vec<Binding> {
        let mut lines: Vec<_> = self
            .lines
            .iter()
            .filter_map(|(binding, line)| Some((*line.seats.first_key_value()?.0, *binding)))
            .collect();
        lines.sort_unstable();
        lines.into_iter().map(|(_, binding)| binding).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(ticket: u64) -> Arrival {
        Arrival {
            ticket: Ticket(ticket),
            caller: CallerId::default(),
            need: Need::ONE,
            binding: Binding::Any,
            deadline: Timestamp::MAX,
        }
    }

    #[test]
    fn a_retry_comes_back_to_its_old_place() {
        let mut room = Room::default();
        for ticket in [7, 9, 3] {
            room.join(arrival(ticket), ());
        }
        assert_eq!(room.head(Binding::Any).unwrap().0.ticket, Ticket(3));
        assert_eq!(room.ahead(Ticket(8), Binding::Any), 2);
        assert_eq!(room.ahead(Ticket(10), Binding::Any), 3);
        room.leave(Ticket(3), Binding::Any);
        assert_eq!(room.head(Binding::Any).unwrap().0.ticket, Ticket(7));
    }

    #[test]
    fn an_empty_room_keeps_no_line() {
        let mut room = Room::default();
        room.join(arrival(1), ());
        assert!(room.must_queue(Binding::Any));
        assert_eq!(room.leave(Ticket(1), Binding::Any), Some(()));
        assert_eq!(room.leave(Ticket(1), Binding::Any), None);
        assert!(room.is_empty() && !room.must_queue(Binding::Any) && room.lines().is_empty());
    }
}
