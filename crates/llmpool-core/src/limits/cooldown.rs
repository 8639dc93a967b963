//! Reasons and default durations of cooldowns. A cooldown is a period in which a key, quota group or target
//! is not used.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a key, quota group or target is in a cooldown, a period in which it is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CooldownReason {
    /// The provider refused a request because a rate limit was reached.
    Throttled,
    /// The provider refused a request, perhaps because of a rate limit. Handled like `Throttled`, except that
    /// no request rate is inferred from the refusal.
    Unclear,
    /// The account of the key has no quota or credit left. Nothing is known about the time at which it returns.
    NoQuota,
    /// The account of the key has no quota or credit left until a time that the provider has named.
    NoQuotaUntil,
    /// The provider rejects the key for every model.
    Invalid,
    /// The provider rejects the key for one model, but may accept it for other models.
    Forbidden,
    /// The provider reported that the target is overloaded, or asked the client to wait.
    Overloaded,
    /// The circuit breaker of the target opened, because too many attempts in a row failed.
    Broken,
}

impl CooldownReason {
    /// Returns the duration of the first cooldown and the maximum duration. Both apply only if the provider
    /// names no duration. Each further cooldown in a row lasts twice as long as the one before, up to the
    /// maximum. Refusals for a rate limit have durations of their own: see `observed_limits.rs`.
    pub(super) fn default_durations(self) -> (Duration, Duration) {
        let (first, longest) = match self {
            Self::Throttled | Self::Unclear | Self::Overloaded => (1, 60),
            Self::Broken => (5, 60),
            Self::NoQuota | Self::NoQuotaUntil => (30, 3600),
            Self::Invalid | Self::Forbidden => (60, 3600),
        };
        (Duration::from_secs(first), Duration::from_secs(longest))
    }

    /// Returns whether a cooldown for this reason applies to the whole quota group of a key rather than to
    /// the key alone.
    pub(super) fn is_of_group(self) -> bool {
        matches!(self, Self::NoQuota | Self::NoQuotaUntil)
    }

    /// Returns whether requests can be expected to be served after the cooldown. Otherwise its end is only the time
    /// of a test.
    pub(super) fn has_known_end(self) -> bool {
        !matches!(self, Self::NoQuota | Self::Invalid | Self::Forbidden)
    }

    /// Returns whether, after a cooldown for this reason, an attempt must succeed before the key, quota group
    /// or target counts as healthy. After an overload, the end of the cooldown can suffice.
    pub(super) fn needs_probe(self) -> bool {
        self != Self::Overloaded
    }
}

/// What a refusal says about the time until requests are admitted again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefusalWait {
    /// Nothing.
    #[default]
    Unknown,
    /// Requests are refused for this long, for example because of a `Retry-After` header.
    Exact(Duration),
    /// Nothing, not even whether the request is at fault. If it turns out to be, the pause is reverted. If given, the
    /// pause lasts for this long.
    Provisional(Option<Duration>),
    /// A limit is reset after this time. Depending on the provider, that is when the next request is admitted or
    /// when the whole limit is available again, so that a refusal for a rate limit does not wait for it.
    Reset(Duration),
}

impl RefusalWait {
    /// Returns what a refusal says that names `time`, or that names nothing. `is_reset`: whether `time` is only that
    /// of a reset. A time of 0 says nothing: providers send it with times in the past.
    pub fn new(time: Option<Duration>, is_reset: bool) -> Self {
        match time.filter(|time| !time.is_zero()) {
            Some(reset) if is_reset => Self::Reset(reset),
            Some(wait) => Self::Exact(wait),
            None => Self::Unknown,
        }
    }

    /// Returns the time that the refusal names, whatever it means. `None` if it names none.
    pub(super) fn named(self) -> Option<Duration> {
        match self {
            Self::Unknown => None,
            Self::Provisional(wait) => wait,
            Self::Exact(wait) | Self::Reset(wait) => Some(wait),
        }
    }

    /// Returns the time for which requests are refused. `None` if that is not certain, or if the time is zero.
    pub(super) fn exact(self) -> Option<Duration> {
        match self {
            Self::Unknown | Self::Reset(_) => None,
            _ => self.named().filter(|wait| !wait.is_zero()),
        }
    }

    /// Returns whether the refusal may turn out to be the fault of the request.
    pub(super) fn is_provisional(self) -> bool {
        matches!(self, Self::Provisional(_))
    }
}

impl From<Option<Duration>> for RefusalWait {
    fn from(wait: Option<Duration>) -> Self {
        Self::new(wait, false)
    }
}
