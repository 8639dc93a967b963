//! The state of limits as plain data, which outlives the process.
//!
//! Times are durations in milliseconds, measured from the time at which the state was saved. Durations until
//! an end are rounded up, so that nothing ends earlier than in the process that saved it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cooldown::CooldownReason;
use super::key::KeyId;
use super::target::TargetId;

/// The saved state of one target, key or account, or of a model with one key.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedLimits {
    /// To what the state applies.
    pub scope: SavedScope,
    /// The state.
    pub state: SavedState,
}

/// To what a [`SavedState`] applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavedScope {
    /// A target, whatever key is used.
    Target(TargetId),
    /// A key, with all targets.
    Key(KeyId),
    /// The keys of one declared quota group together. Also listed if nothing was charged to the group: the
    /// charges of its keys are not added to it.
    Account(Vec<KeyId>),
    /// One target with one key.
    Model(TargetId, KeyId),
}

/// Charges, cooldowns and the learned pace. What is empty is left out of the serialized form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedState {
    /// Requests that are missing in the full bucket of `rate_limit`.
    #[serde(skip_serializing_if = "is_default")]
    pub missing_in_bucket: f64,
    /// Requests that are missing in the full bucket that spreads the requests of `rpm`. While they are admitted one at
    /// a time, the bucket holds one request.
    #[serde(skip_serializing_if = "is_default")]
    pub missing_in_minute: f64,
    /// For how long the requests of `rpm` are admitted one at a time.
    #[serde(skip_serializing_if = "is_default")]
    pub single_for_ms: u64,
    /// Requests that count against `rpm`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub minute: Vec<SavedCharge>,
    /// Tokens that count against `tpm`. The estimates of calls in flight count as used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<SavedCharge>,
    /// Requests that count against `rpd`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub day: Vec<SavedCharge>,
    /// Cooldowns that have not been followed by a success, including those that have ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cooldowns: Vec<SavedCooldown>,
    /// What was learned from refusals. `None` if nothing was.
    #[serde(skip_serializing_if = "is_default")]
    pub learned: Option<LearnedPace>,
}

/// An amount that counts against a limit for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedCharge {
    /// For how long the amount counts.
    pub counts_for_ms: u64,
    /// Requests or tokens.
    pub amount: u32,
}

/// A cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedCooldown {
    /// The reason.
    pub reason: CooldownReason,
    /// The remaining time. 0 if the cooldown has ended, so that the next attempt is a probe.
    pub ends_in_ms: u64,
}

/// The pace learned from refusals, and the pause after a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LearnedPace {
    /// Requests per second. `None` if no pace was learned.
    pub per_second: Option<f64>,
    /// The pace in requests per second to which the pace returns after an outage.
    pub worked: f64,
    /// Number of requests that the pace admits at once.
    pub available: f64,
    /// Time since the pace last delayed a request, or since a request was last refused.
    pub idle_for_ms: u64,
    /// The remaining time of the pause. 0 if the pause has ended, so that the next request is a probe. `None`
    /// if no request was refused since the last success.
    pub paused_for_ms: Option<u64>,
}

/// Returns the duration in milliseconds, rounded up.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// Returns what is left of a saved duration after `elapsed`.
pub(super) fn remaining(millis: u64, elapsed: Duration) -> Duration {
    Duration::from_millis(millis).saturating_sub(elapsed)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
