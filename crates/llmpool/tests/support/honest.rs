//! A provider that keeps the limits it announces, in paused time: one account, or one for each key. What it lets pass is the
//! simulator's to say, which shares nothing with the library.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use llmpool_simulator::{Account, Limits, Meter, WindowKind};
use tokio::time::Instant;

use super::{COMPLETION, Play, Scripted, Seen, answer, error};

pub struct Honest {
    pub script: Arc<Scripted>,
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    passed: Vec<Instant>,
    refused: usize,
}

impl Honest {
    /// `limit` requests a minute for each account, which `account_of` names for a key. `tells`: whether headers say what is left.
    pub fn new(
        window: WindowKind,
        limit: u32,
        tells: bool,
        account_of: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::per(Duration::from_secs(60), window, limit, tells, account_of)
    }

    /// As [`new`](Self::new), with another span than a minute.
    pub fn per(
        span: Duration,
        window: WindowKind,
        limit: u32,
        tells: bool,
        account_of: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        let limits = Limits {
            requests: NonZeroU32::new(limit),
            per: span,
            window,
            ..Limits::default()
        };
        let accounts: Mutex<BTreeMap<String, Account>> = Mutex::default();
        let log: Arc<Mutex<Log>> = Arc::default();
        let (begun, noted) = (Instant::now(), log.clone());
        let script = Scripted::new(move |_, seen: &Seen| {
            let mut accounts = accounts.lock().unwrap();
            let account = accounts
                .entry(account_of(&seen.key))
                .or_insert_with(|| Account::new(limits));
            let now = seen.at - begun;
            let denied = account.admit(0, now).err();
            let headers = if tells { left(account, now) } else { String::new() };
            let mut log = noted.lock().unwrap();
            match denied {
                None => {
                    log.passed.push(seen.at);
                    Play::SendAfter(Duration::from_millis(300), answer(200, &headers, COMPLETION))
                }
                Some(denied) => {
                    log.refused += 1;
                    let wait = denied.wait.unwrap().as_millis() + 1;
                    let headers = format!("{headers}retry-after-ms: {wait}\r\n");
                    Play::Send(error(429, &headers, "rate_limit_exceeded"))
                }
            }
        });
        Self { script, log }
    }

    /// Requests that passed from `from` on, and refusals in all.
    pub fn counts(&self, from: Instant) -> (usize, usize) {
        let log = self.log.lock().unwrap();
        (log.passed.iter().filter(|at| **at >= from).count(), log.refused)
    }
}

fn left(account: &mut Account, now: Duration) -> String {
    let gauge = account.gauge(Meter::Requests, now).unwrap();
    format!(
        "x-ratelimit-limit-requests: {}\r\nx-ratelimit-remaining-requests: {}\r\nx-ratelimit-reset-requests: {}ms\r\n",
        gauge.limit,
        gauge.remaining,
        gauge.reset.as_millis()
    )
}
