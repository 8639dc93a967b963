//! All limits of one target, key or account together: they are taken all or not at all, and each refills by itself.

use super::bucket::{Bucket, Denied};
use super::learned::Learned;
use super::quota::Quota;
use super::window::{Counted, Window};
use crate::time::Timestamp;

/// What one attempt needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Tokens of the request buckets; 1 for a call.
    pub requests: u32,
    /// Tokens of the model, prompt and answer together, as far as can be told beforehand; 0 where no limit counts them.
    pub tokens: u32,
}

impl Need {
    /// One request of which no tokens are counted.
    pub const ONE: Self = Self {
        requests: 1,
        tokens: 0,
    };
}

/// The limits of one target, key or account; all of them apply at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// So many requests at once, and so many a second.
    pub burst: Option<Quota>,
    /// So many requests in any 60 s: see [`Quota::per_minute`].
    pub minute: Option<Quota>,
    /// So many tokens of the model, prompt and answer together, in any 60 s.
    pub tokens: Option<u32>,
    /// So many requests in any 24 hours.
    pub day: Option<u32>,
    /// Attempts under way at once.
    pub max_concurrency: Option<u32>,
}

impl Limits {
    fn counts_nothing(&self) -> bool {
        let Self {
            burst,
            minute,
            tokens,
            day,
            max_concurrency: _,
        } = self;
        burst.is_none() && minute.is_none() && tokens.is_none() && day.is_none()
    }

    /// The most requests a minute in the long run, where requests are limited.
    pub fn per_minute(&self) -> Option<f64> {
        let quotas = [self.burst, self.minute].into_iter().flatten();
        quotas.map(|quota| quota.per_second() * 60.0).reduce(f64::min)
    }

    /// Of each limit the stricter one.
    pub fn stricter(&self, other: &Self) -> Self {
        let slower = |a: Quota, b: Quota| if b.per_second() < a.per_second() { b } else { a };
        let quota = |a: Option<Quota>, b: Option<Quota>| a.into_iter().chain(b).reduce(slower);
        let least = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
        Self {
            burst: quota(self.burst, other.burst),
            minute: quota(self.minute, other.minute),
            tokens: least(self.tokens, other.tokens),
            day: least(self.day, other.day),
            max_concurrency: least(self.max_concurrency, other.max_concurrency),
        }
    }
}

impl From<Option<Quota>> for Limits {
    fn from(burst: Option<Quota>) -> Self {
        Self {
            burst,
            ..Self::default()
        }
    }
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counts {
    /// Requests, at once, a second or a minute.
    Requests,
    /// Tokens a minute.
    Tokens,
    /// Requests a day.
    Day,
}

#[derive(Clone, Debug)]
pub(super) struct Meter {
    limits: Limits,
    /// No bucket and no window: looked at first, since most keys are like that.
    counts_nothing: bool,
    buckets: [Option<Bucket>; 2],
    tokens: Option<Window>,
    day: Option<Window>,
    /// What the provider was seen to allow, where that is less.
    pub(super) learned: Learned,
    pub(super) in_flight: u32,
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

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            counts_nothing: limits.counts_nothing(),
            buckets: [limits.burst, limits.minute].map(|quota| quota.map(|quota| Bucket::new(quota, 0))),
            tokens: limits.tokens.map(Window::minute),
            day: limits.day.map(Window::day),
            learned: Learned::default(),
            in_flight: 0,
        }
    }

    /// The limits as configured.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Other limits from now on. What was taken stays taken, and nothing comes on top of it.
    pub(super) fn set_limits(&mut self, limits: Limits, turn: u64, now: Timestamp) {
        let quotas = [limits.burst, limits.minute];
        for (bucket, quota) in self.buckets.iter_mut().zip(quotas) {
            match (bucket.as_mut(), quota) {
                (Some(bucket), Some(quota)) => bucket.set_quota(quota, turn, now),
                (_, quota) => *bucket = quota.map(|quota| Bucket::new(quota, turn)),
            }
        }
        let windows = [
            (
                &mut self.tokens,
                limits.tokens,
                Window::minute as fn(u32) -> Window,
            ),
            (&mut self.day, limits.day, Window::day),
        ];
        for (window, most, new) in windows {
            match (window.as_mut(), most) {
                (Some(window), Some(most)) => window.set_most(most),
                (_, most) => *window = most.map(new),
            }
        }
        self.limits = limits;
        self.counts_nothing = limits.counts_nothing();
    }

    /// The bucket of bursts.
    pub(super) fn burst(&self) -> Option<&Bucket> {
        self.buckets[0].as_ref()
    }

    pub(super) fn counts_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whether those who come now cannot all come at once.
    pub(super) fn is_paced(&self) -> bool {
        self.buckets.iter().any(Option::is_some) || self.learned.is_paced()
    }

    #[inline]
    pub(super) fn has_slot(&self) -> bool {
        self.limits
            .max_concurrency
            .is_none_or(|most| self.in_flight < most)
    }

    /// When everything this meter counts admits `need`, and what comes last. `None`: now.
    #[inline]
    pub(super) fn away_for(&self, need: Need, now: Timestamp) -> Option<(Timestamp, Counts)> {
        if !self.is_counting() || self.has(need, now) {
            return None;
        }
        self.limited_until(need, now)
    }

    /// Whether everything that is counted is there.
    #[inline]
    fn has(&self, need: Need, now: Timestamp) -> bool {
        let requests = u64::from(need.requests);
        let ready = |window: &Option<Window>, amount| {
            window
                .as_ref()
                .is_none_or(|window| window.ready_at(amount, now) <= now)
        };
        self.buckets
            .iter()
            .flatten()
            .all(|bucket| bucket.has(need.requests, now))
            && ready(&self.tokens, u64::from(need.tokens))
            && ready(&self.day, requests)
            && (!self.learned.binds() || self.learned.ready_at(need, now) <= now)
    }

    /// Whether anything but slots can stand in the way.
    #[inline]
    pub(super) fn is_counting(&self) -> bool {
        !self.counts_nothing || self.learned.binds()
    }

    fn limited_until(&self, need: Need, now: Timestamp) -> Option<(Timestamp, Counts)> {
        let mut latest = None;
        for bucket in self.buckets.iter().flatten() {
            latest = latest.max(match bucket.check(need.requests, now) {
                Ok(()) => None,
                Err(Denied::Until(until)) => Some((until, Counts::Requests)),
                Err(Denied::Never { .. }) => Some((Timestamp::MAX, Counts::Requests)),
            });
        }
        if let Some(window) = &self.tokens {
            latest = latest.max(Some((
                window.ready_at(u64::from(need.tokens), now),
                Counts::Tokens,
            )));
        }
        if let Some(window) = &self.day {
            latest = latest.max(Some((
                window.ready_at(u64::from(need.requests), now),
                Counts::Day,
            )));
        }
        if self.learned.binds() {
            latest = latest.max(Some((self.learned.ready_at(need, now), Counts::Requests)));
        }
        latest.filter(|(until, _)| *until > now)
    }

    /// Counts an attempt in.
    #[inline]
    pub(super) fn charge(&mut self, need: Need, turn: u64, now: Timestamp) -> Charge {
        self.in_flight += 1;
        self.learned.charge(need, now);
        if self.counts_nothing {
            return Charge::NONE;
        }
        for bucket in self.buckets.iter_mut().flatten() {
            bucket.charge(need.requests, turn, now);
        }
        Charge {
            tokens: self.tokens.as_mut().map(|window| window.charge(need.tokens, now)),
            day: self.day.as_mut().map(|window| window.charge(need.requests, now)),
        }
    }

    /// Counts an attempt out that nobody sent.
    pub(super) fn refund(&mut self, charge: Charge, need: Need, turn: u64) {
        for bucket in self.buckets.iter_mut().flatten() {
            bucket.refund(need.requests, turn);
        }
        if let (Some(window), Some(counted)) = (&mut self.day, charge.day) {
            window.correct(counted, need.requests, 0);
        }
        self.learned.refund(need);
        self.settle(charge, need.tokens, 0);
    }

    /// Says that what was counted as `before` tokens were really so many. Answers whether that made room.
    #[inline]
    pub(super) fn settle(&mut self, charge: Charge, before: u32, tokens: u32) -> bool {
        match (&mut self.tokens, charge.tokens) {
            (Some(window), Some(counted)) => window.correct(counted, before, tokens),
            _ => false,
        }
    }

    /// After a pause: whoever waited comes at the pace of the limits, not all at once.
    pub(super) fn resume(&mut self, turn: u64, now: Timestamp) {
        for bucket in self.buckets.iter_mut().flatten() {
            bucket.leave(1, turn, now);
        }
    }

    /// The most of `need` that could ever be taken at once, where that is less than `need`.
    pub(super) fn never(&self, need: Need) -> Option<(Counts, u32)> {
        let requests = self
            .buckets
            .iter()
            .flatten()
            .map(|bucket| bucket.quota().capacity());
        let requests = requests.chain(self.day.as_ref().map(Window::most));
        if let Some(most) = requests.min().filter(|most| need.requests > *most) {
            return Some((Counts::Requests, most));
        }
        let most = self.tokens.as_ref().map(Window::most);
        most.filter(|most| need.tokens > *most)
            .map(|most| (Counts::Tokens, most))
    }

    /// A lower bound of the instant at which `total` could have been taken piece by piece.
    pub(super) fn ready_at(&self, total: Total, now: Timestamp) -> Timestamp {
        let buckets = self.buckets.iter().flatten();
        let buckets = buckets.map(|bucket| bucket.ready_at(total.requests, now));
        let tokens = self
            .tokens
            .iter()
            .map(|window| window.ready_at(total.tokens, now));
        let day = self.day.iter().map(|window| window.ready_at(total.requests, now));
        let latest = buckets.chain(tokens).chain(day).max().unwrap_or(now);
        latest.max(self.learned.ready_at(Need::ONE, now))
    }

    pub(super) fn reset(&mut self, turn: u64) {
        for bucket in self.buckets.iter_mut().flatten() {
            bucket.reset(turn);
        }
        self.tokens.iter_mut().for_each(Window::reset);
        self.day.iter_mut().for_each(Window::reset);
    }
}

/// What several attempts need together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Tokens of the request buckets.
    pub requests: u64,
    /// Tokens of the model.
    pub tokens: u64,
}

impl std::ops::AddAssign<Need> for Total {
    fn add_assign(&mut self, need: Need) {
        self.requests += u64::from(need.requests);
        self.tokens += u64::from(need.tokens);
    }
}

impl std::ops::SubAssign<Need> for Total {
    fn sub_assign(&mut self, need: Need) {
        self.requests -= u64::from(need.requests);
        self.tokens -= u64::from(need.tokens);
    }
}

impl std::ops::Add for Total {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            tokens: self.tokens + other.tokens,
        }
    }
}

impl From<Need> for Total {
    fn from(need: Need) -> Self {
        let mut total = Self::default();
        total += need;
        total
    }
}
