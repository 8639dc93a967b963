//! Which keys an attempt may use.

use super::key::KeyId;
use super::quota_group::QuotaGroupId;

/// Which of a target's keys an attempt may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyConstraint {
    /// Any key of the target.
    #[default]
    Any,
    /// Any key of the target that is healthy, and need not be probed after a cooldown or a rate refusal. For
    /// attempts without a recorded outcome, which would be useless as probes.
    Healthy,
    /// Only the contained key, because the attempt refers to a resource that belongs to the key's account.
    Key(KeyId),
    /// Any key of the target that belongs to the contained quota group.
    Group(QuotaGroupId),
}
