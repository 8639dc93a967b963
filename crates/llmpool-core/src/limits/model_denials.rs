//! Keys that the provider rejects for one model, though they are valid.
//!
//! Invariant: only the response to an attempt that began after a denial changes that denial, and only the end of such an attempt ends
//! a probe.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cooldown::CooldownReason;
use super::health::{Health, HealthState};
use super::key::KeyId;
use crate::time::Timestamp;

/// The keys that one target may not use, or is probing.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelDenials {
    keys: BTreeMap<KeyId, Health>,
}

impl ModelDenials {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns whether a key must not be used now.
    pub(super) fn denies(&self, id: KeyId, now: Timestamp) -> bool {
        self.keys.get(&id).is_some_and(|health| {
            health.is_probed() || health.cooldown_until().is_some_and(|until| until > now)
        })
    }

    /// Returns the end of a key's denial; `None` if it is not denied, or is being probed.
    pub(super) fn until(&self, id: KeyId) -> Option<Timestamp> {
        self.keys.get(&id)?.cooldown_until()
    }

    pub(super) fn state(&self, id: KeyId) -> Option<HealthState> {
        self.keys.get(&id).map(Health::state)
    }

    /// Records the start of an attempt and returns the epoch of the denial; the attempt is a probe if its key is denied.
    pub(super) fn begin_attempt(&mut self, id: KeyId, now: Timestamp) -> Option<u32> {
        let health = self.keys.get_mut(&id)?;
        health.begin_attempt(false, now);
        Some(health.epoch())
    }

    pub(super) fn end_attempt(&mut self, id: KeyId, epoch: Option<u32>) {
        if let (Some(health), Some(epoch)) = (self.keys.get_mut(&id), epoch) {
            health.end_attempt(epoch);
        }
    }

    /// Records the success of an attempt and returns whether it lifts a denial.
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

    /// Removes the denial of a key.
    pub(super) fn remove(&mut self, id: KeyId) {
        self.keys.remove(&id);
    }
}
