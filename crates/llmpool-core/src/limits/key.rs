//! Keys as callers of the limiter see them: identity, limits, availability.

use super::cooldown::CooldownReason;
use super::health::HealthState;
use super::limits::Limits;
use crate::time::Timestamp;

/// Index of a key in its limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(super) u32);

impl KeyId {
    /// The position, counted from 0 in the order in which keys were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Limits of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// Weight for load balancing: keys are compared by attempts in flight per weight. At least 1, which is the default.
    pub weight: u32,
    /// Rates, tokens and concurrency.
    pub limits: Limits,
    /// Whether observed limits (response headers, refusals) tighten the configured ones. Default: `true`.
    pub learn: bool,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self {
            weight: 1,
            limits: Limits::default(),
            learn: true,
        }
    }
}

/// Whether a key can be used, and if not, why and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAvailability {
    /// Can be used.
    Healthy,
    /// Rate limited, itself or its quota group, until this time.
    Throttled(Timestamp),
    /// Its account has no quota left; one attempt probes at this time.
    NoQuota(Timestamp),
    /// The provider rejects it; one attempt probes at this time.
    Invalid(Timestamp),
    /// The provider rejects it for this model; one attempt probes at this time.
    Forbidden(Timestamp),
    /// One attempt is probing whether it can be used again.
    Probing,
    /// Disabled by an operator.
    Disabled,
}

impl KeyAvailability {
    /// The name of the state in reports and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Throttled(_) => "throttled",
            Self::NoQuota(_) => "no quota",
            Self::Invalid(_) => "invalid",
            Self::Forbidden(_) => "forbidden",
            Self::Probing => "probing",
            Self::Disabled => "disabled",
        }
    }

    /// The end of the cooldown, if one is known.
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::Throttled(until) | Self::NoQuota(until) | Self::Invalid(until) | Self::Forbidden(until) => {
                Some(until)
            }
            Self::Healthy | Self::Probing | Self::Disabled => None,
        }
    }
}

impl From<HealthState> for KeyAvailability {
    fn from(state: HealthState) -> Self {
        match state {
            HealthState::Healthy => Self::Healthy,
            HealthState::Probing { .. } => Self::Probing,
            HealthState::Cooldown { reason, until } => match reason {
                CooldownReason::Throttled
                | CooldownReason::Unclear
                | CooldownReason::Overloaded
                | CooldownReason::Broken => Self::Throttled(until),
                CooldownReason::NoQuota => Self::NoQuota(until),
                CooldownReason::Invalid => Self::Invalid(until),
                CooldownReason::Forbidden => Self::Forbidden(until),
            },
        }
    }
}
