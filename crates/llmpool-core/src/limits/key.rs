//! The public description of an API key: its identifier, limits and availability.

use super::cooldown::CooldownReason;
use super::limits::Limits;
use crate::time::Timestamp;

/// Identifier of an API key within its limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(super) u32);

impl KeyId {
    /// Returns the zero-based index of the key, in the order in which keys were added to the limiter.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Limits and load-balancing weight of one API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// Weight of the key in load balancing: the usable key with the fewest attempts in flight in proportion
    /// to its weight is used first. 0 counts as 1. Default: 1.
    pub weight: u32,
    /// Configured limits on requests, tokens and concurrency. Default: no limits.
    pub limits: Limits,
    /// Whether limits that the provider reveals by refusing requests apply in addition to the configured
    /// limits. If not, a refusal still pauses the key. Default: `true`.
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

/// Whether a key can be used. If not, the reason and, where known, the time until which the key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAvailability {
    /// The key is enabled and not in a cooldown. It can be used, as far as its limits allow.
    Healthy,
    /// The provider refused a request of the key or its quota group because of a rate limit. From the
    /// contained time on, one attempt may test the key.
    Throttled(Timestamp),
    /// The account of the key has no quota left. From the contained time on, one attempt may test the key.
    NoQuota(Timestamp),
    /// The provider rejects the key for every model. From the contained time on, one attempt may test the
    /// key.
    Invalid(Timestamp),
    /// The provider rejects the key for one model. From the contained time on, one attempt may test the key
    /// with that model.
    Forbidden(Timestamp),
    /// An attempt in flight is testing whether the key can be used again after a cooldown.
    Probing,
    /// An operator has disabled the key.
    Disabled,
}

impl KeyAvailability {
    /// Returns the name under which reports and metrics show this availability, for example `no quota`.
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

    /// Returns the end of the key's cooldown. `None` if the key is healthy, disabled or being tested.
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::Throttled(until) | Self::NoQuota(until) | Self::Invalid(until) | Self::Forbidden(until) => {
                Some(until)
            }
            Self::Healthy | Self::Probing | Self::Disabled => None,
        }
    }

    pub(super) fn cooldown(reason: CooldownReason, until: Timestamp) -> Self {
        match reason {
            CooldownReason::Throttled
            | CooldownReason::Unclear
            | CooldownReason::Overloaded
            | CooldownReason::Broken => Self::Throttled(until),
            CooldownReason::NoQuota | CooldownReason::NoQuotaUntil => Self::NoQuota(until),
            CooldownReason::Invalid => Self::Invalid(until),
            CooldownReason::Forbidden => Self::Forbidden(until),
        }
    }
}
