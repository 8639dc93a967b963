//! Observed limits: limits that the provider reveals in its responses. Observed limits apply in addition to
//! the configured limits and never relax them.
//!
//! There are two sources. First, response headers report how much of a limit remains. Such a limit applies
//! until its window ends, or until responses have not reported it for two minutes. Second, if no headers
//! report a limit on requests, a request rate is inferred from refusals. An inferred rate is relaxed by 5 %
//! for every minute without a refusal.

mod inferred_rate;
mod observed_limit;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::inferred_rate::{InferredRate, RecentRequests, TIGHTEN};
use self::observed_limit::{MINUTE, ObservedLimit};
use super::demand::Demand;
use super::limit_snapshot::LimitSnapshots;
use crate::time::Timestamp;

/// Minimum request rate, per minute, from which on a single refusal is enough to infer a rate limit. At lower
/// rates, a second refusal within `RELATED` is needed.
const MIN_RATE: f64 = 20.0;
const RELATED: Duration = Duration::from_secs(300);
/// A refusal that follows another within this time is ignored, because both belong to the same burst of
/// requests.
const SAME_BURST: Duration = Duration::from_millis(500);
/// Time without a new report after which a reported limit is removed. Does not apply to a window with a known
/// end.
const SNAPSHOT_LIFETIME: Duration = Duration::from_secs(120);
/// An inferred rate is removed once it exceeds the rate of recent requests by more than this factor.
const IRRELEVANT: f64 = 2.0;

/// The limits observed for a key or quota group.
#[derive(Clone, Debug, Default)]
pub(super) struct ObservedLimits {
    pub(super) enabled: bool,
    /// Observed limits that currently apply. Boxed, because most keys have none.
    bounds: Option<Box<ObservedBounds>>,
    recent: RecentRequests,
    refused_at: Option<Timestamp>,
    sent_since_refusal: u32,
}

#[derive(Clone, Debug, Default)]
struct ObservedBounds {
    requests: ObservedLimit,
    tokens: ObservedLimit,
    /// When the limits on requests (index 0) and on tokens (index 1) were last reported.
    reported_at: [Timestamp; 2],
    rate: Option<InferredRate>,
}

impl ObservedLimits {
    pub(super) fn is_paced(&self) -> bool {
        self.bounds.as_ref().is_some_and(|bounds| bounds.is_paced())
    }

    /// Returns the number of requests per minute that observed limits allow in the long run. `None` if no
    /// limit on the rate has been observed, or only a window with a fixed end.
    pub(super) fn per_minute(&self) -> Option<f64> {
        self.bounds.as_ref()?.per_minute()
    }

    #[inline(always)]
    pub(super) fn ready_at(&self, demand: Demand, now: Timestamp) -> Timestamp {
        self.bounds
            .as_ref()
            .map_or(now, |bounds| bounds.ready_at(demand, now))
    }

    #[inline(always)]
    pub(super) fn charge(&mut self, demand: Demand, now: Timestamp) {
        if !self.enabled {
            return;
        }
        self.recent.record(now);
        self.sent_since_refusal = self.sent_since_refusal.saturating_add(1);
        if let Some(bounds) = &mut self.bounds {
            bounds.charge(demand, &self.recent, now);
            if bounds.is_empty() {
                self.bounds = None;
            }
        }
    }

    pub(super) fn refund(&mut self, demand: Demand) {
        if let Some(bounds) = &mut self.bounds {
            bounds.requests.refund(demand.requests);
            bounds.tokens.refund(demand.tokens);
        }
    }

    /// Records the limits that the headers of a response report. `others`: number of other attempts in
    /// flight, which the reported numbers might not include yet.
    pub(super) fn record_snapshots(&mut self, snapshots: &LimitSnapshots, others: u32, now: Timestamp) {
        if !self.enabled {
            return;
        }
        let mut bounds = self.bounds.take().unwrap_or_default();
        bounds.record_snapshots(snapshots, others, now);
        self.bounds = Some(bounds).filter(|bounds| !bounds.is_empty());
    }

    /// Records that the provider refused a request because of a rate limit.
    pub(super) fn record_refusal(&mut self, now: Timestamp) {
        if !self.enabled {
            return;
        }
        if let Some(bounds) = &mut self.bounds
            && !matches!(bounds.requests, ObservedLimit::Unknown)
        {
            // A reported limit is more precise than the refusal, unless the length of its window is assumed.
            bounds.requests.widen(now);
            bounds.reported_at[0] = now;
            return;
        }
        let since = self.refused_at.map(|at| now.since(at));
        if since.is_some_and(|since| since < SAME_BURST) {
            return;
        }
        self.refused_at = Some(now);
        let sent = std::mem::take(&mut self.sent_since_refusal);
        let inferred = match since.filter(|since| *since <= RELATED) {
            // The time includes the cooldown between the refusals, so this is the rate that the provider
            // admits.
            Some(since) => f64::from(sent) * MINUTE.div_duration_f64(since.max(Duration::from_secs(1))),
            None if self.recent.per_minute(now) < MIN_RATE => return,
            None => self.recent.per_minute(now) * TIGHTEN,
        };
        let current = self.bounds.as_ref().and_then(|bounds| bounds.rate.as_ref());
        let tighter = current.map_or(inferred, |rate| inferred.min(rate.per_minute() * TIGHTEN));
        if let Some(rate) = InferredRate::new(tighter, now) {
            self.bounds.get_or_insert_default().rate = Some(rate);
        }
    }
}

impl ObservedBounds {
    fn is_empty(&self) -> bool {
        let limits = (&self.requests, &self.tokens);
        self.rate.is_none() && matches!(limits, (ObservedLimit::Unknown, ObservedLimit::Unknown))
    }

    fn is_paced(&self) -> bool {
        self.rate.is_some() || self.requests.bucket().is_some()
    }

    fn per_minute(&self) -> Option<f64> {
        let rate = self.rate.as_ref().map(InferredRate::per_minute);
        let limit = self
            .requests
            .bucket()
            .map(|bucket| bucket.rate_limit().per_second() * MINUTE.as_secs_f64());
        rate.into_iter().chain(limit).reduce(f64::min)
    }

    fn ready_at(&self, demand: Demand, now: Timestamp) -> Timestamp {
        let rate = self.rate.as_ref().map_or(now, |rate| rate.ready_at(now));
        rate.max(self.requests.ready_at(demand.requests, now))
            .max(self.tokens.ready_at(demand.tokens.max(1), now))
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

    /// Removes limits that responses no longer report, because the provider has probably changed them.
    fn remove_outdated(&mut self, now: Timestamp) {
        let limits = [&mut self.requests, &mut self.tokens];
        for (limit, reported_at) in limits.into_iter().zip(self.reported_at) {
            if limit.bucket().is_some() && now.since(reported_at) > SNAPSHOT_LIFETIME {
                *limit = ObservedLimit::Unknown;
            }
        }
    }

    fn charge(&mut self, demand: Demand, recent: &RecentRequests, now: Timestamp) {
        self.remove_outdated(now);
        self.requests.charge(demand.requests, now);
        self.tokens.charge(demand.tokens, now);
        if let Some(rate) = &mut self.rate {
            rate.charge(now);
            let irrelevant = rate.per_minute() > recent.per_minute(now) * IRRELEVANT + 1.0;
            if irrelevant && rate.may_end(now) {
                self.rate = None;
            }
        }
    }
}
