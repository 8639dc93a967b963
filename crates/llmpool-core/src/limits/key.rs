//! API keys as users of the limiter see them: identity, limits, availability.

use super::cooldown::CooldownReason;
use super::health::HealthState;
use super::limits::Limits;
use crate::time::Timestamp;

/// Index of an API key in its limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(super) u32);

impl KeyId {
    /// Returns the zero-based index of the key, in the order in which keys were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Limits and weight of one API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// Weight of the key in load balancing: the key with the fewest attempts in flight per weight is used first. At least 1; the default is 1.
    pub weight: u32,
    /// Configured limits on rate, tokens and concurrency. Default: none.
    pub limits: Limits,
    /// Whether observed limits, which response headers and refusals reveal, tighten the configured limits. Default: `true`.
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
    /// The key can be used, as far as its limits allow.
    Healthy,
    /// A rate limit of the provider refused a request of the key or its quota group. The key is not used until this time.
    Throttled(Timestamp),
    /// The account of the key has no quota left. From this time on, one attempt may probe the key.
    NoQuota(Timestamp),
    /// The provider rejects this key. From this time on, one attempt may probe it.
    Invalid(Timestamp),
    /// The provider rejects this key for one model. From this time on, one attempt may probe the key with that model.
    Forbidden(Timestamp),
    /// An attempt in flight is testing whether the key can be used again.
    Probing,
    /// The key was disabled by an operator.
    Disabled,
}

impl KeyAvailability {
    /// Returns the name of the state in reports and metrics.
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

    /// Returns the end of the cooldown. `None` for a key that is healthy, being probed or disabled.
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
