//! Limits as an operator configures them.

use super::rate_limit::{RateLimit, RateLimitError};

/// Limits of one target, key or account. All of them apply at once; `None` means no limit of that kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Largest burst of requests and requests per second.
    pub rate_limit: Option<RateLimit>,
    /// Requests in any 60 s. They are paced; the burst is that of `rate_limit`, else one request. A larger burst lowers the pace
    /// accordingly: see [`RateLimit::per_minute`].
    pub rpm: Option<u32>,
    /// Model tokens (prompt and answer) in any 60 s.
    pub tpm: Option<u32>,
    /// Requests in any 24 h.
    pub rpd: Option<u32>,
    /// Attempts in flight at once.
    pub max_concurrency: Option<u32>,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitKind {
    /// Requests: burst, per second or per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
    /// Requests per day.
    Day,
}

impl Limits {
    /// The token bucket that paces requests to `rpm`, if `rpm` is set.
    ///
    /// Fails where no bucket can have that rate, above all for an `rpm` of zero.
    pub fn per_minute_bucket(&self) -> Result<Option<RateLimit>, RateLimitError> {
        let burst = self.rate_limit.map_or(1, |rate_limit| rate_limit.capacity());
        let rate_limit = self.rpm.map(|rpm| RateLimit::per_minute(rpm, burst));
        rate_limit.transpose()
    }

    /// The token buckets that all requests have to pass. A pace that no bucket can have is left out.
    pub(crate) fn rate_limits(&self) -> impl Iterator<Item = RateLimit> {
        let per_minute = self.per_minute_bucket().ok().flatten();
        [self.rate_limit, per_minute].into_iter().flatten()
    }

    /// Long-run requests per minute, if requests are limited.
    pub fn per_minute(&self) -> Option<f64> {
        let rates = self.rate_limits();
        rates
            .map(|rate_limit| rate_limit.per_second() * 60.0)
            .reduce(f64::min)
    }

    /// Returns the stricter one of each limit.
    pub fn stricter(&self, other: &Self) -> Self {
        let least = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
        let slower = |a: RateLimit, b: RateLimit| if b.per_second() < a.per_second() { b } else { a };
        Self {
            rate_limit: self.rate_limit.into_iter().chain(other.rate_limit).reduce(slower),
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
