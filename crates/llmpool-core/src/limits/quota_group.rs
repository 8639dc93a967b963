//! Quota groups: keys that share the provider's limits because they belong to one account.
//!
//! A key joins its group when it is added to the limiter, and stays in it. Nothing that the provider sends
//! changes a group.

use super::health::Health;
use super::key::KeyId;
use super::limit_set::LimitSet;
use super::limits::Limits;

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
    pub(super) health: Health,
    /// The keys of the group, in the order in which they were added.
    pub(super) members: Vec<KeyId>,
}

impl QuotaGroup {
    /// `learn`: whether limits that the provider reveals by refusing requests apply to the group in
    /// addition to `limits`.
    pub(super) fn new(limits: Limits, learn: bool) -> Self {
        let mut limit_set = LimitSet::new(limits);
        limit_set.observed.enabled = learn;
        Self {
            limit_set,
            health: Health::default(),
            members: Vec::new(),
        }
    }
}
