//! Reasons why an attempt is denied, either until some later time or for as long as the limits stay the same.

use super::demand::Demand;
use super::key::KeyAvailability;
use super::limits::LimitKind;
use crate::time::Timestamp;

/// Why [`Limiter::acquire`](super::limiter::Limiter::acquire) denied a request. A denied request reserves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The request is denied for now and can be retried.
    Wait(Wait),
    /// The request can never be granted under the current limits.
    Unsatisfiable(Unsatisfiable),
}

/// When to retry a denied request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Time at which to retry the request. [`Timestamp::MAX`] if the passing of time alone is not sufficient: for example, an attempt in
    /// flight must end, or a disabled key must be enabled.
    pub until: Timestamp,
    /// Whether the end of an attempt in flight might let the request be granted before `until`.
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
    /// The end of the target's cooldown, or the end of a probe. A probe is an attempt that tests the target after a cooldown; other
    /// attempts wait for its result.
    TargetCooldown,
    /// Every usable key has reached a rate, token or daily limit, its own or its quota group's. Contains the kind of limit that blocks the
    /// key that will be free soonest.
    KeyLimits(LimitKind),
    /// The end of an attempt in flight that occupies a concurrency slot of a key or probes a key after a cooldown.
    KeyConcurrency,
    /// A usable key: all keys are disabled, cooling down or denied. Contains the availability of the key that becomes usable first.
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
    /// The request counts as more requests than a limit ever allows at once.
    MoreThanCapacity {
        /// Maximum number of requests that the limit allows at once.
        capacity: u32,
    },
    /// The request needs more tokens than the token limit allows per minute.
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
