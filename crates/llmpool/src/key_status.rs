//! The state of keys as an operator sees it.

use std::fmt;
use std::time::Duration;

use llmpool_core::limits::KeyAvailability;

use crate::secrets::KeyLabel;

/// The state and load of a key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The key's label: position and fingerprint, never the key itself.
    pub label: KeyLabel,
    /// Whether the key is in use, and if not, why.
    pub state: KeyState,
    /// The time until the key is used again, or probed by one attempt. `None` for a key that is healthy, probing or disabled.
    pub retry_in: Option<Duration>,
    /// Attempts in flight.
    pub in_flight: u32,
    /// The configured requests per minute of the key, or of the account that it shares.
    pub configured_per_minute: Option<f64>,
    /// The requests per minute that the provider was observed to allow.
    pub observed_per_minute: Option<f64>,
    /// The other keys of the same quota group, configured or detected.
    pub shares_with: Vec<KeyLabel>,
}

/// Whether a key is in use, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// In use.
    Healthy,
    /// Out of its rate, or that of its account. Used again once `retry_in` has passed.
    Throttled,
    /// Out of quota. Probed by one attempt once `retry_in` has passed.
    NoQuota,
    /// Refused by the provider. Probed by one attempt once `retry_in` has passed.
    Invalid,
    /// Refused by the provider for this model. Probed by one attempt once `retry_in` has passed.
    Forbidden,
    /// Being probed by one attempt, whose outcome decides.
    Probing,
    /// Disabled by an operator, or by a configured status policy.
    Disabled,
}

impl KeyState {
    /// Returns the state as reports and metrics print it.
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
