//! How many retries a target gets, whatever the calls behind them would like.
//!
//! A call may retry a few times; if all calls do, a provider that is down gets several times its usual load when it can bear it least. So
//! fresh calls earn retries for the whole target, a fifth of one each, and a lone caller gets one every two seconds. Answers earn half of one
//! each: where most attempts get through, nobody has to go without a second one.
//!
//! Always true: retries in any span are at most 10, a fifth of the fresh calls and half of the answers in it and in the 20 s before, and
//! half of its seconds. (Answers count in the span of 10 s in which the last call began or was tried again.)

use std::time::Duration;

use crate::time::Timestamp;

/// In thousandths of a retry.
const SOME: u64 = 10_000;
const PER_CALL: u64 = 200;
const PER_ANSWER: u64 = 500;
const PER_SECOND: u64 = 500;
/// What was earned is kept for one to two of these.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// The retries that a target has left.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    left: u64,
    at: Timestamp,
    /// Earned by calls and answers, in this span and in the one before.
    earned: [u64; 2],
    span: u64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            left: SOME,
            at: Timestamp::ZERO,
            earned: [0; 2],
            span: 0,
        }
    }
}

impl RetryBudget {
    /// A call begins that was not tried before.
    pub fn fresh_call(&mut self, now: Timestamp) {
        self.pass(now);
        self.earn(PER_CALL);
    }

    /// An attempt got through; it counts where the last call or retry did.
    pub fn answered(&mut self) {
        self.earn(PER_ANSWER);
    }

    fn earn(&mut self, more: u64) {
        self.earned[0] += more;
        self.left = (self.left + more).min(self.most());
    }

    /// Spends one retry, if there is one.
    pub fn spend(&mut self, now: Timestamp) -> bool {
        self.pass(now);
        let millis = now.since(self.at).as_millis() as u64;
        let regained = millis.saturating_mul(PER_SECOND) / 1000;
        if regained > 0 {
            self.at = now;
        }
        self.left = self.left.saturating_add(regained).min(self.most());
        let may = self.left >= 1000;
        self.left -= if may { 1000 } else { 0 };
        may
    }

    fn most(&self) -> u64 {
        SOME + self.earned[0] + self.earned[1]
    }

    fn pass(&mut self, now: Timestamp) {
        let span = now.as_nanos() / KEPT_FOR.as_nanos() as u64;
        if span > self.span {
            let before = if span == self.span + 1 { self.earned[0] } else { 0 };
            self.earned = [0, before];
            self.span = span;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_lone_call_may_use_up_all_its_retries() {
        let mut budget = RetryBudget::default();
        assert!((0..10).all(|_| budget.spend(Timestamp::ZERO)) && !budget.spend(Timestamp::ZERO));
        assert!(budget.spend(Timestamp::ZERO + Duration::from_secs(2)));
    }

    #[test]
    fn of_a_crowd_a_fifth_may_try_again() {
        let mut budget = RetryBudget::default();
        (0..400).for_each(|_| budget.fresh_call(Timestamp::ZERO));
        let spent = (0..400).filter(|_| budget.spend(Timestamp::ZERO)).count();
        assert_eq!(spent, 10 + 80);
    }

    proptest! {
        /// The law of the module.
        #[test]
        fn retries_stay_a_share_of_fresh_calls(steps in prop::collection::vec((0_u64..3000, 0_u8..6), 1..300)) {
            let mut budget = RetryBudget::default();
            let mut now = Timestamp::from_nanos(7_000_000_000);
            let (mut fresh, mut answers, mut spent) = (Vec::new(), Vec::new(), Vec::new());
            for (pause, what) in steps {
                now = now + Duration::from_millis(if what == 0 { pause } else { 0 });
                if what == 1 {
                    budget.fresh_call(now);
                    fresh.push(now);
                } else if what == 2 {
                    budget.answered();
                    answers.push(now);
                } else if budget.spend(now) {
                    spent.push(now);
                }
            }
            for (first, &from) in spent.iter().enumerate() {
                for (last, &to) in spent.iter().enumerate().skip(first) {
                    let count = |log: &[Timestamp]| log.iter().filter(|at| **at + KEPT_FOR * 2 >= from && **at <= to).count() as f64;
                    let allowed = 10.0 + 0.2 * count(&fresh) + 0.5 * count(&answers) + 0.5 * to.since(from).as_secs_f64();
                    prop_assert!((last - first + 1) as f64 <= allowed + 1e-6);
                }
            }
        }
    }
}
