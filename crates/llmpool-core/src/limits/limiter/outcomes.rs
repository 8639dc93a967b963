//! What the outcomes of attempts show: changes of health, pauses, learned paces and model denials.

use std::time::Duration;

use super::super::cooldown::{CooldownReason, RefusalWait};
use super::super::grant::Grant;
use super::super::health::Health;
use super::super::key::KeyId;
use super::super::key_set::KeyPlace;
use super::super::observed_limits::{PROBE_TIME, SavedPace};
use super::super::target::TargetId;
use super::Limiter;
use crate::time::Timestamp;

/// Time in which a connection for a probe is expected to be open.
const MAX_CONNECT: Duration = Duration::from_secs(5);

/// A cooldown that can be reverted with [`Limiter::restore`]. Revert it if the refusal that started the cooldown
/// turns out to be the fault of the request rather than of the key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProvisionalCooldown {
    key: KeyId,
    before: StateBefore,
}

/// What a provisional cooldown replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
enum StateBefore {
    Health(CooldownReason, Health),
    Pace(TargetId, KeyPlace, SavedPace),
}

impl ProvisionalCooldown {
    /// Returns the key of the refused attempt. The cooldown applies to this key or to its quota group.
    pub fn key(&self) -> KeyId {
        self.key
    }
}

impl Limiter {
    /// Records how long the outcome of a probe is awaited. Without a refusal until then, the provider counts as
    /// admitting requests.
    ///
    /// `is_sent`: whether the request has been sent. If not, its connection may still have to be opened. A probe
    /// for which this method is not called counts as sent when it was granted.
    pub fn await_probe(&mut self, grant: &Grant, is_sent: bool, now: Timestamp) {
        let connecting = if is_sent { Duration::ZERO } else { MAX_CONNECT };
        let until = now + connecting + PROBE_TIME;
        if let (Some(set), Some(id)) = (&mut self.targets[grant.target.index()].key_set, grant.key) {
            let observed = set.observed_mut(grant.place, &mut self.key_table);
            if observed.await_probe(grant.charge.at, until) {
                self.update(id, now);
            }
        }
    }

    /// Records that an attempt succeeded, which shows that its key and target are healthy.
    #[inline(always)]
    pub fn record_success(&mut self, grant: &Grant, now: Timestamp) {
        let target = &mut self.targets[grant.target.index()];
        target.failures = 0;
        target.retry_budget.record_success();
        if let (Some(set), Some(id)) = (&mut target.key_set, grant.key) {
            let observed = set.observed_mut(grant.place, &mut self.key_table);
            if observed.record_success(grant.charge.at, now)
                | set.key_mut(grant.place).denial.record_success(grant.denial_epoch)
            {
                self.update(id, now);
            }
        }
        let subjects = self.subjects(grant).zip(grant.epochs);
        let healed = subjects.fold(false, |healed, (subject, epoch)| {
            healed | subject.health.record_success(epoch)
        });
        if healed {
            self.update_all(grant, now);
        }
    }

    /// Records that an attempt was refused with status 429 and no readable cause. `is_first`: whether the call has not
    /// failed before. Returns whether the key refuses other calls as well: an attempt of another call was refused like
    /// that, and no request has been admitted since. Call [`record_refusal`](Self::record_refusal) afterwards.
    pub fn refuses_other_calls(&mut self, grant: &Grant, is_first: bool, now: Timestamp) -> bool {
        let set = &mut self.targets[grant.target.index()].key_set;
        set.as_mut().is_some_and(|set| {
            let observed = set.observed_mut(grant.place, &mut self.key_table);
            observed.record_unclear(is_first, grant.charge.at, now)
        })
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
        let before = match reason {
            CooldownReason::Forbidden => {
                let set = self.targets[grant.target.index()].key_set.as_mut()?;
                let denial = &mut set.key_mut(grant.place).denial;
                denial.record_refusal(grant.denial_epoch, reason, wait.named(), now);
                None
            }
            CooldownReason::Throttled | CooldownReason::Unclear => {
                self.record_rate_refusal(grant, reason == CooldownReason::Throttled, wait, now)
            }
            _ => {
                let epoch = grant.epochs[if reason.is_of_group() { 2 } else { 1 }];
                let health = self.key_table.health_mut(id, reason);
                let before = health.record_refusal(epoch, reason, wait.named(), now);
                before.map(|before| StateBefore::Health(reason, before))
            }
        };
        self.update(id, now);
        before.map(|before| ProvisionalCooldown { key: id, before })
    }

    /// Records a refusal because of a rate limit. `is_certain`: whether a rate limit is certainly the reason.
    fn record_rate_refusal(
        &mut self,
        grant: &Grant,
        is_certain: bool,
        wait: RefusalWait,
        now: Timestamp,
    ) -> Option<StateBefore> {
        if is_certain && !wait.is_provisional() {
            let limit_sets = self.limit_sets(grant);
            limit_sets.for_each(|limits| limits.record_refusal(now));
        }
        let set = self.targets[grant.target.index()].key_set.as_mut()?;
        let observed = set.observed_mut(grant.place, &mut self.key_table);
        let before = observed.record_refusal(grant.charge.at, wait, is_certain, now)?;
        Some(StateBefore::Pace(grant.target, grant.place, before))
    }

    /// Records a failure of an attempt that is blamed on the target rather than on the key.
    ///
    /// The target cools down for `duration`. If `duration` is `None`, the target cools down only if the
    /// failure opens the target's circuit breaker.
    pub fn record_target_failure(&mut self, grant: &Grant, duration: Option<Duration>, now: Timestamp) {
        let mut failed_probe_of = None;
        let target = &mut self.targets[grant.target.index()];
        if let Some(set) = &mut target.key_set {
            let observed = set.observed_mut(grant.place, &mut self.key_table);
            failed_probe_of = grant
                .key
                .filter(|_| observed.record_failure(grant.charge.at, now));
        }
        target.failures = target.failures.saturating_add(1);
        let broken = target.breaker.is_some_and(|limit| target.failures >= limit);
        let (epoch, health) = (grant.epochs[0], &mut target.subject.health);
        let probed = health.is_probing();
        if duration.is_some() {
            health.record_refusal(epoch, CooldownReason::Overloaded, duration, now);
        } else if broken || (probed && target.breaker.is_some()) {
            health.record_refusal(epoch, CooldownReason::Broken, None, now);
        } else if probed {
            // Without a breaker, a failure without `duration` starts no cooldown.
            health.record_success(epoch);
        }
        self.changed.add_target(grant.target);
        if let Some(id) = failed_probe_of {
            self.update(id, now);
        }
    }

    /// Reverts a cooldown, unless the health of the affected key or quota group has changed since the
    /// cooldown started, or another refusal has confirmed the cooldown.
    pub fn restore(&mut self, cooldown: ProvisionalCooldown, now: Timestamp) {
        match cooldown.before {
            StateBefore::Health(reason, before) => {
                self.key_table.health_mut(cooldown.key, reason).restore(before);
            }
            StateBefore::Pace(target, place, before) => {
                if let Some(set) = &mut self.targets[target.index()].key_set {
                    set.observed_mut(place, &mut self.key_table).restore(before);
                }
            }
        }
        self.update(cooldown.key, now);
    }
}
