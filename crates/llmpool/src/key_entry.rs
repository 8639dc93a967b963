//! The configuration of one API key: its secret, its limits and its account.

use llmpool_core::limits::{KeyLimits, Limits};

use crate::secrets::Secret;

/// The configuration of one API key.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// The key itself.
    pub secret: Secret,
    /// The weight and the limits of the key.
    pub limits: KeyLimits,
    /// The name of the account to which the key belongs, or `None` if the account is unknown. Keys of one provider with the same account
    /// name share one quota: all limits except `max_concurrency` apply to these keys together.
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
