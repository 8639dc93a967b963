//! A key set: the keys that a target may use, and what is known of each key for the model of the target.
//!
//! The keys are indexed in two levels: the quota groups by load, and in each group with several keys the keys
//! by load. So the cost of a change of a key or of a whole group is logarithmic in the number of keys.
//!
//! A key that has too little left for a request, or whose group has, is *set aside*: until both have enough for
//! that request, or a request with a smaller demand arrives, the key or group counts as unusable. Otherwise every
//! request would examine all such keys again.

mod set_group;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use self::set_group::{SetGroup, SetKey};
use super::demand::Demand;
use super::key::KeyId;
use super::key_constraint::KeyConstraint;
use super::key_table::KeyTable;
use super::limit_scope::LimitScope;
use super::observed_limits::ObservedLimits;
use super::obstacle::Obstacle;
use super::quota_group::QuotaGroupId;
use super::ready_index::{Readiness, ReadyIndex};
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct KeySet {
    /// The keys in ascending order. Shared by all sets with the same keys.
    pub(super) members: Arc<[KeyId]>,
    /// In ascending order of their ids.
    pub(super) groups: Vec<SetGroup>,
    ready: ReadyIndex,
    /// The keys that were set aside, alone or with their groups, each with the demand for which it was set aside
    /// last. All these demands have the same number of requests.
    short: BTreeSet<(Demand, KeyPlace)>,
    pub(super) counts_tokens: bool,
    /// Sum of the capacities, and sum of the refill rates per second, of the rate limits of all keys in the set.
    /// `None` if any key has no rate limit.
    combined_rate: Option<(f64, f64)>,
}

/// Where a key is stored in a key set: the index of its quota group, and its index in the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyPlace {
    pub(super) group: usize,
    key: usize,
}

impl KeySet {
    /// `members`: in ascending order.
    pub(super) fn new(members: Arc<[KeyId]>, scope: LimitScope, table: &KeyTable, now: Timestamp) -> Self {
        let mut by_group: Vec<(QuotaGroupId, KeyId)> = members
            .iter()
            .map(|id| (table.keys[id.index()].group, *id))
            .collect();
        by_group.sort_unstable();
        let groups = by_group.chunk_by(|(one, _), (other, _)| one == other);
        let groups: Vec<SetGroup> = groups.map(|keys| SetGroup::new(keys, scope, table)).collect();
        let combined_rate = members.iter().try_fold((0.0, 0.0), |(capacity, per_second), id| {
            let rates = table.keys[id.index()].subject.limit_set.limits().rate_limits();
            let slowest = rates.min_by(|a, b| a.per_second().total_cmp(&b.per_second()))?;
            let capacity = capacity + f64::from(slowest.capacity());
            Some((capacity, per_second + slowest.per_second()))
        });
        let mut subjects = members.iter().flat_map(|id| table.subjects(*id));
        let mut set = Self {
            counts_tokens: subjects.any(|subject| subject.limit_set.counts_tokens()),
            combined_rate,
            ready: ReadyIndex::new(groups.len()),
            groups,
            short: BTreeSet::new(),
            members,
        };
        for at in 0..set.groups.len() {
            for key in 0..set.groups[at].keys.len() {
                set.groups[at].update(key, table, now);
            }
            set.update_group(at, table, now);
        }
        set
    }

    /// Returns the quota groups of the keys, each with its index.
    pub(super) fn group_ids(&self) -> impl ExactSizeIterator<Item = (usize, QuotaGroupId)> {
        self.groups.iter().map(|group| group.id).enumerate()
    }

    pub(super) fn place_of(&self, id: KeyId, table: &KeyTable) -> Option<KeyPlace> {
        let group = self.index_of(table.keys[id.index()].group)?;
        let key = self.groups[group].position(id)?;
        Some(KeyPlace { group, key })
    }

    /// Returns the index of a quota group. `None` if the target uses no key of the group.
    fn index_of(&self, group: QuotaGroupId) -> Option<usize> {
        self.groups.binary_search_by_key(&group, |group| group.id).ok()
    }

    /// Returns the indices of the quota group and of the key to which the constraint restricts a request. `None`
    /// if the target does not use them.
    #[inline(always)]
    pub(super) fn restriction(
        &self,
        constraint: KeyConstraint,
        table: &KeyTable,
    ) -> Option<(Option<usize>, Option<usize>)> {
        Some(match constraint {
            KeyConstraint::Any | KeyConstraint::Healthy => (None, None),
            KeyConstraint::Group(id) => (Some(self.index_of(id)?), None),
            KeyConstraint::Key(id) => {
                let KeyPlace { group, key } = self.place_of(id, table)?;
                (Some(group), Some(key))
            }
        })
    }

    /// Returns the keys to which the constraint restricts a request.
    pub(super) fn ids(&self, constraint: KeyConstraint, table: &KeyTable) -> impl Iterator<Item = KeyId> {
        let restriction = self.restriction(constraint, table).into_iter();
        restriction.flat_map(|(group, key)| {
            let groups = group.map_or(&self.groups[..], |group| &self.groups[group..=group]);
            let keys = groups.iter().flat_map(move |group| match key {
                Some(key) => &group.keys[key..=key],
                None => &group.keys[..],
            });
            keys.map(|key| key.id)
        })
    }

    #[inline(always)]
    pub(super) fn key(&self, place: KeyPlace) -> &SetKey {
        &self.groups[place.group].keys[place.key]
    }

    #[inline(always)]
    pub(super) fn key_mut(&mut self, place: KeyPlace) -> &mut SetKey {
        &mut self.groups[place.group].keys[place.key]
    }

    /// Returns the limits that were observed for a group: for the model of the target or, if all models of an
    /// account share one limit, for the account.
    #[inline(always)]
    pub(super) fn observed<'a>(&'a self, place: KeyPlace, table: &'a KeyTable) -> &'a ObservedLimits {
        self.groups[place.group].observed(table)
    }

    /// Like [`observed`](Self::observed), but mutable.
    #[inline(always)]
    pub(super) fn observed_mut<'a>(
        &'a mut self,
        place: KeyPlace,
        table: &'a mut KeyTable,
    ) -> &'a mut ObservedLimits {
        let group = &mut self.groups[place.group];
        let of_account = &mut table.groups[group.id.index()].observed;
        group.own_observed.as_mut().unwrap_or(of_account)
    }

    /// Returns what keeps a key from being used for `demand`.
    #[inline(always)]
    pub(super) fn obstacle(
        &self,
        place: KeyPlace,
        demand: Demand,
        table: &KeyTable,
        now: Timestamp,
    ) -> Option<Obstacle> {
        let of_key = self.key(place).obstacle(demand, table, now);
        Obstacle::both(of_key, self.groups[place.group].obstacle(demand, table, now))
    }

    /// Returns whether a request with this constraint could use a key if the key had room for it.
    pub(super) fn suits(
        &self,
        constraint: KeyConstraint,
        id: KeyId,
        table: &KeyTable,
        now: Timestamp,
    ) -> bool {
        self.place_of(id, table).is_some_and(|KeyPlace { group, key }| {
            let group = &self.groups[group];
            table.allows(constraint, id)
                && !group.bars(key, table, now)
                && group.is_tested_for(constraint, key, table, now)
        })
    }

    /// Returns whether denials or observed limits keep some keys from being used.
    pub(super) fn bars_any(&self) -> bool {
        self.ready.readiness().is_barred
    }

    /// Recomputes the readiness of a quota group and of one of its keys, if the target uses that key. Must be
    /// called after a change of the key's load, limits or health, or of those of its group.
    #[inline(always)]
    pub(super) fn update_key(&mut self, group: usize, id: KeyId, table: &KeyTable, now: Timestamp) {
        if let Some(key) = self.groups[group].position(id) {
            self.groups[group].update(key, table, now);
        }
        self.update_group(group, table, now);
    }

    #[inline(always)]
    fn update_group(&mut self, at: usize, table: &KeyTable, now: Timestamp) {
        let group = &mut self.groups[at];
        let readiness = group.readiness(group.short_of, table, now);
        self.ready.set(at, readiness);
    }

    /// Recomputes the readiness of all groups whose time to do so has come.
    #[inline(always)]
    fn update_due(&mut self, table: &KeyTable, now: Timestamp) {
        while let Some(group) = self.ready.pop_due(now) {
            self.update_group(group, table, now);
        }
    }

    /// Returns the least loaded key that can be used for `demand`, satisfies the constraint, and is not kept for an
    /// older request. `None` if there is no such key.
    #[inline(always)]
    pub(super) fn find(
        &mut self,
        demand: Demand,
        constraint: KeyConstraint,
        is_kept: impl Fn(&Self, KeyId) -> bool,
        table: &KeyTable,
        now: Timestamp,
    ) -> Option<KeyPlace> {
        self.update_due(table, now);
        self.take_back(demand, table, now);
        let (group, key) = self.restriction(constraint, table)?;
        loop {
            let key_of = |group: usize| {
                let group = &self.groups[group];
                group.first_that(key, |key| {
                    group.is_tested_for(constraint, key, table, now) && !is_kept(self, group.keys[key].id)
                })
            };
            let group = self.ready.first_that(group, |group| key_of(group).is_some())?;
            let place = KeyPlace {
                group,
                key: key_of(group)?,
            };
            if self.obstacle(place, demand, table, now).is_none() {
                return Some(place);
            }
            self.set_aside(place, demand, table, now);
        }
    }

    /// Sets aside a key and its group, at least one of which has too little left for `demand`. If the other has
    /// enough, it stays usable.
    fn set_aside(&mut self, place: KeyPlace, demand: Demand, table: &KeyTable, now: Timestamp) {
        self.short.remove(&(self.key(place).short_of, place));
        self.short.insert((demand, place));
        self.set_short_of(place, demand, table, now);
    }

    /// Takes back the keys and groups that were set aside for a larger demand than this one.
    pub(super) fn take_back(&mut self, demand: Demand, table: &KeyTable, now: Timestamp) {
        let is_larger =
            |(other, _): &&(Demand, _)| other.tokens > demand.tokens || other.requests != demand.requests;
        while let Some(&(_, place)) = self.short.last().filter(is_larger) {
            self.short.pop_last();
            self.set_short_of(place, Demand::ONE, table, now);
        }
    }

    fn set_short_of(&mut self, place: KeyPlace, demand: Demand, table: &KeyTable, now: Timestamp) {
        let group = &mut self.groups[place.group];
        group.short_of = demand;
        group.keys[place.key].short_of = demand;
        group.update(place.key, table, now);
        self.update_group(place.group, table, now);
    }

    /// Returns whether the keys that satisfy the constraint can be used for `demand`, and which of them becomes
    /// usable first. `None` if there are none.
    ///
    /// Where several keys satisfy the constraint, the time to wait can be shorter than the time until one of them
    /// has enough tokens.
    pub(super) fn readiness(
        &mut self,
        demand: Demand,
        constraint: KeyConstraint,
        table: &KeyTable,
        now: Timestamp,
    ) -> Option<(Readiness, KeyPlace)> {
        self.update_due(table, now);
        let (group, key) = self.restriction(constraint, table)?;
        let readiness = match (group, key) {
            (None, _) => self.ready.readiness(),
            (Some(group), None) => self.groups[group].readiness(demand, table, now),
            (Some(group), Some(key)) => {
                let group = &self.groups[group];
                let of_key = group.keys[key].readiness(demand, table, now);
                of_key.behind(group.obstacle(demand, table, now))
            }
        };
        let group = group.or_else(|| self.ready.next_item()).unwrap_or_default();
        let key = key.unwrap_or_else(|| self.groups[group].next_item());
        Some((readiness, KeyPlace { group, key }))
    }

    /// Returns a lower bound on the time that all keys of the set together need to admit `requests` requests.
    /// Zero if any key has no rate limit.
    pub(super) fn least_time(&self, requests: u64) -> Duration {
        let Some((capacity, per_second)) = self.combined_rate else {
            return Duration::ZERO;
        };
        let seconds = (requests as f64 - capacity).max(0.0) / per_second;
        Duration::try_from_secs_f64(seconds * 0.999_999).unwrap_or_default()
    }
}
