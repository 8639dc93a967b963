//! Denials of an acquire: for now, or forever.

use super::demand::Demand;
use super::key::KeyAvailability;
use super::limits::LimitKind;
use crate::time::Timestamp;

/// Why [`Limiter::acquire`](super::limiter::Limiter::acquire) reserved nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Denied for now.
    Wait(Wait),
    /// Can never be granted under the current limits.
    Unsatisfiable(Unsatisfiable),
}

/// When to retry a denied request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Time of the next retry; [`Timestamp::MAX`] if time alone does not help.
    pub until: Timestamp,
    /// Whether the end of an attempt in flight may help.
    pub slot: bool,
    /// What the request waits for.
    pub why: WaitReason,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// A rate limit, token limit or daily limit of the target.
    Target(LimitKind),
    /// A concurrency slot of the target.
    TargetConcurrency,
    /// The end of the target's cooldown.
    TargetCooldown,
    /// A limit that every usable key has used up.
    KeyLimits(LimitKind),
    /// A concurrency slot of any key.
    KeyConcurrency,
    /// A key: none is available. Holds the availability of the key that returns first.
    KeysUnavailable(KeyAvailability),
}

impl WaitReason {
    /// Returns whether the target itself is the obstacle, whatever its keys.
    pub fn is_of_target(self) -> bool {
        matches!(
            self,
            Self::Target(_) | Self::TargetConcurrency | Self::TargetCooldown
        )
    }
}

/// Why a request can never be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsatisfiable {
    /// It needs more requests at once than a limit admits.
    MoreThanCapacity {
        /// Requests that the limit admits at once.
        capacity: u32,
    },
    /// It needs more tokens than the limit per minute.
    MoreTokensThanLimit {
        /// Estimated tokens of the request.
        tokens: u32,
        /// Tokens per minute.
        limit: u32,
    },
    /// It is constrained to a key or account that the target does not use.
    UnknownKey,
}

impl Unsatisfiable {
    pub(super) fn exceeds(demand: Demand, kind: LimitKind, limit: u32) -> Self {
        match kind {
            LimitKind::Tokens => Self::MoreTokensThanLimit {
                tokens: demand.tokens,
                limit,
            },
            LimitKind::Requests | LimitKind::Day => Self::MoreThanCapacity { capacity: limit },
        }
    }
}
