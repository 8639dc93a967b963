//! Accounts that keys share according to the configuration.

use llmpool_core::limits::{KeyId, KeyLimits, Limits};

use crate::limits::SharedAdmission;

/// The configured accounts of one provider.
#[derive(Debug, Default)]
pub(crate) struct ConfiguredAccounts(Vec<ConfiguredAccount>);

#[derive(Debug)]
struct ConfiguredAccount {
    name: String,
    keys: Vec<KeyId>,
    limits: Limits,
    learn: bool,
}

/// Returns the limits that remain with a key of an account. All except the maximum concurrency become limits of the account.
pub(crate) fn own_limits(limits: KeyLimits) -> KeyLimits {
    KeyLimits {
        limits: Limits {
            max_concurrency: limits.limits.max_concurrency,
            ..Limits::default()
        },
        ..limits
    }
}

impl ConfiguredAccounts {
    /// Adds a key to the account `name`. The account's limits are the strictest of its keys.
    pub(crate) fn add(&mut self, name: String, key: KeyId, key_limits: KeyLimits) {
        let limits = Limits {
            max_concurrency: None,
            ..key_limits.limits
        };
        match self.0.iter_mut().find(|account| account.name == name) {
            Some(account) => {
                account.keys.push(key);
                account.limits = account.limits.stricter(&limits);
                account.learn &= key_limits.learn;
            }
            None => self.0.push(ConfiguredAccount {
                name,
                keys: vec![key],
                limits,
                learn: key_limits.learn,
            }),
        }
    }

    /// Creates a quota group for each account.
    pub(crate) fn join_keys(self, admission: &SharedAdmission) {
        for account in self.0 {
            admission.join_keys(&account.keys, account.limits, account.learn);
        }
    }
}
