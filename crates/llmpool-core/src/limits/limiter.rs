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
mod queries;

use std::time::Duration;

use super::cooldown::{CooldownReason, RefusalWait};
use super::demand::Demand;
use super::denial::Denial;
use super::grant::{Grant, KeyReservation};
use super::health::HealthState;
use super::key::{KeyId, KeyLimits};
use super::key_constraint::KeyConstraint;
use super::key_sets::KeySets;
use super::key_table::{KeyTable, ProvisionalCooldown};
use super::limit_set::{Charge, LimitSet};
use super::limits::Limits;
use super::quota_group::QuotaGroupId;
use super::target::{TargetId, TargetLimits, TargetState};
use crate::time::Timestamp;

/// All limits of one provider. Reads no clock: the caller passes `now`.
#[derive(Clone, Debug, Default)]
pub struct Limiter {
    key_table: KeyTable,
    key_sets: KeySets,
    targets: Vec<TargetState>,
    /// Sequence number of the most recent change of a token bucket, such as a charge.
    seq: u64,
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
        self.key_table.add_group(limits, learn)
    }

    /// Adds a key with these limits, which belongs to no quota group. To let a target use the key, pass the
    /// key to [`add_target`](Self::add_target).
    pub fn add_key(&mut self, limits: KeyLimits) -> KeyId {
        self.key_sets.add_key(None);
        self.key_table.add(limits, None)
    }

    /// Adds a key with these limits to a quota group, whose limits apply in addition. The group, not the key,
    /// decides whether to observe limits: [`KeyLimits::learn`] has no effect.
    pub fn add_key_to_group(&mut self, group: QuotaGroupId, limits: KeyLimits) -> KeyId {
        let peer = self.key_table.members(group).first().copied();
        self.key_sets.add_key(peer);
        self.key_table.add(limits, Some(group))
    }

    /// Adds a target that may use `keys`. If `keys` is empty, only the limits of the target apply.
    pub fn add_target(
        &mut self,
        keys: &[KeyId],
        limits: impl Into<TargetLimits>,
        now: Timestamp,
    ) -> TargetId {
        let key_set = if keys.is_empty() {
            None
        } else {
            Some(self.key_sets.get_or_insert(keys, &self.key_table, now))
        };
        self.targets.push(TargetState::new(limits.into(), key_set));
        TargetId((self.targets.len() - 1) as u32)
    }

    /// Replaces the limits of a target. Earlier charges to a limit still count after the limit has been
    /// changed.
    pub fn set_target_limits(&mut self, target: TargetId, limits: impl Into<TargetLimits>, now: Timestamp) {
        let TargetLimits { limits, breaker } = limits.into();
        let seq = self.next_seq();
        let target = &mut self.targets[target.index()];
        target.limit_set.set_limits(limits, seq, now);
        target.breaker = breaker;
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
        let state = &self.targets[target.index()];
        if let Some(denial) = state.denies(demand, now) {
            return Err(denial);
        }
        if state.key_set.is_none() && constraint == KeyConstraint::Any {
            return Ok(self.reserve(target, None, demand, now));
        }
        match self.find_key(target, demand, constraint, now) {
            Some(id) => Ok(self.reserve(target, Some(id), demand, now)),
            None => Err(self.no_key(target, demand, constraint, now)),
        }
    }

    /// Returns the least loaded key that an attempt may use, or `None` if no key is usable. Reserves nothing.
    #[inline(always)]
    fn find_key(
        &mut self,
        target: TargetId,
        demand: Demand,
        constraint: KeyConstraint,
        now: Timestamp,
    ) -> Option<KeyId> {
        let TargetState { denials, key_set, .. } = &self.targets[target.index()];
        let key_table = &self.key_table;
        let key_set = &mut self.key_sets.sets[(*key_set)?];
        key_set.least_loaded_that(key_table, now, |id| {
            // The key set offers every key that is usable for a demand of one request, so a larger demand is
            // checked here.
            key_table.allows(constraint, id)
                && !denials.denies(id, now)
                && (demand == Demand::ONE || key_table.available_at(id, demand, now).is_none())
        })
    }

    #[inline(always)]
    fn reserve(&mut self, target: TargetId, key: Option<KeyId>, demand: Demand, now: Timestamp) -> Grant {
        let seq = self.next_seq();
        let state = &mut self.targets[target.index()];
        let ends_cooldown = if state.limit_set.is_paced() {
            state.health.begin_paced_attempt(now)
        } else {
            state.health.begin_attempt(now)
        };
        if ends_cooldown {
            state.limit_set.resume(seq, now);
        }
        let mut grant = Grant {
            target,
            key,
            sent_at: now,
            epoch: state.health.epoch(),
            demand,
            unsettled: demand.tokens > 0,
            seq,
            charge: state.limit_set.charge(demand, seq, now),
            reservation: KeyReservation::default(),
            denial_epoch: None,
        };
        if let Some(id) = key {
            grant.denial_epoch = state.denials.begin_attempt(id, now);
            grant.reservation = self.key_table.reserve(id, demand, seq, now);
            self.key_sets.update(id, &self.key_table, now);
        }
        grant
    }

    /// Ends the attempt of a grant and frees its slots. A released grant may be passed to
    /// [`settle`](Self::settle), but to no other method.
    ///
    /// `used`: whether the request was handed to a connection. If not, the demand of the grant is refunded.
    ///
    /// Returns whether the target's own limits may now admit more requests. The limits of the key do not
    /// affect the result.
    #[inline(always)]
    pub fn release(&mut self, grant: &mut Grant, used: bool, now: Timestamp) -> bool {
        self.close(grant);
        if !used {
            let charges = self.charges(grant);
            charges.for_each(|(limit_set, charge)| {
                limit_set.refund(charge, grant.demand, grant.seq, grant.sent_at);
            });
        }
        let target = &mut self.targets[grant.target.index()];
        let was_probe = matches!(target.health.state(), HealthState::Probing { .. });
        let was_full = !target.limit_set.has_slot();
        target.limit_set.in_flight -= 1;
        target.health.end_attempt(grant.epoch);
        if let Some(id) = grant.key() {
            target.denials.end_attempt(id, grant.denial_epoch);
            self.key_table.release(id, &grant.reservation);
            self.key_sets.update(id, &self.key_table, now);
        }
        // Reported as room, because a request that waits for estimated tokens to be returned must learn that
        // these tokens are now final.
        let had_tokens = grant.demand.tokens > 0;
        if !used {
            grant.demand.tokens = 0;
        }
        !used || was_full || was_probe || had_tokens
    }

    /// Replaces the estimated number of tokens of a grant by `tokens`, the actual number. Returns whether the
    /// correction makes tokens available.
    #[inline(always)]
    pub fn settle(&mut self, grant: &mut Grant, tokens: u32, now: Timestamp) -> bool {
        self.close(grant);
        let before = std::mem::replace(&mut grant.demand.tokens, tokens);
        let mut made_room = false;
        for (limit_set, charge) in self.charges(grant) {
            made_room |= limit_set.settle(charge, before, tokens);
        }
        if let Some(id) = grant.key().filter(|_| made_room) {
            self.key_sets.update(id, &self.key_table, now);
        }
        made_room
    }

    /// Marks the tokens that were charged for a grant as final. From then on, no waiting request expects some
    /// of them to be returned.
    #[inline(always)]
    fn close(&mut self, grant: &mut Grant) {
        if std::mem::take(&mut grant.unsettled) {
            let charges = self.charges(grant);
            charges.for_each(|(limit_set, charge)| limit_set.close(charge, grant.demand.tokens));
        }
    }

    /// Returns the limit sets to which a grant was charged, each with its charge: those of the target, the
    /// key and the quota group.
    #[inline(always)]
    fn charges(&mut self, grant: &Grant) -> impl Iterator<Item = (&mut LimitSet, Charge)> {
        let target = &mut self.targets[grant.target.index()].limit_set;
        let key_table = &mut self.key_table;
        let keys = grant
            .key()
            .map(move |id| key_table.charged(id, &grant.reservation));
        std::iter::once((target, grant.charge)).chain(keys.into_iter().flatten().flatten())
    }

    /// Records that an attempt succeeded, which shows that its key and target are healthy. Returns whether
    /// the health of the key, of its quota group or of the target changed.
    #[inline(always)]
    pub fn record_success(&mut self, grant: &Grant, now: Timestamp) -> bool {
        let target = &mut self.targets[grant.target.index()];
        target.failures = 0;
        target.retry_budget.record_success();
        let mut changed = target.health.record_success(grant.epoch);
        if let Some(id) = grant.key() {
            changed |= target.denials.record_success(id, grant.denial_epoch);
            let observed = &mut self.key_table.shared_limits_mut(id).observed;
            if observed.record_success(grant.sent_at, now)
                | self.key_table.record_success(id, &grant.reservation)
            {
                changed = true;
                self.key_sets.update(id, &self.key_table, now);
            }
        }
        changed
    }

    /// Records that the provider refused an attempt because of the attempt's key, and starts a cooldown of
    /// the key or its quota group. If the reason is [`CooldownReason::Forbidden`], starts no cooldown, bars
    /// the key only from the target of the attempt, and returns `None`.
    ///
    /// `wait`: what the refusal says about the time until requests are admitted again. If it says nothing, the
    /// cooldown lasts for a default time that doubles each time a test of the key is refused again. Returns
    /// the cooldown so that the caller can revert it, or `None` if the refusal started no cooldown.
    pub fn record_refusal(
        &mut self,
        grant: &Grant,
        reason: CooldownReason,
        wait: impl Into<RefusalWait>,
        now: Timestamp,
    ) -> Option<ProvisionalCooldown> {
        let wait = wait.into();
        let id = grant.key()?;
        if reason == CooldownReason::Forbidden {
            let denials = &mut self.targets[grant.target.index()].denials;
            denials.record_refusal(id, grant.denial_epoch, wait.named(), now);
            return None;
        }
        let cooldown = self.key_table.record_refusal(grant, id, reason, wait, now);
        if reason == CooldownReason::Throttled && !matches!(wait, RefusalWait::Provisional(_)) {
            let seq = self.next_seq();
            let charges = self.charges(grant);
            charges.for_each(|(limit_set, _)| limit_set.record_refusal(seq, now));
        }
        self.key_sets.update(id, &self.key_table, now);
        cooldown
    }

    /// Records a failure of an attempt that is blamed on the target rather than on the key.
    ///
    /// The target cools down for `duration`. If `duration` is `None`, the target cools down only if the
    /// failure opens the target's circuit breaker.
    pub fn record_target_failure(&mut self, grant: &Grant, duration: Option<Duration>, now: Timestamp) {
        if let Some(id) = grant.key() {
            let observed = &mut self.key_table.shared_limits_mut(id).observed;
            observed.record_failure(grant.sent_at, now);
        }
        let target = &mut self.targets[grant.target.index()];
        target.failures = target.failures.saturating_add(1);
        let broken = target.breaker.is_some_and(|limit| target.failures >= limit);
        let probed = matches!(target.health.state(), HealthState::Probing { .. });
        let (epoch, health) = (grant.epoch, &mut target.health);
        if duration.is_some() {
            health.record_refusal(epoch, CooldownReason::Overloaded, duration, now);
        } else if broken || (probed && target.breaker.is_some()) {
            health.record_refusal(epoch, CooldownReason::Broken, None, now);
        } else if probed {
            // Without a breaker, a failure without `duration` starts no cooldown.
            health.record_success(epoch);
        }
    }

    /// Reverts a cooldown, unless the health of the affected key or quota group has changed since the
    /// cooldown started, or another refusal has confirmed the cooldown.
    pub fn restore(&mut self, cooldown: ProvisionalCooldown, now: Timestamp) {
        self.key_table.restore(cooldown);
        self.key_sets.update(cooldown.key(), &self.key_table, now);
    }

    /// Enables or disables a key. Attempts in flight continue. Enabling a key also ends all cooldowns of the
    /// key and its quota group, including cooldowns for a single model.
    pub fn set_enabled(&mut self, key: KeyId, enabled: bool, now: Timestamp) {
        self.key_table.keys[key.index()].disabled = !enabled;
        if enabled {
            self.key_table.reset_health(key);
            for target in &mut self.targets {
                target.denials.remove(key);
            }
        }
        self.key_sets.update(key, &self.key_table, now);
    }

    /// Starts a cooldown of a key, or of its quota group if the reason applies to the whole group. Used for
    /// cooldowns that an earlier process saved, for example. Has no effect if a current cooldown ends at
    /// `until` or later.
    pub fn set_cooldown(&mut self, key: KeyId, reason: CooldownReason, until: Timestamp, now: Timestamp) {
        self.key_table.set_cooldown(key, reason, until, now);
        self.key_sets.update(key, &self.key_table, now);
    }

    /// Fills the token buckets of a target, clears its sliding windows, and ends its cooldown.
    pub fn reset(&mut self, target: TargetId) {
        let seq = self.next_seq();
        let target = &mut self.targets[target.index()];
        target.limit_set.reset(seq);
        target.health.reset();
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
