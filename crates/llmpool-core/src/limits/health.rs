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
//! `observed_limits/pace.rs`.
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum HealthState {
    #[default]
    Healthy,
    /// The key, quota group or target is not used before `until`. The first attempt after that is a probe, or
    /// ends the cooldown without a probe: see `Health::begin_attempt`.
    Cooldown {
        reason: CooldownReason,
        until: Timestamp,
    },
    /// `in_flight` attempts are testing the key, quota group or target after a cooldown. If all of them end
    /// without a response, the state becomes `Cooldown` again, with the same `until`, so that the next
    /// attempt is a probe.
    Probing {
        reason: CooldownReason,
        until: Timestamp,
        in_flight: u32,
        /// The time from which another attempt may probe, even if none of those in flight has an outcome.
        next_at: Timestamp,
    },
}

impl HealthState {
    /// Returns the end and the reason of the cooldown. While probes are running, returns those of the
    /// cooldown before the probes. `None` if healthy.
    pub(super) fn cooldown(self) -> Option<(Timestamp, CooldownReason)> {
        match self {
            Self::Healthy => None,
            Self::Cooldown { reason, until } | Self::Probing { reason, until, .. } => Some((until, reason)),
        }
    }

    /// Returns the cooldown, to be saved.
    pub(super) fn save(self, now: Timestamp) -> Option<SavedCooldown> {
        let (until, reason) = self.cooldown()?;
        let ends_in_ms = millis(until.since(now));
        Some(SavedCooldown { reason, ends_in_ms })
    }

    /// Returns the state, with `Probing` replaced by the cooldown that preceded the probes.
    fn without_probes(self) -> Self {
        match self {
            Self::Probing { reason, until, .. } => Self::Cooldown { reason, until },
            state => state,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    state: HealthState,
    epoch: u32,
    /// Number of consecutive cooldowns for which the provider named no duration. Each of them doubles the
    /// default duration.
    default_cooldowns: u32,
    /// Number of consecutive rounds of probes that ended without a response. Each of them doubles the allowed
    /// number of concurrent probes.
    unanswered: u32,
}

/// The health before a refusal. [`Health::restore`] returns to it if the current epoch is still `epoch`, that
/// is, if the health has not changed since the refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SavedHealth {
    epoch: u32,
    state: HealthState,
    default_cooldowns: u32,
}

impl Health {
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn state(&self) -> HealthState {
        self.state
    }

    /// Returns the end of the cooldown, which may have passed. `None` if the state is `Healthy` or `Probing`.
    pub(super) fn cooldown_until(&self) -> Option<Timestamp> {
        match self.state {
            HealthState::Cooldown { until, .. } => Some(until),
            HealthState::Healthy | HealthState::Probing { .. } => None,
        }
    }

    /// Returns what keeps attempts from starting: a cooldown, or the wait for the outcome of probes.
    #[inline(always)]
    pub(super) fn obstacle(&self, now: Timestamp) -> Option<Obstacle> {
        let obstacle = match self.state {
            HealthState::Healthy => return None,
            HealthState::Cooldown { until, .. } => Obstacle {
                is_lost: true,
                ..Obstacle::until(until)
            },
            HealthState::Probing {
                in_flight, next_at, ..
            } if in_flight >= 1 << self.unanswered => Obstacle {
                may_end_early: true,
                ..Obstacle::until(next_at)
            },
            HealthState::Probing { .. } => return None,
        };
        Some(obstacle).filter(|obstacle| obstacle.until > now)
    }

    #[inline(always)]
    pub(super) fn is_healthy(&self) -> bool {
        self.state == HealthState::Healthy
    }

    /// Records the start of an attempt. The first attempt after a cooldown is a probe. Returns whether the
    /// attempt ends a cooldown.
    pub(super) fn begin_attempt(&mut self, now: Timestamp) -> bool {
        match &mut self.state {
            HealthState::Probing { reason, next_at, .. } if !reason.needs_probe() && *next_at <= now => {
                self.state = HealthState::Healthy;
                false
            }
            HealthState::Probing {
                in_flight, next_at, ..
            } => {
                *in_flight += 1;
                *next_at = now + SILENT;
                false
            }
            &mut HealthState::Cooldown { reason, until } if until <= now => {
                self.state = HealthState::Probing {
                    reason,
                    until,
                    in_flight: 1,
                    next_at: now + SILENT,
                };
                self.epoch += 1;
                true
            }
            HealthState::Healthy | HealthState::Cooldown { .. } => false,
        }
    }

    /// Records the start of an attempt with a target whose rate limit spreads the starts of waiting attempts
    /// over time: after a cooldown that needs no probe, the target is healthy. Returns whether the attempt ends
    /// a cooldown.
    pub(super) fn begin_paced_attempt(&mut self, now: Timestamp) -> bool {
        let ends = self.begin_attempt(now);
        if ends
            && self
                .state
                .cooldown()
                .is_some_and(|(_, reason)| !reason.needs_probe())
        {
            self.state = HealthState::Healthy;
        }
        ends
    }

    /// Records the end of an attempt that started in `epoch`. If the attempt was the last running probe and
    /// no probe received a response, the next attempt becomes a probe again.
    pub(super) fn end_attempt(&mut self, epoch: u32) {
        if let HealthState::Probing { in_flight, .. } = &mut self.state
            && epoch == self.epoch
        {
            *in_flight -= 1;
            if *in_flight == 0 {
                // Counts a round of probes once, however many probes it had: eleven unanswered probes must
                // not allow a thousand in the next round.
                self.unanswered = (self.unanswered + 1).min(MAX_DOUBLINGS);
                self.state = self.state.without_probes();
            }
        }
    }

    /// Records the success of an attempt that started in `epoch`. Returns whether the health changed. Has no
    /// effect if `epoch` is not the current epoch.
    #[inline(always)]
    pub(super) fn record_success(&mut self, epoch: u32) -> bool {
        if epoch != self.epoch {
            return false;
        }
        let changed = self.state != HealthState::Healthy;
        self.state = HealthState::Healthy;
        self.default_cooldowns = 0;
        self.unanswered = 0;
        changed
    }

    /// Records that the provider refused an attempt that started in `epoch`. Several refusals in one epoch
    /// count as one.
    ///
    /// Returns the health before the refusal, with which the refusal can be reverted, or `None` if the
    /// refusal started no cooldown.
    pub(super) fn record_refusal(
        &mut self,
        epoch: u32,
        reason: CooldownReason,
        duration: Option<Duration>,
        now: Timestamp,
    ) -> Option<SavedHealth> {
        if epoch != self.epoch {
            return self.record_late_refusal(reason, duration, now);
        }
        let (state, default_cooldowns) = (self.state.without_probes(), self.default_cooldowns);
        let until = now + duration.unwrap_or_else(|| self.next_default_duration(reason));
        self.start_cooldown(reason, until.max(self.cooldown_until().unwrap_or(until)));
        Some(SavedHealth {
            epoch: self.epoch,
            state,
            default_cooldowns,
        })
    }

    /// Records that the provider refused an attempt that started in an earlier epoch.
    ///
    /// A late refusal can extend a running cooldown, but never shortens it or doubles its duration. If no
    /// cooldown is running, a late refusal may start one. Returns the health before the refusal, with which
    /// the refusal can be reverted, or `None` if the refusal started no cooldown.
    fn record_late_refusal(
        &mut self,
        reason: CooldownReason,
        duration: Option<Duration>,
        now: Timestamp,
    ) -> Option<SavedHealth> {
        let duration = match (&mut self.state, duration) {
            (HealthState::Cooldown { until, .. }, Some(duration)) => {
                *until = (*until).max(now + duration);
                return None;
            }
            (HealthState::Healthy | HealthState::Probing { .. }, Some(duration)) => duration,
            (HealthState::Healthy, None) if reason.needs_probe() => reason.default_durations().0,
            _ => return None,
        };
        let state = self.state.without_probes();
        self.start_cooldown(reason, now + duration);
        Some(SavedHealth {
            epoch: self.epoch,
            state,
            default_cooldowns: self.default_cooldowns,
        })
    }

    /// Starts a cooldown and begins a new epoch, regardless of the previous state.
    pub(super) fn start_cooldown(&mut self, reason: CooldownReason, until: Timestamp) {
        self.state = HealthState::Cooldown { reason, until };
        self.unanswered = 0;
        self.epoch += 1;
    }

    /// Starts a cooldown, unless a current cooldown ends at `until` or later.
    pub(super) fn cool_down_until(&mut self, reason: CooldownReason, until: Timestamp) {
        if self.cooldown_until().is_none_or(|known| known < until) {
            self.start_cooldown(reason, until);
        }
    }

    /// Sets the state to healthy and forgets all earlier refusals.
    pub(super) fn reset(&mut self) {
        *self = Self {
            epoch: self.epoch + 1,
            ..Self::default()
        };
    }

    /// Reverts a refusal, unless the health has changed since the refusal.
    pub(super) fn restore(&mut self, before: SavedHealth) {
        if before.epoch == self.epoch {
            self.state = before.state;
            self.default_cooldowns = before.default_cooldowns;
            self.epoch += 1;
        }
    }

    fn next_default_duration(&mut self, reason: CooldownReason) -> Duration {
        let (first, longest) = reason.default_durations();
        let doubled = first.saturating_mul(1 << self.default_cooldowns.min(16));
        self.default_cooldowns = self.default_cooldowns.saturating_add(1);
        doubled.min(longest)
    }
}
