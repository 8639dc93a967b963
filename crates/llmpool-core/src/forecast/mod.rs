//! Forecasts of traffic under given limits: a simulation in virtual time with the same admission control that real calls use.
//!
//! Each event has its instant: an arrival, a timer, a completed response. The simulated provider obeys the limits and never fails, so the
//! forecast shows what the limits alone cost.
//!
//! Invariants: every call that arrives is either admitted or rejected. The same traffic and seed give the same forecast. Memory grows with the
//! calls that are active at the same time, plus one wait per admitted call.

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
