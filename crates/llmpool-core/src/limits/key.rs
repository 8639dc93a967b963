//! What is known about one API key: its load, and whether it may be used.

use std::num::NonZeroU32;

use super::health::{CooldownReason, Health, HealthState};
use super::limit_set::LimitSet;
use super::limits::Limits;
use super::observed_limits::ObservedLimits;
use crate::time::Timestamp;

/// A key's place in its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(super) u32);

impl KeyId {
    /// The position, counted from 0 in the order in which the keys were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// How much of a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// Keys are compared by load per weight; at least 1.
    pub weight: u32,
    /// What may be done with it.
    pub limits: Limits,
    /// Whether what the provider says and refuses tightens these limits. Default: it does.
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

/// Whether a key may be used, as an operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAvailability {
    /// In use.
    Healthy,
    /// Its rate, or that of its account, is used up; used again from this instant on.
    Throttled(Timestamp),
    /// Its account has no quota left; one attempt finds out from this instant on.
    NoQuota(Timestamp),
    /// The provider refuses it; one attempt finds out from this instant on.
    Invalid(Timestamp),
    /// The provider refuses it for this model; one attempt finds out from this instant on.
    Forbidden(Timestamp),
    /// One attempt is finding out right now whether it can be used again.
    Probing,
    /// An operator took it out of use.
    Disabled,
}

impl KeyAvailability {
    /// The state in words, as reports and metrics print it.
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

    /// When that ends, where an instant is known.
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
    fn from(standing: HealthState) -> Self {
        match standing {
            HealthState::InUse => Self::Healthy,
            HealthState::Probing { .. } => Self::Probing,
            HealthState::Resting { why, until } => match why {
                CooldownReason::Throttled | CooldownReason::Overloaded | CooldownReason::Broken => {
                    Self::Throttled(until)
                }
                CooldownReason::NoQuota => Self::NoQuota(until),
                CooldownReason::Invalid => Self::Invalid(until),
                CooldownReason::Forbidden => Self::Forbidden(until),
            },
        }
    }
}

/// One key. The ring is the only one to change it.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) weight: NonZeroU32,
    pub(super) limit_set: LimitSet,
    /// When it was last picked, as a running number of all picks.
    pub(super) last_used: u64,
    pub(super) health: Health,
    pub(super) disabled: bool,
    /// The account it belongs to, where others do too.
    pub(super) group: Option<usize>,
}

impl Key {
    /// In use, and of no account that could say otherwise.
    #[inline]
    pub(super) fn is_plainly_in_use(&self) -> bool {
        !self.disabled && self.group.is_none() && self.health.is_in_use()
    }

    /// As before, and nothing but slots is counted.
    #[inline]
    pub(super) fn is_unlimited(&self) -> bool {
        self.is_plainly_in_use() && !self.limit_set.is_counting()
    }

    pub(super) fn new(limits: KeyLimits) -> Self {
        let mut limit_set = LimitSet::new(limits.limits);
        if limits.learn {
            limit_set.learned = ObservedLimits::enabled();
        }
        Self {
            weight: NonZeroU32::new(limits.weight).unwrap_or(NonZeroU32::MIN),
            limit_set,
            last_used: 0,
            health: Health::new(),
            disabled: false,
            group: None,
        }
    }
}
