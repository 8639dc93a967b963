//! Read-only queries of the limiter.

use std::sync::Arc;

use super::super::bucket::Bucket;
use super::super::cooldown::CooldownReason;
use super::super::health::Health;
use super::super::key::{KeyAvailability, KeyId};
use super::super::key_constraint::KeyConstraint;
use super::super::key_set::{KeyPlace, KeySet};
use super::super::limits::Limits;
use super::super::observed_limits::ObservedLimits;
use super::super::quota_group::QuotaGroupId;
use super::super::target::TargetId;
use super::Limiter;
use crate::time::Timestamp;

impl Limiter {
    pub(in crate::limits) fn target_count(&self) -> usize {
        self.targets.len()
    }

    /// Returns the targets that use a quota group that `target` uses, including `target`.
    pub(in crate::limits) fn neighbours(&self, target: TargetId) -> &[TargetId] {
        &self.targets[target.index()].neighbours
    }

    /// Returns the targets that use the quota group of a key.
    pub(in crate::limits) fn users(&self, key: KeyId) -> impl Iterator<Item = TargetId> {
        let users = &self.key_table.group_of(key).users;
        users.iter().map(|(target, _)| *target)
    }

    /// Returns whether a waiting request for `older`, which may use any key, could use every key of `target` if
    /// the keys had room for it.
    pub(in crate::limits) fn waits_for_all(&self, older: TargetId, target: TargetId) -> bool {
        let sets = [older, target].map(|target| self.targets[target.index()].key_set.as_ref());
        match sets {
            [Some(older), Some(set)] => Arc::ptr_eq(&older.members, &set.members) && !older.bars_any(),
            _ => false,
        }
    }

    fn set_of(&self, target: TargetId) -> Option<&KeySet> {
        self.targets[target.index()].key_set.as_deref()
    }

    /// Returns where a key is stored in the key set of a target. `None` if the target does not use the key.
    pub(super) fn place_of(&self, target: TargetId, key: KeyId) -> Option<(&KeySet, KeyPlace)> {
        let set = self.set_of(target)?;
        Some((set, set.place_of(key, &self.key_table)?))
    }

    /// Returns the key sets that contain a key.
    fn sets_with(&self, key: KeyId) -> impl Iterator<Item = (&KeySet, KeyPlace)> {
        self.users(key)
            .filter_map(move |target| self.place_of(target, key))
    }

    /// Returns whether a limit of the target, of its keys or of their quota groups counts tokens. If so,
    /// every request to the target needs a token estimate.
    pub fn counts_tokens(&self, target: TargetId) -> bool {
        let state = &self.targets[target.index()];
        state.subject.limit_set.counts_tokens() || state.key_set.as_ref().is_some_and(|set| set.counts_tokens)
    }

    /// Returns the number of attempts in flight that use a key.
    pub fn in_flight(&self, key: KeyId) -> u32 {
        self.key_table.keys[key.index()].subject.limit_set.in_flight
    }

    /// Returns whether a key can be used. If not, the result contains the reason and, where known, the time
    /// until which the key is not used.
    ///
    /// A key is throttled only if it is paused for every model with a limit of its own, or, if there are none, for
    /// all models together.
    pub fn key_availability(&self, key: KeyId, now: Timestamp) -> KeyAvailability {
        let models = self
            .sets_with(key)
            .filter_map(|(set, place)| set.groups[place.group].own_observed.as_ref());
        let states = models.map(|observed| self.availability(key, None, observed, now));
        let rank = |state: &KeyAvailability| match state {
            KeyAvailability::Healthy => (0, None),
            KeyAvailability::Probing => (1, None),
            other => (2, other.until()),
        };
        let of_account = &self.key_table.group_of(key).observed;
        let first = states.min_by_key(rank);
        first.unwrap_or_else(|| self.availability(key, None, of_account, now))
    }

    /// Returns whether a key can be used for the model of `target`, and if not, why. Unlike
    /// [`key_availability`](Self::key_availability), takes into account what concerns this model only.
    pub fn key_availability_at(&self, target: TargetId, key: KeyId, now: Timestamp) -> KeyAvailability {
        match self.place_of(target, key) {
            None => self.key_availability(key, now),
            Some((set, place)) => {
                let observed = set.observed(place, &self.key_table);
                self.availability(key, Some(&set.key(place).denial), observed, now)
            }
        }
    }

    fn availability(
        &self,
        key: KeyId,
        denial: Option<&Health>,
        observed: &ObservedLimits,
        now: Timestamp,
    ) -> KeyAvailability {
        let subjects = self.key_table.subjects(key).into_iter();
        let healths = subjects.map(|subject| &subject.health).chain(denial);
        if self.key_table.keys[key.index()].disabled {
            return KeyAvailability::Disabled;
        }
        let is_probing = healths.clone().any(Health::is_probing);
        let latest = healths
            .filter_map(Health::cooldown)
            .max_by_key(|(until, _)| *until);
        // A pause for a rate limit hides no other reason.
        match (latest, observed.paused_until(now)) {
            (Some((until, reason)), pause) if until > now => {
                KeyAvailability::cooldown(reason, until.max(pause.unwrap_or(until)))
            }
            (_, pause) if is_probing || pause.is_some() && observed.is_probing(now) => {
                KeyAvailability::Probing
            }
            (_, Some(until)) => KeyAvailability::Throttled(until),
            (Some((until, reason)), None) => KeyAvailability::cooldown(reason, until),
            (None, None) => KeyAvailability::Healthy,
        }
    }

    /// Returns the end and the reason of the cooldown of a key or its quota group. If both have a cooldown,
    /// returns the one that ends later; if neither has one, returns `None`. While attempts test the key or
    /// group after a cooldown, that cooldown is still taken into account.
    pub fn known_cooldown(&self, key: KeyId, now: Timestamp) -> Option<(Timestamp, CooldownReason)> {
        let pauses = self
            .sets_with(key)
            .filter_map(|(set, place)| set.observed(place, &self.key_table).paused_until(now));
        let pause = pauses.max().map(|until| (until, CooldownReason::Throttled));
        let subjects = self.key_table.subjects(key).into_iter();
        let cooldowns = subjects.filter_map(|subject| subject.health.cooldown());
        cooldowns.chain(pause).max_by_key(|(until, _)| *until)
    }

    /// Returns whether `constraint` lets a request use the key.
    pub fn allows(&self, constraint: KeyConstraint, key: KeyId) -> bool {
        self.key_table.allows(constraint, key)
    }

    /// Returns the quota group of a key, or `None` if the key belongs to no declared quota group.
    pub fn group_of(&self, key: KeyId) -> Option<QuotaGroupId> {
        let group = self.key_table.keys[key.index()].group;
        Some(group).filter(|_| self.key_table.group_of(key).is_declared)
    }

    /// Returns the number of accounts to which the keys of a target belong: its quota groups, and its keys
    /// without a declared group.
    pub(in crate::limits) fn account_count(&self, target: TargetId) -> usize {
        self.set_of(target).map_or(0, |set| set.group_ids().len())
    }

    /// Returns whether a target uses a key that satisfies the constraint.
    pub(in crate::limits) fn uses(&self, target: TargetId, constraint: KeyConstraint) -> bool {
        let set = self.set_of(target);
        set.is_some_and(|set| set.restriction(constraint, &self.key_table).is_some())
    }

    /// Returns the keys of a quota group, in the order in which they were added to the limiter.
    pub fn members(&self, group: QuotaGroupId) -> &[KeyId] {
        &self.key_table.groups[group.index()].members
    }

    /// Returns the configured limits of a key, and those of its quota group. The second item is `None` if the
    /// key belongs to no declared quota group.
    pub fn configured_limits(&self, key: KeyId) -> (Limits, Option<Limits>) {
        let subjects = self.key_table.subjects(key);
        let [own, of_group] = subjects.map(|subject| *subject.limit_set.limits());
        (own, self.group_of(key).map(|_| of_group))
    }

    /// Returns the configured limits of a target.
    pub fn target_limits(&self, target: TargetId) -> &Limits {
        self.targets[target.index()].subject.limit_set.limits()
    }

    /// Returns the keys that a target may use, in the order in which they were added to the limiter. Empty if
    /// the target has no keys.
    pub fn keys_of(&self, target: TargetId) -> &[KeyId] {
        self.set_of(target)
            .map(|set| &set.members[..])
            .unwrap_or_default()
    }

    /// Returns the pace learned from refusals of requests with a key or another key of its quota group, in
    /// requests per minute: the slowest one if there is one for each of several models. `None` if no pace was
    /// learned.
    pub fn observed_per_minute(&self, key: KeyId) -> Option<f64> {
        let rates = self
            .sets_with(key)
            .filter_map(|(set, place)| set.observed(place, &self.key_table).per_minute());
        rates.reduce(f64::min)
    }

    /// Returns the pace learned from refusals of requests for the model of `target` with a key or another key of its
    /// quota group, in requests per minute. `None` if no pace was learned.
    pub fn observed_per_minute_at(&self, target: TargetId, key: KeyId) -> Option<f64> {
        let (set, place) = self.place_of(target, key)?;
        set.observed(place, &self.key_table).per_minute()
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
        self.targets[target.index()].subject.limit_set.bucket()
    }
}
