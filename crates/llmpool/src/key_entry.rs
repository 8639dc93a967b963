//! The configuration of one API key: its secret, its limits and its account.

use llmpool_core::limits::{KeyLimits, Limits};

use crate::secrets::Secret;

/// The configuration of one API key.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// The API key.
    pub secret: Secret,
    /// The limits of the key, and its weight in load balancing.
    pub limits: KeyLimits,
    /// The name of the account to which the key belongs. Keys of one provider with the same account name
    /// share one quota: each limit except `max_concurrency` applies to these keys together. `None` if the key
    /// shares its quota with no other key.
    pub quota_group: Option<String>,
}

impl KeyEntry {
    /// Sets the limits of the key. Keeps its weight in load balancing.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits.limits = limits;
        self
    }
}

impl<T: Into<Secret>> From<T> for KeyEntry {
    fn from(key: T) -> Self {
        Self {
            secret: key.into(),
            limits: KeyLimits::default(),
            quota_group: None,
        }
    }
}
