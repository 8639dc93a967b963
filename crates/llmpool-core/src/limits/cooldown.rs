//! Reasons for a cooldown: a period in which a key, quota group or target is not used.

use std::time::Duration;

/// Why a key, quota group or target cools down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CooldownReason {
    /// The provider's rate limit refused a request. The rate refills with time.
    Throttled,
    /// Refused, perhaps because of a rate limit. Like `Throttled`, but no rate is inferred from it.
    Unclear,
    /// The account has no quota or credit left.
    NoQuota,
    /// The provider rejects the key for every model.
    Invalid,
    /// The provider rejects the key for one model.
    Forbidden,
    /// The target is overloaded, or asked the client to wait.
    Overloaded,
    /// The circuit breaker of the target opened: too many attempts in a row failed.
    Broken,
}

impl CooldownReason {
    /// Returns the durations to use if the provider names none: that of the first cooldown, and the maximum. Each further cooldown in a row doubles
    /// the duration.
    pub(super) fn default_durations(self) -> (Duration, Duration) {
        let (first, longest) = match self {
            Self::Throttled | Self::Unclear | Self::Overloaded => (1, 60),
            Self::Broken => (5, 60),
            Self::NoQuota => (30, 3600),
            Self::Invalid | Self::Forbidden => (60, 3600),
        };
        (Duration::from_secs(first), Duration::from_secs(longest))
    }

    /// Returns whether the cooldown applies to the whole quota group of a key. Otherwise it applies to the key alone.
    pub(super) fn is_of_group(self) -> bool {
        matches!(self, Self::Throttled | Self::Unclear | Self::NoQuota)
    }

    /// Returns whether an attempt must succeed before the key, quota group or target counts as healthy. Otherwise the end of the cooldown suffices.
    pub(super) fn needs_probe(self) -> bool {
        !matches!(self, Self::Throttled | Self::Unclear | Self::Overloaded)
    }
}
