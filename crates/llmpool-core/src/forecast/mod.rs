//! Forecasts how traffic fares under given limits: simulates calls in virtual time with the same admission
//! control that real calls use.
//!
//! The simulation processes arrivals of calls, timers of waiting calls, and completions of responses. The
//! simulated provider never fails, so the forecast shows only the delays and rejections that the limits
//! cause.
//!
//! Invariant: every call that arrives is either admitted or rejected.
//!
//! Invariant: the same traffic and seed produce the same forecast.
//!
//! Memory usage is proportional to the largest number of calls in progress at the same time, plus one
//! recorded wait per admitted call.

mod call_generator;
mod forecast_builder;
mod log_normal;
mod model_setup;
mod outcome;
mod simulation;
mod traffic;
mod utilization;

pub use log_normal::LogNormal;
pub use model_setup::ModelSetup;
pub use outcome::{Forecast, Rejections, TimeBin};
pub use simulation::{MAX_CALLS, TooManyCalls, forecast};
pub use traffic::{Arrivals, Burst, RecordedCall, Traffic};
pub use utilization::{KeyUsage, Utilization};
