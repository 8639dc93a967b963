//! Adds and removes targets.

use std::sync::Arc;

use super::super::key::KeyId;
use super::super::key_set::KeySet;
use super::super::key_table::sorted;
use super::super::target::{TargetId, TargetLimits, TargetState};
use super::Limiter;
use crate::time::Timestamp;

impl Limiter {
    /// Adds a target that may use `keys`. If `keys` is empty, only the limits of the target apply.
    pub fn add_target(
        &mut self,
        keys: &[KeyId],
        limits: impl Into<TargetLimits>,
        now: Timestamp,
    ) -> TargetId {
        let limits = limits.into();
        let key_set = (!keys.is_empty()).then(|| {
            let members = self.shared_members(sorted(keys.to_vec()));
            KeySet::new(members, limits.limit_scope, &self.key_table, now)
        });
        let id = self.removed.pop();
        let id = id.unwrap_or(TargetId(self.targets.len() as u32));
        let mut neighbours = vec![id];
        for (index, group) in key_set.iter().flat_map(KeySet::group_ids) {
            let users = &mut self.key_table.groups[group.index()].users;
            neighbours.extend(users.iter().map(|(target, _)| *target));
            users.push((id, index));
        }
        let mut state = TargetState::new(limits, key_set);
        state.neighbours = sorted(neighbours);
        for neighbour in state.neighbours.iter().filter(|neighbour| **neighbour != id) {
            self.targets[neighbour.index()].neighbours.push(id);
        }
        match self.targets.get_mut(id.index()) {
            Some(vacant) => *vacant = state,
            None => self.targets.push(state),
        }
        id
    }

    /// Returns `members`, in the memory of a key set with the same members if there is one.
    fn shared_members(&self, members: Vec<KeyId>) -> Arc<[KeyId]> {
        let mut sets = self.targets.iter().filter_map(|target| target.key_set.as_ref());
        let equal = sets.find(|set| *set.members == members[..]);
        equal.map_or_else(|| members.into(), |set| set.members.clone())
    }

    /// Removes a target. Its id is given to a target that is added later.
    ///
    /// All grants for the target must have been released, and no request may wait for it.
    pub fn remove_target(&mut self, target: TargetId) {
        let vacant = TargetState::new(TargetLimits::default(), None);
        let state = std::mem::replace(&mut self.targets[target.index()], vacant);
        for (_, group) in state.key_set.iter().flat_map(|set| set.group_ids()) {
            let users = &mut self.key_table.groups[group.index()].users;
            users.retain(|(user, _)| *user != target);
        }
        for neighbour in state
            .neighbours
            .into_iter()
            .filter(|neighbour| *neighbour != target)
        {
            let of_neighbour = &mut self.targets[neighbour.index()].neighbours;
            of_neighbour.retain(|other| *other != target);
        }
        self.removed.push(target);
    }
}
