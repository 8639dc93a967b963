//! Quota groups: keys that share the provider's limits because they belong to one account.
//!
//! A key joins its group when it is added to the limiter, and stays in it. A key for which no group is declared
//! is the only key of a group of its own. Nothing that the provider sends changes a group.

use super::demand::Demand;
use super::health::Health;
use super::key::KeyId;
use super::limit_set::LimitSet;
use super::limits::Limits;
use super::observed_limits::ObservedLimits;
use super::obstacle::Obstacle;
use super::target::TargetId;
use crate::time::Timestamp;

/// Identifier of a quota group within its limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaGroupId(pub(super) u32);

impl QuotaGroupId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The limits and the health that the keys of one account share.
#[derive(Clone, Debug)]
pub(super) struct QuotaGroup {
    pub(super) limit_set: LimitSet,
    /// Whether the account has quota left.
    pub(super) health: Health,
    /// The limits that were observed for all models of the account together.
    pub(super) observed: ObservedLimits,
    /// The keys of the group, in the order in which they were added.
    pub(super) members: Vec<KeyId>,
    /// Whether the configuration declares the group.
    pub(super) is_declared: bool,
    /// The targets that use keys of the group, each with the index of the group in the target's key set.
    pub(super) users: Vec<(TargetId, usize)>,
}

impl QuotaGroup {
    /// `learn`: whether limits that the provider reveals by refusing requests apply to the group in
    /// addition to `limits`.
    pub(super) fn new(limits: Limits, learn: bool, is_declared: bool) -> Self {
        Self {
            limit_set: LimitSet::new(limits),
            health: Health::default(),
            observed: ObservedLimits::new(learn),
            members: Vec::new(),
            is_declared,
            users: Vec::new(),
        }
    }

    /// Returns what keeps all keys of the group from being used for `demand`, apart from observed limits.
    #[inline(always)]
    pub(super) fn obstacle(&self, demand: Demand, now: Timestamp) -> Option<Obstacle> {
        if self.health.is_healthy() && self.limit_set.is_unlimited() {
            return None;
        }
        Obstacle::both(self.health.obstacle(now), self.limit_set.obstacle(demand, now))
    }
}
