//! All limits of one target, key or account together: they are taken all or not at all, and each refills by itself.

use super::bucket::{Bucket, Denied};
use super::demand::Demand;
use super::limits::{LimitKind, Limits};
use super::observed_limits::ObservedLimits;
use super::rate_limit::RateLimit;
use super::window::{Counted, Window};
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct LimitSet {
    pub(super) in_flight: u32,
    /// Attempts that may be under way at once; `u32::MAX` is no limit.
    slots: u32,
    /// What is counted, if anything; elsewhere, since most keys have slots at most, and many keys are to lie close together.
    counting: Option<Box<Counting>>,
    /// What the provider was seen to allow, where that is less.
    pub(super) learned: ObservedLimits,
    limits: Box<Limits>,
}

#[derive(Clone, Debug, Default)]
struct Counting {
    buckets: [Option<Bucket>; 2],
    tokens: Option<Window>,
    /// Of the tokens, those of attempts that may turn out to use fewer.
    unsettled: u64,
    day: Option<Window>,
}

/// Where an attempt was counted, to give it back or to correct it; its buckets know it by its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    tokens: Option<Counted>,
    day: Option<Counted>,
}

impl Charge {
    /// Counted nowhere.
    pub(super) const NONE: Self = Self {
        tokens: None,
        day: None,
    };
}

impl LimitSet {
    pub(super) fn new(limits: Limits) -> Self {
        let mut limit_set = Self {
            in_flight: 0,
            slots: u32::MAX,
            counting: None,
            learned: ObservedLimits::default(),
            limits: Box::default(),
        };
        limit_set.set_limits(limits, 0, Timestamp::ZERO);
        limit_set
    }

    /// The limits as configured.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Other limits from now on. What was taken stays taken, and nothing comes on top of it.
    pub(super) fn set_limits(&mut self, limits: Limits, turn: u64, now: Timestamp) {
        *self.limits = limits;
        let per_minute = limits.per_minute_bucket();
        self.slots = limits.max_concurrency.unwrap_or(u32::MAX);
        if per_minute.is_err() {
            self.slots = 0;
        }
        let per_minute = per_minute.unwrap_or_default();
        let rates = [limits.rate_limit, per_minute];
        if rates == [None, None] && limits.tpm.is_none() && limits.rpd.is_none() {
            self.counting = None;
        } else {
            let counting = self.counting.get_or_insert_with(Box::default);
            counting.set_limits(rates, limits, turn, now);
        }
    }

    /// The bucket of bursts.
    pub(super) fn burst(&self) -> Option<&Bucket> {
        self.counting.as_ref()?.buckets[0].as_ref()
    }

    fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.counting
            .iter()
            .flat_map(|counting| counting.buckets.iter().flatten())
    }

    fn buckets_mut(&mut self) -> impl Iterator<Item = &mut Bucket> {
        self.counting
            .iter_mut()
            .flat_map(|counting| counting.buckets.iter_mut().flatten())
    }

    fn tokens(&self) -> Option<&Window> {
        self.counting.as_ref()?.tokens.as_ref()
    }

    fn day(&self) -> Option<&Window> {
        self.counting.as_ref()?.day.as_ref()
    }

    pub(super) fn counts_tokens(&self) -> bool {
        self.tokens().is_some()
    }

    /// Whether those who come now cannot all come at once.
    pub(super) fn is_paced(&self) -> bool {
        self.buckets().next().is_some() || self.learned.is_paced()
    }

    #[inline(always)]
    pub(super) fn has_slot(&self) -> bool {
        self.in_flight < self.slots
    }

    /// When everything this meter counts admits `demand`, and what comes last. `None`: now.
    #[inline(always)]
    pub(super) fn available_at(&self, demand: Demand, now: Timestamp) -> Option<(Timestamp, LimitKind)> {
        let has = match &self.counting {
            Some(counting) => counting.has(demand, now),
            None => true,
        };
        if has && !self.learned.binds() {
            return None;
        }
        self.limited_until(demand, now)
    }

    /// Whether anything but slots can stand in the way.
    #[inline(always)]
    pub(super) fn is_counting(&self) -> bool {
        self.counting.is_some() || self.learned.binds()
    }

    fn limited_until(&self, demand: Demand, now: Timestamp) -> Option<(Timestamp, LimitKind)> {
        let counted = self
            .counting
            .iter()
            .flat_map(|counting| counting.until(demand, now));
        let learned = [(self.learned.ready_at(demand, now), LimitKind::Requests)];
        counted.chain(learned).filter(|(until, _)| *until > now).max()
    }

    /// Counts an attempt in.
    #[inline(always)]
    pub(super) fn charge(&mut self, demand: Demand, turn: u64, now: Timestamp) -> Charge {
        self.in_flight += 1;
        self.learned.charge(demand, now);
        match &mut self.counting {
            Some(counting) => counting.charge(demand, turn, now),
            None => Charge::NONE,
        }
    }

    /// However many tokens an attempt uses, it will be as many as were counted.
    pub(super) fn leave_unsettled(&mut self, charge: Charge, tokens: u32) {
        if let (Some(_), Some(counting)) = (charge.tokens, &mut self.counting) {
            counting.unsettled = counting.unsettled.saturating_sub(tokens.into());
        }
    }

    /// Counts an attempt out that nobody sent.
    pub(super) fn refund(&mut self, charge: Charge, demand: Demand, turn: u64) {
        for bucket in self.buckets_mut() {
            bucket.refund(demand.requests, turn);
        }
        let day = self.counting.as_mut().and_then(|counting| counting.day.as_mut());
        if let (Some(window), Some(counted)) = (day, charge.day) {
            window.correct(counted, demand.requests, 0);
        }
        self.learned.refund(demand);
        self.settle(charge, demand.tokens, 0);
    }

    /// Says that what was counted as `before` tokens were really so many. Answers whether that made room.
    #[inline(always)]
    pub(super) fn settle(&mut self, charge: Charge, before: u32, tokens: u32) -> bool {
        let Some(counted) = charge.tokens else {
            return false;
        };
        let window = self
            .counting
            .as_mut()
            .and_then(|counting| counting.tokens.as_mut());
        window.is_some_and(|window| window.correct(counted, before, tokens))
    }

    /// After a pause: whoever waited comes at the pace of the limits, not all at once.
    pub(super) fn resume(&mut self, turn: u64, now: Timestamp) {
        for bucket in self.buckets_mut() {
            bucket.leave(1, turn, now);
        }
    }

    /// What another one counted counts here too. Of requests in the last minute nobody knows how many they were: those who wait come at the
    /// pace of the limits.
    pub(super) fn merge(&mut self, other: &Self, turn: u64, now: Timestamp) {
        self.resume(turn, now);
        if let (Some(own), Some(other)) = (&mut self.counting, &other.counting) {
            own.merge(other);
        }
    }

    /// The most of `demand` that could ever be taken at once, where that is less than `demand`.
    pub(super) fn never(&self, demand: Demand) -> Option<(LimitKind, u32)> {
        if self.limits.per_minute_bucket().is_err() {
            return Some((LimitKind::Requests, 0));
        }
        let requests = self.buckets().map(|bucket| bucket.quota().capacity());
        let requests = requests.chain(self.day().map(Window::most));
        if let Some(most) = requests.min().filter(|most| demand.requests > *most) {
            return Some((LimitKind::Requests, most));
        }
        let most = self.tokens().map(Window::most);
        most.filter(|most| demand.tokens > *most)
            .map(|most| (LimitKind::Tokens, most))
    }

    /// A lower bound of the instant at which `demand` could have been taken after `ahead` requests. Nobody knows how many tokens attempts under
    /// way and those ahead will turn out to use: none are counted.
    pub(super) fn ready_at(&self, demand: Demand, ahead: u64, now: Timestamp) -> Timestamp {
        let requests = ahead + u64::from(demand.requests);
        let buckets = self.buckets().map(|bucket| bucket.ready_at(requests, now));
        let tokens = self.tokens().map(|window| {
            let unsettled = self.unsettled();
            window.ready_at_but_for(unsettled, u64::from(demand.tokens), now)
        });
        let day = self.day().map(|window| window.ready_at(requests, now));
        let latest = buckets.chain(tokens).chain(day).max().unwrap_or(now);
        latest.max(self.learned.ready_at(Demand::ONE, now))
    }

    fn unsettled(&self) -> u64 {
        self.counting.as_ref().map_or(0, |counting| counting.unsettled)
    }

    /// Whether an attempt under way that turns out to use fewer tokens would make room for others.
    pub(super) fn may_regain_tokens(&self) -> bool {
        self.unsettled() > 0
    }

    pub(super) fn reset(&mut self, turn: u64) {
        if let Some(counting) = &mut self.counting {
            counting.reset(turn);
        }
    }
}

impl Counting {
    fn set_limits(&mut self, rates: [Option<RateLimit>; 2], limits: Limits, turn: u64, now: Timestamp) {
        for (bucket, quota) in self.buckets.iter_mut().zip(rates) {
            match (bucket.as_mut(), quota) {
                (Some(bucket), Some(quota)) => bucket.set_quota(quota, turn, now),
                (_, quota) => *bucket = quota.map(|quota| Bucket::new(quota, turn)),
            }
        }
        let windows = [
            (&mut self.tokens, limits.tpm, Window::minute as fn(u32) -> Window),
            (&mut self.day, limits.rpd, Window::day),
        ];
        for (window, most, new) in windows {
            match (window.as_mut(), most) {
                (Some(window), Some(most)) => window.set_most(most),
                (_, most) => *window = most.map(new),
            }
        }
    }

    /// Whether everything that is counted is there.
    #[inline(always)]
    fn has(&self, demand: Demand, now: Timestamp) -> bool {
        let ready = |window: &Option<Window>, amount: u32| match window {
            Some(window) => window.ready_at(u64::from(amount), now) <= now,
            None => true,
        };
        let has = |bucket: &Option<Bucket>| match bucket {
            Some(bucket) => bucket.has(demand.requests, now),
            None => true,
        };
        let [burst, minute] = &self.buckets;
        has(burst) && has(minute) && ready(&self.tokens, demand.tokens) && ready(&self.day, demand.requests)
    }

    /// When each of what is counted is there.
    fn until(&self, demand: Demand, now: Timestamp) -> impl Iterator<Item = (Timestamp, LimitKind)> {
        let at = move |window: &Window, amount: u32| window.ready_at(u64::from(amount), now);
        let requests = move |bucket: &Bucket| match bucket.check(demand.requests, now) {
            Ok(()) => now,
            Err(Denied::Until(until)) => until,
            Err(Denied::Never { .. }) => Timestamp::MAX,
        };
        let buckets = self.buckets.iter().flatten();
        let buckets = buckets.map(move |bucket| (requests(bucket), LimitKind::Requests));
        let tokens = self.tokens.iter();
        let tokens = tokens.map(move |window| (at(window, demand.tokens), LimitKind::Tokens));
        let day = self.day.iter();
        let day = day.map(move |window| (at(window, demand.requests), LimitKind::Day));
        buckets.chain(tokens).chain(day)
    }

    #[inline(always)]
    fn charge(&mut self, demand: Demand, turn: u64, now: Timestamp) -> Charge {
        for bucket in self.buckets.iter_mut().flatten() {
            bucket.charge(demand.requests, turn, now);
        }
        if self.tokens.is_some() {
            self.unsettled += u64::from(demand.tokens);
        }
        Charge {
            tokens: self
                .tokens
                .as_mut()
                .map(|window| window.charge(demand.tokens, now)),
            day: self
                .day
                .as_mut()
                .map(|window| window.charge(demand.requests, now)),
        }
    }

    fn merge(&mut self, other: &Self) {
        for (own, other) in [(&mut self.tokens, &other.tokens), (&mut self.day, &other.day)] {
            if let (Some(own), Some(other)) = (own, other) {
                own.merge(other);
            }
        }
    }

    fn reset(&mut self, turn: u64) {
        for bucket in self.buckets.iter_mut().flatten() {
            bucket.reset(turn);
        }
        self.tokens.iter_mut().for_each(Window::reset);
        self.unsettled = 0;
        self.day.iter_mut().for_each(Window::reset);
    }
}
