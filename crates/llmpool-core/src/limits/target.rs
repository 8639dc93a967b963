//! The limits, circuit breaker and health of a target, which apply regardless of the key. A target is usually
//! one model of a provider.

use super::demand::Demand;
use super::denial::{Denial, Unsatisfiable, Wait, WaitReason};
use super::key_set::KeySet;
use super::limit_scope::LimitScope;
use super::limits::Limits;
use super::rate_limit::RateLimit;
use super::subject::Subject;
use crate::routing::budget::RetryBudget;
use crate::time::Timestamp;

/// Identifier of a target within its limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub(super) u32);

impl TargetId {
    /// Returns the zero-based index of the target. A new target may get the index of a removed one.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Limits and circuit breaker of a target, which apply regardless of the key that a request uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetLimits {
    /// Configured limits on requests, tokens and concurrency. Default: no limits.
    pub limits: Limits,
    /// Circuit breaker: the number of consecutive failures, blamed on the target, after which the target
    /// cools down. After the cooldown, a single attempt tests the target before the target is used in
    /// parallel again. `None` disables the circuit breaker, which is best if no other target can serve the
    /// requests.
    pub breaker: Option<u32>,
    /// Whether the provider's rate limits apply to each model or to each key. Default: to each model. Cannot be
    /// changed later.
    pub limit_scope: LimitScope,
}

impl From<Option<RateLimit>> for TargetLimits {
    fn from(rate_limit: Option<RateLimit>) -> Self {
        Limits::from(rate_limit).into()
    }
}

impl From<Limits> for TargetLimits {
    fn from(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct TargetState {
    pub(super) subject: Subject,
    /// The keys that the target may use. `None` if the target uses no keys.
    pub(super) key_set: Option<Box<KeySet>>,
    /// The targets that use a quota group that this target uses, including this target.
    pub(super) neighbours: Vec<TargetId>,
    pub(super) breaker: Option<u32>,
    /// Number of consecutive failures that were blamed on the target. A success resets this number to 0.
    pub(super) failures: u32,
    pub(super) retry_budget: RetryBudget,
}

impl TargetState {
    pub(super) fn new(limits: TargetLimits, key_set: Option<KeySet>) -> Self {
        Self {
            subject: Subject::new(limits.limits),
            key_set: key_set.map(Box::new),
            neighbours: Vec::new(),
            breaker: limits.breaker,
            failures: 0,
            retry_budget: RetryBudget::default(),
        }
    }

    /// Returns why the target denies an attempt, regardless of the key. `None` if the target allows the attempt.
    pub(super) fn denial(&self, demand: Demand, now: Timestamp) -> Option<Denial> {
        let obstacle = self.subject.obstacle(demand, now)?;
        if let Some((kind, limit)) = self.subject.limit_set.exceeded_limit(demand) {
            return Some(Denial::Unsatisfiable(Unsatisfiable::exceeds(demand, kind, limit)));
        }
        let why = match obstacle.limit {
            Some(kind) => WaitReason::Target(kind),
            None if self.subject.health.obstacle(now).is_some() => WaitReason::TargetCooldown,
            None => WaitReason::TargetConcurrency,
        };
        Some(Denial::Wait(Wait {
            until: obstacle.until,
            slot: obstacle.may_end_early(),
            why,
        }))
    }
}
