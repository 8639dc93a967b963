//! The limits, load and health of one key.

use std::num::NonZeroU32;

use super::demand::Demand;
use super::health::Health;
use super::key::KeyLimits;
use super::limit_set::LimitSet;
use super::obstacle::Obstacle;
use super::quota_group::QuotaGroupId;
use super::ready_index::Load;
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct KeyRecord {
    weight: NonZeroU32,
    pub(super) limit_set: LimitSet,
    /// Sequence number of the most recent reservation of this key. 0 if the key has never been used.
    pub(super) last_used: u64,
    /// Whether the provider accepts the key.
    pub(super) health: Health,
    pub(super) disabled: bool,
    pub(super) group: QuotaGroupId,
}

impl KeyRecord {
    pub(super) fn new(limits: KeyLimits, group: QuotaGroupId) -> Self {
        Self {
            weight: NonZeroU32::new(limits.weight).unwrap_or(NonZeroU32::MIN),
            limit_set: LimitSet::new(limits.limits),
            last_used: 0,
            health: Health::default(),
            disabled: false,
            group,
        }
    }

    #[inline(always)]
    pub(super) fn load(&self) -> Load {
        Load::new(self.limit_set.in_flight, self.weight, self.last_used)
    }

    /// Returns what keeps the key from being used for `demand`, apart from its quota group and model denials.
    #[inline(always)]
    pub(super) fn obstacle(&self, demand: Demand, now: Timestamp) -> Option<Obstacle> {
        // Almost always, nothing keeps a key from being used.
        if !self.disabled && self.health.is_healthy() && self.limit_set.is_unlimited() {
            return None;
        }
        let health = if self.disabled {
            Some(Obstacle {
                is_lost: true,
                ..Obstacle::until(Timestamp::MAX)
            })
        } else {
            self.health.obstacle(now)
        };
        Obstacle::both(health, self.limit_set.obstacle(demand, now))
    }
}
