//! A key set: the keys that a target may use. Targets with the same keys share one key set.
//!
//! Usable keys are ordered by load. A key is *away* while it is in a cooldown, is disabled or has reached a
//! limit. Keys that are away are ordered by the time at which they *return*, that is, become usable again. So
//! are keys that are being probed, although the outcome of the probe can make them usable before that time. A
//! key whose concurrency slots are all occupied is neither usable nor away.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::demand::Demand;
use super::key::KeyId;
use super::key_heap::KeyHeap;
use super::key_record::KeyRecord;
use super::key_table::KeyTable;
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct KeySet {
    pub(super) members: Vec<KeyId>,
    usable: KeyHeap,
    /// Times at which keys become usable again, earliest first. An entry whose time differs from the key's
    /// time in `away_until` is outdated and is skipped.
    returns: BinaryHeap<Reverse<(Timestamp, KeyId)>>,
    /// For each key of the limiter, the time until which the key is away (in a cooldown, disabled or at a
    /// limit) or being probed, and whether it is away. `None` if neither.
    away_until: Vec<Option<(Timestamp, bool)>>,
    /// The number of keys that are away.
    away: usize,
    /// Sum of the rate limits of all keys in the set. `None` if any key has no rate limit.
    combined_rate: Option<CombinedRate>,
}

#[derive(Clone, Copy, Debug, Default)]
struct CombinedRate {
    capacity: f64,
    per_second: f64,
}

impl KeySet {
    pub(super) fn new(members: Vec<KeyId>, key_table: &KeyTable, now: Timestamp) -> Self {
        let mut set = Self {
            members,
            usable: KeyHeap::default(),
            returns: BinaryHeap::new(),
            away_until: vec![None; key_table.keys.len()],
            away: 0,
            combined_rate: None,
        };
        set.refresh(key_table, now);
        set
    }

    /// Computes the combined rate of the set and the availability of its keys.
    fn refresh(&mut self, key_table: &KeyTable, now: Timestamp) {
        let mut keys = self.members.iter().map(|id| &key_table.keys[id.index()]);
        self.combined_rate = keys.try_fold(CombinedRate::default(), CombinedRate::with);
        for id in self.members.clone() {
            self.update(id, key_table, now);
        }
    }

    pub(super) fn contains(&self, id: KeyId) -> bool {
        self.members.binary_search(&id).is_ok()
    }

    /// Recomputes the availability of one key in the set. Must be called after a change of the key's load,
    /// limits or health.
    pub(super) fn update(&mut self, id: KeyId, key_table: &KeyTable, now: Timestamp) {
        let away = key_table.available_at(id, Demand::ONE, now);
        let is_away = |limit: Option<_>| limit.is_some() || !key_table.is_probing(id, now);
        self.set_away(id, away.map(|(until, limit)| (until, is_away(limit))));
        if away.is_none() && !key_table.is_occupied(id) {
            self.usable.update(id, &key_table.keys[id.index()]);
        } else {
            self.usable.remove(id);
        }
    }

    /// Returns the least loaded usable key that satisfies `fits`, or `None` if no usable key does.
    #[inline(always)]
    pub(super) fn least_loaded_that(
        &mut self,
        key_table: &KeyTable,
        now: Timestamp,
        fits: impl Fn(KeyId) -> bool,
    ) -> Option<KeyId> {
        self.return_due(key_table, now);
        self.usable.first_that(fits)
    }

    /// Returns the time at which the first key becomes usable again after a cooldown, a probe or a reached
    /// limit, and that key. `None` if no key is in a cooldown, being probed, disabled or at a limit.
    pub(super) fn next_return(&mut self, key_table: &KeyTable, now: Timestamp) -> Option<(Timestamp, KeyId)> {
        self.return_due(key_table, now);
        while let Some(&Reverse((until, id))) = self.returns.peek() {
            if self.away_until[id.index()].is_some_and(|(known, _)| known == until) {
                return Some((until, id));
            }
            self.returns.pop();
        }
        None
    }

    /// Returns whether all keys are away: in a cooldown, disabled or at a limit. If so, the end of an attempt
    /// in flight makes none of them usable.
    pub(super) fn all_away(&mut self, key_table: &KeyTable, now: Timestamp) -> bool {
        self.return_due(key_table, now);
        self.away == self.members.len()
    }

    /// Returns a lower bound on the time that all keys of the set together need to admit `requests` requests.
    /// Zero if any key has no rate limit.
    pub(super) fn least_time(&self, requests: u64) -> Duration {
        let rate = self.combined_rate;
        let rate = rate.filter(|rate| requests as f64 > rate.capacity);
        rate.map_or(Duration::ZERO, |rate| {
            Duration::try_from_secs_f64((requests as f64 - rate.capacity) / rate.per_second * 0.999_999)
                .unwrap_or_default()
        })
    }

    /// Recomputes the availability of the keys whose time in `returns` has passed.
    fn return_due(&mut self, key_table: &KeyTable, now: Timestamp) {
        while let Some(&Reverse((until, id))) = self.returns.peek() {
            if until > now {
                break;
            }
            self.returns.pop();
            self.update(id, key_table, now);
        }
    }

    fn set_away(&mut self, id: KeyId, until: Option<(Timestamp, bool)>) {
        let known = &mut self.away_until[id.index()];
        if *known == until {
            return;
        }
        let is_away = |until: Option<(Timestamp, bool)>| usize::from(until.is_some_and(|(_, away)| away));
        self.away = self.away + is_away(until) - is_away(*known);
        *known = until;
        if let Some((until, _)) = until {
            self.returns.push(Reverse((until, id)));
        }
    }
}

impl CombinedRate {
    fn with(self, key: &KeyRecord) -> Option<Self> {
        let rates = key.limit_set.limits().rate_limits();
        let slowest = rates.reduce(|a, b| if b.per_second() < a.per_second() { b } else { a })?;
        Some(Self {
            capacity: self.capacity + f64::from(slowest.capacity()),
            per_second: self.per_second + slowest.per_second(),
        })
    }
}
