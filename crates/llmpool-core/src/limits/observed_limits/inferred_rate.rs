//! A maximum request rate inferred from refusals by the provider, and a count of the recent requests.

use super::super::bucket::Bucket;
use super::super::rate_limit::RateLimit;
use super::observed_limit::{MINUTE, NO_SEQ, ready_in};
use crate::time::Timestamp;

/// After a refusal, requests are limited to this fraction of the request rate that led to the refusal.
pub(super) const TIGHTEN: f64 = 0.85;
/// Factor by which an inferred request rate grows for every minute without a refusal.
const RELAX: f64 = 1.05;

/// A maximum request rate inferred from refusals, enforced by a token bucket.
#[derive(Clone, Debug)]
pub(super) struct InferredRate {
    per_minute: f64,
    bucket: Bucket,
    relax_at: Timestamp,
    in_effect_until: Timestamp,
}

impl InferredRate {
    pub(super) fn new(per_minute: f64, now: Timestamp) -> Option<Self> {
        let per_minute = per_minute.max(1.0);
        let rate_limit = RateLimit::new(1, per_minute / MINUTE.as_secs_f64()).ok()?;
        Some(Self {
            per_minute,
            bucket: Bucket::new(rate_limit, NO_SEQ),
            relax_at: now + MINUTE,
            in_effect_until: now + MINUTE * 2,
        })
    }

    pub(super) fn per_minute(&self) -> f64 {
        self.per_minute
    }

    pub(super) fn ready_at(&self, now: Timestamp) -> Timestamp {
        ready_in(&self.bucket, 1, now)
    }

    /// Returns whether the rate has been in effect for the minimum time of two minutes, after which it may be
    /// removed.
    pub(super) fn may_end(&self, now: Timestamp) -> bool {
        now >= self.in_effect_until
    }

    pub(super) fn charge(&mut self, now: Timestamp) {
        if now >= self.relax_at {
            self.relax_at = now + MINUTE;
            self.per_minute *= RELAX;
            if let Ok(rate_limit) = RateLimit::new(1, self.per_minute / MINUTE.as_secs_f64()) {
                self.bucket.set_rate_limit(rate_limit, NO_SEQ, now);
            }
        }
        self.bucket.charge(1, NO_SEQ, now);
    }
}

/// Approximate number of requests in the last 60 s, computed from the counts of the current and the previous
/// clock minute.
#[derive(Clone, Debug, Default)]
pub(super) struct RecentRequests {
    minute: u64,
    count: u32,
    previous: u32,
}

impl RecentRequests {
    pub(super) fn record(&mut self, now: Timestamp) {
        self.advance_to(now.as_nanos() / MINUTE.as_nanos() as u64);
        self.count += 1;
    }

    fn advance_to(&mut self, minute: u64) {
        if minute != self.minute {
            self.previous = if minute == self.minute + 1 { self.count } else { 0 };
            self.count = 0;
            self.minute = minute;
        }
    }

    pub(super) fn per_minute(&self, now: Timestamp) -> f64 {
        let minute = MINUTE.as_nanos() as u64;
        let passed = (now.as_nanos() % minute) as f64 / minute as f64;
        match (now.as_nanos() / minute).saturating_sub(self.minute) {
            0 => f64::from(self.count) + f64::from(self.previous) * (1.0 - passed),
            1 => f64::from(self.count) * (1.0 - passed),
            _ => 0.0,
        }
    }
}
