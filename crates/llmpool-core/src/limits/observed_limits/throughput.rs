//! Number of requests per second that a provider has not refused, over the last minute.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::time::Timestamp;

/// Number of seconds for which requests are counted.
const SECONDS: usize = 64;
/// Longest span over which a rate is measured.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// Counts of requests that were sent and not refused, one count per second of the last minute.
///
/// A request counts from the time at which it is sent. A refusal removes the request again.
#[derive(Clone, Debug)]
pub(super) struct Throughput {
    counts: [u32; SECONDS],
    /// The second, counted from [`Timestamp::ZERO`], of the latest count.
    latest: u64,
    /// The time at which requests began to be sent after a pause of at least a minute.
    active_since: Timestamp,
}

impl Throughput {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            counts: [0; SECONDS],
            latest: second(now),
            active_since: now,
        }
    }

    /// Counts a request that is sent at `now`.
    pub(super) fn add(&mut self, now: Timestamp) {
        self.advance(now);
        let count = &mut self.counts[slot(self.latest)];
        *count = count.saturating_add(1);
    }

    /// Removes a request that was sent at `sent_at`.
    pub(super) fn remove(&mut self, sent_at: Timestamp) {
        let sent = second(sent_at);
        if sent <= self.latest && sent + SECONDS as u64 > self.latest {
            let count = &mut self.counts[slot(sent)];
            *count = count.saturating_sub(1);
        }
    }

    /// Returns the number of counted requests in the last `span`, and the part of `span` in which requests were
    /// sent at all. `span` is at most a minute.
    pub(super) fn in_last(&self, span: Duration, now: Timestamp) -> (u32, Duration) {
        let active = now.since(self.active_since);
        let count = self.counts(span, now).fold(0, u32::saturating_add);
        (count, span.min(active).max(Duration::from_secs(1)))
    }

    /// Returns the counts of the seconds in the last `span`, oldest first.
    fn counts(&self, span: Duration, now: Timestamp) -> impl Iterator<Item = u32> {
        let oldest = second(now).saturating_sub(span.as_secs().saturating_sub(1));
        let oldest = oldest.max((self.latest + 1).saturating_sub(SECONDS as u64));
        (oldest..=self.latest).map(|second| self.counts[slot(second)])
    }

    /// Returns the largest number of requests by which those of any seconds in the last minute exceeded `rate` per
    /// second.
    pub(super) fn burst(&self, rate: f64, now: Timestamp) -> f64 {
        let (mut excess, mut most) = (0.0_f64, 0.0_f64);
        for count in self.counts(MINUTE, now) {
            excess = (excess + f64::from(count) - rate).max(0.0);
            most = most.max(excess);
        }
        most
    }

    /// Returns the mean number of counted requests per second in the last `span`.
    pub(super) fn per_second(&self, span: Duration, now: Timestamp) -> f64 {
        let (count, active) = self.in_last(span, now);
        f64::from(count) / active.as_secs_f64()
    }

    fn advance(&mut self, now: Timestamp) {
        let now_second = second(now);
        if now_second <= self.latest {
            return;
        }
        if now_second - self.latest >= MINUTE.as_secs() {
            *self = Self::new(now);
            return;
        }
        for passed in self.latest + 1..=now_second {
            self.counts[slot(passed)] = 0;
        }
        self.latest = now_second;
    }
}

fn second(time: Timestamp) -> u64 {
    time.as_nanos() / 1_000_000_000
}

fn slot(second: u64) -> usize {
    (second % SECONDS as u64) as usize
}
