//! A limit set: the counters behind all limits of one target, key or quota group.
//!
//! An attempt is charged to all counters of the set at once. Each counter recovers independently.
//!
//! Two counters stand behind `rpm`: a window of the last 60 s, and a token bucket that spreads
//! requests over the minute. The window alone would admit the requests of a minute at once. A token bucket
//! alone could only ensure the limit at the cost of its burst: the larger the burst, the lower the rate. With
//! both, the burst does not reduce the rate. Where the window was full, the bucket starts again with one token,
//! so that sustained load is paced evenly after the first minute instead of repeating the burst every minute.
//!
//! A refusal by the provider shows that the provider does not admit the burst. For ten minutes after a
//! refusal, the bucket therefore admits requests one at a time, at the same rate.
//!
//! Invariants of `rpm`:
//! - In any 60.25 s, the charges minus the refunds are at most the limit. The quarter of a second is a guard
//!   against requests that arrive at the provider less evenly than they were sent.
//! - Under constant demand, the charges since the limit was last idle are at least `limit / 60.5 s` times the
//!   span, minus 1.

use std::time::Duration;

use super::bucket::Bucket;
use super::charge_id::ChargeId;
use super::demand::Demand;
use super::limits::{LimitKind, Limits};
use super::obstacle::Obstacle;
use super::saved_limits::{SavedState, millis, remaining};
use super::window::{DAY, MINUTE, SlidingWindow};
use crate::time::Timestamp;

/// Time after a refusal in which `rpm` admits one request at a time.
const SINGLE_DURATION: Duration = Duration::from_secs(10 * 60);

/// The counters (buckets and windows) are boxed because most keys have none.
#[derive(Clone, Debug, Default)]
pub(super) struct LimitSet {
    limits: Limits,
    /// Whether there is any counter.
    is_counted: bool,
    pub(super) in_flight: u32,
    /// Number of charged tokens that are still estimates. Some of these tokens may be returned when the
    /// actual numbers are known.
    unsettled: u64,
    /// Ensures `rate_limit`.
    bucket: Option<Box<Bucket>>,
    /// Spreads the requests of `rpm` over the minute.
    minute_bucket: Option<Box<Bucket>>,
    /// Ensures `rpm`.
    minute: Option<Box<SlidingWindow>>,
    /// Ensures `tpm`.
    tokens: Option<Box<SlidingWindow>>,
    /// Ensures `rpd`.
    day: Option<Box<SlidingWindow>>,
}

impl LimitSet {
    pub(super) fn new(limits: Limits) -> Self {
        let mut limit_set = Self::default();
        limit_set.set_limits(limits, 0, Timestamp::ZERO);
        limit_set
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Replaces the configured limits. Earlier charges to a limit still count after the limit has been
    /// changed.
    pub(super) fn set_limits(&mut self, limits: Limits, seq: u64, now: Timestamp) {
        self.limits = limits;
        self.is_counted =
            limits.rate_limit.is_some() || [limits.rpm, limits.tpm, limits.rpd].iter().any(Option::is_some);
        let minute_bucket = limits.per_minute_bucket().ok().flatten();
        for (bucket, rate_limit) in [
            (&mut self.bucket, limits.rate_limit),
            (&mut self.minute_bucket, minute_bucket),
        ] {
            match (&mut *bucket, rate_limit) {
                (Some(bucket), Some(rate_limit)) => bucket.set_rate_limit(rate_limit, seq, now),
                _ => *bucket = rate_limit.map(|rate_limit| Box::new(Bucket::new(rate_limit, seq))),
            }
        }
        for (window, limit, shape) in [
            (&mut self.minute, limits.rpm, MINUTE),
            (&mut self.tokens, limits.tpm, MINUTE),
            (&mut self.day, limits.rpd, DAY),
        ] {
            match (&mut *window, limit) {
                (Some(window), Some(limit)) => window.limit = limit,
                _ => *window = limit.map(|limit| Box::new(SlidingWindow::new(limit, shape, seq))),
            }
        }
    }

    /// Clears all counters. Earlier charges can no longer be refunded.
    pub(super) fn reset(&mut self, seq: u64) {
        let limits = self.limits;
        self.set_limits(Limits::default(), seq, Timestamp::ZERO);
        self.set_limits(limits, seq, Timestamp::ZERO);
    }

    /// Returns the token bucket of the configured `rate_limit`, or `None` if none is configured.
    pub(super) fn bucket(&self) -> Option<&Bucket> {
        self.bucket.as_deref()
    }

    pub(super) fn counts_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Returns whether a configured rate limit spreads the starts of waiting attempts over time.
    pub(super) fn is_paced(&self) -> bool {
        self.bucket.is_some() || self.minute_bucket.is_some()
    }

    pub(super) fn has_slot(&self) -> bool {
        self.in_flight < self.limits.max_concurrency.unwrap_or(u32::MAX)
    }

    /// Returns what keeps an attempt with this demand from starting: a limit that is reached, or occupied slots.
    pub(super) fn obstacle(&self, demand: Demand, now: Timestamp) -> Option<Obstacle> {
        let slot = (!self.has_slot()).then_some(Obstacle::OCCUPIED);
        let reached = self.available_at(demand, now).map(|(until, kind)| {
            let may_end_early = kind == LimitKind::Tokens && self.may_regain_tokens();
            Obstacle {
                limit: Some(kind),
                ..Obstacle::until(until).or_earlier(may_end_early)
            }
        });
        Obstacle::both(slot, reached)
    }

    /// Returns the time from which all counters admit `demand` or, if it is more than one of them ever admits at
    /// once, the time at which to examine it again, and the kind of limit that delays `demand` longest. `None` if
    /// all counters admit `demand` at `now`.
    pub(super) fn available_at(&self, demand: Demand, now: Timestamp) -> Option<(Timestamp, LimitKind)> {
        let latest = self.admitted_at(u64::from(demand.requests), demand.tokens, 0, now);
        latest.filter(|(until, _)| *until > now)
    }

    /// Returns a lower bound on the time at which `demand` is admitted if `ahead` other requests are admitted
    /// first. The tokens of those requests, and charged tokens that are still estimates, are left out because
    /// they may turn out to be unused.
    pub(super) fn ready_at(&self, demand: Demand, ahead: u64, now: Timestamp) -> Timestamp {
        let requests = ahead + u64::from(demand.requests);
        let latest = self.admitted_at(requests, demand.tokens, self.unsettled, now);
        latest.map_or(now, |(at, _)| at)
    }

    /// Returns the earliest time by which `requests` and `tokens` can have been charged, if necessary in several
    /// charges, and the kind of limit that decides. Assumes that `unsettled` of the tokens charged so far turn
    /// out to be unused.
    fn admitted_at(
        &self,
        requests: u64,
        tokens: u32,
        unsettled: u64,
        now: Timestamp,
    ) -> Option<(Timestamp, LimitKind)> {
        if !self.is_counted {
            return None;
        }
        let mut latest = None;
        let mut add = |at: Timestamp, kind| latest = latest.max(Some((at, kind)));
        for bucket in [&self.bucket, &self.minute_bucket].into_iter().flatten() {
            add(bucket.ready_at(requests, now), LimitKind::Requests);
        }
        let tokens = u64::from(tokens);
        for (window, total, unused, kind) in [
            (&self.minute, requests, 0, LimitKind::Requests),
            (&self.tokens, tokens, unsettled, LimitKind::Tokens),
            (&self.day, requests, 0, LimitKind::Day),
        ] {
            if let Some(window) = window {
                add(window.ready_at(total, unused, now), kind);
            }
        }
        latest
    }

    /// Returns the kind of a limit that can never admit `demand`, and the maximum that this limit can admit.
    /// `None` if every limit can admit `demand` at some time.
    pub(super) fn exceeded_limit(&self, demand: Demand) -> Option<(LimitKind, u32)> {
        let Limits { rpm, tpm, rpd, .. } = self.limits;
        let bursts = self.limits.rate_limits().map(|rate_limit| rate_limit.capacity());
        let requests = bursts.chain(rpm).chain(rpd).min();
        let exceeded = |demanded, limit: Option<u32>| limit.filter(|limit| demanded > *limit);
        let requests = exceeded(demand.requests, requests).map(|limit| (LimitKind::Requests, limit));
        requests.or_else(|| Some((LimitKind::Tokens, exceeded(demand.tokens, tpm)?)))
    }

    /// Charges an attempt to all counters and occupies a slot, even if a limit is exceeded.
    pub(super) fn charge(&mut self, demand: Demand, seq: u64, now: Timestamp) {
        self.in_flight += 1;
        self.unsettled += u64::from(demand.tokens);
        if !self.is_counted {
            return;
        }
        if let (Some(minute_bucket), Some(minute)) = (&mut self.minute_bucket, &self.minute) {
            // `ZERO` if the window has had room since the last charge.
            let full_until = minute.ready_at(1, 0, Timestamp::ZERO);
            if full_until > Timestamp::ZERO && full_until <= now {
                minute_bucket.cap_at(1, seq, full_until);
            }
        }
        for bucket in self.buckets_mut() {
            bucket.charge(demand.requests, seq, now);
        }
        for (window, amount) in self.windows_mut(demand) {
            window.charge(amount, now);
        }
    }

    /// Refunds the charge of an attempt that was never sent.
    pub(super) fn refund(&mut self, charge: ChargeId, demand: Demand) {
        for bucket in self.buckets_mut() {
            bucket.refund(demand.requests, charge.seq);
        }
        for (window, amount) in self.windows_mut(demand) {
            window.correct(charge, amount, 0);
        }
    }

    fn buckets_mut(&mut self) -> impl Iterator<Item = &mut Box<Bucket>> {
        [&mut self.bucket, &mut self.minute_bucket].into_iter().flatten()
    }

    /// Returns each window with the amount that an attempt with this demand takes from it.
    fn windows_mut(&mut self, demand: Demand) -> impl Iterator<Item = (&mut Box<SlidingWindow>, u32)> {
        let windows = [
            (&mut self.minute, demand.requests),
            (&mut self.tokens, demand.tokens),
            (&mut self.day, demand.requests),
        ];
        windows
            .into_iter()
            .filter_map(|(window, amount)| Some((window.as_mut()?, amount)))
    }

    /// Marks the tokens that were charged for an attempt as final, so that they no longer count as estimates.
    /// `tokens` is the number of charged tokens.
    pub(super) fn close(&mut self, tokens: u32) {
        self.unsettled -= u64::from(tokens);
    }

    /// Corrects the number of charged tokens from `before` to `tokens`. Returns whether the correction makes
    /// tokens available.
    pub(super) fn settle(&mut self, charge: ChargeId, before: u32, tokens: u32) -> bool {
        let window = self.tokens.as_mut();
        window.is_some_and(|window| window.correct(charge, before, tokens))
    }

    /// Returns whether some of the charged tokens are still estimates and may therefore be returned.
    pub(super) fn may_regain_tokens(&self) -> bool {
        self.unsettled > 0
    }

    /// Records that the provider refused a request because of a rate limit, although the configured limits
    /// admitted it: for ten minutes, `rpm` admits one request at a time.
    pub(super) fn record_refusal(&mut self, now: Timestamp) {
        if let Some(minute_bucket) = &mut self.minute_bucket {
            minute_bucket.admit_single_until(now + SINGLE_DURATION, now);
        }
    }

    /// Reduces every token bucket to at most one available request. Called after a cooldown, so that waiting
    /// attempts do not all start at once.
    pub(super) fn resume(&mut self, seq: u64, now: Timestamp) {
        self.buckets_mut().for_each(|bucket| bucket.cap_at(1, seq, now));
    }

    /// Returns the charges that still count.
    pub(super) fn save(&self, now: Timestamp) -> SavedState {
        let missing =
            |bucket: &Option<Box<Bucket>>| bucket.as_ref().map_or(0.0, |bucket| bucket.missing(now));
        let charges = |window: &Option<Box<SlidingWindow>>| window.as_ref().map(|window| window.save(now));
        let single = self
            .minute_bucket
            .as_ref()
            .map(|minute_bucket| minute_bucket.single_until.since(now));
        SavedState {
            missing_in_bucket: missing(&self.bucket),
            missing_in_minute: missing(&self.minute_bucket),
            single_for_ms: single.map_or(0, millis),
            minute: charges(&self.minute).unwrap_or_default(),
            tokens: charges(&self.tokens).unwrap_or_default(),
            day: charges(&self.day).unwrap_or_default(),
            ..SavedState::default()
        }
    }

    /// Adds charges that were saved `elapsed` ago to the counters of the configured limits.
    pub(super) fn load(&mut self, state: &SavedState, elapsed: Duration, seq: u64, now: Timestamp) {
        if let Some(minute_bucket) = &mut self.minute_bucket {
            let single = remaining(state.single_for_ms, elapsed).min(SINGLE_DURATION);
            minute_bucket.admit_single_until(now + single, now);
        }
        for (bucket, missing) in [
            (&mut self.bucket, state.missing_in_bucket),
            (&mut self.minute_bucket, state.missing_in_minute),
        ] {
            if let Some(bucket) = bucket {
                bucket.charge_missing(missing, elapsed, seq, now);
            }
        }
        for (window, charges) in [
            (&mut self.minute, &state.minute),
            (&mut self.tokens, &state.tokens),
            (&mut self.day, &state.day),
        ] {
            if let Some(window) = window {
                window.load(charges, elapsed, now);
            }
        }
    }
}
