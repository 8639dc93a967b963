//! A provider that enforces the limits it reports, in paused time: one account, or one per key. The simulator decides what it admits, and shares
//! no code with the library.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use llmpool_simulator::{ProviderLimitKind, ProviderLimiter, ProviderLimits, WindowKind};
use tokio::time::Instant;

use super::{Action, COMPLETION, ReceivedRequest, ScriptedProvider, answer, error};

pub struct Honest {
    pub script: Arc<ScriptedProvider>,
    log: Arc<Mutex<Log>>,
    latency: Arc<Mutex<Latency>>,
}

/// Latencies spread evenly over a range, the same in each run.
struct Latency {
    from: Duration,
    to: Duration,
    random: u64,
}

impl Latency {
    fn next(&mut self) -> Duration {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let share = (self.random >> 40) as f64 / f64::from(1 << 24);
        self.from + (self.to - self.from).mul_f64(share)
    }
}

#[derive(Default)]
struct Log {
    passed: Vec<Instant>,
    refused: usize,
}

impl Honest {
    /// Admits `limit` requests per minute for each account; `account_of` maps a key to its account. `reports`: whether headers report the remaining
    /// requests.
    pub fn new(
        window: WindowKind,
        limit: u32,
        reports: bool,
        account_of: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::per(Duration::from_secs(60), window, limit, reports, account_of)
    }

    /// Like [`new`](Self::new), with another window than a minute.
    pub fn per(
        span: Duration,
        window: WindowKind,
        limit: u32,
        reports: bool,
        account_of: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let limits = ProviderLimits {
            requests: NonZeroU32::new(limit),
            per: span,
            window,
            ..ProviderLimits::default()
        };
        let accounts: Mutex<BTreeMap<String, ProviderLimiter>> = Mutex::default();
        let log: Arc<Mutex<Log>> = Arc::default();
        let latency = Arc::new(Mutex::new(Latency {
            from: Duration::from_millis(300),
            to: Duration::from_millis(300),
            random: 7,
        }));
        let (begun, noted, takes) = (Instant::now(), log.clone(), latency.clone());
        let script = ScriptedProvider::new(move |_, received: &ReceivedRequest| {
            let mut accounts = accounts.lock().unwrap();
            let account = accounts
                .entry(account_of(&received.key))
                .or_insert_with(|| ProviderLimiter::new(limits));
            let now = received.at - begun;
            let denied = account.try_acquire(0, now).err();
            let headers = if reports {
                left(account, now)
            } else {
                String::new()
            };
            let mut log = noted.lock().unwrap();
            match denied {
                None => {
                    log.passed.push(received.at);
                    Action::SendAfter(takes.lock().unwrap().next(), answer(200, &headers, COMPLETION))
                }
                Some(denied) => {
                    log.refused += 1;
                    let wait = denied.wait.unwrap().as_millis() + 1;
                    let headers = format!("{headers}retry-after-ms: {wait}\r\n");
                    Action::Send(error(429, &headers, "rate_limit_exceeded"))
                }
            }
        });
        Self { script, log, latency }
    }

    /// Sets a range of latencies in seconds, so that responses overtake each other.
    pub fn with_latency(self, from: f64, to: f64) -> Self {
        let mut latency = self.latency.lock().unwrap();
        latency.from = Duration::from_secs_f64(from);
        latency.to = Duration::from_secs_f64(to);
        drop(latency);
        self
    }

    /// Returns the requests admitted since `from`, and all refusals.
    pub fn counts(&self, from: Instant) -> (usize, usize) {
        let log = self.log.lock().unwrap();
        (log.passed.iter().filter(|at| **at >= from).count(), log.refused)
    }
}

fn left(account: &mut ProviderLimiter, now: Duration) -> String {
    let gauge = account.window_status(ProviderLimitKind::Requests, now).unwrap();
    format!(
        "x-ratelimit-limit-requests: {}\r\nx-ratelimit-remaining-requests: {}\r\nx-ratelimit-reset-requests: {}ms\r\n",
        gauge.limit,
        gauge.remaining,
        gauge.reset.as_millis()
    )
}
