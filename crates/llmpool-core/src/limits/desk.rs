//! The rooms and the ledger of one provider together: who asks when, who is granted what, and who has to be told.
//!
//! Whoever changes something (returns a slot, refunds, changes a key's state) asks on behalf of the heads that this concerns, oldest turn
//! first across all targets that compete for the key. Nobody polls and nobody is told for nothing: `W` is what the shell keeps for each
//! seat, a waker in earnest, and `wakes` collects those of exactly the seats that were granted or have to wait for another time.
//!
//! Always true: a grant is in the granted list or was handed out, never both; only the first who is denied keeps a time for the ledger.

use std::collections::{BTreeMap, BTreeSet};

use super::fair::Fair;
use super::key::KeyId;
use super::ledger::{Binding, Grant, Ledger, Never, Take, TargetId, TargetLimits, Wait, WaitReason};
use super::meter::Need;
use super::room::{Arrival, Caller, Head, Room, Ticket, Turn};
use crate::time::Timestamp;

/// The most that wait for one target.
pub const LONGEST_LINE: usize = 10_000;

/// One provider's rooms and ledger.
#[derive(Debug)]
pub struct Desk<W> {
    ledger: Ledger,
    /// One room for each target of the ledger.
    rooms: Vec<Room<Seat<W>>>,
    /// How many wait in all of them: with nobody waiting there is nobody to ask for.
    waiting: usize,
    /// Whose turn it is between callers, in all rooms.
    fair: Fair,
    /// For each set of keys, the heads that wait for one of them or have yet to be asked.
    blocked: Vec<BTreeSet<Place>>,
    /// Granted while waiting, and not yet picked up.
    granted: BTreeMap<(TargetId, Ticket), Grant>,
}

/// The head of a line among those that wait for keys.
type Place = (Turn, TargetId, Binding);

#[derive(Debug)]
struct Seat<W> {
    waker: W,
    /// What the ledger said when this seat was last at the head and asked.
    wait: Option<Wait>,
}

/// What somebody who asks is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a grant is the common answer, and is moved on at once"
)]
pub enum Answer {
    /// Here it is.
    Granted(Grant),
    /// Not at all.
    Refused(Refusal),
    /// Worth asking again at this instant, his deadline at the latest, or when he is told.
    Wait(Timestamp),
}

/// Why somebody was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// He could not be served before his deadline.
    TooLate {
        /// The earliest instant at which he could have gone, as far as it is known.
        ready_at: Option<Timestamp>,
        /// What stood in the way.
        why: WaitReason,
    },
    /// So many wait already that one more would only wait.
    Full {
        /// The earliest instant at which he could have gone.
        ready_at: Timestamp,
    },
    /// He could never be served.
    Never(Never),
}

impl<W> Default for Desk<W> {
    fn default() -> Self {
        Self {
            ledger: Ledger::new(),
            rooms: Vec::new(),
            waiting: 0,
            fair: Fair::default(),
            blocked: Vec::new(),
            granted: BTreeMap::new(),
        }
    }
}

impl<W: Clone> Desk<W> {
    /// A desk with a room for each target of a ledger, in none of which anybody waits.
    pub fn over(ledger: Ledger) -> Self {
        let mut desk = Self::default();
        for target in ledger.target_ids() {
            desk.open_room(ledger.set_of(target));
        }
        desk.ledger = ledger;
        desk
    }

    /// Reads the ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Changes what concerns nobody who waits.
    pub fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Adds a target with its room: see [`Ledger::add_target`].
    pub fn add_target(
        &mut self,
        keys: &[KeyId],
        limits: impl Into<TargetLimits>,
        now: Timestamp,
    ) -> TargetId {
        let target = self.ledger.add_target(keys, limits, now);
        self.open_room(self.ledger.set_of(target));
        target
    }

    fn open_room(&mut self, set: Option<usize>) {
        self.rooms.push(Room::default());
        if let Some(set) = set.filter(|set| *set >= self.blocked.len()) {
            self.blocked.resize_with(set + 1, BTreeSet::new);
        }
    }

    /// How many wait for this target.
    pub fn waiting(&self, target: TargetId) -> usize {
        self.rooms[target.index()].len()
    }

    /// The earliest instant at which somebody who arrives now could go: a lower bound.
    pub fn earliest(&mut self, target: TargetId, now: Timestamp) -> Timestamp {
        let last = Arrival {
            ticket: Ticket(u64::MAX),
            caller: Caller::default(),
            need: Need::ONE,
            binding: Binding::Any,
            deadline: Timestamp::MAX,
        };
        let ahead = self.rooms[target.index()].ahead(&last);
        self.ledger.earliest(target, Need::ONE, ahead, Binding::Any, now)
    }

    /// Takes a grant if one is to be had at once and nobody stands before.
    pub fn try_enter(&mut self, target: TargetId, arrival: &Arrival, now: Timestamp) -> Option<Grant> {
        if self.must_queue(target, arrival.binding) {
            return None;
        }
        match self.take(target, arrival, now) {
            Take::Granted(grant) => Some(grant),
            Take::Wait(_) | Take::Never(_) => None,
        }
    }

    /// Somebody arrives: he goes at once, or is turned away, or takes a seat.
    #[inline(always)]
    pub fn arrive(
        &mut self,
        target: TargetId,
        arrival: &Arrival,
        waker: &W,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> Answer {
        if !self.must_queue(target, arrival.binding) {
            match self.take(target, arrival, now) {
                Take::Granted(grant) => return Answer::Granted(grant),
                Take::Never(why) => return Answer::Refused(Refusal::Never(why)),
                Take::Wait(_) => {}
            }
        }
        self.queue(target, arrival, waker, now, wakes)
    }

    /// He cannot go at once: he takes a seat, or is turned away.
    fn queue(
        &mut self,
        target: TargetId,
        arrival: &Arrival,
        waker: &W,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> Answer {
        if let Some(why) = self.ledger.never(target, arrival.need, arrival.binding) {
            return Answer::Refused(Refusal::Never(why));
        }
        let ahead = self.rooms[target.index()].ahead(arrival);
        let earliest = self
            .ledger
            .earliest(target, arrival.need, ahead, arrival.binding, now);
        if earliest > arrival.deadline || now >= arrival.deadline {
            return self.too_late(target, arrival, Some(earliest), now);
        }
        if self.waiting(target) >= LONGEST_LINE {
            return Answer::Refused(Refusal::Full { ready_at: earliest });
        }
        self.join(target, *arrival, waker.clone());
        self.look_again(target, arrival, waker, now, wakes)
    }

    /// Somebody who has a seat asks again: because he was told to, or because the time has come.
    pub fn look_again(
        &mut self,
        target: TargetId,
        arrival: &Arrival,
        waker: &W,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> Answer {
        if self.is_head(target, arrival) && now < arrival.deadline {
            self.ask_room(target, now, wakes);
        }
        if let Some(grant) = self.granted.remove(&(target, arrival.ticket)) {
            return Answer::Granted(grant);
        }
        let seat = self.rooms[target.index()].seat_mut(arrival);
        let wait = seat.and_then(|seat| {
            seat.waker.clone_from(waker);
            // What is over was noted before somebody older kept the time for him.
            seat.wait.filter(|wait| wait.until > now)
        });
        let hopeless = wait.is_some_and(|wait| !wait.slot && wait.until > arrival.deadline);
        if hopeless || now >= arrival.deadline {
            self.give_up(target, arrival, now, wakes);
            let ready_at = wait.filter(|wait| !wait.slot).map(|wait| wait.until);
            return self.too_late(target, arrival, ready_at, now);
        }
        let until = wait.map_or(arrival.deadline, |wait| wait.until.min(arrival.deadline));
        Answer::Wait(until)
    }

    /// Somebody who has a seat goes away; whatever he had been granted meanwhile comes back as if it had not been.
    pub fn withdraw(&mut self, target: TargetId, arrival: &Arrival, now: Timestamp, wakes: &mut Vec<W>) {
        match self.granted.remove(&(target, arrival.ticket)) {
            Some(mut grant) => self.put_back(&mut grant, false, now, wakes),
            None => self.give_up(target, arrival, now, wakes),
        }
    }

    /// Gives a grant back: see [`Ledger::put_back`].
    pub fn put_back(&mut self, grant: &mut Grant, used: bool, now: Timestamp, wakes: &mut Vec<W>) {
        let made_room = self.ledger.put_back(grant, used, now);
        self.ask_after(grant, made_room, now, wakes);
    }

    /// A grant came back: asks for those whom it may have been in the way of.
    #[inline(always)]
    fn ask_after(&mut self, grant: &Grant, made_room: bool, now: Timestamp, wakes: &mut Vec<W>) {
        if self.waiting == 0 {
            return;
        }
        if made_room {
            self.ask_room(grant.target(), now, wakes);
        }
        self.ask_for_key(grant.key(), now, wakes);
    }

    /// Says how many tokens a grant really used: see [`Ledger::settle`]. Before the grant comes back, lest what it frees goes to somebody
    /// younger than those who wait for tokens.
    pub fn settle(&mut self, grant: &mut Grant, tokens: u32, now: Timestamp, wakes: &mut Vec<W>) {
        if self.ledger.settle(grant, tokens, now) && self.waiting > 0 {
            self.ask_room(grant.target(), now, wakes);
            self.ask_for_key(grant.key(), now, wakes);
        }
    }

    /// The attempt of a grant got through and is over: its key and target are healthy, and it comes back.
    #[inline(always)]
    pub fn end_in_success(&mut self, grant: &mut Grant, now: Timestamp, wakes: &mut Vec<W>) {
        match self.ledger.end_as_expected(grant, now) {
            Some(made_room) => self.ask_after(grant, made_room, now, wakes),
            None => self.end_in_recovery(grant, now, wakes),
        }
    }

    fn end_in_recovery(&mut self, grant: &mut Grant, now: Timestamp, wakes: &mut Vec<W>) {
        if self.ledger.succeeded(grant, now) {
            self.ask_room(grant.target(), now, wakes);
        }
        self.put_back(grant, true, now, wakes);
    }

    /// What stands in the way of the first in line for this target, of those that any key would serve; `None` where none of them waits.
    pub fn waits_for(&mut self, target: TargetId, now: Timestamp) -> Option<WaitReason> {
        let need = self.rooms[target.index()].head(Binding::Any)?.arrival.need;
        Some(self.ledger.why_wait(target, need, Binding::Any, now))
    }

    fn too_late(
        &mut self,
        target: TargetId,
        arrival: &Arrival,
        ready_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Answer {
        let why = self.ledger.why_wait(target, arrival.need, arrival.binding, now);
        Answer::Refused(Refusal::TooLate { ready_at, why })
    }

    fn give_up(&mut self, target: TargetId, arrival: &Arrival, now: Timestamp, wakes: &mut Vec<W>) {
        let was_head = self.is_head(target, arrival);
        self.leave(target, arrival);
        if was_head {
            self.ask_room(target, now, wakes);
        }
    }

    fn must_queue(&self, target: TargetId, binding: Binding) -> bool {
        self.waiting > 0 && (self.rooms[target.index()].must_queue(binding) || self.is_contended(target))
    }

    /// Asks for every line of a room of which something may have changed that no key's event tells: a head, the time, its target's rate.
    /// All of them stand before anybody is served, lest a line that was not standing is overtaken.
    pub fn ask_room(&mut self, target: TargetId, now: Timestamp, wakes: &mut Vec<W>) {
        let Some(set) = self.ledger.set_of(target) else {
            while self.ask_head(target, Binding::Any, now, wakes) == Some(true) {}
            return;
        };
        if !self.rooms[target.index()].is_empty() {
            for binding in self.rooms[target.index()].lines() {
                self.stand(target, binding);
            }
        }
        // Also where nobody is left here: who was denied here may have kept the time for others.
        let near = self.ledger.sets_near(set);
        if near.iter().any(|set| !self.blocked[*set].is_empty()) {
            let near = near.to_vec();
            self.serve(&near, now, wakes);
        }
    }

    /// Asks for the lines that wait for a key of which something changed.
    pub fn ask_for_key(&mut self, key: Option<KeyId>, now: Timestamp, wakes: &mut Vec<W>) {
        let Some(key) = key else { return };
        let sets = self.ledger.sets_of(key);
        if sets.iter().any(|set| !self.blocked[*set].is_empty()) {
            let sets = sets.to_vec();
            self.serve(&sets, now, wakes);
        }
    }

    /// Serves the heads that wait for keys of these sets, the oldest ticket first whatever its target. Of a set in which one is
    /// denied that any key would serve, nobody else is asked: it keeps the time for those behind it.
    fn serve(&mut self, sets: &[usize], now: Timestamp, wakes: &mut Vec<W>) {
        let mut open: Vec<(usize, Option<Place>)> = sets.iter().map(|set| (*set, None)).collect();
        loop {
            let places = open.iter().enumerate();
            let places =
                places.filter_map(|(at, (set, after))| Some((next_place(&self.blocked[*set], *after)?, at)));
            let Some((place, at)) = places.min() else { return };
            let (_, target, binding) = place;
            if self.has_moved(place) {
                continue;
            }
            match self.ask_head(target, binding, now, wakes) {
                Some(true) => {}
                // Denied for its key, and so is everybody behind it.
                Some(false) if binding == Binding::Any && self.blocked[open[at].0].contains(&place) => {
                    open.swap_remove(at);
                }
                Some(false) | None => open[at].1 = Some(place),
            }
        }
    }

    /// Asks the ledger on behalf of the head of a line. Answers whether it was granted; `None` where there is nobody to ask for.
    fn ask_head(
        &mut self,
        target: TargetId,
        binding: Binding,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> Option<bool> {
        let Head { turn, arrival, seat } = self.rooms[target.index()].head(binding)?;
        let (arrival, noted) = (*arrival, seat.wait);
        match self.take(target, &arrival, now) {
            Take::Granted(grant) => {
                wakes.extend(self.leave(target, &arrival));
                self.granted.insert((target, arrival.ticket), grant);
                self.stand(target, binding);
                Some(true)
            }
            Take::Wait(wait) => {
                if wait.why.is_targets() {
                    self.unblock(target, turn, binding);
                }
                if noted != Some(wait)
                    && let Some(seat) = self.rooms[target.index()].seat_mut(&arrival)
                {
                    seat.wait = Some(wait);
                    wakes.push(seat.waker.clone());
                }
                Some(false)
            }
            // Checked on arrival; a limit that shrinks later leaves him to his deadline.
            Take::Never(_) => {
                self.unblock(target, turn, binding);
                Some(false)
            }
        }
    }

    /// Takes what an arrival needs; whoever gets it has been served.
    #[inline(always)]
    fn take(&mut self, target: TargetId, arrival: &Arrival, now: Timestamp) -> Take {
        let answer = self.ledger.take(target, arrival.need, arrival.binding, now);
        if matches!(answer, Take::Granted(_)) {
            self.fair.served(arrival.caller);
        }
        answer
    }

    /// Whether somebody stands where he no longer belongs, because his caller was served in another room; then he is moved.
    fn has_moved(&mut self, place: Place) -> bool {
        let (turn, target, binding) = place;
        self.rooms[target.index()].freshen(binding, &self.fair);
        let head = self.rooms[target.index()].head(binding).map(|head| head.turn);
        if head == Some(turn) {
            return false;
        }
        self.unblock(target, turn, binding);
        self.stand(target, binding);
        true
    }

    /// Lets the head of a line stand among those that wait for keys, until it is asked.
    fn stand(&mut self, target: TargetId, binding: Binding) {
        let head = self.rooms[target.index()].head(binding);
        if let (Some(Head { turn, .. }), Some(set)) = (head, self.ledger.set_of(target)) {
            self.blocked[set].insert((turn, target, binding));
        }
    }

    fn unblock(&mut self, target: TargetId, turn: Turn, binding: Binding) {
        if let Some(set) = self.ledger.set_of(target) {
            self.blocked[set].remove(&(turn, target, binding));
        }
    }

    /// Whether somebody waits for a key that this target could use.
    fn is_contended(&self, target: TargetId) -> bool {
        let near = self.ledger.set_of(target).map(|set| self.ledger.sets_near(set));
        near.is_some_and(|near| near.iter().any(|set| !self.blocked[*set].is_empty()))
    }

    /// Takes a seat. Where that makes somebody else second, what he waited for is no longer his to wait for, until he is first again and
    /// asks anew.
    fn join(&mut self, target: TargetId, arrival: Arrival, waker: W) {
        let room = &mut self.rooms[target.index()];
        let first = room.head(arrival.binding).map(|head| (head.turn, *head.arrival));
        let before = room.len();
        room.join(arrival, Seat { waker, wait: None }, &mut self.fair);
        self.waiting += room.len() - before;
        let Some((turn, second)) = first else { return };
        if room.head(arrival.binding).is_some_and(|head| head.turn == turn) {
            return;
        }
        if let Some(seat) = room.seat_mut(&second) {
            seat.wait = None;
        }
        self.unblock(target, turn, arrival.binding);
    }

    /// Leaves a room. Whoever is first now is asked by the caller.
    fn leave(&mut self, target: TargetId, arrival: &Arrival) -> Option<W> {
        let room = &mut self.rooms[target.index()];
        let first = room.head(arrival.binding).map(|head| head.turn);
        let left = room.leave(arrival, &mut self.fair).map(|seat| seat.waker);
        self.waiting -= usize::from(left.is_some());
        if let Some(turn) = first.filter(|turn| turn.ticket() == arrival.ticket) {
            self.unblock(target, turn, arrival.binding);
        }
        left
    }

    fn is_head(&self, target: TargetId, arrival: &Arrival) -> bool {
        let head = self.rooms[target.index()].head(arrival.binding);
        head.is_some_and(|head| head.turn.ticket() == arrival.ticket)
    }
}

fn next_place(places: &BTreeSet<Place>, after: Option<Place>) -> Option<Place> {
    use std::ops::Bound::{Excluded, Unbounded};
    match after {
        None => places.first().copied(),
        Some(place) => places.range((Excluded(place), Unbounded)).next().copied(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::key::KeyLimits;
    use super::super::ledger::Limits;
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

    fn arrival(ticket: u64, binding: Binding) -> Arrival {
        Arrival {
            ticket: Ticket(ticket),
            caller: Caller::default(),
            need: Need::ONE,
            binding,
            deadline: NOW + Duration::from_secs(60),
        }
    }

    fn granted(answer: Answer) -> Grant {
        match answer {
            Answer::Granted(grant) => grant,
            other => panic!("{other:?}"),
        }
    }

    fn slots(most: u32) -> Limits {
        Limits {
            max_concurrency: Some(most),
            ..Limits::default()
        }
    }

    /// A slot of a target and one of a key come back together; a younger call of another target waits for the key already.
    #[test]
    fn a_line_that_waited_for_its_target_is_not_overtaken_on_a_key() {
        let mut desk: Desk<u64> = Desk::default();
        let limits = KeyLimits {
            limits: slots(1),
            ..KeyLimits::default()
        };
        let keys = [desk.ledger_mut().add_key(limits)];
        let narrow = desk.add_target(&keys, slots(1), NOW);
        let wide = desk.add_target(&keys, None, NOW);
        let mut told = Vec::new();
        let mut held = granted(desk.arrive(narrow, &arrival(0, Binding::Any), &0, NOW, &mut told));
        for (ticket, target, binding) in [
            (1, narrow, Binding::Key(keys[0])),
            (2, narrow, Binding::Any),
            (3, wide, Binding::Any),
        ] {
            let answer = desk.arrive(target, &arrival(ticket, binding), &ticket, NOW, &mut told);
            assert!(matches!(answer, Answer::Wait(_)), "{answer:?}");
        }
        let mut order = Vec::new();
        for _ in 0..3 {
            told.clear();
            desk.put_back(&mut held, true, NOW, &mut told);
            let next = [
                (1, narrow, Binding::Key(keys[0])),
                (2, narrow, Binding::Any),
                (3, wide, Binding::Any),
            ];
            let mut next = next
                .into_iter()
                .filter(|(ticket, _, _)| desk.granted.keys().any(|(_, own)| own.0 == *ticket));
            let (ticket, target, binding) = next.next().expect("somebody is next");
            order.push(ticket);
            held = granted(desk.look_again(target, &arrival(ticket, binding), &ticket, NOW, &mut told));
        }
        assert_eq!(order, [1, 2, 3]);
    }

    fn with_tokens(ticket: u64, tokens: u32) -> Arrival {
        Arrival {
            need: Need { requests: 1, tokens },
            deadline: NOW + Duration::from_secs(10),
            ..arrival(ticket, Binding::Any)
        }
    }

    fn ten_thousand_a_minute(of_key: bool) -> (Desk<u64>, TargetId) {
        let mut desk: Desk<u64> = Desk::default();
        let tokens = Limits {
            tokens: Some(10_000),
            ..Limits::default()
        };
        let (of_key, of_target) = if of_key {
            (tokens, Limits::default())
        } else {
            (Limits::default(), tokens)
        };
        let limits = KeyLimits {
            limits: of_key,
            ..KeyLimits::default()
        };
        let key = desk.ledger_mut().add_key(limits);
        let target = desk.add_target(&[key], of_target, NOW);
        (desk, target)
    }

    #[test]
    fn l36_nobody_is_turned_away_for_tokens_that_others_may_turn_out_not_to_use() {
        for of_key in [false, true] {
            let (mut desk, target) = ten_thousand_a_minute(of_key);
            let mut told = Vec::new();
            let mut held = Vec::new();
            for ticket in 0..20 {
                match desk.arrive(target, &with_tokens(ticket, 4096), &ticket, NOW, &mut told) {
                    Answer::Granted(grant) => held.push(grant),
                    Answer::Wait(_) => {}
                    refused @ Answer::Refused(_) => panic!("{refused:?}"),
                }
            }
            assert_eq!(held.len(), 2);
            let mut next = 2;
            while let Some(mut grant) = held.pop() {
                desk.settle(&mut grant, 5, NOW, &mut told);
                desk.put_back(&mut grant, true, NOW, &mut told);
                while next < 20
                    && let Answer::Granted(grant) =
                        desk.look_again(target, &with_tokens(next, 4096), &next, NOW, &mut told)
                {
                    held.push(grant);
                    next += 1;
                }
            }
            assert_eq!(next, 20, "of key: {of_key}");
        }
    }

    #[test]
    fn o14_who_waits_for_tokens_that_were_used_after_all_is_told_at_once() {
        for of_key in [false, true] {
            let (mut desk, target) = ten_thousand_a_minute(of_key);
            let mut told = Vec::new();
            let first = with_tokens(0, 9000);
            let mut grant = granted(desk.arrive(target, &first, &0, NOW, &mut told));
            let second = with_tokens(1, 2000);
            let answer = desk.arrive(target, &second, &1, NOW, &mut told);
            assert!(matches!(answer, Answer::Wait(_)), "{answer:?}");
            desk.settle(&mut grant, 9000, NOW, &mut told);
            desk.put_back(&mut grant, true, NOW, &mut told);
            assert!(told.contains(&1), "of key: {of_key}");
            for answer in [
                desk.look_again(target, &second, &1, NOW, &mut told),
                desk.arrive(target, &with_tokens(2, 2000), &2, NOW, &mut told),
            ] {
                let too_late = matches!(answer, Answer::Refused(Refusal::TooLate { ready_at: Some(at), .. })
                    if at > NOW + Duration::from_secs(50));
                assert!(too_late, "of key: {of_key}: {answer:?}");
            }
        }
    }
}
