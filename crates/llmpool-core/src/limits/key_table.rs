//! All keys of one provider and their quota groups.
//!
//! A key in a quota group shares the group's limits and its cooldowns for rate and quota. What concerns the key alone (rejected, disabled,
//! its own limits) stays with the key. Cost grows with the keys of one group.
//!
//! Invariant: `in_flight` of a key or group equals its attempts that are not yet released.

use std::time::Duration;

use super::cooldown::CooldownReason;
use super::demand::Demand;
use super::grant::KeyReservation;
use super::health::{Health, SavedHealth};
use super::key::{KeyAvailability, KeyId, KeyLimits};
use super::key_constraint::KeyConstraint;
use super::key_record::KeyRecord;
use super::limit_set::{Charge, LimitSet};
use super::limits::{LimitKind, Limits};
use super::quota_group::{QuotaGroup, QuotaGroupId};
use crate::time::Timestamp;

#[derive(Clone, Debug, Default)]
pub(super) struct KeyTable {
    pub(super) keys: Vec<KeyRecord>,
    groups: Vec<QuotaGroup>,
}

/// A cooldown that can be reverted, should the request and not the key turn out to be at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvisionalCooldown {
    key: KeyId,
    of_group: bool,
    before: SavedHealth,
}

impl ProvisionalCooldown {
    /// The key that cools down.
    pub fn key(&self) -> KeyId {
        self.key
    }
}

impl KeyTable {
    pub(super) fn add(&mut self, limits: KeyLimits) -> KeyId {
        let id = KeyId(self.keys.len() as u32);
        self.keys.push(KeyRecord::new(id, limits));
        id
    }

    /// Joins keys into one group. A key that is in a group already brings its whole group along.
    pub(super) fn join(
        &mut self,
        keys: &[KeyId],
        limits: Limits,
        learn: bool,
        seq: u64,
        now: Timestamp,
    ) -> QuotaGroupId {
        let all = keys.iter().flat_map(|id| self.group_members(*id));
        let all = sorted(all.copied().collect());
        let known = all.iter().filter_map(|id| self.keys[id.index()].group);
        let known = sorted(known.collect());
        let index = known.first().copied().unwrap_or_else(|| {
            self.groups.push(QuotaGroup::new());
            self.groups.len() - 1
        });
        if learn {
            self.groups[index].limit_set.observed.enabled = true;
        }
        for &other in known.iter().skip(1) {
            let merged = QuotaGroup {
                merged_into: Some(index),
                ..QuotaGroup::new()
            };
            let other = std::mem::replace(&mut self.groups[other], merged);
            self.groups[index].merge(other, seq, now);
        }
        let group = &mut self.groups[index];
        group.limit_set.set_limits(limits, seq, now);
        for &id in &all {
            let key = &mut self.keys[id.index()];
            if key.group.is_none() {
                group.insert(id, key, seq, now);
            }
            key.group = Some(index);
        }
        group.members.sort_unstable();
        let in_flight = all.iter().map(|id| self.keys[id.index()].limit_set.in_flight);
        group.limit_set.in_flight = in_flight.sum();
        QuotaGroupId(index as u32)
    }

    /// Follows merged groups to the one that is current.
    fn current(&self, group: QuotaGroupId) -> usize {
        let mut index = group.0 as usize;
        while let Some(merged_into) = self.groups[index].merged_into {
            index = merged_into;
        }
        index
    }

    fn group_of(&self, id: KeyId) -> Option<&QuotaGroup> {
        self.keys[id.index()].group.map(|group| &self.groups[group])
    }

    pub(super) fn members(&self, group: QuotaGroupId) -> &[KeyId] {
        &self.groups[self.current(group)].members
    }

    /// Returns the keys that an event at this key can concern: those of its group, else itself.
    pub(super) fn group_members(&self, id: KeyId) -> &[KeyId] {
        match self.group_of(id) {
            Some(group) => &group.members,
            None => std::slice::from_ref(&self.keys[id.index()].id),
        }
    }

    pub(super) fn availability(&self, id: KeyId) -> KeyAvailability {
        let key = &self.keys[id.index()];
        if key.disabled {
            return KeyAvailability::Disabled;
        }
        let own = KeyAvailability::from(key.health.state());
        let group = self.group_of(id);
        let group = group.map(|group| KeyAvailability::from(group.health.state()));
        match (own, group) {
            (KeyAvailability::Probing, _) | (_, Some(KeyAvailability::Probing)) => KeyAvailability::Probing,
            (KeyAvailability::Healthy, Some(group)) => group,
            (own, Some(group)) if group.until() > own.until() => group,
            (own, _) => own,
        }
    }

    /// Returns the end and reason of its cooldown or its group's, whichever ends later, even while it is being probed.
    pub(super) fn known_cooldown(&self, id: KeyId) -> Option<(Timestamp, CooldownReason)> {
        let own = self.keys[id.index()].health.state().cooldown();
        let group = self.group_of(id);
        let group = group.and_then(|group| group.health.state().cooldown());
        own.into_iter().chain(group).max_by_key(|(until, _)| *until)
    }

    /// Returns the end of its cooldowns; `None` if time does not end any.
    fn cooldown_until(&self, id: KeyId) -> Option<Timestamp> {
        let key = &self.keys[id.index()];
        if key.disabled {
            return Some(Timestamp::MAX);
        }
        let group = self.group_of(id).and_then(|group| group.health.cooldown_until());
        key.health.cooldown_until().max(group)
    }

    /// Returns when the passing of time makes the key available for `demand`, and which limit is the last to allow it (`None`: a cooldown).
    /// `None`: now.
    pub(super) fn available_at(
        &self,
        id: KeyId,
        demand: Demand,
        now: Timestamp,
    ) -> Option<(Timestamp, Option<LimitKind>)> {
        let key = &self.keys[id.index()];
        let own = key.limit_set.available_at(demand, now);
        if own.is_none() && key.is_plainly_healthy() {
            return None;
        }
        let group = self
            .group_of(id)
            .and_then(|group| group.limit_set.available_at(demand, now));
        let limited = own.max(group).map(|(until, kind)| (until, Some(kind)));
        let cooldown = self.cooldown_until(id).filter(|until| *until > now);
        limited.max(cooldown.map(|until| (until, None)))
    }

    /// Returns whether only attempts in flight make it unavailable: they use all slots, or probe.
    #[inline(always)]
    pub(super) fn is_occupied(&self, id: KeyId) -> bool {
        let key = &self.keys[id.index()];
        let group = self.group_of(id);
        key.health.is_probed()
            || !key.limit_set.has_slot()
            || group.is_some_and(|group| group.health.is_probed() || !group.limit_set.has_slot())
    }

    /// Charges an attempt to its key and group. `paced` says that the target has a rate limit.
    pub(super) fn reserve(
        &mut self,
        id: KeyId,
        demand: Demand,
        seq: u64,
        paced: bool,
        now: Timestamp,
    ) -> KeyReservation {
        let key = &mut self.keys[id.index()];
        key.last_used = seq;
        let group = key.group.map(|group| &mut self.groups[group]);
        let paced = paced
            || key.limit_set.is_paced()
            || group.as_ref().is_some_and(|group| group.limit_set.is_paced());
        if key.health.begin_attempt(paced, now) {
            key.limit_set.resume(seq, now);
        }
        let mut reservation = KeyReservation {
            epoch: key.health.epoch(),
            charge: key.limit_set.charge(demand, seq, now),
            ..KeyReservation::default()
        };
        if let Some(group) = group {
            if group.health.begin_attempt(paced, now) {
                group.limit_set.resume(seq, now);
            }
            reservation.group_epoch = Some(group.health.epoch());
            reservation.group_charge = group.limit_set.charge(demand, seq, now);
        }
        reservation
    }

    /// Returns the limits that a reservation is charged to, with its charges.
    #[inline(always)]
    pub(super) fn charged(
        &mut self,
        id: KeyId,
        reservation: &KeyReservation,
    ) -> [Option<(&mut LimitSet, Charge)>; 2] {
        let key = &mut self.keys[id.index()];
        let group = key.group.filter(|_| reservation.group_epoch.is_some());
        let group = group.map(|group| (&mut self.groups[group].limit_set, reservation.group_charge));
        [Some((&mut key.limit_set, reservation.charge)), group]
    }

    /// Frees the slots of a reservation and ends its probes.
    pub(super) fn release(&mut self, id: KeyId, reservation: &KeyReservation) {
        let key = &mut self.keys[id.index()];
        key.limit_set.in_flight -= 1;
        key.health.end_attempt(reservation.epoch);
        if let Some(group) = key.group.map(|group| &mut self.groups[group]) {
            group.limit_set.in_flight -= 1;
            if let Some(epoch) = reservation.group_epoch {
                group.health.end_attempt(epoch);
            }
        }
    }

    /// Records the success of an attempt and returns whether the health of its key or group changed.
    pub(super) fn record_success(&mut self, id: KeyId, reservation: &KeyReservation) -> bool {
        let key = &mut self.keys[id.index()];
        let own = key.health.record_success(reservation.epoch);
        let group = key.group.zip(reservation.group_epoch);
        let group = group.is_some_and(|(group, epoch)| self.groups[group].health.record_success(epoch));
        own || group
    }

    /// Records the refusal of an attempt because of its key or group.
    pub(super) fn record_refusal(
        &mut self,
        id: KeyId,
        reservation: &KeyReservation,
        reason: CooldownReason,
        duration: Option<Duration>,
        now: Timestamp,
    ) -> Option<ProvisionalCooldown> {
        let of_group = reason.is_of_group() && self.keys[id.index()].group.is_some();
        let epoch = if of_group {
            reservation.group_epoch
        } else {
            Some(reservation.epoch)
        };
        let health = self.health_mut(id, of_group);
        let before = match epoch {
            Some(epoch) => health.record_refusal(epoch, reason, duration, now)?,
            None => health.record_late_refusal(reason, duration, now)?,
        };
        Some(ProvisionalCooldown {
            key: id,
            of_group,
            before,
        })
    }

    /// Returns the limits that observed rates of this key belong to: its group's, else its own.
    pub(super) fn shared_limits_mut(&mut self, id: KeyId) -> &mut LimitSet {
        match self.keys[id.index()].group {
            Some(group) => &mut self.groups[group].limit_set,
            None => &mut self.keys[id.index()].limit_set,
        }
    }

    /// Reverts a cooldown, unless the health changed since.
    pub(super) fn restore(&mut self, cooldown: ProvisionalCooldown) {
        self.health_mut(cooldown.key, cooldown.of_group)
            .restore(cooldown.before);
    }

    /// Sets a cooldown of the key, or of its group if the reason concerns the group. A cooldown that ends later stays.
    pub(super) fn set_cooldown(&mut self, id: KeyId, reason: CooldownReason, until: Timestamp) {
        let health = self.health_mut(id, reason.is_of_group());
        if health.cooldown_until().is_none_or(|known| known < until) {
            health.start_cooldown(reason, until);
        }
    }

    /// Sets the key and its group to healthy.
    pub(super) fn reset_health(&mut self, id: KeyId) {
        let key = &mut self.keys[id.index()];
        key.health.reset();
        if let Some(group) = key.group {
            self.groups[group].health.reset();
        }
    }

    fn health_mut(&mut self, id: KeyId, of_group: bool) -> &mut Health {
        let key = &mut self.keys[id.index()];
        match key.group.filter(|_| of_group) {
            Some(group) => &mut self.groups[group].health,
            None => &mut key.health,
        }
    }

    /// Returns whether a constraint allows a key.
    pub(super) fn allows(&self, constraint: KeyConstraint, id: KeyId) -> bool {
        match constraint {
            KeyConstraint::Any => true,
            KeyConstraint::Key(key) => key == id,
            KeyConstraint::Group(group) => self.keys[id.index()].group == Some(self.current(group)),
        }
    }

    /// The limits of a key, then those of its group, which observed limits belong to.
    pub(super) fn limit_sets(&self, id: KeyId) -> impl Iterator<Item = &LimitSet> {
        let group = self.group_of(id).map(|group| &group.limit_set);
        std::iter::once(&self.keys[id.index()].limit_set).chain(group)
    }
}

/// Returns the items in order, without repetitions.
pub(super) fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}
