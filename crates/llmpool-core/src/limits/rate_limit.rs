//! Burst and refill rate of a token bucket.

use std::fmt;

/// Number of steps per nanosecond. A step is the unit in which token buckets measure time. A token refills in
/// a whole number of steps, so that many single charges add up exactly to one large charge.
pub(super) const STEPS_PER_NANO: u128 = 1_000_000;
const STEPS_PER_SECOND: f64 = 1e15;
/// Maximum time to fill an empty bucket, in steps: 100 years. A longer time is a configuration error, and
/// sums of such times could overflow.
pub(super) const MAX_STEPS_TO_FILL: u128 = 100 * 365 * 86_400 * 1_000_000_000 * STEPS_PER_NANO;

/// Settings of a token bucket: the maximum burst in requests, and the refill rate. Both are above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub(super) capacity: u32,
    pub(super) steps_per_token: u128,
}

/// Why a [`RateLimit`] cannot be created from a capacity and a refill rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitError {
    /// The capacity (the maximum burst) is 0, so no request would ever be admitted.
    NoCapacity,
    /// The refill rate is 0, negative or not finite.
    BadRate,
    /// Filling the empty bucket would take more than a hundred years.
    TooSlow,
}

impl RateLimit {
    /// Returns a rate limit that admits up to `capacity` requests at once and refills at `per_second`
    /// requests per second.
    ///
    /// The time in which one request refills is rounded up to a multiple of 10⁻¹⁵ s, so that the given rate
    /// is never exceeded.
    ///
    /// Fails if `capacity` is 0, if `per_second` is not a finite number above 0, or if filling the empty
    /// bucket would take more than a hundred years.
    pub fn new(capacity: u32, per_second: f64) -> Result<Self, RateLimitError> {
        if capacity == 0 {
            return Err(RateLimitError::NoCapacity);
        }
        if !per_second.is_finite() || per_second <= 0.0 {
            return Err(RateLimitError::BadRate);
        }
        // Rates for which the cast saturates are rejected below.
        let steps_per_token = ((STEPS_PER_SECOND / per_second).ceil() as u128).max(1);
        match u128::from(capacity).checked_mul(steps_per_token) {
            Some(fill) if fill <= MAX_STEPS_TO_FILL => Ok(Self {
                capacity,
                steps_per_token,
            }),
            _ => Err(RateLimitError::TooSlow),
        }
    }

    /// Returns the maximum burst, in requests.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Returns the refill rate in requests per second.
    pub fn per_second(&self) -> f64 {
        let rate = STEPS_PER_SECOND / self.steps_per_token as f64;
        // Undoes the rounding of `new` for rates with few decimals, so that 0.3 is shown as 0.3.
        let rounded = (rate * 1e9).round() / 1e9;
        if (rounded - rate).abs() < rate * 1e-12 {
            rounded
        } else {
            rate
        }
    }

    pub(super) fn steps_for(&self, amount: u64) -> u128 {
        u128::from(amount) * self.steps_per_token
    }
}

impl fmt::Display for RateLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCapacity => "a capacity of 0 would never admit a request",
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
    fn rate_limit_without_refill_is_rejected() {
        assert_eq!(RateLimit::new(0, 1.0), Err(RateLimitError::NoCapacity));
        for bad in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(RateLimit::new(1, bad), Err(RateLimitError::BadRate), "{bad}");
        }
        assert_eq!(RateLimit::new(1, 1e-12), Err(RateLimitError::TooSlow));
        assert_eq!(RateLimit::new(u32::MAX, 1e-3), Err(RateLimitError::TooSlow));
        assert_eq!(RateLimit::new(1, f64::MIN_POSITIVE), Err(RateLimitError::TooSlow));
    }

    #[test]
    fn bucket_that_fills_in_a_hundred_years_is_accepted() {
        let hundred_years = 100 * 365 * 86_400;
        assert!(RateLimit::new(hundred_years, 1.0).is_ok());
        assert_eq!(
            RateLimit::new(hundred_years + 1, 1.0),
            Err(RateLimitError::TooSlow)
        );
    }

    #[test]
    fn rate_is_shown_as_it_was_given() {
        for rate in [0.1, 0.3, 0.7, 7.7, 1e-3, 12.5, 4e9] {
            assert_eq!(RateLimit::new(1, rate).unwrap().per_second(), rate);
        }
        for rate in [1.0 / 3.0, 2.0 / 7e5, 1.234_567_8e-9] {
            let shown = RateLimit::new(1, rate).unwrap().per_second();
            assert!((shown / rate - 1.0).abs() < 1e-14, "{shown}");
        }
    }

    #[test]
    fn error_says_what_is_wrong() {
        for (error, cause) in [
            (RateLimitError::NoCapacity, "capacity"),
            (RateLimitError::BadRate, "rate"),
            (RateLimitError::TooSlow, "hundred years"),
        ] {
            assert!(error.to_string().contains(cause), "{error}");
        }
    }

    #[test]
    fn rate_is_never_rounded_up() {
        for rate in [0.5, 1.0, 3.0, 7.7, 1e9, 1e18] {
            assert!(
                RateLimit::new(10, rate).unwrap().per_second() <= rate * (1.0 + 1e-15),
                "{rate}"
            );
        }
    }
}
