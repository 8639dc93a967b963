//! A model of a forecast.

use crate::limits::TargetId;

/// A model that receives a share of the calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelSetup {
    /// The index of the model's limiter in the forecast's list of limiters.
    pub limiter: usize,
    /// The id of the model's target in that limiter.
    pub target: TargetId,
    /// The share of the calls that this model receives, relative to the shares of the other models. Ignored for recorded calls, which name
    /// their model.
    pub share: f64,
    /// Output tokens that a call reserves if a limit counts tokens. `None`: the 95th percentile of the output lengths
    /// so far.
    pub expected_output: Option<u32>,
}
