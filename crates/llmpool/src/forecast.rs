//! Forecasts: simulations of traffic against the limits of models and keys. See
//! [`OpenAiCompatible::forecast`].

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
    /// Simulates the calls of `traffic` against the limits of this model and its keys, without sending a
    /// request. Assumes that the provider has no stricter limits and that no attempt fails.
    ///
    /// The simulation starts with the current state of the limits. Attempts in flight keep their concurrency
    /// slots until the simulation ends, so call this function while the model has no calls in flight. The
    /// simulation blocks the thread, for some seconds if `traffic` contains millions of calls.
    ///
    /// # Errors
    ///
    /// Fails if `traffic` contains more than [`MAX_CALLS`] calls.
    pub fn forecast(&self, traffic: &Traffic) -> Result<Forecast, TooManyCalls> {
        let mut forecasts = Self::forecast_together(&[(self.clone(), 1.0)], traffic)?;
        Ok(forecasts.pop().unwrap_or_default())
    }

    /// Simulates traffic that is split between several models, and returns one forecast per model, in the
    /// order of `models`.
    ///
    /// The number beside each model is its share of the calls, relative to the other numbers: 3.0 and 1.0
    /// give the first model three quarters of the calls. Models of one provider compete for the keys that
    /// they have in common.
    ///
    /// # Errors
    ///
    /// Fails if `traffic` contains more than [`MAX_CALLS`] calls.
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
        forecast(limiters.collect(), &models, traffic, start())
    }
}

/// Returns the current time, rounded up to a quarter of a second, in which the windows of the limits are
/// counted. Otherwise a forecast would depend on the time within this quarter at which it is made.
fn start() -> Timestamp {
    Timestamp::from_nanos(clock::now().as_nanos().next_multiple_of(250_000_000))
}
