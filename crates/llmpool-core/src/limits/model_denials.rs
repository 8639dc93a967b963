//! Keys that the provider refuses for one model, though they are valid.
//!
//! Always true: only the answer to an attempt that began after a refusal changes what that refusal said, and only its own end counts as
//! the end of a probe.

use std::time::Duration;

use super::health::{CooldownReason, Health, HealthState};
use super::key::KeyId;
use crate::time::Timestamp;

/// The keys that one target may not use, or is finding out about.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelDenials {
    keys: Vec<(KeyId, Health)>,
}

impl ModelDenials {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key may not be used now.
    pub(super) fn forbids(&self, id: KeyId, now: Timestamp) -> bool {
        self.of(id).is_some_and(|health| {
            health.is_probed() || health.cooldown_until().is_some_and(|until| until > now)
        })
    }

    /// Until when it is not used; `None` where it is not forbidden, or a probe decides.
    pub(super) fn until(&self, id: KeyId) -> Option<Timestamp> {
        self.of(id)?.cooldown_until()
    }

    pub(super) fn standing(&self, id: KeyId) -> Option<HealthState> {
        self.of(id).map(Health::standing)
    }

    /// An attempt begins; it is a probe if its key is forbidden. Answers by which number its answer is known.
    pub(super) fn reserve(&mut self, id: KeyId, now: Timestamp) -> Option<u32> {
        let health = self.of_mut(id)?;
        health.reserve(false, now);
        Some(health.epoch())
    }

    /// An attempt ends.
    pub(super) fn release(&mut self, id: KeyId, epoch: Option<u32>) {
        if let (Some(health), Some(epoch)) = (self.of_mut(id), epoch) {
            health.release(epoch);
        }
    }

    /// An attempt got through. Answers whether that changed anything.
    pub(super) fn succeeded(&mut self, id: KeyId, epoch: Option<u32>) -> bool {
        let is_news = self.of(id).is_some_and(|health| Some(health.epoch()) == epoch);
        if is_news {
            self.allow(id);
        }
        is_news
    }

    /// An attempt was refused.
    pub(super) fn refused(&mut self, id: KeyId, epoch: Option<u32>, pause: Option<Duration>, now: Timestamp) {
        match (self.of_mut(id), epoch) {
            (Some(health), Some(epoch)) => health.refused(epoch, CooldownReason::Forbidden, pause, now),
            (Some(health), None) => health.late_refusal(CooldownReason::Forbidden, pause, now),
            (None, _) => {
                let mut health = Health::new();
                let before = health.refused(health.epoch(), CooldownReason::Forbidden, pause, now);
                self.keys.push((id, health));
                before
            }
        };
    }

    /// Whatever was known of this key.
    pub(super) fn allow(&mut self, id: KeyId) {
        self.keys.retain(|(key, _)| *key != id);
    }

    fn of(&self, id: KeyId) -> Option<&Health> {
        let mut keys = self.keys.iter();
        keys.find(|(key, _)| *key == id).map(|(_, health)| health)
    }

    fn of_mut(&mut self, id: KeyId) -> Option<&mut Health> {
        let mut keys = self.keys.iter_mut();
        keys.find(|(key, _)| *key == id).map(|(_, health)| health)
    }
}
