//! A quota group of a key set: those of its keys that the target may use, and what is known of them for the
//! model of the target.

use super::super::demand::Demand;
use super::super::health::Health;
use super::super::key::KeyId;
use super::super::key_constraint::KeyConstraint;
use super::super::key_table::KeyTable;
use super::super::limit_scope::LimitScope;
use super::super::observed_limits::ObservedLimits;
use super::super::obstacle::Obstacle;
use super::super::quota_group::QuotaGroupId;
use super::super::ready_index::{Readiness, ReadyIndex};
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub(in super::super) struct SetGroup {
    pub(super) id: QuotaGroupId,
    /// The keys of the group that the target may use, in ascending order.
    pub(super) keys: Vec<SetKey>,
    /// The keys by load. `None` if there is only one key, as in most groups.
    index: Option<Box<ReadyIndex>>,
    /// The limits that were observed for the model of the target. `None` if all models of the account share one
    /// limit.
    pub(in super::super) own_observed: Option<ObservedLimits>,
    /// The demand for which the group is examined: that for which it or one of its keys was set aside last, or
    /// [`Demand::ONE`].
    pub(super) short_of: Demand,
}

/// A key that a target may use.
#[derive(Clone, Debug)]
pub(in super::super) struct SetKey {
    pub(in super::super) id: KeyId,
    /// Not healthy if the provider accepts the key, but not for the model of the target. Such a key is not used
    /// for the target, except for an occasional probe.
    pub(in super::super) denial: Health,
    /// The demand for which the key is examined: that for which it or its group was set aside last, or
    /// [`Demand::ONE`].
    pub(super) short_of: Demand,
}

impl SetGroup {
    /// `keys`: keys of one group, in ascending order.
    pub(super) fn new(keys: &[(QuotaGroupId, KeyId)], scope: LimitScope, table: &KeyTable) -> Self {
        let id = keys[0].0;
        let learns = table.groups[id.index()].observed.enabled;
        let new_key = |&(_, id): &(_, KeyId)| SetKey {
            id,
            denial: Health::default(),
            short_of: Demand::ONE,
        };
        Self {
            id,
            keys: keys.iter().map(new_key).collect(),
            index: (keys.len() > 1).then(|| Box::new(ReadyIndex::new(keys.len()))),
            own_observed: (scope == LimitScope::Model).then(|| ObservedLimits::new(learns)),
            short_of: Demand::ONE,
        }
    }

    #[inline(always)]
    pub(super) fn position(&self, id: KeyId) -> Option<usize> {
        self.keys.binary_search_by_key(&id, |key| key.id).ok()
    }

    #[inline(always)]
    pub(super) fn observed<'a>(&'a self, table: &'a KeyTable) -> &'a ObservedLimits {
        let of_account = &table.groups[self.id.index()].observed;
        self.own_observed.as_ref().unwrap_or(of_account)
    }

    /// Returns the least loaded usable key that satisfies `fits`, if the group is usable. `only`: the key to
    /// which the search is restricted, if it is.
    #[inline(always)]
    pub(super) fn first_that(&self, only: Option<usize>, fits: impl Fn(usize) -> bool) -> Option<usize> {
        match &self.index {
            None => Some(0).filter(|key| fits(*key)),
            Some(index) => index.first_that(only, fits),
        }
    }

    /// Returns the key that is expected to become usable first or, if none is, the one whose readiness may change
    /// next.
    pub(super) fn next_item(&self) -> usize {
        let next = self.index.as_ref().and_then(|index| index.next_item());
        next.unwrap_or_default()
    }

    /// Recomputes the readiness of a key.
    #[inline(always)]
    pub(super) fn update(&mut self, key: usize, table: &KeyTable, now: Timestamp) {
        if let Some(index) = &mut self.index {
            let SetKey { short_of, .. } = self.keys[key];
            index.set(key, self.keys[key].readiness(short_of, table, now));
        }
    }

    /// Returns whether the keys of the group can be used, for `demand` as far as the limits of the group are
    /// concerned.
    #[inline(always)]
    pub(super) fn readiness(&mut self, demand: Demand, table: &KeyTable, now: Timestamp) -> Readiness {
        while let Some(key) = self.index.as_mut().and_then(|index| index.pop_due(now)) {
            self.update(key, table, now);
        }
        let of_keys = match &self.index {
            None => self.keys[0].readiness(self.keys[0].short_of, table, now),
            Some(index) => index.readiness(),
        };
        Readiness {
            is_barred: of_keys.is_barred || self.observed(table).obstacle(now).is_some(),
            ..of_keys.behind(self.obstacle(demand, table, now))
        }
    }

    /// Returns what keeps all keys of the group from being used for `demand`.
    #[inline(always)]
    pub(super) fn obstacle(&self, demand: Demand, table: &KeyTable, now: Timestamp) -> Option<Obstacle> {
        let of_account = table.groups[self.id.index()].subject.obstacle(demand, now);
        Obstacle::both(of_account, self.observed(table).obstacle(now))
    }

    /// Returns whether a denial or an observed limit keeps a key from being used. Other targets may still use it,
    /// because each model may have observed limits of its own.
    pub(super) fn bars(&self, key: usize, table: &KeyTable, now: Timestamp) -> bool {
        self.keys[key].denial.obstacle(now).is_some() || self.observed(table).obstacle(now).is_some()
    }

    /// Returns whether a key that is usable can be used by a request with this constraint: a request for a healthy
    /// key needs one that was used successfully since it, its account or this model was last refused.
    #[inline(always)]
    pub(super) fn is_tested_for(
        &self,
        constraint: KeyConstraint,
        key: usize,
        table: &KeyTable,
        now: Timestamp,
    ) -> bool {
        let SetKey { id, denial, .. } = &self.keys[key];
        let of_account = &table.groups[self.id.index()].subject.health;
        constraint != KeyConstraint::Healthy
            || [denial, &table.keys[id.index()].subject.health, of_account]
                .into_iter()
                .all(Health::is_healthy)
                && !self.observed(table).is_refused(now)
    }

    /// Forgets what was observed for this model, and the denial of the key `id`.
    pub(in super::super) fn reset(&mut self, id: KeyId) {
        self.own_observed.iter_mut().for_each(ObservedLimits::reset);
        if let Some(key) = self.position(id) {
            self.keys[key].denial.reset();
        }
    }
}

impl SetKey {
    /// Returns whether the key can be used for `demand`, apart from its group.
    #[inline(always)]
    pub(super) fn readiness(&self, demand: Demand, table: &KeyTable, now: Timestamp) -> Readiness {
        let usable = Readiness {
            load: Some(table.keys[self.id.index()].load()),
            wait: Obstacle::until(Timestamp::MAX),
            is_barred: !self.denial.is_healthy(),
        };
        usable.behind(self.obstacle(demand, table, now))
    }

    /// Returns what keeps the key from being used for `demand`, apart from its group.
    #[inline(always)]
    pub(super) fn obstacle(&self, demand: Demand, table: &KeyTable, now: Timestamp) -> Option<Obstacle> {
        let of_key = table.keys[self.id.index()].obstacle(demand, now);
        Obstacle::both(of_key, self.denial.obstacle(now))
    }
}
