//! Reasons for a cooldown.

use std::time::Duration;

/// Why a key, quota group or target cools down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CooldownReason {
    /// Rate limited; the rate refills by itself.
    Throttled,
    /// Refused, perhaps because of a rate limit. Like `Throttled`, but no rate is inferred from it.
    Unclear,
    /// No quota or credit left.
    NoQuota,
    /// The provider rejects the key.
    Invalid,
    /// The provider rejects the key for one model.
    Forbidden,
    /// The target asked for a pause.
    Overloaded,
    /// The target's circuit breaker opened.
    Broken,
}

impl CooldownReason {
    /// Returns the cooldown to use when the provider names none: the first one, and the maximum of its doubling.
    pub(super) fn default_durations(self) -> (Duration, Duration) {
        let (first, longest) = match self {
            Self::Throttled | Self::Unclear | Self::Overloaded => (1, 60),
            Self::Broken => (5, 60),
            Self::NoQuota => (30, 3600),
            Self::Invalid | Self::Forbidden => (60, 3600),
        };
        (Duration::from_secs(first), Duration::from_secs(longest))
    }

    /// Returns whether the whole quota group cools down, where keys share one.
    pub(super) fn is_of_group(self) -> bool {
        matches!(self, Self::Throttled | Self::Unclear | Self::NoQuota)
    }

    /// Returns whether only a response can show that the cooldown is over.
    pub(super) fn needs_probe(self) -> bool {
        !matches!(self, Self::Throttled | Self::Unclear | Self::Overloaded)
    }
}
