//! Keys that the provider refuses for one model, though they are valid.
//!
//! Always true: only the answer to an attempt that began after a refusal changes what that refusal said, and only its own end counts as
//! the end of a probe.

use std::time::Duration;

use super::condition::{Condition, Rest, Standing};
use super::key::KeyId;
use crate::time::Timestamp;

/// The keys that one target may not use, or is finding out about.
#[derive(Clone, Debug, Default)]
pub(super) struct Forbidden {
    keys: Vec<(KeyId, Condition)>,
}

impl Forbidden {
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key may not be used now.
    pub(super) fn forbids(&self, id: KeyId, now: Timestamp) -> bool {
        self.of(id).is_some_and(|condition| {
            condition.is_probed() || condition.rests_until().is_some_and(|until| until > now)
        })
    }

    /// Until when it is not used; `None` where it is not forbidden, or a probe decides.
    pub(super) fn until(&self, id: KeyId) -> Option<Timestamp> {
        self.of(id)?.rests_until()
    }

    pub(super) fn standing(&self, id: KeyId) -> Option<Standing> {
        self.of(id).map(Condition::standing)
    }

    /// An attempt begins; it is a probe if its key is forbidden. Answers by which number its answer is known.
    pub(super) fn pick(&mut self, id: KeyId, now: Timestamp) -> Option<u32> {
        let condition = self.of_mut(id)?;
        condition.pick(false, now);
        Some(condition.epoch())
    }

    /// An attempt ends.
    pub(super) fn put_back(&mut self, id: KeyId, epoch: Option<u32>) {
        if let (Some(condition), Some(epoch)) = (self.of_mut(id), epoch) {
            condition.put_back(epoch);
        }
    }

    /// An attempt got through. Answers whether that changed anything.
    pub(super) fn succeeded(&mut self, id: KeyId, epoch: Option<u32>) -> bool {
        let is_news = self
            .of(id)
            .is_some_and(|condition| Some(condition.epoch()) == epoch);
        if is_news {
            self.allow(id);
        }
        is_news
    }

    /// An attempt was refused.
    pub(super) fn refused(&mut self, id: KeyId, epoch: Option<u32>, pause: Option<Duration>, now: Timestamp) {
        match (self.of_mut(id), epoch) {
            (Some(condition), Some(epoch)) => condition.refused(epoch, Rest::Forbidden, pause, now),
            (Some(condition), None) => condition.late_refusal(Rest::Forbidden, pause, now),
            (None, _) => {
                let mut condition = Condition::new();
                let before = condition.refused(condition.epoch(), Rest::Forbidden, pause, now);
                self.keys.push((id, condition));
                before
            }
        };
    }

    /// Whatever was known of this key.
    pub(super) fn allow(&mut self, id: KeyId) {
        self.keys.retain(|(key, _)| *key != id);
    }

    fn of(&self, id: KeyId) -> Option<&Condition> {
        let mut keys = self.keys.iter();
        keys.find(|(key, _)| *key == id).map(|(_, condition)| condition)
    }

    fn of_mut(&mut self, id: KeyId) -> Option<&mut Condition> {
        let mut keys = self.keys.iter_mut();
        keys.find(|(key, _)| *key == id).map(|(_, condition)| condition)
    }
}
