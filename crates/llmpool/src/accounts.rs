//! Accounts in the configuration. All keys of an account share the limits of the account.

use std::collections::BTreeMap;

use llmpool_core::limits::{KeyId, KeyLimits, Limiter, Limits, QuotaGroupId};

/// The accounts that the key entries of one provider name, each with one quota group.
#[derive(Debug)]
pub(crate) struct ConfiguredAccounts<'a>(BTreeMap<&'a str, QuotaGroupId>);

impl<'a> ConfiguredAccounts<'a> {
    /// Adds one quota group for each account that `keys` name. If the keys of an account have different
    /// values for a limit, the strictest value applies to the account.
    pub(crate) fn new(keys: impl Iterator<Item = (&'a str, KeyLimits)>, limiter: &mut Limiter) -> Self {
        let mut accounts: BTreeMap<&str, (Limits, bool)> = BTreeMap::new();
        for (name, key) in keys {
            let limits = Limits {
                max_concurrency: None,
                ..key.limits
            };
            let account = accounts.entry(name).or_insert((limits, key.learn));
            account.0 = account.0.stricter(&limits);
            account.1 &= key.learn;
        }
        let accounts = accounts.into_iter();
        let groups = accounts.map(|(name, (limits, learn))| (name, limiter.add_group(limits, learn)));
        Self(groups.collect())
    }

    /// Adds a key to the account `name`. Of the key's limits, only `max_concurrency` applies to the key
    /// alone. If `name` is `None`, the key belongs to no account, and all its limits apply to it alone.
    pub(crate) fn add_key(&self, name: Option<&str>, limits: KeyLimits, limiter: &mut Limiter) -> KeyId {
        let group = name.and_then(|name| self.0.get(name));
        let Some(group) = group else {
            return limiter.add_key(limits);
        };
        let own = Limits {
            max_concurrency: limits.limits.max_concurrency,
            ..Limits::default()
        };
        limiter.add_key_to_group(
            *group,
            KeyLimits {
                limits: own,
                ..limits
            },
        )
    }
}
