//! How much an endpoint may be used, and when it may be used again.
//!
//! Providers refill continuously and allow short bursts, so this is a bucket rather than a window: windows let twice the
//! limit through at their edge. It counts in integers, so "ready at t" is exact.
//!
//! Always true: what `take` lets through in any span is at most `capacity + rate * span`, refunds and resets apart.

use super::quota::{Quota, STEPS_PER_NANO};
use crate::time::Timestamp;

/// A bucket of whole tokens. Starts full. Reads no clock: every answer is relative to the caller's `now`, and a `now`
/// earlier than one seen before only makes it more careful.
#[derive(Clone, Debug)]
pub struct Bucket {
    quota: Quota,
    /// The instant, in steps since the origin, at which the bucket would be full if nobody took anything more.
    full_at: u128,
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
    /// A full bucket.
    pub fn new(quota: Quota) -> Self {
        Self { quota, full_at: 0 }
    }

    /// What the bucket holds and how fast it refills.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Takes `amount`, or says when it could be taken. Never waits; takes nothing when it denies.
    pub fn take(&mut self, amount: u32, now: Timestamp) -> Result<(), Denied> {
        self.check(amount, now)?;
        self.charge(amount, now);
        Ok(())
    }

    /// Whether `amount` could be taken now, without taking it.
    pub fn check(&self, amount: u32, now: Timestamp) -> Result<(), Denied> {
        if amount > self.quota.capacity() {
            return Err(Denied::Never {
                capacity: self.quota.capacity(),
            });
        }
        let ready_at = self.ready_at(u64::from(amount), now);
        if ready_at > now {
            Err(Denied::Until(ready_at))
        } else {
            Ok(())
        }
    }

    /// The earliest instant at which the last of `total` tokens could have been taken, if they are taken as early as
    /// possible in pieces that each fit; `now` when they all fit already.
    pub fn ready_at(&self, total: u64, now: Timestamp) -> Timestamp {
        let full_at = self.full_at.max(steps_at(now)) + self.quota.steps_for(total);
        timestamp_at(full_at.saturating_sub(self.quota.steps_to_fill())).max(now)
    }

    /// Takes `amount` whether it is there or not: what is missing becomes debt, and is paid before anything else.
    pub fn charge(&mut self, amount: u32, now: Timestamp) {
        self.full_at = self.full_at.max(steps_at(now)) + self.quota.steps_for(u64::from(amount));
    }

    /// Gives `amount` back, at most up to the capacity.
    pub fn refund(&mut self, amount: u32) {
        self.full_at = self
            .full_at
            .saturating_sub(self.quota.steps_for(u64::from(amount)));
    }

    /// Whole tokens that can be taken now; 0 while in debt.
    pub fn available(&self, now: Timestamp) -> u32 {
        let missing = self.full_at.saturating_sub(steps_at(now));
        let there = self.quota.steps_to_fill().saturating_sub(missing) / self.quota.steps_per_token();
        u32::try_from(there).unwrap_or(u32::MAX)
    }

    /// Fills the bucket.
    pub fn reset(&mut self) {
        self.full_at = 0;
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

    fn bucket(capacity: u32, rate: f64) -> Bucket {
        Bucket::new(Quota::new(capacity, rate).unwrap())
    }

    #[test]
    fn a_burst_of_single_takes_costs_as_much_as_one_big_take() {
        let mut singles = bucket(3, 3.0);
        for _ in 0..3 {
            assert_eq!(singles.take(1, START), Ok(()));
        }
        let mut whole = bucket(3, 3.0);
        assert_eq!(whole.take(3, START), Ok(()));
        assert_eq!(singles.take(1, START), whole.take(1, START));
    }

    #[test]
    fn a_denied_bucket_is_ready_exactly_when_it_said() {
        let mut bucket = bucket(5, 10.0);
        assert_eq!(bucket.take(5, START), Ok(()));
        let Err(Denied::Until(ready)) = bucket.take(2, START) else {
            panic!("an empty bucket admits nothing")
        };
        assert_eq!(ready, START + Duration::from_millis(200));
        let mut early = bucket.clone();
        assert_eq!(
            early.take(2, ready - Duration::from_nanos(1)),
            Err(Denied::Until(ready))
        );
        assert_eq!(bucket.take(2, ready), Ok(()));
    }

    #[test]
    fn u09_more_than_the_capacity_is_refused_at_once() {
        assert_eq!(bucket(5, 10.0).take(6, START), Err(Denied::Never { capacity: 5 }));
    }

    #[test]
    fn u09_o14_a_clock_that_steps_back_gives_no_tokens_and_takes_none() {
        let mut bucket = bucket(2, 1.0);
        assert_eq!(bucket.take(2, START), Ok(()));
        assert_eq!(
            bucket.take(1, Timestamp::ZERO),
            Err(Denied::Until(START + Duration::from_secs(1)))
        );
        assert_eq!(bucket.available(START + Duration::from_secs(1)), 1);
    }

    #[test]
    fn debt_is_paid_before_anything_else_and_a_refund_stops_at_the_capacity() {
        let mut bucket = bucket(4, 2.0);
        bucket.charge(6, START);
        assert_eq!(bucket.available(START), 0);
        assert_eq!(
            bucket.take(1, START),
            Err(Denied::Until(START + Duration::from_millis(1500)))
        );
        bucket.refund(100);
        assert_eq!(bucket.available(START), 4);
    }

    #[test]
    fn at_the_end_of_time_nothing_extra_is_admitted() {
        let mut bucket = bucket(2, 1.0);
        let late = Timestamp::MAX - Duration::from_nanos(1);
        assert_eq!(bucket.take(2, late), Ok(()));
        assert_eq!(bucket.take(1, late), Err(Denied::Until(Timestamp::MAX)));
    }

    proptest! {
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
    }
}
