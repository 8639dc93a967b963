//! Observed limits: limits that the provider reveals, where they are stricter than the configured ones.
//!
//! There are two sources. Response headers report how much of a limit remains. Refusals show that a limit was
//! reached; from refusals, a [`Pace`] infers when and how fast to go on. Observed limits apply in addition to
//! the configured limits.

mod observed_limit;
mod pace;
#[cfg(test)]
mod tests;
mod throughput;

use std::time::Duration;

pub(super) use self::observed_limit::refill_counter;
use self::observed_limit::{MINUTE, ObservedLimit};
use self::pace::Pace;
pub(super) use self::pace::SavedPace;
use super::cooldown::RefusalWait;
use super::demand::Demand;
use super::limit_snapshot::LimitSnapshots;
use crate::time::Timestamp;

/// Time without a new report after which a limit without a known end is removed.
const SNAPSHOT_LIFETIME: Duration = Duration::from_secs(120);

/// The limits observed for a key or quota group.
#[derive(Clone, Debug, Default)]
pub(super) struct ObservedLimits {
    /// Whether limits are inferred. If not, a refusal still starts a pause.
    pub(super) enabled: bool,
    /// `None` until the first request is sent. Boxed, because many keys are never used.
    state: Option<Box<ObservedState>>,
}

#[derive(Clone, Debug)]
struct ObservedState {
    pace: Pace,
    requests: ObservedLimit,
    tokens: ObservedLimit,
    /// The times at which the limits on requests (index 0) and on tokens (index 1) were last reported.
    reported_at: [Timestamp; 2],
}

impl ObservedLimits {
    /// Merges observations of the same limits, made with another key. Of each limit, the stricter observation
    /// applies.
    pub(super) fn merge(&mut self, other: Self, now: Timestamp) {
        match (&mut self.state, other.state) {
            (Some(own), Some(other)) => own.merge(*other, now),
            (None, Some(other)) => self.state = Some(other),
            (_, None) => {}
        }
    }

    /// Returns whether a learned pace or a reported limit spreads requests over time.
    pub(super) fn is_paced(&self) -> bool {
        self.per_minute().is_some()
    }

    /// Returns the maximum number of requests per minute that observed limits allow. `None` if no limit was
    /// observed.
    pub(super) fn per_minute(&self) -> Option<f64> {
        let state = self.state.as_ref()?;
        let pace = state.pace.rate().map(|rate| rate * MINUTE.as_secs_f64());
        let limit = state.requests.bucket();
        let limit = limit.map(|bucket| bucket.rate_limit().per_second() * MINUTE.as_secs_f64());
        pace.into_iter().chain(limit).reduce(f64::min)
    }

    /// Returns the earliest time at which observed limits admit `demand`.
    #[inline(always)]
    pub(super) fn ready_at(&self, demand: Demand, now: Timestamp) -> Timestamp {
        let Some(state) = &self.state else { return now };
        let requests = state.requests.ready_at(demand.requests, now);
        let tokens = state.tokens.ready_at(demand.tokens.max(1), now);
        state.pace.ready_at(now).max(requests).max(tokens)
    }

    /// Returns the end of the pause after a refusal, or of the wait for the outcome of a probe. `None` if no
    /// refusal keeps requests waiting.
    #[inline(always)]
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.state.as_ref()?.pace.paused_until(now)
    }

    /// Returns whether the outcome of a probe is awaited.
    pub(super) fn is_probing(&self, now: Timestamp) -> bool {
        self.state
            .as_ref()
            .is_some_and(|state| state.pace.is_probing(now))
    }

    /// Charges a request that is sent at `now`.
    #[inline(always)]
    pub(super) fn charge(&mut self, demand: Demand, now: Timestamp) {
        if self.enabled || self.state.is_some() {
            let state = self
                .state
                .get_or_insert_with(|| Box::new(ObservedState::new(now)));
            state.charge(demand, now);
        }
    }

    /// Refunds a charge made at `sent_at` for a request that was not sent.
    pub(super) fn refund(&mut self, demand: Demand, sent_at: Timestamp) {
        if let Some(state) = &mut self.state {
            state.pace.refund(sent_at);
            state.requests.refund(demand.requests);
            state.tokens.refund(demand.tokens);
        }
    }

    /// Records the success of a request that was sent at `sent_at`. Returns whether the success ends a pause.
    #[inline(always)]
    pub(super) fn record_success(&mut self, sent_at: Timestamp, now: Timestamp) -> bool {
        let state = self.state.as_mut();
        state.is_some_and(|state| state.pace.record_success(sent_at, now))
    }

    /// Records that a request that was sent at `sent_at` failed for a reason other than a rate limit.
    pub(super) fn record_failure(&mut self, sent_at: Timestamp, now: Timestamp) {
        if let Some(state) = &mut self.state {
            state.pace.record_failure(sent_at, now);
        }
    }

    /// Records the limits that a response reports. `others`: number of other attempts in flight, which the response
    /// may not have counted.
    pub(super) fn record_snapshots(&mut self, snapshots: &LimitSnapshots, others: u32, now: Timestamp) {
        if self.enabled && std::env::var_os("HDR").is_some() {
            let state = self
                .state
                .get_or_insert_with(|| Box::new(ObservedState::new(now)));
            state.record_snapshots(snapshots, others, now);
        }
    }

    /// Records a refusal, for a rate limit, of a request that was sent at `sent_at`. `infers`: whether a pace may be
    /// inferred from the refusal.
    ///
    /// Returns the state before the refusal if the refusal started a pause, so that it can be reverted.
    pub(super) fn record_refusal(
        &mut self,
        sent_at: Timestamp,
        wait: RefusalWait,
        infers: bool,
        now: Timestamp,
    ) -> Option<SavedPace> {
        let infers = infers && self.enabled;
        let state = self
            .state
            .get_or_insert_with(|| Box::new(ObservedState::new(now)));
        state.pace.record_refusal(sent_at, wait, infers, now)
    }

    /// Reverts a refusal, if the pause that it started is still the current one.
    pub(super) fn restore(&mut self, saved: SavedPace) {
        if let Some(state) = &mut self.state {
            state.pace.restore(saved);
        }
    }

    /// Pauses until `until`, without inferring anything.
    pub(super) fn pause_until(&mut self, until: Timestamp, now: Timestamp) {
        let state = self
            .state
            .get_or_insert_with(|| Box::new(ObservedState::new(now)));
        state.pace.pause_until(until, now);
    }

    /// Forgets everything that was observed.
    pub(super) fn reset(&mut self) {
        self.state = None;
    }
}

impl ObservedState {
    fn new(now: Timestamp) -> Self {
        Self {
            pace: Pace::new(now),
            requests: ObservedLimit::default(),
            tokens: ObservedLimit::default(),
            reported_at: [now; 2],
        }
    }

    fn merge(&mut self, other: Self, now: Timestamp) {
        self.requests.merge(other.requests, now);
        self.tokens.merge(other.tokens, now);
        for (own, other) in self.reported_at.iter_mut().zip(other.reported_at) {
            *own = (*own).max(other);
        }
    }

    fn record_snapshots(&mut self, snapshots: &LimitSnapshots, others: u32, now: Timestamp) {
        self.requests.record_snapshot(&snapshots.requests, others, now);
        self.tokens.record_snapshot(&snapshots.tokens, 0, now);
        let snapshots = [snapshots.requests, snapshots.tokens];
        for (reported_at, snapshot) in self.reported_at.iter_mut().zip(snapshots) {
            if snapshot.remaining.is_some() {
                *reported_at = now;
            }
        }
    }

    /// Removes limits that responses no longer report, because the provider has changed them.
    fn remove_outdated(&mut self, now: Timestamp) {
        let limits = [&mut self.requests, &mut self.tokens];
        for (limit, reported_at) in limits.into_iter().zip(self.reported_at) {
            if limit.bucket().is_some() && now.since(reported_at) > SNAPSHOT_LIFETIME {
                *limit = ObservedLimit::Unknown;
            }
        }
    }

    fn charge(&mut self, demand: Demand, now: Timestamp) {
        self.remove_outdated(now);
        self.requests.charge(demand.requests, now);
        self.tokens.charge(demand.tokens, now);
        self.pace.charge(now);
    }
}
