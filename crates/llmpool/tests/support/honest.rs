//! A provider that keeps the limits it announces, in paused time: one account, or one for each key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Play, Scripted, Seen, answer};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// How a provider counts a minute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Window {
    /// It refills all the time, up to the whole limit.
    Bucket,
    /// It begins anew every full minute.
    Fixed,
    /// The last 60 s before each request.
    Sliding,
}

pub struct Honest {
    pub script: Arc<Scripted>,
    accounts: Arc<Mutex<BTreeMap<String, Account>>>,
}

#[derive(Default)]
struct Account {
    passed: Vec<Instant>,
    refused: usize,
}

impl Honest {
    /// `limit` requests a minute for each account, which `account_of` names for a key. `tells`: whether headers say what is left.
    pub fn new(
        window: Window,
        limit: usize,
        tells: bool,
        account_of: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let accounts: Arc<Mutex<BTreeMap<String, Account>>> = Arc::default();
        let begun = Instant::now();
        let known = accounts.clone();
        let script = Scripted::new(move |_, seen: &Seen| {
            let mut accounts = known.lock().unwrap();
            let account = accounts.entry(account_of(&seen.key)).or_default();
            let wait = account.ready_in(window, limit, begun, seen.at);
            if wait.is_zero() {
                account.passed.push(seen.at);
            } else {
                account.refused += 1;
            }
            let left = account.left(window, limit, begun, seen.at);
            let headers = if tells {
                let reset = account.whole_in(window, limit, begun, seen.at);
                format!(
                    "x-ratelimit-limit-requests: {limit}\r\nx-ratelimit-remaining-requests: {left}\r\nx-ratelimit-reset-requests: {}ms\r\n",
                    reset.as_millis()
                )
            } else {
                String::new()
            };
            if wait.is_zero() {
                Play::SendAfter(
                    Duration::from_millis(300),
                    answer(200, &headers, super::COMPLETION),
                )
            } else {
                let headers = format!("{headers}retry-after-ms: {}\r\n", wait.as_millis() + 1);
                Play::Send(super::error(429, &headers, "rate_limit_exceeded"))
            }
        });
        Self { script, accounts }
    }

    /// Requests that passed from `from` on, and refusals in all.
    pub fn counts(&self, from: Instant) -> (usize, usize) {
        let accounts = self.accounts.lock().unwrap();
        let passed = accounts.values().flat_map(|account| &account.passed);
        (
            passed.filter(|at| **at >= from).count(),
            accounts.values().map(|account| account.refused).sum(),
        )
    }

    /// Requests that passed for each account.
    pub fn shares(&self) -> Vec<usize> {
        self.accounts
            .lock()
            .unwrap()
            .values()
            .map(|account| account.passed.len())
            .collect()
    }
}

impl Account {
    fn in_window(&self, window: Window, begun: Instant, now: Instant) -> impl Iterator<Item = &Instant> {
        let minute = move |at: Instant| (at - begun).as_secs() / 60;
        self.passed.iter().filter(move |at| match window {
            Window::Fixed => minute(**at) == minute(now),
            Window::Sliding | Window::Bucket => now - **at < MINUTE,
        })
    }

    /// What is missing of a full bucket.
    fn missing(&self, limit: usize, now: Instant) -> f64 {
        let rate = limit as f64 / 60.0;
        let (mut missing, mut last) = (0.0_f64, None);
        for at in self.passed.iter().map(Some).chain([None]) {
            let at = at.copied().unwrap_or(now);
            let passed = last.map_or(0.0, |last: Instant| (at - last).as_secs_f64());
            missing = (missing - rate * passed).max(0.0) + 1.0;
            last = Some(at);
        }
        missing - 1.0
    }

    fn left(&self, window: Window, limit: usize, begun: Instant, now: Instant) -> usize {
        match window {
            Window::Bucket => (limit as f64 - self.missing(limit, now) + 1e-6).max(0.0) as usize,
            Window::Fixed | Window::Sliding => {
                limit.saturating_sub(self.in_window(window, begun, now).count())
            }
        }
    }

    fn ready_in(&self, window: Window, limit: usize, begun: Instant, now: Instant) -> Duration {
        if self.left(window, limit, begun, now) > 0 {
            return Duration::ZERO;
        }
        match window {
            Window::Bucket => {
                let over = self.missing(limit, now) - (limit as f64 - 1.0);
                Duration::from_secs_f64(over.max(0.0) * 60.0 / limit as f64) + Duration::from_micros(1)
            }
            Window::Fixed => {
                MINUTE - Duration::from_nanos(((now - begun).as_nanos() % MINUTE.as_nanos()) as u64)
            }
            Window::Sliding => self
                .in_window(window, begun, now)
                .next()
                .map_or(MINUTE, |oldest| MINUTE - (now - *oldest)),
        }
    }

    fn whole_in(&self, window: Window, limit: usize, begun: Instant, now: Instant) -> Duration {
        match window {
            Window::Bucket => Duration::from_secs_f64(self.missing(limit, now) * 60.0 / limit as f64),
            Window::Fixed => {
                MINUTE - Duration::from_nanos(((now - begun).as_nanos() % MINUTE.as_nanos()) as u64)
            }
            Window::Sliding => self
                .in_window(window, begun, now)
                .next()
                .map_or(MINUTE, |oldest| MINUTE - (now - *oldest)),
        }
    }
}
