//! Detection of keys that belong to one account, and therefore share one quota.
//!
//! There are two signs. First, a response may name the account in a header (`openai-organization`). Second, responses may report the remaining
//! requests of the account. The account counts down with every request, so each response reports a different number: keys of one account partition a
//! range of numbers without gaps and duplicates, while keys of separate accounts report the same numbers. The order of the responses does not matter.
//! If other clients use the account too, there are gaps, and nothing is concluded.
//!
//! The remaining count of a continuously refilling limit grows with time. For such a limit, the count is replaced by the time at which the limit
//! would be full: each request moves that time by the same amount, and the passing of time does not move it.

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

/// Maximum number of keys whose counters are compared in pairs. With more keys, only account names are used.
const MAX_COMPARED: usize = 64;
/// Number of responses of a key from one comparison to the next.
const COMPARE_EVERY: u8 = 4;

/// Detects which keys of one provider belong to the same account.
#[derive(Clone, Debug, Default)]
pub struct SharedQuotaDetector {
    keys: Vec<KeyObservations>,
}

#[derive(Clone, Debug, Default)]
struct KeyObservations {
    /// Fingerprint of the account's name. `None` if no response has named the account.
    account: Option<u64>,
    /// Index of the first key that is known to belong to the same account. `None` if there is no such key.
    shared_with: Option<usize>,
    by_remaining: CounterTrace,
    by_refill: CounterTrace,
    /// Number of responses since the last comparison.
    responses: u8,
}

impl SharedQuotaDetector {
    /// Records a response to a request of `key`: the fingerprint of the account's name, and the remaining requests, if reported.
    ///
    /// If this reveals new keys of the same account, returns all keys that are known to belong to the account.
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

    /// Returns the keys whose counters, together with the counter of the key at index `at`, partition a range.
    fn find_shared(&self, at: usize, trace: impl Fn(&KeyObservations) -> &CounterTrace) -> Vec<usize> {
        let own = trace(&self.keys[at]);
        let mut others: Vec<usize> = (0..self.keys.len())
            .filter(|other| *other != at && !self.have_different_accounts(at, *other))
            .filter(|other| Partition::is_long_enough(trace(&self.keys[*other])))
            .collect();
        // Starts with keys that explain most of the range: the fewer gaps remain, the less likely an unrelated key fits into them.
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

    /// Joins the found keys, the key at index `at`, and all keys already joined with any of them. Returns the joined keys, or `None` if they were
    /// already joined.
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
    /// Records the remaining requests. Returns whether it is time for a comparison.
    fn record(&mut self, requests: &LimitSnapshot, now: Timestamp) -> bool {
        // The provider does not count refused requests, and reports 0 for them.
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
