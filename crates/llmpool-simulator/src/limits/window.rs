//! A limit on requests or tokens per time window, with the three kinds of windows that providers use.
//!
//! Usage is counted in integers, so waits are exact to the nanosecond.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;

/// The kind of time window in which a provider counts requests or tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// A token bucket that holds as many requests or tokens as the limit allows, and refills continuously.
    /// After a pause, up to twice the limit can pass within one window length.
    #[default]
    Bucket,
    /// A fixed window: the count restarts at each multiple of the window length since time 0 (the simulator's
    /// start). Around a restart, up to twice the limit can pass within one window length.
    #[serde(alias = "fixed_minute")]
    Fixed,
    /// A sliding window: the limit holds in every time span of one window length. A request that passes at
    /// time `t` counts until `t` plus the window length (exclusive).
    Sliding,
}

/// A limit on requests or tokens per window of length `per`, and how much of the limit is used. If a method
/// is called with an earlier time than before, the window uses the latest time passed so far.
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
    /// Number of units missing from a full bucket at `latest`. One request or token counts as
    /// `per.as_nanos()` units, so the bucket refills by exactly `limit` units per nanosecond.
    Bucket(u128),
    /// The number of requests or tokens spent since the last multiple of `per`, at which the current window
    /// began.
    Fixed(u64),
    /// The amounts of requests or tokens spent in the time span of length `per` that ends at `latest`.
    Sliding(SlidingLog),
}

/// A log of spent amounts (requests or tokens) and the times at which they were spent. Holds only the entries
/// that can still affect a decision.
#[derive(Clone, Debug, Default)]
struct SlidingLog {
    /// The time and amount of each entry, oldest first.
    entries: VecDeque<(Duration, u32)>,
    sum: u64,
}

impl LimitWindow {
    /// Creates a window in which nothing has been spent. A `limit` of 0 is raised to 1, and a `per` of 0 is
    /// raised to 1 ns.
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

    /// Returns the time from `now` until `amount` requests or tokens fit into the limit: zero if the amount
    /// fits now, `None` if the amount is larger than the limit.
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

    /// Spends `amount` requests or tokens, even if the amount does not fit. Usage beyond the limit is not
    /// carried over as debt.
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

    /// Returns the time from `now` until the whole limit is available again, if nothing more is spent.
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

    /// Moves the window to `now`: depending on the kind of window, refills the bucket, restarts the count, or
    /// removes expired entries.
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

    /// Returns the time from `latest` until an entry that was added at `at` expires.
    fn time_to_expiry(&self, at: Duration) -> Duration {
        at.saturating_add(self.per) - self.latest
    }

    fn time_to_next_multiple(&self) -> Duration {
        let per = self.per.as_nanos();
        Duration::from_nanos_u128(per - self.latest.as_nanos() % per)
    }
}

impl SlidingLog {
    /// Adds an entry. Then removes old entries that no longer affect a decision: an entry is removed if the
    /// newer entries alone add up to at least `limit`. The log therefore stays short even if denied requests
    /// are counted against the limit.
    fn add(&mut self, at: Duration, amount: u32, limit: u64) {
        self.entries.push_back((at, amount));
        self.sum += u64::from(amount);
        self.remove_while(|_, rest| rest >= limit);
    }

    /// Removes entries, oldest first, until `is_obsolete` returns `false`. The arguments of `is_obsolete` are
    /// the time of the oldest entry and the sum of the amounts of all newer entries.
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

    /// Returns the time of the last entry that has to expire before the sum of the amounts is at most `free`.
    /// Returns `None` if the sum is already that small.
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
