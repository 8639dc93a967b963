//! The limits, load and health of one key.

use std::num::NonZeroU32;

use super::demand::Demand;
use super::key::KeyLimits;
use super::obstacle::Obstacle;
use super::quota_group::QuotaGroupId;
use super::ready_index::Load;
use super::subject::Subject;
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub(super) struct KeyRecord {
    weight: NonZeroU32,
    /// The limits of the key, and whether the provider accepts it.
    pub(super) subject: Subject,
    /// Sequence number of the most recent reservation of this key. 0 if the key has never been used.
    pub(super) last_used: u64,
    pub(super) disabled: bool,
    pub(super) group: QuotaGroupId,
}

impl KeyRecord {
    pub(super) fn new(limits: KeyLimits, group: QuotaGroupId) -> Self {
        Self {
            weight: NonZeroU32::new(limits.weight).unwrap_or(NonZeroU32::MIN),
            subject: Subject::new(limits.limits),
            last_used: 0,
            disabled: false,
            group,
        }
    }

    #[inline(always)]
    pub(super) fn load(&self) -> Load {
        Load::new(self.subject.limit_set.in_flight, self.weight, self.last_used)
    }

    /// Returns what keeps the key from being used for `demand`, apart from its quota group and model denials.
    #[inline(always)]
    pub(super) fn obstacle(&self, demand: Demand, now: Timestamp) -> Option<Obstacle> {
        let disabled = self.disabled.then_some(Obstacle::lost_until(Timestamp::MAX));
        Obstacle::both(disabled, self.subject.obstacle(demand, now))
    }
}
