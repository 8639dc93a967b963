//! The limiter: all limits of one provider, checked and charged in one step.
//!
//! A key can be used by several targets. Its load counts the attempts of all these targets.
//! [`Limiter::acquire`] reserves either everything that the attempt needs, or nothing. A denial says what the
//! request waits for and when to retry, or that the request can never be granted.
//!
//! Invariants:
//! - The attempts in flight are exactly those whose grants have not been released.
//! - Releasing an unused grant leaves every configured limit as if the grant had never existed.

mod denials;
mod outcomes;
mod queries;
mod saving;
mod targets;
#[cfg(test)]
mod tests;

pub use self::outcomes::ProvisionalCooldown;
use super::changed::Changed;
use super::charge_id::ChargeId;
use super::cooldown::CooldownReason;
use super::demand::Demand;
use super::denial::Denial;
use super::grant::Grant;
use super::key::{KeyId, KeyLimits};
use super::key_constraint::KeyConstraint;
use super::key_set::{KeyPlace, KeySet};
use super::key_table::KeyTable;
use super::limit_set::LimitSet;
use super::limits::Limits;
use super::quota_group::QuotaGroupId;
use super::subject::Subject;
use super::target::{TargetId, TargetLimits, TargetState};
use crate::time::Timestamp;

/// All limits of one provider. Reads no clock: the caller passes `now`.
#[derive(Clone, Debug, Default)]
pub struct Limiter {
    key_table: KeyTable,
    targets: Vec<TargetState>,
    /// Targets that were removed. Their ids are given to new targets.
    removed: Vec<TargetId>,
    /// Sequence number of the most recent change of a token bucket, such as a charge.
    seq: u64,
    /// The changes after which [`Admission`](super::Admission) has not served the wait queues yet.
    pub(super) changed: Changed,
}

impl Limiter {
    /// Returns a limiter without keys or targets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a quota group without keys. The keys of the group share the limits `limits`, and the cooldowns
    /// that the provider's rate limits and quotas cause.
    ///
    /// `learn`: whether limits that the provider reveals by refusing requests apply to the group in
    /// addition to `limits`.
    pub fn add_group(&mut self, limits: Limits, learn: bool) -> QuotaGroupId {
        self.key_table.add_group(limits, learn, true)
    }

    /// Adds a key with these limits, which belongs to no declared quota group. To let a target use the key, pass
    /// the key to [`add_target`](Self::add_target).
    pub fn add_key(&mut self, limits: KeyLimits) -> KeyId {
        let group = self.key_table.add_group(Limits::default(), limits.learn, false);
        self.key_table.add(limits, group)
    }

    /// Adds a key with these limits to a quota group, whose limits apply in addition. The group, not the key,
    /// decides whether to observe limits: [`KeyLimits::learn`] has no effect.
    pub fn add_key_to_group(&mut self, group: QuotaGroupId, limits: KeyLimits) -> KeyId {
        self.key_table.add(limits, group)
    }

    /// Replaces the limits of a target. Earlier charges to a limit still count after the limit has been
    /// changed.
    pub fn set_target_limits(&mut self, id: TargetId, limits: impl Into<TargetLimits>, now: Timestamp) {
        let TargetLimits { limits, breaker, .. } = limits.into();
        let seq = self.next_seq();
        let target = &mut self.targets[id.index()];
        target.subject.limit_set.set_limits(limits, seq, now);
        target.breaker = breaker;
        self.changed.add_target(id);
    }

    /// Reserves everything that one attempt needs, including a concurrency slot of the least loaded usable
    /// key, and charges the demand to the limits. Reserves nothing if the request is denied.
    #[inline(always)]
    pub fn acquire(
        &mut self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Result<Grant, Denial> {
        self.acquire_behind(target, demand, constraint, &[], now)
    }

    /// Like [`acquire`](Self::acquire), but uses no key for which one of the older requests `older` waits.
    #[inline(always)]
    pub(super) fn acquire_behind(
        &mut self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
        older: &[(TargetId, KeyConstraint)],
        now: Timestamp,
    ) -> Result<Grant, Denial> {
        let state = &self.targets[target.index()];
        let place = match state.denial(demand, now) {
            Some(denial) => return Err(denial),
            None if state.key_set.is_none() && constraint == KeyConstraint::Any => None,
            None => match self.find_key(target, demand, constraint, older, now) {
                Some(place) => Some(place),
                None => return Err(self.no_key(target, demand, constraint, now)),
            },
        };
        Ok(self.reserve(target, place, demand, now))
    }

    /// Returns the least loaded key that an attempt may use, or `None` if no key is usable. Reserves nothing.
    #[inline(always)]
    fn find_key(
        &mut self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
        older: &[(TargetId, KeyConstraint)],
        now: Timestamp,
    ) -> Option<KeyPlace> {
        // Taken out, because the search reads the key sets of other targets too.
        let mut key_set = self.targets[target.index()].key_set.take()?;
        let is_kept = |own: &KeySet, id| {
            !older.is_empty() && older.iter().any(|older| self.waits_for(*older, id, own, now))
        };
        let place = key_set.find(demand, constraint, is_kept, &self.key_table, now);
        self.targets[target.index()].key_set = Some(key_set);
        place
    }

    /// Returns whether a request for a target could use the key if the key had room for it. `own`: the key set
    /// that was taken out of its target.
    fn waits_for(
        &self,
        (target, constraint): (TargetId, KeyConstraint),
        id: KeyId,
        own: &KeySet,
        now: Timestamp,
    ) -> bool {
        let key_set = self.targets[target.index()].key_set.as_deref();
        key_set.unwrap_or(own).suits(constraint, id, &self.key_table, now)
    }

    #[inline(always)]
    fn reserve(
        &mut self,
        target: TargetId,
        place: Option<KeyPlace>,
        demand: Demand,
        now: Timestamp,
    ) -> Grant {
        let seq = self.next_seq();
        let mut grant = Grant {
            target,
            key: None,
            place: place.unwrap_or_default(),
            is_probe: false,
            epochs: [0; 3],
            demand,
            unsettled: demand.tokens > 0,
            charge: ChargeId { seq, at: now },
            denial_epoch: 0,
        };
        if let (Some(set), Some(place)) = (&mut self.targets[target.index()].key_set, place) {
            let key = set.key_mut(place);
            let id = key.id;
            key.denial.begin_attempt(false, now);
            grant.key = Some(id);
            grant.denial_epoch = key.denial.epoch();
            grant.is_probe = set.observed_mut(place, &mut self.key_table).charge(now);
            self.key_table.keys[id.index()].last_used = seq;
        }
        let mut epochs = [0; 3];
        for (subject, epoch) in self.subjects(&grant).zip(&mut epochs) {
            *epoch = subject.begin_attempt(demand, grant.charge);
        }
        grant.epochs = epochs;
        if let Some(id) = grant.key {
            if grant.is_probe {
                // A request for a healthy key waits for the outcome of the probe.
                self.changed.add_key(id);
            }
            self.update_readiness(id, now);
        }
        grant
    }

    /// Must be called after a change of a key or its quota group that may concern waiting requests.
    #[inline(always)]
    fn update(&mut self, id: KeyId, now: Timestamp) {
        self.changed.add_key(id);
        self.update_readiness(id, now);
    }

    /// Must be called after a change of the target, key or quota group of a grant.
    fn update_all(&mut self, grant: &Grant, now: Timestamp) {
        self.changed.add_target(grant.target);
        if let Some(id) = grant.key {
            self.update(id, now);
        }
    }

    /// Recomputes whether a key and its quota group can be used, in the key sets of all targets that use the
    /// group.
    #[inline(always)]
    fn update_readiness(&mut self, id: KeyId, now: Timestamp) {
        for &(target, group) in &self.key_table.group_of(id).users {
            if let Some(set) = &mut self.targets[target.index()].key_set {
                set.update_key(group, id, &self.key_table, now);
            }
        }
    }

    /// Ends the attempt of a grant and frees its slots. A released grant may be passed to
    /// [`settle`](Self::settle), but to no other method.
    ///
    /// `used`: whether the request was handed to a connection. If not, the demand of the grant is refunded.
    #[inline(always)]
    pub fn release(&mut self, grant: &mut Grant, used: bool, now: Timestamp) {
        self.close(grant);
        if !used {
            self.refund(grant);
        }
        let target = &mut self.targets[grant.target.index()];
        let Subject { health, limit_set } = &target.subject;
        let was_held_up = health.is_probing() || !limit_set.has_slot();
        if let (Some(set), Some(_)) = (&mut target.key_set, grant.key) {
            set.key_mut(grant.place).denial.end_attempt(grant.denial_epoch);
        }
        for (subject, epoch) in self.subjects(grant).zip(grant.epochs) {
            subject.end_attempt(epoch);
        }
        if let Some(id) = grant.key {
            self.update(id, now);
        }
        // A request that waits for estimated tokens to be returned must learn that these tokens are now final.
        if !used || was_held_up || grant.demand.tokens > 0 {
            self.changed.add_target(grant.target);
        }
        if !used {
            grant.demand.tokens = 0;
        }
    }

    /// Records that an attempt succeeded, and releases its grant.
    #[inline(always)]
    pub fn complete(&mut self, grant: &mut Grant, now: Timestamp) {
        self.record_success(grant, now);
        self.release(grant, true, now);
    }

    fn refund(&mut self, grant: &Grant) {
        let limit_sets = self.limit_sets(grant);
        limit_sets.for_each(|limits| limits.refund(grant.charge, grant.demand));
        if let (Some(set), Some(_)) = (&mut self.targets[grant.target.index()].key_set, grant.key) {
            set.observed_mut(grant.place, &mut self.key_table)
                .refund(grant.charge.at);
        }
    }

    /// Replaces the estimated number of tokens of a grant by `tokens`, the actual number.
    ///
    /// Settle a grant before releasing it, in one [`change`](super::Admission::change) if possible: the oldest
    /// waiting request then receives the freed tokens and the freed slot together.
    #[inline(always)]
    pub fn settle(&mut self, grant: &mut Grant, tokens: u32, now: Timestamp) {
        self.close(grant);
        let before = std::mem::replace(&mut grant.demand.tokens, tokens);
        let mut made_room = false;
        for limits in self.limit_sets(grant) {
            made_room |= limits.settle(grant.charge, before, tokens);
        }
        if made_room {
            self.update_all(grant, now);
        }
    }

    /// Marks the tokens that were charged for a grant as final. From then on, no waiting request expects some
    /// of them to be returned.
    #[inline(always)]
    fn close(&mut self, grant: &mut Grant) {
        if std::mem::take(&mut grant.unsettled) {
            let limit_sets = self.limit_sets(grant);
            limit_sets.for_each(|limits| limits.close(grant.demand.tokens));
        }
    }

    /// Returns the target, the key and the quota group of a grant.
    #[inline(always)]
    fn subjects(&mut self, grant: &Grant) -> impl Iterator<Item = &mut Subject> {
        let target = &mut self.targets[grant.target.index()].subject;
        let key_table = &mut self.key_table;
        let keys = grant.key.map(move |id| key_table.subjects_mut(id).map(Some));
        let [key, group] = keys.unwrap_or_default();
        [Some(target), key, group].into_iter().flatten()
    }

    /// Returns the limit sets to which a grant was charged: those of the target, the key and the quota group.
    #[inline(always)]
    fn limit_sets(&mut self, grant: &Grant) -> impl Iterator<Item = &mut LimitSet> {
        self.subjects(grant).map(|subject| &mut subject.limit_set)
    }

    /// Enables or disables a key. Attempts in flight continue. Enabling a key also ends all cooldowns of the
    /// key and its quota group, including cooldowns for a single model.
    pub fn set_enabled(&mut self, key: KeyId, enabled: bool, now: Timestamp) {
        self.key_table.keys[key.index()].disabled = !enabled;
        if enabled {
            self.key_table.reset_health(key);
            for &(target, group) in &self.key_table.group_of(key).users {
                if let Some(set) = &mut self.targets[target.index()].key_set {
                    set.groups[group].reset(key);
                }
            }
        }
        self.update(key, now);
    }

    /// Starts a cooldown of a key, or of its quota group if the reason applies to the whole group. Used for
    /// cooldowns that an earlier process saved, for example. Has no effect if a current cooldown ends at
    /// `until` or later. A pause for a rate limit applies to each model with a limit of its own or, if there are
    /// none, to all models together.
    pub fn set_cooldown(&mut self, key: KeyId, reason: CooldownReason, until: Timestamp, now: Timestamp) {
        if let CooldownReason::Throttled | CooldownReason::Unclear = reason {
            let mut is_per_model = false;
            let account = self.key_table.group_of_mut(key);
            for &(target, group) in &account.users {
                let set = self.targets[target.index()].key_set.as_mut();
                if let Some(observed) = set.and_then(|set| set.groups[group].own_observed.as_mut()) {
                    observed.pause_until(until, now);
                    is_per_model = true;
                }
            }
            if !is_per_model {
                account.observed.pause_until(until, now);
            }
        } else {
            self.key_table.set_cooldown(key, reason, until);
        }
        self.update(key, now);
    }

    /// Fills the token buckets of a target, clears its sliding windows, and ends its cooldown.
    pub fn reset(&mut self, target: TargetId) {
        let seq = self.next_seq();
        self.changed.add_target(target);
        let target = &mut self.targets[target.index()];
        target.subject.limit_set.reset(seq);
        target.subject.health.reset();
        target.failures = 0;
    }

    /// Records a new call in the retry budget of its target. Each call adds a fraction of a retry to the
    /// budget.
    pub fn record_call(&mut self, target: TargetId, now: Timestamp) {
        self.targets[target.index()].retry_budget.record_call(now);
    }

    /// Spends one retry from the target's retry budget. Returns whether the budget had a retry left.
    pub fn try_spend_retry(&mut self, target: TargetId, now: Timestamp) -> bool {
        self.targets[target.index()].retry_budget.try_spend(now)
    }

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }
}
