//! Observed limits: limits that the provider reveals by refusing requests.
//!
//! From refusals, a [`Pace`] infers when and how fast to send further requests. Observed limits apply in
//! addition to the configured limits. Rate limit headers of successful responses are not used: providers
//! disagree on what they mean, and a refusal costs less than a wrong reading.

mod pace;
#[cfg(test)]
mod tests;
mod throughput;

use std::time::Duration;

use self::pace::Pace;
pub(super) use self::pace::{PROBE_TIME, SavedPace};
use super::cooldown::RefusalWait;
use super::limits::LimitKind;
use super::obstacle::Obstacle;
use super::saved_limits::LearnedPace;
use crate::time::Timestamp;

/// The limits observed for a key or quota group.
#[derive(Clone, Debug, Default)]
pub(super) struct ObservedLimits {
    /// Whether a pace is inferred from refusals. If not, a refusal still starts a pause.
    pub(super) enabled: bool,
    /// `None` until the first request is sent. Boxed, because many keys are never used.
    pace: Option<Box<Pace>>,
}

impl ObservedLimits {
    /// `enabled`: whether a pace is inferred from refusals.
    pub(super) fn new(enabled: bool) -> Self {
        Self { enabled, pace: None }
    }

    /// Returns what keeps requests from being sent: the pause after a refusal, or the learned pace.
    #[inline(always)]
    pub(super) fn obstacle(&self, now: Timestamp) -> Option<Obstacle> {
        let pace = self.pace.as_ref()?;
        if let Some(until) = pace.paused_until(now) {
            return Some(Obstacle {
                may_end_early: pace.may_end_early(now),
                ..Obstacle::until(until)
            });
        }
        let until = pace.ready_at(now);
        (until > now).then_some(Obstacle {
            limit: Some(LimitKind::Requests),
            ..Obstacle::until(until)
        })
    }

    /// Returns the maximum number of requests per minute that was inferred from refusals. `None` if nothing was
    /// inferred.
    pub(super) fn per_minute(&self) -> Option<f64> {
        Some(self.pace.as_ref()?.rate()? * 60.0)
    }

    /// Returns the end of the pause after a refusal, or of the wait for the outcome of a probe. `None` if no
    /// refusal keeps requests waiting.
    #[inline(always)]
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.pace.as_ref()?.paused_until(now)
    }

    /// Returns whether the outcome of a probe is awaited.
    pub(super) fn is_probing(&self, now: Timestamp) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.is_probing(now))
    }

    /// Returns whether requests were refused and none has been admitted since, as far as is known.
    pub(super) fn is_refused(&self, now: Timestamp) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.is_refused(now))
    }

    /// Awaits the outcome of the probe that was charged at `sent_at` until `until`, for example because its
    /// connection is not open yet. Has no effect on other requests. Returns whether that changes the time until
    /// which requests wait.
    pub(super) fn await_probe(&mut self, sent_at: Timestamp, until: Timestamp) -> bool {
        let pace = self.pace.as_mut();
        pace.is_some_and(|pace| pace.await_probe(sent_at, until))
    }

    /// Charges a request that is sent at `now`. Returns whether the request is a probe.
    #[inline(always)]
    pub(super) fn charge(&mut self, now: Timestamp) -> bool {
        (self.enabled || self.pace.is_some()) && self.pace_mut(now).charge(now)
    }

    /// Refunds a charge made at `sent_at` for a request that was not sent.
    pub(super) fn refund(&mut self, sent_at: Timestamp) {
        if let Some(pace) = &mut self.pace {
            pace.refund(sent_at);
        }
    }

    /// Records the success of a request that was sent at `sent_at`. Returns whether requests may be
    /// sent noticeably earlier: the success ends a pause, or raises the pace back to one that worked.
    ///
    /// Other successes raise the pace by 0.07 % at first, which waiting requests may ignore: a request that waits for at
    /// most two intervals of the pace is late by 0.14 % of an interval for each success in that time.
    #[inline(always)]
    pub(super) fn record_success(&mut self, sent_at: Timestamp, now: Timestamp) -> bool {
        let pace = self.pace.as_mut();
        pace.is_some_and(|pace| pace.record_success(sent_at, now))
    }

    /// Records that a request that was sent at `sent_at` failed for a reason other than a rate limit.
    pub(super) fn record_failure(&mut self, sent_at: Timestamp, now: Timestamp) {
        if let Some(pace) = &mut self.pace {
            pace.record_failure(sent_at, now);
        }
    }

    /// Records a refusal without a readable cause. See [`Pace::record_unclear`].
    pub(super) fn record_unclear(&mut self, is_first: bool, sent_at: Timestamp, now: Timestamp) -> bool {
        self.pace_mut(now).record_unclear(is_first, sent_at, now)
    }

    /// Records that the provider refused a request, sent at `sent_at`, because of a rate limit. `infers`: whether
    /// a pace may be inferred from the refusal.
    ///
    /// If the refusal started or lengthened a pause, returns the state before the refusal, which
    /// [`restore`](Self::restore) accepts.
    pub(super) fn record_refusal(
        &mut self,
        sent_at: Timestamp,
        wait: RefusalWait,
        infers: bool,
        now: Timestamp,
    ) -> Option<SavedPace> {
        let infers = infers && self.enabled;
        self.pace_mut(now).record_refusal(sent_at, wait, infers, now)
    }

    /// Reverts a refusal, unless something else has confirmed the pause since.
    pub(super) fn restore(&mut self, saved: SavedPace) {
        if let Some(pace) = &mut self.pace {
            pace.restore(saved);
        }
    }

    /// Pauses until `until` at least, without inferring anything.
    pub(super) fn pause_until(&mut self, until: Timestamp, now: Timestamp) {
        self.pace_mut(now).pause_until(until, now);
    }

    /// Returns what was learned and still matters.
    pub(super) fn save(&self, now: Timestamp) -> Option<LearnedPace> {
        self.pace.as_ref()?.save(now)
    }

    /// Adds what was learned `elapsed` ago. A learned pace only applies if paces are inferred here, too.
    pub(super) fn load(&mut self, learned: &LearnedPace, elapsed: Duration, now: Timestamp) {
        let infers = self.enabled;
        self.pace_mut(now).load(learned, infers, elapsed, now);
    }

    /// Forgets everything that was observed.
    pub(super) fn reset(&mut self) {
        self.pace = None;
    }

    #[inline(always)]
    fn pace_mut(&mut self, now: Timestamp) -> &mut Pace {
        self.pace.get_or_insert_with(|| Box::new(Pace::new(now)))
    }
}
