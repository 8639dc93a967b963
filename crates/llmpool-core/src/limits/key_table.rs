//! All keys of one provider and their quota groups.
//!
//! The keys of a quota group share the group's limits, and the cooldowns of an account without quota. Each key
//! still has its own limits, can be rejected by the provider on its own, and can be disabled on its own.
//!
//! Invariant: `in_flight` of a key or quota group equals the number of its attempts whose grants have not
//! been released.

use super::cooldown::CooldownReason;
use super::health::Health;
use super::key::{KeyId, KeyLimits};
use super::key_constraint::KeyConstraint;
use super::key_record::KeyRecord;
use super::limits::Limits;
use super::quota_group::{QuotaGroup, QuotaGroupId};
use super::subject::Subject;
use crate::time::Timestamp;

#[derive(Clone, Debug, Default)]
pub(super) struct KeyTable {
    pub(super) keys: Vec<KeyRecord>,
    pub(super) groups: Vec<QuotaGroup>,
}

impl KeyTable {
    pub(super) fn add_group(&mut self, limits: Limits, learn: bool, is_declared: bool) -> QuotaGroupId {
        let id = QuotaGroupId(self.groups.len() as u32);
        self.groups.push(QuotaGroup::new(limits, learn, is_declared));
        id
    }

    pub(super) fn add(&mut self, limits: KeyLimits, group: QuotaGroupId) -> KeyId {
        let id = KeyId(self.keys.len() as u32);
        self.keys.push(KeyRecord::new(limits, group));
        self.groups[group.index()].members.push(id);
        id
    }

    #[inline(always)]
    pub(super) fn group_of(&self, id: KeyId) -> &QuotaGroup {
        &self.groups[self.keys[id.index()].group.index()]
    }

    pub(super) fn group_of_mut(&mut self, id: KeyId) -> &mut QuotaGroup {
        &mut self.groups[self.keys[id.index()].group.index()]
    }

    /// Returns the key and its quota group.
    pub(super) fn subjects(&self, id: KeyId) -> [&Subject; 2] {
        [&self.keys[id.index()].subject, &self.group_of(id).subject]
    }

    /// Returns the key and its quota group.
    #[inline(always)]
    pub(super) fn subjects_mut(&mut self, id: KeyId) -> [&mut Subject; 2] {
        let key = &mut self.keys[id.index()];
        let group = &mut self.groups[key.group.index()];
        [&mut key.subject, &mut group.subject]
    }

    /// Starts a cooldown of the key, or of its quota group if the reason applies to the whole group. Has no
    /// effect if a current cooldown ends at `until` or later.
    pub(super) fn set_cooldown(&mut self, id: KeyId, reason: CooldownReason, until: Timestamp) {
        self.health_mut(id, reason).cool_down_until(reason, until);
    }

    /// Ends all cooldowns of the key and its quota group.
    pub(super) fn reset_health(&mut self, id: KeyId) {
        for subject in self.subjects_mut(id) {
            subject.health.reset();
        }
        self.group_of_mut(id).observed.reset();
    }

    /// Returns the health to which cooldowns with this reason apply.
    pub(super) fn health_mut(&mut self, id: KeyId, reason: CooldownReason) -> &mut Health {
        let [key, group] = self.subjects_mut(id);
        let subject = if reason.is_of_group() { group } else { key };
        &mut subject.health
    }

    /// Returns whether `constraint` lets a request use the key.
    pub(super) fn allows(&self, constraint: KeyConstraint, id: KeyId) -> bool {
        match constraint {
            KeyConstraint::Any | KeyConstraint::Healthy => true,
            KeyConstraint::Key(key) => key == id,
            KeyConstraint::Group(group) => self.keys[id.index()].group == group,
        }
    }
}

/// Returns the items in ascending order, without duplicates.
pub(super) fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}
