//! The result of `llmpool plan`: forecasts and recommendations.

use std::time::Duration;

use llmpool::forecast::{Forecast, Traffic};

use super::advice::Advice;
use super::plan_setup::PlanSetup;

pub(super) struct PlanReport {
    pub(super) setup: PlanSetup,
    pub(super) traffic: Traffic,
    /// The target of the recommendation: 99 % of the calls wait no longer than this duration.
    pub(super) target_wait: Duration,
    /// The result for each planned model, in the order of the planned models in the setup.
    pub(super) models: Vec<ModelPlan>,
}

pub(super) struct ModelPlan {
    pub(super) forecast: Forecast,
    pub(super) advice: Advice,
}
