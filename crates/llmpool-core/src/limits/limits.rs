//! The limits that an operator can configure.

use super::rate_limit::{RateLimit, RateLimitError};

/// Configured limits of one target, key or quota group. All limits that are not `None` apply at the same
/// time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Token bucket: the maximum burst of requests, and the refill rate in requests per second.
    pub rate_limit: Option<RateLimit>,
    /// Maximum number of requests in any 60 s. Requests are spread over the minute: a token bucket refills
    /// `rpm` requests per minute. Its capacity is a twentieth of `rpm`, but at least 3 and at least the
    /// capacity of `rate_limit`, and at most `rpm`. After the provider has refused a request because of a
    /// rate limit, the capacity is 1 for ten minutes.
    pub rpm: Option<u32>,
    /// Maximum number of model tokens in any 60 s, prompts and answers together.
    pub tpm: Option<u32>,
    /// Maximum number of requests in any 24 h.
    pub rpd: Option<u32>,
    /// Maximum number of attempts in flight at once.
    pub max_concurrency: Option<u32>,
}

/// Kind of limit, by what the limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitKind {
    /// A limit on the rate of requests, per second or per minute, and on the size of a burst.
    Requests,
    /// A limit on model tokens per minute.
    Tokens,
    /// A limit on requests per day.
    Day,
}

impl Limits {
    /// Returns the burst and refill rate at which requests are paced within the minute of `rpm`, or `None` if
    /// `rpm` is `None`. These alone do not ensure `rpm`: the burst adds to what refills in a minute.
    ///
    /// Fails if `rpm` is 0.
    pub fn per_minute_bucket(&self) -> Result<Option<RateLimit>, RateLimitError> {
        let Some(rpm) = self.rpm else { return Ok(None) };
        let configured = self.rate_limit.map_or(0, |rate_limit| rate_limit.capacity());
        let burst = (rpm / 20).max(3).max(configured).min(rpm);
        RateLimit::new(burst, f64::from(rpm) / 60.0).map(Some)
    }

    /// Returns the rate limits that all requests must obey: `rate_limit`, and the one that paces requests
    /// within the minute of `rpm`. Leaves out limits that are `None`, and an `rpm` of 0.
    pub(crate) fn rate_limits(&self) -> impl Iterator<Item = RateLimit> {
        let per_minute = self.per_minute_bucket().ok().flatten();
        [self.rate_limit, per_minute].into_iter().flatten()
    }

    /// Returns the maximum number of requests per minute in the long run, or `None` if neither `rate_limit`
    /// nor `rpm` is set. The daily limit `rpd` is not considered.
    pub fn per_minute(&self) -> Option<f64> {
        let rates = self.rate_limits();
        rates
            .map(|rate_limit| rate_limit.per_second() * 60.0)
            .reduce(f64::min)
    }

    /// Combines two sets of limits. Each limit of the result is the stricter one of `self` and `other`.
    ///
    /// Invariants: the result admits no burst that exceeds a limit of `self` or `other`, and does not pace
    /// requests more slowly than the slower of the two.
    pub fn stricter(&self, other: &Self) -> Self {
        let least = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
        let rate_limits = self.rate_limit.into_iter().chain(other.rate_limit);
        let slowest = rate_limits.max_by_key(|rate_limit| rate_limit.steps_per_token);
        let rate_limits = self.rate_limits().chain(other.rate_limits());
        let max_burst = rate_limits.map(|rate_limit| rate_limit.capacity()).min();
        Self {
            rate_limit: slowest
                .zip(max_burst)
                .map(|(slowest, capacity)| RateLimit { capacity, ..slowest }),
            rpm: least(self.rpm, other.rpm),
            tpm: least(self.tpm, other.tpm),
            rpd: least(self.rpd, other.rpd),
            max_concurrency: least(self.max_concurrency, other.max_concurrency),
        }
    }
}

impl From<Option<RateLimit>> for Limits {
    fn from(rate_limit: Option<RateLimit>) -> Self {
        Self {
            rate_limit,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(rate_limit: Option<(u32, f64)>, rpm: Option<u32>) -> Limits {
        Limits {
            rate_limit: rate_limit.map(|(burst, rate)| RateLimit::new(burst, rate).unwrap()),
            rpm,
            ..Limits::default()
        }
    }

    fn bursts(limits: &Limits) -> impl Iterator<Item = u32> {
        limits.rate_limits().map(|rate_limit| rate_limit.capacity())
    }

    #[test]
    fn burst_of_rpm_is_a_twentieth_within_bounds() {
        for (rpm, burst, expected) in [
            (1, None, 1),
            (2, None, 2),
            (3, None, 3),
            (60, None, 3),
            (80, None, 4),
            (3000, None, 150),
            (60, Some(1), 3),
            (60, Some(20), 20),
            (60, Some(100), 60),
            (u32::MAX, None, u32::MAX / 20),
        ] {
            let limits = limits(burst.map(|burst| (burst, 1.0)), Some(rpm));
            let bucket = limits.per_minute_bucket().unwrap().unwrap();
            assert_eq!(bucket.capacity(), expected, "{rpm}, {burst:?}");
            let per_minute = bucket.per_second() * 60.0;
            assert!((per_minute / f64::from(rpm) - 1.0).abs() < 1e-6, "{per_minute}");
        }
        assert_eq!(
            limits(None, Some(0)).per_minute_bucket(),
            Err(RateLimitError::NoCapacity)
        );
    }

    #[test]
    fn per_minute_is_the_slower_of_both_rates() {
        for (rate_limit, rpm, expected) in [
            (None, None, None),
            (Some((1, 2.0)), None, Some(120.0)),
            (None, Some(60), Some(60.0)),
            (Some((50, 2.0)), Some(60), Some(60.0)),
            (Some((50, 0.5)), Some(60), Some(30.0)),
        ] {
            assert_eq!(
                limits(rate_limit, rpm).per_minute(),
                expected,
                "{rate_limit:?} {rpm:?}"
            );
        }
    }

    #[test]
    fn stricter_limits_are_not_slower_than_both_sides() {
        let rate_limits = [
            None,
            Some((1, 0.3)),
            Some((20, 10.0)),
            Some((50, 0.5)),
            Some((2, 10.0)),
        ];
        let rpms = [None, Some(1), Some(30), Some(35), Some(60)];
        let sides = || {
            rate_limits
                .into_iter()
                .flat_map(|rate_limit| rpms.map(|rpm| limits(rate_limit, rpm)))
        };
        for (a, b) in sides().flat_map(|a| sides().map(move |b| (a, b))) {
            let joint = a.stricter(&b);
            let slowest = a.per_minute().into_iter().chain(b.per_minute()).reduce(f64::min);
            assert_eq!(joint.per_minute(), slowest, "{a:?} {b:?} {joint:?}");
            assert_eq!(joint.rpm, a.rpm.into_iter().chain(b.rpm).min());
            assert_eq!(joint, b.stricter(&a));
            let max_burst = bursts(&a).chain(bursts(&b)).min();
            assert!(bursts(&joint).min() <= max_burst, "{a:?} {b:?} {joint:?}");
        }
    }
}
