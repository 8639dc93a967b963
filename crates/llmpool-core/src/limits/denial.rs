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
    /// The request can never be granted under the current limits.
    Unsatisfiable(Unsatisfiable),
}

/// When to retry a denied request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Time of the next retry. [`Timestamp::MAX`] if the passing of time alone does not help.
    pub until: Timestamp,
    /// Whether the request might be granted earlier, when an attempt in flight ends.
    pub slot: bool,
    /// What the request waits for.
    pub why: WaitReason,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// A rate limit, token limit or daily limit of the target.
    Target(LimitKind),
    /// A free concurrency slot of the target.
    TargetConcurrency,
    /// The end of the target's cooldown, or of the probe that tests the target afterwards.
    TargetCooldown,
    /// A rate limit, token limit or daily limit of the keys: no usable key has enough left. Holds the limit of the key that becomes available first.
    KeyLimits(LimitKind),
    /// A free concurrency slot, or the end of a probe, of any key.
    KeyConcurrency,
    /// A usable key: all keys are disabled, cooling down or denied. Holds the availability of the key that becomes usable first.
    KeysUnavailable(KeyAvailability),
}

impl WaitReason {
    /// Returns whether the target itself denies the request, regardless of its keys.
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
    /// The request needs more requests at once than a limit allows.
    MoreThanCapacity {
        /// Maximum number of requests that the limit allows at once.
        capacity: u32,
    },
    /// The request needs more tokens than the limit allows per minute.
    MoreTokensThanLimit {
        /// Estimated tokens of the request.
        tokens: u32,
        /// Maximum number of tokens per minute.
        limit: u32,
    },
    /// The request is constrained to a key or quota group that the target does not use.
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
