//! Whose a response is, and contents that only their owner can give back.

use std::fmt;

use crate::random::{self, SplitMix64};
use crate::scenario::Scenario;

/// How sealed contents begin, as OpenAI's do.
const PREFIX: &str = "gAAAAA";

/// An account, a key that belongs to none, or anyone where the scenario has no keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(u64);

impl Owner {
    /// The owner of what a key of the scenario is answered.
    pub(crate) fn of(scenario: &Scenario, key: Option<usize>) -> Self {
        let key = key.and_then(|index| scenario.keys.get(index));
        let name = match key.map(|key| (&key.account, &key.key)) {
            None => String::new(),
            Some((Some(account), _)) => format!("account {account}"),
            Some((None, key)) => format!("key {key}"),
        };
        Self(random::hash(name.as_bytes()))
    }

    /// A generator for one request of this owner.
    pub(crate) fn random(self, seed: u64, number: u64) -> SplitMix64 {
        SplitMix64::new(seed ^ self.0, number)
    }

    /// An opaque text that [`opens`](Self::opens) for this owner and the same seed alone.
    pub(crate) fn seal(self, seed: u64, nonce: u64) -> String {
        let proof = self.random(!seed, nonce).next();
        format!("{PREFIX}{nonce:016x}{proof:016x}")
    }

    /// Whether this owner was given that text.
    pub(crate) fn opens(self, seed: u64, sealed: &str) -> bool {
        let nonce = sealed.strip_prefix(PREFIX).and_then(|rest| rest.get(..16));
        let nonce = nonce.and_then(|nonce| u64::from_str_radix(nonce, 16).ok());
        nonce.is_some_and(|nonce| self.seal(seed, nonce) == sealed)
    }
}

/// Made from a key, so it is not shown.
impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_account_are_one_owner_and_what_it_sealed_opens_for_nobody_else() {
        let scenario = Scenario::from_json(
            r#"{"accounts": [{"name": "a"}],
                "keys": [{"key": "k0", "account": "a"}, {"key": "k1", "account": "a"}, {"key": "k2"}, {"key": "a"}]}"#,
        )
        .unwrap();
        let owner = |key| Owner::of(&scenario, key);
        assert_eq!(owner(Some(0)), owner(Some(1)));
        let sealed = owner(Some(0)).seal(7, 3);
        assert!(owner(Some(1)).opens(7, &sealed));
        for other in [Some(2), Some(3), None] {
            assert!(!owner(other).opens(7, &sealed));
        }
        assert!(!owner(Some(0)).opens(8, &sealed), "another provider");
        for broken in [
            "",
            "gAAAAA",
            "gAAAAA世世世世世世世世",
            &sealed[..30],
            &sealed.to_uppercase(),
        ] {
            assert!(!owner(Some(0)).opens(7, broken), "{broken}");
        }
    }
}
