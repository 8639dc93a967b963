//! Keys that belong to one account of the provider: declared in the configuration.

use llmpool_core::limits::{KeyId, KeyLimits, Limits};

use crate::limits::SharedAdmission;

/// The accounts that keys were declared to share.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    declared: Vec<Account>,
}

#[derive(Debug)]
struct Account {
    name: String,
    keys: Vec<KeyId>,
    limits: Limits,
    learn: bool,
}

/// What of a key's limits stays its own: the rest is the account's.
pub(crate) fn own_limits(limits: KeyLimits) -> KeyLimits {
    KeyLimits {
        limits: Limits {
            max_concurrency: limits.limits.max_concurrency,
            ..Limits::default()
        },
        ..limits
    }
}

impl Accounts {
    /// A key names its account, and what it says of the account's limits.
    pub(crate) fn add(&mut self, name: String, key: KeyId, said: KeyLimits) {
        let limits = Limits {
            max_concurrency: None,
            ..said.limits
        };
        match self.declared.iter_mut().find(|account| account.name == name) {
            Some(account) => {
                account.keys.push(key);
                account.limits = account.limits.stricter(&limits);
                account.learn &= said.learn;
            }
            None => self.declared.push(Account {
                name,
                keys: vec![key],
                limits,
                learn: said.learn,
            }),
        }
    }

    pub(crate) fn declare(self, admission: &SharedAdmission) {
        for account in self.declared {
            admission.join_keys(&account.keys, account.limits, account.learn);
        }
    }
}
