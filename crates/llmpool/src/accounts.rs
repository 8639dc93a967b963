//! Accounts that keys share according to the configuration.

use llmpool_core::limits::{KeyId, KeyLimits, Limits};

use crate::limits::SharedAdmission;

/// The accounts that the configuration of one provider names, each with its keys.
#[derive(Debug, Default)]
pub(crate) struct ConfiguredAccounts(Vec<ConfiguredAccount>);

#[derive(Debug)]
struct ConfiguredAccount {
    name: String,
    keys: Vec<KeyId>,
    limits: Limits,
    learn: bool,
}

/// Returns the limits that apply to a single key of an account: the key's weight and maximum concurrency. All other limits apply to the
/// account as a whole.
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
    /// Adds a key to the account `name`. Each limit of an account is the strictest that any of its keys sets.
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

    /// Creates a quota group for each account, so that the account's limits apply once to all of its keys.
    pub(crate) fn join_keys(self, admission: &SharedAdmission) {
        for account in self.0 {
            admission.join_keys(&account.keys, account.limits, account.learn);
        }
    }
}
