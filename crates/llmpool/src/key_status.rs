//! The states of keys, for operators.

use std::fmt;
use std::time::Duration;

use llmpool_core::limits::KeyAvailability;

use crate::secrets::KeyLabel;

/// The state, load and limits of a key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The key's label: its position and fingerprint, never the key itself.
    pub label: KeyLabel,
    /// Whether the key is usable and, if not, the reason.
    pub state: KeyState,
    /// The time until the key is used again or probed by one attempt. `None` if the key is healthy, being probed, or disabled.
    pub retry_in: Option<Duration>,
    /// The number of attempts in flight.
    pub in_flight: u32,
    /// The maximum number of requests per minute that the configuration sets for the key, or for the account to which the key belongs; the
    /// stricter of the two. `None` if there is no limit.
    pub configured_per_minute: Option<f64>,
    /// The maximum number of requests per minute that the provider's responses reveal. `None` if the responses reveal no limit.
    pub observed_per_minute: Option<f64>,
    /// The other keys that share a quota with this key, according to the configuration or to response headers.
    pub shares_with: Vec<KeyLabel>,
}

/// Whether a key is in use, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// The key is usable.
    Healthy,
    /// The key or its account has exceeded a rate limit. The key is used again once `retry_in` has passed.
    Throttled,
    /// The account of the key is out of quota. One attempt probes the key once `retry_in` has passed.
    NoQuota,
    /// The provider rejects the key. One attempt probes the key once `retry_in` has passed.
    Invalid,
    /// The provider rejects the key for this model. One attempt probes the key once `retry_in` has passed.
    Forbidden,
    /// One attempt is probing the key. Its outcome decides whether the key is usable.
    Probing,
    /// An operator or a configured status policy has disabled the key.
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
