//! A target of the limiter: its limits and health, whatever the key.

use super::demand::Demand;
use super::denial::{Denial, Unsatisfiable, Wait, WaitReason};
use super::health::Health;
use super::limit_set::LimitSet;
use super::limits::{LimitKind, Limits};
use super::model_denials::ModelDenials;
use super::rate_limit::RateLimit;
use crate::routing::budget::RetryBudget;
use crate::time::Timestamp;

/// Index of a target in its limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub(super) u32);

impl TargetId {
    /// The position, counted from 0 in the order in which targets were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Limits of a target, whatever the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetLimits {
    /// Rates, tokens and concurrency.
    pub limits: Limits,
    /// Circuit breaker: after this many failures in a row that blame the target it cools down, and is then probed by a single
    /// attempt. `None`: never, which is right where no other target can serve.
    pub breaker: Option<u32>,
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
            breaker: None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct TargetState {
    pub(super) limit_set: LimitSet,
    /// Index of its key set; `None` if it uses no keys.
    pub(super) key_set: Option<usize>,
    pub(super) health: Health,
    pub(super) breaker: Option<u32>,
    /// Failures in a row that blame the target.
    pub(super) failures: u32,
    pub(super) retry_budget: RetryBudget,
    pub(super) denials: ModelDenials,
}

impl TargetState {
    pub(super) fn new(limits: TargetLimits, key_set: Option<usize>) -> Self {
        Self {
            limit_set: LimitSet::new(limits.limits),
            key_set,
            health: Health::default(),
            breaker: limits.breaker,
            failures: 0,
            retry_budget: RetryBudget::default(),
            denials: ModelDenials::default(),
        }
    }

    /// Returns why the target itself denies an attempt, whatever its keys; `None` if it does not.
    pub(super) fn denies(&self, demand: Demand, now: Timestamp) -> Option<Denial> {
        let wait = |until, slot, why| Some(Denial::Wait(Wait { until, slot, why }));
        if self.health.is_probed() {
            return wait(Timestamp::MAX, true, WaitReason::TargetCooldown);
        }
        if let Some(until) = self.health.cooldown_until().filter(|until| *until > now) {
            return wait(until, false, WaitReason::TargetCooldown);
        }
        if let Some((until, kind)) = self.limit_set.available_at(demand, now) {
            return match self.limit_set.exceeded_limit(demand) {
                Some((kind, limit)) => {
                    Some(Denial::Unsatisfiable(Unsatisfiable::exceeds(demand, kind, limit)))
                }
                None => {
                    let may_regain = kind == LimitKind::Tokens && self.limit_set.may_regain_tokens();
                    wait(until, may_regain, WaitReason::Target(kind))
                }
            };
        }
        if !self.limit_set.has_slot() {
            return wait(Timestamp::MAX, true, WaitReason::TargetConcurrency);
        }
        None
    }
}
