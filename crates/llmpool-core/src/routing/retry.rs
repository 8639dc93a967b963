//! How long to pause before another try.

use std::time::Duration;

/// The longest pause that backing off alone leads to.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// How often a call may be tried again, and how long it pauses in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// Retries after the first attempt; 0 means one attempt.
    pub max_retries: u32,
    /// The longest first pause; it doubles from retry to retry, up to a minute.
    pub base: Duration,
}

impl Default for RetryPolicy {
    /// The origin's: 5 and one second.
    fn default() -> Self {
        Self {
            max_retries: 5,
            base: Duration::from_secs(1),
        }
    }
}

impl RetryPolicy {
    /// The pause before retry number `retry` (from 0): full jitter, anywhere between nothing and the doubled base, so
    /// that calls that failed together do not come back together.
    pub fn backoff(&self, retry: u32, chance: &mut SeededRng) -> Duration {
        let longest = self
            .base
            .saturating_mul(1 << retry.min(20))
            .min(LONGEST_BACKOFF.max(self.base));
        longest.mul_f64(chance.fraction())
    }
}

/// A source of chance that repeats itself from the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct SeededRng(u64);

impl SeededRng {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number of the sequence, evenly spread over `0.0..1.0`.
    pub fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // U06, O08
    #[test]
    fn pauses_are_spread_over_a_doubling_range_and_bounded() {
        let policy = RetryPolicy {
            max_retries: 9,
            base: Duration::from_secs(1),
        };
        let mut chance = SeededRng::new(7);
        for retry in 0..40 {
            let longest = Duration::from_secs(1 << retry.min(6)).min(LONGEST_BACKOFF);
            let pauses: Vec<_> = (0..200).map(|_| policy.backoff(retry, &mut chance)).collect();
            assert!(pauses.iter().all(|pause| *pause <= longest), "retry {retry}");
            assert!(pauses.iter().any(|pause| *pause < longest / 4), "retry {retry}");
            assert!(pauses.iter().any(|pause| *pause > longest / 2), "retry {retry}");
        }
    }

    #[test]
    fn a_long_base_is_kept() {
        let policy = RetryPolicy {
            max_retries: 1,
            base: Duration::from_secs(300),
        };
        let mut chance = SeededRng::new(1);
        assert!((0..100).any(|_| policy.backoff(0, &mut chance) > Duration::from_secs(60)));
    }
}
