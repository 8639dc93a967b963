//! Builds the forecast of one model from the events of a simulation.

use std::cmp::Reverse;
use std::time::Duration;

use super::outcome::{Forecast, TimeBin};
use super::utilization::{KeyUsage, Utilization};
use crate::limits::{Rejection, WaitReason};
use crate::time::Timestamp;

/// The number of bins into which a forecast divides its span.
const BIN_COUNT: usize = 240;

pub(super) struct ForecastBuilder {
    forecast: Forecast,
    start: Timestamp,
    waiting_calls: u64,
    /// The total waiting time of all calls in nanoseconds, by the reason for the wait.
    wait_by_reason: Vec<(WaitReason, u128)>,
}

impl ForecastBuilder {
    pub(super) fn new(span: Duration, start: Timestamp) -> Self {
        Self {
            forecast: Forecast {
                span,
                bins: vec![TimeBin::default(); BIN_COUNT],
                ..Forecast::default()
            },
            start,
            waiting_calls: 0,
            wait_by_reason: Vec::new(),
        }
    }

    pub(super) fn record_arrival(&mut self, now: Timestamp) {
        self.forecast.offered += 1;
        self.update_bin(now, |bin| bin.offered += 1);
    }

    pub(super) fn begin_wait(&mut self) {
        self.waiting_calls += 1;
    }

    pub(super) fn end_wait(&mut self) {
        self.waiting_calls -= 1;
    }

    /// Adds the waiting time of all waiting calls during a period without events. `time` is the length of the
    /// period. The waiting time is attributed to the reason that `reason` returns; `reason` is called only if
    /// a call is waiting.
    pub(super) fn pass_time(&mut self, time: Duration, reason: impl FnOnce() -> Option<WaitReason>) {
        if self.waiting_calls == 0 {
            return;
        }
        if let Some(reason) = reason() {
            *entry(&mut self.wait_by_reason, reason) += time.as_nanos() * u128::from(self.waiting_calls);
        }
    }

    pub(super) fn record_admission(&mut self, waited: Duration, tokens: u64, now: Timestamp) {
        self.forecast.admitted += 1;
        self.forecast.waits.push(waited);
        let is_within_span = self.update_bin(now, |bin| {
            bin.admitted += 1;
            bin.longest_wait = bin.longest_wait.max(waited);
        });
        if is_within_span {
            self.forecast.answered += 1;
            self.forecast.tokens += tokens;
        }
    }

    pub(super) fn record_rejection(&mut self, rejection: Rejection, now: Timestamp) {
        let rejected = &mut self.forecast.rejected;
        match rejection {
            Rejection::TooLate { why, .. } => {
                rejected.too_late += 1;
                *entry(&mut self.forecast.rejection_reasons, why) += 1;
            }
            Rejection::QueueFull { .. } => rejected.queue_full += 1,
            Rejection::Unsatisfiable(_) => rejected.unsatisfiable += 1,
        }
        self.update_bin(now, |bin| bin.rejected += 1);
    }

    pub(super) fn build(self, model_limit: Option<Utilization>, keys: Vec<KeyUsage>) -> Forecast {
        let duration = |nanos| Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let wait_reasons = self.wait_by_reason.into_iter();
        let mut forecast = Forecast {
            model_limit,
            keys,
            wait_reasons: wait_reasons.map(|(why, nanos)| (why, duration(nanos))).collect(),
            ..self.forecast
        };
        forecast.wait_reasons.sort_by_key(|(_, waited)| Reverse(*waited));
        forecast
            .rejection_reasons
            .sort_by_key(|(_, calls)| Reverse(*calls));
        forecast.waits.sort_unstable();
        forecast
    }

    /// Applies `update` to the bin that contains the time `now`, and returns true. Returns false, without an
    /// update, if `now` is outside the span.
    fn update_bin(&mut self, now: Timestamp, update: impl FnOnce(&mut TimeBin)) -> bool {
        let elapsed = now.since(self.start).as_nanos();
        let index = elapsed * BIN_COUNT as u128 / self.forecast.span.as_nanos().max(1);
        let bin = usize::try_from(index)
            .ok()
            .and_then(|index| self.forecast.bins.get_mut(index));
        bin.map(update).is_some()
    }
}

fn entry<T: Default>(entries: &mut Vec<(WaitReason, T)>, reason: WaitReason) -> &mut T {
    let known = entries.iter().position(|(known, _)| *known == reason);
    let index = known.unwrap_or_else(|| {
        entries.push((reason, T::default()));
        entries.len() - 1
    });
    &mut entries[index].1
}
