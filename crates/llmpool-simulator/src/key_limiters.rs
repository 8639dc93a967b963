//! The limiters of all keys and accounts of a scenario.
//!
//! Invariant: a request passes only if both the limiter of its key and the limiter of the key's account let
//! the request pass. A request that passes counts in both limiters. A denied request counts only in limiters
//! with [`count_denied`](crate::ProviderLimits::count_denied).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::dialect::LimitReport;
use crate::limits::{LimitExceeded, ProviderLimitKind, ProviderLimiter, WindowStatus};
use crate::scenario::Scenario;

/// All limiters of a scenario, with a list that shows which limiters apply to each key.
#[derive(Debug)]
pub(crate) struct KeyLimiters {
    limiters: Mutex<Vec<ProviderLimiter>>,
    keys: Vec<LimitedKey>,
    clock: Clock,
}

/// The limiters that apply to a key, and the organization of the key's account.
#[derive(Debug, Default)]
struct LimitedKey {
    /// Zero-based indexes into [`KeyLimiters::limiters`]: the index of the key's own limiter and the index of
    /// its account's limiter. Empty if neither the key nor the account has limits.
    limiters: Vec<usize>,
    organization: Option<String>,
}

/// The result of checking a request against the limits of its key and account.
#[derive(Debug)]
pub(crate) struct LimitDecision {
    pub(crate) result: Result<InFlightSlot, LimitExceeded>,
    /// The state of the limits after the decision, which the response headers report.
    pub(crate) report: LimitReport,
}

/// The place that a request in flight occupies in the concurrency limits of its key and account. Dropping the
/// slot frees the place.
#[derive(Debug)]
pub(crate) struct InFlightSlot {
    limiters: Arc<KeyLimiters>,
    key: Option<usize>,
}

impl KeyLimiters {
    pub(crate) fn new(scenario: &Scenario, clock: Clock) -> Self {
        let mut limiters = Vec::new();
        let mut add_limiter = |limits| {
            limiters.push(ProviderLimiter::new(limits));
            limiters.len() - 1
        };
        let shared: Vec<Option<usize>> = scenario
            .accounts
            .iter()
            .map(|account| account.limits.map(&mut add_limiter))
            .collect();
        let keys = scenario.keys.iter().map(|key| {
            let account = scenario.account_of(key);
            LimitedKey {
                limiters: [
                    key.limits.map(&mut add_limiter),
                    account.and_then(|index| shared[index]),
                ]
                .into_iter()
                .flatten()
                .collect(),
                organization: account.and_then(|index| scenario.accounts[index].organization.clone()),
            }
        });
        Self {
            keys: keys.collect(),
            limiters: Mutex::new(limiters),
            clock,
        }
    }

    /// Checks a request with this number of tokens against the limits of its key and account, and counts the
    /// request if it passes. `key` is the zero-based index of the request's key in the scenario; a request
    /// without a key always passes.
    pub(crate) fn try_acquire(self: &Arc<Self>, key: Option<usize>, tokens: u32) -> LimitDecision {
        let mut limiters = self.lock();
        // The clock is read under the lock, so that the times of successive calls never decrease.
        let now = self.clock.elapsed();
        let result =
            try_acquire(&mut self.limiters_of(key, &mut limiters), tokens, now).map(|()| InFlightSlot {
                limiters: Arc::clone(self),
                key,
            });
        let mut scarcest = |limit| scarcest(&mut self.limiters_of(key, &mut limiters), limit, now);
        let report = LimitReport {
            requests: scarcest(ProviderLimitKind::Requests),
            tokens: scarcest(ProviderLimitKind::Tokens),
            day: scarcest(ProviderLimitKind::Day),
            ..self.organization_report(key)
        };
        LimitDecision { result, report }
    }

    /// Returns a report with the organization of the key's account and without the state of any limit. Used
    /// for requests to `/v1/models`, which do not count towards limits.
    pub(crate) fn organization_report(&self, key: Option<usize>) -> LimitReport {
        LimitReport {
            organization: self
                .limited_key(key)
                .and_then(|limited| limited.organization.clone()),
            ..LimitReport::default()
        }
    }

    fn release(&self, key: Option<usize>) {
        let mut limiters = self.lock();
        for limiter in self.limiters_of(key, &mut limiters) {
            limiter.release();
        }
    }

    fn limited_key(&self, key: Option<usize>) -> Option<&LimitedKey> {
        self.keys.get(key?)
    }

    fn limiters_of<'a>(
        &self,
        key: Option<usize>,
        all: &'a mut [ProviderLimiter],
    ) -> Vec<&'a mut ProviderLimiter> {
        let indexes = self.limited_key(key).map_or(&[][..], |limited| &limited.limiters);
        all.iter_mut()
            .enumerate()
            .filter(|(index, _)| indexes.contains(index))
            .map(|(_, limiter)| limiter)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ProviderLimiter>> {
        self.limiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlightSlot {
    fn drop(&mut self) {
        self.limiters.release(self.key);
    }
}

/// Counts the request in all `limiters` if all of them let the request pass. Otherwise, returns the denial
/// with the longest wait.
fn try_acquire(
    limiters: &mut [&mut ProviderLimiter],
    tokens: u32,
    now: Duration,
) -> Result<(), LimitExceeded> {
    let denials = limiters
        .iter_mut()
        .filter_map(|limiter| limiter.check(tokens, now).err());
    let Some(longest) = denials.max_by_key(wait_or_max) else {
        limiters.iter_mut().for_each(|limiter| limiter.spend(tokens, now));
        return Ok(());
    };
    let counted = limiters
        .iter_mut()
        .map(|limiter| limiter.count_denied(longest, tokens, now));
    Err(counted.max_by_key(wait_or_max).unwrap_or(longest))
}

fn wait_or_max(exceeded: &LimitExceeded) -> Duration {
    exceeded.wait.unwrap_or(Duration::MAX)
}

/// Returns the state of the limit of kind `limit` in the limiter that has the fewest requests or tokens
/// remaining. Returns `None` if no limiter has a limit of this kind.
fn scarcest(
    limiters: &mut [&mut ProviderLimiter],
    limit: ProviderLimitKind,
    now: Duration,
) -> Option<WindowStatus> {
    let statuses = limiters
        .iter_mut()
        .filter_map(|limiter| limiter.window_status(limit, now));
    statuses.min_by_key(|status| status.remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiters(json: &str) -> Arc<KeyLimiters> {
        Arc::new(KeyLimiters::new(
            &Scenario::from_json(json).unwrap(),
            Clock::start(0.0),
        ))
    }

    /// Returns the limit that denies a request, or `None` if the request passes. A request that passes stays in flight.
    fn denied_by(limiters: &Arc<KeyLimiters>, key: usize) -> Option<ProviderLimitKind> {
        match limiters.try_acquire(Some(key), 1).result {
            Ok(slot) => {
                std::mem::forget(slot);
                None
            }
            Err(exceeded) => Some(exceeded.limit),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keys_of_an_account_share_its_limits() {
        let limiters = limiters(
            r#"{"accounts": [{"name": "a", "limits": {"requests": 2, "window": "sliding"}}, {"name": "free"}],
                "keys": [{"key": "k0", "account": "a"}, {"key": "k1", "account": "a"}, {"key": "k2"},
                         {"key": "k3", "account": "free"}]}"#,
        );
        assert_eq!([denied_by(&limiters, 0), denied_by(&limiters, 1)], [None, None]);
        let full = Some(ProviderLimitKind::Requests);
        assert_eq!([denied_by(&limiters, 0), denied_by(&limiters, 1)], [full, full]);
        assert_eq!([denied_by(&limiters, 2), denied_by(&limiters, 3)], [None, None]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(denied_by(&limiters, 1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn request_denied_by_account_is_not_counted_by_key() {
        let limiters = limiters(
            r#"{"accounts": [{"name": "a", "limits": {"requests": 1, "per": 1, "window": "sliding"}}],
                "keys": [{"key": "k", "account": "a", "limits": {"requests": 2, "window": "sliding"}}]}"#,
        );
        assert_eq!(
            [denied_by(&limiters, 0), denied_by(&limiters, 0)],
            [None, Some(ProviderLimitKind::Requests)]
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(
            denied_by(&limiters, 0),
            None,
            "the denied request counted for the key"
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        let denied = limiters.try_acquire(Some(0), 1).result.unwrap_err();
        assert_eq!(
            denied.wait,
            Some(Duration::from_secs(58)),
            "the limit of the key is reached"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_slot_is_released_by_key_and_account() {
        let limiters = limiters(
            r#"{"accounts": [{"name": "a", "limits": {"concurrency": 1}}],
                "keys": [{"key": "k0", "account": "a"}, {"key": "k1", "account": "a", "limits": {"concurrency": 1}}]}"#,
        );
        let slot = limiters.try_acquire(Some(1), 1).result.unwrap();
        let full = Some(ProviderLimitKind::Concurrency);
        assert_eq!([denied_by(&limiters, 0), denied_by(&limiters, 1)], [full, full]);
        drop(slot);
        assert_eq!([denied_by(&limiters, 1), denied_by(&limiters, 0)], [None, full]);
    }

    #[tokio::test(start_paused = true)]
    async fn report_has_the_scarcest_status() {
        let limiters = limiters(
            r#"{"accounts": [{"name": "a", "limits": {"requests": 100}, "organization": "org-a"}],
                "keys": [{"key": "k", "account": "a", "limits": {"requests": 5, "tokens": 50}}]}"#,
        );
        let report = limiters.try_acquire(Some(0), 20).report;
        let remaining = |status: Option<WindowStatus>| status.map(|status| (status.limit, status.remaining));
        assert_eq!(remaining(report.requests), Some((5, 4)));
        assert_eq!(remaining(report.tokens), Some((50, 30)));
        assert_eq!(
            (report.day, report.organization.as_deref()),
            (None, Some("org-a"))
        );
        assert_eq!(limiters.try_acquire(None, 20).report, LimitReport::default());
    }
}
