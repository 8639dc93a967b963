//! The keys that one or more targets may use: the usable ones in order of load, the resting ones in order of return.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::key::{Key, KeyId};
use super::key_heap::KeyHeap;
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
}

impl KeySet {
    pub(super) fn new(members: Vec<KeyId>, keys: &[Key], now: Timestamp) -> Self {
        let resting = vec![None; keys.len()];
        let mut set = Self {
            members,
            usable: KeyHeap::default(),
            returns: BinaryHeap::new(),
            resting,
            resting_count: 0,
        };
        for id in set.members.clone() {
            set.changed(id, keys, now);
        }
        set
    }

    pub(super) fn members(&self) -> &[KeyId] {
        &self.members
    }

    /// Takes note that the load or condition of a member changed.
    pub(super) fn changed(&mut self, id: KeyId, keys: &[Key], now: Timestamp) {
        let key = &keys[id.index()];
        self.note_rest(id, key.away_until(now));
        if key.is_usable(now) {
            self.usable.update(id, keys);
        } else {
            self.usable.remove(id, keys);
        }
    }

    /// The least loaded usable key.
    pub(super) fn least_loaded(&mut self, keys: &[Key], now: Timestamp) -> Option<KeyId> {
        self.wake(keys, now);
        self.usable.peek()
    }

    /// The next resting key to return, and when; `None` when none rests.
    pub(super) fn next_return(&mut self, keys: &[Key], now: Timestamp) -> Option<(Timestamp, KeyId)> {
        self.wake(keys, now);
        while let Some(&Reverse((until, id))) = self.returns.peek() {
            if self.resting[id.index()] == Some(until) {
                return Some((until, id));
            }
            self.returns.pop();
        }
        None
    }

    /// Whether nothing but time can bring a key back: no slot is occupied and no probe under way on a key in use.
    pub(super) fn all_rest(&mut self, keys: &[Key], now: Timestamp) -> bool {
        self.wake(keys, now);
        self.resting_count == self.members.len()
    }

    fn wake(&mut self, keys: &[Key], now: Timestamp) {
        while let Some(&Reverse((until, id))) = self.returns.peek() {
            if until > now {
                break;
            }
            self.returns.pop();
            self.changed(id, keys, now);
        }
    }

    fn note_rest(&mut self, id: KeyId, until: Option<Timestamp>) {
        let noted = &mut self.resting[id.index()];
        if *noted == until {
            return;
        }
        self.resting_count = self.resting_count + usize::from(until.is_some()) - usize::from(noted.is_some());
        *noted = until;
        if let Some(until) = until {
            self.returns.push(Reverse((until, id)));
        }
    }
}
