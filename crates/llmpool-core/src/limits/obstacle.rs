//! Obstacles: what keeps a key or quota group from being used now.

use super::limits::LimitKind;
use crate::time::Timestamp;

/// What keeps a key or quota group from being used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// The time at which the obstacle is gone, or at which to examine the key again. [`Timestamp::MAX`] if only an
    /// event can end the obstacle.
    pub(super) until: Timestamp,
    /// The limit that is reached. `None` if the obstacle is no limit on requests or tokens.
    pub(super) limit: Option<LimitKind>,
    /// The earliest time at which requests can be expected to be served. Equals `until`, except:
    /// - [`Timestamp::ZERO`] if an attempt in flight may end the obstacle before `until`.
    /// - [`Timestamp::MAX`] if waiting rarely helps, so that `until` is only the time of a test: the key is disabled or
    ///   was rejected, or its account has no quota and the provider named no end.
    pub(super) returns_at: Timestamp,
}

impl Obstacle {
    /// Attempts in flight occupy all slots.
    pub(super) const OCCUPIED: Self = Self::until(Timestamp::MAX).or_earlier(true);

    /// An obstacle that ends with the passing of time alone.
    pub(super) const fn until(until: Timestamp) -> Self {
        Self {
            until,
            limit: None,
            returns_at: until,
        }
    }

    /// An obstacle without a known end. From `until` on, an attempt may test the key.
    pub(super) const fn lost_until(until: Timestamp) -> Self {
        Self {
            until,
            limit: None,
            returns_at: Timestamp::MAX,
        }
    }

    /// Returns the obstacle, which an attempt in flight may end earlier if `may_end_early`.
    #[inline(always)]
    pub(super) const fn or_earlier(self, may_end_early: bool) -> Self {
        let returns_at = if may_end_early {
            Timestamp::ZERO
        } else {
            self.returns_at
        };
        Self { returns_at, ..self }
    }

    /// Returns whether an attempt in flight may end the obstacle before `until`.
    #[inline(always)]
    pub(super) fn may_end_early(&self) -> bool {
        self.returns_at == Timestamp::ZERO
    }

    /// Returns the obstacle that decides until when to wait if there are two: the one after which the key returns
    /// later. If attempts in flight may end both, the one that ends later.
    #[inline(always)]
    pub(super) fn both(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let (Some(a), Some(b)) = (a, b) else {
            return a.or(b);
        };
        Some(std::cmp::max_by_key(a, b, |obstacle| {
            (obstacle.returns_at, obstacle.until)
        }))
    }
}
