//! Detection of keys that share one account.
//!
//! There are two signs. A response may name the account in a header (`openai-organization`). Or the remaining count shows it: an account counts down
//! with every request, so each response has a number of its own. Keys of one account partition a range of numbers without gaps and without
//! duplicates, while keys of separate accounts see the same numbers. The order of the responses does not matter. If other clients use the account
//! too, there are gaps, and nothing is concluded.
//!
//! The remaining count of a continuously refilling limit grows with time. There the time at which the limit would be full replaces it: every request
//! moves it by one, and time does not.

mod counter_trace;
mod partition;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use self::counter_trace::{CounterTrace, ONE};
use self::partition::Partition;
use super::key::KeyId;
use super::limit_snapshot::LimitSnapshot;
use super::observed_limits;
use crate::time::Timestamp;

/// Maximum number of keys whose counters are compared, each with each; with more keys only account names are used.
const MAX_COMPARED: usize = 64;
/// Responses of a key between two comparisons.
const COMPARE_EVERY: u8 = 4;

/// Detects which keys of one provider share an account.
#[derive(Clone, Debug, Default)]
pub struct SharedQuotaDetector {
    keys: Vec<KeyObservations>,
}

#[derive(Clone, Debug, Default)]
struct KeyObservations {
    /// Fingerprint of the account's name.
    account: Option<u64>,
    /// Index of the first key known to share the account.
    shared_with: Option<usize>,
    by_remaining: CounterTrace,
    by_refill: CounterTrace,
    /// Responses since the last comparison.
    responses: u8,
}

impl SharedQuotaDetector {
    /// Records a response: the fingerprint of its account name and the remaining requests, if reported.
    ///
    /// Returns all keys now known to share the account of this key, if some of them were not known before.
    pub fn observe(
        &mut self,
        key: KeyId,
        account: Option<u64>,
        requests: &LimitSnapshot,
        now: Timestamp,
    ) -> Option<Vec<KeyId>> {
        let at = key.index();
        if self.keys.len() <= at {
            self.keys.resize_with(at + 1, KeyObservations::default);
        }
        let mut found = Vec::new();
        if account.is_some() && self.keys[at].account != account {
            self.keys[at].account = account;
            found = self.with_account(account);
        }
        if self.keys.len() <= MAX_COMPARED && self.keys[at].record(requests, now) {
            found.extend(self.find_shared(at, |key| &key.by_remaining));
            found.extend(self.find_shared(at, |key| &key.by_refill));
        }
        self.join(at, &found)
    }

    fn with_account(&self, account: Option<u64>) -> Vec<usize> {
        let keys = self.keys.iter().enumerate();
        let keys = keys.filter(|(_, key)| key.account == account);
        keys.map(|(at, _)| at).collect()
    }

    /// Returns the keys whose counters partition a range together with this key's.
    fn find_shared(&self, at: usize, trace: impl Fn(&KeyObservations) -> &CounterTrace) -> Vec<usize> {
        let own = trace(&self.keys[at]);
        let mut others: Vec<usize> = (0..self.keys.len())
            .filter(|other| *other != at && !self.have_different_accounts(at, *other))
            .filter(|other| Partition::is_long_enough(trace(&self.keys[*other])))
            .collect();
        // Keys that explain most of the range come first: the fewer gaps remain, the less an unrelated key fits in.
        others.sort_by_key(|other| {
            let in_range = own.count_in_range(trace(&self.keys[*other]));
            Reverse((self.are_joined(at, *other), in_range))
        });
        let mut partition = Partition::default();
        for key in std::iter::once(at).chain(others) {
            partition.insert(key, trace(&self.keys[key]));
        }
        partition.keys_without_gap()
    }

    fn have_different_accounts(&self, one: usize, other: usize) -> bool {
        let accounts = (self.keys[one].account, self.keys[other].account);
        matches!(accounts, (Some(one), Some(other)) if one != other)
    }

    fn are_joined(&self, one: usize, other: usize) -> bool {
        self.keys[one].shared_with.is_some() && self.keys[one].shared_with == self.keys[other].shared_with
    }

    /// Joins these keys and all that are joined with one of them, and returns them if that is new.
    fn join(&mut self, at: usize, found: &[usize]) -> Option<Vec<KeyId>> {
        let mut new = found.iter().filter(|other| **other != at);
        if new.all(|other| self.are_joined(at, *other)) {
            return None;
        }
        let known = found.iter().chain([&at]);
        let known: Vec<usize> = known.filter_map(|one| self.keys[*one].shared_with).collect();
        let is_joined = |key: usize| {
            let shared_with = self.keys[key].shared_with;
            key == at || found.contains(&key) || shared_with.is_some_and(|first| known.contains(&first))
        };
        let joined: Vec<usize> = (0..self.keys.len()).filter(|key| is_joined(*key)).collect();
        for &key in &joined {
            self.keys[key].shared_with = joined.first().copied();
        }
        Some(joined.into_iter().map(|key| KeyId(key as u32)).collect())
    }
}

impl KeyObservations {
    /// Records the remaining requests and returns whether it is time to compare.
    fn record(&mut self, requests: &LimitSnapshot, now: Timestamp) -> bool {
        // Refused requests are not counted, and report 0.
        let Some(remaining) = requests.remaining.filter(|remaining| *remaining > 0) else {
            return false;
        };
        self.by_remaining.push(-i64::from(remaining) * ONE);
        match observed_limits::refill_counter(requests, now) {
            Some(number) => self.by_refill.push((number * ONE as f64) as i64),
            None => self.by_refill.clear(),
        }
        self.responses = (self.responses + 1) % COMPARE_EVERY;
        self.responses == 0
    }
}
