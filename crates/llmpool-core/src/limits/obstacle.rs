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
    /// Whether waiting rarely helps: the key is disabled or was rejected, or its account has no quota. Has no meaning
    /// for targets.
    pub(super) is_lost: bool,
}

impl Obstacle {
    /// Attempts in flight occupy all slots.
    pub(super) const OCCUPIED: Self = Self {
        may_end_early: true,
        ..Self::until(Timestamp::MAX)
    };

    /// An obstacle that ends with the passing of time alone.
    pub(super) const fn until(until: Timestamp) -> Self {
        Self {
            until,
            limit: None,
            may_end_early: false,
            is_lost: false,
        }
    }

    /// Returns the obstacle that decides until when to wait if there are two. One that only the passing of time
    /// ends takes precedence, because the other cannot make the key usable before. Otherwise the later one.
    #[inline(always)]
    pub(super) fn both(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let (Some(a), Some(b)) = (a, b) else {
            return a.or(b);
        };
        let decisive = std::cmp::max_by_key(a, b, |obstacle| (!obstacle.may_end_early, obstacle.until));
        Some(Self {
            is_lost: a.is_lost || b.is_lost,
            ..decisive
        })
    }
}
