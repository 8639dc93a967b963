//! The pace of requests to one provider limit, learned from refusals.
//!
//! Without refusals, there is no pace. A refusal begins a *run*: no request is sent until a pause has passed, then
//! a single one, the probe. If the probe is refused too, the next pause is longer. An answer to the probe, or a
//! quarter of a second without a refusal, ends the run. What the provider has not refused before the run
//! determines the pace after it, which then grows with every success of a request that the pace delayed.
//!
//! Invariants: no run sets a pace below the rate of the requests that were not refused in the minute before the
//! run. Requests that were sent before a run cannot lengthen its pauses, except by a time that the provider names.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::throughput::{MINUTE, Throughput};
use crate::limits::cooldown::RefusalWait;
use crate::time::Timestamp;

/// Factor on the pace after a refusal.
const SLOWER: f64 = 0.93;
/// Span over which the rate of requests that were not refused bounds the pace after a refusal.
const RECENT: Duration = Duration::from_secs(20);
/// Minimum number of requests, in the minute before a run, from which a first pace is inferred.
const MIN_EVIDENCE: u32 = 10;
/// A run that lasts longer shows that the limit counts over a longer window than the pace assumed.
const LONG_RUN: Duration = Duration::from_secs(2);
/// Requests that were held back by a short run are made up for, up to those of this time.
const MAX_CATCH_UP: f64 = 0.75;
/// Time after which a probe that was not refused counts as admitted. The answer itself can take minutes.
pub(super) const PROBE_TIME: Duration = Duration::from_millis(250);
/// Minimum pause, if the provider names no time.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// Pause after a refusal if neither a time nor a pace is known.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// Minimum pace in requests per second, however often requests are refused.
const MIN_RATE: f64 = 1.0 / 60.0;
/// Maximum pause in the first [`LASTING_RUN`] of a run and afterwards, if the provider names no time.
const MAX_PAUSES: [Duration; 2] = [Duration::from_secs(8), Duration::from_secs(300)];
const LASTING_RUN: Duration = Duration::from_secs(600);
/// Growth of the pace with each success of a request that the pace delayed, and the number of these successes
/// since the last refusal that doubles the growth.
const GROWTH: f64 = 0.0007;
const GROWTH_DOUBLES: f64 = 300.0;
/// Time in which the pace returns to the last one that worked.
const RECOVERY: Duration = Duration::from_secs(30);
/// Time after which a pace is forgotten that has not delayed a request, and without a refusal.
const FORGET: Duration = Duration::from_secs(60);
/// A probe that is admitted this much earlier than the named reset shows that the reset is not exact.
const EARLY: Duration = Duration::from_millis(100);
/// A refusal within this time before the named reset shows that the reset is exact.
const JUST_BEFORE: Duration = Duration::from_millis(300);

/// The pace learned from refusals, and the current run of refusals.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Requests per second. `None` if nothing limits the requests.
    rate: Option<f64>,
    /// Number of requests that may be sent at once, as of `level_at`.
    level: f64,
    level_at: Timestamp,
    /// The rate at the last refusal that came after admitted requests: the pace returns to it after an outage.
    worked: f64,
    /// Number of successes since the last refusal, of requests that the pace delayed.
    since_refusal: u32,
    /// The last time at which a request was refused or was sent as soon as the pace allowed, or a run ended.
    confirmed_at: Timestamp,
    not_refused: Throughput,
    run: Option<Run>,
    /// The number of refusals and requested pauses that have begun or changed a run, less those that were reverted.
    changes: u32,
    /// The latest run, if it ended because its probe was not refused in time.
    released: Option<Run>,
    /// The end of the latest run.
    run_ended_at: Timestamp,
    /// The time at which the probe of the latest run was sent. `None` before the first run.
    last_probe: Option<Timestamp>,
    resets: Resets,
}

/// What the time in a rate limit's reset header means, as far as refusals have shown it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Resets {
    #[default]
    Unknown,
    /// Requests are refused until that time.
    Exact,
    /// Requests are admitted before that time: the time is that until the whole limit is available again.
    Late,
}

impl Resets {
    /// Returns the pause before the next probe, at most until the named reset. While the meaning of the reset is
    /// not known, the last probe before the reset is sent just before it, to find out.
    fn pause(self, wait: RefusalWait, pause: Duration) -> Duration {
        match wait.reset().filter(|reset| !reset.is_zero()) {
            Some(reset) if pause >= reset => match reset.checked_sub(JUST_BEFORE - EARLY) {
                Some(early) if self == Self::Unknown && reset > JUST_BEFORE => early,
                _ => reset,
            },
            _ => pause,
        }
    }
}

/// A series of refusals without an admitted request in between.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// The time at which the provider's limit is reset, according to the last refusal.
    reset_at: Option<Timestamp>,
    /// The time of the last refusal of a probe.
    refused_at: Option<Timestamp>,
}

/// The state of a pace before a refusal that began or changed a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::limits) struct SavedPace {
    rate: Option<f64>,
    worked: f64,
    since_refusal: u32,
    run: Option<Run>,
    /// The value of [`Pace::changes`] after the refusal.
    changes: u32,
}

impl Pace {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            rate: None,
            level: 1.0,
            level_at: now,
            worked: 0.0,
            since_refusal: 0,
            confirmed_at: now,
            not_refused: Throughput::new(now),
            run: None,
            changes: 0,
            released: None,
            run_ended_at: Timestamp::ZERO,
            last_probe: None,
            resets: Resets::Unknown,
        }
    }

    /// Returns the learned pace in requests per second. `None` if nothing limits the requests.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Returns the end of the pause, or of the wait for the probe. `None` if no refusal keeps requests waiting.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        let run = self.run?;
        let probe_until = run.probe.map_or(run.until, |probe| probe + PROBE_TIME);
        Some(probe_until.max(run.until)).filter(|until| *until > now)
    }

    /// Returns whether a run has begun and has not ended.
    pub(super) fn is_refused(&self) -> bool {
        self.run.is_some()
    }

    /// Returns whether a probe is in flight whose outcome is not known yet.
    pub(super) fn is_probing(&self, now: Timestamp) -> bool {
        let probe = self.run.and_then(|run| run.probe);
        probe.is_some_and(|probe| now < probe + PROBE_TIME)
    }

    /// Returns the earliest time at which the pace allows a request. Does not take pauses into account.
    pub(super) fn ready_at(&self, now: Timestamp) -> Timestamp {
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
        self.release_if_admitted(now);
        self.not_refused.add(now);
        if let Some(run) = &mut self.run {
            run.probe = Some(now);
            return;
        }
        let Some(rate) = self.rate else { return };
        let level = self.level_now(rate, now);
        // Without the maximum level, so that a slow pace that delays nothing is forgotten, too.
        if self.refilled(rate, now) < 1.5 {
            self.confirmed_at = now;
        }
        self.level = (level - 1.0).max(-1.0);
        self.level_at = now;
    }

    /// Takes back a request that was charged at `sent_at` but never sent.
    pub(super) fn refund(&mut self, sent_at: Timestamp) {
        self.not_refused.remove(sent_at);
        match &mut self.run {
            Some(run) if run.probe == Some(sent_at) => run.probe = None,
            _ => self.level += 1.0,
        }
    }

    /// Records the success of a request that was sent at `sent_at`. Returns whether that ends a run.
    pub(super) fn record_success(&mut self, sent_at: Timestamp, now: Timestamp) -> bool {
        self.release_if_admitted(now);
        if self.run.is_none() {
            if now.since(self.confirmed_at) > FORGET {
                self.rate = None;
            }
            self.grow(now);
        }
        if !self.is_probe(sent_at) {
            return false;
        }
        match &mut self.run {
            // A refusal of an older request has named a later time in the meantime.
            Some(run) if run.until > now => run.probe = None,
            _ => self.end_run(now),
        }
        true
    }

    /// Ends the run if its probe was not refused in time.
    fn release_if_admitted(&mut self, now: Timestamp) {
        let Some(run) = self.run else { return };
        let admitted = run.probe.filter(|probe| *probe >= run.until);
        if let Some(at) = admitted.map(|probe| probe + PROBE_TIME).filter(|at| *at <= now) {
            self.end_run(at);
            self.released = Some(run);
        }
    }

    fn grow(&mut self, now: Timestamp) {
        let Some(rate) = self.rate else { return };
        let recovered = self.worked * now.since(self.run_ended_at).div_duration_f64(RECOVERY).min(1.0);
        let mut grown = rate;
        // A pace that did not delay the last request shows nothing about a faster one.
        if self.confirmed_at >= self.level_at {
            self.since_refusal = self.since_refusal.saturating_add(1);
            grown *= 1.0 + GROWTH * (1.0 + f64::from(self.since_refusal) / GROWTH_DOUBLES);
        }
        self.rate = Some(grown.max(recovered));
    }

    /// Records that a request that was sent at `sent_at` failed for a reason other than a rate limit, and shows
    /// nothing about the limit.
    pub(super) fn record_failure(&mut self, sent_at: Timestamp, now: Timestamp) {
        self.release_if_admitted(now);
        self.not_refused.remove(sent_at);
        if self.is_probe(sent_at)
            && let Some(run) = &mut self.run
        {
            run.until = run.until.max(now + run.pause);
            run.probe = None;
        }
    }

    fn is_probe(&self, sent_at: Timestamp) -> bool {
        let probe = self.run.and_then(|run| run.probe);
        probe.is_some_and(|probe| sent_at >= probe)
    }

    /// Records a refusal, for a rate limit, of a request that was sent at `sent_at`. `infers`: whether the refusal
    /// may change the pace.
    ///
    /// Returns the state before the refusal if the refusal began or changed a run, so that the refusal can be
    /// reverted.
    pub(super) fn record_refusal(
        &mut self,
        sent_at: Timestamp,
        wait: RefusalWait,
        infers: bool,
        now: Timestamp,
    ) -> Option<SavedPace> {
        self.release_if_admitted(now);
        self.not_refused.remove(sent_at);
        self.confirmed_at = now;
        let before = self.run;
        if self.run.is_none() {
            // The probe is refused after all, only late.
            self.run = self.released.take_if(|run| run.probe == Some(sent_at));
        }
        let told = self.told(wait);
        let is_probe = self.is_probe(sent_at);
        let Some(mut run) = self.run else {
            return self.begin_run(sent_at, wait, infers, now);
        };
        if !is_probe && matches!(wait, RefusalWait::Provisional(_)) {
            return None;
        }
        run.reset_at = wait.reset().map(|reset| now + reset);
        if is_probe {
            let longest = MAX_PAUSES[usize::from(now.since(run.began) > LASTING_RUN)];
            run.pause = (run.pause * 2).min(longest);
            let pause = told.unwrap_or_else(|| self.resets.pause(wait, run.pause));
            run.until = run.until.max(now + pause);
            run.probe = None;
            run.refused_at = Some(now);
        } else if let Some(told) = told {
            run.until = run.until.max(now + told);
        }
        self.run = Some(run);
        (is_probe || told.is_some()).then(|| self.saved(before))
    }

    /// Counts a change of the run, and returns the state before it. `run`: the run before the change.
    fn saved(&mut self, run: Option<Run>) -> SavedPace {
        self.changes += 1;
        SavedPace {
            rate: self.rate,
            worked: self.worked,
            since_refusal: self.since_refusal,
            run,
            changes: self.changes,
        }
    }

    /// Returns the time for which the provider certainly refuses requests. A time of zero says nothing.
    fn told(&self, wait: RefusalWait) -> Option<Duration> {
        match wait {
            RefusalWait::Exact(wait) | RefusalWait::Provisional(wait) => Some(wait),
            RefusalWait::Reset(reset) if self.resets == Resets::Exact => Some(reset),
            RefusalWait::Unknown | RefusalWait::Reset(_) => None,
        }
        .filter(|told| !told.is_zero())
    }

    fn begin_run(
        &mut self,
        sent_at: Timestamp,
        wait: RefusalWait,
        infers: bool,
        now: Timestamp,
    ) -> Option<SavedPace> {
        let told = self.told(wait);
        let is_late = self.last_probe.is_some_and(|probe| sent_at < probe);
        if is_late && told.is_none() {
            return None;
        }
        let saved = self.saved(None);
        let (count, active) = self.not_refused.in_last(MINUTE, now);
        let before = f64::from(count) / active.as_secs_f64();
        let infers = infers && !is_late && (self.rate.is_some() || count >= MIN_EVIDENCE);
        if infers {
            let floor = before.max(self.not_refused.per_second(RECENT, now));
            let slower = self
                .rate
                .map_or(floor, |rate| rate.min(floor.max(rate * SLOWER).max(MIN_RATE)));
            self.rate = Some(slower);
            let since = self
                .not_refused
                .in_last(now.since(self.run_ended_at).min(MINUTE), now)
                .0;
            if since >= MIN_EVIDENCE {
                self.worked = slower;
            }
            self.since_refusal = 0;
        }
        let pause = self.rate.map_or(DEFAULT_PAUSE, |rate| {
            Duration::from_secs_f64(1.0 / rate).clamp(MIN_PAUSE, MAX_PAUSES[0])
        });
        self.run = Some(Run {
            began: now,
            before: Some(before).filter(|_| infers && count >= MIN_EVIDENCE),
            pause,
            until: now + told.unwrap_or_else(|| self.resets.pause(wait, pause)),
            probe: None,
            reset_at: wait.reset().map(|reset| now + reset),
            refused_at: None,
        });
        Some(saved)
    }

    /// Reverts a refusal that began or changed a run, unless something else has begun or changed a run since: a
    /// refused probe, the time that another refusal names, or a pause that was asked for.
    pub(super) fn restore(&mut self, saved: SavedPace) {
        if self.changes != saved.changes {
            return;
        }
        self.changes -= 1;
        // The run may have ended, and the pace may have grown or have been forgotten.
        let probe = self.run.and_then(|run| run.probe);
        self.run = self.run.and(saved.run).map(|run| Run { probe, ..run });
        self.rate = saved.rate.zip(self.rate).map(|(before, now)| before.max(now));
        self.worked = saved.worked;
        self.since_refusal = saved.since_refusal;
    }

    /// Pauses until `until` at least, without inferring anything.
    pub(super) fn pause_until(&mut self, until: Timestamp, now: Timestamp) {
        let run = self.run.get_or_insert(Run {
            began: now,
            before: None,
            pause: DEFAULT_PAUSE,
            until,
            probe: None,
            reset_at: None,
            refused_at: None,
        });
        run.until = run.until.max(until);
        self.changes += 1;
    }

    fn end_run(&mut self, now: Timestamp) {
        let Some(run) = self.run.take() else { return };
        self.last_probe = run.probe;
        self.released = None;
        self.run_ended_at = now;
        self.confirmed_at = self.confirmed_at.max(now);
        self.level_at = now;
        self.judge_resets(&run);
        // Without the time in which no request was there to probe.
        let lasted = now.min(run.until + PROBE_TIME).since(run.began);
        let Some(rate) = self.rate else { return };
        if let Some(before) = run.before.filter(|_| lasted > LONG_RUN) {
            self.rate = Some(rate.min(before));
            self.level = 0.0;
        } else {
            self.level = (rate * lasted.as_secs_f64()).min(rate * MAX_CATCH_UP).max(1.0) - 1.0;
        }
    }

    /// Learns from the end of a run what the reset time in refusals means.
    fn judge_resets(&mut self, run: &Run) {
        let (Some(reset_at), Some(probe)) = (run.reset_at, run.probe) else {
            return;
        };
        if probe + EARLY < reset_at {
            self.resets = Resets::Late;
        } else if run
            .refused_at
            .is_some_and(|refused_at| refused_at + JUST_BEFORE >= reset_at)
            && self.resets == Resets::Unknown
        {
            self.resets = Resets::Exact;
        }
    }

    fn level_now(&self, rate: f64, now: Timestamp) -> f64 {
        self.refilled(rate, now).min(rate.max(1.0))
    }

    fn refilled(&self, rate: f64, now: Timestamp) -> f64 {
        self.level + now.since(self.level_at).as_secs_f64() * rate
    }
}
