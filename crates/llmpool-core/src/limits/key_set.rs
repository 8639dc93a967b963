//! The keys that one or more targets may use: the usable ones in order of load, the resting ones in order of return.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::demand::Demand;
use super::key::{Key, KeyId};
use super::key_heap::KeyHeap;
use super::key_table::KeyTable;
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct KeySet {
    members: Vec<KeyId>,
    usable: KeyHeap,
    /// Ends of pauses. An entry whose key has another end by now is stale, and skipped when it comes up.
    returns: BinaryHeap<Reverse<(Timestamp, KeyId)>>,
    /// For each key of the ledger, the instant until which it is counted as away in `resting_count`.
    resting: Vec<Option<Timestamp>>,
    resting_count: usize,
    /// What all members together can take at once and in a second, where each of them is limited.
    bound: Option<Bound>,
}

#[derive(Clone, Copy, Debug)]
struct Bound {
    at_once: f64,
    per_second: f64,
}

impl KeySet {
    pub(super) fn new(members: Vec<KeyId>, key_table: &KeyTable, now: Timestamp) -> Self {
        let resting = vec![None; key_table.keys.len()];
        let mut set = Self {
            members,
            usable: KeyHeap::default(),
            returns: BinaryHeap::new(),
            resting,
            resting_count: 0,
            bound: None,
        };
        set.renew(key_table, now);
        set
    }

    /// Takes note that limits or accounts of members changed.
    pub(super) fn renew(&mut self, key_table: &KeyTable, now: Timestamp) {
        self.bound = self.members.iter().try_fold(
            Bound {
                at_once: 0.0,
                per_second: 0.0,
            },
            |sum, id| sum.and(&key_table.keys[id.index()]),
        );
        for id in self.members.clone() {
            self.changed(id, key_table, now);
        }
    }

    pub(super) fn members(&self) -> &[KeyId] {
        &self.members
    }

    pub(super) fn has(&self, id: KeyId) -> bool {
        self.members.binary_search(&id).is_ok()
    }

    /// Takes note that the load or condition of a member changed.
    pub(super) fn changed(&mut self, id: KeyId, key_table: &KeyTable, now: Timestamp) {
        let away = key_table
            .available_at(id, Demand::ONE, now)
            .map(|(until, _)| until);
        self.note_rest(id, away);
        self.place(
            id,
            &key_table.keys[id.index()],
            away.is_none() && !key_table.is_occupied(id),
        );
    }

    /// As [`changed`](Self::changed), for a member that has nothing but slots.
    #[inline(always)]
    pub(super) fn load_changed(&mut self, id: KeyId, key: &Key) {
        if self.resting_count > 0 {
            self.note_rest(id, None);
        }
        self.place(id, key, key.limit_set.has_slot());
    }

    #[inline(always)]
    fn place(&mut self, id: KeyId, key: &Key, usable: bool) {
        if usable {
            self.usable.update(id, key);
        } else {
            self.usable.remove(id);
        }
    }

    /// The least loaded usable key.
    #[inline(always)]
    pub(super) fn least_loaded(&mut self, key_table: &KeyTable, now: Timestamp) -> Option<KeyId> {
        if !self.returns.is_empty() {
            self.wake(key_table, now);
        }
        self.usable.peek()
    }

    /// The least loaded usable key that `fits`.
    pub(super) fn least_loaded_that(
        &mut self,
        key_table: &KeyTable,
        now: Timestamp,
        fits: impl Fn(KeyId) -> bool,
    ) -> Option<KeyId> {
        self.wake(key_table, now);
        self.usable.first_that(fits)
    }

    /// The next resting key to return, and when; `None` when none rests.
    pub(super) fn next_return(&mut self, key_table: &KeyTable, now: Timestamp) -> Option<(Timestamp, KeyId)> {
        self.wake(key_table, now);
        while let Some(&Reverse((until, id))) = self.returns.peek() {
            if self.resting[id.index()] == Some(until) {
                return Some((until, id));
            }
            self.returns.pop();
        }
        None
    }

    /// Whether nothing but time can bring a key back: no slot is occupied and no probe under way on a key in use.
    pub(super) fn all_in_cooldown(&mut self, key_table: &KeyTable, now: Timestamp) -> bool {
        self.wake(key_table, now);
        self.resting_count == self.members.len()
    }

    /// How long `requests` take at least, where every member is limited.
    pub(super) fn least_time(&self, requests: u64) -> Duration {
        let bound = self.bound.filter(|bound| requests as f64 > bound.at_once);
        bound.map_or(Duration::ZERO, |bound| {
            Duration::try_from_secs_f64((requests as f64 - bound.at_once) / bound.per_second * 0.999_999)
                .unwrap_or_default()
        })
    }

    fn wake(&mut self, key_table: &KeyTable, now: Timestamp) {
        while let Some(&Reverse((until, id))) = self.returns.peek() {
            if until > now {
                break;
            }
            self.returns.pop();
            self.changed(id, key_table, now);
        }
    }

    #[inline(always)]
    fn note_rest(&mut self, id: KeyId, until: Option<Timestamp>) {
        if self.resting[id.index()] != until {
            self.note_other_rest(id, until);
        }
    }

    fn note_other_rest(&mut self, id: KeyId, until: Option<Timestamp>) {
        let noted = &mut self.resting[id.index()];
        self.resting_count = self.resting_count + usize::from(until.is_some()) - usize::from(noted.is_some());
        *noted = until;
        if let Some(until) = until {
            self.returns.push(Reverse((until, id)));
        }
    }
}

impl Bound {
    fn and(self, key: &Key) -> Option<Self> {
        let rates = key.limit_set.limits().rate_limits();
        let slowest = rates.reduce(|a, b| if b.per_second() < a.per_second() { b } else { a })?;
        Some(Self {
            at_once: self.at_once + f64::from(slowest.capacity()),
            per_second: self.per_second + slowest.per_second(),
        })
    }
}
