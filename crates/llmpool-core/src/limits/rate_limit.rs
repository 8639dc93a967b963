//! How much may be used at once, and how fast it comes back.

use std::fmt;

/// Sub-nanosecond steps, so that the time for one token is a whole number and a burst of `capacity` single takes costs
/// exactly as much as one take of `capacity`.
pub(super) const STEPS_PER_NANO: u128 = 1_000_000;
const STEPS_PER_SECOND: f64 = 1e15;
/// A bucket that needs longer than this to fill is a typing mistake, and would leave the range in which sums are exact.
const LONGEST_FILL: u128 = 100 * 365 * 86_400 * 1_000_000_000 * STEPS_PER_NANO;

/// A burst of `capacity` and a steady rate; both above zero by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    capacity: u32,
    steps_per_token: u128,
}

/// Why a pair of capacity and rate is no quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitError {
    /// The capacity is zero: nothing could ever be taken.
    NoCapacity,
    /// The rate is zero, negative, or not a finite number.
    BadRate,
    /// Filling the bucket once would take more than a hundred years.
    TooSlow,
}

/// By so much a minute is longer than its limit asks for.
const GUARD: f64 = 1.002;

impl RateLimit {
    /// A quota of `capacity` tokens at once, refilled at `per_second` tokens a second.
    ///
    /// The rate is rounded down to whole steps of a millionth of a nanosecond, so the quota is never exceeded.
    pub fn new(capacity: u32, per_second: f64) -> Result<Self, RateLimitError> {
        if capacity == 0 {
            return Err(RateLimitError::NoCapacity);
        }
        if !per_second.is_finite() || per_second <= 0.0 {
            return Err(RateLimitError::BadRate);
        }
        // `as` saturates, and an absurdly low rate is then refused below.
        let steps_per_token = ((STEPS_PER_SECOND / per_second).ceil() as u128).max(1);
        match u128::from(capacity).checked_mul(steps_per_token) {
            Some(fill) if fill <= LONGEST_FILL => Ok(Self {
                capacity,
                steps_per_token,
            }),
            _ => Err(RateLimitError::TooSlow),
        }
    }

    /// At most `most` in any 60 s as the other side sees it, up to `burst` of them at once.
    ///
    /// Paced rather than counted: the period is a 500th longer than the limit asks for, so that what was evenly sent may arrive
    /// a little unevenly. A larger burst lowers the rate by as much.
    pub fn per_minute(most: u32, burst: u32) -> Result<Self, RateLimitError> {
        let burst = burst.min(most);
        if burst == 0 {
            return Err(RateLimitError::NoCapacity);
        }
        Self::new(burst, f64::from(most - burst + 1) / (60.0 * GUARD))
    }

    /// The most that can be taken at once, in tokens.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Tokens that come back in a second.
    pub fn per_second(&self) -> f64 {
        STEPS_PER_SECOND / self.steps_per_token as f64
    }

    pub(super) fn steps_for(&self, amount: u64) -> u128 {
        u128::from(amount) * self.steps_per_token
    }

    pub(super) fn steps_to_fill(&self) -> u128 {
        self.steps_for(u64::from(self.capacity))
    }

    pub(super) fn steps_per_token(&self) -> u128 {
        self.steps_per_token
    }
}

impl fmt::Display for RateLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCapacity => "a capacity of 0 would never admit anything",
            Self::BadRate => "the refill rate must be a finite number above 0",
            Self::TooSlow => "filling this bucket once would take more than a hundred years",
        })
    }
}

impl std::error::Error for RateLimitError {}

#[cfg(test)]
mod tests {
    use super::*;

    // O15
    #[test]
    fn a_rate_that_never_refills_is_refused_instead_of_divided_by() {
        assert_eq!(RateLimit::new(0, 1.0), Err(RateLimitError::NoCapacity));
        for bad in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(RateLimit::new(1, bad), Err(RateLimitError::BadRate), "{bad}");
        }
        assert_eq!(RateLimit::new(1, 1e-12), Err(RateLimitError::TooSlow));
        assert_eq!(RateLimit::new(u32::MAX, 1e-3), Err(RateLimitError::TooSlow));
        assert_eq!(RateLimit::new(1, f64::MIN_POSITIVE), Err(RateLimitError::TooSlow));
    }

    #[test]
    fn a_rate_is_never_rounded_up() {
        for rate in [0.5, 1.0, 3.0, 7.7, 1e9, 1e18] {
            assert!(
                RateLimit::new(10, rate).unwrap().per_second() <= rate * (1.0 + 1e-15),
                "{rate}"
            );
        }
    }
}
