//! Observed limits: limits that the provider reveals by refusing requests.
//!
//! Without refusals, nothing limits the requests. A refusal begins a *run*: no request is sent until a pause has
//! passed, then a single one, the probe. If the probe is refused too, the next pause is longer. An answer to the
//! probe, or a quarter of a second without a refusal, ends the run. What the provider has not refused before the
//! run determines the *pace* after it, which then grows with every success of a request that the pace delayed.
//!
//! Observed limits apply in addition to the configured limits. Rate limit headers of successful responses are not
//! used: providers disagree on what they mean, and a refusal costs less than a wrong reading.
//!
//! Invariants: no run sets a pace below the rate of the requests that were not refused in the minute before the
//! run. Requests that were sent before a run cannot lengthen its pauses, except by a time that the provider names.

mod run;
mod saving;
#[cfg(test)]
mod tests;
mod throughput;

use std::time::Duration;

pub(super) use self::run::PROBE_TIME;
use self::run::Run;
use self::throughput::{MINUTE, Throughput};
use super::cooldown::RefusalWait;
use super::limits::LimitKind;
use super::obstacle::Obstacle;
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
/// Pause after a refusal if neither a time nor a pace is known.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// Minimum and maximum pause after the first refusal of a run, if the provider names no time.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_FIRST_PAUSE: Duration = Duration::from_secs(8);
/// Minimum pace in requests per second, however often requests are refused.
const MIN_RATE: f64 = 1.0 / 60.0;
/// Growth of the pace with each success of a request that the pace delayed, and the number of these successes
/// since the last refusal that doubles the growth.
const GROWTH: f64 = 0.0007;
const GROWTH_DOUBLES: f64 = 300.0;
/// Time in which the pace returns to the last one that worked.
const RECOVERY: Duration = Duration::from_secs(30);
/// Time after which a pace is forgotten that has not delayed a request, and without a refusal.
const FORGET: Duration = Duration::from_secs(60);

/// The limits observed for a key or quota group: the pace learned from refusals, and the current run of refusals.
#[derive(Clone, Debug, Default)]
pub(super) struct ObservedLimits {
    /// Whether a pace is inferred from refusals. If not, a refusal still starts a pause.
    pub(super) enabled: bool,
    /// The pace in requests per second. `None` if nothing limits the requests.
    rate: Option<f64>,
    /// Number of requests that the pace allows at once, as of `level_at`.
    level: f64,
    level_at: Timestamp,
    /// Number of requests, in addition to those of a second, that may be sent at once after an idle time.
    burst: f64,
    /// The rate after the last run that came after admitted requests: the pace returns to it after an outage.
    worked: f64,
    /// Number of successes since the last refusal, of requests that the pace delayed.
    since_refusal: u32,
    /// The last time at which a request was refused or was sent as soon as the pace allowed, or a run ended.
    confirmed_at: Timestamp,
    not_refused: Throughput,
    /// The time at which the request was sent that failed last.
    last_failed: Option<Timestamp>,
    run: Option<Run>,
    /// The latest run that has ended.
    last_run: Option<Run>,
    /// The end of that run, or the time at which a pace was loaded.
    run_ended_at: Timestamp,
    /// The beginning of the latest run, as long as nothing but refusals that may be the fault of a request shows that
    /// requests are refused. Such a run can be reverted.
    unconfirmed: Option<Timestamp>,
    /// Number of calls that were refused without a readable cause since the last admitted request.
    unclear_calls: u32,
    /// The time at which the first request was sent, since the latest of these refusals, that has not been refused.
    sent_since: Option<Timestamp>,
}

/// The pace before a refusal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SavedPace {
    rate: Option<f64>,
    burst: f64,
    since_refusal: u32,
    /// The beginning of the run that the refusal began.
    began: Timestamp,
}

impl ObservedLimits {
    /// `enabled`: whether a pace is inferred from refusals.
    pub(super) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            ..Self::default()
        }
    }

    /// Forgets everything that was observed.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.enabled);
    }

    /// Returns what keeps requests from being sent: the pause after a refusal, or the learned pace.
    pub(super) fn obstacle(&self, now: Timestamp) -> Option<Obstacle> {
        if let Some(run) = &self.run {
            let until = self.paused_until(now)?;
            // The outcome of a probe is awaited, or the refusal may be reverted.
            let may_end_early = until > run.until || self.unconfirmed.is_some();
            return Some(Obstacle::until(until).or_earlier(may_end_early));
        }
        let rate = self.rate?;
        let missing = (1.0 - self.level_now(rate, now)).max(0.0);
        let until = now + Duration::from_secs_f64(missing / rate);
        (until > now).then_some(Obstacle {
            limit: Some(LimitKind::Requests),
            ..Obstacle::until(until)
        })
    }

    /// Returns the maximum number of requests per minute that was inferred from refusals. `None` if nothing was
    /// inferred.
    pub(super) fn per_minute(&self) -> Option<f64> {
        Some(self.rate? * 60.0)
    }

    /// Returns the end of the pause after a refusal, or of the wait for the outcome of a probe. `None` if no
    /// refusal keeps requests waiting.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        let run = self.run.as_ref()?;
        let until = run.probe.map_or(run.until, |_| run.until.max(run.probe_until));
        (until > now).then_some(until)
    }

    /// Returns whether a probe is in flight whose outcome is not known yet.
    pub(super) fn is_probing(&self, now: Timestamp) -> bool {
        self.run
            .is_some_and(|run| run.probe.is_some() && now < run.probe_until)
    }

    /// Returns whether requests were refused and none has been admitted since, as far as is known.
    pub(super) fn is_refused(&self, now: Timestamp) -> bool {
        self.run.is_some_and(|run| !run.is_admitted(now))
    }

    /// Awaits the outcome of the probe that was charged at `sent_at` until `until`, for example because its
    /// connection is not open yet. Has no effect on other requests. Returns whether that changes the time until
    /// which requests wait.
    pub(super) fn await_probe(&mut self, sent_at: Timestamp, until: Timestamp) -> bool {
        let run = self.run.as_mut().filter(|run| run.probe == Some(sent_at));
        run.is_some_and(|run| std::mem::replace(&mut run.probe_until, until) != until)
    }

    /// Charges a request that is sent at `now`. Returns whether the request is a probe.
    pub(super) fn charge(&mut self, now: Timestamp) -> bool {
        self.release_if_admitted(now);
        self.not_refused.add(now);
        self.sent_since.get_or_insert(now);
        if let Some(run) = &mut self.run {
            run.probe = Some(now);
            run.probe_until = now + PROBE_TIME;
            return true;
        }
        if let Some(rate) = self.rate {
            // Without the maximum level, so that a slow pace that delays nothing is forgotten, too.
            if self.refilled(rate, now) < 1.5 {
                self.confirmed_at = now;
            }
            self.level = (self.level_now(rate, now) - 1.0).max(-1.0);
            self.level_at = now;
        }
        false
    }

    /// Refunds a charge made at `sent_at` for a request that was not sent.
    pub(super) fn refund(&mut self, sent_at: Timestamp) {
        // A request that failed while connecting has been removed already.
        if self.last_failed.take_if(|failed| *failed == sent_at).is_none() {
            self.remove_sent(sent_at);
        }
        match &mut self.run {
            Some(run) if run.probe == Some(sent_at) => run.probe = None,
            // A probe is not charged to the level, which begins anew after the run.
            Some(_) => {}
            None => self.level += 1.0,
        }
    }

    /// Records the success of a request that was sent at `sent_at`. Returns whether requests may be
    /// sent noticeably earlier: the success ends a pause, or raises the pace back to one that worked.
    ///
    /// Other successes raise the pace by 0.07 % at first, which waiting requests may ignore: a request that waits for at
    /// most two intervals of the pace is late by 0.14 % of an interval for each success in that time.
    pub(super) fn record_success(&mut self, sent_at: Timestamp, now: Timestamp) -> bool {
        self.release_if_admitted(now);
        if self.sent_since.is_some_and(|sent| sent_at >= sent) {
            self.unclear_calls = 0;
        }
        match &mut self.run {
            None => return self.grow(now),
            Some(run) if !run.is_probe(sent_at) => return false,
            // A refusal of an older request has named a later time in the meantime.
            Some(run) if run.until > now => run.probe = None,
            Some(_) => self.end_run(now),
        }
        true
    }

    /// Ends the run if its probe was not refused in time.
    fn release_if_admitted(&mut self, now: Timestamp) {
        if let Some(run) = self.run.filter(|run| run.is_admitted(now)) {
            self.end_run(run.probe_until);
        }
    }

    /// Raises the pace after a success. Returns whether the pace returns to one that worked.
    fn grow(&mut self, now: Timestamp) -> bool {
        self.rate.take_if(|_| now.since(self.confirmed_at) > FORGET);
        let Some(rate) = self.rate else { return false };
        let recovered = self.worked * now.since(self.run_ended_at).div_duration_f64(RECOVERY).min(1.0);
        let mut grown = rate;
        // A pace that did not delay the last request shows nothing about a faster one.
        if self.confirmed_at >= self.level_at {
            self.since_refusal = self.since_refusal.saturating_add(1);
            grown *= 1.0 + GROWTH * (1.0 + f64::from(self.since_refusal) / GROWTH_DOUBLES);
        }
        self.rate = Some(grown.max(recovered));
        recovered > grown
    }

    /// Records that a request that was sent at `sent_at` failed for a reason other than a rate limit, and shows
    /// nothing about the limit. Returns whether that changes the time until which requests wait.
    pub(super) fn record_failure(&mut self, sent_at: Timestamp, now: Timestamp) -> bool {
        self.release_if_admitted(now);
        self.remove_sent(sent_at);
        self.last_failed = Some(sent_at);
        if let Some(run) = self.run.as_mut().filter(|run| run.is_probe(sent_at)) {
            run.until = run.until.max(now + run.pause);
            run.probe = None;
            return true;
        }
        false
    }

    /// Takes back that a request was not refused.
    fn remove_sent(&mut self, sent_at: Timestamp) {
        self.not_refused.remove(sent_at);
        self.sent_since.take_if(|sent| *sent == sent_at);
    }

    /// Records that a request that was sent at `sent_at` was refused without a readable cause. `is_first`: whether its
    /// call has not failed before. Returns whether several calls are refused: no request has been admitted between the
    /// first failures of two calls, nor since.
    ///
    /// Only first failures count, because a request that is refused whatever the key is sent several times.
    pub(super) fn record_unclear(&mut self, is_first: bool, sent_at: Timestamp, now: Timestamp) -> bool {
        self.remove_sent(sent_at);
        let sent = self.sent_since.take();
        if sent.is_some_and(|sent| now.since(sent) >= PROBE_TIME) {
            self.unclear_calls = 0;
        }
        self.unclear_calls = self.unclear_calls.saturating_add(is_first.into());
        self.unclear_calls > 1
    }

    /// Records that the provider refused a request, sent at `sent_at`, because of a rate limit. `infers`: whether
    /// a pace may be inferred from the refusal.
    ///
    /// If the refusal began a run, returns the state before, which [`restore`](Self::restore) accepts.
    pub(super) fn record_refusal(
        &mut self,
        sent_at: Timestamp,
        wait: RefusalWait,
        infers: bool,
        now: Timestamp,
    ) -> Option<SavedPace> {
        self.release_if_admitted(now);
        self.remove_sent(sent_at);
        self.confirmed_at = now;
        if self.run.is_none() {
            // The probe is refused after all, only late.
            let ended_at = self.run_ended_at;
            let released = self.last_run.filter(|run| run.is_admitted(ended_at));
            self.run = released.filter(|run| run.probe == Some(sent_at));
        }
        // Says nothing about the limit after the latest run, except by a time that the provider names.
        let is_late = self.last_run.is_some_and(|run| run.probe > Some(sent_at));
        let infers = infers && !is_late;
        let Some(mut run) = self.run else {
            let is_known = is_late && wait.exact().is_none();
            return (!is_known).then(|| self.begin_run(wait, infers, now));
        };
        let is_probe = run.is_probe(sent_at);
        if !wait.is_provisional() {
            // The refusal that began the run may have been the fault of its request, and have taught nothing.
            let is_first = self.unconfirmed.take().is_some() && run.after_success.is_none();
            if is_first && infers && now.since(run.began) <= LONG_RUN {
                self.infer(&mut run, now);
            }
        } else if !is_probe {
            // Could not be reverted, and the known pause lasts anyway.
            return None;
        }
        if is_probe {
            run.lengthen(wait.exact(), now);
        } else if let Some(named) = wait.exact() {
            run.until = run.until.max(now + named);
        }
        self.run = Some(run);
        None
    }

    /// Begins a run, and returns the state before. `infers`: whether a pace may be inferred from the refusal.
    fn begin_run(&mut self, wait: RefusalWait, infers: bool, now: Timestamp) -> SavedPace {
        let saved = SavedPace {
            rate: self.rate,
            burst: self.burst,
            since_refusal: self.since_refusal,
            began: now,
        };
        let mut run = Run {
            began: now,
            ..Run::default()
        };
        if infers {
            self.infer(&mut run, now);
        }
        let interval = self.rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        run.pause = interval.map_or(DEFAULT_PAUSE, |pause| pause.clamp(MIN_PAUSE, MAX_FIRST_PAUSE));
        run.until = now + wait.exact().unwrap_or(run.pause);
        self.run = Some(run);
        self.unconfirmed = wait.is_provisional().then_some(now);
        saved
    }

    /// Infers a pace from what was not refused before the run.
    fn infer(&mut self, run: &mut Run, now: Timestamp) {
        let (count, before) = self.not_refused.in_last(MINUTE, now);
        if !self.enabled || self.rate.is_none() && count < MIN_EVIDENCE {
            return;
        }
        run.before = (count >= MIN_EVIDENCE).then_some(before);
        run.after_success = Some(self.rate.is_none() || self.since_refusal >= MIN_EVIDENCE);
        let (_, recent) = self.not_refused.in_last(RECENT, now);
        let floor = before.max(recent);
        let slower = |rate: f64| rate.min(floor.max(rate * SLOWER).max(MIN_RATE));
        let rate = self.rate.map_or(floor, slower);
        self.rate = Some(rate);
        self.burst = self.not_refused.burst(rate, now);
        self.since_refusal = 0;
    }

    /// Reverts the refusal that began a run, if that run is the latest one and nothing else confirms it.
    pub(super) fn restore(&mut self, saved: SavedPace) {
        if self.unconfirmed.take_if(|began| *began == saved.began).is_some() {
            self.run = None;
            self.rate = saved.rate;
            self.burst = saved.burst;
            self.since_refusal = saved.since_refusal;
        }
    }

    /// Pauses until `until` at least, without inferring anything.
    pub(super) fn pause_until(&mut self, until: Timestamp, now: Timestamp) {
        let run = self.run.get_or_insert(Run {
            began: now,
            pause: DEFAULT_PAUSE,
            ..Run::default()
        });
        run.until = run.until.max(until);
        self.unconfirmed = None;
    }

    fn end_run(&mut self, now: Timestamp) {
        let Some(run) = self.run.take() else { return };
        self.last_run = Some(run);
        self.run_ended_at = now;
        self.confirmed_at = self.confirmed_at.max(now);
        let Some(rate) = self.rate else { return };
        // Without the time in which no request was there to probe.
        let lasted = now.min(run.until + PROBE_TIME).since(run.began);
        // The pause of a slow pace alone does not make the run long.
        let is_long = lasted > LONG_RUN.max(Duration::from_secs_f64(1.5 / rate));
        let held_back = rate * lasted.as_secs_f64().min(MAX_CATCH_UP);
        let (rate, level) = match run.before {
            Some(before) if is_long => (rate.min(before), 0.0),
            _ => (rate, held_back.max(1.0) - 1.0),
        };
        self.rate = Some(rate);
        (self.level, self.level_at) = (level, now);
        if let Some(after_success) = run.after_success {
            // Runs without admitted requests in between are one outage, or a limit that has shrunk. A pace that is
            // refused again and again must not be returned to.
            let kept = if after_success { 0.0 } else { self.worked / 2.0 };
            self.worked = rate.max(kept);
        }
    }

    fn level_now(&self, rate: f64, now: Timestamp) -> f64 {
        self.refilled(rate, now).min(rate.max(1.0) + self.burst)
    }

    fn refilled(&self, rate: f64, now: Timestamp) -> f64 {
        self.level + now.since(self.level_at).as_secs_f64() * rate
    }
}
