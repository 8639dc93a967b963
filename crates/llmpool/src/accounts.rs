//! Accounts in the configuration. All keys of an account share the limits of the account.

use llmpool_core::limits::{KeyId, KeyLimits, Limits};

use crate::limits::SharedAdmission;

/// The accounts in the configuration of one provider, each with its keys and limits.
#[derive(Debug, Default)]
pub(crate) struct ConfiguredAccounts(Vec<ConfiguredAccount>);

#[derive(Debug)]
struct ConfiguredAccount {
    name: String,
    keys: Vec<KeyId>,
    limits: Limits,
    learn: bool,
}

/// Returns the part of `limits` that applies to each key of an account separately: the key's weight and
/// maximum concurrency. The other limits apply to all keys of the account together.
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
    /// Adds a key to the account `name`. If the keys of an account have different values for a limit, the
    /// strictest value applies to the account.
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

    /// Creates one quota group per account, so that the account's limits apply to all keys of the account
    /// together.
    pub(crate) fn join_keys(self, admission: &SharedAdmission) {
        for account in self.0 {
            admission.join_keys(&account.keys, account.limits, account.learn);
        }
    }
}
