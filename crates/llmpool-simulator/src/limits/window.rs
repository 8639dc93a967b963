//! How often something may happen in a time, counted in the three ways that providers count.
//!
//! It counts in integers, so a wait is exact to the nanosecond.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;

/// How a limit over a time is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// A bucket as large as the limit that refills all the time: what rested may come at once, so up to twice the limit
    /// passes in one span.
    #[default]
    Bucket,
    /// A count that begins anew at each multiple of the time: up to twice the limit passes around such a moment.
    #[serde(alias = "fixed_minute")]
    Fixed,
    /// A log of what passed: in no span whatever does more than the limit pass. What came at t is out at t + time.
    Sliding,
}

/// A limit over a time, with what is spent of it. A time that is earlier than one before counts as that one.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    limit: u32,
    per: Duration,
    spent: Spent,
    /// The latest time it heard of.
    latest: Duration,
}

#[derive(Clone, Debug)]
enum Spent {
    /// What is missing in the bucket at `latest`, in units of which a whole one has as many as the time has
    /// nanoseconds: so each nanosecond gives back exactly `limit` of them.
    Bucket(u128),
    /// How much came since the last multiple of the time.
    Fixed(u64),
    /// What came in the last span.
    Sliding(Log),
}

/// When something came and how much, no more than needed to tell whether the limit is reached.
#[derive(Clone, Debug, Default)]
struct Log {
    /// Oldest first.
    entries: VecDeque<(Duration, u32)>,
    sum: u64,
}

impl Window {
    /// `limit` and `per` of 0 count as the smallest that there is.
    pub(crate) fn new(kind: WindowKind, limit: u32, per: Duration) -> Self {
        Self {
            limit: limit.max(1),
            per: per.max(Duration::from_nanos(1)),
            spent: match kind {
                WindowKind::Bucket => Spent::Bucket(0),
                WindowKind::Fixed => Spent::Fixed(0),
                WindowKind::Sliding => Spent::Sliding(Log::default()),
            },
            latest: Duration::ZERO,
        }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// How long until `amount` fits: 0 if it does now, `None` if it never will.
    pub(crate) fn wait(&mut self, amount: u32, now: Duration) -> Option<Duration> {
        self.advance(now);
        let free = self.limit.checked_sub(amount)?;
        Some(match &self.spent {
            Spent::Bucket(missing) => self.time_to_refill(missing.saturating_sub(self.units(free))),
            Spent::Fixed(spent) if *spent <= u64::from(free) => Duration::ZERO,
            Spent::Fixed(_) => self.to_next_multiple(),
            Spent::Sliding(log) => log
                .last_in_the_way_of(u64::from(free))
                .map_or(Duration::ZERO, |at| self.to_leave(at)),
        })
    }

    /// Spends `amount`, whether there is room or not. Debts are not kept: at most the whole limit is missing.
    pub(crate) fn spend(&mut self, amount: u32, now: Duration) {
        self.advance(now);
        let units = self.units(amount);
        let all = self.units(self.limit);
        match &mut self.spent {
            Spent::Bucket(missing) => *missing = (*missing + units).min(all),
            Spent::Fixed(spent) => *spent = (*spent + u64::from(amount)).min(u64::from(self.limit)),
            Spent::Sliding(log) => log.add(self.latest, amount, u64::from(self.limit)),
        }
    }

    /// How many whole ones may pass now.
    pub(crate) fn remaining(&mut self, now: Duration) -> u32 {
        self.advance(now);
        let spent = match &self.spent {
            Spent::Bucket(missing) => missing.div_ceil(self.per.as_nanos()),
            Spent::Fixed(spent) => u128::from(*spent),
            Spent::Sliding(log) => u128::from(log.sum),
        };
        self.limit
            .saturating_sub(u32::try_from(spent).unwrap_or(u32::MAX))
    }

    /// How long until the whole limit is there again if nothing more comes.
    pub(crate) fn reset(&mut self, now: Duration) -> Duration {
        self.advance(now);
        match &self.spent {
            Spent::Bucket(missing) => self.time_to_refill(*missing),
            Spent::Fixed(0) => Duration::ZERO,
            Spent::Fixed(_) => self.to_next_multiple(),
            Spent::Sliding(log) => log
                .entries
                .back()
                .map_or(Duration::ZERO, |(at, _)| self.to_leave(*at)),
        }
    }

    /// Gives back what time has given back since the last call.
    fn advance(&mut self, now: Duration) {
        let before = self.latest;
        self.latest = now.max(before);
        let (per, limit) = (self.per, u128::from(self.limit));
        let latest = self.latest;
        match &mut self.spent {
            Spent::Bucket(missing) => {
                let refilled = (latest - before).as_nanos().saturating_mul(limit);
                *missing = missing.saturating_sub(refilled);
            }
            Spent::Fixed(spent) => {
                if before.as_nanos() / per.as_nanos() != latest.as_nanos() / per.as_nanos() {
                    *spent = 0;
                }
            }
            Spent::Sliding(log) => log.forget_while(|at, _| at.saturating_add(per) <= latest),
        }
    }

    fn units(&self, amount: u32) -> u128 {
        u128::from(amount).saturating_mul(self.per.as_nanos())
    }

    fn time_to_refill(&self, units: u128) -> Duration {
        Duration::from_nanos_u128(units.div_ceil(u128::from(self.limit)))
    }

    /// Until what came at `at` is out of the log.
    fn to_leave(&self, at: Duration) -> Duration {
        at.saturating_add(self.per) - self.latest
    }

    fn to_next_multiple(&self) -> Duration {
        let per = self.per.as_nanos();
        Duration::from_nanos_u128(per - self.latest.as_nanos() % per)
    }
}

impl Log {
    /// Whoever is denied and asks on is logged too, if that counts; what cannot decide anything any more is dropped.
    fn add(&mut self, at: Duration, amount: u32, limit: u64) {
        self.entries.push_back((at, amount));
        self.sum += u64::from(amount);
        self.forget_while(|_, rest| rest >= limit);
    }

    /// Drops the oldest as long as the test says so; it gets the time of the oldest and the sum without it.
    fn forget_while(&mut self, needless: impl Fn(Duration, u64) -> bool) {
        while let Some((at, amount)) = self.entries.front().copied() {
            let rest = self.sum - u64::from(amount);
            if !needless(at, rest) {
                return;
            }
            self.entries.pop_front();
            self.sum = rest;
        }
    }

    /// The time of the youngest entry that has to leave until no more than `free` are left.
    fn last_in_the_way_of(&self, free: u64) -> Option<Duration> {
        let mut rest = self.sum;
        let in_the_way = self.entries.iter().take_while(|(_, amount)| {
            let before = rest;
            rest -= u64::from(*amount);
            before > free
        });
        in_the_way.last().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    const KINDS: [WindowKind; 3] = [WindowKind::Bucket, WindowKind::Fixed, WindowKind::Sliding];
    const NANO: Duration = Duration::from_nanos(1);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn passes(window: &mut Window, amount: u32, now: Duration) -> bool {
        let room = window.wait(amount, now) == Some(Duration::ZERO);
        if room {
            window.spend(amount, now);
        }
        room
    }

    /// Bursts and pauses, so that limits are reached and left again.
    fn times(seed: u64) -> Vec<Duration> {
        let mut random = SplitMix64::new(seed, 0);
        let mut now = Duration::ZERO;
        let times = std::iter::repeat_with(|| {
            if random.chance(0.3) {
                now += Duration::from_nanos(random.next() % 4_000_000_000);
            }
            now
        });
        times.take(400).collect()
    }

    #[test]
    fn a_bucket_lets_its_size_through_at_once_and_refills_all_the_time() {
        let mut window = Window::new(WindowKind::Bucket, 3, seconds(60));
        let mut at = |now| passes(&mut window, 1, now);
        assert_eq!([at(seconds(9)); 1], [true]);
        assert_eq!(
            [at(seconds(9)), at(seconds(9)), at(seconds(9))],
            [true, true, false]
        );
        assert!(!at(seconds(29) - NANO) && at(seconds(29)) && !at(seconds(29)));
    }

    #[test]
    fn a_fixed_window_begins_anew_at_each_multiple() {
        let mut window = Window::new(WindowKind::Fixed, 2, seconds(60));
        let mut at = |now| passes(&mut window, 1, now);
        assert_eq!(
            [at(seconds(59)), at(seconds(59)), at(seconds(60) - NANO)],
            [true, true, false]
        );
        assert_eq!(
            [at(seconds(60)), at(seconds(60)), at(seconds(119))],
            [true, true, false]
        );
    }

    #[test]
    fn a_sliding_window_forgets_each_request_after_exactly_its_time() {
        let mut window = Window::new(WindowKind::Sliding, 2, seconds(60));
        let mut at = |now| passes(&mut window, 1, now);
        assert_eq!(
            [at(seconds(0)), at(seconds(40)), at(seconds(60) - NANO)],
            [true, true, false]
        );
        assert_eq!(
            [at(seconds(60)), at(seconds(99)), at(seconds(100))],
            [true, false, true]
        );
    }

    #[test]
    fn in_no_span_does_more_than_the_kind_allows_pass() {
        let (limit, per) = (5, seconds(10));
        for kind in KINDS {
            for seed in 0..20 {
                let mut window = Window::new(kind, limit, per);
                let passed: Vec<Duration> = times(seed)
                    .into_iter()
                    .filter(|now| passes(&mut window, 1, *now))
                    .collect();
                let most = passed
                    .iter()
                    .map(|start| {
                        passed
                            .iter()
                            .filter(|at| **at >= *start && **at < *start + per)
                            .count()
                    })
                    .max()
                    .unwrap();
                let allowed = if kind == WindowKind::Sliding {
                    limit
                } else {
                    2 * limit
                };
                assert!((5..=allowed as usize).contains(&most), "{kind:?} {seed}: {most}");
            }
        }
    }

    /// Against counting by hand.
    #[test]
    fn exactly_what_fits_passes() {
        let (limit, per) = (7, seconds(10));
        let spent = |passed: &[(Duration, u32)], since: &dyn Fn(Duration) -> bool| -> u32 {
            passed
                .iter()
                .filter(|(at, _)| since(*at))
                .map(|(_, amount)| amount)
                .sum()
        };
        for seed in 0..20 {
            let mut random = SplitMix64::new(seed, 2);
            let mut fixed = (Window::new(WindowKind::Fixed, limit, per), Vec::new());
            let mut sliding = (Window::new(WindowKind::Sliding, limit, per), Vec::new());
            for now in times(seed) {
                let amount = (random.next() % 8) as u32;
                let this_span =
                    |at: Duration| at.as_nanos() / per.as_nanos() == now.as_nanos() / per.as_nanos();
                let last_span = |at: Duration| at + per > now;
                let fits = spent(&fixed.1, &this_span) + amount <= limit;
                assert_eq!(passes(&mut fixed.0, amount, now), fits, "fixed {seed} {now:?}");
                fixed.1.extend(fits.then_some((now, amount)));
                let fits = spent(&sliding.1, &last_span) + amount <= limit;
                assert_eq!(
                    passes(&mut sliding.0, amount, now),
                    fits,
                    "sliding {seed} {now:?}"
                );
                sliding.1.extend(fits.then_some((now, amount)));
            }
        }
    }

    #[test]
    fn the_wait_is_exact_for_any_amount() {
        for kind in KINDS {
            for seed in 0..20 {
                let mut random = SplitMix64::new(seed, 1);
                let mut window = Window::new(kind, 7, seconds(10));
                let mut denied = 0;
                for now in times(seed) {
                    let amount = (random.next() % 7) as u32 + 1;
                    let wait = window.wait(amount, now).unwrap();
                    if wait.is_zero() {
                        window.spend(amount, now);
                        continue;
                    }
                    denied += 1;
                    assert_eq!(window.clone().wait(amount, now + wait), Some(Duration::ZERO));
                    assert_ne!(
                        window.clone().wait(amount, now + wait - NANO),
                        Some(Duration::ZERO)
                    );
                }
                assert!(
                    denied > 20,
                    "{kind:?} {seed}: only {denied} denied, too few to tell"
                );
            }
        }
    }

    #[test]
    fn what_remains_passes_and_no_more_and_all_is_back_at_the_reset() {
        for kind in KINDS {
            let mut window = Window::new(kind, 7, seconds(10));
            for now in times(3) {
                let remaining = window.remaining(now);
                assert!(remaining == 0 || window.wait(remaining, now) == Some(Duration::ZERO));
                assert_ne!(window.wait(remaining + 1, now), Some(Duration::ZERO), "{kind:?}");
                let reset = window.reset(now);
                assert_eq!(window.clone().remaining(now + reset), 7, "{kind:?}");
                assert!(
                    reset.is_zero() || window.clone().remaining(now + reset - NANO) < 7,
                    "{kind:?}"
                );
                passes(&mut window, 1, now);
            }
        }
    }

    #[test]
    fn more_than_the_limit_never_passes() {
        for kind in KINDS {
            assert_eq!(Window::new(kind, 3, seconds(60)).wait(4, seconds(0)), None);
        }
    }

    #[test]
    fn a_log_of_the_denied_stays_short_and_denies_as_a_whole_one_would() {
        let mut window = Window::new(WindowKind::Sliding, 3, seconds(60));
        for second in 0..1000 {
            window.spend(1, seconds(second));
        }
        let Spent::Sliding(log) = &window.spent else {
            panic!("sliding")
        };
        assert_eq!(log.entries.len(), 3);
        assert_eq!(
            window.wait(1, seconds(999)),
            Some(seconds(58)),
            "the one of second 997 has to leave"
        );
    }
}
