//! Forecasts of traffic under the limits of models and their keys: see [`OpenAiCompatible::forecast`].

use std::sync::Arc;

pub use llmpool_core::forecast::{
    Arrivals, Burst, Forecast, KeyUsage, LogNormal, MAX_CALLS, RecordedCall, Rejections, TimeBin,
    TooManyCalls, Traffic, Utilization,
};
use llmpool_core::forecast::{ModelSetup, forecast};
use llmpool_core::limits::Limiter;
pub use llmpool_core::limits::{KeyAvailability, KeyId};
pub use llmpool_core::time::Timestamp;

use crate::clock;
use crate::openai_compatible::OpenAiCompatible;
use crate::provider::Provider;
use crate::tokens;

impl OpenAiCompatible {
    /// Simulates the calls of `traffic` under the limits of this model and its keys. Sends no request. Assumes that the provider obeys the
    /// limits and never fails.
    ///
    /// The forecast begins with the current state of the limits. Attempts that are active now stay active for the whole forecast, so use a
    /// model without active calls. Blocks the thread during the simulation, for some seconds if there are millions of calls.
    ///
    /// # Errors
    ///
    /// If there are more than [`MAX_CALLS`] calls.
    pub fn forecast(&self, traffic: &Traffic) -> Result<Forecast, TooManyCalls> {
        let mut forecasts = Self::forecast_together(&[(self.clone(), 1.0)], traffic)?;
        Ok(forecasts.pop().unwrap_or_default())
    }

    /// Simulates the calls of `traffic` to several models together. Each model comes with its share of the calls, relative to the other
    /// shares. Returns one forecast per model, in the order of `models`. Models of one provider share the keys that they have in common.
    ///
    /// # Errors
    ///
    /// If there are more than [`MAX_CALLS`] calls.
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
                    expected_output: tokens::default_max_tokens(target).or(target.expected_output),
                }
            })
            .collect();
        let limiters = providers
            .iter()
            .map(|provider| provider.admission.with_limiter(Limiter::clone));
        forecast(limiters.collect(), &models, traffic, clock::now())
    }
}
