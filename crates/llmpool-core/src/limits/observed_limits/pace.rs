//! The pace of requests to one provider limit, learned from refusals.
//!
//! Without refusals, there is no pace. A refusal begins a *run*: no request is sent until a pause has passed, then
//! a single one, the probe. If the probe is refused, the next pause is longer. An answer to the probe, or a
//! quarter of a second without a refusal, ends the run. What the provider has not refused before and since the
//! run determines the pace afterwards, which then grows with every request.
//!
//! Invariants: no run sets a pace below the rate of the requests that were not refused in the minute before the
//! run. Requests that were sent before a run cannot lengthen its pauses, except by a time that the provider names.

use std::time::Duration;

use super::throughput::{MINUTE, Throughput};
use crate::time::Timestamp;

/// Factor on the pace after a refusal.
const SLOWER: f64 = 0.95;
/// Span over which the rate of requests that were not refused bounds the pace after a refusal.
const RECENT: Duration = Duration::from_secs(20);
/// Minimum number of requests, in the minute before a run, from which the first run infers a pace.
const MIN_EVIDENCE: u32 = 10;
/// A run that lasts longer shows that the limit counts over a longer window than the pace assumed.
const LONG_RUN: Duration = Duration::from_secs(1);
/// Time after which a probe that was not refused counts as admitted. The answer itself can take minutes.
pub(super) const PROBE_TIME: Duration = Duration::from_millis(250);
/// Minimum pause before the first probe of a run, if the provider names no time.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// Maximum pause, if the provider names no time, in the first `LASTING_RUN` of a run and afterwards.
const MAX_PAUSES: [Duration; 2] = [Duration::from_secs(8), Duration::from_secs(300)];
/// Length of a run after which pauses longer than eight seconds are chosen.
const LASTING_RUN: Duration = Duration::from_secs(600);
/// Growth of the pace with each request after a refusal, and the number of requests after which it has doubled.
const GROWTH: f64 = 0.001;
const GROWTH_DOUBLES: f64 = 300.0;
/// Growth of the pace with each request after a long run, and the factor up to which the pace grows so fast.
const FAST_GROWTH: f64 = 0.01;
const FAST_GROWTH_LIMIT: f64 = 1.15;
/// Time after which a pace is forgotten that has not delayed a request since, and without a refusal.
const FORGET: Duration = Duration::from_secs(60);

/// The pace learned from refusals, and the current run of refusals.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Requests per second. `None` if nothing limits the requests.
    rate: Option<f64>,
    /// Number of requests that may be sent at once, as of `level_at`.
    level: f64,
    level_at: Timestamp,
    /// The rate up to which the pace grows fast.
    fast_until: f64,
    /// Number of requests since the last refusal.
    since_refusal: u32,
    /// The last time at which a request was refused or was sent as soon as the pace allowed.
    confirmed_at: Timestamp,
    not_refused: Throughput,
    run: Option<Run>,
    /// The end of the latest run.
    run_ended_at: Timestamp,
}

/// A series of refusals without an admitted request in between.
#[derive(Clone, Copy, Debug)]
struct Run {
    began: Timestamp,
    /// Requests per second that were not refused in the minute before the run. `None` if they were too few to
    /// infer a pace.
    before: Option<f64>,
    pause: Duration,
    /// The end of the pause.
    until: Timestamp,
    /// The time at which the probe was sent. `None` before that.
    probe: Option<Timestamp>,
}

/// The state of a pace before a refusal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::limits) struct SavedPace {
    rate: Option<f64>,
    fast_until: f64,
    since_refusal: u32,
    /// The beginning of the run that the refusal began.
    began: Timestamp,
}

impl Pace {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            rate: None,
            level: 1.0,
            level_at: now,
            fast_until: 0.0,
            since_refusal: 0,
            confirmed_at: now,
            not_refused: Throughput::new(now),
            run: None,
            run_ended_at: Timestamp::ZERO,
        }
    }

    /// Returns the learned pace in requests per second. `None` if nothing limits the requests.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Returns the end of the pause, or of the wait for the probe. `None` if no refusal keeps requests waiting.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        let run = self.run?;
        let until = run.probe.map_or(run.until, |probe| probe + PROBE_TIME);
        Some(until).filter(|until| *until > now)
    }

    /// Returns whether a probe is in flight whose outcome is not known yet.
    pub(super) fn is_probing(&self, now: Timestamp) -> bool {
        let probe = self.run.and_then(|run| run.probe);
        probe.is_some_and(|probe| now < probe + PROBE_TIME)
    }

    /// Returns the earliest time at which a request may be sent.
    pub(super) fn ready_at(&self, now: Timestamp) -> Timestamp {
        if let Some(until) = self.paused_until(now) {
            return until;
        }
        let Some(rate) = self.rate.filter(|_| self.run.is_none()) else {
            return now;
        };
        let level = self.level_now(rate, now);
        if level >= 1.0 {
            return now;
        }
        now + Duration::from_secs_f64((1.0 - level) / rate)
    }

    /// Records that a request is sent at `now`.
    pub(super) fn charge(&mut self, now: Timestamp) {
        if self.run.is_some_and(|run| run.probe.is_some_and(|probe| now >= probe + PROBE_TIME)) {
            self.end_run(now);
        }
        self.not_refused.add(now);
        if let Some(run) = &mut self.run {
            run.probe.get_or_insert(now);
            return;
        }
        let Some(rate) = self.rate else { return };
        let level = self.level_now(rate, now);
        self.level = (level - 1.0).max(-1.0);
        self.level_at = now;
        if level < 1.5 {
            self.confirmed_at = now;
        } else if now.since(self.confirmed_at) > FORGET {
            self.rate = None;
            return;
        }
        self.since_refusal = self.since_refusal.saturating_add(1);
        let growth = if rate < self.fast_until {
            FAST_GROWTH
        } else {
            GROWTH * (1.0 + f64::from(self.since_refusal) / GROWTH_DOUBLES)
        };
        self.rate = Some(rate * (1.0 + growth));
    }

    /// Takes back a request that was charged at `sent_at` but never sent.
    pub(super) fn refund(&mut self, sent_at: Timestamp) {
        self.not_refused.remove(sent_at);
        match &mut self.run {
            Some(run) if run.probe == Some(sent_at) => run.probe = None,
            _ => self.level += 1.0,
        }
    }

    /// Records an answer, of any kind except a refusal, to a request that was sent at `sent_at`.
    pub(super) fn record_answer(&mut self, sent_at: Timestamp, now: Timestamp) -> bool {
        let ends_run = self
            .run
            .is_some_and(|run| run.probe.is_some_and(|probe| sent_at >= probe));
        if ends_run {
            self.end_run(now);
        }
        ends_run
    }

    /// Records a refusal, for a rate limit, of a request that was sent at `sent_at`. `told` is the time for which
    /// the provider asks the client to wait.
    ///
    /// `infers`: whether the refusal may change the pace.
    /// Returns the state before the refusal if the refusal began a run, so that the refusal can be reverted.
    pub(super) fn record_refusal(
        &mut self,
        sent_at: Timestamp,
        told: Option<Duration>,
        infers: bool,
        now: Timestamp,
    ) -> Option<SavedPace> {
        self.not_refused.remove(sent_at);
        self.confirmed_at = now;
        let Some(run) = &mut self.run else {
            return self.begin_run(sent_at, told, infers, now);
        };
        if run.probe.is_some_and(|probe| sent_at >= probe) {
            let longest = MAX_PAUSES[usize::from(now.since(run.began) > LASTING_RUN)];
            run.pause = (run.pause * 2).min(longest);
            run.until = now + told.unwrap_or(run.pause);
            run.probe = None;
        } else if let Some(told) = told {
            run.until = run.until.max(now + told);
        }
        None
    }

    fn begin_run(
        &mut self,
        sent_at: Timestamp,
        told: Option<Duration>,
        infers: bool,
        now: Timestamp,
    ) -> Option<SavedPace> {
        let is_late = sent_at < self.run_ended_at;
        if is_late && told.is_none() {
            return None;
        }
        let saved = SavedPace {
            rate: self.rate,
            fast_until: self.fast_until,
            since_refusal: self.since_refusal,
            began: now,
        };
        let (count, active) = self.not_refused.in_last(MINUTE, now);
        let infers = infers && !is_late && (self.rate.is_some() || count >= MIN_EVIDENCE);
        if infers {
            let recent = self.not_refused.per_second(RECENT, now);
            let slower = self.rate.map_or(recent, |rate| rate.min(recent.max(rate * SLOWER)));
            self.rate = Some(slower).filter(|rate| *rate > 0.0);
            self.since_refusal = 0;
            self.fast_until = 0.0;
        }
        let interval = self.rate.map_or(Duration::from_secs(1), |rate| {
            Duration::from_secs_f64(1.0 / rate).clamp(MIN_PAUSE, MAX_PAUSES[0])
        });
        let before = f64::from(count) / active.as_secs_f64();
        self.run = Some(Run {
            began: now,
            before: Some(before).filter(|_| infers),
            pause: interval,
            until: now + told.unwrap_or(interval),
            probe: None,
        });
        Some(saved)
    }

    /// Reverts the refusal that began a run, if that run is still the current one and its probe has not been sent.
    pub(super) fn restore(&mut self, saved: SavedPace) {
        if self.run.is_some_and(|run| run.began == saved.began) {
            self.run = None;
            self.rate = saved.rate;
            self.fast_until = saved.fast_until;
            self.since_refusal = saved.since_refusal;
        }
    }

    /// Pauses until `until`, whatever the previous state, without learning anything.
    pub(super) fn pause_until(&mut self, until: Timestamp, now: Timestamp) {
        let run = self.run.get_or_insert(Run {
            began: now,
            before: None,
            pause: Duration::from_secs(1),
            until,
            probe: None,
        });
        run.until = run.until.max(until);
    }

    fn end_run(&mut self, now: Timestamp) {
        let Some(run) = self.run.take() else { return };
        self.run_ended_at = now;
        let lasted = now.since(run.began);
        if let (Some(rate), Some(before)) = (self.rate, run.before)
            && lasted > LONG_RUN
        {
            let since = self.not_refused.per_second(lasted.min(MINUTE), now);
            let rate = rate.min(before.max(since));
            self.rate = Some(rate);
            self.fast_until = rate * FAST_GROWTH_LIMIT;
            self.level = 0.0;
        } else {
            let rate = self.rate.unwrap_or_default();
            self.level = (rate * lasted.as_secs_f64()).min(rate).max(1.0) - 1.0;
        }
        self.level_at = now;
        self.confirmed_at = now;
    }

    fn level_now(&self, rate: f64, now: Timestamp) -> f64 {
        let refilled = self.level + now.since(self.level_at).as_secs_f64() * rate;
        refilled.min(rate.max(1.0))
    }
}
