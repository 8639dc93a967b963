//! What will become of traffic under given limits: the same desk as in earnest, in time that passes as fast as it can be counted.
//!
//! Every event has its instant: a call comes, a timer fires, an answer is complete. The provider is honest and never fails, so what is
//! foretold is what the limits themselves cost.
//!
//! Always true: what was offered was answered or turned away, once everything is over; the same traffic and seed foretell the same; what is
//! kept grows with the calls that are under way at once, and with those that came by one wait each.

mod log_normal;
mod outcome;
mod run;
mod traffic;
mod utilization;

use std::fmt;

pub use log_normal::LogNormal;
pub use outcome::{Forecast, Rejections, TimeBin};
pub use traffic::{Arrivals, Burst, Recorded, Traffic};
pub use utilization::{KeyUse, Utilization};

use crate::limits::limiter::{Limiter, TargetId};
use crate::time::Timestamp;

/// The most calls that are foretold: more would take minutes.
pub const MOST_CALLS: u64 = 2_000_000;

/// A model that calls are for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelSetup {
    /// Which of the ledgers has it.
    pub limiter: usize,
    /// Its place there.
    pub target: TargetId,
    /// Its share of the calls, compared with the shares of the others. Recorded calls say themselves which model they are for.
    pub share: f64,
    /// Tokens of an answer that its calls reserve where a limit counts them; `None`: as many as answers are seen to have, as in earnest.
    pub expected_answer: Option<u32>,
}

/// More than [`MOST_CALLS`] calls would have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyCalls;

/// What will become of this traffic at these models, each with a forecast of its own, and nothing else going on.
///
/// Models of one ledger share what keys they have in common. Where no model has a share, the first has all.
pub fn forecast(
    ledgers: Vec<Limiter>,
    models: &[ModelSetup],
    traffic: &Traffic,
    start: Timestamp,
) -> Result<Vec<Forecast>, TooManyCalls> {
    // Told at once where it is plain; of callers nobody knows beforehand.
    if traffic.expected() > MOST_CALLS as f64 {
        return Err(TooManyCalls);
    }
    run::Run::new(ledgers, models, traffic, start).finish()
}

impl fmt::Display for TooManyCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "these are more than {MOST_CALLS} calls, the most that are foretold"
        )
    }
}

impl std::error::Error for TooManyCalls {}
