//! The limits that an operator can configure.

use super::rate_limit::{RateLimit, RateLimitError};

/// Configured limits of one target, key or quota group. All limits that are not `None` apply at the same
/// time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Token bucket: the maximum burst of requests, and the refill rate in requests per second.
    pub rate_limit: Option<RateLimit>,
    /// Maximum number of requests in any 60 s. Requests are spread over the minute. A burst can contain as
    /// many requests as the capacity of `rate_limit`, or one request if `rate_limit` is `None`. A larger
    /// burst leaves a lower rate for the rest of the minute: see [`RateLimit::per_minute`].
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
    /// Returns the burst and refill rate at which requests are paced to stay within `rpm`, or `None` if `rpm`
    /// is `None`.
    ///
    /// Fails if `rpm` is 0, or if refilling the burst would take more than a hundred years.
    pub fn per_minute_bucket(&self) -> Result<Option<RateLimit>, RateLimitError> {
        let rate_limit = self.rpm.map(|rpm| RateLimit::per_minute(rpm, self.burst()));
        rate_limit.transpose()
    }

    fn burst(&self) -> u32 {
        self.rate_limit.map_or(1, |rate_limit| rate_limit.capacity())
    }

    /// Returns the rate limits that all requests must obey: `rate_limit`, and the one derived from `rpm`.
    /// Leaves out limits that are `None`, and an invalid `rpm` such as 0.
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
    /// Invariant: the request rate of the result is at least that of the slower of `self` and `other`. To
    /// ensure this, the burst of the result is at most that of the side with the lower `rpm`, because a
    /// larger burst would lower the rate.
    pub fn stricter(&self, other: &Self) -> Self {
        let least = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
        let slower = |a: RateLimit, b: RateLimit| if b.per_second() < a.per_second() { b } else { a };
        let rate_limit = self.rate_limit.into_iter().chain(other.rate_limit).reduce(slower);
        let rpm_and_burst = |limits: &Self| Some((limits.rpm?, limits.burst()));
        let lowest_rpm = [self, other].into_iter().filter_map(rpm_and_burst).min();
        let max_burst = lowest_rpm.map_or(u32::MAX, |(_, burst)| burst);
        Self {
            rate_limit: rate_limit.map(|rate_limit| rate_limit.with_burst_at_most(max_burst)),
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

    #[test]
    fn burst_of_one_side_does_not_slow_the_rpm_of_the_other() {
        let joint = limits(Some((20, 10.0)), None).stricter(&limits(None, Some(30)));
        let per_minute = joint.per_minute().unwrap();
        assert!((29.9..30.0).contains(&per_minute), "{per_minute}");
        assert_eq!(joint.per_minute_bucket().unwrap().unwrap().capacity(), 1);
    }

    #[test]
    fn stricter_limits_are_not_slower_than_both_sides() {
        let rate_limits = [None, Some((1, 0.3)), Some((20, 10.0)), Some((50, 0.5))];
        let rpms = [None, Some(1), Some(30), Some(35), Some(60)];
        let sides = || {
            rate_limits
                .into_iter()
                .flat_map(|rate_limit| rpms.map(|rpm| limits(rate_limit, rpm)))
        };
        for (a, b) in sides().flat_map(|a| sides().map(move |b| (a, b))) {
            let joint = a.stricter(&b);
            let slowest = a.per_minute().into_iter().chain(b.per_minute()).reduce(f64::min);
            assert!(joint.per_minute() >= slowest, "{a:?} {b:?} {joint:?}");
            assert_eq!(joint.rpm, a.rpm.into_iter().chain(b.rpm).min());
            assert_eq!(joint, b.stricter(&a));
        }
    }
}
