//! What a target, a key and a quota group have in common: limits and health.

use super::charge_id::ChargeId;
use super::demand::Demand;
use super::health::Health;
use super::limit_set::LimitSet;
use super::limits::Limits;
use super::obstacle::Obstacle;
use crate::time::Timestamp;

/// The limits and the health of a target, key or quota group.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) limit_set: LimitSet,
    pub(super) health: Health,
}

impl Subject {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limit_set: LimitSet::new(limits),
            health: Health::default(),
        }
    }

    /// Returns what keeps an attempt with this demand from starting.
    #[inline(always)]
    pub(super) fn obstacle(&self, demand: Demand, now: Timestamp) -> Option<Obstacle> {
        Obstacle::both(self.health.obstacle(now), self.limit_set.obstacle(demand, now))
    }

    /// Charges an attempt that starts, and occupies a slot. The first attempt after a cooldown is a probe. Returns
    /// the epoch of the attempt.
    #[inline(always)]
    pub(super) fn begin_attempt(&mut self, demand: Demand, charge: ChargeId) -> u32 {
        if self.health.begin_attempt(self.limit_set.is_paced(), charge.at) {
            self.limit_set.resume(charge.seq, charge.at);
        }
        self.limit_set.charge(demand, charge.seq, charge.at);
        self.health.epoch()
    }

    /// Frees the slot of an attempt that started in `epoch`. If the attempt was the last running probe and no probe
    /// received a response, the next attempt becomes a probe again.
    #[inline(always)]
    pub(super) fn end_attempt(&mut self, epoch: u32) {
        self.limit_set.in_flight -= 1;
        self.health.end_attempt(epoch);
    }
}
