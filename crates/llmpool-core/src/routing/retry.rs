//! The retry policy: the maximum number of retries of a call, and the backoff before each retry.

use std::time::Duration;

use crate::seeded_rng::SeededRng;

/// The maximum to which the upper bound of the backoff grows. A longer [`RetryPolicy::base`] is not reduced to this maximum.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// The maximum number of retries of a call, and the backoff before each retry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The maximum number of retries after the first attempt; 0 means a single attempt. Default: 5.
    pub max_retries: u32,
    /// The upper bound of the first backoff. The upper bound doubles with each retry, up to one minute. Default: 1 s.
    pub base: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 5,
            base: Duration::from_secs(1),
        }
    }
}

impl RetryPolicy {
    /// Returns the backoff before the given zero-based retry.
    ///
    /// The backoff has full jitter, so that calls that failed together do not retry together: it is uniformly distributed between zero and
    /// `base * 2^retry`, or one minute if that is less. If `base` exceeds one minute, the upper bound is `base`.
    pub fn backoff(&self, retry: u32, rng: &mut SeededRng) -> Duration {
        let upper_bound = self
            .base
            .saturating_mul(1 << retry.min(20))
            .min(MAX_BACKOFF.max(self.base));
        upper_bound.mul_f64(rng.next_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // U06, O08
    #[test]
    fn backoff_is_jittered_and_doubles_up_to_the_maximum() {
        let policy = RetryPolicy {
            max_retries: 9,
            base: Duration::from_secs(1),
        };
        let mut rng = SeededRng::new(7);
        for retry in 0..40 {
            let upper_bound = Duration::from_secs(1 << retry.min(6)).min(MAX_BACKOFF);
            let backoffs: Vec<_> = (0..200).map(|_| policy.backoff(retry, &mut rng)).collect();
            assert!(
                backoffs.iter().all(|backoff| *backoff <= upper_bound),
                "retry {retry}"
            );
            assert!(
                backoffs.iter().any(|backoff| *backoff < upper_bound / 4),
                "retry {retry}"
            );
            assert!(
                backoffs.iter().any(|backoff| *backoff > upper_bound / 2),
                "retry {retry}"
            );
        }
    }

    #[test]
    fn base_longer_than_the_maximum_is_used() {
        let policy = RetryPolicy {
            max_retries: 1,
            base: Duration::from_secs(300),
        };
        let mut rng = SeededRng::new(1);
        assert!((0..100).any(|_| policy.backoff(0, &mut rng) > Duration::from_secs(60)));
    }
}
