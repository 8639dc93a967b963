//! Burst and refill rate of a token bucket.

use std::fmt;

/// Steps per nanosecond. A token takes a whole number of steps, so that single charges add up exactly to one large charge.
pub(super) const STEPS_PER_NANO: u128 = 1_000_000;
const STEPS_PER_SECOND: f64 = 1e15;
/// A longer time to fill is a configuration error, and would leave the range in which sums are exact.
const MAX_STEPS_TO_FILL: u128 = 100 * 365 * 86_400 * 1_000_000_000 * STEPS_PER_NANO;
/// Factor by which a minute is stretched, so that requests sent evenly may arrive a little unevenly.
const MINUTE_GUARD: f64 = 1.002;

/// A burst of requests and a steady refill rate; both are above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    capacity: u32,
    pub(super) steps_per_token: u128,
}

/// Why a capacity and a rate do not make a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitError {
    /// The capacity is zero.
    NoCapacity,
    /// The rate is zero, negative, or not finite.
    BadRate,
    /// Filling the bucket once would take more than a hundred years.
    TooSlow,
}

impl RateLimit {
    /// Returns a rate limit of `capacity` requests at once and `per_second` requests per second.
    ///
    /// The rate is rounded down to whole steps of 10⁻¹⁵ s per request, so it is never exceeded. Fails if one of them is zero, the rate is not
    /// finite, or filling the bucket would take more than a hundred years.
    pub fn new(capacity: u32, per_second: f64) -> Result<Self, RateLimitError> {
        if capacity == 0 {
            return Err(RateLimitError::NoCapacity);
        }
        if !per_second.is_finite() || per_second <= 0.0 {
            return Err(RateLimitError::BadRate);
        }
        // `as` saturates, and such a rate is rejected below.
        let steps_per_token = ((STEPS_PER_SECOND / per_second).ceil() as u128).max(1);
        match u128::from(capacity).checked_mul(steps_per_token) {
            Some(fill) if fill <= MAX_STEPS_TO_FILL => Ok(Self {
                capacity,
                steps_per_token,
            }),
            _ => Err(RateLimitError::TooSlow),
        }
    }

    /// Returns a rate limit that admits at most `limit` requests in any 60 s, up to `burst` of them at once.
    ///
    /// Requests are paced over a minute that is 0.2 % longer, since they may arrive less evenly than they were sent. A larger burst lowers the
    /// rate accordingly. Fails if `limit` or `burst` is zero.
    pub fn per_minute(limit: u32, burst: u32) -> Result<Self, RateLimitError> {
        let burst = burst.min(limit);
        if burst == 0 {
            return Err(RateLimitError::NoCapacity);
        }
        Self::new(burst, f64::from(limit - burst + 1) / (60.0 * MINUTE_GUARD))
    }

    /// The largest burst of requests.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The refill rate in requests per second.
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

    /// Lowers the capacity to at most `burst`, at the same rate.
    pub(super) fn with_burst_at_most(self, burst: u32) -> Self {
        Self {
            capacity: self.capacity.min(burst),
            ..self
        }
    }

    pub(super) fn steps_for(&self, amount: u64) -> u128 {
        u128::from(amount) * self.steps_per_token
    }

    pub(super) fn steps_to_fill(&self) -> u128 {
        self.steps_for(u64::from(self.capacity))
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
    fn rate_is_never_rounded_up() {
        for rate in [0.5, 1.0, 3.0, 7.7, 1e9, 1e18] {
            assert!(
                RateLimit::new(10, rate).unwrap().per_second() <= rate * (1.0 + 1e-15),
                "{rate}"
            );
        }
    }
    #[test]
    fn burst_and_pace_of_a_minute_add_up_to_its_limit() {
        for limit in (1..2_000).chain([60_000, 1_000_000]) {
            for burst in [1, 2, 20, limit] {
                let rate_limit = RateLimit::per_minute(limit, burst).unwrap();
                let refilled = (rate_limit.per_second() * 60.0 * MINUTE_GUARD).round() as u32;
                assert_eq!(refilled + rate_limit.capacity() - 1, limit, "burst {burst}");
            }
        }
    }
}
