//! The result of a forecast for one model.

use std::time::Duration;

use super::utilization::{KeyUsage, Utilization};
use crate::limits::WaitReason;

/// The forecast for the calls of one model: how many calls are admitted or rejected, and how long they wait.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forecast {
    /// The number of calls that arrived during the [`span`](Forecast::span) of the forecast.
    pub offered: u64,
    /// The number of calls that were admitted before the end of the [`span`](Forecast::span).
    pub answered: u64,
    /// The number of all admitted calls, including calls that were admitted after the end of the
    /// [`span`](Forecast::span).
    pub admitted: u64,
    /// The numbers of rejected calls, by reason.
    pub rejected: Rejections,
    /// The length of the period in which calls arrived, copied from [`Traffic::span`](super::Traffic::span).
    pub span: Duration,
    /// The total number of prompt and output tokens of the [`answered`](Forecast::answered) calls.
    pub tokens: u64,
    /// The wait of each admitted call from its arrival to its admission, in ascending order.
    pub waits: Vec<Duration>,
    /// The utilization of the model's most used limit. Limits of keys are not considered. `None` if the model
    /// has no limits of its own.
    pub model_limit: Option<Utilization>,
    /// The usage of each key of the model, including calls of other models that share the key.
    pub keys: Vec<KeyUsage>,
    /// The total waiting time of all calls, including rejected calls, by the limit that caused the wait;
    /// longest time first. While several calls wait, the limit that delays the first call in the queue counts
    /// as the cause for all of them.
    pub wait_reasons: Vec<(WaitReason, Duration)>,
    /// The number of [`too_late`](Rejections::too_late) rejections, by the limit that would have delayed the
    /// call too long; highest number first.
    pub rejection_reasons: Vec<(WaitReason, u64)>,
    /// The numbers of arrivals, admissions and rejections over time. The span is divided into 240 bins of
    /// equal duration, in chronological order.
    pub bins: Vec<TimeBin>,
}

/// The numbers of rejected calls, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// The number of calls that could not be admitted within [`Traffic::patience`](super::Traffic::patience),
    /// the maximum wait.
    pub too_late: u64,
    /// The number of calls that arrived while the wait queue was full.
    pub queue_full: u64,
    /// The number of calls that could never be admitted, because a single call exceeded the capacity of a
    /// limit.
    pub unsatisfiable: u64,
}

impl Rejections {
    /// Returns the total number of rejected calls.
    pub fn total(&self) -> u64 {
        self.too_late + self.queue_full + self.unsatisfiable
    }
}

/// The numbers of arrivals, admissions and rejections in one bin, which is 1/240 of the span of a forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeBin {
    /// The number of calls that arrived during this bin.
    pub offered: u64,
    /// The number of calls that were admitted during this bin.
    pub admitted: u64,
    /// The number of calls that were rejected during this bin.
    pub rejected: u64,
    /// The longest wait among the calls that were admitted during this bin. Zero if no call was admitted.
    pub longest_wait: Duration,
}

impl Forecast {
    /// Returns a quantile of the waits of all admitted calls. `quantile` is a number from 0 to 1: for
    /// example, 0.5 stands for the median and 1 for the longest wait. Returns zero if no call was admitted.
    pub fn wait_quantile(&self, quantile: f64) -> Duration {
        let last = self.waits.len().saturating_sub(1);
        let rank = (quantile * self.waits.len() as f64).ceil() as usize;
        self.waits
            .get(rank.saturating_sub(1).min(last))
            .copied()
            .unwrap_or_default()
    }

    /// Returns the number of [`answered`](Self::answered) calls, divided by the span in seconds.
    pub fn goodput(&self) -> f64 {
        self.answered as f64 / self.span.as_secs_f64()
    }

    /// Returns the limit that caused the most waiting time. If no call waited, returns the limit that caused
    /// the most [`too_late`](Rejections::too_late) rejections. Returns `None` if there were neither waits nor
    /// `too_late` rejections.
    pub fn binding_limit(&self) -> Option<WaitReason> {
        let waited = self.wait_reasons.first().map(|(why, _)| *why);
        waited.or_else(|| self.rejection_reasons.first().map(|(why, _)| *why))
    }
}
