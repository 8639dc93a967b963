//! Detection of keys that belong to one account and therefore share one quota.
//!
//! There are two signs. First, a response may name the account in a header (`openai-organization`). Second,
//! responses may report how many requests the account has left. This number decreases with every request of
//! the account, so each response reports a different number. Keys of one account together report every number
//! of a range exactly once. Keys of separate accounts report some numbers twice. The order of the responses
//! does not matter. If other clients use the account too, some numbers are missing, and nothing is concluded.
//!
//! If a limit refills continuously, the number of remaining requests also grows with time. For such a limit,
//! the number is replaced by the time at which the limit would be full: each request moves that time by the
//! same amount, and the passing of time does not move it.

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

/// Maximum number of keys for which the reported numbers of remaining requests are compared. With more keys,
/// only account names are used.
const MAX_COMPARED: usize = 64;
/// Number of responses to a key's requests between two comparisons of the key with other keys.
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
    /// Index of the first key that is known to belong to the same account, possibly this key itself. `None`
    /// if no other key is known to belong to the account.
    shared_with: Option<usize>,
    by_remaining: CounterTrace,
    by_refill: CounterTrace,
    /// Number of responses since this key was last compared with other keys.
    responses: u8,
}

impl SharedQuotaDetector {
    /// Records what a response to a request of `key` reports: `account` is the fingerprint of the account's
    /// name, and `requests` is the state of the limit on requests.
    ///
    /// If the response reveals that other keys belong to the same account, returns all keys that are known to
    /// belong to that account. Returns `None` if the response reveals nothing new.
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

    /// Returns the indices of the keys that share a request counter: together with the key at index `at`,
    /// they reported every value of a range exactly once.
    fn find_shared(&self, at: usize, trace: impl Fn(&KeyObservations) -> &CounterTrace) -> Vec<usize> {
        let own = trace(&self.keys[at]);
        let mut others: Vec<usize> = (0..self.keys.len())
            .filter(|other| *other != at && !self.have_different_accounts(at, *other))
            .filter(|other| Partition::is_long_enough(trace(&self.keys[*other])))
            .collect();
        // Starts with keys that explain most of the range: the fewer gaps remain, the less likely an
        // unrelated key fits into them.
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

    /// Records that the keys in `found` and the key at index `at` belong to one account. Keys that were
    /// already joined with any of these keys belong to the account too. Returns all keys of the account, or
    /// `None` if all keys in `found` were already joined with the key at `at`.
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
    /// Records the number of remaining requests that a response reports. Returns whether it is time to
    /// compare the key with other keys.
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
