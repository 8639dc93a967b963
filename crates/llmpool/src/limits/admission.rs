//! The rooms and the ledger of one provider behind one lock, and the futures that wait in them.
//!
//! Nobody polls and nobody is woken for nothing: whoever changes something (returns a slot, refunds, changes a key's state)
//! asks on behalf of the heads that this concerns, oldest ticket first across all targets that compete for the key, and wakes
//! exactly those that were granted or have to wait for another time. Only the first who is denied keeps a timer for the
//! ledger; everybody has one for his deadline.
//!
//! Always true: a grant is held by exactly one of the granted list, a permit, or nobody; a future that is dropped anywhere
//! gives back what it had been granted. No lock is held across an await, and no waker is called under it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use llmpool_core::limits::fair::Fair;
use llmpool_core::limits::key::{KeyId, KeyLimits};
use llmpool_core::limits::learned::Sights;
use llmpool_core::limits::ledger::{
    Binding, Grant, GroupId, Ledger, Limits, Need, Never, Rest, Take, TargetId, TargetLimits, Undo, Wait,
    WaitReason,
};
use llmpool_core::limits::room::{Arrival, Caller, Head, Room, Ticket, Turn};
use llmpool_core::time::Timestamp;

use super::Permit;
use crate::clock::{self, Timer};

/// The most that wait for one target.
pub(crate) const LONGEST_LINE: usize = 10_000;

/// One provider's admission.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    state: Mutex<State>,
    last_ticket: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    /// One room for each target of the ledger.
    rooms: Vec<Room<Seat>>,
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
struct Seat {
    waker: Waker,
    /// What the ledger said when this seat was last at the head and asked.
    wait: Option<Wait>,
}

/// Why somebody was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// He could not be served before his deadline.
    TooLate {
        /// The earliest instant at which he could have gone, as far as it is known.
        ready_at: Option<Timestamp>,
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

impl Admission {
    pub(crate) fn add_key(&self, limits: KeyLimits) -> KeyId {
        self.lock().ledger.add_key(limits)
    }

    /// Every key, in the order in which they were added.
    pub(crate) fn key_ids(&self) -> Vec<KeyId> {
        self.lock().ledger.key_ids()
    }

    pub(crate) fn add_target(&self, keys: &[KeyId], limits: impl Into<TargetLimits>) -> TargetId {
        let mut state = self.lock();
        let target = state.ledger.add_target(keys, limits, clock::now());
        state.rooms.push(Room::default());
        if let Some(set) = state.ledger.set_of(target)
            && set >= state.blocked.len()
        {
            state.blocked.resize_with(set + 1, BTreeSet::new);
        }
        target
    }

    /// Makes one account of these keys.
    pub(crate) fn join_keys(&self, keys: &[KeyId], limits: Limits, learn: bool) -> GroupId {
        self.change(|state, now, wakes| {
            let group = state.ledger.join_keys(keys, limits, learn, now);
            state.ask_for_key(keys.first().copied(), now, wakes);
            group
        })
    }

    /// Takes a key out of use, or puts it back.
    pub(crate) fn set_enabled(&self, key: KeyId, enabled: bool) {
        self.change(|state, now, wakes| {
            state.ledger.set_enabled(key, enabled, now);
            state.ask_for_key(Some(key), now, wakes);
        });
    }

    /// Lets a key rest, as was known from an earlier run.
    pub(crate) fn set_resting(&self, key: KeyId, why: Rest, until: Timestamp) {
        self.change(|state, now, _| state.ledger.set_resting(key, why, until, now));
    }

    /// The next place in line.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.last_ticket.fetch_add(1, Ordering::Relaxed))
    }

    /// Reads the ledger.
    pub(crate) fn look<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        read(&self.lock().ledger)
    }

    /// The earliest instant at which somebody who arrives now could go.
    pub(crate) fn earliest(&self, target: TargetId) -> Timestamp {
        let mut state = self.lock();
        let last = Arrival {
            ticket: Ticket(u64::MAX),
            caller: Caller::default(),
            need: Need::ONE,
            binding: Binding::Any,
            deadline: Timestamp::MAX,
        };
        let mut total = state.rooms[target.index()].ahead(&last);
        total += Need::ONE;
        state.ledger.earliest(target, total, Binding::Any, clock::now())
    }

    /// How many wait for this target.
    pub(crate) fn waiting(&self, target: TargetId) -> usize {
        self.lock().rooms[target.index()].len()
    }

    /// Takes a permit if one is to be had at once and nobody stands before.
    pub(crate) fn try_enter(self: &Arc<Self>, target: TargetId, arrival: &Arrival) -> Option<Permit> {
        let mut state = self.lock();
        if state.rooms[target.index()].must_queue(arrival.binding) || state.is_contended(target) {
            return None;
        }
        match state.take(target, arrival, clock::now()) {
            Take::Granted(grant) => Some(Permit::new(self.clone(), grant)),
            Take::Wait(_) | Take::Never(_) => None,
        }
    }

    /// Waits for a permit. Dropping the future leaves the line and gives back whatever it had been granted.
    pub(crate) fn enter(self: &Arc<Self>, target: TargetId, arrival: Arrival) -> Enter {
        Enter {
            admission: self.clone(),
            target,
            arrival,
            queued: false,
            timer: Timer::default(),
        }
    }

    /// Fills the bucket of a target, and lets in who can go now.
    pub(crate) fn reset(&self, target: TargetId) {
        self.change(|state, now, wakes| {
            state.ledger.reset(target);
            state.ask_room(target, now, wakes);
        });
    }

    pub(super) fn put_back(&self, grant: &mut Grant, used: bool) {
        self.change(|state, now, wakes| state.put_back(grant, used, now, wakes));
    }

    pub(super) fn succeeded(&self, grant: &Grant) {
        self.change(|state, now, wakes| {
            if state.ledger.succeeded(grant, now) {
                state.ask_room(grant.target(), now, wakes);
                state.ask_for_key(grant.key(), now, wakes);
            }
        });
    }

    pub(super) fn settle(&self, grant: &mut Grant, tokens: u32) {
        self.change(|state, now, wakes| {
            if state.ledger.settle(grant, tokens, now) {
                state.ask_room(grant.target(), now, wakes);
                state.ask_for_key(grant.key(), now, wakes);
            }
        });
    }

    /// An answer said what is left of the limits.
    pub(super) fn observed(&self, grant: &Grant, sights: &Sights) {
        self.change(|state, now, _| state.ledger.observed(grant, sights, now));
    }

    /// The target failed.
    pub(super) fn target_failed(&self, grant: &Grant, pause: Option<std::time::Duration>) {
        self.change(|state, now, wakes| {
            state.ledger.target_failed(grant, pause, now);
            state.ask_room(grant.target(), now, wakes);
        });
    }

    /// A call begins.
    pub(crate) fn fresh_call(&self, target: TargetId) -> Ticket {
        self.lock().ledger.fresh_call(target, clock::now());
        self.ticket()
    }

    /// Spends one of the target's retries.
    pub(crate) fn spend_retry(&self, target: TargetId) -> bool {
        self.lock().ledger.spend_retry(target, clock::now())
    }

    pub(super) fn refused(
        &self,
        grant: &Grant,
        why: Rest,
        pause: Option<std::time::Duration>,
    ) -> Option<Undo> {
        self.change(|state, now, wakes| {
            let undo = state.ledger.refused(grant, why, pause, now);
            state.ask_for_key(grant.key(), now, wakes);
            undo
        })
    }

    /// Takes a refusal back.
    pub(crate) fn restore(&self, undo: Undo) {
        self.change(|state, now, wakes| {
            state.ledger.restore(undo, now);
            state.ask_for_key(Some(undo.key()), now, wakes);
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut State, Timestamp, &mut Vec<Waker>) -> T) -> T {
        let mut wakes = Vec::new();
        let answer = change(&mut self.lock(), clock::now(), &mut wakes);
        wakes.into_iter().for_each(Waker::wake);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete before anything in it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Serves a line of which something may have changed that no key's event tells: its head, the time, its target's rate.
    fn ask(&mut self, target: TargetId, binding: Binding, now: Timestamp, wakes: &mut Vec<Waker>) {
        let Some(set) = self.ledger.set_of(target) else {
            while self.ask_head(target, binding, now, wakes) == Some(true) {}
            return;
        };
        self.stand(target, binding);
        let near = self.ledger.sets_near(set);
        if near.iter().any(|set| !self.blocked[*set].is_empty()) {
            let near = near.to_vec();
            self.serve(&near, now, wakes);
        }
    }

    /// Every line of a room: something that all of them use came back.
    fn ask_room(&mut self, target: TargetId, now: Timestamp, wakes: &mut Vec<Waker>) {
        if self.rooms[target.index()].is_empty() {
            return;
        }
        for binding in self.rooms[target.index()].lines() {
            self.ask(target, binding, now, wakes);
        }
    }

    /// The lines that wait for a key of which something changed.
    fn ask_for_key(&mut self, key: Option<KeyId>, now: Timestamp, wakes: &mut Vec<Waker>) {
        let Some(key) = key else { return };
        let sets = self.ledger.sets_of(key);
        if sets.iter().any(|set| !self.blocked[*set].is_empty()) {
            let sets = sets.to_vec();
            self.serve(&sets, now, wakes);
        }
    }

    /// Serves the heads that wait for keys of these sets, the oldest ticket first whatever its target. Of a set in which one is
    /// denied that any key would serve, nobody else is asked: it keeps the time for those behind it.
    fn serve(&mut self, sets: &[usize], now: Timestamp, wakes: &mut Vec<Waker>) {
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
        wakes: &mut Vec<Waker>,
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
    fn take(&mut self, target: TargetId, arrival: &Arrival, now: Timestamp) -> Take {
        let answer = self.ledger.take(target, arrival.need, arrival.binding, now);
        if matches!(answer, Take::Granted(_)) {
            self.fair.served(arrival.caller);
        }
        answer
    }

    fn put_back(&mut self, grant: &mut Grant, used: bool, now: Timestamp, wakes: &mut Vec<Waker>) {
        if self.ledger.put_back(grant, used, now) {
            self.ask_room(grant.target(), now, wakes);
        }
        self.ask_for_key(grant.key(), now, wakes);
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
    fn join(&mut self, target: TargetId, arrival: Arrival, waker: Waker) {
        let room = &mut self.rooms[target.index()];
        let first = room.head(arrival.binding).map(|head| (head.turn, *head.arrival));
        room.join(arrival, Seat { waker, wait: None }, &self.fair);
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
    fn leave(&mut self, target: TargetId, arrival: &Arrival) -> Option<Waker> {
        let room = &mut self.rooms[target.index()];
        let first = room.head(arrival.binding).map(|head| head.turn);
        let left = room.leave(arrival, &self.fair).map(|seat| seat.waker);
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

/// Waits in a room until granted, refused, or dropped.
#[derive(Debug)]
pub(crate) struct Enter {
    admission: Arc<Admission>,
    target: TargetId,
    arrival: Arrival,
    queued: bool,
    timer: Timer,
}

impl Future for Enter {
    type Output = Result<Permit, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let Poll::Ready(answer) = this.look(cx) {
                return Poll::Ready(answer);
            }
            if this.timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Enter {
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Refusal>> {
        let admission = self.admission.clone();
        let mut wakes = Vec::new();
        let answer = {
            let mut state = admission.lock();
            let now = clock::now();
            if self.queued {
                self.look_again(&mut state, now, cx, &mut wakes)
            } else {
                self.arrive(&mut state, now, cx, &mut wakes)
            }
        };
        wakes.into_iter().for_each(Waker::wake);
        answer
    }

    fn arrive(
        &mut self,
        state: &mut State,
        now: Timestamp,
        cx: &mut Context<'_>,
        wakes: &mut Vec<Waker>,
    ) -> Poll<Result<Permit, Refusal>> {
        let arrival = self.arrival;
        let room = &state.rooms[self.target.index()];
        if !room.must_queue(arrival.binding) && !state.is_contended(self.target) {
            match state.take(self.target, &arrival, now) {
                Take::Granted(grant) => return self.granted(grant),
                Take::Never(why) => return Poll::Ready(Err(Refusal::Never(why))),
                Take::Wait(_) => {}
            }
        }
        if let Some(why) = state.ledger.never(self.target, arrival.need, arrival.binding) {
            return Poll::Ready(Err(Refusal::Never(why)));
        }
        let mut total = state.rooms[self.target.index()].ahead(&arrival);
        total += arrival.need;
        let earliest = state.ledger.earliest(self.target, total, arrival.binding, now);
        if earliest > arrival.deadline || now >= arrival.deadline {
            return self.too_late(state, Some(earliest), now);
        }
        if state.rooms[self.target.index()].len() >= LONGEST_LINE {
            return Poll::Ready(Err(Refusal::Full { ready_at: earliest }));
        }
        state.join(self.target, arrival, cx.waker().clone());
        self.queued = true;
        self.look_again(state, now, cx, wakes)
    }

    fn look_again(
        &mut self,
        state: &mut State,
        now: Timestamp,
        cx: &mut Context<'_>,
        wakes: &mut Vec<Waker>,
    ) -> Poll<Result<Permit, Refusal>> {
        let Arrival {
            ticket,
            binding,
            deadline,
            ..
        } = self.arrival;
        if state.is_head(self.target, &self.arrival) && now < deadline {
            state.ask(self.target, binding, now, wakes);
        }
        if let Some(grant) = state.granted.remove(&(self.target, ticket)) {
            self.queued = false;
            return self.granted(grant);
        }
        let seat = state.rooms[self.target.index()].seat_mut(&self.arrival);
        let wait = seat.and_then(|seat| {
            seat.waker.clone_from(cx.waker());
            // What is over was noted before somebody older kept the time for him.
            seat.wait.filter(|wait| wait.until > now)
        });
        let hopeless = wait.is_some_and(|wait| !wait.slot && wait.until > deadline);
        if hopeless || now >= deadline {
            self.give_up(state, now, wakes);
            return self.too_late(state, wait.filter(|wait| !wait.slot).map(|wait| wait.until), now);
        }
        self.timer
            .set(wait.map_or(deadline, |wait| wait.until.min(deadline)));
        Poll::Pending
    }

    fn granted(&self, grant: Grant) -> Poll<Result<Permit, Refusal>> {
        Poll::Ready(Ok(Permit::new(self.admission.clone(), grant)))
    }

    fn too_late(
        &self,
        state: &mut State,
        ready_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Poll<Result<Permit, Refusal>> {
        let Arrival { need, binding, .. } = self.arrival;
        let why = state.ledger.why_wait(self.target, need, binding, now);
        Poll::Ready(Err(Refusal::TooLate { ready_at, why }))
    }

    fn give_up(&mut self, state: &mut State, now: Timestamp, wakes: &mut Vec<Waker>) {
        let was_head = state.is_head(self.target, &self.arrival);
        state.leave(self.target, &self.arrival);
        self.queued = false;
        if was_head {
            state.ask(self.target, self.arrival.binding, now, wakes);
        }
    }
}

impl Drop for Enter {
    fn drop(&mut self) {
        if !self.queued {
            return;
        }
        let admission = self.admission.clone();
        admission.change(|state, now, wakes| {
            match state.granted.remove(&(self.target, self.arrival.ticket)) {
                Some(mut grant) => state.put_back(&mut grant, false, now, wakes),
                None => self.give_up(state, now, wakes),
            }
        });
    }
}
