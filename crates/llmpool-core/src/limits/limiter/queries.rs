//! Read-only queries of the limiter.

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

    pub(in crate::limits) fn key_sets(&self) -> &KeySets {
        &self.key_sets
    }

    /// Returns the index of the set of keys that a target may use, or `None` if the target has no keys.
    pub(in crate::limits) fn set_of(&self, target: TargetId) -> Option<usize> {
        self.targets[target.index()].key_set
    }

    /// Returns whether a limit of the target, of its keys or of their quota groups counts tokens. If so,
    /// every request to the target needs a token estimate.
    pub fn counts_tokens(&self, target: TargetId) -> bool {
        let mut keys = self.keys_of(target).iter();
        self.targets[target.index()].limit_set.counts_tokens()
            || keys.any(|id| self.key_table.limit_sets(*id).any(LimitSet::counts_tokens))
    }

    /// Returns whether a pace is learned from the provider's refusals of requests with the key or another key
    /// of its quota group.
    pub fn observes_limits(&self, key: KeyId) -> bool {
        let shared = self.key_table.limit_sets(key).last();
        shared.is_some_and(|limit_set| limit_set.observed.enabled)
    }

    /// Returns the number of attempts in flight that use a key.
    pub fn in_flight(&self, key: KeyId) -> u32 {
        self.key_table.keys[key.index()].limit_set.in_flight
    }

    /// Returns whether a key can be used. If not, the result contains the reason and, where known, the time
    /// until which the key is not used.
    pub fn key_availability(&self, key: KeyId, now: Timestamp) -> KeyAvailability {
        self.key_table.availability(key, now)
    }

    /// Returns the end and the reason of the cooldown of a key or its quota group. If both have a cooldown,
    /// returns the one that ends later; if neither has one, returns `None`. While attempts test the key or
    /// group after a cooldown, that cooldown is still taken into account.
    pub fn known_cooldown(&self, key: KeyId, now: Timestamp) -> Option<(Timestamp, CooldownReason)> {
        self.key_table.known_cooldown(key, now)
    }

    /// Returns whether a key can be used for the model of `target`, and if not, why. Unlike
    /// [`key_availability`](Self::key_availability), takes into account that the provider may reject the key
    /// for this model only.
    pub fn key_availability_at(&self, target: TargetId, key: KeyId, now: Timestamp) -> KeyAvailability {
        let denial = self.targets[target.index()].denials.state(key);
        match (self.key_availability(key, now), denial) {
            (KeyAvailability::Healthy, Some(denial)) => denial.into(),
            (availability, _) => availability,
        }
    }

    /// Returns the state of the key that recovers first, or `None` if at least one of the keys that a request
    /// may use is usable. A throttled key counts as usable, and so does a key that is being tested or may be
    /// tested now.
    pub fn unusable(
        &self,
        target: TargetId,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Option<KeyAvailability> {
        let recovers_at = |availability: &KeyAvailability| availability.until().unwrap_or(Timestamp::MAX);
        let mut first: Option<KeyAvailability> = None;
        let keys = self.keys_of(target).iter();
        for &key in keys.filter(|key| self.allows(constraint, **key)) {
            let availability = self.key_availability_at(target, key, now);
            let is_usable = match availability {
                KeyAvailability::Healthy | KeyAvailability::Throttled(_) | KeyAvailability::Probing => true,
                KeyAvailability::NoQuota(until)
                | KeyAvailability::Invalid(until)
                | KeyAvailability::Forbidden(until) => until <= now,
                KeyAvailability::Disabled => false,
            };
            if is_usable {
                return None;
            }
            first = first.into_iter().chain([availability]).min_by_key(recovers_at);
        }
        first
    }

    /// Returns whether `constraint` lets a request use the key.
    pub fn allows(&self, constraint: KeyConstraint, key: KeyId) -> bool {
        self.key_table.allows(constraint, key)
    }

    /// Returns the quota group of a key, or `None` if the key belongs to no quota group.
    pub fn group_of(&self, key: KeyId) -> Option<QuotaGroupId> {
        self.key_table.keys[key.index()].group
    }

    /// Returns the keys of a quota group, in the order in which they were added to the limiter.
    pub fn members(&self, group: QuotaGroupId) -> &[KeyId] {
        self.key_table.members(group)
    }

    /// Returns the configured limits of a key, and those of its quota group. The second item is `None` if the
    /// key belongs to no quota group.
    pub fn configured_limits(&self, key: KeyId) -> (Limits, Option<Limits>) {
        let mut limits = self.key_table.limit_sets(key).map(LimitSet::limits).copied();
        (limits.next().unwrap_or_default(), limits.next())
    }

    /// Returns the configured limits of a target.
    pub fn target_limits(&self, target: TargetId) -> &Limits {
        self.targets[target.index()].limit_set.limits()
    }

    /// Returns the keys that a target may use, in the order in which they were added to the limiter. Empty if
    /// the target has no keys.
    pub fn keys_of(&self, target: TargetId) -> &[KeyId] {
        self.set_of(target)
            .map(|set| &self.key_sets.sets[set].members[..])
            .unwrap_or_default()
    }

    /// Returns the pace learned from refusals of requests with a key or another key of its quota group, in
    /// requests per minute. `None` if no pace was learned.
    pub fn observed_per_minute(&self, key: KeyId) -> Option<f64> {
        self.key_table.limit_sets(key).last()?.observed.per_minute()
    }

    /// Returns whether a target has a healthy key apart from those for which `excluded` returns `true`.
    pub fn has_other_key(&self, target: TargetId, excluded: impl Fn(KeyId) -> bool, now: Timestamp) -> bool {
        let mut keys = self.keys_of(target).iter();
        keys.any(|id| {
            !excluded(*id) && self.key_availability_at(target, *id, now) == KeyAvailability::Healthy
        })
    }

    /// Returns all keys, in the order in which they were added to the limiter.
    pub fn key_ids(&self) -> Vec<KeyId> {
        (0..self.key_table.keys.len() as u32).map(KeyId).collect()
    }

    /// Returns the token bucket of a target's configured `rate_limit`, or `None` if none is configured.
    pub fn bucket(&self, target: TargetId) -> Option<&Bucket> {
        self.targets[target.index()].limit_set.bucket()
    }
}
