//! The rooms and the ledger of one provider together: who asks when, who is granted what, and who has to be told.
//!
//! Whoever changes something (returns a slot, refunds, changes a key's state) asks on behalf of the heads that this concerns, oldest turn
//! first across all targets that compete for the key. Nobody polls and nobody is told for nothing: `W` is what the shell keeps for each
//! seat, a waker in earnest, and `wakes` collects those of exactly the seats that were granted or have to wait for another time.
//!
//! Always true: a grant is in the granted list or was handed out, never both; only the first who is denied keeps a time for the ledger.

use std::collections::{BTreeMap, BTreeSet};

use super::demand::Demand;
use super::fairness::FairClocks;
use super::key::KeyId;
use super::limiter::{
    AcquireOutcome, Grant, KeyConstraint, Limiter, TargetId, TargetLimits, Unsatisfiable, Wait, WaitReason,
};
use super::wait_queue::{AcquireRequest, Caller, QueueHead, QueuePosition, Ticket, WaitQueue};
use crate::time::Timestamp;

/// The most that wait for one target.
pub const LONGEST_LINE: usize = 10_000;

/// One provider's rooms and ledger.
#[derive(Debug)]
pub struct Admission<W> {
    limiter: Limiter,
    /// One room for each target of the ledger.
    queues: Vec<WaitQueue<Waiter<W>>>,
    /// How many wait in all of them: with nobody waiting there is nobody to ask for.
    waiting: usize,
    /// Whose turn it is between callers, in all rooms.
    fair: FairClocks,
    /// For each set of keys, the heads that wait for one of them or have yet to be asked.
    blocked: Vec<BTreeSet<BlockedHead>>,
    /// Granted while waiting, and not yet picked up.
    granted: BTreeMap<(TargetId, Ticket), Grant>,
}

/// The head of a line among those that wait for keys.
type BlockedHead = (QueuePosition, TargetId, KeyConstraint);

#[derive(Debug)]
struct Waiter<W> {
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
pub enum AdmissionOutcome {
    /// Here it is.
    Granted(Grant),
    /// Not at all.
    Refused(Rejection),
    /// Worth asking again at this instant, his deadline at the latest, or when he is told.
    Wait(Timestamp),
}

/// Why somebody was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
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
    Unsatisfiable(Unsatisfiable),
}

impl<W> Default for Admission<W> {
    fn default() -> Self {
        Self {
            limiter: Limiter::new(),
            queues: Vec::new(),
            waiting: 0,
            fair: FairClocks::default(),
            blocked: Vec::new(),
            granted: BTreeMap::new(),
        }
    }
}

impl<W: Clone> Admission<W> {
    /// A desk with a room for each target of a ledger, in none of which anybody waits.
    pub fn over(limiter: Limiter) -> Self {
        let mut admission = Self::default();
        for target in limiter.target_ids() {
            admission.add_queue(limiter.set_of(target));
        }
        admission.limiter = limiter;
        admission
    }

    /// Reads the ledger.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Changes what concerns nobody who waits.
    pub fn limiter_mut(&mut self) -> &mut Limiter {
        &mut self.limiter
    }

    /// Adds a target with its room: see [`Limiter::add_target`].
    pub fn add_target(
        &mut self,
        keys: &[KeyId],
        limits: impl Into<TargetLimits>,
        now: Timestamp,
    ) -> TargetId {
        let target = self.limiter.add_target(keys, limits, now);
        self.add_queue(self.limiter.set_of(target));
        target
    }

    fn add_queue(&mut self, set: Option<usize>) {
        self.queues.push(WaitQueue::default());
        if let Some(set) = set.filter(|set| *set >= self.blocked.len()) {
            self.blocked.resize_with(set + 1, BTreeSet::new);
        }
    }

    /// How many wait for this target.
    pub fn waiting(&self, target: TargetId) -> usize {
        self.queues[target.index()].len()
    }

    /// The earliest instant at which somebody who arrives now could go: a lower bound.
    pub fn earliest(&mut self, target: TargetId, now: Timestamp) -> Timestamp {
        let last = AcquireRequest {
            ticket: Ticket(u64::MAX),
            caller: Caller::default(),
            demand: Demand::ONE,
            constraint: KeyConstraint::Any,
            deadline: Timestamp::MAX,
        };
        let ahead = self.queues[target.index()].ahead(&last);
        self.limiter
            .earliest(target, Demand::ONE, ahead, KeyConstraint::Any, now)
    }

    /// Takes a grant if one is to be had at once and nobody stands before.
    pub fn try_acquire(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        now: Timestamp,
    ) -> Option<Grant> {
        if self.must_queue(target, request.constraint) {
            return None;
        }
        match self.take(target, request, now) {
            AcquireOutcome::Granted(grant) => Some(grant),
            AcquireOutcome::Wait(_) | AcquireOutcome::Unsatisfiable(_) => None,
        }
    }

    /// Somebody arrives: he goes at once, or is turned away, or takes a seat.
    #[inline(always)]
    pub fn acquire(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        waker: &W,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> AdmissionOutcome {
        if !self.must_queue(target, request.constraint) {
            match self.take(target, request, now) {
                AcquireOutcome::Granted(grant) => return AdmissionOutcome::Granted(grant),
                AcquireOutcome::Unsatisfiable(why) => {
                    return AdmissionOutcome::Refused(Rejection::Unsatisfiable(why));
                }
                AcquireOutcome::Wait(_) => {}
            }
        }
        self.queue(target, request, waker, now, wakes)
    }

    /// He cannot go at once: he takes a seat, or is turned away.
    fn queue(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        waker: &W,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> AdmissionOutcome {
        if let Some(why) = self.limiter.never(target, request.demand, request.constraint) {
            return AdmissionOutcome::Refused(Rejection::Unsatisfiable(why));
        }
        let ahead = self.queues[target.index()].ahead(request);
        let earliest = self
            .limiter
            .earliest(target, request.demand, ahead, request.constraint, now);
        if earliest > request.deadline || now >= request.deadline {
            return self.too_late(target, request, Some(earliest), now);
        }
        if self.waiting(target) >= LONGEST_LINE {
            return AdmissionOutcome::Refused(Rejection::Full { ready_at: earliest });
        }
        self.join(target, *request, waker.clone());
        self.poll(target, request, waker, now, wakes)
    }

    /// Somebody who has a seat asks again: because he was told to, or because the time has come.
    pub fn poll(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        waker: &W,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> AdmissionOutcome {
        if self.is_head(target, request) && now < request.deadline {
            self.serve_target(target, now, wakes);
        }
        if let Some(grant) = self.granted.remove(&(target, request.ticket)) {
            return AdmissionOutcome::Granted(grant);
        }
        let waiter = self.queues[target.index()].waiter_mut(request);
        let wait = waiter.and_then(|waiter| {
            waiter.waker.clone_from(waker);
            // What is over was noted before somebody older kept the time for him.
            waiter.wait.filter(|wait| wait.until > now)
        });
        let hopeless = wait.is_some_and(|wait| !wait.slot && wait.until > request.deadline);
        if hopeless || now >= request.deadline {
            self.leave_queue(target, request, now, wakes);
            let ready_at = wait.filter(|wait| !wait.slot).map(|wait| wait.until);
            return self.too_late(target, request, ready_at, now);
        }
        let until = wait.map_or(request.deadline, |wait| wait.until.min(request.deadline));
        AdmissionOutcome::Wait(until)
    }

    /// Somebody who has a seat goes away; whatever he had been granted meanwhile comes back as if it had not been.
    pub fn cancel(&mut self, target: TargetId, request: &AcquireRequest, now: Timestamp, wakes: &mut Vec<W>) {
        match self.granted.remove(&(target, request.ticket)) {
            Some(mut grant) => self.release(&mut grant, false, now, wakes),
            None => self.leave_queue(target, request, now, wakes),
        }
    }

    /// Gives a grant back: see [`Limiter::release`].
    pub fn release(&mut self, grant: &mut Grant, used: bool, now: Timestamp, wakes: &mut Vec<W>) {
        let made_room = self.limiter.release(grant, used, now);
        self.ask_after(grant, made_room, now, wakes);
    }

    /// A grant came back: asks for those whom it may have been in the way of.
    #[inline(always)]
    fn ask_after(&mut self, grant: &Grant, made_room: bool, now: Timestamp, wakes: &mut Vec<W>) {
        if self.waiting == 0 {
            return;
        }
        if made_room {
            self.serve_target(grant.target(), now, wakes);
        }
        self.serve_key(grant.key(), now, wakes);
    }

    /// Says how many tokens a grant really used: see [`Limiter::settle`]. Before the grant comes back, lest what it frees goes to somebody
    /// younger than those who wait for tokens.
    pub fn settle(&mut self, grant: &mut Grant, tokens: u32, now: Timestamp, wakes: &mut Vec<W>) {
        if self.limiter.settle(grant, tokens, now) && self.waiting > 0 {
            self.serve_target(grant.target(), now, wakes);
            self.serve_key(grant.key(), now, wakes);
        }
    }

    /// The attempt of a grant got through and is over: its key and target are healthy, and it comes back.
    #[inline(always)]
    pub fn complete(&mut self, grant: &mut Grant, now: Timestamp, wakes: &mut Vec<W>) {
        match self.limiter.end_as_expected(grant, now) {
            Some(made_room) => self.ask_after(grant, made_room, now, wakes),
            None => self.complete_recovery(grant, now, wakes),
        }
    }

    fn complete_recovery(&mut self, grant: &mut Grant, now: Timestamp, wakes: &mut Vec<W>) {
        if self.limiter.succeeded(grant, now) {
            self.serve_target(grant.target(), now, wakes);
        }
        self.release(grant, true, now, wakes);
    }

    /// What stands in the way of the first in line for this target, of those that any key would serve; `None` where none of them waits.
    pub fn waits_for(&mut self, target: TargetId, now: Timestamp) -> Option<WaitReason> {
        let demand = self.queues[target.index()]
            .head(KeyConstraint::Any)?
            .request
            .demand;
        Some(self.limiter.why_wait(target, demand, KeyConstraint::Any, now))
    }

    fn too_late(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        ready_at: Option<Timestamp>,
        now: Timestamp,
    ) -> AdmissionOutcome {
        let why = self
            .limiter
            .why_wait(target, request.demand, request.constraint, now);
        AdmissionOutcome::Refused(Rejection::TooLate { ready_at, why })
    }

    fn leave_queue(
        &mut self,
        target: TargetId,
        request: &AcquireRequest,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) {
        let was_head = self.is_head(target, request);
        self.leave(target, request);
        if was_head {
            self.serve_target(target, now, wakes);
        }
    }

    fn must_queue(&self, target: TargetId, constraint: KeyConstraint) -> bool {
        self.waiting > 0 && (self.queues[target.index()].must_queue(constraint) || self.is_contended(target))
    }

    /// Asks for every line of a room of which something may have changed that no key's event tells: a head, the time, its target's rate.
    /// All of them stand before anybody is served, lest a line that was not standing is overtaken.
    pub fn serve_target(&mut self, target: TargetId, now: Timestamp, wakes: &mut Vec<W>) {
        let Some(set) = self.limiter.set_of(target) else {
            while self.serve_head(target, KeyConstraint::Any, now, wakes) == Some(true) {}
            return;
        };
        if !self.queues[target.index()].is_empty() {
            for constraint in self.queues[target.index()].lines() {
                self.stand(target, constraint);
            }
        }
        // Also where nobody is left here: who was denied here may have kept the time for others.
        let near = self.limiter.sets_near(set);
        if near.iter().any(|set| !self.blocked[*set].is_empty()) {
            let near = near.to_vec();
            self.serve(&near, now, wakes);
        }
    }

    /// Asks for the lines that wait for a key of which something changed.
    pub fn serve_key(&mut self, key: Option<KeyId>, now: Timestamp, wakes: &mut Vec<W>) {
        let Some(key) = key else { return };
        let sets = self.limiter.sets_of(key);
        if sets.iter().any(|set| !self.blocked[*set].is_empty()) {
            let sets = sets.to_vec();
            self.serve(&sets, now, wakes);
        }
    }

    /// Serves the heads that wait for keys of these sets, the oldest ticket first whatever its target. Of a set in which one is
    /// denied that any key would serve, nobody else is asked: it keeps the time for those behind it.
    fn serve(&mut self, sets: &[usize], now: Timestamp, wakes: &mut Vec<W>) {
        let mut open: Vec<(usize, Option<BlockedHead>)> = sets.iter().map(|set| (*set, None)).collect();
        loop {
            let places = open.iter().enumerate();
            let places =
                places.filter_map(|(at, (set, after))| Some((next_place(&self.blocked[*set], *after)?, at)));
            let Some((place, at)) = places.min() else { return };
            let (_, target, constraint) = place;
            if self.has_moved(place) {
                continue;
            }
            match self.serve_head(target, constraint, now, wakes) {
                Some(true) => {}
                // Denied for its key, and so is everybody behind it.
                Some(false)
                    if constraint == KeyConstraint::Any && self.blocked[open[at].0].contains(&place) =>
                {
                    open.swap_remove(at);
                }
                Some(false) | None => open[at].1 = Some(place),
            }
        }
    }

    /// Asks the ledger on behalf of the head of a line. Answers whether it was granted; `None` where there is nobody to ask for.
    fn serve_head(
        &mut self,
        target: TargetId,
        constraint: KeyConstraint,
        now: Timestamp,
        wakes: &mut Vec<W>,
    ) -> Option<bool> {
        let QueueHead {
            turn,
            request,
            waiter,
        } = self.queues[target.index()].head(constraint)?;
        let (request, noted) = (*request, waiter.wait);
        match self.take(target, &request, now) {
            AcquireOutcome::Granted(grant) => {
                wakes.extend(self.leave(target, &request));
                self.granted.insert((target, request.ticket), grant);
                self.stand(target, constraint);
                Some(true)
            }
            AcquireOutcome::Wait(wait) => {
                if wait.why.is_targets() {
                    self.unblock(target, turn, constraint);
                }
                if noted != Some(wait)
                    && let Some(waiter) = self.queues[target.index()].waiter_mut(&request)
                {
                    waiter.wait = Some(wait);
                    wakes.push(waiter.waker.clone());
                }
                Some(false)
            }
            // Checked on arrival; a limit that shrinks later leaves him to his deadline.
            AcquireOutcome::Unsatisfiable(_) => {
                self.unblock(target, turn, constraint);
                Some(false)
            }
        }
    }

    /// Takes what an arrival needs; whoever gets it has been served.
    #[inline(always)]
    fn take(&mut self, target: TargetId, request: &AcquireRequest, now: Timestamp) -> AcquireOutcome {
        let answer = self.limiter.take(target, request.demand, request.constraint, now);
        if matches!(answer, AcquireOutcome::Granted(_)) {
            self.fair.served(request.caller);
        }
        answer
    }

    /// Whether somebody stands where he no longer belongs, because his caller was served in another room; then he is moved.
    fn has_moved(&mut self, place: BlockedHead) -> bool {
        let (turn, target, constraint) = place;
        self.queues[target.index()].freshen(constraint, &self.fair);
        let head = self.queues[target.index()].head(constraint).map(|head| head.turn);
        if head == Some(turn) {
            return false;
        }
        self.unblock(target, turn, constraint);
        self.stand(target, constraint);
        true
    }

    /// Lets the head of a line stand among those that wait for keys, until it is asked.
    fn stand(&mut self, target: TargetId, constraint: KeyConstraint) {
        let head = self.queues[target.index()].head(constraint);
        if let (Some(QueueHead { turn, .. }), Some(set)) = (head, self.limiter.set_of(target)) {
            self.blocked[set].insert((turn, target, constraint));
        }
    }

    fn unblock(&mut self, target: TargetId, turn: QueuePosition, constraint: KeyConstraint) {
        if let Some(set) = self.limiter.set_of(target) {
            self.blocked[set].remove(&(turn, target, constraint));
        }
    }

    /// Whether somebody waits for a key that this target could use.
    fn is_contended(&self, target: TargetId) -> bool {
        let near = self.limiter.set_of(target).map(|set| self.limiter.sets_near(set));
        near.is_some_and(|near| near.iter().any(|set| !self.blocked[*set].is_empty()))
    }

    /// Takes a seat. Where that makes somebody else second, what he waited for is no longer his to wait for, until he is first again and
    /// asks anew.
    fn join(&mut self, target: TargetId, request: AcquireRequest, waker: W) {
        let queue = &mut self.queues[target.index()];
        let first = queue
            .head(request.constraint)
            .map(|head| (head.turn, *head.request));
        let before = queue.len();
        queue.join(request, Waiter { waker, wait: None }, &mut self.fair);
        self.waiting += queue.len() - before;
        let Some((turn, second)) = first else { return };
        if queue
            .head(request.constraint)
            .is_some_and(|head| head.turn == turn)
        {
            return;
        }
        if let Some(waiter) = queue.waiter_mut(&second) {
            waiter.wait = None;
        }
        self.unblock(target, turn, request.constraint);
    }

    /// Leaves a room. Whoever is first now is asked by the caller.
    fn leave(&mut self, target: TargetId, request: &AcquireRequest) -> Option<W> {
        let queue = &mut self.queues[target.index()];
        let first = queue.head(request.constraint).map(|head| head.turn);
        let left = queue.leave(request, &mut self.fair).map(|waiter| waiter.waker);
        self.waiting -= usize::from(left.is_some());
        if let Some(turn) = first.filter(|turn| turn.ticket() == request.ticket) {
            self.unblock(target, turn, request.constraint);
        }
        left
    }

    fn is_head(&self, target: TargetId, request: &AcquireRequest) -> bool {
        let head = self.queues[target.index()].head(request.constraint);
        head.is_some_and(|head| head.turn.ticket() == request.ticket)
    }
}

fn next_place(places: &BTreeSet<BlockedHead>, after: Option<BlockedHead>) -> Option<BlockedHead> {
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
    use super::super::limits::Limits;
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

    fn request(ticket: u64, constraint: KeyConstraint) -> AcquireRequest {
        AcquireRequest {
            ticket: Ticket(ticket),
            caller: Caller::default(),
            demand: Demand::ONE,
            constraint,
            deadline: NOW + Duration::from_secs(60),
        }
    }

    fn granted(answer: AdmissionOutcome) -> Grant {
        match answer {
            AdmissionOutcome::Granted(grant) => grant,
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
        let mut admission: Admission<u64> = Admission::default();
        let limits = KeyLimits {
            limits: slots(1),
            ..KeyLimits::default()
        };
        let keys = [admission.limiter_mut().add_key(limits)];
        let narrow = admission.add_target(&keys, slots(1), NOW);
        let wide = admission.add_target(&keys, None, NOW);
        let mut told = Vec::new();
        let mut held =
            granted(admission.acquire(narrow, &request(0, KeyConstraint::Any), &0, NOW, &mut told));
        for (ticket, target, constraint) in [
            (1, narrow, KeyConstraint::Key(keys[0])),
            (2, narrow, KeyConstraint::Any),
            (3, wide, KeyConstraint::Any),
        ] {
            let answer = admission.acquire(target, &request(ticket, constraint), &ticket, NOW, &mut told);
            assert!(matches!(answer, AdmissionOutcome::Wait(_)), "{answer:?}");
        }
        let mut order = Vec::new();
        for _ in 0..3 {
            told.clear();
            admission.release(&mut held, true, NOW, &mut told);
            let next = [
                (1, narrow, KeyConstraint::Key(keys[0])),
                (2, narrow, KeyConstraint::Any),
                (3, wide, KeyConstraint::Any),
            ];
            let mut next = next
                .into_iter()
                .filter(|(ticket, _, _)| admission.granted.keys().any(|(_, own)| own.0 == *ticket));
            let (ticket, target, constraint) = next.next().expect("somebody is next");
            order.push(ticket);
            held = granted(admission.poll(target, &request(ticket, constraint), &ticket, NOW, &mut told));
        }
        assert_eq!(order, [1, 2, 3]);
    }

    fn with_tokens(ticket: u64, tokens: u32) -> AcquireRequest {
        AcquireRequest {
            demand: Demand { requests: 1, tokens },
            deadline: NOW + Duration::from_secs(10),
            ..request(ticket, KeyConstraint::Any)
        }
    }

    fn ten_thousand_a_minute(of_key: bool) -> (Admission<u64>, TargetId) {
        let mut admission: Admission<u64> = Admission::default();
        let tokens = Limits {
            tpm: Some(10_000),
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
        let key = admission.limiter_mut().add_key(limits);
        let target = admission.add_target(&[key], of_target, NOW);
        (admission, target)
    }

    // L36
    #[test]
    fn nobody_is_turned_away_for_tokens_that_others_may_turn_out_not_to_use() {
        for of_key in [false, true] {
            let (mut admission, target) = ten_thousand_a_minute(of_key);
            let mut told = Vec::new();
            let mut held = Vec::new();
            for ticket in 0..20 {
                match admission.acquire(target, &with_tokens(ticket, 4096), &ticket, NOW, &mut told) {
                    AdmissionOutcome::Granted(grant) => held.push(grant),
                    AdmissionOutcome::Wait(_) => {}
                    refused @ AdmissionOutcome::Refused(_) => panic!("{refused:?}"),
                }
            }
            assert_eq!(held.len(), 2);
            let mut next = 2;
            while let Some(mut grant) = held.pop() {
                admission.settle(&mut grant, 5, NOW, &mut told);
                admission.release(&mut grant, true, NOW, &mut told);
                while next < 20
                    && let AdmissionOutcome::Granted(grant) =
                        admission.poll(target, &with_tokens(next, 4096), &next, NOW, &mut told)
                {
                    held.push(grant);
                    next += 1;
                }
            }
            assert_eq!(next, 20, "of key: {of_key}");
        }
    }

    // O14
    #[test]
    fn who_waits_for_tokens_that_were_used_after_all_is_told_at_once() {
        for of_key in [false, true] {
            let (mut admission, target) = ten_thousand_a_minute(of_key);
            let mut told = Vec::new();
            let first = with_tokens(0, 9000);
            let mut grant = granted(admission.acquire(target, &first, &0, NOW, &mut told));
            let second = with_tokens(1, 2000);
            let answer = admission.acquire(target, &second, &1, NOW, &mut told);
            assert!(matches!(answer, AdmissionOutcome::Wait(_)), "{answer:?}");
            admission.settle(&mut grant, 9000, NOW, &mut told);
            admission.release(&mut grant, true, NOW, &mut told);
            assert!(told.contains(&1), "of key: {of_key}");
            for answer in [
                admission.poll(target, &second, &1, NOW, &mut told),
                admission.acquire(target, &with_tokens(2, 2000), &2, NOW, &mut told),
            ] {
                let too_late = matches!(answer, AdmissionOutcome::Refused(Rejection::TooLate { ready_at: Some(at), .. })
                    if at > NOW + Duration::from_secs(50));
                assert!(too_late, "of key: {of_key}: {answer:?}");
            }
        }
    }
}
