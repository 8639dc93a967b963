//! Quota groups: keys that share the provider's limits because they belong to one account.

use super::health::Health;
use super::key::KeyId;
use super::key_record::KeyRecord;
use super::limit_set::LimitSet;
use super::limits::Limits;
use crate::time::Timestamp;

/// Identifier of a quota group within its limiter. Remains valid when the group is merged into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuotaGroupId(pub(super) u32);

/// The limits and the health that the keys of one account share.
#[derive(Clone, Debug)]
pub(super) struct QuotaGroup {
    pub(super) limit_set: LimitSet,
    pub(super) health: Health,
    pub(super) members: Vec<KeyId>,
    /// Index of the group into which this group was merged. `None` if it was not merged.
    pub(super) merged_into: Option<usize>,
}

impl QuotaGroup {
    pub(super) fn new() -> Self {
        Self {
            limit_set: LimitSet::new(Limits::default()),
            health: Health::default(),
            members: Vec::new(),
            merged_into: None,
        }
    }

    /// Merges another quota group of the same account into this group.
    pub(super) fn merge(&mut self, other: Self, seq: u64, now: Timestamp) {
        self.limit_set.merge(&other.limit_set, seq, now);
        self.limit_set.observed.merge(other.limit_set.observed, now);
        self.health.merge(&other.health);
        self.members.extend(other.members);
    }

    /// Adds a key to the group, together with the key's earlier charges and observed limits. The key is
    /// assumed to have belonged to the account all along.
    pub(super) fn insert(&mut self, id: KeyId, key: &mut KeyRecord, seq: u64, now: Timestamp) {
        if key.last_used > 0 {
            self.limit_set.merge(&key.limit_set, seq, now);
        }
        let observed = std::mem::take(&mut key.limit_set.observed);
        self.limit_set.observed.merge(observed, now);
        self.health.take_group_cooldown(&mut key.health);
        self.members.push(id);
    }
}
