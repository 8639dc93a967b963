//! A quota group of a key set: those of its keys that the target may use, and what is known of them for the
//! model of the target.

use std::time::Duration;

use super::super::cooldown::CooldownReason;
use super::super::demand::Demand;
use super::super::health::Health;
use super::super::key::KeyId;
use super::super::key_table::KeyTable;
use super::super::limit_scope::LimitScope;
use super::super::observed_limits::ObservedLimits;
use super::super::obstacle::Obstacle;
use super::super::quota_group::{QuotaGroup, QuotaGroupId};
use super::super::ready_index::{Readiness, ReadyIndex};
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct SetGroup {
    pub(super) id: QuotaGroupId,
    /// The keys of the group that the target may use, in ascending order.
    pub(super) keys: Vec<SetKey>,
    /// The keys by load. `None` if there is only one key.
    pub(super) index: Option<Box<ReadyIndex>>,
    /// The limits that were observed for the model of the target. `None` if all models of the account share one
    /// limit.
    pub(super) own_observed: Option<ObservedLimits>,
    /// The number of tokens for which the group was set aside. 0 if it was not.
    pub(super) short_of: u32,
    /// Number of keys with a denial.
    denied: usize,
    /// Whether denials or observed limits keep some of the keys from being used.
    pub(super) is_barred: bool,
}

/// A key that a target may use.
#[derive(Clone, Debug)]
pub(super) struct SetKey {
    pub(super) id: KeyId,
    /// Set if the provider accepts the key, but not for the model of the target. Such a key is not used for the
    /// target, except for an occasional probe.
    pub(super) denial: Option<Box<Health>>,
    /// The number of tokens for which the key was set aside. 0 if it was not.
    pub(super) short_of: u32,
}

impl SetGroup {
    /// `keys`: keys of one group, in ascending order.
    pub(super) fn new(keys: &[(QuotaGroupId, KeyId)], scope: LimitScope, table: &KeyTable) -> Self {
        let id = keys[0].0;
        let learns = table.groups[id.index()].observed.enabled;
        Self {
            id,
            index: (keys.len() > 1).then(|| Box::new(ReadyIndex::new(keys.len()))),
            keys: keys.iter().map(|(_, id)| SetKey::new(*id)).collect(),
            own_observed: (scope == LimitScope::Model).then(|| ObservedLimits::new(learns)),
            short_of: 0,
            denied: 0,
            is_barred: false,
        }
    }

    #[inline(always)]
    pub(super) fn position(&self, id: KeyId) -> Option<usize> {
        if let [only] = &self.keys[..] {
            return Some(0).filter(|_| only.id == id);
        }
        self.keys.binary_search_by_key(&id, |key| key.id).ok()
    }

    #[inline(always)]
    pub(super) fn observed<'a>(&'a self, of_account: &'a QuotaGroup) -> &'a ObservedLimits {
        self.own_observed.as_ref().unwrap_or(&of_account.observed)
    }

    /// Returns the index of the least loaded usable key that satisfies `fits`.
    #[inline(always)]
    pub(super) fn first_that(&self, fits: impl Fn(usize) -> bool) -> Option<usize> {
        match &self.index {
            None => Some(0).filter(|_| fits(0)),
            Some(index) => index.first_that(fits),
        }
    }

    /// Returns whether a key is usable, if its group is.
    pub(super) fn is_usable(&self, key: usize) -> bool {
        self.index.as_ref().is_none_or(|index| index.is_usable(key))
    }

    /// Returns whether the keys of the group can be used.
    #[inline(always)]
    pub(super) fn readiness(&mut self, table: &KeyTable, now: Timestamp) -> Readiness {
        let (readiness, is_barred) = self.readiness_for(one_with(self.short_of), table, now);
        self.is_barred = is_barred;
        readiness
    }

    /// Returns whether the keys of the group can be used, for `demand` as far as the limits of the group are
    /// concerned, and whether denials or observed limits keep some of the keys from being used.
    #[inline(always)]
    pub(super) fn readiness_for(
        &mut self,
        demand: Demand,
        table: &KeyTable,
        now: Timestamp,
    ) -> (Readiness, bool) {
        let of_keys = match &mut self.index {
            None => self.keys[0].readiness(table, now),
            Some(index) => {
                while let Some(key) = index.pop_due(now) {
                    index.set(key, self.keys[key].readiness(table, now));
                }
                index.readiness()
            }
        };
        let of_account = &table.groups[self.id.index()];
        let observed = self.observed(of_account).obstacle(now);
        let is_barred = self.denied > 0 || observed.is_some();
        let is_lost = of_account.subject.health.is_cooling_down(now);
        let obstacle = Obstacle::both(of_account.subject.obstacle(demand, now), observed);
        (of_keys.behind(obstacle, is_lost), is_barred)
    }

    /// Returns whether a key was used successfully since it, its account or this model was last refused.
    pub(super) fn is_tested(&self, key: usize, table: &KeyTable, now: Timestamp) -> bool {
        let of_account = &table.groups[self.id.index()];
        let SetKey { id, denial, .. } = &self.keys[key];
        let healths = [&table.keys[id.index()].subject.health, &of_account.subject.health];
        denial.is_none()
            && healths.into_iter().all(Health::is_healthy)
            && !self.observed(of_account).is_refused(now)
    }

    /// Returns what keeps all keys of the group from being used for `demand`.
    pub(super) fn obstacle(&self, demand: Demand, table: &KeyTable, now: Timestamp) -> Option<Obstacle> {
        let of_account = &table.groups[self.id.index()];
        let observed = self.observed(of_account).obstacle(now);
        Obstacle::both(of_account.subject.obstacle(demand, now), observed)
    }

    /// Returns whether a denial or an observed limit keeps a key from being used. Other targets may still use it,
    /// because each model may have observed limits of its own.
    pub(super) fn bars(&self, key: &SetKey, table: &KeyTable, now: Timestamp) -> bool {
        self.observed(&table.groups[self.id.index()])
            .obstacle(now)
            .is_some()
            || key.denial_obstacle(now).is_some()
    }

    /// Records that an attempt succeeded that started in `epoch` of the key's denial. Returns whether the success
    /// lifts the denial.
    #[inline(always)]
    pub(super) fn record_success(&mut self, key: usize, epoch: Option<u32>) -> bool {
        let denial = self.keys[key].denial.as_ref();
        let lifts = denial.is_some_and(|denial| Some(denial.epoch()) == epoch);
        if lifts {
            self.keys[key].denial = None;
            self.denied -= 1;
        }
        lifts
    }

    /// Records that the provider refused the model to a key, in an attempt that started in `epoch` of the key's
    /// denial.
    pub(super) fn deny(
        &mut self,
        key: usize,
        epoch: Option<u32>,
        duration: Option<Duration>,
        now: Timestamp,
    ) {
        let reason = CooldownReason::Forbidden;
        let denial = &mut self.keys[key].denial;
        self.denied += usize::from(denial.is_none());
        let epoch = if denial.is_some() { epoch } else { Some(0) };
        let denial = denial.get_or_insert_default();
        denial.record_refusal(epoch.unwrap_or(u32::MAX), reason, duration, now);
    }

    /// Starts a denial of a key that lasts until `until` at least.
    pub(super) fn deny_until(&mut self, key: usize, until: Timestamp) {
        let denial = &mut self.keys[key].denial;
        self.denied += usize::from(denial.is_none());
        let denial = denial.get_or_insert_default();
        denial.cool_down_until(CooldownReason::Forbidden, until);
    }

    /// Forgets what was observed for this model, and the denial of the key `id`.
    pub(super) fn reset(&mut self, id: KeyId) {
        self.own_observed.iter_mut().for_each(ObservedLimits::reset);
        if let Some(key) = self.position(id) {
            self.denied -= usize::from(self.keys[key].denial.take().is_some());
        }
    }
}

impl SetKey {
    fn new(id: KeyId) -> Self {
        Self {
            id,
            denial: None,
            short_of: 0,
        }
    }

    #[inline(always)]
    pub(super) fn readiness(&self, table: &KeyTable, now: Timestamp) -> Readiness {
        self.readiness_for(one_with(self.short_of), table, now)
    }

    #[inline(always)]
    pub(super) fn readiness_for(&self, demand: Demand, table: &KeyTable, now: Timestamp) -> Readiness {
        let record = &table.keys[self.id.index()];
        let obstacle = Obstacle::both(record.obstacle(demand, now), self.denial_obstacle(now));
        let is_denied = |denial: &Health| denial.is_cooling_down(now);
        let is_lost =
            obstacle.is_some() && (record.is_lost(now) || self.denial.as_deref().is_some_and(is_denied));
        Readiness::of_key(record.load()).behind(obstacle, is_lost)
    }

    /// Returns what keeps the key from being used for `demand`, apart from its group.
    pub(super) fn obstacle(&self, demand: Demand, table: &KeyTable, now: Timestamp) -> Option<Obstacle> {
        let of_key = table.keys[self.id.index()].obstacle(demand, now);
        Obstacle::both(of_key, self.denial_obstacle(now))
    }

    /// Records the start of an attempt, which becomes a probe if the key is denied. Returns the epoch of the
    /// denial. `None` if the key is not denied.
    ///
    /// Every denial has an epoch. An attempt that started before a denial can neither lift the denial nor end a
    /// probe of it.
    #[inline(always)]
    pub(super) fn begin_attempt(&mut self, now: Timestamp) -> Option<u32> {
        let denial = self.denial.as_mut()?;
        denial.begin_attempt(false, now);
        Some(denial.epoch())
    }

    #[inline(always)]
    pub(super) fn end_attempt(&mut self, epoch: Option<u32>) {
        if let (Some(denial), Some(epoch)) = (&mut self.denial, epoch) {
            denial.end_attempt(epoch);
        }
    }

    #[inline(always)]
    fn denial_obstacle(&self, now: Timestamp) -> Option<Obstacle> {
        self.denial.as_ref()?.obstacle(now)
    }
}

/// Returns the demand of one request with this number of tokens.
#[inline(always)]
fn one_with(tokens: u32) -> Demand {
    Demand { requests: 1, tokens }
}
