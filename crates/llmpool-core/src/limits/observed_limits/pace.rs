//! The pace of requests to one provider limit, learned from refusals.
//!
//! Without refusals, there is no pace. A refusal begins a *run*: no request is sent until a pause has passed, then
//! a single one, the probe. If the probe is refused too, the next pause is longer. An answer to the probe, or a
//! quarter of a second without a refusal, ends the run. What the provider has not refused before the run
//! determines the pace after it, which then grows with every success of a request that the pace delayed.
//!
//! Invariants: no run sets a pace below the rate of the requests that were not refused in the minute before the
//! run. Requests that were sent before a run cannot lengthen its pauses, except by a time that the provider names.

mod saving;
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
pub(in crate::limits) const PROBE_TIME: Duration = Duration::from_millis(250);
/// Minimum pause, if the provider names no time.
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// Pause after a refusal if neither a time nor a pace is known.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
/// Minimum pace in requests per second, however often requests are refused.
const MIN_RATE: f64 = 1.0 / 60.0;
/// Factor on the pause after each refused probe, if the provider names no time.
const LONGER: u32 = 3;
/// Maximum pause in the first [`LASTING_RUN`] of a run and afterwards, if the provider names no time. A probe that
/// comes late by this time costs 5 % of a limit that counts over a minute.
const MAX_PAUSES: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(300)];
const LASTING_RUN: Duration = Duration::from_secs(600);
/// Maximum pause after the first refusal of a run.
const MAX_FIRST_PAUSE: Duration = Duration::from_secs(8);
/// Growth of the pace with each success of a request that the pace delayed, and the number of these successes
/// since the last refusal that doubles the growth.
const GROWTH: f64 = 0.0007;
const GROWTH_DOUBLES: f64 = 300.0;
/// Time in which the pace returns to the last one that worked.
const RECOVERY: Duration = Duration::from_secs(30);
/// Time after which a pace is forgotten that has not delayed a request, and without a refusal.
const FORGET: Duration = Duration::from_secs(60);
/// The pace learned from refusals, and the current run of refusals.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Requests per second. `None` if nothing limits the requests.
    rate: Option<f64>,
    /// Number of requests that may be sent at once, as of `level_at`.
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
    /// The latest run, if it ended because its probe was not refused in time.
    released: Option<Run>,
    /// The end of the latest run.
    run_ended_at: Timestamp,
    /// The time at which the probe of the latest run was sent. `None` before the first run.
    last_probe: Option<Timestamp>,
    /// The beginning of the latest run, as long as nothing but refusals that may be the fault of a request shows that
    /// requests are refused. Such a run can be reverted.
    unconfirmed: Option<Timestamp>,
    /// Number of calls that were refused without a readable cause since the last admitted request.
    unclear_calls: u32,
    /// The time at which the first request was sent, since the latest of these refusals, that has not been refused.
    sent_since: Option<Timestamp>,
}

/// A series of refusals without an admitted request in between.
#[derive(Clone, Copy, Debug)]
struct Run {
    began: Timestamp,
    /// Requests per second that were not refused in the minute before the run. `None` if they were too few to
    /// infer a pace.
    before: Option<f64>,
    /// Whether the run follows a pace that worked. `None` if the run does not change the pace.
    after_success: Option<bool>,
    pause: Duration,
    /// The end of the pause.
    until: Timestamp,
    /// The time at which the probe was sent. `None` before that.
    probe: Option<Timestamp>,
    /// The time from which the probe counts as admitted.
    probe_until: Timestamp,
}

impl Run {
    /// Returns whether the probe was not refused in time.
    fn is_admitted(&self, now: Timestamp) -> bool {
        self.probe.is_some_and(|probe| probe >= self.until) && self.probe_until <= now
    }
}

/// The state of a pace before a refusal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::limits) struct SavedPace {
    rate: Option<f64>,
    burst: f64,
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
            burst: 0.0,
            worked: 0.0,
            since_refusal: 0,
            confirmed_at: now,
            not_refused: Throughput::new(now),
            last_failed: None,
            run: None,
            released: None,
            run_ended_at: Timestamp::ZERO,
            last_probe: None,
            unconfirmed: None,
            unclear_calls: 0,
            sent_since: None,
        }
    }

    /// Returns the learned pace in requests per second. `None` if nothing limits the requests.
    pub(super) fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Returns the end of the pause, or of the wait for the probe. `None` if no refusal keeps requests waiting.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        let run = self.run?;
        let until = run.probe.map_or(run.until, |_| run.probe_until.max(run.until));
        Some(until).filter(|until| *until > now)
    }

    /// Returns whether a run has begun, and no probe of it has been admitted.
    pub(super) fn is_refused(&self, now: Timestamp) -> bool {
        self.run.is_some_and(|run| !run.is_admitted(now))
    }

    /// Returns whether a probe is in flight whose outcome is not known yet.
    pub(super) fn is_probing(&self, now: Timestamp) -> bool {
        let probed = self.run.filter(|run| run.probe.is_some());
        probed.is_some_and(|run| now < run.probe_until)
    }

    /// Returns whether the pause may end before the time that [`paused_until`](Self::paused_until) returns: with
    /// the answer to a probe, or because the refusal is reverted.
    pub(super) fn may_end_early(&self, now: Timestamp) -> bool {
        self.run.is_some() && self.unconfirmed.is_some()
            || self.is_probing(now) && self.run.is_some_and(|run| run.probe_until > run.until)
    }

    /// Awaits the outcome of the probe that was charged at `sent_at` until `until`. Has no effect on other requests.
    /// Returns whether that changes the time until which requests wait.
    pub(super) fn await_probe(&mut self, sent_at: Timestamp, until: Timestamp) -> bool {
        let run = self.run.as_mut().filter(|run| run.probe == Some(sent_at));
        run.is_some_and(|run| std::mem::replace(&mut run.probe_until, until) != until)
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

    /// Records that a request is sent at `now`. Returns whether it is a probe.
    #[inline(always)]
    pub(super) fn charge(&mut self, now: Timestamp) -> bool {
        self.release_if_admitted(now);
        self.not_refused.add(now);
        self.sent_since.get_or_insert(now);
        if let Some(run) = &mut self.run {
            run.probe = Some(now);
            run.probe_until = now + PROBE_TIME;
            return true;
        }
        let Some(rate) = self.rate else { return false };
        let level = self.level_now(rate, now);
        // Without the maximum level, so that a slow pace that delays nothing is forgotten, too.
        if self.refilled(rate, now) < 1.5 {
            self.confirmed_at = now;
        }
        self.level = (level - 1.0).max(-1.0);
        self.level_at = now;
        false
    }

    /// Takes back a request that was charged at `sent_at` but never sent.
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

    /// Records the success of a request that was sent at `sent_at`. Returns whether requests may
    /// be sent noticeably earlier: a run ends, or the pace returns after an outage.
    pub(super) fn record_success(&mut self, sent_at: Timestamp, now: Timestamp) -> bool {
        self.release_if_admitted(now);
        if self.sent_since.is_some_and(|sent| sent_at >= sent) {
            self.unclear_calls = 0;
        }
        let mut recovers = false;
        if self.run.is_none() {
            if now.since(self.confirmed_at) > FORGET {
                self.rate = None;
            }
            recovers = self.grow(now);
        }
        if !self.is_probe(sent_at) {
            return recovers;
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
        if let Some(run) = self.run.filter(|run| run.is_admitted(now)) {
            self.end_run(run.probe_until);
            self.released = Some(run);
        }
    }

    /// Raises the pace after a success. Returns whether the pace returns to one that worked. The other steps are
    /// small enough for waiting requests to ignore.
    fn grow(&mut self, now: Timestamp) -> bool {
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
    /// nothing about the limit.
    pub(super) fn record_failure(&mut self, sent_at: Timestamp, now: Timestamp) {
        self.release_if_admitted(now);
        self.remove_sent(sent_at);
        self.last_failed = Some(sent_at);
        if self.is_probe(sent_at)
            && let Some(run) = &mut self.run
        {
            run.until = run.until.max(now + run.pause);
            run.probe = None;
        }
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

    fn is_probe(&self, sent_at: Timestamp) -> bool {
        let probe = self.run.and_then(|run| run.probe);
        probe.is_some_and(|probe| sent_at >= probe)
    }

    /// Records a refusal, for a rate limit, of a request that was sent at `sent_at`. `infers`: whether the refusal
    /// may change the pace.
    ///
    /// Returns the state before the refusal if the refusal began a run, so that the refusal can be reverted.
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
            self.run = self.released.take_if(|run| run.probe == Some(sent_at));
        }
        let is_probe = self.is_probe(sent_at);
        let Some(run) = &mut self.run else {
            return self.begin_run(sent_at, wait, infers, now);
        };
        if !wait.is_provisional() {
            self.unconfirmed = None;
        } else if !is_probe {
            // Could not be reverted, and the known pause lasts anyway.
            return None;
        }
        let told = wait.exact();
        if is_probe {
            let longest = MAX_PAUSES[usize::from(now.since(run.began) > LASTING_RUN)];
            run.pause = (run.pause * LONGER).min(longest).max(run.pause);
            run.until = run.until.max(now + told.unwrap_or(run.pause));
            run.probe = None;
        } else if let Some(told) = told {
            run.until = run.until.max(now + told);
        }
        None
    }

    fn begin_run(
        &mut self,
        sent_at: Timestamp,
        wait: RefusalWait,
        infers: bool,
        now: Timestamp,
    ) -> Option<SavedPace> {
        let told = wait.exact();
        let is_late = self.last_probe.is_some_and(|probe| sent_at < probe);
        if is_late && told.is_none() {
            return None;
        }
        let saved = SavedPace {
            rate: self.rate,
            burst: self.burst,
            since_refusal: self.since_refusal,
            began: now,
        };
        let (count, active) = self.not_refused.in_last(MINUTE, now);
        let before = f64::from(count) / active.as_secs_f64();
        let infers = infers && !is_late && (self.rate.is_some() || count >= MIN_EVIDENCE);
        let mut after_success = None;
        if infers {
            after_success = Some(self.rate.is_none() || self.since_refusal >= MIN_EVIDENCE);
            let floor = before.max(self.not_refused.per_second(RECENT, now));
            let slower = self
                .rate
                .map_or(floor, |rate| rate.min(floor.max(rate * SLOWER).max(MIN_RATE)));
            self.rate = Some(slower);
            self.burst = self.not_refused.burst(slower, now);
            self.since_refusal = 0;
        }
        let pause = self.rate.map_or(DEFAULT_PAUSE, |rate| {
            Duration::from_secs_f64(1.0 / rate).clamp(MIN_PAUSE, MAX_FIRST_PAUSE)
        });
        self.run = Some(Run {
            began: now,
            before: Some(before).filter(|_| infers && count >= MIN_EVIDENCE),
            after_success,
            pause,
            until: now + told.unwrap_or(pause),
            probe: None,
            probe_until: now,
        });
        self.unconfirmed = wait.is_provisional().then_some(now);
        Some(saved)
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
            before: None,
            after_success: None,
            pause: DEFAULT_PAUSE,
            until,
            probe: None,
            probe_until: now,
        });
        run.until = run.until.max(until);
        self.unconfirmed = None;
    }

    fn end_run(&mut self, now: Timestamp) {
        let Some(run) = self.run.take() else { return };
        self.last_probe = run.probe;
        self.released = None;
        self.run_ended_at = now;
        self.confirmed_at = self.confirmed_at.max(now);
        self.level_at = now;
        // Without the time in which no request was there to probe.
        let lasted = now.min(run.until + PROBE_TIME).since(run.began);
        let Some(rate) = self.rate else { return };
        // The pause of a slow pace alone does not make the run long.
        let long = LONG_RUN.max(Duration::from_secs_f64(1.5 / rate));
        let mut ended = rate;
        if let Some(before) = run.before.filter(|_| lasted > long) {
            ended = rate.min(before);
            self.level = 0.0;
        } else {
            self.level = (rate * lasted.as_secs_f64()).min(rate * MAX_CATCH_UP).max(1.0) - 1.0;
        }
        self.rate = Some(ended);
        if let Some(after_success) = run.after_success {
            // Runs without admitted requests in between are one outage, or a limit that has shrunk. A pace that is
            // refused again and again must not be returned to.
            let kept = if after_success { 0.0 } else { self.worked / 2.0 };
            self.worked = ended.max(kept);
        }
    }

    fn level_now(&self, rate: f64, now: Timestamp) -> f64 {
        self.refilled(rate, now).min(rate.max(1.0) + self.burst)
    }

    fn refilled(&self, rate: f64, now: Timestamp) -> f64 {
        self.level + now.since(self.level_at).as_secs_f64() * rate
    }
}
