//! All keys of one provider and their quota groups.
//!
//! The keys of a quota group share the group's limits, and the cooldowns of an account without quota. Each key
//! still has its own limits, can be rejected by the provider on its own, and can be disabled on its own.
//!
//! Invariant: `in_flight` of a key or quota group equals the number of its attempts whose grants have not
//! been released.

use std::time::Duration;

use super::charge_id::ChargeId;
use super::cooldown::CooldownReason;
use super::grant::Grant;
use super::health::{Health, SavedHealth};
use super::key::{KeyAvailability, KeyId, KeyLimits};
use super::key_constraint::KeyConstraint;
use super::key_record::KeyRecord;
use super::limit_set::LimitSet;
use super::limits::Limits;
use super::quota_group::{QuotaGroup, QuotaGroupId};
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

    #[inline(always)]
    fn pair_mut(&mut self, id: KeyId) -> (&mut KeyRecord, &mut QuotaGroup) {
        let key = &mut self.keys[id.index()];
        let group = &mut self.groups[key.group.index()];
        (key, group)
    }

    /// Returns the availability of the key as far as it depends on no model.
    pub(super) fn availability(&self, id: KeyId) -> KeyAvailability {
        let key = &self.keys[id.index()];
        if key.disabled {
            return KeyAvailability::Disabled;
        }
        let own = KeyAvailability::from(key.health.state());
        let group = KeyAvailability::from(self.group_of(id).health.state());
        match (own, group) {
            (KeyAvailability::Probing, _) | (_, KeyAvailability::Probing) => KeyAvailability::Probing,
            (own, group) if group.until() > own.until() => group,
            (own, _) => own,
        }
    }

    /// Returns the end and the reason of the cooldown of the key or its quota group. If both have a cooldown,
    /// returns the one that ends later. While probes test the key or group, the cooldown before the probes is
    /// still taken into account.
    pub(super) fn known_cooldown(&self, id: KeyId) -> Option<(Timestamp, CooldownReason)> {
        let healths = [&self.keys[id.index()].health, &self.group_of(id).health];
        let cooldowns = healths.into_iter().filter_map(|health| health.state().cooldown());
        cooldowns.max_by_key(|(until, _)| *until)
    }

    /// Charges an attempt to its key and the key's quota group.
    #[inline(always)]
    pub(super) fn reserve(&mut self, id: KeyId, grant: &mut Grant) {
        let (key, group) = self.pair_mut(id);
        let ChargeId { seq, at } = grant.charge;
        key.last_used = seq;
        let charge = |health: &mut Health, limit_set: &mut LimitSet| {
            if health.begin_attempt(at) {
                limit_set.resume(seq, at);
            }
            limit_set.charge(grant.demand, seq, at);
            health.epoch()
        };
        grant.key_epoch = charge(&mut key.health, &mut key.limit_set);
        grant.group_epoch = charge(&mut group.health, &mut group.limit_set);
    }

    /// Frees the slots that an attempt occupied. If the attempt was the last running probe and no probe
    /// received a response, the next attempt becomes a probe again.
    #[inline(always)]
    pub(super) fn release(&mut self, id: KeyId, grant: &Grant) {
        let (key, group) = self.pair_mut(id);
        key.limit_set.in_flight -= 1;
        key.health.end_attempt(grant.key_epoch);
        group.limit_set.in_flight -= 1;
        group.health.end_attempt(grant.group_epoch);
    }

    /// Records that an attempt succeeded. Returns whether the health of the attempt's key or of the key's
    /// quota group changed.
    #[inline(always)]
    pub(super) fn record_success(&mut self, id: KeyId, grant: &Grant) -> bool {
        let (key, group) = self.pair_mut(id);
        let own = key.health.record_success(grant.key_epoch);
        own | group.health.record_success(grant.group_epoch)
    }

    /// Records that the provider refused an attempt for a reason that concerns its key or quota group. Returns
    /// the health before the refusal if the refusal started a cooldown.
    pub(super) fn record_refusal(
        &mut self,
        id: KeyId,
        grant: &Grant,
        reason: CooldownReason,
        duration: Option<Duration>,
        now: Timestamp,
    ) -> Option<SavedHealth> {
        let epoch = if reason.is_of_group() {
            grant.group_epoch
        } else {
            grant.key_epoch
        };
        let health = self.health_mut(id, reason);
        health.record_refusal(epoch, reason, duration, now)
    }

    /// Starts a cooldown of the key, or of its quota group if the reason applies to the whole group. Has no
    /// effect if a current cooldown ends at `until` or later.
    pub(super) fn set_cooldown(&mut self, id: KeyId, reason: CooldownReason, until: Timestamp) {
        self.health_mut(id, reason).cool_down_until(reason, until);
    }

    /// Ends all cooldowns of the key and its quota group.
    pub(super) fn reset_health(&mut self, id: KeyId) {
        let (key, group) = self.pair_mut(id);
        key.health.reset();
        group.health.reset();
        group.observed.reset();
    }

    /// Returns the health to which cooldowns with this reason apply.
    pub(super) fn health_mut(&mut self, id: KeyId, reason: CooldownReason) -> &mut Health {
        let (key, group) = self.pair_mut(id);
        if reason.is_of_group() {
            &mut group.health
        } else {
            &mut key.health
        }
    }

    /// Returns whether `constraint` lets a request use the key.
    pub(super) fn allows(&self, constraint: KeyConstraint, id: KeyId) -> bool {
        match constraint {
            KeyConstraint::Any | KeyConstraint::Healthy => true,
            KeyConstraint::Key(key) => key == id,
            KeyConstraint::Group(group) => self.keys[id.index()].group == group,
        }
    }

    /// Returns the limit sets of the key and of its quota group.
    #[inline(always)]
    pub(super) fn limit_sets_mut(&mut self, id: KeyId) -> [&mut LimitSet; 2] {
        let (key, group) = self.pair_mut(id);
        [&mut key.limit_set, &mut group.limit_set]
    }

    /// Returns the limit sets of the key and of its quota group.
    pub(super) fn limit_sets(&self, id: KeyId) -> [&LimitSet; 2] {
        [&self.keys[id.index()].limit_set, &self.group_of(id).limit_set]
    }
}

/// Returns the items in ascending order, without duplicates.
pub(super) fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}
