//! A key set: the keys that a target may use, and what is known of each key for the model of the target.
//!
//! The keys are indexed in two levels: the quota groups by load, and in each group with several keys the keys
//! by load. So the cost of a change of a key or of a whole group is logarithmic in the number of keys.
//!
//! A key that has too few tokens left for a request is *set aside*: until the time at which it has enough
//! tokens, or a request with a smaller demand arrives, it counts as unusable. Otherwise every request would
//! examine all such keys again.

mod set_group;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use self::set_group::SetGroup;
use super::demand::Demand;
use super::health::Health;
use super::key::KeyId;
use super::key_constraint::KeyConstraint;
use super::key_record::KeyRecord;
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
    groups: Vec<SetGroup>,
    ready: ReadyIndex,
    /// The keys and groups that are set aside: the number of tokens for which each was set aside last, the index of
    /// the group, and the index of the key (`None` for a whole group).
    short: BTreeSet<(u32, usize, Option<usize>)>,
    /// Number of groups of which denials or observed limits keep some keys from being used.
    barred: usize,
    pub(super) counts_tokens: bool,
    /// Sum of the rate limits of all keys in the set. `None` if any key has no rate limit.
    combined_rate: Option<CombinedRate>,
}

/// Where a key is stored in a key set: the index of its quota group, and its index in the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyPlace {
    pub(super) group: usize,
    key: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct CombinedRate {
    capacity: f64,
    per_second: f64,
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
        let mut keys = members.iter().map(|id| &table.keys[id.index()]);
        let mut set = Self {
            ready: ReadyIndex::new(groups.len()),
            groups,
            short: BTreeSet::new(),
            barred: 0,
            counts_tokens: members.iter().any(|id| {
                table
                    .subjects(*id)
                    .iter()
                    .any(|subject| subject.limit_set.counts_tokens())
            }),
            combined_rate: keys.try_fold(CombinedRate::default(), CombinedRate::with),
            members,
        };
        for group in 0..set.groups.len() {
            for key in 0..set.groups[group].keys.len() {
                set.update(KeyPlace { group, key }, table, now);
            }
        }
        set
    }

    /// Returns the quota groups of the keys, each with its index.
    pub(super) fn group_ids(&self) -> impl ExactSizeIterator<Item = (usize, QuotaGroupId)> {
        self.groups.iter().map(|group| group.id).enumerate()
    }

    /// Returns the index of a quota group. `None` if the target uses no key of the group.
    pub(super) fn index_of(&self, group: QuotaGroupId) -> Option<usize> {
        self.groups.binary_search_by_key(&group, |group| group.id).ok()
    }

    pub(super) fn place_of(&self, id: KeyId, table: &KeyTable) -> Option<KeyPlace> {
        let group = self.index_of(table.keys[id.index()].group)?;
        let key = self.groups[group].position(id)?;
        Some(KeyPlace { group, key })
    }

    /// Records the start of an attempt. Returns the epoch of the key's model denial, if there is one.
    #[inline(always)]
    pub(super) fn begin_attempt(&mut self, place: KeyPlace, now: Timestamp) -> Option<u32> {
        self.groups[place.group].keys[place.key].begin_attempt(now)
    }

    /// Records the end of an attempt that started in `epoch` of the key's model denial.
    #[inline(always)]
    pub(super) fn end_attempt(&mut self, place: KeyPlace, epoch: Option<u32>) {
        self.groups[place.group].keys[place.key].end_attempt(epoch);
    }

    /// Records that an attempt succeeded. Returns whether that lifts a model denial.
    #[inline(always)]
    pub(super) fn record_success(&mut self, place: KeyPlace, epoch: Option<u32>) -> bool {
        self.groups[place.group].record_success(place.key, epoch)
    }

    /// Records that the provider refused the model to a key.
    pub(super) fn deny(
        &mut self,
        place: KeyPlace,
        epoch: Option<u32>,
        duration: Option<Duration>,
        now: Timestamp,
    ) {
        self.groups[place.group].deny(place.key, epoch, duration, now);
    }

    /// Records that the model is refused to a key until `until` at least.
    pub(super) fn deny_until(&mut self, place: KeyPlace, until: Timestamp) {
        self.groups[place.group].deny_until(place.key, until);
    }

    pub(super) fn denial(&self, place: KeyPlace) -> Option<&Health> {
        self.groups[place.group].keys[place.key].denial.as_deref()
    }

    /// Returns the limits that were observed for a group: for the model of the target or, if all models of an
    /// account share one limit, for the account.
    #[inline(always)]
    pub(super) fn observed<'a>(&'a self, place: KeyPlace, table: &'a KeyTable) -> &'a ObservedLimits {
        let group = &self.groups[place.group];
        group.observed(&table.groups[group.id.index()])
    }

    /// Like [`own_observed_mut`](Self::own_observed_mut), but not mutable.
    pub(super) fn own_observed(&self, place: KeyPlace) -> Option<&ObservedLimits> {
        self.groups[place.group].own_observed.as_ref()
    }

    /// Like [`observed`](Self::observed), but mutable.
    #[inline(always)]
    pub(super) fn observed_mut<'a>(
        &'a mut self,
        place: KeyPlace,
        table: &'a mut KeyTable,
    ) -> &'a mut ObservedLimits {
        let group = &mut self.groups[place.group];
        match &mut group.own_observed {
            Some(observed) => observed,
            None => &mut table.groups[group.id.index()].observed,
        }
    }

    /// Returns the limits that were observed for a group (an index) for the model of the target. `None` if all
    /// models of an account share one limit.
    pub(super) fn own_observed_mut(&mut self, group: usize) -> Option<&mut ObservedLimits> {
        self.groups[group].own_observed.as_mut()
    }

    /// Forgets what was observed for this model about a group, and the model denial of the key `id`.
    pub(super) fn reset(&mut self, group: usize, id: KeyId) {
        self.groups[group].reset(id);
    }

    /// Returns what keeps a key from being used for `demand`.
    pub(super) fn obstacle(
        &self,
        place: KeyPlace,
        demand: Demand,
        table: &KeyTable,
        now: Timestamp,
    ) -> Option<Obstacle> {
        let group = &self.groups[place.group];
        let of_key = group.keys[place.key].obstacle(demand, table, now);
        Obstacle::both(of_key, group.obstacle(demand, table, now))
    }

    /// Returns whether a key can be used under the constraint, as far as denials and observed limits are concerned.
    pub(super) fn suits(
        &self,
        constraint: KeyConstraint,
        id: KeyId,
        table: &KeyTable,
        now: Timestamp,
    ) -> bool {
        let place = self.place_of(id, table);
        place.is_some_and(|KeyPlace { group, key }| {
            let group = &self.groups[group];
            table.allows(constraint, id)
                && !group.bars(&group.keys[key], table, now)
                && (constraint != KeyConstraint::Healthy || group.is_tested(key, table, now))
        })
    }

    /// Returns whether denials or observed limits keep some keys from being used.
    pub(super) fn bars_any(&self) -> bool {
        self.barred > 0
    }

    #[inline(always)]
    pub(super) fn id_of(&self, place: KeyPlace) -> KeyId {
        self.groups[place.group].keys[place.key].id
    }

    /// Recomputes the readiness of a quota group and of one of its keys, if the target uses that key.
    #[inline(always)]
    pub(super) fn update_key(&mut self, group: usize, id: KeyId, table: &KeyTable, now: Timestamp) {
        match self.groups[group].position(id) {
            Some(key) => self.update(KeyPlace { group, key }, table, now),
            None => self.update_group(group, table, now),
        }
    }

    /// Recomputes the readiness of one key and its group. Must be called after a change of the key's load, limits
    /// or health, or of those of its group.
    #[inline(always)]
    pub(super) fn update(&mut self, place: KeyPlace, table: &KeyTable, now: Timestamp) {
        let group = &mut self.groups[place.group];
        if let Some(index) = &mut group.index {
            let key = &group.keys[place.key];
            index.set(place.key, key.readiness(table, now));
        }
        self.update_group(place.group, table, now);
    }

    #[inline(always)]
    fn update_group(&mut self, at: usize, table: &KeyTable, now: Timestamp) {
        let group = &mut self.groups[at];
        let was_barred = group.is_barred;
        let readiness = group.readiness(table, now);
        self.barred = self.barred + usize::from(group.is_barred) - usize::from(was_barred);
        self.ready.set(at, readiness);
    }

    /// Recomputes the readiness of all groups whose time to do so has come.
    #[inline(always)]
    pub(super) fn update_due(&mut self, table: &KeyTable, now: Timestamp) {
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
        if !self.short.is_empty() {
            self.take_back(demand.tokens, table, now);
        }
        loop {
            let place = self.first_ready(constraint, &is_kept, table, now)?;
            // Every key that counts as usable can be used for one request without tokens.
            if demand == Demand::ONE {
                return Some(place);
            }
            match self.obstacle(place, demand, table, now) {
                None => return Some(place),
                Some(_) if demand.tokens == 0 => return None,
                Some(_) => self.set_aside(place, demand, table, now),
            }
        }
    }

    #[inline(always)]
    fn first_ready(
        &self,
        constraint: KeyConstraint,
        is_kept: impl Fn(&Self, KeyId) -> bool,
        table: &KeyTable,
        now: Timestamp,
    ) -> Option<KeyPlace> {
        let needs_test = constraint == KeyConstraint::Healthy;
        let first_of = |group: usize| {
            let group = &self.groups[group];
            group.first_that(|key| {
                !is_kept(self, group.keys[key].id) && (!needs_test || group.is_tested(key, table, now))
            })
        };
        let group = match constraint {
            KeyConstraint::Any | KeyConstraint::Healthy => {
                self.ready.first_that(|group| first_of(group).is_some())?
            }
            KeyConstraint::Group(id) => self.index_of(id).filter(|group| self.ready.is_usable(*group))?,
            KeyConstraint::Key(id) => {
                let place = self.place_of(id, table)?;
                let group = &self.groups[place.group];
                let is_usable = self.ready.is_usable(place.group) && group.is_usable(place.key);
                return Some(place).filter(|_| is_usable && !is_kept(self, id));
            }
        };
        Some(KeyPlace {
            group,
            key: first_of(group)?,
        })
    }

    /// Sets aside a key or group that has too few tokens left for `demand`.
    fn set_aside(&mut self, place: KeyPlace, demand: Demand, table: &KeyTable, now: Timestamp) {
        let group = &mut self.groups[place.group];
        let by_group = group.obstacle(demand, table, now).is_some();
        let (known, key) = if by_group {
            (&mut group.short_of, None)
        } else {
            (&mut group.keys[place.key].short_of, Some(place.key))
        };
        let before = std::mem::replace(known, demand.tokens);
        self.short.remove(&(before, place.group, key));
        self.short.insert((demand.tokens, place.group, key));
        self.update(place, table, now);
    }

    /// Takes back the keys and groups that were set aside for a larger demand than `tokens`.
    pub(super) fn take_back(&mut self, tokens: u32, table: &KeyTable, now: Timestamp) {
        while let Some(&(short_of, group, key)) =
            self.short.last().filter(|(short_of, ..)| *short_of > tokens)
        {
            self.short.remove(&(short_of, group, key));
            match key {
                Some(key) => self.groups[group].keys[key].short_of = 0,
                None => self.groups[group].short_of = 0,
            }
            let key = key.unwrap_or_default();
            self.update(KeyPlace { group, key }, table, now);
        }
    }

    /// Returns whether the keys that satisfy the constraint can be used for `demand`. `None` if there are none.
    ///
    /// Where several keys satisfy the constraint, `recheck_at` can be earlier than the time at which one of them
    /// has enough tokens.
    pub(super) fn readiness(
        &mut self,
        demand: Demand,
        constraint: KeyConstraint,
        table: &KeyTable,
        now: Timestamp,
    ) -> Option<Readiness> {
        self.update_due(table, now);
        Some(match constraint {
            KeyConstraint::Any | KeyConstraint::Healthy => self.ready.readiness(),
            KeyConstraint::Group(id) => {
                let index = self.index_of(id)?;
                self.groups[index].readiness_for(demand, table, now).0
            }
            KeyConstraint::Key(id) => {
                let place = self.place_of(id, table)?;
                let group = &self.groups[place.group];
                let of_key = group.keys[place.key].readiness_for(demand, table, now);
                let is_lost = table.groups[group.id.index()].subject.health.is_cooling_down(now);
                of_key.behind(group.obstacle(demand, table, now), is_lost)
            }
        })
    }

    /// Returns the key, among those that satisfy the constraint, that becomes usable first.
    pub(super) fn next_key(&mut self, constraint: KeyConstraint, table: &KeyTable) -> Option<KeyPlace> {
        let group = match constraint {
            KeyConstraint::Any | KeyConstraint::Healthy => {
                self.ready.next_recheck().map_or(0, |(_, group)| group)
            }
            KeyConstraint::Group(id) => self.index_of(id)?,
            KeyConstraint::Key(id) => return self.place_of(id, table),
        };
        let index = self.groups[group].index.as_mut();
        let key = index
            .and_then(|index| index.next_recheck())
            .map_or(0, |(_, key)| key);
        Some(KeyPlace { group, key })
    }

    /// Returns a lower bound on the time that all keys of the set together need to admit `requests` requests.
    /// Zero if any key has no rate limit.
    pub(super) fn least_time(&self, requests: u64) -> Duration {
        let rate = self.combined_rate;
        let rate = rate.filter(|rate| requests as f64 > rate.capacity);
        rate.map_or(Duration::ZERO, |rate| {
            Duration::try_from_secs_f64((requests as f64 - rate.capacity) / rate.per_second * 0.999_999)
                .unwrap_or_default()
        })
    }
}

impl CombinedRate {
    fn with(self, key: &KeyRecord) -> Option<Self> {
        let rates = key.subject.limit_set.limits().rate_limits();
        let slowest = rates.reduce(|a, b| if b.per_second() < a.per_second() { b } else { a })?;
        Some(Self {
            capacity: self.capacity + f64::from(slowest.capacity()),
            per_second: self.per_second + slowest.per_second(),
        })
    }
}
