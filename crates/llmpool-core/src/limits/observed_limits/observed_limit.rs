//! One limit, as response headers report it.
//!
//! A report contains the remaining amount and the time until the limit is full again, but not how the limit
//! refills. By default, a report is read as a window that ends at the reported time. There are three
//! exceptions:
//! - If the reported time is proportional to the used amount, with a minute for the whole limit, the limit is
//!   assumed to refill continuously.
//! - If a window ends within 2 s, the report is outdated soon after it arrives. The limit is then assumed to
//!   refill evenly over a *span*.
//! - If the reported end of a window keeps moving to later times, the window cannot be fixed. The limit is
//!   then assumed to refill evenly over a *span*, too.
//!
//! The span is the longest reported time until the end of the window. If a refusal shows that the span is too
//! short, it is doubled.

use std::time::Duration;

use super::super::bucket::{Bucket, BucketDenied};
use super::super::limit_snapshot::LimitSnapshot;
use super::super::rate_limit::RateLimit;
use crate::time::Timestamp;

pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// Sequence number of all charges to the token buckets of observed limits. No distinct numbers are needed,
/// because these charges are never refunded.
pub(super) const NO_SEQ: u64 = 0;
/// Maximum difference between two reported ends of the same window. The reported ends differ because reports
/// are rounded to seconds and responses take time.
const JITTER: Duration = Duration::from_secs(2);
/// A reported window that ends within this time counts as short: the window is over before the report is of
/// use.
const SHORT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Default)]
pub(super) enum ObservedLimit {
    #[default]
    Unknown,
    /// The limit refills continuously, from empty to full in one minute.
    Refilling(Bucket),
    /// The limit is assumed to refill evenly, from empty to full within `span`.
    Rolling { bucket: Bucket, span: Duration },
    /// The limit admits `remaining` more requests or tokens until a new window begins at `until`.
    Fixed {
        remaining: u32,
        until: Timestamp,
        /// The end of the window, as the first response reported it.
        first_until: Timestamp,
        /// Maximum of the reported times until the end of the window.
        span: Duration,
    },
}

impl ObservedLimit {
    /// Returns the token bucket of a limit that refills gradually. `None` if the limit is unknown or a fixed
    /// window.
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

    /// Records the state of the limit that a response reports. `others`: number of other attempts in flight,
    /// which the reported number might not include yet.
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
            // The end has moved to a later time, which the end of a fixed window does not do.
            Self::Fixed {
                first_until, span, ..
            } if *first_until > now && until.since(*first_until) > JITTER => {
                let span = reset.max(*span);
                *self = rolling(snapshot.limit, remaining, span, now).unwrap_or_default();
            }
            // The response to an older request may arrive late. Within one window, the remaining amount never
            // grows.
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

    /// Doubles the assumed `span` of a `Rolling` limit, up to one minute. Must be called after a refusal that
    /// the limit should have prevented.
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

/// Returns the time at which the bucket holds `amount` tokens, or is full if `amount` exceeds the bucket's
/// capacity.
pub(super) fn ready_in(bucket: &Bucket, amount: u32, now: Timestamp) -> Timestamp {
    match bucket.check(amount.min(bucket.rate_limit().capacity()), now) {
        Err(BucketDenied::Until(until)) => until,
        _ => now,
    }
}

/// Returns the burst and refill rate of a limit that refills continuously within a minute. `None` if the
/// report does not fit such a limit: the time until the limit is full (`reset`) must be proportional to the
/// used part of the limit, with one minute for the whole limit.
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
