//! Health of a key, quota group or target, judged by the provider's responses.
//!
//! It is healthy, in a cooldown, or being probed by a few attempts. Every change begins a new epoch, and the response to an attempt of an
//! earlier epoch is stale.
//!
//! A single attempt probes first. If it ends without a response (cancelled, or out of time), two attempts may probe, then four, and so on:
//! otherwise a series of callers with short deadlines would probe one after another and learn nothing.
//!
//! Invariant: a known end of a cooldown never moves earlier while the cooldown lasts; every cooldown ends; the first probe is alone.

use std::time::Duration;

use super::cooldown::CooldownReason;
use crate::time::Timestamp;

/// Limit of the doubling of concurrent probes.
const MAX_DOUBLINGS: u32 = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum HealthState {
    #[default]
    Healthy,
    /// Not used before `until`.
    Cooldown {
        reason: CooldownReason,
        until: Timestamp,
    },
    /// Probes are in flight. `until` is the end of the previous cooldown, which is restored if they end without a response.
    Probing {
        reason: CooldownReason,
        until: Timestamp,
        in_flight: u32,
    },
}

impl HealthState {
    /// End and reason of the cooldown, including one that is being probed.
    pub(super) fn cooldown(self) -> Option<(Timestamp, CooldownReason)> {
        match self {
            Self::Healthy => None,
            Self::Cooldown { reason, until } | Self::Probing { reason, until, .. } => Some((until, reason)),
        }
    }

    /// Returns the state without its probes.
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
    /// Refusals in a row for which the provider named no duration.
    default_cooldowns: u32,
    /// Rounds of probes that ended without a response.
    unanswered: u32,
}

/// An earlier health to return to, valid while `epoch` is current.
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

    /// Returns the end of the cooldown; `None` without one, or while it is being probed.
    pub(super) fn cooldown_until(&self) -> Option<Timestamp> {
        match self.state {
            HealthState::Cooldown { until, .. } => Some(until),
            HealthState::Healthy | HealthState::Probing { .. } => None,
        }
    }

    /// Returns whether the maximum of concurrent probes is in flight.
    pub(super) fn is_probed(&self) -> bool {
        matches!(self.state, HealthState::Probing { in_flight, .. } if in_flight >= 1 << self.unanswered)
    }

    /// Records the start of an attempt and returns whether it ends a cooldown.
    ///
    /// The first attempt after a cooldown is a probe, unless the cooldown ends by time alone and a rate limit (`paced`) keeps all waiting
    /// attempts from starting at once.
    pub(super) fn begin_attempt(&mut self, paced: bool, now: Timestamp) -> bool {
        let (reason, until) = match &mut self.state {
            HealthState::Healthy => return false,
            HealthState::Probing { in_flight, .. } => {
                *in_flight += 1;
                return false;
            }
            HealthState::Cooldown { reason, until } => (*reason, *until),
        };
        if until > now {
            return false;
        }
        self.state = if reason.needs_probe() || !paced {
            HealthState::Probing {
                reason,
                until,
                in_flight: 1,
            }
        } else {
            HealthState::Healthy
        };
        self.epoch += 1;
        true
    }

    /// Records the end of an attempt. The next attempt probes again if the last probe ends without a response.
    pub(super) fn end_attempt(&mut self, epoch: u32) {
        if let HealthState::Probing { in_flight, .. } = &mut self.state
            && epoch == self.epoch
        {
            *in_flight -= 1;
            if *in_flight == 0 {
                // One round counts once, so that eleven probes do not allow a thousand next time.
                self.unanswered = (self.unanswered + 1).min(MAX_DOUBLINGS);
                self.state = self.state.without_probes();
            }
        }
    }

    /// Records the success of an attempt of `epoch` and returns whether the state changed.
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

    /// Records the refusal of an attempt of `epoch`. Refusals of attempts of one epoch count once. The returned state reverts it.
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

    /// Records the refusal of an attempt of an earlier epoch. It never shortens a cooldown and never doubles one, but it starts one if the
    /// state is healthy again.
    pub(super) fn record_late_refusal(
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

    /// Starts a cooldown, whatever the state was.
    pub(super) fn start_cooldown(&mut self, reason: CooldownReason, until: Timestamp) {
        self.state = HealthState::Cooldown { reason, until };
        self.unanswered = 0;
        self.epoch += 1;
    }

    /// Merges the health of another group into this one. The later cooldown stays, and attempts in flight count as stale.
    pub(super) fn merge(&mut self, other: &Self) {
        let epoch = self.epoch.max(other.epoch) + 1;
        let cooldowns = [&*self, other].map(|health| health.state.cooldown());
        if let Some((until, reason)) = cooldowns.into_iter().flatten().max_by_key(|(until, _)| *until) {
            self.start_cooldown(reason, until);
        }
        self.default_cooldowns = self.default_cooldowns.max(other.default_cooldowns);
        self.epoch = epoch;
    }

    /// Moves a key's cooldown to its group, if it is of a kind that concerns the whole group.
    pub(super) fn take_group_cooldown(&mut self, key: &mut Self) {
        if key
            .state
            .cooldown()
            .is_some_and(|(_, reason)| reason.is_of_group())
        {
            self.merge(key);
            key.reset();
        }
    }

    /// Sets the state to healthy, whatever it was.
    pub(super) fn reset(&mut self) {
        *self = Self {
            epoch: self.epoch + 1,
            ..Self::default()
        };
    }

    /// Reverts a refusal, unless the state changed since.
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
