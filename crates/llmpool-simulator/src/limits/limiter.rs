//! A limiter that enforces the limits of one key or account.

use std::num::NonZeroU32;
use std::time::Duration;

use super::config::{ProviderLimitKind, ProviderLimits};
use super::window::{LimitWindow, WindowKind};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A limiter for one key or account: the limits, and how much of each limit is used.
///
/// All times are durations since an origin that the caller chooses, and must not decrease from call to call.
/// If a time does decrease, the limits per window and per day use the latest time passed so far.
#[derive(Clone, Debug)]
pub struct ProviderLimiter {
    limits: ProviderLimits,
    requests: Option<LimitWindow>,
    tokens: Option<LimitWindow>,
    day: Option<LimitWindow>,
    /// Number of requests that passed and have not been released yet.
    in_flight: u32,
    /// Number of requests that passed since the quota was last available in full.
    quota_used: u32,
    /// The time at which the last request passed. Denied requests do not change this time, so they do not delay the
    /// reset of the quota.
    last_passed: Duration,
}

/// The denial of a request that exceeds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitExceeded {
    /// The exceeded limit. If a request exceeds several limits of one [`ProviderLimiter`], the quota takes
    /// precedence over all other limits, and the limit on concurrency has the lowest precedence. Among the
    /// limits on requests, tokens and requests per day, the limit with the longest wait takes precedence.
    pub limit: ProviderLimitKind,
    /// The time until [`limit`](Self::limit) lets the same request pass, if no other request arrives. `None`
    /// if waiting does not help: the request is larger than the limit, another request has to end first, or
    /// the quota never resets.
    pub wait: Option<Duration>,
}

/// The state of a limit on requests, tokens or requests per day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowStatus {
    /// The configured limit, in requests or tokens per window.
    pub limit: u32,
    /// The number of requests or tokens that can pass now, rounded down.
    pub remaining: u32,
    /// The time until the whole limit is available again, if no request arrives.
    pub reset: Duration,
}

/// The arrival time and the size of a request, as input for [`ProviderLimits::denials`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedRequest {
    /// The arrival time, as a duration since an origin that all requests share.
    pub at: Duration,
    /// The number of tokens in the prompt and the answer together.
    pub tokens: u32,
}

impl ProviderLimits {
    /// Returns the zero-based index of each request that a provider with these limits denies, together with
    /// the denial. `requests` must be in the order of arrival.
    ///
    /// Every request is assumed to end as soon as it has arrived, so [`concurrency`](Self::concurrency)
    /// denies no request. To check that limit, use a [`ProviderLimiter`].
    pub fn denials<R: Into<TimedRequest>>(
        &self,
        requests: impl IntoIterator<Item = R>,
    ) -> Vec<(usize, LimitExceeded)> {
        let mut limiter = ProviderLimiter::new(*self);
        let mut denials = Vec::new();
        for (index, request) in requests.into_iter().enumerate() {
            let TimedRequest { at, tokens } = request.into();
            match limiter.try_acquire(tokens, at) {
                Ok(()) => limiter.release(),
                Err(exceeded) => denials.push((index, exceeded)),
            }
        }
        denials
    }
}

impl From<Duration> for TimedRequest {
    /// Creates a request with 0 tokens that arrives at `at`.
    fn from(at: Duration) -> Self {
        Self { at, tokens: 0 }
    }
}

impl ProviderLimiter {
    /// Creates a limiter that has not counted any request yet.
    pub fn new(limits: ProviderLimits) -> Self {
        let window = |kind: WindowKind, limit: Option<NonZeroU32>, per| {
            limit.map(|limit| LimitWindow::new(kind, limit.get(), per))
        };
        Self {
            requests: window(limits.window, limits.requests, limits.per),
            tokens: window(limits.window, limits.tokens, limits.per),
            day: window(limits.window, limits.requests_per_day, DAY),
            in_flight: 0,
            quota_used: 0,
            last_passed: Duration::ZERO,
            limits,
        }
    }

    /// Checks whether a request that arrives at `now` passes. `tokens` is the number of tokens in its prompt
    /// and answer together. A request that passes counts towards the limits, and is in flight until
    /// [`release`](Self::release) is called.
    ///
    /// # Errors
    /// Returns [`LimitExceeded`] if the request is denied. A denied request counts towards the limits only if
    /// [`ProviderLimits::count_denied`] is set.
    pub fn try_acquire(&mut self, tokens: u32, now: Duration) -> Result<(), LimitExceeded> {
        match self.check(tokens, now) {
            Ok(()) => {
                self.spend(tokens, now);
                Ok(())
            }
            Err(exceeded) => Err(self.count_denied(exceeded, tokens, now)),
        }
    }

    /// Ends one request that passed, so that the request no longer counts as in flight.
    pub fn release(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Returns the state at `now` of the limit on requests, tokens or requests per day. Returns `None` if
    /// this limit is not configured. Always returns `None` for
    /// [`Concurrency`](ProviderLimitKind::Concurrency) and [`Quota`](ProviderLimitKind::Quota).
    pub fn window_status(&mut self, limit: ProviderLimitKind, now: Duration) -> Option<WindowStatus> {
        let window = match limit {
            ProviderLimitKind::Requests => self.requests.as_mut(),
            ProviderLimitKind::Tokens => self.tokens.as_mut(),
            ProviderLimitKind::Day => self.day.as_mut(),
            ProviderLimitKind::Concurrency | ProviderLimitKind::Quota => None,
        }?;
        Some(WindowStatus {
            limit: window.limit(),
            remaining: window.remaining(now),
            reset: window.time_to_full(now),
        })
    }

    /// Checks whether a request with this number of tokens passes at `now`, without counting the request.
    pub(crate) fn check(&mut self, tokens: u32, now: Duration) -> Result<(), LimitExceeded> {
        self.check_quota(now)?;
        self.check_windows(tokens, now)?;
        match self.limits.concurrency {
            Some(max) if self.in_flight >= max.get() => Err(LimitExceeded {
                limit: ProviderLimitKind::Concurrency,
                wait: None,
            }),
            _ => Ok(()),
        }
    }

    /// Counts a request that passes, and adds the request to those in flight.
    pub(crate) fn spend(&mut self, tokens: u32, now: Duration) {
        self.spend_windows(tokens, now);
        self.in_flight = self.in_flight.saturating_add(1);
        self.quota_used = self.quota_used.saturating_add(1);
        self.last_passed = now;
    }

    /// Counts a request that this limiter or another limiter denied, if [`ProviderLimits::count_denied`] is
    /// set. Returns the denial, with the wait that applies after counting.
    pub(crate) fn count_denied(
        &mut self,
        exceeded: LimitExceeded,
        tokens: u32,
        now: Duration,
    ) -> LimitExceeded {
        if !self.limits.count_denied || exceeded.limit == ProviderLimitKind::Quota {
            return exceeded;
        }
        self.spend_windows(0, now);
        self.check(tokens, now).err().unwrap_or(exceeded)
    }

    fn check_quota(&mut self, now: Duration) -> Result<(), LimitExceeded> {
        let Some(quota) = self.limits.quota else {
            return Ok(());
        };
        if self.quota_used < quota.requests {
            return Ok(());
        }
        let wait = quota
            .resets_after
            .map(|after| self.last_passed.saturating_add(after).saturating_sub(now));
        match wait {
            Some(Duration::ZERO) => {
                self.quota_used = 0;
                Ok(())
            }
            _ => Err(LimitExceeded {
                limit: ProviderLimitKind::Quota,
                wait,
            }),
        }
    }

    fn check_windows(&mut self, tokens: u32, now: Duration) -> Result<(), LimitExceeded> {
        let waits = [
            (ProviderLimitKind::Requests, &mut self.requests, 1),
            (ProviderLimitKind::Tokens, &mut self.tokens, tokens),
            (ProviderLimitKind::Day, &mut self.day, 1),
        ]
        .map(|(limit, window, amount)| Some((limit, window.as_mut()?.wait_for(amount, now))));
        let longest = waits
            .into_iter()
            .flatten()
            .max_by_key(|(_, wait)| wait.unwrap_or(Duration::MAX));
        match longest {
            None | Some((_, Some(Duration::ZERO))) => Ok(()),
            Some((limit, wait)) => Err(LimitExceeded { limit, wait }),
        }
    }

    fn spend_windows(&mut self, tokens: u32, now: Duration) {
        for (window, amount) in [
            (&mut self.requests, 1),
            (&mut self.tokens, tokens),
            (&mut self.day, 1),
        ] {
            if let Some(window) = window {
                window.spend(amount, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::RequestQuota;
    use super::*;

    const NANO: Duration = Duration::from_nanos(1);

    fn limits(json: &str) -> ProviderLimits {
        serde_json::from_str(json).unwrap()
    }

    fn limiter(json: &str) -> ProviderLimiter {
        ProviderLimiter::new(limits(json))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn denied(limit: ProviderLimitKind, wait: impl Into<Option<u64>>) -> Result<(), LimitExceeded> {
        Err(LimitExceeded {
            limit,
            wait: wait.into().map(at),
        })
    }

    #[test]
    fn denial_names_longest_wait_and_counts_nothing() {
        let mut limiter = limiter(r#"{"requests": 2, "tokens": 100, "window": "sliding"}"#);
        assert_eq!(limiter.try_acquire(90, at(0)), Ok(()));
        assert_eq!(limiter.try_acquire(1, at(20)), Ok(()));
        assert_eq!(
            limiter.try_acquire(50, at(30)),
            denied(ProviderLimitKind::Tokens, 30)
        );
        assert_eq!(
            limiter.try_acquire(100, at(30)),
            denied(ProviderLimitKind::Tokens, 50)
        );
        assert_eq!(
            limiter.try_acquire(101, at(30)),
            denied(ProviderLimitKind::Tokens, None)
        );
        assert_eq!(
            limiter.try_acquire(9, at(59)),
            denied(ProviderLimitKind::Requests, 1)
        );
        assert_eq!(limiter.try_acquire(99, at(60)), Ok(()));
    }

    #[test]
    fn daily_limit_ignores_per() {
        let mut limiter = limiter(r#"{"requests_per_day": 1, "requests": 5, "per": 1, "window": "sliding"}"#);
        assert_eq!(limiter.try_acquire(0, at(0)), Ok(()));
        assert_eq!(
            limiter.try_acquire(0, at(3600)),
            denied(ProviderLimitKind::Day, 23 * 3600)
        );
        assert_eq!(limiter.try_acquire(0, at(24 * 3600)), Ok(()));
    }

    #[test]
    fn concurrency_slot_is_free_after_release() {
        let mut limiter = limiter(r#"{"concurrency": 2}"#);
        assert_eq!(
            [limiter.try_acquire(0, at(0)), limiter.try_acquire(0, at(0))],
            [Ok(()), Ok(())]
        );
        assert_eq!(
            limiter.try_acquire(0, at(9999)),
            denied(ProviderLimitKind::Concurrency, None)
        );
        limiter.release();
        assert_eq!(limiter.try_acquire(0, at(9999)), Ok(()));
    }

    #[test]
    fn denied_requests_count_with_count_denied() {
        let burst = [0, 10, 20, 30, 60, 61].map(at);
        let indexes = |json| -> Vec<usize> {
            limits(json)
                .denials(burst)
                .into_iter()
                .map(|(index, _)| index)
                .collect()
        };
        assert_eq!(indexes(r#"{"requests": 1, "window": "sliding"}"#), [1, 2, 3, 5]);
        assert_eq!(
            indexes(r#"{"requests": 1, "window": "sliding", "count_denied": true}"#),
            [1, 2, 3, 4, 5],
            "a client that keeps sending is always denied"
        );
    }

    #[test]
    fn request_passes_after_its_wait_with_count_denied() {
        for window in ["bucket", "fixed", "sliding"] {
            let json =
                format!(r#"{{"requests": 2, "tokens": 50, "window": "{window}", "count_denied": true}}"#);
            let mut limiter = limiter(&json);
            assert_eq!(
                [limiter.try_acquire(20, at(7)), limiter.try_acquire(20, at(8))],
                [Ok(()), Ok(())]
            );
            let now = at(9);
            let wait = limiter.try_acquire(20, now).unwrap_err().wait.unwrap();
            assert!(
                limiter.clone().try_acquire(20, now + wait - NANO).is_err(),
                "{window}"
            );
            assert_eq!(limiter.try_acquire(20, now + wait), Ok(()), "{window}");
        }
    }

    #[test]
    fn quota_denies_every_request_until_its_reset() {
        let mut limiter = limiter(r#"{"quota": {"requests": 2, "resets_after": 100}}"#);
        assert_eq!(
            [limiter.try_acquire(0, at(0)), limiter.try_acquire(0, at(50))],
            [Ok(()), Ok(())]
        );
        assert_eq!(
            limiter.try_acquire(0, at(60)),
            denied(ProviderLimitKind::Quota, 90)
        );
        assert!(
            limiter.try_acquire(0, at(150) - NANO).is_err(),
            "a denied request does not move the reset"
        );
        assert_eq!(
            [limiter.try_acquire(0, at(150)), limiter.try_acquire(0, at(151))],
            [Ok(()), Ok(())]
        );
        assert_eq!(
            limiter.try_acquire(0, at(152)),
            denied(ProviderLimitKind::Quota, 99)
        );
    }

    #[test]
    fn quota_without_reset_is_never_refilled() {
        let mut limiter = limiter(r#"{"requests": 1, "quota": {"requests": 1}}"#);
        assert_eq!(limiter.try_acquire(0, at(0)), Ok(()));
        assert_eq!(
            limiter.try_acquire(0, at(1_000_000)),
            denied(ProviderLimitKind::Quota, None)
        );
    }

    #[test]
    fn quota_of_zero_denies_every_request() {
        let quota = RequestQuota {
            requests: 0,
            resets_after: None,
        };
        let empty = ProviderLimits {
            quota: Some(quota),
            ..ProviderLimits::default()
        };
        assert_eq!(
            ProviderLimiter::new(empty).try_acquire(0, at(5)),
            denied(ProviderLimitKind::Quota, None)
        );
    }

    #[test]
    fn window_status_reports_configured_limits() {
        let mut limiter = limiter(r#"{"requests": 4, "per": 8, "window": "sliding"}"#);
        limiter.try_acquire(5, at(1)).unwrap();
        let status = WindowStatus {
            limit: 4,
            remaining: 3,
            reset: at(7),
        };
        assert_eq!(
            limiter.window_status(ProviderLimitKind::Requests, at(2)),
            Some(status)
        );
        assert_eq!(limiter.window_status(ProviderLimitKind::Tokens, at(2)), None);
    }
}
