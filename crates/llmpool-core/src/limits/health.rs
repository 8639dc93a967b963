//! Health of a key, quota group or target, judged by the provider's responses. In this file, *subject* stands
//! for any of the three.
//!
//! A subject is healthy, in a cooldown, or being probed. A probe is an attempt that tests the subject after a
//! cooldown. Every change of health begins a new epoch. The response to an attempt that started in an earlier
//! epoch is stale: it says nothing about the current health.
//!
//! After a cooldown, a single attempt probes the subject. If it has no outcome after [`SILENT`], the next attempt
//! probes as well. After an overload, the subject is healthy from then on: answers may take minutes, and a server
//! that is still overloaded refuses at once. If the probe ends without a response (the call was cancelled or timed
//! out), two attempts may probe at once in the next round, then four, and so on. With only one probe at a time, a
//! series of callers with short deadlines could probe one after another without ever receiving a response.
//!
//! A refusal for a rate limit does not change the health of a key or quota group: see
//! `observed_limits.rs`.
//!
//! Invariants: a refusal never moves the end of a running cooldown to an earlier time; every cooldown ends;
//! the first probe after a cooldown runs alone, for [`SILENT`] at most.

use std::time::Duration;

use super::cooldown::CooldownReason;
use super::obstacle::Obstacle;
use super::saved_limits::{SavedCooldown, millis};
use crate::time::Timestamp;

/// Maximum number of times that the allowed number of concurrent probes is doubled, starting from one probe.
const MAX_DOUBLINGS: u32 = 10;
/// Time after which a probe without an outcome no longer keeps other attempts waiting.
pub(super) const SILENT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Health {
    /// Why and until when the subject is not used. Until a probe succeeds, the cooldown is kept beyond its end. `None`
    /// if healthy.
    cooldown: Option<(Timestamp, CooldownReason)>,
    /// Number of attempts in flight that test the subject after its cooldown. If all of them end without a response,
    /// the next attempt is a probe.
    probes: u32,
    /// The time from which another attempt may probe, even if none of those in flight has an outcome.
    next_probe_at: Timestamp,
    epoch: u32,
    /// Number of consecutive cooldowns for which the provider named no duration. Each of them doubles the
    /// default duration.
    default_cooldowns: u32,
    /// Number of consecutive rounds of probes that ended without a response. Each of them doubles the allowed
    /// number of concurrent probes.
    unanswered: u32,
}

impl Health {
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Returns the end and the reason of the cooldown. While probes are running, returns those of the cooldown
    /// before the probes. `None` if healthy.
    pub(super) fn cooldown(&self) -> Option<(Timestamp, CooldownReason)> {
        self.cooldown
    }

    /// Returns the end of the cooldown, which may have passed. `None` if healthy or being probed.
    pub(super) fn cooldown_until(&self) -> Option<Timestamp> {
        let (until, _) = self.cooldown.filter(|_| !self.is_probing())?;
        Some(until)
    }

    #[inline(always)]
    pub(super) fn is_healthy(&self) -> bool {
        self.cooldown.is_none()
    }

    pub(super) fn is_probing(&self) -> bool {
        self.probes > 0
    }

    /// Returns what keeps attempts from starting: a cooldown, or the wait for the outcome of probes.
    #[inline(always)]
    pub(super) fn obstacle(&self, now: Timestamp) -> Option<Obstacle> {
        let (until, reason) = self.cooldown?;
        let obstacle = match self.probes {
            0 if reason.has_known_end() => Obstacle::until(until),
            0 => Obstacle::lost_until(until),
            probes if probes < 1 << self.unanswered => return None,
            _ => Obstacle::until(self.next_probe_at).or_earlier(true),
        };
        Some(obstacle).filter(|obstacle| obstacle.until > now)
    }

    /// Records the start of an attempt. The first attempt after a cooldown is a probe, unless the cooldown needs none
    /// and a rate limit spreads the starts of waiting attempts over time (`is_paced`). Returns whether the attempt ends
    /// a cooldown.
    #[inline(always)]
    pub(super) fn begin_attempt(&mut self, is_paced: bool, now: Timestamp) -> bool {
        let Some((_, reason)) = self.cooldown.filter(|(until, _)| *until <= now) else {
            return false;
        };
        let is_first = self.probes == 0;
        let suffices = if is_first {
            is_paced
        } else {
            self.next_probe_at <= now
        };
        if suffices && !reason.needs_probe() {
            self.cooldown = None;
            self.probes = 0;
        } else {
            self.probes += 1;
            self.next_probe_at = now + SILENT;
        }
        self.epoch += u32::from(is_first);
        is_first
    }

    /// Records the end of an attempt that started in `epoch`. If the attempt was the last running probe and
    /// no probe received a response, the next attempt becomes a probe again.
    #[inline(always)]
    pub(super) fn end_attempt(&mut self, epoch: u32) {
        if self.probes > 0 && epoch == self.epoch {
            self.probes -= 1;
            // Counts a round of probes once, however many probes it had: eleven unanswered probes must
            // not allow a thousand in the next round.
            let is_over = self.probes == 0;
            self.unanswered = (self.unanswered + u32::from(is_over)).min(MAX_DOUBLINGS);
        }
    }

    /// Records the success of an attempt that started in `epoch`. Returns whether the health changed. Has no
    /// effect if `epoch` is not the current epoch.
    #[inline(always)]
    pub(super) fn record_success(&mut self, epoch: u32) -> bool {
        if epoch != self.epoch {
            return false;
        }
        let changed = !self.is_healthy();
        *self = Self {
            epoch,
            ..Self::default()
        };
        changed
    }

    /// Records that the provider refused an attempt that started in `epoch`. Several refusals in one epoch
    /// count as one.
    ///
    /// If the attempt started in an earlier epoch, the refusal can extend a running cooldown, but never shortens
    /// it or doubles its duration. If no cooldown is running, it may start one.
    ///
    /// Returns the health before the refusal, with which the refusal can be [reverted](Self::restore), or `None` if
    /// the refusal started no cooldown.
    pub(super) fn record_refusal(
        &mut self,
        epoch: u32,
        reason: CooldownReason,
        duration: Option<Duration>,
        now: Timestamp,
    ) -> Option<Self> {
        let before = Self { probes: 0, ..*self };
        let is_late = epoch != self.epoch;
        let duration = match duration {
            Some(duration) => duration,
            None if !is_late => self.next_default_duration(reason),
            None if self.is_healthy() && reason.needs_probe() => reason.default_durations().0,
            None => return None,
        };
        let until = (now + duration).max(self.cooldown_until().unwrap_or(Timestamp::ZERO));
        if let Some((end, known)) = &mut self.cooldown
            && is_late
            && self.probes == 0
        {
            *end = until;
            if reason == CooldownReason::NoQuotaUntil {
                *known = reason;
            }
            return None;
        }
        self.start_cooldown(reason, until);
        Some(before)
    }

    /// Starts a cooldown and begins a new epoch, regardless of the previous state.
    pub(super) fn start_cooldown(&mut self, reason: CooldownReason, until: Timestamp) {
        *self = Self {
            cooldown: Some((until, reason)),
            epoch: self.epoch + 1,
            default_cooldowns: self.default_cooldowns,
            ..Self::default()
        };
    }

    /// Starts a cooldown, unless a current cooldown ends at `until` or later.
    pub(super) fn cool_down_until(&mut self, reason: CooldownReason, until: Timestamp) {
        if self.cooldown_until().is_none_or(|known| known < until) {
            self.start_cooldown(reason, until);
        }
    }

    /// Sets the state to healthy and forgets all earlier refusals.
    pub(super) fn reset(&mut self) {
        self.replace_by(Self::default());
    }

    /// Reverts a refusal, unless the health has changed since the refusal.
    pub(super) fn restore(&mut self, before: Self) {
        if self.epoch == before.epoch + 1 {
            self.replace_by(before);
        }
    }

    fn replace_by(&mut self, other: Self) {
        let epoch = self.epoch + 1;
        *self = Self { epoch, ..other };
    }

    fn next_default_duration(&mut self, reason: CooldownReason) -> Duration {
        let (first, longest) = reason.default_durations();
        let doubled = first.saturating_mul(1 << self.default_cooldowns.min(16));
        self.default_cooldowns = self.default_cooldowns.saturating_add(1);
        doubled.min(longest)
    }

    /// Returns the cooldown, to be saved.
    pub(super) fn save(&self, now: Timestamp) -> Option<SavedCooldown> {
        let (until, reason) = self.cooldown?;
        let ends_in_ms = millis(until.since(now));
        Some(SavedCooldown { reason, ends_in_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    /// Refuses an attempt that started just before.
    fn refuse(health: &mut Health, reason: CooldownReason, duration: Option<Duration>, now: Timestamp) {
        health.begin_attempt(false, now);
        health.record_refusal(health.epoch, reason, duration, now);
    }

    /// A subject in a cooldown from 0 s to 60 s.
    fn refused(reason: CooldownReason) -> Health {
        let mut health = Health::default();
        refuse(&mut health, reason, seconds(60), at(0));
        health
    }

    #[test]
    fn default_cooldowns_double_up_to_the_maximum_until_a_success() {
        let mut health = Health::default();
        let mut now = 0;
        for expected in [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600] {
            refuse(&mut health, CooldownReason::Invalid, None, at(now));
            now += expected;
            assert_eq!(health.cooldown(), Some((at(now), CooldownReason::Invalid)));
        }
        health.begin_attempt(false, at(now));
        assert!(health.record_success(health.epoch));
        assert!(!health.record_success(health.epoch), "already healthy");
        refuse(&mut health, CooldownReason::Invalid, None, at(now));
        assert_eq!(health.cooldown_until(), Some(at(now + 60)));
    }

    #[test]
    fn cooldown_keeps_attempts_waiting_until_its_end() {
        let health = refused(CooldownReason::NoQuota);
        assert_eq!(health.obstacle(at(59)), Some(Obstacle::lost_until(at(60))));
        assert_eq!(health.obstacle(at(60)), None);
        assert_eq!(Health::default().obstacle(at(0)), None);
        let health = refused(CooldownReason::NoQuotaUntil);
        assert_eq!(health.obstacle(at(59)), Some(Obstacle::until(at(60))));
    }

    #[test]
    fn attempt_during_a_cooldown_is_no_probe() {
        let mut health = refused(CooldownReason::Invalid);
        let epoch = health.epoch();
        assert!(!health.begin_attempt(false, at(59)));
        assert!(!health.is_probing());
        assert_eq!(health.epoch(), epoch);
    }

    #[test]
    fn probe_is_alone_until_it_is_silent_for_too_long() {
        let mut health = refused(CooldownReason::Invalid);
        assert!(health.begin_attempt(false, at(60)));
        assert!(health.is_probing() && !health.is_healthy());
        assert_eq!(health.cooldown_until(), None);
        let obstacle = Obstacle::until(at(65)).or_earlier(true);
        assert_eq!(health.obstacle(at(64)), Some(obstacle));
        assert_eq!(health.obstacle(at(65)), None);
        let epoch = health.epoch();
        assert!(!health.begin_attempt(true, at(65)), "one more probe");
        assert_eq!(health.epoch(), epoch);
        assert_eq!(
            health.obstacle(at(69)).map(|obstacle| obstacle.until),
            Some(at(70))
        );
        health.end_attempt(epoch);
        assert!(health.is_probing(), "one of two probes is left");
    }

    #[test]
    fn each_round_of_unanswered_probes_allows_twice_as_many() {
        let mut health = refused(CooldownReason::Invalid);
        for round in 0..13_u32 {
            let most = 1 << round.min(10);
            for probe in 0..most {
                assert_eq!(health.obstacle(at(60)), None, "probe {probe} of {most}");
                assert_eq!(health.begin_attempt(false, at(60)), probe == 0);
            }
            assert!(health.obstacle(at(60)).is_some(), "{most} probes");
            health.end_attempt(health.epoch() - 1);
            assert!(
                health.obstacle(at(60)).is_some(),
                "an attempt from before the probes"
            );
            for _ in 0..most {
                assert!(health.is_probing());
                health.end_attempt(health.epoch());
            }
            assert!(!health.is_probing());
        }
        health.end_attempt(health.epoch());
        assert!(!health.is_probing(), "no probe is left to end");
    }

    #[test]
    fn end_of_an_overload_suffices_if_attempts_are_paced_or_the_probe_is_silent() {
        let mut health = refused(CooldownReason::Overloaded);
        assert!(health.begin_attempt(true, at(60)));
        assert!(health.is_healthy() && !health.is_probing());

        let mut health = refused(CooldownReason::Overloaded);
        assert!(health.begin_attempt(false, at(60)));
        health.begin_attempt(false, at(64));
        assert!(!health.is_healthy());
        health.begin_attempt(false, at(69));
        assert!(health.is_healthy() && !health.is_probing());

        let mut health = refused(CooldownReason::Broken);
        health.begin_attempt(true, at(60));
        health.begin_attempt(true, at(65));
        assert!(!health.is_healthy(), "other reasons need a success");
    }

    #[test]
    fn late_refusal_only_extends_a_cooldown() {
        for (duration, until) in [(seconds(100), 110), (seconds(20), 60), (None, 60)] {
            let mut health = refused(CooldownReason::Invalid);
            let epoch = health.epoch();
            let before = health.record_refusal(epoch - 1, CooldownReason::Invalid, duration, at(10));
            assert_eq!(before, None);
            assert_eq!(health.cooldown_until(), Some(at(until)), "{duration:?}");
            assert_eq!((health.epoch(), health.default_cooldowns), (epoch, 0));
        }
    }

    #[test]
    fn named_end_of_missing_credit_stays_known() {
        use CooldownReason::{NoQuota, NoQuotaUntil};
        for (first, late, wait, expected) in [
            (NoQuota, NoQuotaUntil, seconds(20), (60, NoQuotaUntil)),
            (NoQuota, NoQuotaUntil, seconds(100), (110, NoQuotaUntil)),
            (NoQuotaUntil, NoQuota, None, (60, NoQuotaUntil)),
        ] {
            let mut health = refused(first);
            health.record_refusal(health.epoch() - 1, late, wait, at(10));
            let (until, reason) = expected;
            assert_eq!(health.cooldown(), Some((at(until), reason)), "{first:?} {late:?}");
        }
        let mut health = refused(NoQuotaUntil);
        refuse(&mut health, NoQuota, None, at(60));
        assert_eq!(
            health.cooldown(),
            Some((at(90), NoQuota)),
            "the probe was refused"
        );
    }

    #[test]
    fn late_refusal_of_a_healthy_or_probed_subject_starts_a_cooldown_of_a_certain_length() {
        let healthy = || {
            let mut health = refused(CooldownReason::Invalid);
            health.begin_attempt(false, at(60));
            health.record_success(health.epoch());
            health
        };
        let probed = || {
            let mut health = refused(CooldownReason::Invalid);
            health.begin_attempt(false, at(60));
            health
        };
        for (mut health, reason, duration, until) in [
            (healthy(), CooldownReason::Invalid, None, Some(130)),
            (healthy(), CooldownReason::Overloaded, None, None),
            (healthy(), CooldownReason::Overloaded, seconds(5), Some(75)),
            (probed(), CooldownReason::Invalid, None, None),
            (probed(), CooldownReason::Invalid, seconds(5), Some(75)),
        ] {
            let before = health;
            let epoch = health.epoch() - 1;
            let replaced = health.record_refusal(epoch, reason, duration, at(70));
            assert_eq!(replaced, until.map(|_| Health { probes: 0, ..before }));
            assert_eq!(health.cooldown_until(), until.map(at), "{reason:?} {duration:?}");
            assert_eq!(health.default_cooldowns, 0);
        }
    }

    #[test]
    fn second_refusal_in_an_epoch_never_ends_a_cooldown_earlier() {
        let mut health = Health::default();
        health.record_refusal(0, CooldownReason::Invalid, seconds(60), at(0));
        health.record_refusal(health.epoch(), CooldownReason::Invalid, seconds(10), at(10));
        assert_eq!(health.cooldown_until(), Some(at(60)));
        health.cool_down_until(CooldownReason::Invalid, at(60));
        assert_eq!(health.epoch(), 2, "the same end starts no new cooldown");
        health.cool_down_until(CooldownReason::NoQuota, at(61));
        assert_eq!(health.cooldown(), Some((at(61), CooldownReason::NoQuota)));
    }

    #[test]
    fn stale_outcomes_change_nothing() {
        let mut health = refused(CooldownReason::Invalid);
        assert!(!health.record_success(health.epoch() - 1));
        assert!(!health.is_healthy());
        health.reset();
        assert_eq!((health.is_healthy(), health.epoch()), (true, 2));
    }

    #[test]
    fn refusal_is_reverted_unless_something_has_changed_since() {
        let mut health = Health::default();
        refuse(&mut health, CooldownReason::Invalid, None, at(0));
        health.begin_attempt(false, at(60));
        let before = health.record_refusal(health.epoch(), CooldownReason::Invalid, None, at(60));
        let mut changed = health;
        health.restore(before.unwrap());
        assert_eq!(
            health.cooldown_until(),
            Some(at(60)),
            "the first cooldown, without its probe"
        );
        assert_eq!(health.epoch(), 4);
        refuse(&mut health, CooldownReason::Invalid, None, at(60));
        assert_eq!(
            health.cooldown_until(),
            Some(at(180)),
            "the second default duration"
        );

        changed.start_cooldown(CooldownReason::Invalid, at(500));
        changed.restore(before.unwrap());
        assert_eq!(changed.cooldown_until(), Some(at(500)));
    }

    #[test]
    fn cooldown_is_saved_with_the_time_that_is_left() {
        let health = refused(CooldownReason::NoQuota);
        let saved = SavedCooldown {
            reason: CooldownReason::NoQuota,
            ends_in_ms: 50_000,
        };
        assert_eq!(health.save(at(10)), Some(saved));
        assert_eq!(Health::default().save(at(10)), None);
    }
}
