//! The status of API keys, for reports and metrics.

use std::fmt;
use std::time::Duration;

use llmpool_core::limits::KeyAvailability;

use crate::secrets::KeyLabel;

/// The state, load and limits of a key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The label of the key: its position and fingerprint, but not the key itself.
    pub label: KeyLabel,
    /// Whether the key is usable and, if not, why.
    pub state: KeyState,
    /// The time until the key may be used again. A single attempt may have to test the key first. `None` if
    /// the key is healthy or disabled, or if an attempt is testing the key now.
    pub retry_in: Option<Duration>,
    /// The number of attempts in flight that use the key, including leases.
    pub in_flight: u32,
    /// The configured maximum number of requests per minute. If both the key and its account have such a
    /// limit, the stricter one. `None` if neither has one.
    pub configured_per_minute: Option<f64>,
    /// The pace that was learned from the provider's refusals, in requests per minute. `None` if no pace was
    /// learned.
    pub observed_per_minute: Option<f64>,
    /// The labels of the other keys with the same [`quota_group`](crate::KeyEntry::quota_group).
    pub shares_with: Vec<KeyLabel>,
}

/// Whether a key is usable and, if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// The key is usable.
    Healthy,
    /// The key or its account has exceeded a rate limit. Once [`KeyStatus::retry_in`] has passed, one attempt
    /// tests the key.
    Throttled,
    /// The account of the key is out of quota. Once [`KeyStatus::retry_in`] has passed, one attempt tests the
    /// key.
    NoQuota,
    /// The provider rejects the key. Once [`KeyStatus::retry_in`] has passed, one attempt tests the key.
    Invalid,
    /// The provider rejects the key for this model only. Once [`KeyStatus::retry_in`] has passed, one attempt
    /// tests the key with this model.
    Forbidden,
    /// After a cooldown, one attempt is testing the key. The outcome of that attempt decides whether the key
    /// becomes usable.
    Probing,
    /// The key was disabled by an operator, or because a response had an HTTP status for which `on_status` in
    /// the configuration disables keys.
    Disabled,
}

impl KeyState {
    /// Returns the name of the state for reports and metrics, such as `no quota`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Throttled => "throttled",
            Self::NoQuota => "no quota",
            Self::Invalid => "invalid",
            Self::Forbidden => "forbidden",
            Self::Probing => "probing",
            Self::Disabled => "disabled",
        }
    }
}

impl From<KeyAvailability> for KeyState {
    fn from(availability: KeyAvailability) -> Self {
        match availability {
            KeyAvailability::Healthy => Self::Healthy,
            KeyAvailability::Throttled(_) => Self::Throttled,
            KeyAvailability::NoQuota(_) => Self::NoQuota,
            KeyAvailability::Invalid(_) => Self::Invalid,
            KeyAvailability::Forbidden(_) => Self::Forbidden,
            KeyAvailability::Probing => Self::Probing,
            KeyAvailability::Disabled => Self::Disabled,
        }
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
