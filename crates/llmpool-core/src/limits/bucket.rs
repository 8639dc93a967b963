//! How much an endpoint may be used, and when it may be used again.
//!
//! Providers refill continuously and allow short bursts, so this is a bucket rather than a window: windows let twice the
//! limit through at their edge. It counts in integers, so "ready at t" is exact.
//!
//! What was taken can be given back, and then the bucket is as if it had never been taken. That is not the same as adding it
//! again: while it was missing, the bucket may have refilled what would otherwise have run over, and whoever used that has
//! used it up. So the bucket remembers how full it was between the takes, as far as anything could still be given back.
//!
//! Takes are numbered by whoever takes, so that one number serves for every bucket that an attempt is taken from. Numbers grow from one
//! change to the next; a bucket that nobody gives back to needs none.
//!
//! Always true: what was taken and kept in any span is at most `capacity + rate * span`, resets apart.

use std::collections::VecDeque;

use super::rate_limit::{RateLimit, STEPS_PER_NANO};
use crate::time::Timestamp;

/// More older peaks than this are merged, the oldest first: what was taken before them may come back short, never long.
const MOST_PEAKS: usize = 64;

/// A token in parts, for carrying a fraction of one from a quota to another.
const PARTS: u128 = 1 << 20;

/// Far beyond any time there is, and far enough from the end of the range for sums.
const MOST_STEPS: u128 = 1 << 124;

/// A bucket of whole tokens. Starts full. Reads no clock: every answer is relative to the caller's `now`, and a `now`
/// earlier than one seen before only makes it more careful.
#[derive(Clone, Debug)]
pub struct Bucket {
    quota: RateLimit,
    /// Steps of all that was taken and kept.
    kept: i128,
    /// How full it was before the latest take.
    latest: Peak,
    /// And before older ones. Only those are here that no later one exceeds: the first decides now, a later one would after older takes
    /// were given back.
    older: VecDeque<Peak>,
}

/// How full a bucket was before a take, as the time of the take less what had been kept by then.
#[derive(Clone, Copy, Debug)]
struct Peak {
    turn: u64,
    height: i128,
}

/// Why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It can be taken at this instant, if nobody takes anything before.
    Until(Timestamp),
    /// It can never be taken: it is more than the bucket holds.
    Never {
        /// The most that can be taken at once.
        capacity: u32,
    },
}

impl Bucket {
    /// A full bucket. What was taken before it came, up to `turn`, cannot be given back to it.
    pub fn new(quota: RateLimit, turn: u64) -> Self {
        Self {
            quota,
            kept: 0,
            latest: Peak { turn, height: 0 },
            older: VecDeque::new(),
        }
    }

    /// What the bucket holds and how fast it refills.
    pub fn quota(&self) -> &RateLimit {
        &self.quota
    }

    /// Takes `amount`, or says when it could be taken. Never waits; takes nothing when it denies.
    pub fn take(&mut self, amount: u32, turn: u64, now: Timestamp) -> Result<(), Denied> {
        self.check(amount, now)?;
        self.charge(amount, turn, now);
        Ok(())
    }

    /// Whether `amount` could be taken now, without taking it.
    pub fn check(&self, amount: u32, now: Timestamp) -> Result<(), Denied> {
        if self.has(amount, now) {
            return Ok(());
        }
        let capacity = self.quota.capacity();
        Err(if amount > capacity {
            Denied::Never { capacity }
        } else {
            Denied::Until(self.ready_at(u64::from(amount), now))
        })
    }

    /// Whether `amount` is there.
    #[inline(always)]
    pub fn has(&self, amount: u32, now: Timestamp) -> bool {
        let (full_at, now) = (self.full_at(), steps_at(now));
        if full_at <= now {
            return amount <= self.quota.capacity();
        }
        // Compared in steps: at the end of time every instant would look like now.
        full_at + self.quota.steps_for(u64::from(amount)) <= now + self.quota.steps_to_fill()
    }

    /// The earliest instant at which the last of `total` tokens could have been taken, if they are taken as early as
    /// possible in pieces that each fit; `now` when they all fit already.
    pub fn ready_at(&self, total: u64, now: Timestamp) -> Timestamp {
        timestamp_at(self.ready_step(total, now)).max(now)
    }

    fn ready_step(&self, total: u64, now: Timestamp) -> u128 {
        let full_at = self.full_at().max(steps_at(now)) + self.quota.steps_for(total);
        full_at.saturating_sub(self.quota.steps_to_fill())
    }

    /// Takes `amount` whether it is there or not: what is missing becomes debt, and is paid before anything else.
    #[inline(always)]
    pub fn charge(&mut self, amount: u32, turn: u64, now: Timestamp) {
        self.peak(turn, steps_at(now).cast_signed() - self.kept);
        self.kept += self.steps_for(amount);
    }

    /// Gives back what was taken at a turn: the bucket is then as if it had not been.
    pub fn refund(&mut self, amount: u32, turn: u64) {
        let steps = self.steps_for(amount);
        self.kept -= steps;
        if self.latest.turn <= turn {
            return;
        }
        let later = self.older.partition_point(|peak| peak.turn <= turn);
        for peak in self.older.range_mut(later..) {
            peak.height += steps;
        }
        self.latest.height += steps;
        let height = self.older.get(later).unwrap_or(&self.latest).height;
        let exceeded = self.older.range(..later).rev();
        let exceeded = exceeded.take_while(|peak| peak.height <= height).count();
        self.older.drain(later - exceeded..later);
    }

    /// Whole tokens that can be taken now; 0 while in debt.
    pub fn available(&self, now: Timestamp) -> u32 {
        let missing = self.full_at().saturating_sub(steps_at(now));
        let there = self.quota.steps_to_fill().saturating_sub(missing) / self.quota.steps_per_token();
        u32::try_from(there).unwrap_or(u32::MAX)
    }

    /// Fills the bucket. What was taken before stays taken.
    pub fn reset(&mut self, turn: u64) {
        self.begin(turn, -self.kept);
    }

    /// Lets at most `most` be there now.
    pub fn leave(&mut self, most: u32, turn: u64, now: Timestamp) {
        let there = self.available(now);
        if there > most {
            self.charge(there - most, turn, now);
        }
    }

    /// Another quota from now on. What is there stays there as far as the new capacity goes, what is missing stays missing in tokens, and
    /// nothing of what was taken before can be given back.
    pub fn set_quota(&mut self, quota: RateLimit, turn: u64, now: Timestamp) {
        if quota == self.quota {
            return;
        }
        let missing = self.full_at().saturating_sub(steps_at(now));
        let missing = missing
            .saturating_mul(PARTS)
            .div_ceil(self.quota.steps_per_token());
        let grown = u128::from(quota.capacity().saturating_sub(self.quota.capacity())) * PARTS;
        let shrunk = u128::from(self.quota.capacity().saturating_sub(quota.capacity())) * PARTS;
        let missing = (missing.saturating_add(grown)).saturating_sub(shrunk);
        let missing = missing.saturating_mul(quota.steps_per_token()).div_ceil(PARTS);
        self.quota = quota;
        self.kept = 0;
        let full_at = steps_at(now).saturating_add(missing).min(MOST_STEPS);
        self.begin(turn, full_at.cast_signed());
    }

    /// The instant, in steps since the origin, at which the bucket would be full if nobody took anything more.
    #[inline(always)]
    fn full_at(&self) -> u128 {
        let height = self.older.front().unwrap_or(&self.latest).height;
        u128::try_from(height + self.kept).unwrap_or(0)
    }

    fn begin(&mut self, turn: u64, height: i128) {
        self.older.clear();
        self.latest = Peak { turn, height };
    }

    #[inline(always)]
    fn peak(&mut self, turn: u64, height: i128) {
        if height < self.latest.height {
            self.keep_latest();
        } else {
            while self.older.back().is_some_and(|last| last.height <= height) {
                self.older.pop_back();
            }
        }
        self.latest = Peak { turn, height };
    }

    fn keep_latest(&mut self) {
        self.older.push_back(self.latest);
        if self.older.len() > MOST_PEAKS
            && let Some(oldest) = self.older.pop_front()
            && let Some(next) = self.older.front_mut()
        {
            next.height = oldest.height;
        }
    }

    fn steps_for(&self, amount: u32) -> i128 {
        self.quota.steps_for(u64::from(amount)).cast_signed()
    }
}

fn steps_at(at: Timestamp) -> u128 {
    u128::from(at.as_nanos()) * STEPS_PER_NANO
}

/// Rounded up, so that at the answered instant the tokens are really there.
fn timestamp_at(steps: u128) -> Timestamp {
    Timestamp::from_nanos(u64::try_from(steps.div_ceil(STEPS_PER_NANO)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const START: Timestamp = Timestamp::from_nanos(5_000_000_000);

    /// A bucket whose takes are numbered one by one.
    #[derive(Clone)]
    struct Numbered {
        bucket: Bucket,
        turn: u64,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Taken {
        turn: u64,
        amount: u32,
    }

    impl std::ops::Deref for Numbered {
        type Target = Bucket;

        fn deref(&self) -> &Bucket {
            &self.bucket
        }
    }

    impl Numbered {
        fn new(quota: RateLimit) -> Self {
            Self {
                bucket: Bucket::new(quota, 0),
                turn: 0,
            }
        }

        fn turn(&mut self) -> u64 {
            self.turn += 1;
            self.turn
        }

        fn take(&mut self, amount: u32, now: Timestamp) -> Result<Taken, Denied> {
            let turn = self.turn();
            self.bucket.take(amount, turn, now)?;
            Ok(Taken { turn, amount })
        }

        fn charge(&mut self, amount: u32, now: Timestamp) -> Taken {
            let turn = self.turn();
            self.bucket.charge(amount, turn, now);
            Taken { turn, amount }
        }

        fn refund(&mut self, taken: Taken) {
            self.bucket.refund(taken.amount, taken.turn);
        }

        fn reset(&mut self) {
            let turn = self.turn();
            self.bucket.reset(turn);
        }

        fn set_quota(&mut self, quota: RateLimit, now: Timestamp) {
            let turn = self.turn();
            self.bucket.set_quota(quota, turn, now);
        }

        fn leave(&mut self, most: u32, now: Timestamp) {
            let turn = self.turn();
            self.bucket.leave(most, turn, now);
        }
    }

    fn bucket(capacity: u32, rate: f64) -> Numbered {
        Numbered::new(RateLimit::new(capacity, rate).unwrap())
    }

    #[test]
    fn a_burst_of_single_takes_costs_as_much_as_one_big_take() {
        let mut singles = bucket(3, 3.0);
        for _ in 0..3 {
            assert!(singles.take(1, START).is_ok());
        }
        let mut whole = bucket(3, 3.0);
        assert!(whole.take(3, START).is_ok());
        assert_eq!(singles.take(1, START), whole.take(1, START));
    }

    #[test]
    fn a_denied_bucket_is_ready_exactly_when_it_said() {
        let mut bucket = bucket(5, 10.0);
        assert!(bucket.take(5, START).is_ok());
        let Err(Denied::Until(ready)) = bucket.take(2, START) else {
            panic!("an empty bucket admits nothing")
        };
        assert_eq!(ready, START + Duration::from_millis(200));
        let mut early = bucket.clone();
        assert_eq!(
            early.take(2, ready - Duration::from_nanos(1)),
            Err(Denied::Until(ready))
        );
        assert!(bucket.take(2, ready).is_ok());
    }

    // U09
    #[test]
    fn more_than_the_capacity_is_refused_at_once() {
        assert_eq!(bucket(5, 10.0).take(6, START), Err(Denied::Never { capacity: 5 }));
    }

    // U09, O14
    #[test]
    fn a_clock_that_steps_back_gives_no_tokens_and_takes_none() {
        let mut bucket = bucket(2, 1.0);
        assert!(bucket.take(2, START).is_ok());
        assert_eq!(
            bucket.take(1, Timestamp::ZERO),
            Err(Denied::Until(START + Duration::from_secs(1)))
        );
        assert_eq!(bucket.available(START + Duration::from_secs(1)), 1);
    }

    #[test]
    fn debt_is_paid_before_anything_else() {
        let mut bucket = bucket(4, 2.0);
        let taken = bucket.charge(6, START);
        assert_eq!(bucket.available(START), 0);
        assert_eq!(
            bucket.take(1, START),
            Err(Denied::Until(START + Duration::from_millis(1500)))
        );
        bucket.refund(taken);
        assert_eq!(bucket.available(START), 4);
    }

    #[test]
    fn what_was_regained_while_it_was_missing_is_not_given_back_too() {
        let mut bucket = bucket(2, 2.0);
        let missing = bucket.take(1, START).unwrap();
        let later = START + Duration::from_millis(500);
        assert!(bucket.take(2, later).is_ok(), "it was full again");
        bucket.refund(missing);
        assert_eq!(
            bucket.available(later),
            0,
            "three at once would be more than the capacity"
        );
    }

    #[test]
    fn a_reset_is_not_outdone_by_what_comes_back_afterwards() {
        let mut bucket = bucket(3, 1.0);
        let taken = bucket.take(3, START).unwrap();
        bucket.reset();
        assert!(bucket.take(2, START).is_ok());
        bucket.refund(taken);
        assert_eq!(bucket.available(START), 1);
    }

    #[test]
    fn at_the_end_of_time_nothing_extra_is_admitted() {
        let mut bucket = bucket(2, 1.0);
        let late = Timestamp::MAX - Duration::from_nanos(1);
        assert!(bucket.take(2, late).is_ok());
        assert_eq!(bucket.take(1, late), Err(Denied::Until(Timestamp::MAX)));
    }

    // L35, L38
    #[test]
    fn another_quota_keeps_the_balance() {
        let mut same = bucket(10, 1.0);
        same.take(7, START).unwrap();
        same.set_quota(RateLimit::new(10, 1.0).unwrap(), START);
        assert_eq!(same.available(START), 3);
        same.set_quota(RateLimit::new(100, 5.0).unwrap(), START);
        assert_eq!(same.available(START), 3, "more capacity is no burst");
        assert_eq!(
            same.available(START + Duration::from_secs(1)),
            8,
            "the new rate holds at once"
        );
        same.set_quota(RateLimit::new(2, 0.5).unwrap(), START);
        assert_eq!(same.available(START), 2, "no more than the new capacity");
        let mut indebted = bucket(4, 2.0);
        let taken = indebted.charge(6, START);
        indebted.set_quota(RateLimit::new(4, 1.0).unwrap(), START);
        assert_eq!(
            indebted.take(1, START),
            Err(Denied::Until(START + Duration::from_secs(3)))
        );
        indebted.refund(taken);
        assert_eq!(
            indebted.take(1, START),
            Err(Denied::Until(START + Duration::from_secs(3)))
        );
    }

    #[test]
    fn after_a_pause_there_is_one() {
        let mut bucket = bucket(10, 1.0);
        bucket.leave(1, START);
        assert_eq!(bucket.available(START), 1);
        bucket.leave(1, START);
        assert!(bucket.take(1, START).is_ok() && bucket.take(1, START).is_err());
    }

    #[test]
    fn small_numbers_exhaustively() {
        // Every sequence of three takes from every small bucket: no more than it holds, ready exactly when it said, and later is never less.
        for (capacity, rate, step) in [(1, 1), (1, 3), (2, 1), (2, 2), (3, 1)]
            .into_iter()
            .flat_map(|(capacity, rate)| [0, 250, 333, 1000].map(|step| (capacity, rate, step)))
        {
            for amounts in (0..64_u32).map(|code| [code % 4, code / 4 % 4, code / 16]) {
                let mut bucket = bucket(capacity, f64::from(rate));
                let mut taken = 0;
                for (at, amount) in amounts.into_iter().enumerate() {
                    let now = START + Duration::from_millis(step * at as u64);
                    let there = bucket.available(now);
                    assert!(there <= capacity && bucket.available(now + Duration::from_millis(10)) >= there);
                    match bucket.take(amount, now) {
                        Ok(_) => taken += amount,
                        Err(Denied::Never { .. }) => assert!(amount > capacity),
                        Err(Denied::Until(ready)) => {
                            assert!(amount > there && bucket.available(ready) >= amount);
                            assert!(bucket.available(ready - Duration::from_nanos(1)) < amount);
                        }
                    }
                    let passed = step * at as u64 * u64::from(rate as u32) / 1000;
                    assert!(u64::from(taken) <= u64::from(capacity) + passed);
                }
            }
        }
    }

    proptest! {
        /// Whatever the numbers, up to the ends of their types: no overflow, never more than the law allows, and time only gives.
        #[test]
        fn any_integers_at_all(
            capacity in 1_u32..,
            rate in prop_oneof![1e-3_f64..1e3, 1e3_f64..1e18],
            steps in prop::collection::vec((any::<u64>(), any::<u32>(), 0_u8..5), 1..40),
        ) {
            let Ok(quota) = RateLimit::new(capacity, rate) else { return Ok(()) };
            let mut bucket = Numbered::new(quota);
            let (mut now, mut spent) = (Timestamp::ZERO, 0_u128);
            for (pause, amount, what) in steps {
                now = now.saturating_add_nanos(pause >> (pause % 64));
                let amount = amount >> (amount % 32);
                let there = bucket.available(now);
                prop_assert!(there <= capacity && bucket.available(now.saturating_add_nanos(1)) >= there);
                match what {
                    0 => { bucket.charge(amount, now); spent += u128::from(amount); }
                    1 => { let taken = bucket.charge(amount, now); bucket.refund(taken); prop_assert_eq!(bucket.available(now), there); }
                    _ => match bucket.take(amount, now) {
                        Ok(_) => { prop_assert!(amount <= there); spent += u128::from(amount); }
                        Err(Denied::Never { .. }) => prop_assert!(amount > capacity),
                        Err(Denied::Until(ready)) => {
                            // In debt even nothing is denied.
                            prop_assert!((ready > now || now == Timestamp::MAX) && (amount > there || amount == 0));
                            if ready < Timestamp::MAX {
                                prop_assert!(bucket.check(amount, ready).is_ok());
                                prop_assert!(bucket.check(amount, ready - Duration::from_nanos(1)).is_err());
                            }
                        }
                    },
                }
                if bucket.available(now) > 0 {
                    let refilled = u128::from(now.as_nanos()) * STEPS_PER_NANO / quota.steps_per_token();
                    prop_assert!(spent <= u128::from(capacity) + refilled + 1);
                }
            }
        }

        /// A change of quota never brings more than either quota allows.
        // L35
        #[test]
        fn no_change_of_quota_is_a_burst(
            steps in prop::collection::vec((0_u64..500_000_000, 1_u32..3, prop::option::of((1_u32..6, 0.5_f64..10.0))), 1..80),
        ) {
            let mut bucket = bucket(3, 2.0);
            let (mut now, mut taken) = (START, Vec::new());
            let (mut most, mut fastest) = (3.0_f64, 2.0_f64);
            for (pause, amount, change) in steps {
                now = now.saturating_add_nanos(pause);
                if let Some((capacity, rate)) = change {
                    let there = bucket.available(now);
                    bucket.set_quota(RateLimit::new(capacity, rate).unwrap(), now);
                    prop_assert!(bucket.available(now) <= there && bucket.available(now) + 1 >= there.min(capacity));
                    (most, fastest) = (most.max(f64::from(capacity)), fastest.max(rate));
                }
                if bucket.take(amount, now).is_ok() {
                    taken.push((now, amount));
                }
            }
            for (first, &(from, _)) in taken.iter().enumerate() {
                let mut sum = 0_u32;
                for &(to, amount) in &taken[first..] {
                    sum += amount;
                    prop_assert!(f64::from(sum) <= most + fastest * to.since(from).as_secs_f64() + 1e-6);
                }
            }
        }

        /// The law of the module, for any sequence of takes.
        #[test]
        fn never_more_than_capacity_plus_rate_times_span(
            capacity in 1_u32..50,
            rate in 0.01_f64..1_000.0,
            steps in prop::collection::vec((0_u64..2_000_000_000, 1_u32..10), 1..200),
        ) {
            let mut bucket = bucket(capacity, rate);
            let mut now = START;
            let mut taken: Vec<(Timestamp, u32)> = Vec::new();
            for (pause, amount) in steps {
                now = now.saturating_add_nanos(pause);
                if bucket.take(amount, now).is_ok() {
                    taken.push((now, amount));
                }
            }
            for (first, &(from, _)) in taken.iter().enumerate() {
                let mut sum = 0_u64;
                for &(to, amount) in &taken[first..] {
                    sum += u64::from(amount);
                    let allowed = f64::from(capacity) + rate * to.since(from).as_secs_f64();
                    prop_assert!(sum as f64 <= allowed + 1e-6, "{sum} > {allowed}");
                }
            }
        }

        /// A denial is exact: nothing a nanosecond earlier, everything at the instant it named.
        #[test]
        fn ready_exactly_when_it_said(capacity in 1_u32..100, rate in 0.001_f64..1e6, first in 1_u32..100, then in 1_u32..100) {
            let mut bucket = bucket(capacity, rate);
            let _ = bucket.take(first.min(capacity), START);
            if let Err(Denied::Until(ready)) = bucket.take(then.min(capacity), START) {
                prop_assert!(bucket.check(then.min(capacity), ready - Duration::from_nanos(1)).is_err());
                prop_assert!(bucket.check(then.min(capacity), ready).is_ok());
            }
        }

        /// Given back in any order, the bucket is as if only the rest had ever been taken.
        #[test]
        fn a_refund_is_as_if_it_had_not_been_taken(
            capacity in 1_u32..8,
            rate in 0.5_f64..20.0,
            steps in prop::collection::vec((0_u64..600_000_000, 1_u32..3, prop::option::of(any::<prop::sample::Index>())), 1..60),
        ) {
            let mut bucket = bucket(capacity, rate);
            let mut now = START;
            let mut kept: Vec<(Timestamp, u32, Taken)> = Vec::new();
            for (pause, amount, back) in steps {
                now = now.saturating_add_nanos(pause);
                match back {
                    Some(which) if !kept.is_empty() => bucket.refund(kept.remove(which.index(kept.len())).2),
                    _ => kept.extend(bucket.take(amount, now).ok().map(|taken| (now, amount, taken))),
                }
                let mut rest = Numbered::new(*bucket.quota());
                for (at, amount, _) in &kept {
                    rest.charge(*amount, *at);
                }
                prop_assert_eq!(bucket.full_at().max(steps_at(now)), rest.full_at().max(steps_at(now)));
            }
        }

        /// However long the memory would have to be, it is short, and what is forgotten makes nothing more.
        #[test]
        fn a_forgotten_peak_costs_and_never_gives(steps in prop::collection::vec((0_u64..90_000_000, any::<prop::sample::Index>(), any::<bool>()), 200..400)) {
            let mut bucket = bucket(500, 10.0);
            let mut now = START;
            let mut kept: Vec<(Timestamp, Taken)> = Vec::new();
            for (pause, which, back) in steps {
                now = now.saturating_add_nanos(pause);
                if back && !kept.is_empty() {
                    bucket.refund(kept.remove(which.index(kept.len())).1);
                } else {
                    kept.extend(bucket.take(1, now).ok().map(|taken| (now, taken)));
                }
                prop_assert!(bucket.older.len() <= MOST_PEAKS);
            }
            let mut rest = Numbered::new(*bucket.quota());
            for (at, _) in &kept {
                rest.charge(1, *at);
            }
            prop_assert!(bucket.full_at().max(steps_at(now)) >= rest.full_at().max(steps_at(now)));
        }
    }
}
