//! A limit per span of time, counted in one of the three ways that providers use.
//!
//! Usage is counted in integers, so waits are exact to the nanosecond.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;

/// The kind of window in which a limit per span of time is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// Token bucket: holds up to the limit and refills continuously. After a pause, up to twice the limit can pass in
    /// one span.
    #[default]
    Bucket,
    /// Fixed window: the count restarts at each multiple of the span. Around such a restart, up to twice the limit can
    /// pass in one span.
    #[serde(alias = "fixed_minute")]
    Fixed,
    /// Sliding window: at most the limit passes in any span. A request that passes at time `t` stops counting at `t +
    /// span`.
    Sliding,
}

/// A limit per span of time, and how much of the limit is used. If the time passed to a method is earlier than a time
/// passed before, the window uses the latest time passed so far.
#[derive(Clone, Debug)]
pub(crate) struct LimitWindow {
    limit: u32,
    per: Duration,
    usage: WindowUsage,
    /// The latest time passed to any method.
    latest: Duration,
}

#[derive(Clone, Debug)]
enum WindowUsage {
    /// Number of units missing from the bucket at `latest`. A request or token is as many units as `per` has
    /// nanoseconds, so the bucket refills by exactly `limit` units per nanosecond.
    Bucket(u128),
    /// The amount spent since the last multiple of `per`, in requests or tokens.
    Fixed(u64),
    /// The amounts spent in the span of length `per` that ends at `latest`.
    Sliding(SlidingLog),
}

/// The times at which amounts were spent, and the amounts. Holds only the entries that can affect a decision.
#[derive(Clone, Debug, Default)]
struct SlidingLog {
    /// The time and amount of each entry, oldest first.
    entries: VecDeque<(Duration, u32)>,
    sum: u64,
}

impl LimitWindow {
    /// Creates a window of which nothing is used. A `limit` of 0 is raised to 1, and a `per` of 0 to 1 ns.
    pub(crate) fn new(kind: WindowKind, limit: u32, per: Duration) -> Self {
        Self {
            limit: limit.max(1),
            per: per.max(Duration::from_nanos(1)),
            usage: match kind {
                WindowKind::Bucket => WindowUsage::Bucket(0),
                WindowKind::Fixed => WindowUsage::Fixed(0),
                WindowKind::Sliding => WindowUsage::Sliding(SlidingLog::default()),
            },
            latest: Duration::ZERO,
        }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Returns the time until `amount` fits: 0 if `amount` fits now, `None` if `amount` is larger than the limit.
    pub(crate) fn wait_for(&mut self, amount: u32, now: Duration) -> Option<Duration> {
        self.advance(now);
        let free = self.limit.checked_sub(amount)?;
        Some(match &self.usage {
            WindowUsage::Bucket(missing) => self.time_to_refill(missing.saturating_sub(self.units(free))),
            WindowUsage::Fixed(spent) if *spent <= u64::from(free) => Duration::ZERO,
            WindowUsage::Fixed(_) => self.time_to_next_multiple(),
            WindowUsage::Sliding(log) => log
                .last_blocking_entry(u64::from(free))
                .map_or(Duration::ZERO, |at| self.time_to_expiry(at)),
        })
    }

    /// Spends `amount`, even if `amount` does not fit. Usage beyond the limit is not carried over as debt.
    pub(crate) fn spend(&mut self, amount: u32, now: Duration) {
        self.advance(now);
        let units = self.units(amount);
        let all = self.units(self.limit);
        match &mut self.usage {
            WindowUsage::Bucket(missing) => *missing = (*missing + units).min(all),
            WindowUsage::Fixed(spent) => *spent = (*spent + u64::from(amount)).min(u64::from(self.limit)),
            WindowUsage::Sliding(log) => log.add(self.latest, amount, u64::from(self.limit)),
        }
    }

    /// Returns the number of requests or tokens that fit now, rounded down.
    pub(crate) fn remaining(&mut self, now: Duration) -> u32 {
        self.advance(now);
        let spent = match &self.usage {
            WindowUsage::Bucket(missing) => missing.div_ceil(self.per.as_nanos()),
            WindowUsage::Fixed(spent) => u128::from(*spent),
            WindowUsage::Sliding(log) => u128::from(log.sum),
        };
        self.limit
            .saturating_sub(u32::try_from(spent).unwrap_or(u32::MAX))
    }

    /// Returns the time until the whole limit is available again if nothing more is spent.
    pub(crate) fn time_to_full(&mut self, now: Duration) -> Duration {
        self.advance(now);
        match &self.usage {
            WindowUsage::Bucket(missing) => self.time_to_refill(*missing),
            WindowUsage::Fixed(0) => Duration::ZERO,
            WindowUsage::Fixed(_) => self.time_to_next_multiple(),
            WindowUsage::Sliding(log) => log
                .entries
                .back()
                .map_or(Duration::ZERO, |(at, _)| self.time_to_expiry(*at)),
        }
    }

    /// Moves the window to `now`: refills the bucket, restarts the count, or removes expired entries.
    fn advance(&mut self, now: Duration) {
        let before = self.latest;
        self.latest = now.max(before);
        let (per, limit) = (self.per, u128::from(self.limit));
        let latest = self.latest;
        match &mut self.usage {
            WindowUsage::Bucket(missing) => {
                let refilled = (latest - before).as_nanos().saturating_mul(limit);
                *missing = missing.saturating_sub(refilled);
            }
            WindowUsage::Fixed(spent) => {
                if before.as_nanos() / per.as_nanos() != latest.as_nanos() / per.as_nanos() {
                    *spent = 0;
                }
            }
            WindowUsage::Sliding(log) => log.remove_while(|at, _| at.saturating_add(per) <= latest),
        }
    }

    fn units(&self, amount: u32) -> u128 {
        u128::from(amount).saturating_mul(self.per.as_nanos())
    }

    fn time_to_refill(&self, units: u128) -> Duration {
        Duration::from_nanos_u128(units.div_ceil(u128::from(self.limit)))
    }

    /// Returns the time from `latest` until an entry with the time `at` expires.
    fn time_to_expiry(&self, at: Duration) -> Duration {
        at.saturating_add(self.per) - self.latest
    }

    fn time_to_next_multiple(&self) -> Duration {
        let per = self.per.as_nanos();
        Duration::from_nanos_u128(per - self.latest.as_nanos() % per)
    }
}

impl SlidingLog {
    /// Adds an entry. Then removes the oldest entry as long as the newer entries alone reach the limit: this keeps the
    /// log short if denied requests count.
    fn add(&mut self, at: Duration, amount: u32, limit: u64) {
        self.entries.push_back((at, amount));
        self.sum += u64::from(amount);
        self.remove_while(|_, rest| rest >= limit);
    }

    /// Removes the oldest entry while `is_obsolete` returns true. The arguments of `is_obsolete` are the time of the
    /// oldest entry and the sum of the amounts of all newer entries.
    fn remove_while(&mut self, is_obsolete: impl Fn(Duration, u64) -> bool) {
        while let Some((at, amount)) = self.entries.front().copied() {
            let rest = self.sum - u64::from(amount);
            if !is_obsolete(at, rest) {
                return;
            }
            self.entries.pop_front();
            self.sum = rest;
        }
    }

    /// Returns the time of the newest entry that must expire before the sum of the amounts is at most `free`. `None` if
    /// no entry has to expire.
    fn last_blocking_entry(&self, free: u64) -> Option<Duration> {
        let mut rest = self.sum;
        let blocking = self.entries.iter().take_while(|(_, amount)| {
            let before = rest;
            rest -= u64::from(*amount);
            before > free
        });
        blocking.last().map(|(at, _)| *at)
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

    fn passes(window: &mut LimitWindow, amount: u32, now: Duration) -> bool {
        let room = window.wait_for(amount, now) == Some(Duration::ZERO);
        if room {
            window.spend(amount, now);
        }
        room
    }

    /// Returns times with bursts and pauses, so that limits fill up and free up again.
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
    fn bucket_allows_a_burst_and_refills_continuously() {
        let mut window = LimitWindow::new(WindowKind::Bucket, 3, seconds(60));
        let mut at = |now| passes(&mut window, 1, now);
        assert_eq!([at(seconds(9)); 1], [true]);
        assert_eq!(
            [at(seconds(9)), at(seconds(9)), at(seconds(9))],
            [true, true, false]
        );
        assert!(!at(seconds(29) - NANO) && at(seconds(29)) && !at(seconds(29)));
    }

    #[test]
    fn fixed_window_restarts_at_each_multiple() {
        let mut window = LimitWindow::new(WindowKind::Fixed, 2, seconds(60));
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
    fn sliding_window_expires_each_request_exactly() {
        let mut window = LimitWindow::new(WindowKind::Sliding, 2, seconds(60));
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
    fn no_span_exceeds_the_bound_of_its_kind() {
        let (limit, per) = (5, seconds(10));
        for kind in KINDS {
            for seed in 0..20 {
                let mut window = LimitWindow::new(kind, limit, per);
                let passed: Vec<Duration> = times(seed)
                    .into_iter()
                    .filter(|now| passes(&mut window, 1, *now))
                    .collect();
                let busiest = passed
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
                assert!(
                    (5..=allowed as usize).contains(&busiest),
                    "{kind:?} {seed}: {busiest}"
                );
            }
        }
    }

    /// Compares the sliding window with a count over the whole list of times.
    #[test]
    fn amounts_pass_exactly_when_they_fit() {
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
            let mut fixed = (LimitWindow::new(WindowKind::Fixed, limit, per), Vec::new());
            let mut sliding = (LimitWindow::new(WindowKind::Sliding, limit, per), Vec::new());
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
    fn wait_is_exact_for_any_amount() {
        for kind in KINDS {
            for seed in 0..20 {
                let mut random = SplitMix64::new(seed, 1);
                let mut window = LimitWindow::new(kind, 7, seconds(10));
                let mut denied = 0;
                for now in times(seed) {
                    let amount = (random.next() % 7) as u32 + 1;
                    let wait = window.wait_for(amount, now).unwrap();
                    if wait.is_zero() {
                        window.spend(amount, now);
                        continue;
                    }
                    denied += 1;
                    assert_eq!(window.clone().wait_for(amount, now + wait), Some(Duration::ZERO));
                    assert_ne!(
                        window.clone().wait_for(amount, now + wait - NANO),
                        Some(Duration::ZERO)
                    );
                }
                assert!(
                    denied > 20,
                    "{kind:?} {seed}: only {denied} denials, too few for the test"
                );
            }
        }
    }

    #[test]
    fn remaining_amount_fits_and_returns_at_reset() {
        for kind in KINDS {
            let mut window = LimitWindow::new(kind, 7, seconds(10));
            for now in times(3) {
                let remaining = window.remaining(now);
                assert!(remaining == 0 || window.wait_for(remaining, now) == Some(Duration::ZERO));
                assert_ne!(
                    window.wait_for(remaining + 1, now),
                    Some(Duration::ZERO),
                    "{kind:?}"
                );
                let reset = window.time_to_full(now);
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
    fn amount_above_the_limit_never_fits() {
        for kind in KINDS {
            assert_eq!(
                LimitWindow::new(kind, 3, seconds(60)).wait_for(4, seconds(0)),
                None
            );
        }
    }

    #[test]
    fn sliding_log_stays_short_when_denials_count() {
        let mut window = LimitWindow::new(WindowKind::Sliding, 3, seconds(60));
        for second in 0..1000 {
            window.spend(1, seconds(second));
        }
        let WindowUsage::Sliding(log) = &window.usage else {
            panic!("not a sliding window")
        };
        assert_eq!(log.entries.len(), 3);
        assert_eq!(
            window.wait_for(1, seconds(999)),
            Some(seconds(58)),
            "the entry of second 997 must expire first"
        );
    }
}
