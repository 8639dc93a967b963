//! Changes of the states and learned paces of keys, and the trait that receives them.

use std::slice;

use llmpool_core::limits::{KeyAvailability, KeyId, Limiter, TargetId};
use llmpool_core::time::Timestamp;

use super::shared_admission::SharedAdmission;

/// Receives the changes of keys that an attempt causes. The lock of the admission is not held.
pub(crate) trait KeyWatcher: Send + Sync {
    fn key_changed(&self, change: &KeyChange);
}

/// The states of a key, for one target and for all, and its learned pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeySnapshot {
    pub(crate) for_all: KeyAvailability,
    pub(crate) for_target: KeyAvailability,
    /// The learned pace of the key for the target, in requests per minute.
    pub(crate) per_minute: Option<f64>,
}

/// A key before and after a change of the limiter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyChange {
    pub(crate) key: KeyId,
    /// Whether this is the key of the attempt, not another one of its quota group.
    pub(crate) is_own: bool,
    pub(crate) before: KeySnapshot,
    pub(crate) after: KeySnapshot,
    pub(crate) at: Timestamp,
}

/// Which changes of keys are possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Every change, as by a refusal: the other keys of a quota group can change with a key of any state.
    Any,
    /// Only the end of a pause or a cooldown, as by an answer: the other keys of a quota group can change only with a
    /// key that is not healthy.
    Recovery,
}

impl KeySnapshot {
    fn is_healthy(&self) -> bool {
        let states = [self.for_all, self.for_target];
        states.iter().all(|state| *state == KeyAvailability::Healthy)
    }

    fn of(limiter: &Limiter, target: TargetId, key: KeyId, now: Timestamp) -> Self {
        Self {
            for_all: limiter.key_availability(key, now),
            for_target: limiter.key_availability_at(target, key, now),
            per_minute: limiter.observed_per_minute_at(target, key),
        }
    }
}

impl SharedAdmission {
    /// Changes the limiter as [`change`](Self::change) does for the attempt of a target with a key, and then passes the
    /// states of the key and, if `reach` allows that they change, those of the other keys of its quota group to
    /// `watcher`: before and after. Both are read under the lock of the change, so no change is reported by two calls.
    ///
    /// The time under the lock grows with the quota group only for changes by a refusal, by an operator, or of a key
    /// that is not healthy.
    #[cold]
    #[inline(never)]
    pub(crate) fn change_watched<T>(
        &self,
        watcher: &dyn KeyWatcher,
        (target, key): (TargetId, KeyId),
        reach: Reach,
        change: impl FnOnce(&mut Limiter, Timestamp) -> T,
    ) -> T {
        let (result, changes) = self.change(|limiter, now| {
            let before = snapshots(limiter, (target, key), reach, now);
            let result = change(limiter, now);
            let changes = before.into_iter().map(|(id, before)| KeyChange {
                key: id,
                is_own: id == key,
                before,
                after: KeySnapshot::of(limiter, target, id, now),
                at: now,
            });
            (result, changes.collect::<Vec<_>>())
        });
        changes.iter().for_each(|change| watcher.key_changed(change));
        result
    }
}

/// Returns the snapshots of the keys that a change of a key can change, in the order of the quota group.
fn snapshots(
    limiter: &Limiter,
    (target, key): (TargetId, KeyId),
    reach: Reach,
    now: Timestamp,
) -> Vec<(KeyId, KeySnapshot)> {
    let own = KeySnapshot::of(limiter, target, key, now);
    let group = limiter
        .group_of(key)
        .filter(|_| reach == Reach::Any || !own.is_healthy());
    let keys = group.map_or(slice::from_ref(&key), |group| limiter.members(group));
    let snapshots = keys.iter().map(|id| match *id == key {
        true => (key, own),
        false => (*id, KeySnapshot::of(limiter, target, *id, now)),
    });
    snapshots.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use llmpool_core::limits::{CooldownReason, KeyLimits, Limits};

    use super::*;

    #[test]
    fn snapshots_of_a_healthy_key_do_not_grow_with_its_group() {
        let now = Timestamp::from_nanos(0);
        let mut limiter = Limiter::new();
        let group = limiter.add_group(Limits::default(), true);
        let keys: Vec<_> = (0..50)
            .map(|_| limiter.add_key_to_group(group, KeyLimits::default()))
            .collect();
        let target = limiter.add_target(&keys, Limits::default(), now);
        let count = |limiter: &Limiter, reach| snapshots(limiter, (target, keys[1]), reach, now).len();
        assert_eq!(count(&limiter, Reach::Recovery), 1);
        assert_eq!(count(&limiter, Reach::Any), 50);
        let until = now + Duration::from_secs(1);
        limiter.set_cooldown(keys[0], CooldownReason::Throttled, until, now);
        assert_eq!(count(&limiter, Reach::Recovery), 50);
    }
}
