//! Obstacles: what keeps a key or quota group from being used now.

use super::limits::LimitKind;
use crate::time::Timestamp;

/// What keeps a key or quota group from being used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// The time at which the obstacle is gone. [`Timestamp::MAX`] if only an event can end it.
    pub(super) until: Timestamp,
    /// The limit that is reached. `None` if the obstacle is no limit on requests or tokens.
    pub(super) limit: Option<LimitKind>,
    /// Whether an attempt in flight may end the obstacle before `until`.
    pub(super) may_end_early: bool,
}

impl Obstacle {
    /// Attempts in flight occupy all slots.
    pub(super) const OCCUPIED: Self = Self {
        until: Timestamp::MAX,
        limit: None,
        may_end_early: true,
    };

    /// An obstacle that ends with the passing of time alone.
    pub(super) fn until(until: Timestamp) -> Self {
        Self {
            until,
            limit: None,
            may_end_early: false,
        }
    }

    /// Returns what remains to wait for until `a` and `b` have both ended. While one of them certainly lasts, the
    /// other, which an attempt in flight may end, does not matter.
    #[inline(always)]
    pub(super) fn both(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (None, other) | (other, None) => other,
            (Some(a), Some(b)) => Some(std::cmp::max_by_key(a, b, |obstacle| {
                (!obstacle.may_end_early, obstacle.until)
            })),
        }
    }
}
