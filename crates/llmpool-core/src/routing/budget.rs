//! The retry budget of a target: a bound on the retries of all calls to the target together.
//!
//! If every call retried several times, a failing provider would receive a multiple of its usual load. All
//! calls to a target therefore share one budget. Each new call adds a fifth of a retry to the budget, each
//! successful attempt adds half a retry, and each second adds half a retry.
//!
//! Invariant: in any span of `s` seconds, the number of retries is at most
//! `10 + calls / 5 + successes / 2 + s / 2`. Here, `calls` and `successes` are counted from 20 seconds before
//! the span to its end. (A success counts at the time of the latest call or retry, rounded down to a multiple
//! of 10 s.)

use std::time::Duration;

use crate::time::Timestamp;

// The following amounts are in thousandths of a retry.
const PER_RETRY: u64 = 1000;
const RESERVE: u64 = 10 * PER_RETRY;
const PER_CALL: u64 = 200;
const PER_SUCCESS: u64 = 500;
const PER_SECOND: u64 = 500;

/// The length of an interval of the budget. Retries that a call or success adds to the budget expire at the
/// end of the next interval, 10 to 20 s later.
const INTERVAL: Duration = Duration::from_secs(10);

/// The retries that are left for all calls to a target together.
#[derive(Clone, Debug, Default)]
pub struct RetryBudget {
    /// The retries that were spent and have not been refilled, in thousandths of a retry.
    spent: u64,
    /// The time up to which the steady refill ([`PER_SECOND`]) has been taken into account.
    refilled_at: Timestamp,
    /// The retries that calls and successes added to the budget in the current interval and in the interval
    /// before it, in thousandths of a retry.
    earned: [u64; 2],
    /// The zero-based number of the current interval, counted from [`Timestamp::ZERO`].
    interval: u64,
}

impl RetryBudget {
    /// Records a new call, which adds a fifth of a retry to the budget. A retry is not a new call.
    pub fn record_call(&mut self, now: Timestamp) {
        self.advance_to(now);
        self.earned[0] += PER_CALL;
    }

    /// Records a successful attempt, which adds half a retry to the budget. The success counts at the time of
    /// the latest call or retry, because this function does not receive the current time.
    pub fn record_success(&mut self) {
        self.earned[0] += PER_SUCCESS;
    }

    /// Spends one retry if at least one is left. Returns whether a retry was spent.
    pub fn try_spend(&mut self, now: Timestamp) -> bool {
        self.advance_to(now);
        let millis = now.since(self.refilled_at).as_millis() as u64;
        let refill = millis.saturating_mul(PER_SECOND) / 1000;
        if refill > 0 {
            self.refilled_at = now;
        }
        self.spent = self.spent.saturating_sub(refill);
        let is_left = self.spent + PER_RETRY <= RESERVE + self.earned[0] + self.earned[1];
        self.spent += if is_left { PER_RETRY } else { 0 };
        is_left
    }

    /// Lets the retries expire that were earned before the interval that precedes the current one. Those that
    /// were spent are taken from the oldest first.
    fn advance_to(&mut self, now: Timestamp) {
        let interval = now.as_nanos() / INTERVAL.as_nanos() as u64;
        for _ in 0..interval.saturating_sub(self.interval).min(2) {
            let [current, expired] = self.earned;
            self.spent = self.spent.saturating_sub(expired);
            self.earned = [0, current];
        }
        self.interval = self.interval.max(interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn idle_target_starts_with_ten_retries() {
        let mut budget = RetryBudget::default();
        assert!((0..10).all(|_| budget.try_spend(Timestamp::ZERO)) && !budget.try_spend(Timestamp::ZERO));
        assert!(budget.try_spend(Timestamp::ZERO + Duration::from_secs(2)));
    }

    #[test]
    fn each_call_earns_a_fifth_of_a_retry() {
        let mut budget = RetryBudget::default();
        (0..400).for_each(|_| budget.record_call(Timestamp::ZERO));
        let spent = (0..400).filter(|_| budget.try_spend(Timestamp::ZERO)).count();
        assert_eq!(spent, 10 + 80);
    }

    #[test]
    fn each_success_earns_half_a_retry() {
        let mut budget = RetryBudget::default();
        (0..400).for_each(|_| budget.record_success());
        let spent = (0..400).filter(|_| budget.try_spend(Timestamp::ZERO)).count();
        assert_eq!(spent, 10 + 200);
    }

    #[test]
    fn earned_retries_expire_at_the_end_of_the_next_interval() {
        for (at, expected) in [(5, 30), (15, 30), (25, 10), (35, 10)] {
            let mut budget = RetryBudget::default();
            let now = Timestamp::ZERO + Duration::from_secs(5);
            (0..100).for_each(|_| budget.record_call(now));
            let now = Timestamp::ZERO + Duration::from_secs(at);
            let spent = (0..400).filter(|_| budget.try_spend(now)).count();
            assert_eq!(spent, expected, "at {at} s");
        }
    }

    #[test]
    fn spent_retries_expire_with_those_earned() {
        let mut budget = RetryBudget::default();
        let now = Timestamp::ZERO + Duration::from_secs(5);
        (0..100).for_each(|_| budget.record_call(now));
        let mut spend = |now| (0..400).filter(|_| budget.try_spend(now)).count();
        assert_eq!(spend(now), 30);
        assert_eq!(spend(now + Duration::from_secs(20)), 10);
    }

    #[test]
    fn refill_adds_up_however_often_the_budget_is_asked() {
        let mut budget = RetryBudget::default();
        assert!((0..10).all(|_| budget.try_spend(Timestamp::ZERO)));
        let spent = |millis: &u64| budget.try_spend(Timestamp::ZERO + Duration::from_millis(*millis));
        assert!((1..=6000).filter(spent).eq([2000, 4000, 6000]));
    }

    proptest! {
        /// The invariant in the documentation of this module.
        #[test]
        fn retries_never_exceed_the_earned_share(steps in prop::collection::vec((0_u64..3000, 0_u8..6), 1..300)) {
            let mut budget = RetryBudget::default();
            let mut now = Timestamp::from_nanos(7_000_000_000);
            let (mut calls, mut successes, mut spent) = (Vec::new(), Vec::new(), Vec::new());
            for (pause, step) in steps {
                now = now + Duration::from_millis(if step == 0 { pause } else { 0 });
                if step == 1 {
                    budget.record_call(now);
                    calls.push(now);
                } else if step == 2 {
                    budget.record_success();
                    successes.push(now);
                } else if budget.try_spend(now) {
                    spent.push(now);
                }
            }
            for (first, &from) in spent.iter().enumerate() {
                for (last, &to) in spent.iter().enumerate().skip(first) {
                    let count = |log: &[Timestamp]| log.iter().filter(|at| **at + INTERVAL * 2 >= from && **at <= to).count() as f64;
                    let allowed = 10.0 + 0.2 * count(&calls) + 0.5 * count(&successes) + 0.5 * to.since(from).as_secs_f64();
                    prop_assert!((last - first + 1) as f64 <= allowed + 1e-6);
                }
            }
        }
    }
}
