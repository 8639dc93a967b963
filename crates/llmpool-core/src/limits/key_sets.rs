//! The key sets of all targets. A key set contains the keys that a target may use. Key sets can share keys
//! and quota groups.

use super::key::KeyId;
use super::key_set::KeySet;
use super::key_table::{KeyTable, sorted};
use crate::time::Timestamp;

#[derive(Clone, Debug, Default)]
pub(super) struct KeySets {
    pub(super) sets: Vec<KeySet>,
    /// For each key, the indices of the key sets that contain the key or another key of its quota group.
    /// Usually a single index.
    pub(super) of_key: Vec<Vec<usize>>,
    /// For each key set, the indices of all key sets that share a key or a quota group with that set.
    /// Includes the set's own index.
    pub(super) neighbours: Vec<Vec<usize>>,
}

impl KeySets {
    /// Adds a key that belongs to no key set yet. `peer`: another key of its quota group, if there is one.
    pub(super) fn add_key(&mut self, peer: Option<KeyId>) {
        let of_group = peer.map(|peer| self.of_key[peer.index()].clone());
        self.of_key.push(of_group.unwrap_or_default());
    }

    /// Returns the index of the key set that contains exactly the keys `keys`. Creates this key set if it
    /// does not exist.
    pub(super) fn get_or_insert(&mut self, keys: &[KeyId], key_table: &KeyTable, now: Timestamp) -> usize {
        let members = sorted(keys.to_vec());
        if let Some(known) = self.sets.iter().position(|set| set.members == members) {
            return known;
        }
        let index = self.sets.len();
        let mut neighbours = vec![index];
        for id in &members {
            for member in key_table.group_members(*id) {
                let sets = &mut self.of_key[member.index()];
                for &other in sets.iter().filter(|other| **other != index) {
                    if !neighbours.contains(&other) {
                        neighbours.push(other);
                        self.neighbours[other].push(index);
                    }
                }
                if !sets.contains(&index) {
                    sets.push(index);
                }
            }
        }
        self.neighbours.push(neighbours);
        self.sets.push(KeySet::new(members, key_table, now));
        index
    }

    /// Updates all key sets that a change of the key may affect: those that contain the key or another key of
    /// its quota group.
    #[inline(always)]
    pub(super) fn update(&mut self, id: KeyId, key_table: &KeyTable, now: Timestamp) {
        for &member in key_table.group_members(id) {
            for &set in &self.of_key[member.index()] {
                if self.sets[set].contains(member) {
                    self.sets[set].update(member, key_table, now);
                }
            }
        }
    }
}
