//! The retry policy of a call: the maximum number of retries, and the backoff before each retry.

use std::time::Duration;

use crate::seeded_rng::SeededRng;

/// The maximum backoff starts at [`RetryPolicy::base`] and doubles with each retry until it reaches this
/// duration. If `base` is longer, the maximum backoff is always `base`.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// How often a call retries after failures, and how long it backs off before each retry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The maximum number of retries of one call. After a failure that is blamed on the key, an attempt with
    /// a key that the call has not tried yet does not count as a retry. An attempt after a rate refusal does
    /// not count either, but is not made if this is 0. Default: 5.
    pub max_retries: u32,
    /// The maximum duration of the first backoff. This maximum doubles with each retry, up to one minute.
    /// Default: 1 s.
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
    /// Returns the backoff before a retry. `retry` is zero-based: 0 is the first retry.
    ///
    /// The backoff has full jitter, so that calls that failed together do not retry together. Its duration is
    /// random between zero and `base * 2^retry`, but at most one minute, or `base` if that is longer.
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
