//! Which keys an attempt may use.

use super::key::KeyId;
use super::quota_group::QuotaGroupId;

/// The keys that an attempt may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyConstraint {
    /// Any key of the target.
    #[default]
    Any,
    /// This key only: a follow-up that no other key can continue.
    Key(KeyId),
    /// Any key of this quota group.
    Group(QuotaGroupId),
}
