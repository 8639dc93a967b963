//! The accounts that responses name, for advice about keys without a quota group.
//!
//! A response can name the account of its key (header `openai-organization`). That two keys have the same
//! account name is a hint that they share limits, not a proof: within one organization, projects can have
//! limits of their own. No limit depends on it.

use std::collections::{HashMap, HashSet};

use super::key::KeyId;

/// The accounts that responses named for the keys of one provider. For each key, the first name counts.
#[derive(Clone, Debug, Default)]
pub struct AccountNames {
    /// The first key for which each account name was received.
    first_key: HashMap<String, KeyId>,
    /// The keys for which an account name was received.
    named: HashSet<KeyId>,
}

impl AccountNames {
    /// Records that a response to a request of `key` names the account `account`.
    ///
    /// Returns the first key for which this account was named, if it is a different key. Returns `None` if an
    /// account was named for `key` before, so each pair of keys is returned at most once.
    pub fn record(&mut self, key: KeyId, account: &str) -> Option<KeyId> {
        if !self.named.insert(key) {
            return None;
        }
        let first = *self.first_key.entry(account.to_owned()).or_insert(key);
        Some(first).filter(|first| *first != key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_compared_once_with_the_first_key_of_its_account() {
        let mut names = AccountNames::default();
        let mut record = |key, account| names.record(KeyId(key), account).map(KeyId::index);
        assert_eq!(record(5, "org-1"), None);
        assert_eq!(record(0, "org-2"), None);
        assert_eq!(record(3, "org-1"), Some(5));
        assert_eq!(record(3, "org-1"), None);
        assert_eq!(record(5, "org-2"), None, "the first name counts");
        assert_eq!(record(1, "org-1"), Some(5));
        assert_eq!(record(2, "org-2"), Some(0));
    }
}
