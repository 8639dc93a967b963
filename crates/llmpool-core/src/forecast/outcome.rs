//! The forecast of one model.

use std::time::Duration;

use super::utilization::{KeyUsage, Utilization};
use crate::limits::WaitReason;

/// The forecast of one model's calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forecast {
    /// Calls that arrived.
    pub offered: u64,
    /// Calls that were admitted within the span: the throughput of the span.
    pub answered: u64,
    /// Calls that were admitted at any time.
    pub admitted: u64,
    /// Calls that were rejected.
    pub rejected: Rejections,
    /// The time during which calls arrived.
    pub span: Duration,
    /// Prompt and output tokens of the `answered` calls.
    pub tokens: u64,
    /// The waits of the admitted calls, in ascending order.
    pub waits: Vec<Duration>,
    /// The most used of the model's own limits, if it has any.
    pub model_limit: Option<Utilization>,
    /// The usage of the model's keys, by the calls of all models.
    pub keys: Vec<KeyUsage>,
    /// The waiting time of all calls together, by the limit for which the head of the queue waited; longest first. Includes the calls that gave
    /// up.
    pub wait_reasons: Vec<(WaitReason, Duration)>,
    /// The number of `too_late` rejections by the limit that would have delayed the call too long; highest first.
    pub rejection_reasons: Vec<(WaitReason, u64)>,
    /// The span, divided into 240 bins.
    pub bins: Vec<TimeBin>,
}

/// The number of rejected calls by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// Calls that could not be admitted before they gave up.
    pub too_late: u64,
    /// Calls that found the wait queue full.
    pub queue_full: u64,
    /// Calls that need more than a limit can ever grant.
    pub unsatisfiable: u64,
}

impl Rejections {
    /// Returns the number of all rejected calls.
    pub fn total(&self) -> u64 {
        self.too_late + self.queue_full + self.unsatisfiable
    }
}

/// What happened in a part of the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeBin {
    /// Calls that arrived.
    pub offered: u64,
    /// Calls that were admitted.
    pub admitted: u64,
    /// Calls that were rejected.
    pub rejected: u64,
    /// The longest wait of the calls that were admitted.
    pub longest_wait: Duration,
}

impl Forecast {
    /// Returns a quantile of the waits of admitted calls: 0.5 is the median, 1 the maximum. Zero if no call was admitted.
    pub fn wait_quantile(&self, quantile: f64) -> Duration {
        let last = self.waits.len().saturating_sub(1);
        let rank = (quantile * self.waits.len() as f64).ceil() as usize;
        self.waits
            .get(rank.saturating_sub(1).min(last))
            .copied()
            .unwrap_or_default()
    }

    /// Returns the answered calls per second of the span.
    pub fn goodput(&self) -> f64 {
        self.answered as f64 / self.span.as_secs_f64()
    }

    /// Returns the limit that caused most of the waiting or, if no call waited, most of the rejections.
    pub fn binding_limit(&self) -> Option<WaitReason> {
        let waited = self.wait_reasons.first().map(|(why, _)| *why);
        waited.or_else(|| self.rejection_reasons.first().map(|(why, _)| *why))
    }
}
