//! What is spent of the limits of one key or account.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Denied, Limits, Meter, Window, WindowKind};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Limits, with what is spent of them. Times are counted from any fixed moment; one that is earlier than one before
/// counts as that one.
#[derive(Clone, Debug)]
pub struct Account {
    limits: Limits,
    requests: Option<Window>,
    tokens: Option<Window>,
    day: Option<Window>,
    /// Requests that passed and are not released yet.
    in_flight: u32,
    /// Requests that passed since the quota was last full.
    paid: u32,
    /// When the last of them passed; requests that are denied do not put the reset off.
    last_paid: Duration,
}

/// How much of a limit over a time there is at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// The limit itself.
    pub limit: u32,
    /// How many whole ones may still pass now.
    pub remaining: u32,
    /// How long until the whole limit is there again if nothing more comes.
    pub reset: Duration,
}

impl Account {
    /// An account of which nothing is spent.
    pub fn new(limits: Limits) -> Self {
        let window = |kind: WindowKind, limit: Option<NonZeroU32>, per| {
            limit.map(|limit| Window::new(kind, limit.get(), per))
        };
        Self {
            requests: window(limits.window, limits.requests, limits.per),
            tokens: window(limits.window, limits.tokens, limits.per),
            day: window(limits.window, limits.requests_per_day, DAY),
            in_flight: 0,
            paid: 0,
            last_paid: Duration::ZERO,
            limits,
        }
    }

    /// Lets a request pass, which is then in flight until it is [released](Self::release), or says why not.
    ///
    /// # Errors
    /// [`Denied`]. It then counts only where [`Limits::count_denied`] says so, as a request without tokens.
    pub fn admit(&mut self, tokens: u32, now: Duration) -> Result<(), Denied> {
        match self.check(tokens, now) {
            Ok(()) => {
                self.spend(tokens, now);
                Ok(())
            }
            Err(denied) => Err(self.deny(denied, tokens, now)),
        }
    }

    /// A request that passed has ended.
    pub fn release(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// What there is of the requests, tokens or requests per day; `None` for what is not limited, and for the meters
    /// that have no time.
    pub fn gauge(&mut self, meter: Meter, now: Duration) -> Option<Gauge> {
        let window = match meter {
            Meter::Requests => self.requests.as_mut(),
            Meter::Tokens => self.tokens.as_mut(),
            Meter::Day => self.day.as_mut(),
            Meter::Concurrency | Meter::Quota => None,
        }?;
        Some(Gauge {
            limit: window.limit(),
            remaining: window.remaining(now),
            reset: window.reset(now),
        })
    }

    /// Whether a request may pass, without letting it.
    pub(crate) fn check(&mut self, tokens: u32, now: Duration) -> Result<(), Denied> {
        self.check_quota(now)?;
        self.check_windows(tokens, now)?;
        match self.limits.concurrency {
            Some(most) if self.in_flight >= most.get() => Err(Denied {
                by: Meter::Concurrency,
                wait: None,
            }),
            _ => Ok(()),
        }
    }

    /// A request passes.
    pub(crate) fn spend(&mut self, tokens: u32, now: Duration) {
        self.spend_windows(tokens, now);
        self.in_flight = self.in_flight.saturating_add(1);
        self.paid = self.paid.saturating_add(1);
        self.last_paid = now;
    }

    /// A request is denied, here or by another account it needs; says until when, if it counts, with itself counted.
    pub(crate) fn deny(&mut self, denied: Denied, tokens: u32, now: Duration) -> Denied {
        if !self.limits.count_denied || denied.by == Meter::Quota {
            return denied;
        }
        self.spend_windows(0, now);
        self.check(tokens, now).err().unwrap_or(denied)
    }

    fn check_quota(&mut self, now: Duration) -> Result<(), Denied> {
        let Some(quota) = self.limits.quota else {
            return Ok(());
        };
        if self.paid < quota.requests {
            return Ok(());
        }
        let wait = quota
            .resets_after
            .map(|after| self.last_paid.saturating_add(after).saturating_sub(now));
        match wait {
            Some(Duration::ZERO) => {
                self.paid = 0;
                Ok(())
            }
            _ => Err(Denied {
                by: Meter::Quota,
                wait,
            }),
        }
    }

    fn check_windows(&mut self, tokens: u32, now: Duration) -> Result<(), Denied> {
        let waits = [
            (
                Meter::Requests,
                self.requests.as_mut().map(|window| window.wait(1, now)),
            ),
            (
                Meter::Tokens,
                self.tokens.as_mut().map(|window| window.wait(tokens, now)),
            ),
            (Meter::Day, self.day.as_mut().map(|window| window.wait(1, now))),
        ];
        let waits = waits.into_iter().filter_map(|(by, wait)| Some((by, wait?)));
        match waits.max_by_key(|(_, wait)| wait.unwrap_or(Duration::MAX)) {
            None | Some((_, Some(Duration::ZERO))) => Ok(()),
            Some((by, wait)) => Err(Denied { by, wait }),
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
    use super::super::Quota;
    use super::*;

    const NANO: Duration = Duration::from_nanos(1);

    fn limits(json: &str) -> Limits {
        serde_json::from_str(json).unwrap()
    }

    fn account(json: &str) -> Account {
        Account::new(limits(json))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn denied(by: Meter, wait: impl Into<Option<u64>>) -> Result<(), Denied> {
        Err(Denied {
            by,
            wait: wait.into().map(at),
        })
    }

    #[test]
    fn what_takes_longest_is_named_and_nothing_is_spent_on_the_denied() {
        let mut account = account(r#"{"requests": 2, "tokens": 100, "window": "sliding"}"#);
        assert_eq!(account.admit(90, at(0)), Ok(()));
        assert_eq!(account.admit(1, at(20)), Ok(()));
        assert_eq!(account.admit(50, at(30)), denied(Meter::Tokens, 30));
        assert_eq!(account.admit(100, at(30)), denied(Meter::Tokens, 50));
        assert_eq!(account.admit(101, at(30)), denied(Meter::Tokens, None));
        assert_eq!(account.admit(9, at(59)), denied(Meter::Requests, 1));
        assert_eq!(account.admit(99, at(60)), Ok(()));
    }

    #[test]
    fn a_day_is_a_day_whatever_the_time_of_the_others() {
        let mut account = account(r#"{"requests_per_day": 1, "requests": 5, "per": 1, "window": "sliding"}"#);
        assert_eq!(account.admit(0, at(0)), Ok(()));
        assert_eq!(account.admit(0, at(3600)), denied(Meter::Day, 23 * 3600));
        assert_eq!(account.admit(0, at(24 * 3600)), Ok(()));
    }

    #[test]
    fn a_place_is_free_when_a_request_ends_and_not_before() {
        let mut account = account(r#"{"concurrency": 2}"#);
        assert_eq!(
            [account.admit(0, at(0)), account.admit(0, at(0))],
            [Ok(()), Ok(())]
        );
        assert_eq!(account.admit(0, at(9999)), denied(Meter::Concurrency, None));
        account.release();
        assert_eq!(account.admit(0, at(9999)), Ok(()));
    }

    #[test]
    fn the_denied_count_where_they_are_said_to() {
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
            "who asks all the time never gets in"
        );
    }

    #[test]
    fn whoever_waits_as_told_passes_even_where_denials_count() {
        for window in ["bucket", "fixed", "sliding"] {
            let json =
                format!(r#"{{"requests": 2, "tokens": 50, "window": "{window}", "count_denied": true}}"#);
            let mut account = account(&json);
            assert_eq!(
                [account.admit(20, at(7)), account.admit(20, at(8))],
                [Ok(()), Ok(())]
            );
            let now = at(9);
            let wait = account.admit(20, now).unwrap_err().wait.unwrap();
            assert!(account.clone().admit(20, now + wait - NANO).is_err(), "{window}");
            assert_eq!(account.admit(20, now + wait), Ok(()), "{window}");
        }
    }

    #[test]
    fn a_quota_denies_everything_until_its_reset() {
        let mut account = account(r#"{"quota": {"requests": 2, "resets_after": 100}}"#);
        assert_eq!(
            [account.admit(0, at(0)), account.admit(0, at(50))],
            [Ok(()), Ok(())]
        );
        assert_eq!(account.admit(0, at(60)), denied(Meter::Quota, 90));
        assert!(
            account.admit(0, at(150) - NANO).is_err(),
            "asking does not bring it nearer"
        );
        assert_eq!(
            [account.admit(0, at(150)), account.admit(0, at(151))],
            [Ok(()), Ok(())]
        );
        assert_eq!(account.admit(0, at(152)), denied(Meter::Quota, 99));
    }

    #[test]
    fn a_quota_without_a_reset_is_gone_for_good() {
        let mut account = account(r#"{"requests": 1, "quota": {"requests": 1}}"#);
        assert_eq!(account.admit(0, at(0)), Ok(()));
        assert_eq!(account.admit(0, at(1_000_000)), denied(Meter::Quota, None));
    }

    #[test]
    fn an_empty_quota_lets_nothing_pass() {
        let quota = Quota {
            requests: 0,
            resets_after: None,
        };
        let dead = Limits {
            quota: Some(quota),
            ..Limits::default()
        };
        assert_eq!(Account::new(dead).admit(0, at(5)), denied(Meter::Quota, None));
    }

    #[test]
    fn the_gauges_are_those_of_the_windows() {
        let mut account = account(r#"{"requests": 4, "per": 8, "window": "sliding"}"#);
        account.admit(5, at(1)).unwrap();
        let gauge = Gauge {
            limit: 4,
            remaining: 3,
            reset: at(7),
        };
        assert_eq!(account.gauge(Meter::Requests, at(2)), Some(gauge));
        assert_eq!(account.gauge(Meter::Tokens, at(2)), None);
    }
}
