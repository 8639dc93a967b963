//! One API key with its limits, as configured.

use llmpool_core::limits::{KeyLimits, Limits};

use crate::secrets::Secret;

/// An API key with its weight and limits.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// The key itself.
    pub secret: Secret,
    /// Weight and limits of the key.
    pub limits: KeyLimits,
    /// The name of the account to which the key belongs. Keys of one provider with the same name share one account: their limits of
    /// requests, tokens and requests per day apply once to all of them together.
    pub quota_group: Option<String>,
}

impl KeyEntry {
    /// Sets the limits of the key.
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
