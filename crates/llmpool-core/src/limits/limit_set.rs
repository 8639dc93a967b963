//! A limit set: the counters behind all limits of one target, key or quota group.
//!
//! An attempt is charged to all counters of the set at once. Each counter recovers independently.

use std::time::Duration;

use super::bucket::Bucket;
use super::charge_id::ChargeId;
use super::demand::Demand;
use super::limits::{LimitKind, Limits};
use super::obstacle::Obstacle;
use super::per_minute::PerMinute;
use super::saved_limits::SavedState;
use super::window::SlidingWindow;
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct LimitSet {
    pub(super) in_flight: u32,
    /// Maximum number of attempts in flight. `u32::MAX` if unlimited, 0 if the configured `rpm` is invalid.
    slots: u32,
    /// Token buckets and sliding windows. `None` if only the number of attempts in flight is limited, as for
    /// most keys. Boxed to keep limit sets small.
    counters: Option<Box<Counters>>,
    limits: Box<Limits>,
}

#[derive(Clone, Debug, Default)]
struct Counters {
    bucket: Option<Bucket>,
    per_minute: Option<PerMinute>,
    tokens: Option<SlidingWindow>,
    /// Number of charged tokens that are still estimates. Some of these tokens may be returned when the
    /// actual numbers are known.
    unsettled: u64,
    day: Option<SlidingWindow>,
}

impl LimitSet {
    pub(super) fn new(limits: Limits) -> Self {
        let mut limit_set = Self {
            in_flight: 0,
            slots: u32::MAX,
            counters: None,
            limits: Box::default(),
        };
        limit_set.set_limits(limits, 0, Timestamp::ZERO);
        limit_set
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Replaces the configured limits. Earlier charges to a limit still count after the limit has been
    /// changed.
    pub(super) fn set_limits(&mut self, limits: Limits, seq: u64, now: Timestamp) {
        *self.limits = limits;
        self.slots = match limits.per_minute_bucket() {
            Ok(_) => limits.max_concurrency.unwrap_or(u32::MAX),
            Err(_) => 0,
        };
        let uncounted = Limits {
            max_concurrency: limits.max_concurrency,
            ..Limits::default()
        };
        if limits == uncounted {
            self.counters = None;
        } else {
            let counters = self.counters.get_or_insert_with(Box::default);
            counters.set_limits(limits, seq, now);
        }
    }

    /// Returns the token bucket of the configured `rate_limit`, or `None` if none is configured.
    pub(super) fn bucket(&self) -> Option<&Bucket> {
        self.counters.as_ref()?.bucket.as_ref()
    }

    fn per_minute(&self) -> Option<&PerMinute> {
        self.counters.as_ref()?.per_minute.as_ref()
    }

    fn tokens(&self) -> Option<&SlidingWindow> {
        self.counters.as_ref()?.tokens.as_ref()
    }

    fn day(&self) -> Option<&SlidingWindow> {
        self.counters.as_ref()?.day.as_ref()
    }

    pub(super) fn counts_tokens(&self) -> bool {
        self.tokens().is_some()
    }

    /// Returns whether a configured rate limit spreads the starts of waiting attempts over time.
    pub(super) fn is_paced(&self) -> bool {
        self.bucket().is_some() || self.per_minute().is_some()
    }

    #[inline(always)]
    pub(super) fn has_slot(&self) -> bool {
        self.in_flight < self.slots
    }

    /// Returns whether nothing but a limit on concurrency is configured, and a slot is free.
    #[inline(always)]
    pub(super) fn is_unlimited(&self) -> bool {
        self.counters.is_none() && self.has_slot()
    }

    /// Returns what keeps an attempt with this demand from starting: a limit that is reached, or occupied slots.
    #[inline(always)]
    pub(super) fn obstacle(&self, demand: Demand, now: Timestamp) -> Option<Obstacle> {
        let slot = (!self.has_slot()).then_some(Obstacle::OCCUPIED);
        let reached = self.available_at(demand, now).map(|(until, kind)| Obstacle {
            limit: Some(kind),
            may_end_early: kind == LimitKind::Tokens && self.may_regain_tokens(),
            ..Obstacle::until(until)
        });
        Obstacle::both(slot, reached)
    }

    /// Returns the time from which the buckets and windows all admit `demand`, and the kind of limit that delays
    /// `demand` longest. `None` if all of them admit `demand` at `now`.
    #[inline(always)]
    pub(super) fn available_at(&self, demand: Demand, now: Timestamp) -> Option<(Timestamp, LimitKind)> {
        self.counters.as_ref()?.available_at(demand, now)
    }

    /// Charges an attempt to all counters and occupies a slot, even if a limit is exceeded.
    #[inline(always)]
    pub(super) fn charge(&mut self, demand: Demand, seq: u64, now: Timestamp) {
        self.in_flight += 1;
        if let Some(counters) = &mut self.counters {
            counters.charge(demand, seq, now);
        }
    }

    /// Marks the tokens that were charged for an attempt as final, so that they no longer count as estimates.
    /// `tokens` is the number of charged tokens.
    pub(super) fn close(&mut self, charge: ChargeId, tokens: u32) {
        if let Some(counters) = &mut self.counters
            && counters
                .tokens
                .as_ref()
                .is_some_and(|window| window.contains(charge))
        {
            counters.unsettled = counters.unsettled.saturating_sub(tokens.into());
        }
    }

    /// Refunds the charge of an attempt that was never sent.
    pub(super) fn refund(&mut self, charge: ChargeId, demand: Demand) {
        if let Some(counters) = &mut self.counters {
            counters.refund(charge, demand);
        }
    }

    /// Corrects the number of charged tokens from `before` to `tokens`. Returns whether the correction makes
    /// tokens available.
    #[inline(always)]
    pub(super) fn settle(&mut self, charge: ChargeId, before: u32, tokens: u32) -> bool {
        let counters = self.counters.as_mut();
        let window = counters.and_then(|counters| counters.tokens.as_mut());
        window.is_some_and(|window| window.correct(charge, before, tokens))
    }

    /// Records that the provider refused a request because of a rate limit, although the configured limits
    /// admitted it: for ten minutes, `rpm` admits one request at a time.
    pub(super) fn record_refusal(&mut self, seq: u64, now: Timestamp) {
        let counters = self.counters.as_mut();
        if let Some(per_minute) = counters.and_then(|counters| counters.per_minute.as_mut()) {
            per_minute.record_refusal(seq, now);
        }
    }

    /// Reduces every token bucket to at most one available request. Called after a cooldown, so that waiting
    /// attempts do not all start at once.
    pub(super) fn resume(&mut self, seq: u64, now: Timestamp) {
        if let Some(counters) = &mut self.counters {
            counters.resume(seq, now);
        }
    }

    /// Returns the kind of a limit that can never admit `demand`, and the maximum that this limit can admit.
    /// `None` if every limit can admit `demand` at some time.
    pub(super) fn exceeded_limit(&self, demand: Demand) -> Option<(LimitKind, u32)> {
        if self.limits.per_minute_bucket().is_err() {
            return Some((LimitKind::Requests, 0));
        }
        let bucket = self.bucket().map(|bucket| bucket.rate_limit().capacity());
        let requests = bucket.into_iter().chain(self.per_minute().map(PerMinute::burst));
        let requests = requests.chain(self.day().map(|window| window.limit));
        if let Some(limit) = requests.min().filter(|limit| demand.requests > *limit) {
            return Some((LimitKind::Requests, limit));
        }
        let limit = self.tokens().map(|window| window.limit);
        limit
            .filter(|limit| demand.tokens > *limit)
            .map(|limit| (LimitKind::Tokens, limit))
    }

    /// Returns a lower bound on the time at which `demand` is admitted if `ahead` other requests are admitted
    /// first. The tokens of those requests, and charged tokens that are still estimates, are left out because
    /// they may turn out to be unused.
    pub(super) fn ready_at(&self, demand: Demand, ahead: u64, now: Timestamp) -> Timestamp {
        let requests = ahead + u64::from(demand.requests);
        let bucket = self.bucket().map(|bucket| bucket.ready_at(requests, now));
        let minute = self.per_minute().map(|minute| minute.ready_at(requests, now));
        let tokens = self.tokens().map(|window| {
            let unsettled = self.unsettled();
            window.ready_at_without(unsettled, u64::from(demand.tokens), now)
        });
        let day = self.day().map(|window| window.ready_at(requests, now));
        let latest = [bucket, minute, tokens, day].into_iter().flatten().max();
        latest.unwrap_or(now)
    }

    fn unsettled(&self) -> u64 {
        self.counters.as_ref().map_or(0, |counters| counters.unsettled)
    }

    /// Returns whether some of the charged tokens are still estimates and may therefore be returned.
    pub(super) fn may_regain_tokens(&self) -> bool {
        self.unsettled() > 0
    }

    /// Returns the charges that still count.
    pub(super) fn save(&self, now: Timestamp) -> SavedState {
        let mut state = SavedState::default();
        let Some(counters) = &self.counters else {
            return state;
        };
        let save = |window: &Option<SlidingWindow>| window.as_ref().map(|window| window.save(now));
        state.tokens = save(&counters.tokens).unwrap_or_default();
        state.day = save(&counters.day).unwrap_or_default();
        state.missing_in_bucket = self.bucket().map_or(0.0, |bucket| bucket.missing(now));
        if let Some(minute) = &counters.per_minute {
            minute.save(&mut state, now);
        }
        state
    }

    /// Adds charges that were saved `elapsed` ago to the counters of the configured limits.
    pub(super) fn load(&mut self, state: &SavedState, elapsed: Duration, seq: u64, now: Timestamp) {
        let Some(counters) = &mut self.counters else {
            return;
        };
        if let Some(window) = &mut counters.tokens {
            window.load(&state.tokens, elapsed, seq, now);
        }
        if let Some(window) = &mut counters.day {
            window.load(&state.day, elapsed, seq, now);
        }
        if let Some(bucket) = &mut counters.bucket {
            bucket.charge_missing(state.missing_in_bucket, elapsed, seq, now);
        }
        if let Some(minute) = &mut counters.per_minute {
            minute.load(state, elapsed, seq, now);
        }
    }

    /// Fills the token buckets and clears the sliding windows.
    pub(super) fn reset(&mut self, seq: u64) {
        if let Some(counters) = &mut self.counters {
            counters.reset(seq);
        }
    }
}

impl Counters {
    fn set_limits(&mut self, limits: Limits, seq: u64, now: Timestamp) {
        match (&mut self.bucket, limits.rate_limit) {
            (Some(bucket), Some(rate)) => bucket.set_rate_limit(rate, seq, now),
            (bucket, rate) => *bucket = rate.map(|rate| Bucket::new(rate, seq)),
        }
        let pace = limits.per_minute_bucket().ok().flatten();
        match (&mut self.per_minute, limits.rpm.zip(pace)) {
            (Some(minute), Some((limit, pace))) => minute.set_limit(limit, pace, seq, now),
            (minute, limit) => *minute = limit.map(|(limit, pace)| PerMinute::new(limit, pace, seq)),
        }
        type NewWindow = fn(u32, u64) -> SlidingWindow;
        let new_windows: [(_, _, NewWindow); 2] = [
            (&mut self.tokens, limits.tpm, SlidingWindow::minute),
            (&mut self.day, limits.rpd, SlidingWindow::day),
        ];
        for (window, limit, new) in new_windows {
            match (window.as_mut(), limit) {
                (Some(window), Some(limit)) => window.limit = limit,
                (_, limit) => *window = limit.map(|limit| new(limit, seq)),
            }
        }
        if self.tokens.is_none() {
            self.unsettled = 0;
        }
    }

    /// Returns the time from which all counters admit `demand`, and the kind of limit that delays `demand`
    /// longest. `None` if all counters admit `demand` at `now`.
    fn available_at(&self, demand: Demand, now: Timestamp) -> Option<(Timestamp, LimitKind)> {
        let windows = [
            (&self.tokens, demand.tokens, LimitKind::Tokens),
            (&self.day, demand.requests, LimitKind::Day),
        ];
        let windows = windows.into_iter().filter_map(|(window, amount, kind)| {
            Some((window.as_ref()?.ready_at(u64::from(amount), now), kind))
        });
        let bucket = self.bucket.as_ref();
        let bucket = bucket.map(|bucket| bucket.available_at(demand.requests, now));
        let minute = self.per_minute.as_ref();
        let minute = minute.map(|minute| minute.available_at(demand.requests, now));
        let requests = bucket.max(minute).map(|until| (until, LimitKind::Requests));
        let limits = requests.into_iter().chain(windows);
        limits.filter(|(until, _)| *until > now).max()
    }

    #[inline(always)]
    fn charge(&mut self, demand: Demand, seq: u64, now: Timestamp) {
        if let Some(bucket) = &mut self.bucket {
            bucket.charge(demand.requests, seq, now);
        }
        if let Some(minute) = &mut self.per_minute {
            minute.charge(demand.requests, seq, now);
        }
        if let Some(window) = &mut self.tokens {
            window.charge(demand.tokens, now);
            self.unsettled += u64::from(demand.tokens);
        }
        if let Some(window) = &mut self.day {
            window.charge(demand.requests, now);
        }
    }

    fn refund(&mut self, charge: ChargeId, demand: Demand) {
        if let Some(bucket) = &mut self.bucket {
            bucket.refund(demand.requests, charge.seq);
        }
        if let Some(minute) = &mut self.per_minute {
            minute.refund(charge, demand.requests);
        }
        for (window, amount) in [
            (&mut self.tokens, demand.tokens),
            (&mut self.day, demand.requests),
        ] {
            if let Some(window) = window {
                window.correct(charge, amount, 0);
            }
        }
    }

    fn resume(&mut self, seq: u64, now: Timestamp) {
        if let Some(bucket) = &mut self.bucket {
            bucket.cap_at(1, seq, now);
        }
        if let Some(minute) = &mut self.per_minute {
            minute.resume(seq, now);
        }
    }

    fn reset(&mut self, seq: u64) {
        self.bucket.iter_mut().for_each(|bucket| bucket.reset(seq));
        self.per_minute.iter_mut().for_each(|minute| minute.reset(seq));
        for window in [&mut self.tokens, &mut self.day].into_iter().flatten() {
            window.reset(seq);
        }
        self.unsettled = 0;
    }
}
