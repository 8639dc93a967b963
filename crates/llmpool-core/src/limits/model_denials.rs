//! Model denials: a provider may accept a key but refuse it one model. Such a key is not used for the target
//! of that model, except for an occasional probe, which tests whether the denial still holds.
//!
//! Every denial has an epoch, a number that distinguishes attempts that started before the denial from later
//! attempts.
//!
//! Invariant: an attempt that started before a denial can neither lift the denial nor end a probe of the
//! denial. The provider's refusal of such an attempt can extend the denial.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cooldown::CooldownReason;
use super::health::{Health, HealthState};
use super::key::KeyId;
use crate::time::Timestamp;

/// The keys to which the provider refuses the model of one target, including keys that are being probed.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelDenials {
    keys: BTreeMap<KeyId, Health>,
}

impl ModelDenials {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns whether the key must not be used for the target at `now`.
    pub(super) fn denies(&self, id: KeyId, now: Timestamp) -> bool {
        self.until(id, now).is_some()
    }

    /// Returns the time until which the key must not be used for the target: the end of its denial, or of the
    /// wait for the outcome of a probe. `None` if the key may be used at `now`.
    pub(super) fn until(&self, id: KeyId, now: Timestamp) -> Option<Timestamp> {
        self.keys.get(&id)?.blocked_until(now)
    }

    /// Returns whether the outcome of a probe is awaited.
    pub(super) fn is_probed(&self, id: KeyId, now: Timestamp) -> bool {
        let health = self.keys.get(&id);
        health.is_some_and(|health| health.probed_until(now).is_some())
    }

    pub(super) fn state(&self, id: KeyId) -> Option<HealthState> {
        self.keys.get(&id).map(Health::state)
    }

    /// Records the start of an attempt, which becomes a probe if its key is denied. Returns the epoch of the
    /// denial, or `None` if the key is not denied.
    pub(super) fn begin_attempt(&mut self, id: KeyId, now: Timestamp) -> Option<u32> {
        let health = self.keys.get_mut(&id)?;
        health.begin_attempt(now);
        Some(health.epoch())
    }

    pub(super) fn end_attempt(&mut self, id: KeyId, epoch: Option<u32>) {
        if let (Some(health), Some(epoch)) = (self.keys.get_mut(&id), epoch) {
            health.end_attempt(epoch);
        }
    }

    /// Records that an attempt succeeded. Returns whether the success lifts a denial of the attempt's key.
    pub(super) fn record_success(&mut self, id: KeyId, epoch: Option<u32>) -> bool {
        let lifts = self
            .keys
            .get(&id)
            .is_some_and(|health| Some(health.epoch()) == epoch);
        if lifts {
            self.remove(id);
        }
        lifts
    }

    pub(super) fn record_refusal(
        &mut self,
        id: KeyId,
        epoch: Option<u32>,
        duration: Option<Duration>,
        now: Timestamp,
    ) {
        let reason = CooldownReason::Forbidden;
        match (self.keys.get_mut(&id), epoch) {
            (Some(health), Some(epoch)) => health.record_refusal(epoch, reason, duration, now),
            (Some(health), None) => health.record_late_refusal(reason, duration, now),
            (None, _) => {
                let mut health = Health::default();
                let before = health.record_refusal(health.epoch(), reason, duration, now);
                self.keys.insert(id, health);
                before
            }
        };
    }

    pub(super) fn remove(&mut self, id: KeyId) {
        self.keys.remove(&id);
    }
}
