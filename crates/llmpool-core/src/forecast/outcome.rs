//! The forecast of one model.

use std::time::Duration;

use super::utilization::{KeyUsage, Utilization};
use crate::limits::WaitReason;

/// The forecast of one model's calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forecast {
    /// The number of calls that arrived.
    pub offered: u64,
    /// The number of calls that were admitted within the span.
    pub answered: u64,
    /// The number of calls that were admitted, within the span or after its end.
    pub admitted: u64,
    /// The numbers of rejected calls by reason.
    pub rejected: Rejections,
    /// The duration during which calls arrived, as given by the traffic.
    pub span: Duration,
    /// The total number of prompt and output tokens of the `answered` calls.
    pub tokens: u64,
    /// The time from arrival to admission of each admitted call, in ascending order.
    pub waits: Vec<Duration>,
    /// The utilization of the most used limit among the model's own limits; `None` if the model has no limits of its own.
    pub model_limit: Option<Utilization>,
    /// The usage of each of the model's keys. Includes the calls of other models that use the same key.
    pub keys: Vec<KeyUsage>,
    /// The waiting time of all calls together, by the limit that delayed the call at the head of the queue; longest time first. Includes
    /// calls that were rejected after a wait.
    pub wait_reasons: Vec<(WaitReason, Duration)>,
    /// The number of `too_late` rejections, by the limit that would have delayed the calls too long; highest number first.
    pub rejection_reasons: Vec<(WaitReason, u64)>,
    /// The events of the span, in 240 bins of equal duration in chronological order.
    pub bins: Vec<TimeBin>,
}

/// The number of rejected calls by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// Calls that could not be admitted within [`Traffic::patience`](super::Traffic::patience).
    pub too_late: u64,
    /// Calls that arrived when the wait queue was full.
    pub queue_full: u64,
    /// Calls that can never be admitted, because they exceed the capacity of a limit.
    pub unsatisfiable: u64,
}

impl Rejections {
    /// Returns the total number of rejected calls.
    pub fn total(&self) -> u64 {
        self.too_late + self.queue_full + self.unsatisfiable
    }
}

/// The numbers of arrivals, admissions and rejections in one part of the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeBin {
    /// The number of calls that arrived in this part of the span.
    pub offered: u64,
    /// The number of calls that were admitted in this part of the span.
    pub admitted: u64,
    /// The number of calls that were rejected in this part of the span.
    pub rejected: u64,
    /// The longest wait among the calls that were admitted in this part of the span; zero if no call was admitted.
    pub longest_wait: Duration,
}

impl Forecast {
    /// Returns a quantile of the waits of admitted calls. `quantile` is between 0 and 1: 0.5 is the median, and 1 is the maximum. Returns
    /// zero if no call was admitted.
    pub fn wait_quantile(&self, quantile: f64) -> Duration {
        let last = self.waits.len().saturating_sub(1);
        let rank = (quantile * self.waits.len() as f64).ceil() as usize;
        self.waits
            .get(rank.saturating_sub(1).min(last))
            .copied()
            .unwrap_or_default()
    }

    /// Returns the number of [`answered`](Self::answered) calls per second of the span.
    pub fn goodput(&self) -> f64 {
        self.answered as f64 / self.span.as_secs_f64()
    }

    /// Returns the limit that caused the most waiting time or, if no call waited, the most `too_late` rejections. Returns `None` if no
    /// limit delayed or rejected a call in this way.
    pub fn binding_limit(&self) -> Option<WaitReason> {
        let waited = self.wait_reasons.first().map(|(why, _)| *why);
        waited.or_else(|| self.rejection_reasons.first().map(|(why, _)| *why))
    }
}
