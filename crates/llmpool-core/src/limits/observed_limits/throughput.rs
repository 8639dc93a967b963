//! Number of requests per second that a provider has not refused, over the last minute.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Timestamp;

/// Number of seconds for which requests are counted.
const SECONDS: usize = 60;
/// Longest span over which a rate is measured.
pub(super) const MINUTE: Duration = Duration::from_secs(SECONDS as u64);

/// Counts of requests that were sent and not refused, one count per second of the last minute.
///
/// A request counts from the time at which it is sent. A refusal removes the request again.
#[derive(Clone, Debug, Default)]
pub(super) struct Throughput {
    /// The latest count first. Empty before the first request: many keys are never used.
    counts: VecDeque<u32>,
    /// The second, counted from [`Timestamp::ZERO`], of the latest count.
    latest: u64,
    /// The time at which requests began to be sent after a pause of at least a minute.
    active_since: Timestamp,
}

impl Throughput {
    /// Counts a request that is sent at `now`.
    pub(super) fn add(&mut self, now: Timestamp) {
        let passed = second(now).saturating_sub(self.latest);
        if self.counts.is_empty() || passed >= MINUTE.as_secs() {
            self.counts = VecDeque::from([0; SECONDS]);
            self.active_since = now;
        } else {
            self.counts.truncate(SECONDS - passed as usize);
            (0..passed).for_each(|_| self.counts.push_front(0));
        }
        self.latest += passed;
        self.counts[0] = self.counts[0].saturating_add(1);
    }

    /// Removes a request that was sent at `sent_at`.
    pub(super) fn remove(&mut self, sent_at: Timestamp) {
        let age = self.latest.checked_sub(second(sent_at));
        if let Some(count) = age.and_then(|age| self.counts.get_mut(age as usize)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Returns the number of counted requests in the last `span`, and their number per second of the part of `span`
    /// in which requests were sent at all. `span` is at least a second and at most a minute.
    pub(super) fn in_last(&self, span: Duration, now: Timestamp) -> (u32, f64) {
        let count = self.counts(span, now).fold(0, u32::saturating_add);
        let active = span.min(now.since(self.active_since)).max(Duration::from_secs(1));
        (count, f64::from(count) / active.as_secs_f64())
    }

    /// Returns the largest number of requests by which those of successive seconds in the last minute exceeded
    /// `rate` per second.
    pub(super) fn burst(&self, rate: f64, now: Timestamp) -> f64 {
        let (mut excess, mut most) = (0.0_f64, 0.0_f64);
        for count in self.counts(MINUTE, now) {
            excess = (excess + f64::from(count) - rate).max(0.0);
            most = most.max(excess);
        }
        most
    }

    /// Returns the counts of the seconds in the last `span`, oldest first.
    fn counts(&self, span: Duration, now: Timestamp) -> impl Iterator<Item = u32> {
        let seconds = (self.latest + span.as_secs()).saturating_sub(second(now));
        self.counts.iter().take(seconds as usize).rev().copied()
    }
}

fn second(time: Timestamp) -> u64 {
    time.as_nanos() / 1_000_000_000
}
