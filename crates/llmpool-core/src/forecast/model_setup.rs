//! The setup of one model in a forecast.

use crate::limits::TargetId;

/// A model in a forecast, and the share of the calls that the model receives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelSetup {
    /// The zero-based index of the model's limiter in the `limiters` argument of [`forecast`](super::forecast()).
    pub limiter: usize,
    /// The id of the model's target in the limiter at index [`limiter`](ModelSetup::limiter).
    pub target: TargetId,
    /// The share of the calls that this model receives, relative to the shares of the other models. A negative share counts as 0. Recorded
    /// calls ignore the shares, because each of them names its model.
    pub share: f64,
    /// The number of output tokens that a call reserves if a limit counts tokens. `None` means the 95th percentile of the output lengths so
    /// far.
    pub expected_output: Option<u32>,
}
