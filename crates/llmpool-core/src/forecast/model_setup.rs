//! One model of a forecast, with its limits and its share of the calls.

use crate::limits::TargetId;

/// One model of a forecast: the limiter that holds the model's limits, and the share of the calls that the
/// model receives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelSetup {
    /// The zero-based index of the model's limiter in the `limiters` argument of
    /// [`forecast`](super::forecast()).
    pub limiter: usize,
    /// The id that the limiter at index [`limiter`](ModelSetup::limiter) assigned to the model.
    pub target: TargetId,
    /// The share of the calls that this model receives, relative to the shares of the other models. A
    /// negative share counts as 0. Recorded calls ignore all shares, because each recorded call names its
    /// model.
    pub share: f64,
    /// The number of output tokens that each call reserves if a limit counts tokens. `None` means the 95th
    /// percentile of the model's simulated output lengths so far, or 1024 until 20 responses are complete.
    pub expected_output: Option<u32>,
}
