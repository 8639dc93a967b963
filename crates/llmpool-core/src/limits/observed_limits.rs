//! What a provider was seen to allow, where that is less than what is configured.
//!
//! Two sources: the headers in which providers say what is left, and refusals for a rate that nobody announced. Both only tighten; the
//! configured limits stay the ceiling. Headers are believed until the time they name; a pace learned from refusals relaxes by a
//! twentieth every minute in which none came.
//!
//! Nobody says how long a window is. One that ends within seconds is not waited out, since what is told is as old as an answer takes; nor
//! is one whose end moves away. Both are taken for limits that come back evenly, over the longest time to an end that was told, and over
//! twice as long when a refusal shows that this was too short. What led to a refusal is what was sent since the one before it.

use std::time::Duration;

use super::bucket::{Bucket, Denied};
use super::demand::Demand;
use super::rate_limit::RateLimit;
use crate::time::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
/// Of what was sent in the minute before a refusal, or of the pace that led to it, so much is tried next.
const TIGHTER: f64 = 0.85;
const LOOSER: f64 = 1.05;
/// Ends of one window are told in whole seconds, and from further and nearer.
const JITTER: Duration = Duration::from_secs(2);
/// A window that ends so soon is over before what is told of it is of use.
const SHORT: Duration = Duration::from_secs(2);
/// A single refusal after fewer requests than this in a minute says nothing of a pace; a second one soon after does.
const MANY: f64 = 20.0;
const SOON: Duration = Duration::from_secs(300);
/// Refusals that come closer than this are of one crowd.
const ONE_CROWD: Duration = Duration::from_millis(500);
/// Nothing is given back to the buckets here: what was learned is too coarse for it.
const UNNUMBERED: u64 = 0;
/// So long a limit without an end of its own is believed in of which no answer tells any more.
const BELIEVED: Duration = Duration::from_secs(120);
/// A pace so far above what is asked for binds nobody any more.
const FORGOTTEN_AT: f64 = 2.0;

/// What one answer says about a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSnapshot {
    /// The limit itself.
    pub limit: Option<u32>,
    /// What is left of it.
    pub remaining: Option<u32>,
    /// When it is whole again, measured from the answer.
    pub reset: Option<Duration>,
}

/// What one answer says about the limits of requests and of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSnapshots {
    /// Of requests.
    pub requests: LimitSnapshot,
    /// Of tokens.
    pub tokens: LimitSnapshot,
}

/// What was learned of a key or account.
#[derive(Clone, Debug, Default)]
pub(super) struct ObservedLimits {
    enabled: bool,
    /// What may stand in the way; elsewhere, since most keys know of nothing.
    bounds: Option<Box<ObservedBounds>>,
    recent: RecentRequests,
    refused_at: Option<Timestamp>,
    sent_since: u32,
}

#[derive(Clone, Debug, Default)]
struct ObservedBounds {
    requests: Channel,
    tokens: Channel,
    /// When each of the two was last told of.
    told_at: [Timestamp; 2],
    pace: Option<Pace>,
}

impl ObservedLimits {
    pub(super) fn enabled() -> Self {
        Self {
            enabled: true,
            ..Self::default()
        }
    }

    /// From now on, whatever was not learned until now.
    pub(super) fn enable(&mut self) {
        self.enabled = true;
    }

    /// What was learned elsewhere of the same limits holds here too: of each the stricter.
    pub(super) fn merge(&mut self, other: Self, now: Timestamp) {
        let Self {
            enabled: _,
            bounds,
            recent,
            refused_at,
            sent_since,
        } = other;
        if !self.enabled {
            return;
        }
        self.recent.add(recent);
        self.refused_at = self.refused_at.max(refused_at);
        self.sent_since = self.sent_since.saturating_add(sent_since);
        let Some(other) = bounds else { return };
        match &mut self.bounds {
            Some(own) => own.merge(*other, now),
            None => self.bounds = Some(other),
        }
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether anything was learned that may stand in the way.
    #[inline(always)]
    pub(super) fn binds(&self) -> bool {
        self.bounds.is_some()
    }

    pub(super) fn is_paced(&self) -> bool {
        self.bounds.as_ref().is_some_and(|bounds| bounds.is_paced())
    }

    /// The requests a minute that refusals and headers left over, where they bind.
    pub(super) fn per_minute(&self) -> Option<f64> {
        self.bounds.as_ref()?.per_minute()
    }

    pub(super) fn ready_at(&self, demand: Demand, now: Timestamp) -> Timestamp {
        self.bounds
            .as_ref()
            .map_or(now, |bounds| bounds.ready_at(demand, now))
    }

    #[inline(always)]
    pub(super) fn charge(&mut self, demand: Demand, now: Timestamp) {
        if !self.enabled {
            return;
        }
        self.recent.count(now);
        self.sent_since = self.sent_since.saturating_add(1);
        if self.binds() {
            self.charge_what_binds(demand, now);
        }
    }

    fn charge_what_binds(&mut self, demand: Demand, now: Timestamp) {
        let Some(bounds) = &mut self.bounds else { return };
        bounds.charge(demand, &self.recent, now);
        if bounds.are_gone() {
            self.bounds = None;
        }
    }

    pub(super) fn refund(&mut self, demand: Demand) {
        if let Some(bounds) = &mut self.bounds {
            bounds.requests.refund(demand.requests);
            bounds.tokens.refund(demand.tokens);
        }
    }

    /// An answer said what is left. `others` are attempts under way that it may not have counted.
    pub(super) fn observe(&mut self, sights: &LimitSnapshots, others: u32, now: Timestamp) {
        if !self.enabled {
            return;
        }
        let mut bounds = self.bounds.take().unwrap_or_default();
        bounds.observe(sights, others, now);
        self.bounds = Some(bounds).filter(|bounds| !bounds.are_gone());
    }

    /// A refusal for a rate that nobody announced.
    pub(super) fn refused(&mut self, now: Timestamp) {
        if !self.enabled {
            return;
        }
        let requests = self.bounds.as_deref_mut().map(|bounds| &mut bounds.requests);
        if let Some(announced @ (Channel::Refilling(_) | Channel::Rolling { .. } | Channel::Fixed { .. })) =
            requests
        {
            // The announcement says more than the refusal, but for a span that nobody said.
            announced.widen(now);
            if let Some(bounds) = &mut self.bounds {
                bounds.told_at[0] = now;
            }
            return;
        }
        let before = self.refused_at.map(|at| now.since(at));
        if before.is_some_and(|since| since < ONE_CROWD) {
            return;
        }
        self.refused_at = Some(now);
        let sent_since = std::mem::take(&mut self.sent_since);
        let led_here = match before.filter(|since| *since <= SOON) {
            // The rest in between is counted in, so this is what the provider lets through.
            Some(since) => f64::from(sent_since) * MINUTE.div_duration_f64(since.max(Duration::from_secs(1))),
            None if self.recent.per_minute(now) < MANY => return,
            None => self.recent.per_minute(now) * TIGHTER,
        };
        let paced = self.bounds.as_ref().and_then(|bounds| bounds.pace.as_ref());
        let tighter = paced.map_or(led_here, |pace| led_here.min(pace.per_minute * TIGHTER));
        if let Some(pace) = Pace::new(tighter, now) {
            self.bounds.get_or_insert_default().pace = Some(pace);
        }
    }
}

impl ObservedBounds {
    fn merge(&mut self, other: Self, now: Timestamp) {
        self.requests.merge(other.requests, now);
        self.tokens.merge(other.tokens, now);
        for (own, other) in self.told_at.iter_mut().zip(other.told_at) {
            *own = (*own).max(other);
        }
        let paces = self.pace.take().into_iter().chain(other.pace);
        self.pace = paces.min_by(|one, other| one.per_minute.total_cmp(&other.per_minute));
    }

    fn are_gone(&self) -> bool {
        let channels = (&self.requests, &self.tokens);
        self.pace.is_none() && matches!(channels, (Channel::Unknown, Channel::Unknown))
    }

    fn is_paced(&self) -> bool {
        self.pace.is_some() || matches!(self.requests, Channel::Refilling(_) | Channel::Rolling { .. })
    }

    fn per_minute(&self) -> Option<f64> {
        let pace = self.pace.as_ref().map(|pace| pace.per_minute);
        let limit = match &self.requests {
            Channel::Refilling(bucket) | Channel::Rolling { bucket, .. } => {
                Some(bucket.quota().per_second() * MINUTE.as_secs_f64())
            }
            Channel::Unknown | Channel::Fixed { .. } => None,
        };
        pace.into_iter().chain(limit).reduce(f64::min)
    }

    fn ready_at(&self, demand: Demand, now: Timestamp) -> Timestamp {
        let pace = self
            .pace
            .as_ref()
            .map_or(now, |pace| ready_in(&pace.bucket, 1, now));
        let requests = self.requests.ready_at(demand.requests, now);
        pace.max(requests)
            .max(self.tokens.ready_at(demand.tokens.max(1), now))
    }

    fn observe(&mut self, sights: &LimitSnapshots, others: u32, now: Timestamp) {
        self.requests.observe(&sights.requests, others, now);
        self.tokens.observe(&sights.tokens, 0, now);
        let told = [sights.requests, sights.tokens].map(|sight| sight.remaining.is_some());
        for (told_at, told) in self.told_at.iter_mut().zip(told) {
            if told {
                *told_at = now;
            }
        }
    }

    /// A limit that bound us would be told of with every answer. Where answers no longer say that it is scarce, it is another by now.
    fn forget(&mut self, now: Timestamp) {
        for (channel, told_at) in [&mut self.requests, &mut self.tokens]
            .into_iter()
            .zip(self.told_at)
        {
            let lasts = matches!(channel, Channel::Refilling(_) | Channel::Rolling { .. });
            if lasts && now.since(told_at) > BELIEVED {
                *channel = Channel::Unknown;
            }
        }
    }

    fn charge(&mut self, demand: Demand, recent: &RecentRequests, now: Timestamp) {
        self.forget(now);
        self.requests.charge(demand.requests, now);
        self.tokens.charge(demand.tokens, now);
        if let Some(pace) = &mut self.pace {
            pace.charge(now);
            let forgotten = pace.per_minute > recent.per_minute(now) * FORGOTTEN_AT + 1.0;
            if forgotten && now >= pace.binds_until {
                self.pace = None;
            }
        }
    }
}

fn ready_in(bucket: &Bucket, amount: u32, now: Timestamp) -> Timestamp {
    match bucket.check(amount.min(bucket.quota().capacity()), now) {
        Err(Denied::Until(until)) => until,
        _ => now,
    }
}

/// One limit as headers describe it.
#[derive(Clone, Debug, Default)]
enum Channel {
    #[default]
    Unknown,
    /// It refills all the time.
    Refilling(Bucket),
    /// What was used comes back bit by bit, all of it within `span`.
    Rolling { bucket: Bucket, span: Duration },
    /// So much is left until a new window begins; `first` is its end as it was told first, `span` the longest time to an end.
    Fixed {
        left: u32,
        until: Timestamp,
        first: Timestamp,
        span: Duration,
    },
}

impl Channel {
    fn ready_at(&self, amount: u32, now: Timestamp) -> Timestamp {
        match self {
            Self::Refilling(bucket) | Self::Rolling { bucket, .. } => ready_in(bucket, amount, now),
            Self::Fixed { left, until, .. } if *left < amount => (*until).max(now),
            Self::Unknown | Self::Fixed { .. } => now,
        }
    }

    fn charge(&mut self, amount: u32, now: Timestamp) {
        match self {
            Self::Refilling(bucket) | Self::Rolling { bucket, .. } => {
                bucket.charge(amount, UNNUMBERED, now);
            }
            Self::Fixed { until, .. } if *until <= now => *self = Self::Unknown,
            Self::Fixed { left, .. } => *left = left.saturating_sub(amount),
            Self::Unknown => {}
        }
    }

    fn refund(&mut self, amount: u32) {
        if let Self::Fixed { left, .. } = self {
            *left = left.saturating_add(amount);
        }
    }

    fn observe(&mut self, sight: &LimitSnapshot, others: u32, now: Timestamp) {
        let (Some(remaining), Some(reset)) = (sight.remaining, sight.reset) else {
            return;
        };
        let left = remaining.saturating_sub(others);
        if let Some(quota) = refill(sight, remaining, reset) {
            match self {
                Self::Refilling(bucket) if bucket.quota().capacity() == quota.capacity() => {}
                _ => *self = Self::Refilling(Bucket::new(quota, UNNUMBERED)),
            }
            if let Self::Refilling(bucket) = self {
                bucket.leave(left, UNNUMBERED, now);
            }
            return;
        }
        let until = now + reset;
        match self {
            Self::Rolling { bucket, span }
                if sight.limit == Some(bucket.quota().capacity()) && reset <= *span + JITTER =>
            {
                bucket.leave(left, UNNUMBERED, now);
                if let Some(quota) = evenly(bucket.quota().capacity(), reset).filter(|_| reset > *span) {
                    bucket.set_quota(quota, UNNUMBERED, now);
                    *span = reset;
                }
            }
            // The end of a window stays where it is; one that moves away is told of each request anew.
            Self::Fixed { first, span, .. } if *first > now && until.since(*first) > JITTER => {
                let span = reset.max(*span);
                *self = rolling(sight.limit, left, span, now).unwrap_or_default();
            }
            // An answer to an older request came late: within one window what is left only shrinks.
            Self::Fixed {
                left: known,
                until: end,
                first,
                span,
            } if *end > now && first.since(until) <= JITTER => {
                *known = left.min(*known);
                *end = until.max(*end);
                *span = reset.max(*span);
            }
            _ if reset <= SHORT && sight.limit.is_some() => {
                *self = rolling(sight.limit, left, SHORT / 2, now).unwrap_or_default();
            }
            _ => {
                *self = Self::Fixed {
                    left,
                    until,
                    first: until,
                    span: reset,
                };
            }
        }
    }

    /// Two descriptions of one limit: the one that lets through less.
    fn merge(&mut self, other: Self, now: Timestamp) {
        let left = |channel: &Self| match channel {
            Self::Unknown => u32::MAX,
            Self::Refilling(bucket) | Self::Rolling { bucket, .. } => bucket.available(now),
            Self::Fixed { until, .. } if *until <= now => u32::MAX,
            Self::Fixed { left, .. } => *left,
        };
        if left(&other) < left(self) {
            *self = other;
        }
    }

    /// A refusal came though there should have been something left: what comes back takes longer than was thought.
    fn widen(&mut self, now: Timestamp) {
        let Self::Rolling { bucket, span } = self else {
            return;
        };
        let wider = (*span * 2).min(MINUTE);
        if let Some(quota) = evenly(bucket.quota().capacity(), wider).filter(|_| wider > *span) {
            bucket.set_quota(quota, UNNUMBERED, now);
            bucket.leave(0, UNNUMBERED, now);
            *span = wider;
        }
    }
}

fn rolling(limit: Option<u32>, left: u32, span: Duration, now: Timestamp) -> Option<Channel> {
    let mut bucket = Bucket::new(evenly(limit?, span)?, UNNUMBERED);
    bucket.leave(left, UNNUMBERED, now);
    Some(Channel::Rolling { bucket, span })
}

fn evenly(limit: u32, span: Duration) -> Option<RateLimit> {
    RateLimit::new(limit, f64::from(limit) / span.as_secs_f64()).ok()
}

fn a_minute(limit: u32) -> Option<RateLimit> {
    evenly(limit, MINUTE)
}

/// The quota of a limit that refills all the time: what is missing comes back in proportion, the whole of it in a minute.
fn refill(sight: &LimitSnapshot, remaining: u32, reset: Duration) -> Option<RateLimit> {
    let limit = sight.limit.filter(|limit| *limit > 0)?;
    let missing = f64::from(limit.checked_sub(remaining)?);
    let whole = MINUTE.mul_f64(missing / f64::from(limit));
    let tolerance = Duration::from_millis(1100).max(whole / 10);
    // A full window of a minute looks the same; it is told apart as soon as time has passed in it.
    if missing == 0.0 || reset + tolerance < whole || reset > whole + tolerance {
        return None;
    }
    a_minute(limit)
}

/// Of a limit that refills all the time, how many requests it would take from the beginning of time to be whole when it is: a number that
/// grows by one with every request, and by nothing else.
pub(super) fn refills_by(sight: &LimitSnapshot, now: Timestamp) -> Option<f64> {
    let (remaining, reset) = (sight.remaining?, sight.reset?);
    let quota = refill(sight, remaining, reset)?;
    Some((now + reset).since(Timestamp::ZERO).as_secs_f64() * quota.per_second())
}

/// A pace learned from refusals.
#[derive(Clone, Debug)]
struct Pace {
    per_minute: f64,
    bucket: Bucket,
    relax_at: Timestamp,
    binds_until: Timestamp,
}

impl Pace {
    fn new(per_minute: f64, now: Timestamp) -> Option<Self> {
        let per_minute = per_minute.max(1.0);
        let quota = RateLimit::new(1, per_minute / MINUTE.as_secs_f64()).ok()?;
        Some(Self {
            per_minute,
            bucket: Bucket::new(quota, UNNUMBERED),
            relax_at: now + MINUTE,
            binds_until: now + MINUTE * 2,
        })
    }

    fn charge(&mut self, now: Timestamp) {
        if now >= self.relax_at {
            self.relax_at = now + MINUTE;
            self.per_minute *= LOOSER;
            if let Ok(quota) = RateLimit::new(1, self.per_minute / MINUTE.as_secs_f64()) {
                self.bucket.set_quota(quota, UNNUMBERED, now);
            }
        }
        self.bucket.charge(1, UNNUMBERED, now);
    }
}

/// How many requests there were lately, from two counters: those of this minute and of the one before.
#[derive(Clone, Debug, Default)]
struct RecentRequests {
    minute: u64,
    count: u32,
    before: u32,
}

impl RecentRequests {
    fn count(&mut self, now: Timestamp) {
        self.turn_to(now.as_nanos() / MINUTE.as_nanos() as u64);
        self.count += 1;
    }

    /// Begins another minute, if it is one.
    fn turn_to(&mut self, minute: u64) {
        if minute != self.minute {
            self.before = if minute == self.minute + 1 { self.count } else { 0 };
            self.count = 0;
            self.minute = minute;
        }
    }

    fn add(&mut self, mut other: Self) {
        let minute = self.minute.max(other.minute);
        self.turn_to(minute);
        other.turn_to(minute);
        self.count = self.count.saturating_add(other.count);
        self.before = self.before.saturating_add(other.before);
    }

    fn per_minute(&self, now: Timestamp) -> f64 {
        let span = MINUTE.as_nanos() as u64;
        let minutes = (now.as_nanos() / span).saturating_sub(self.minute);
        let passed = (now.as_nanos() % span) as f64 / span as f64;
        match minutes {
            0 => f64::from(self.count) + f64::from(self.before) * (1.0 - passed),
            1 => f64::from(self.count) * (1.0 - passed),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_nanos(600_000_000_000);

    fn sights(limit: u32, remaining: u32, reset: f64) -> LimitSnapshots {
        LimitSnapshots {
            requests: LimitSnapshot {
                limit: Some(limit),
                remaining: Some(remaining),
                reset: Some(Duration::from_secs_f64(reset)),
            },
            ..LimitSnapshots::default()
        }
    }

    fn after(seconds: f64) -> Timestamp {
        START + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_window_that_is_used_up_is_waited_for() {
        let mut learned = ObservedLimits::enabled();
        learned.observe(&sights(60, 0, 20.0), 0, START);
        assert_eq!(learned.ready_at(Demand::ONE, START), after(20.0));
        assert_eq!(learned.ready_at(Demand::ONE, after(20.0)), after(20.0));
        learned.observe(&sights(60, 2, 20.0), 1, START);
        assert_eq!(
            learned.ready_at(Demand::ONE, START),
            after(20.0),
            "a late answer gives nothing back"
        );
        let mut learned = ObservedLimits::enabled();
        learned.observe(&sights(60, 2, 20.0), 1, START);
        assert_eq!(learned.ready_at(Demand::ONE, START), START);
        learned.charge(Demand::ONE, START);
        assert_eq!(
            learned.ready_at(Demand::ONE, START),
            after(20.0),
            "the other one under way was the second"
        );
    }

    #[test]
    fn a_limit_that_refills_all_the_time_is_waited_for_one_by_one() {
        let mut learned = ObservedLimits::enabled();
        learned.observe(&sights(60, 0, 60.0), 0, START);
        assert_eq!(learned.ready_at(Demand::ONE, START), after(1.0));
        learned.charge(Demand::ONE, after(1.0));
        assert_eq!(learned.ready_at(Demand::ONE, after(1.0)), after(2.0));
        assert_eq!(learned.per_minute().map(f64::round), Some(60.0));
    }

    /// Of a limit that is not scarce any more nothing is told.
    #[test]
    fn a_limit_that_the_provider_raised_is_forgotten() {
        for first in [sights(60, 0, 60.0), sights(10, 2, 1.0)] {
            let mut learned = ObservedLimits::enabled();
            learned.observe(&first, 0, START);
            assert!(learned.is_paced());
            let mut now = START;
            while now < after(121.0) {
                now = learned
                    .ready_at(Demand::ONE, now)
                    .max(now + Duration::from_millis(10));
                learned.charge(Demand::ONE, now);
            }
            assert!(!learned.binds(), "{first:?}");
            assert_eq!(learned.ready_at(Demand::ONE, now), now);
        }
    }

    #[test]
    fn a_limit_that_is_told_of_again_and_again_stays() {
        let mut learned = ObservedLimits::enabled();
        for second in 0..600 {
            let now = after(f64::from(second));
            learned.observe(&sights(60, 0, 60.0), 0, now);
            assert_eq!(learned.ready_at(Demand::ONE, now), now + Duration::from_secs(1));
            learned.charge(Demand::ONE, now);
        }
    }

    #[test]
    fn a_window_whose_end_moves_with_every_request_is_not_waited_out() {
        let mut learned = ObservedLimits::enabled();
        for (at, remaining) in [(0.0, 40), (1.0, 38), (2.5, 36)] {
            learned.observe(&sights(60, remaining, 60.0), 0, after(at));
        }
        learned.observe(&sights(60, 0, 59.0), 0, after(5.0));
        assert_eq!(
            learned.ready_at(Demand::ONE, after(5.0)),
            after(6.0),
            "one comes back at a time"
        );
        let mut fixed = ObservedLimits::enabled();
        for (at, remaining) in [(0.0, 40), (1.0, 38), (2.5, 36), (5.0, 0)] {
            fixed.observe(&sights(60, remaining, 50.0 - at), 0, after(at));
        }
        assert_eq!(fixed.ready_at(Demand::ONE, after(5.0)), after(50.0));
    }

    #[test]
    fn a_refusal_tightens_at_once_and_relaxes_slowly() {
        let mut learned = ObservedLimits::enabled();
        for at in 0..100 {
            learned.charge(Demand::ONE, after(f64::from(at) * 0.5));
        }
        learned.refused(after(50.0));
        let tightened = learned.per_minute().unwrap();
        assert!((80.0..90.0).contains(&tightened), "{tightened}");
        let mut now = after(50.0);
        for _ in 0..tightened as usize * 3 {
            now = learned.ready_at(Demand::ONE, now);
            learned.charge(Demand::ONE, now);
        }
        let relaxed = learned.per_minute().unwrap() / tightened;
        assert!((1.05..1.16).contains(&relaxed), "{relaxed}");
        learned.refused(now);
        assert!(learned.per_minute().unwrap() < tightened);
    }

    #[test]
    fn a_window_that_ends_within_seconds_comes_back_evenly() {
        let mut learned = ObservedLimits::enabled();
        learned.observe(&sights(5, 0, 0.9), 0, START);
        assert_eq!(learned.ready_at(Demand::ONE, START), after(0.2), "five a second");
        learned.observe(&sights(5, 0, 1.8), 0, START);
        assert_eq!(
            learned.per_minute().map(f64::round),
            Some(167.0),
            "it is longer than was thought"
        );
        learned.refused(after(1.0));
        assert_eq!(
            learned.per_minute().map(f64::round),
            Some(83.0),
            "and longer still"
        );
        learned.observe(&sights(5, 0, 40.0), 0, after(2.0));
        assert_eq!(
            learned.ready_at(Demand::ONE, after(2.0)),
            after(42.0),
            "that was the end of a long one"
        );
    }

    #[test]
    fn the_second_refusal_teaches_what_got_through_since_the_first() {
        let mut learned = ObservedLimits::enabled();
        let mut now = START;
        for _ in 0..2 {
            for _ in 0..10 {
                learned.charge(Demand::ONE, now);
            }
            learned.refused(now);
            learned.refused(now + Duration::from_millis(300));
            now = now + Duration::from_secs(2);
        }
        assert_eq!(learned.per_minute().map(f64::round), Some(300.0));
    }

    #[test]
    fn switched_off_nothing_is_learned() {
        let mut learned = ObservedLimits::default();
        learned.observe(&sights(60, 0, 20.0), 0, START);
        learned.refused(START);
        assert_eq!(
            (learned.ready_at(Demand::ONE, START), learned.per_minute()),
            (START, None)
        );
    }
}
