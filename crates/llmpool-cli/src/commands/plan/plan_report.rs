//! The result of a plan.

use std::time::Duration;

use llmpool::forecast::{Forecast, Traffic};

use super::advice::Advice;
use super::plan_setup::PlanSetup;

pub(super) struct PlanReport {
    pub(super) setup: PlanSetup,
    pub(super) traffic: Traffic,
    /// The target for the 99th percentile of the wait.
    pub(super) target_wait: Duration,
    /// One for each planned model of the setup, in the same order.
    pub(super) models: Vec<ModelPlan>,
}

pub(super) struct ModelPlan {
    pub(super) forecast: Forecast,
    pub(super) advice: Advice,
}
