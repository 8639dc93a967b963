//! Quota groups: keys that share the provider's limits because they belong to one account.
//!
//! A key joins its group when it is added to the limiter, and stays in it. A key for which no group is declared
//! is the only key of a group of its own. Nothing that the provider sends changes a group.

use super::key::KeyId;
use super::limits::Limits;
use super::observed_limits::ObservedLimits;
use super::subject::Subject;
use super::target::TargetId;

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
    /// The limits of the account, and whether it has quota left.
    pub(super) subject: Subject,
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
            subject: Subject::new(limits),
            observed: ObservedLimits::new(learn),
            members: Vec::new(),
            is_declared,
            users: Vec::new(),
        }
    }
}
