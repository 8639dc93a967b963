//! Reasons why the limiter denies a request, for now or for good.

use super::demand::Demand;
use super::key::KeyAvailability;
use super::limits::LimitKind;
use crate::time::Timestamp;

/// Why [`Limiter::acquire`](super::limiter::Limiter::acquire) denied a request. A denied request reserves
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The request cannot be granted now and can be retried. Contains the time at which to retry.
    Wait(Wait),
    /// The request can never be granted under the current limits.
    Unsatisfiable(Unsatisfiable),
}

/// When to retry a denied request, and what the request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Time at which to retry the request. [`Timestamp::MAX`] if the request cannot be granted by the passing
    /// of time alone, for example because an attempt in flight must end or a disabled key must be enabled.
    pub until: Timestamp,
    /// Whether the request might be granted before `until`: an attempt in flight may end, return tokens, or show
    /// that the provider admits requests again.
    pub slot: bool,
    /// The limit, slot or key that the request waits for.
    pub why: WaitReason,
}

/// Keys of which none is usable, some of them for a reason that may not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostKeys {
    /// The state of the key that returns first. If no time of return is known, of the key that is tested first.
    pub first: KeyAvailability,
    /// The time at which the first key returns: the end of a pause, of a limit, or of missing quota that the provider
    /// has named. `None` if no such time is known.
    pub returns_at: Option<Timestamp>,
}

impl LostKeys {
    /// Returns whether a key is expected to return by `deadline`.
    pub fn return_by(self, deadline: Timestamp) -> bool {
        self.returns_at.is_some_and(|at| at <= deadline)
    }

    /// Returns the time at which the first key returns or, if it was rejected, is tested. `None` for missing quota
    /// without a known end: a test shows nothing about it.
    pub fn ready_at(self) -> Option<Timestamp> {
        self.returns_at.or(match self.first {
            KeyAvailability::NoQuota(_) => None,
            first => first.until(),
        })
    }
}

/// What a denied request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The target has reached a rate limit, token limit or daily limit. Contains the kind of that limit.
    Target(LimitKind),
    /// Attempts in flight occupy all concurrency slots of the target.
    TargetConcurrency,
    /// The target is in a cooldown, or attempts in flight are testing whether the target can be used again
    /// after a cooldown.
    TargetCooldown,
    /// Every usable key has reached a rate, token or daily limit of its own or of its quota group. Contains
    /// the kind of the limit that delays the key that will be available first.
    KeyLimits(LimitKind),
    /// Attempts in flight keep a key from being used: they occupy its concurrency slots, or test whether the
    /// key can be used again after a cooldown.
    KeyConcurrency,
    /// No key is usable: each is disabled, in a cooldown, or rejected by the provider for this model.
    /// Contains the availability of the key that becomes usable first.
    KeysUnavailable(KeyAvailability),
}

impl WaitReason {
    /// Returns what is waited for, for reports and log records, such as `rate limit of the model`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Target(LimitKind::Requests) => "rate limit of the model",
            Self::Target(LimitKind::Tokens) => "token limit of the model",
            Self::Target(LimitKind::Day) => "daily limit of the model",
            Self::TargetConcurrency => "concurrency slot of the model",
            Self::TargetCooldown => "pause of the model",
            Self::KeyLimits(LimitKind::Requests) => "rate limit of the keys",
            Self::KeyLimits(LimitKind::Tokens) => "token limit of the keys",
            Self::KeyLimits(LimitKind::Day) => "daily limit of the keys",
            Self::KeyConcurrency => "concurrency slot or test of a key",
            Self::KeysUnavailable(_) => "usable key",
        }
    }

    /// Returns whether the request waits for the target itself, so that no other key would help.
    pub fn is_of_target(self) -> bool {
        matches!(
            self,
            Self::Target(_) | Self::TargetConcurrency | Self::TargetCooldown
        )
    }
}

/// Why a request can never be granted under the current limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsatisfiable {
    /// The request demands more requests at once than a limit can ever admit.
    MoreThanCapacity {
        /// Maximum number of requests that the limit admits at once.
        capacity: u32,
    },
    /// The request needs more tokens than the token limit allows per minute.
    MoreTokensThanLimit {
        /// Estimated number of tokens of the request, prompt and answer together.
        tokens: u32,
        /// Maximum number of tokens that the limit admits per minute.
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
