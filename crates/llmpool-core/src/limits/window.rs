//! So many in any span of time, without remembering every one of them.
//!
//! A span is cut into pieces, and a piece counts as long as any part of it lies within the last span. So the cap errs by at most one
//! piece towards "later", never towards "more". What was counted can be corrected afterwards, as long as it counts at all.
//!
//! Always true: what was charged in any span is at most `most`, charges beyond it (a correction upwards) apart; those are debt and keep
//! everything out until they have left the span.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use crate::time::Timestamp;

const SECOND: u64 = 1_000_000_000;

/// How long a window looks back, and in which pieces it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Grain {
    piece: u64,
    /// Pieces in which a span may lie.
    pieces: u64,
}

/// A minute, with a 500th on top so that what was sent evenly may arrive a little unevenly.
const MINUTE: Grain = Grain {
    piece: SECOND / 4,
    pieces: 240 + 1 + 1,
};
const DAY: Grain = Grain {
    piece: 15 * 60 * SECOND,
    pieces: 96 + 1,
};

/// A cap on what may be taken in any minute or day. Reads no clock; a `now` earlier than one seen before only makes it more careful.
#[derive(Clone, Debug)]
pub struct Window {
    most: u32,
    grain: Grain,
    taken: u64,
    /// Pieces in which something was taken, oldest first.
    pieces: VecDeque<Segment>,
    /// Nothing is counted in an earlier piece: what was counted before a reset is not to be taken for what came after it.
    first: u64,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u64,
    taken: u64,
}

/// Where something was counted, to correct it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// One more than the number of its piece.
    piece: NonZeroU64,
}

impl Window {
    /// At most `most` in any 60 s.
    pub fn minute(most: u32) -> Self {
        Self::new(most, MINUTE)
    }

    /// At most `most` in any 24 hours.
    pub fn day(most: u32) -> Self {
        Self::new(most, DAY)
    }

    fn new(most: u32, grain: Grain) -> Self {
        Self {
            most,
            grain,
            taken: 0,
            pieces: VecDeque::new(),
            first: 0,
        }
    }

    /// The cap.
    pub fn most(&self) -> u32 {
        self.most
    }

    /// Changes the cap. What was taken stays taken.
    pub fn set_most(&mut self, most: u32) {
        self.most = most;
    }

    /// What can be taken now.
    pub fn available(&self, now: Timestamp) -> u32 {
        let gone = self
            .pieces
            .iter()
            .take_while(|piece| self.end_of(piece.number) <= now);
        let taken = self.taken - gone.map(|piece| piece.taken).sum::<u64>();
        u32::try_from(u64::from(self.most).saturating_sub(taken)).unwrap_or(u32::MAX)
    }

    /// The earliest instant at which the last of `total` could have been taken, in pieces that each fit; `now` when all fit already,
    /// [`Timestamp::MAX`] where the cap is 0.
    pub fn ready_at(&self, total: u64, now: Timestamp) -> Timestamp {
        if self.most == 0 || total == 0 {
            return if total == 0 { now } else { Timestamp::MAX };
        }
        let most = u64::from(self.most);
        let spans = (total - 1) / most;
        let ready = self.room_for(total - spans * most, now);
        let span = self.grain.piece * (self.grain.pieces - 1);
        ready.saturating_add_nanos(spans.saturating_mul(span))
    }

    /// As [`ready_at`](Self::ready_at), should `free` of what was taken turn out not to be.
    pub fn ready_at_but_for(&self, free: u64, amount: u64, now: Timestamp) -> Timestamp {
        if amount > u64::from(self.most) {
            return Timestamp::MAX;
        }
        self.taken_down_to((u64::from(self.most) - amount).saturating_add(free), now)
    }

    fn room_for(&self, amount: u64, now: Timestamp) -> Timestamp {
        self.taken_down_to(u64::from(self.most) - amount, now)
    }

    /// When no more than this counts of what was taken.
    fn taken_down_to(&self, rest: u64, now: Timestamp) -> Timestamp {
        if self.taken <= rest {
            return now;
        }
        let mut taken = self.taken;
        for piece in &self.pieces {
            taken -= piece.taken;
            if taken <= rest {
                return self.end_of(piece.number).max(now);
            }
        }
        now
    }

    /// Takes `amount` whether there is room or not.
    pub fn charge(&mut self, amount: u32, now: Timestamp) -> Counted {
        self.forget(now);
        // A clock that stepped back counts into the latest piece: more careful, and in order.
        let latest = self.pieces.back().map_or(self.first, |last| last.number);
        let number = (now.as_nanos() / self.grain.piece).max(latest);
        self.taken += u64::from(amount);
        match self.pieces.back_mut() {
            Some(last) if last.number == number => last.taken += u64::from(amount),
            _ => self.pieces.push_back(Segment {
                number,
                taken: u64::from(amount),
            }),
        }
        Counted {
            piece: NonZeroU64::MIN.saturating_add(number),
        }
    }

    /// Says that what was counted as `before` was really `amount`. Nothing happens when it no longer counts. Answers whether that made room.
    pub fn correct(&mut self, counted: Counted, before: u32, amount: u32) -> bool {
        let number = counted.piece.get() - 1;
        let found = self.pieces.binary_search_by_key(&number, |piece| piece.number);
        let Some(piece) = found.ok().and_then(|at| self.pieces.get_mut(at)) else {
            return false;
        };
        // Never below zero: where a limit went and came back meanwhile, `before` was counted in another window.
        let corrected = (piece.taken + u64::from(amount)).saturating_sub(u64::from(before));
        self.taken = self.taken + corrected - piece.taken;
        piece.taken = corrected;
        amount < before
    }

    /// What was counted in another window of the same span counts here too.
    pub fn merge(&mut self, other: &Self) {
        for piece in &other.pieces {
            self.taken += piece.taken;
            match self.pieces.binary_search_by_key(&piece.number, |own| own.number) {
                Ok(at) => self.pieces[at].taken += piece.taken,
                Err(at) => self.pieces.insert(at, *piece),
            }
        }
    }

    /// Counts from nothing again.
    pub fn reset(&mut self) {
        if let Some(latest) = self.pieces.back() {
            self.first = latest.number + 1;
        }
        self.taken = 0;
        self.pieces.clear();
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some(oldest) = self.pieces.front() {
            if self.end_of(oldest.number) > now {
                return;
            }
            self.taken -= oldest.taken;
            self.pieces.pop_front();
        }
    }

    /// When nothing of a piece lies within the last span any more.
    fn end_of(&self, piece: u64) -> Timestamp {
        Timestamp::from_nanos(
            piece
                .saturating_add(self.grain.pieces)
                .saturating_mul(self.grain.piece),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const ONE_DAY: Duration = Duration::from_secs(86_400);
    const START: Timestamp = Timestamp::from_nanos(7 * DAY.piece + 5);

    #[test]
    fn what_was_counted_before_a_reset_is_not_given_back_after_it() {
        for mut window in [Window::day(10), Window::minute(10)] {
            let before = window.charge(10, START);
            window.reset();
            window.charge(10, START);
            assert!(!window.correct(before, 10, 0));
            assert_eq!(window.available(START), 0);
        }
    }

    // L08
    #[test]
    fn one_more_than_the_cap_waits_for_the_next_day() {
        let mut cap = Window::day(3);
        let counted = [0; 3].map(|_| {
            assert_eq!(cap.ready_at(1, START), START);
            cap.charge(1, START)
        });
        let ready = cap.ready_at(1, START);
        assert!(ready >= START + ONE_DAY && ready <= START + ONE_DAY + Duration::from_secs(900));
        assert_eq!(
            cap.ready_at(4, START),
            ready + ONE_DAY,
            "in no day more than three"
        );
        assert!(cap.correct(counted[0], 1, 0));
        assert_eq!((cap.ready_at(1, START), cap.available(START)), (START, 1));
        assert_eq!(Window::day(0).ready_at(1, START), Timestamp::MAX);
    }

    #[test]
    fn more_than_was_reserved_is_debt_and_is_paid_first() {
        let mut cap = Window::minute(100);
        let counted = cap.charge(60, START);
        assert!(!cap.correct(counted, 60, 150));
        assert_eq!(cap.available(START), 0);
        let ready = cap.ready_at(1, START);
        assert!(ready > START + Duration::from_secs(60) && ready < START + Duration::from_secs(61));
        assert!(!cap.correct(counted, 150, 150) && cap.correct(counted, 150, 10));
        assert_eq!(cap.available(START), 90);
    }

    #[test]
    fn what_has_left_the_span_is_not_corrected() {
        let mut cap = Window::minute(100);
        let old = cap.charge(60, START);
        let later = START + Duration::from_secs(70);
        cap.charge(1, later);
        assert!(!cap.correct(old, 60, 0));
        assert_eq!(cap.available(later), 99);
    }

    proptest! {
        /// In no span more than the cap, and whoever waits as told is served.
        #[test]
        fn so_many_in_a_span_and_no_more(
            most in 1_u32..30,
            day in any::<bool>(),
            steps in prop::collection::vec((0_u64..30_000, 1_u32..4, any::<bool>(), prop::option::of(0_u32..4)), 1..200),
        ) {
            let mut cap = if day { Window::day(most) } else { Window::minute(most) };
            let (span, unit) = if day { (ONE_DAY, 1000) } else { (Duration::from_secs(60), 1) };
            let (mut now, mut kept) = (START, Vec::new());
            for (pause, amount, wait, real) in steps {
                let amount = amount.min(most);
                now = now + Duration::from_millis(pause * unit);
                let ready = cap.ready_at(u64::from(amount), now);
                prop_assert_eq!(ready > now, cap.available(now) < amount);
                if ready > now && wait {
                    let early = ready - Duration::from_nanos(1);
                    prop_assert_eq!(cap.ready_at(u64::from(amount), early), ready);
                    now = ready;
                }
                if cap.ready_at(u64::from(amount), now) == now {
                    let counted = cap.charge(amount, now);
                    let real = real.map_or(amount, |real| real.min(amount));
                    prop_assert_eq!(cap.correct(counted, amount, real), real < amount);
                    kept.push((now, real));
                }
            }
            for (first, (from, _)) in kept.iter().enumerate() {
                let within = kept[first..].iter().filter(|(to, _)| to.since(*from) <= span);
                prop_assert!(within.map(|(_, amount)| *amount).sum::<u32>() <= most);
            }
            prop_assert!(cap.pieces.len() as u64 <= cap.grain.pieces);
        }
    }
}
