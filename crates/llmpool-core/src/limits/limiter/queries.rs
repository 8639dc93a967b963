//! Read access to the limiter.

use super::super::bucket::Bucket;
use super::super::cooldown::CooldownReason;
use super::super::key::{KeyAvailability, KeyId};
use super::super::key_constraint::KeyConstraint;
use super::super::key_sets::KeySets;
use super::super::limit_set::LimitSet;
use super::super::limits::Limits;
use super::super::quota_group::QuotaGroupId;
use super::super::target::TargetId;
use super::Limiter;
use crate::time::Timestamp;

impl Limiter {
    pub(in crate::limits) fn target_count(&self) -> usize {
        self.targets.len()
    }

    /// The key sets of all targets.
    pub(in crate::limits) fn key_sets(&self) -> &KeySets {
        &self.key_sets
    }

    /// Returns the key set of a target.
    pub(in crate::limits) fn set_of(&self, target: TargetId) -> Option<usize> {
        self.targets[target.index()].key_set
    }

    /// Returns whether a limit counts tokens for this target, so that its requests need a token estimate.
    pub fn counts_tokens(&self, target: TargetId) -> bool {
        let mut keys = self.keys_of(target).iter();
        self.targets[target.index()].limit_set.counts_tokens()
            || keys.any(|id| self.key_table.limit_sets(*id).any(LimitSet::counts_tokens))
    }

    /// Returns whether observed limits tighten those of a key.
    pub fn observes_limits(&self, key: KeyId) -> bool {
        let shared = self.key_table.limit_sets(key).last();
        shared.is_some_and(|limit_set| limit_set.observed.enabled)
    }

    /// The attempts of a key in flight.
    pub fn in_flight(&self, key: KeyId) -> u32 {
        self.key_table.keys[key.index()].limit_set.in_flight
    }

    /// Returns whether a key can be used, and if not, why.
    pub fn key_availability(&self, key: KeyId) -> KeyAvailability {
        self.key_table.availability(key)
    }

    /// Returns the end and reason of a key's cooldown, even while it is being probed.
    pub fn known_cooldown(&self, key: KeyId) -> Option<(Timestamp, CooldownReason)> {
        self.key_table.known_cooldown(key)
    }

    /// Like [`key_availability`](Self::key_availability), for the model of one target.
    pub fn key_availability_at(&self, target: TargetId, key: KeyId) -> KeyAvailability {
        let denial = self.targets[target.index()].denials.state(key);
        match (self.key_availability(key), denial) {
            (KeyAvailability::Healthy, Some(denial)) => denial.into(),
            (availability, _) => availability,
        }
    }

    /// Returns whether a constraint allows a key.
    pub fn allows(&self, constraint: KeyConstraint, key: KeyId) -> bool {
        self.key_table.allows(constraint, key)
    }

    /// Returns the quota group of a key, declared or detected.
    pub fn group_of(&self, key: KeyId) -> Option<QuotaGroupId> {
        let group = self.key_table.keys[key.index()].group;
        group.map(|group| QuotaGroupId(group as u32))
    }

    /// The keys of a quota group.
    pub fn members(&self, group: QuotaGroupId) -> &[KeyId] {
        self.key_table.members(group)
    }

    /// The configured limits of a key, and those of its quota group.
    pub fn configured_limits(&self, key: KeyId) -> (Limits, Option<Limits>) {
        let mut limits = self.key_table.limit_sets(key).map(LimitSet::limits).copied();
        (limits.next().unwrap_or_default(), limits.next())
    }

    /// The configured limits of a target.
    pub fn target_limits(&self, target: TargetId) -> &Limits {
        self.targets[target.index()].limit_set.limits()
    }

    /// The keys of a target, in the order in which they were added.
    pub fn keys_of(&self, target: TargetId) -> &[KeyId] {
        self.set_of(target)
            .map(|set| &self.key_sets.sets[set].members[..])
            .unwrap_or_default()
    }

    /// The requests per minute that the provider was observed to allow a key or its group.
    pub fn observed_per_minute(&self, key: KeyId) -> Option<f64> {
        self.key_table.limit_sets(key).last()?.observed.per_minute()
    }

    /// Returns whether a target has a healthy key that is not `excluded`.
    pub fn has_other_key(&self, target: TargetId, excluded: impl Fn(KeyId) -> bool) -> bool {
        let mut keys = self.keys_of(target).iter();
        keys.any(|id| !excluded(*id) && self.key_availability_at(target, *id) == KeyAvailability::Healthy)
    }

    /// All keys, in the order in which they were added.
    pub fn key_ids(&self) -> Vec<KeyId> {
        (0..self.key_table.keys.len() as u32).map(KeyId).collect()
    }

    /// The bucket of a target's `rate_limit`, if it has one.
    pub fn bucket(&self, target: TargetId) -> Option<&Bucket> {
        self.targets[target.index()].limit_set.bucket()
    }
}
