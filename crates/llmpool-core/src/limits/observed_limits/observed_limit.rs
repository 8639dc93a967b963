//! One limit as response headers report it.
//!
//! Headers do not tell how long a window is. A window that ends within seconds is not waited out, since the report is as old as the response; neither
//! is one whose end moves away. Both are treated as limits that refill evenly over the longest reported time to an end, and over twice as long
//! after a refusal shows that this was too short.

use std::time::Duration;

use super::super::bucket::{Bucket, BucketDenied};
use super::super::limit_snapshot::LimitSnapshot;
use super::super::rate_limit::RateLimit;
use crate::time::Timestamp;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// Sequence number of charges that are never refunded: observed limits are too coarse for it.
pub(super) const NO_SEQ: u64 = 0;
/// Tolerance between reported ends of one window: they are rounded to seconds, and responses take time.
const JITTER: Duration = Duration::from_secs(2);
/// A window that ends this soon is over before the report is of use.
const SHORT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Default)]
pub(super) enum ObservedLimit {
    #[default]
    Unknown,
    /// Refills continuously, in a minute when empty.
    Refilling(Bucket),
    /// Refills evenly over `span`.
    Rolling { bucket: Bucket, span: Duration },
    /// `remaining` until a new window begins at `until`.
    Fixed {
        remaining: u32,
        until: Timestamp,
        /// The end as first reported.
        first_until: Timestamp,
        /// The longest reported time to an end.
        span: Duration,
    },
}

impl ObservedLimit {
    /// The bucket of a limit that refills evenly.
    pub(super) fn bucket(&self) -> Option<&Bucket> {
        match self {
            Self::Refilling(bucket) | Self::Rolling { bucket, .. } => Some(bucket),
            Self::Unknown | Self::Fixed { .. } => None,
        }
    }

    pub(super) fn ready_at(&self, amount: u32, now: Timestamp) -> Timestamp {
        match self {
            Self::Refilling(bucket) | Self::Rolling { bucket, .. } => ready_in(bucket, amount, now),
            Self::Fixed { remaining, until, .. } if *remaining < amount => (*until).max(now),
            Self::Unknown | Self::Fixed { .. } => now,
        }
    }

    pub(super) fn charge(&mut self, amount: u32, now: Timestamp) {
        match self {
            Self::Refilling(bucket) | Self::Rolling { bucket, .. } => bucket.charge(amount, NO_SEQ, now),
            Self::Fixed { until, .. } if *until <= now => *self = Self::Unknown,
            Self::Fixed { remaining, .. } => *remaining = remaining.saturating_sub(amount),
            Self::Unknown => {}
        }
    }

    pub(super) fn refund(&mut self, amount: u32) {
        if let Self::Fixed { remaining, .. } = self {
            *remaining = remaining.saturating_add(amount);
        }
    }

    /// Records a report. `others`: attempts in flight that it may not have counted.
    pub(super) fn record_snapshot(&mut self, snapshot: &LimitSnapshot, others: u32, now: Timestamp) {
        let (Some(reported), Some(reset)) = (snapshot.remaining, snapshot.reset) else {
            return;
        };
        let remaining = reported.saturating_sub(others);
        if let Some(rate_limit) = refill_rate(snapshot, reported, reset) {
            match self {
                Self::Refilling(bucket) if bucket.rate_limit().capacity() == rate_limit.capacity() => {}
                _ => *self = Self::Refilling(Bucket::new(rate_limit, NO_SEQ)),
            }
            if let Self::Refilling(bucket) = self {
                bucket.cap_at(remaining, NO_SEQ, now);
            }
            return;
        }
        let until = now + reset;
        match self {
            Self::Rolling { bucket, span }
                if snapshot.limit == Some(bucket.rate_limit().capacity()) && reset <= *span + JITTER =>
            {
                bucket.cap_at(remaining, NO_SEQ, now);
                let wider = evenly(bucket.rate_limit().capacity(), reset);
                if let Some(rate_limit) = wider.filter(|_| reset > *span) {
                    bucket.set_rate_limit(rate_limit, NO_SEQ, now);
                    *span = reset;
                }
            }
            // The end of a fixed window does not move.
            Self::Fixed {
                first_until, span, ..
            } if *first_until > now && until.since(*first_until) > JITTER => {
                let span = reset.max(*span);
                *self = rolling(snapshot.limit, remaining, span, now).unwrap_or_default();
            }
            // A response to an older request may arrive late: within one window, the remainder only shrinks.
            Self::Fixed {
                remaining: known,
                until: end,
                first_until,
                span,
            } if *end > now && first_until.since(until) <= JITTER => {
                *known = remaining.min(*known);
                *end = until.max(*end);
                *span = reset.max(*span);
            }
            _ if reset <= SHORT && snapshot.limit.is_some() => {
                *self = rolling(snapshot.limit, remaining, SHORT / 2, now).unwrap_or_default();
            }
            _ => {
                *self = Self::Fixed {
                    remaining,
                    until,
                    first_until: until,
                    span: reset,
                };
            }
        }
    }

    /// Merges another observation of the same limit: the one that admits less applies.
    pub(super) fn merge(&mut self, other: Self, now: Timestamp) {
        let remaining = |limit: &Self| match limit {
            Self::Unknown => u32::MAX,
            Self::Refilling(bucket) | Self::Rolling { bucket, .. } => bucket.available(now),
            Self::Fixed { until, .. } if *until <= now => u32::MAX,
            Self::Fixed { remaining, .. } => *remaining,
        };
        if remaining(&other) < remaining(self) {
            *self = other;
        }
    }

    /// Doubles an assumed span after a refusal that the limit should have prevented.
    pub(super) fn widen(&mut self, now: Timestamp) {
        let Self::Rolling { bucket, span } = self else {
            return;
        };
        let wider = (*span * 2).min(MINUTE);
        let rate_limit = evenly(bucket.rate_limit().capacity(), wider);
        if let Some(rate_limit) = rate_limit.filter(|_| wider > *span) {
            bucket.set_rate_limit(rate_limit, NO_SEQ, now);
            bucket.cap_at(0, NO_SEQ, now);
            *span = wider;
        }
    }
}

fn rolling(limit: Option<u32>, remaining: u32, span: Duration, now: Timestamp) -> Option<ObservedLimit> {
    let mut bucket = Bucket::new(evenly(limit?, span)?, NO_SEQ);
    bucket.cap_at(remaining, NO_SEQ, now);
    Some(ObservedLimit::Rolling { bucket, span })
}

fn evenly(limit: u32, span: Duration) -> Option<RateLimit> {
    RateLimit::new(limit, f64::from(limit) / span.as_secs_f64()).ok()
}

/// Returns when a bucket admits `amount`, or its whole capacity if that is less.
pub(super) fn ready_in(bucket: &Bucket, amount: u32, now: Timestamp) -> Timestamp {
    match bucket.check(amount.min(bucket.rate_limit().capacity()), now) {
        Err(BucketDenied::Until(until)) => until,
        _ => now,
    }
}

/// Returns the rate of a limit that refills continuously: its time to full is in proportion to what is missing, a minute for all of it.
fn refill_rate(snapshot: &LimitSnapshot, remaining: u32, reset: Duration) -> Option<RateLimit> {
    let limit = snapshot.limit.filter(|limit| *limit > 0)?;
    let missing = f64::from(limit.checked_sub(remaining)?);
    let time_to_full = MINUTE.mul_f64(missing / f64::from(limit));
    let tolerance = Duration::from_millis(1100).max(time_to_full / 10);
    // A fixed window of a minute looks the same at its start, but not later.
    if missing == 0.0 || reset + tolerance < time_to_full || reset > time_to_full + tolerance {
        return None;
    }
    evenly(limit, MINUTE)
}

/// For a limit that refills continuously, returns a number that grows by one with every request and does not change with time: the requests that
/// would have emptied it since time zero.
pub(in crate::limits) fn refill_counter(snapshot: &LimitSnapshot, now: Timestamp) -> Option<f64> {
    let (remaining, reset) = (snapshot.remaining?, snapshot.reset?);
    let rate_limit = refill_rate(snapshot, remaining, reset)?;
    Some((now + reset).since(Timestamp::ZERO).as_secs_f64() * rate_limit.per_second())
}
