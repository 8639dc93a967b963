//! What will become of traffic under the limits of models and their keys: see [`OpenAiCompatible::forecast`].

use std::sync::Arc;

pub use llmpool_core::forecast::{
    Arrivals, Burst, Forecast, KeyUse, LogNormal, MOST_CALLS, Recorded, Rejections, TimeBin, TooManyCalls,
    Traffic, Utilization,
};
use llmpool_core::forecast::{ModelSetup, forecast};
use llmpool_core::limits::limiter::Limiter;

use crate::clock;
use crate::openai_compatible::OpenAiCompatible;
use crate::provider::Provider;
use crate::tokens;

impl OpenAiCompatible {
    /// What would become of calls under the limits of this model and its keys, with an honest provider that never fails. Nothing is sent.
    ///
    /// It begins with the limits as they are now; attempts that are under way stay under way, so ask a target that nobody uses yet. Takes
    /// as long as counting the calls takes, without a pause: for millions of them ask from a thread that may be busy for seconds.
    pub fn forecast(&self, traffic: &Traffic) -> Result<Forecast, TooManyCalls> {
        let mut told = Self::forecast_together(&[(self.clone(), 1.0)], traffic)?;
        Ok(told.pop().unwrap_or_default())
    }

    /// As [`forecast`](Self::forecast), for several models with their shares of the calls: one forecast each, in their order. Models of
    /// one provider share the keys that they have in common.
    pub fn forecast_together(
        models: &[(Self, f64)],
        traffic: &Traffic,
    ) -> Result<Vec<Forecast>, TooManyCalls> {
        let mut providers: Vec<Arc<Provider>> = Vec::new();
        let models: Vec<ModelSetup> = models
            .iter()
            .map(|(model, share)| {
                let target = model.target();
                let known = providers
                    .iter()
                    .position(|known| Arc::ptr_eq(known, &target.provider));
                ModelSetup {
                    limiter: known.unwrap_or_else(|| {
                        providers.push(target.provider.clone());
                        providers.len() - 1
                    }),
                    target: target.id,
                    share: *share,
                    expected_answer: tokens::default_max_tokens(target).or(target.expected_output),
                }
            })
            .collect();
        let ledgers = providers
            .iter()
            .map(|provider| provider.admission.look(Limiter::clone));
        forecast(ledgers.collect(), &models, traffic, clock::now())
    }
}
