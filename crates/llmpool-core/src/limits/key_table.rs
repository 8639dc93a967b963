//! All keys of one provider and their quota groups.
//!
//! The keys of a quota group share the group's limits and the group's cooldowns, which are caused by the
//! provider's rate limits and quotas. Each key still has its own limits, can be rejected by the provider on
//! its own, and can be disabled on its own. The cost of a change to a key grows with the number of keys in
//! its group.
//!
//! Invariant: `in_flight` of a key or quota group equals the number of its attempts whose grants have not
//! been released.

use super::cooldown::{CooldownReason, RefusalWait};
use super::demand::Demand;
use super::grant::{Grant, KeyReservation};
use super::health::{Health, HealthState, SavedHealth};
use super::key::{KeyAvailability, KeyId, KeyLimits};
use super::key_constraint::KeyConstraint;
use super::key_record::KeyRecord;
use super::limit_set::{Charge, LimitSet};
use super::limits::{LimitKind, Limits};
use super::observed_limits::SavedPace;
use super::quota_group::{QuotaGroup, QuotaGroupId};
use crate::time::Timestamp;

#[derive(Clone, Debug, Default)]
pub(super) struct KeyTable {
    pub(super) keys: Vec<KeyRecord>,
    groups: Vec<QuotaGroup>,
}

/// A cooldown that can be reverted with [`Limiter::restore`](super::limiter::Limiter::restore). Revert it if
/// the refusal that started the cooldown turns out to be the fault of the request rather than of the key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProvisionalCooldown {
    key: KeyId,
    of_group: bool,
    before: StateBefore,
}

/// What a provisional cooldown replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
enum StateBefore {
    Health(SavedHealth),
    Pace(SavedPace),
}

impl ProvisionalCooldown {
    /// Returns the key of the refused attempt. The cooldown applies to this key or to its quota group.
    pub fn key(&self) -> KeyId {
        self.key
    }
}

impl KeyTable {
    pub(super) fn add_group(&mut self, limits: Limits, learn: bool) -> QuotaGroupId {
        let id = QuotaGroupId(self.groups.len() as u32);
        self.groups.push(QuotaGroup::new(limits, learn));
        id
    }

    pub(super) fn add(&mut self, limits: KeyLimits, group: Option<QuotaGroupId>) -> KeyId {
        let id = KeyId(self.keys.len() as u32);
        self.keys.push(KeyRecord::new(id, limits, group));
        if let Some(group) = group {
            self.groups[group.index()].members.push(id);
        }
        id
    }

    fn group_of(&self, id: KeyId) -> Option<&QuotaGroup> {
        self.keys[id.index()]
            .group
            .map(|group| &self.groups[group.index()])
    }

    pub(super) fn members(&self, group: QuotaGroupId) -> &[KeyId] {
        &self.groups[group.index()].members
    }

    /// Returns the keys that a change of the key `id` can affect: all keys of its quota group, or the key
    /// alone if it belongs to no group.
    pub(super) fn group_members(&self, id: KeyId) -> &[KeyId] {
        match self.group_of(id) {
            Some(group) => &group.members,
            None => std::slice::from_ref(&self.keys[id.index()].id),
        }
    }

    pub(super) fn availability(&self, id: KeyId, now: Timestamp) -> KeyAvailability {
        let key = &self.keys[id.index()];
        if key.disabled {
            return KeyAvailability::Disabled;
        }
        let own = KeyAvailability::from(key.health.state());
        let group = self.group_of(id);
        let group = group.map(|group| KeyAvailability::from(group.health.state()));
        let by_health = match (own, group) {
            (KeyAvailability::Probing, _) | (_, Some(KeyAvailability::Probing)) => KeyAvailability::Probing,
            (KeyAvailability::Healthy, Some(group)) => group,
            (own, Some(group)) if group.until() > own.until() => group,
            (own, _) => own,
        };
        let observed = &self.shared_limits(id).observed;
        let until = by_health.until().filter(|until| *until > now);
        match observed.paused_until(now) {
            None => by_health,
            Some(_) if by_health == KeyAvailability::Probing => by_health,
            Some(_) if observed.is_probing(now) => until.map_or(KeyAvailability::Probing, |_| by_health),
            Some(paused) if until < Some(paused) => KeyAvailability::Throttled(paused),
            Some(_) => by_health,
        }
    }

    /// Returns the end and the reason of the cooldown of the key or its quota group. If both have a cooldown,
    /// returns the one that ends later. While probes test the key or group, the cooldown before the probes is
    /// still taken into account.
    pub(super) fn known_cooldown(&self, id: KeyId, now: Timestamp) -> Option<(Timestamp, CooldownReason)> {
        let own = self.keys[id.index()].health.state().cooldown();
        let group = self.group_of(id);
        let group = group.and_then(|group| group.health.state().cooldown());
        let pause = self.shared_limits(id).observed.paused_until(now);
        let pause = pause.map(|until| (until, CooldownReason::Throttled));
        let cooldowns = own.into_iter().chain(group).chain(pause);
        cooldowns.max_by_key(|(until, _)| *until)
    }

    /// Returns the time until which the health of the key and its quota group keeps the key from being used: the
    /// end of a cooldown, or of the wait for the outcome of a probe. [`Timestamp::MAX`] if the key is disabled.
    fn blocked_until(&self, id: KeyId, now: Timestamp) -> Option<Timestamp> {
        let key = &self.keys[id.index()];
        if key.disabled {
            return Some(Timestamp::MAX);
        }
        let group = self
            .group_of(id)
            .and_then(|group| group.health.blocked_until(now));
        let pause = self.shared_limits(id).observed.paused_until(now);
        key.health.blocked_until(now).max(group).max(pause)
    }

    /// Returns the time from which the key is available for `demand`, and the kind of limit that delays the
    /// key longest. The kind is `None` if a cooldown or a probe delays the key longest, or if the key is disabled.
    /// Occupied slots are ignored.
    ///
    /// Returns `None` if the key is available at `now`.
    pub(super) fn available_at(
        &self,
        id: KeyId,
        demand: Demand,
        now: Timestamp,
    ) -> Option<(Timestamp, Option<LimitKind>)> {
        let key = &self.keys[id.index()];
        let own = key.limit_set.available_at(demand, now);
        if own.is_none() && key.is_plainly_healthy(now) {
            return None;
        }
        let group = self
            .group_of(id)
            .and_then(|group| group.limit_set.available_at(demand, now));
        let limited = own.max(group).map(|(until, kind)| (until, Some(kind)));
        limited.max(self.blocked_until(id, now).map(|until| (until, None)))
    }

    /// Returns whether the outcome of a probe of the key or its quota group is awaited.
    pub(super) fn is_probing(&self, id: KeyId, now: Timestamp) -> bool {
        let is_probed = |health: &Health| health.probed_until(now).is_some();
        is_probed(&self.keys[id.index()].health)
            || self.group_of(id).is_some_and(|group| is_probed(&group.health))
            || self.shared_limits(id).observed.is_probing(now)
    }

    /// Returns whether attempts in flight occupy all slots of the key or its quota group.
    #[inline(always)]
    pub(super) fn is_occupied(&self, id: KeyId) -> bool {
        let group = self.group_of(id);
        !self.keys[id.index()].limit_set.has_slot() || group.is_some_and(|group| !group.limit_set.has_slot())
    }

    /// Charges an attempt to its key and the key's quota group.
    pub(super) fn reserve(&mut self, id: KeyId, demand: Demand, seq: u64, now: Timestamp) -> KeyReservation {
        let key = &mut self.keys[id.index()];
        key.last_used = seq;
        let group = key.group.map(|group| &mut self.groups[group.index()]);
        if key.health.begin_attempt(now) {
            key.limit_set.resume(seq, now);
        }
        let mut reservation = KeyReservation {
            epoch: key.health.epoch(),
            charge: key.limit_set.charge(demand, seq, now),
            ..KeyReservation::default()
        };
        if let Some(group) = group {
            if group.health.begin_attempt(now) {
                group.limit_set.resume(seq, now);
            }
            reservation.group_epoch = group.health.epoch();
            reservation.group_charge = group.limit_set.charge(demand, seq, now);
        }
        reservation
    }

    /// Returns the limit sets of the key and its quota group to which a reservation was charged, each with
    /// its charge. The second item is `None` if the key belongs to no group.
    #[inline(always)]
    pub(super) fn charged(
        &mut self,
        id: KeyId,
        reservation: &KeyReservation,
    ) -> [Option<(&mut LimitSet, Charge)>; 2] {
        let key = &mut self.keys[id.index()];
        let group = key.group.map(|group| &mut self.groups[group.index()].limit_set);
        let group = group.map(|limit_set| (limit_set, reservation.group_charge));
        [Some((&mut key.limit_set, reservation.charge)), group]
    }

    /// Frees the slots that an attempt occupied. If the attempt was the last running probe and no probe
    /// received a response, the next attempt becomes a probe again.
    pub(super) fn release(&mut self, id: KeyId, reservation: &KeyReservation) {
        let key = &mut self.keys[id.index()];
        key.limit_set.in_flight -= 1;
        key.health.end_attempt(reservation.epoch);
        if let Some(group) = key.group.map(|group| &mut self.groups[group.index()]) {
            group.limit_set.in_flight -= 1;
            group.health.end_attempt(reservation.group_epoch);
        }
    }

    /// Records that an attempt succeeded. Returns whether the health of the attempt's key or of the key's
    /// quota group changed.
    pub(super) fn record_success(&mut self, id: KeyId, reservation: &KeyReservation) -> bool {
        let key = &mut self.keys[id.index()];
        let own = key.health.record_success(reservation.epoch);
        let group = key.group.map(|group| &mut self.groups[group.index()].health);
        let group = group.is_some_and(|health| health.record_success(reservation.group_epoch));
        own || group
    }

    /// Records that the provider refused an attempt because of its key or quota group. Returns the cooldown
    /// that the refusal started, so that the caller can revert it. Returns `None` if the refusal started no
    /// cooldown.
    pub(super) fn record_refusal(
        &mut self,
        grant: &Grant,
        id: KeyId,
        reason: CooldownReason,
        wait: RefusalWait,
        now: Timestamp,
    ) -> Option<ProvisionalCooldown> {
        if let CooldownReason::Throttled | CooldownReason::Unclear = reason {
            let infers = reason == CooldownReason::Throttled;
            let observed = &mut self.shared_limits_mut(id).observed;
            let before = observed.record_refusal(grant.sent_at, wait, infers, now)?;
            return Some(ProvisionalCooldown {
                key: id,
                of_group: true,
                before: StateBefore::Pace(before),
            });
        }
        let reservation = &grant.reservation;
        let of_group = reason.is_of_group() && self.keys[id.index()].group.is_some();
        let epoch = if of_group {
            reservation.group_epoch
        } else {
            reservation.epoch
        };
        let health = self.health_mut(id, of_group);
        let before = health.record_refusal(epoch, reason, wait.named(), now)?;
        Some(ProvisionalCooldown {
            key: id,
            of_group,
            before: StateBefore::Health(before),
        })
    }

    /// Returns the limit set that stores the observed limits of the key: that of its quota group, or the
    /// key's own limit set if the key belongs to no group.
    fn shared_limits(&self, id: KeyId) -> &LimitSet {
        match self.group_of(id) {
            Some(group) => &group.limit_set,
            None => &self.keys[id.index()].limit_set,
        }
    }

    /// Returns the limit set that stores the observed limits of the key: that of its quota group, or the
    /// key's own limit set if the key belongs to no group.
    pub(super) fn shared_limits_mut(&mut self, id: KeyId) -> &mut LimitSet {
        match self.keys[id.index()].group {
            Some(group) => &mut self.groups[group.index()].limit_set,
            None => &mut self.keys[id.index()].limit_set,
        }
    }

    /// Reverts a cooldown, unless the health of the affected key or quota group has changed since the
    /// cooldown started, or another refusal has confirmed the cooldown.
    pub(super) fn restore(&mut self, cooldown: ProvisionalCooldown) {
        let ProvisionalCooldown {
            key,
            of_group,
            before,
        } = cooldown;
        match before {
            StateBefore::Health(before) => self.health_mut(key, of_group).restore(before),
            StateBefore::Pace(before) => self.shared_limits_mut(key).observed.restore(before),
        }
    }

    /// Starts a cooldown of the key, or of its quota group if the reason applies to the whole group. Has no
    /// effect if a current cooldown ends at `until` or later.
    pub(super) fn set_cooldown(
        &mut self,
        id: KeyId,
        reason: CooldownReason,
        until: Timestamp,
        now: Timestamp,
    ) {
        if let CooldownReason::Throttled | CooldownReason::Unclear = reason {
            return self.shared_limits_mut(id).observed.pause_until(until, now);
        }
        let health = self.health_mut(id, reason.is_of_group());
        if health.cooldown_until().is_none_or(|known| known < until) {
            health.start_cooldown(reason, until);
        }
    }

    /// Ends all cooldowns of the key and its quota group.
    pub(super) fn reset_health(&mut self, id: KeyId) {
        self.shared_limits_mut(id).observed.reset();
        let key = &mut self.keys[id.index()];
        key.health.reset();
        if let Some(group) = key.group {
            self.groups[group.index()].health.reset();
        }
    }

    fn health_mut(&mut self, id: KeyId, of_group: bool) -> &mut Health {
        let key = &mut self.keys[id.index()];
        match key.group.filter(|_| of_group) {
            Some(group) => &mut self.groups[group.index()].health,
            None => &mut key.health,
        }
    }

    /// Returns whether `constraint` lets a request use the key.
    pub(super) fn allows(&self, constraint: KeyConstraint, id: KeyId) -> bool {
        match constraint {
            KeyConstraint::Any => true,
            KeyConstraint::Healthy => {
                let is_healthy = |health: &Health| health.state() == HealthState::Healthy;
                is_healthy(&self.keys[id.index()].health)
                    && self.group_of(id).is_none_or(|group| is_healthy(&group.health))
                    && !self.shared_limits(id).observed.is_refused()
            }
            KeyConstraint::Key(key) => key == id,
            KeyConstraint::Group(group) => self.keys[id.index()].group == Some(group),
        }
    }

    /// Returns the limit set of the key, followed by that of its quota group if the key belongs to one. The
    /// last item stores the observed limits.
    pub(super) fn limit_sets(&self, id: KeyId) -> impl Iterator<Item = &LimitSet> {
        let group = self.group_of(id).map(|group| &group.limit_set);
        std::iter::once(&self.keys[id.index()].limit_set).chain(group)
    }
}

/// Returns the items in ascending order, without duplicates.
pub(super) fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}
