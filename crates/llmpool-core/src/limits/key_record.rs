//! The limits, load and health of one key.

use std::num::NonZeroU32;

use super::health::{Health, HealthState};
use super::key::{KeyId, KeyLimits};
use super::limit_set::LimitSet;
use super::quota_group::QuotaGroupId;
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct KeyRecord {
    pub(super) id: KeyId,
    pub(super) weight: NonZeroU32,
    pub(super) limit_set: LimitSet,
    /// Sequence number of the most recent reservation of this key. 0 if the key has never been used.
    pub(super) last_used: u64,
    pub(super) health: Health,
    pub(super) disabled: bool,
    /// The key's quota group. `None` if the key belongs to no quota group.
    pub(super) group: Option<QuotaGroupId>,
}

impl KeyRecord {
    pub(super) fn new(id: KeyId, limits: KeyLimits, group: Option<QuotaGroupId>) -> Self {
        let mut limit_set = LimitSet::new(limits.limits);
        // The limits that are observed with a key of a group apply to the group.
        limit_set.observed.enabled = limits.learn && group.is_none();
        Self {
            id,
            weight: NonZeroU32::new(limits.weight).unwrap_or(NonZeroU32::MIN),
            limit_set,
            last_used: 0,
            health: Health::default(),
            disabled: false,
            group,
        }
    }

    /// Returns whether the key is enabled and healthy, and belongs to no quota group whose health would have
    /// to be checked too.
    #[inline]
    pub(super) fn is_plainly_healthy(&self, now: Timestamp) -> bool {
        !self.disabled
            && self.group.is_none()
            && self.health.state() == HealthState::Healthy
            && self.limit_set.observed.paused_until(now).is_none()
    }
}
