//! A limit on requests per minute: a log of the last 60 s, and a token bucket that spreads requests over the
//! minute.
//!
//! The log alone would admit the requests of a minute at once. A token bucket alone could only ensure the
//! limit at the cost of its burst: the larger the burst, the lower the rate. With both, the burst does not
//! reduce the rate. Where the log was full, the bucket starts again with one token, so that sustained load is
//! paced evenly after the first minute instead of repeating the burst every minute.
//!
//! A refusal by the provider shows that the provider does not admit the burst. For ten minutes after a
//! refusal, requests are therefore admitted one at a time, at the same rate.
//!
//! Invariants:
//! - In any 60.25 s, the charges minus the refunds are at most the limit. The quarter of a second is a guard
//!   against requests that arrive at the provider less evenly than they were sent.
//! - Under constant demand, the charges since the limit was last idle are at least `limit / 60.5 s` times the
//!   span, minus 1.

use std::time::Duration;

use super::bucket::Bucket;
use super::charge_id::ChargeId;
use super::rate_limit::RateLimit;
use super::saved_limits::{SavedState, millis, remaining};
use super::window::SlidingWindow;
use crate::time::Timestamp;

/// Time after a refusal in which requests are admitted one at a time.
const SPACING_DURATION: Duration = Duration::from_secs(10 * 60);

#[derive(Clone, Debug)]
pub(super) struct PerMinute {
    log: SlidingWindow,
    /// Refills as many requests per minute as the limit.
    pace: Bucket,
    /// The time at which the log has room again. `None` if the log had room after the last charge.
    full_until: Option<Timestamp>,
    /// `None` before the first refusal. Removed by the first charge after its end.
    spacing: Option<Spacing>,
}

/// Admits one request at a time until a given time.
#[derive(Clone, Debug)]
struct Spacing {
    /// Has the rate of the limit, and a capacity of one request.
    bucket: Bucket,
    until: Timestamp,
}

impl PerMinute {
    /// Returns a limit of `limit` requests per minute with the burst and the rate of `pace`. Charges with
    /// sequence numbers up to and including `seq` cannot be refunded.
    pub(super) fn new(limit: u32, pace: RateLimit, seq: u64) -> Self {
        Self {
            log: SlidingWindow::minute(limit, seq),
            pace: Bucket::new(pace, seq),
            full_until: None,
            spacing: None,
        }
    }

    /// Replaces the limit. Earlier charges still count.
    pub(super) fn set_limit(&mut self, limit: u32, pace: RateLimit, seq: u64, now: Timestamp) {
        self.log.limit = limit;
        self.pace.set_rate_limit(pace, seq, now);
        if let Some(spacing) = &mut self.spacing {
            let single = pace.with_burst_at_most(1);
            spacing.bucket.set_rate_limit(single, seq, now);
        }
    }

    /// Returns the maximum number of requests that can be charged at once.
    pub(super) fn burst(&self) -> u32 {
        self.pace.rate_limit().capacity()
    }

    /// Returns the time from which `amount` requests are available, or [`Timestamp::MAX`] if they never are.
    /// The result is at most `now` if they are available at `now`.
    #[inline(always)]
    pub(super) fn available_at(&self, amount: u32, now: Timestamp) -> Timestamp {
        let log = self.log.ready_at(u64::from(amount), now);
        let pace = self.pace.available_at(amount, now);
        let spacing = self.spacing.as_ref().map_or(now, |spacing| {
            spacing.bucket.available_at(amount, now).min(spacing.until)
        });
        log.max(pace).max(spacing)
    }

    /// Returns the earliest time by which `total` requests can have been charged, if necessary in several
    /// charges.
    pub(super) fn ready_at(&self, total: u64, now: Timestamp) -> Timestamp {
        let spacing = self.spacing.as_ref().map_or(now, |spacing| {
            spacing.bucket.ready_at(total, now).min(spacing.until)
        });
        let ready_at = self.log.ready_at(total, now).max(self.pace.ready_at(total, now));
        ready_at.max(spacing)
    }

    /// Charges `amount` requests, even beyond the limit.
    #[inline(always)]
    pub(super) fn charge(&mut self, amount: u32, seq: u64, now: Timestamp) {
        if let Some(until) = self.full_until.take().filter(|until| *until <= now) {
            self.pace.cap_at(1, seq, until);
        }
        self.pace.charge(amount, seq, now);
        if let Some(spacing) = &mut self.spacing {
            if spacing.until > now {
                spacing.bucket.charge(amount, seq, now);
            } else {
                self.spacing = None;
            }
        }
        self.log.charge(amount, now);
        self.full_until = Some(self.log.ready_at(1, now)).filter(|until| *until > now);
    }

    /// Refunds a charge of `amount` requests.
    pub(super) fn refund(&mut self, charge: ChargeId, amount: u32) {
        self.log.correct(charge, amount, 0);
        // Without this charge, the log may not have been full at all.
        let full_until = self.log.ready_at(1, Timestamp::ZERO);
        self.full_until = self.full_until.filter(|_| full_until > Timestamp::ZERO);
        self.pace.refund(amount, charge.seq);
        if let Some(spacing) = &mut self.spacing {
            spacing.bucket.refund(amount, charge.seq);
        }
    }

    /// Records that the provider refused a request: for ten minutes, requests are admitted one at a time.
    pub(super) fn record_refusal(&mut self, seq: u64, now: Timestamp) {
        self.space_until(now + SPACING_DURATION, seq);
    }

    fn space_until(&mut self, until: Timestamp, seq: u64) {
        match &mut self.spacing {
            Some(spacing) => spacing.until = spacing.until.max(until),
            None => {
                let single = self.pace.rate_limit().with_burst_at_most(1);
                let bucket = Bucket::new(single, seq);
                self.spacing = Some(Spacing { bucket, until });
            }
        }
    }

    /// Reduces the burst that is available now to at most one request.
    pub(super) fn resume(&mut self, seq: u64, now: Timestamp) {
        self.pace.cap_at(1, seq, now);
    }

    /// Adds what still counts to `state`.
    pub(super) fn save(&self, state: &mut SavedState, now: Timestamp) {
        state.minute = self.log.save(now);
        state.missing_in_minute = self.pace.missing(now);
        if let Some(spacing) = &self.spacing {
            state.single_for_ms = millis(spacing.until.since(now));
            state.missing_in_single = spacing.bucket.missing(now);
        }
    }

    /// Adds what was saved `elapsed` ago.
    pub(super) fn load(&mut self, state: &SavedState, elapsed: Duration, seq: u64, now: Timestamp) {
        self.log.load(&state.minute, elapsed, seq, now);
        self.pace
            .charge_missing(state.missing_in_minute, elapsed, seq, now);
        let spaced = remaining(state.single_for_ms, elapsed).min(SPACING_DURATION);
        if !spaced.is_zero() {
            self.space_until(now + spaced, seq);
        }
        if let Some(spacing) = &mut self.spacing {
            let missing = state.missing_in_single;
            spacing.bucket.charge_missing(missing, elapsed, seq, now);
        }
        self.full_until = Some(self.log.ready_at(1, now)).filter(|until| *until > now);
    }

    /// Removes all charges, and forgets the last refusal. Earlier charges can no longer be refunded.
    pub(super) fn reset(&mut self, seq: u64) {
        self.log.reset(seq);
        self.pace.reset(seq);
        self.full_until = None;
        self.spacing = None;
    }
}
