//! The owner of stored responses and of encrypted reasoning. If a request contains encrypted reasoning,
//! the simulator checks that the same owner received this reasoning in an earlier response.

use std::fmt;

use crate::random::{self, SplitMix64};
use crate::scenario::Scenario;

/// The prefix of encrypted content, the same as OpenAI's.
const PREFIX: &str = "gAAAAA";

/// The owner of a response: the account of the request's key, the key itself if it has no account, or all clients
/// together if the scenario has no keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResponseOwner(u64);

impl ResponseOwner {
    /// Returns the owner of the responses to requests with the key at this zero-based index in the scenario.
    /// `None` stands for a scenario without keys.
    pub(crate) fn new(scenario: &Scenario, key: Option<usize>) -> Self {
        let key = key.and_then(|index| scenario.keys.get(index));
        let name = match key.map(|key| (&key.account, &key.key)) {
            None => String::new(),
            Some((Some(account), _)) => format!("account {account}"),
            Some((None, key)) => format!("key {key}"),
        };
        Self(random::hash(name.as_bytes()))
    }

    /// Returns the random generator for the request with this number. Two owners get different generators for
    /// the same number.
    pub(crate) fn request_random(self, seed: u64, number: u64) -> SplitMix64 {
        SplitMix64::new(seed ^ self.0, number)
    }

    /// Returns an opaque text that [`can_decrypt`](Self::can_decrypt) accepts only for the same owner and the same
    /// seed.
    pub(crate) fn encrypt(self, seed: u64, nonce: u64) -> String {
        let tag = self.request_random(!seed, nonce).next();
        format!("{PREFIX}{nonce:016x}{tag:016x}")
    }

    /// Returns whether [`encrypt`](Self::encrypt) returned the text `encrypted` for this owner and this seed.
    pub(crate) fn can_decrypt(self, seed: u64, encrypted: &str) -> bool {
        let nonce = encrypted.strip_prefix(PREFIX).and_then(|rest| rest.get(..16));
        let nonce = nonce.and_then(|nonce| u64::from_str_radix(nonce, 16).ok());
        nonce.is_some_and(|nonce| self.encrypt(seed, nonce) == encrypted)
    }
}

/// Shows only the name of the type, because the value is derived from a key.
impl fmt::Debug for ResponseOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseOwner")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypted_content_is_bound_to_the_account() {
        let scenario = Scenario::from_json(
            r#"{"accounts": [{"name": "a"}],
                "keys": [{"key": "k0", "account": "a"}, {"key": "k1", "account": "a"}, {"key": "k2"}, {"key": "a"}]}"#,
        )
        .unwrap();
        let owner = |key| ResponseOwner::new(&scenario, key);
        assert_eq!(owner(Some(0)), owner(Some(1)));
        let encrypted = owner(Some(0)).encrypt(7, 3);
        assert!(owner(Some(1)).can_decrypt(7, &encrypted));
        for other in [Some(2), Some(3), None] {
            assert!(!owner(other).can_decrypt(7, &encrypted));
        }
        assert!(
            !owner(Some(0)).can_decrypt(8, &encrypted),
            "another provider's content"
        );
        for broken in [
            "",
            "gAAAAA",
            "gAAAAA世世世世世世世世",
            &encrypted[..30],
            &encrypted.to_uppercase(),
        ] {
            assert!(!owner(Some(0)).can_decrypt(7, broken), "{broken}");
        }
    }
}
