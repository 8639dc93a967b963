//! What a provider lets pass: so many requests and tokens in a time, so many at once, so many in all.
//!
//! There is no clock here. Every time is an argument, counted from one fixed moment that the caller chooses, so a
//! list of request times can be judged as well as requests on a socket:
//!
//! ```
//! use std::num::NonZeroU32;
//! use std::time::Duration;
//! use llmpool_simulator::{Limits, WindowKind};
//!
//! let limits = Limits {
//!     requests: NonZeroU32::new(2),
//!     window: WindowKind::Sliding,
//!     ..Limits::default()
//! };
//! let at = [0, 30, 59, 60].map(Duration::from_secs);
//! let denied: Vec<usize> = limits.denials(at).into_iter().map(|(index, _)| index).collect();
//! assert_eq!(denied, [2]);
//! ```
//!
//! Always true: whoever was denied with a wait, waits exactly so long and is alone, passes; a nanosecond earlier it is
//! denied again.

mod account;
mod window;

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::scenario::{MAX_DURATION, ScenarioError, seconds};

pub use account::{Account, Gauge};
pub(crate) use window::Window;
pub use window::WindowKind;

/// What a provider enforces for a key or an account. The default enforces nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests in [`per`](Self::per). Default: any number.
    pub requests: Option<NonZeroU32>,
    /// Tokens in [`per`](Self::per). Default: any number.
    pub tokens: Option<NonZeroU32>,
    /// The time that `requests` and `tokens` are counted for. Default 60 s.
    #[serde(deserialize_with = "seconds")]
    pub per: Duration,
    /// Requests in 24 hours. Default: any number.
    pub requests_per_day: Option<NonZeroU32>,
    /// Requests at once, each until the last byte of its response. Default: any number.
    pub concurrency: Option<NonZeroU32>,
    /// How the three that have a time are counted. Default [`WindowKind::Bucket`].
    pub window: WindowKind,
    /// Whether a request that is denied for its rate counts as a request all the same. Default `false`.
    pub count_denied: bool,
    /// Requests until the money is gone. Default: it never is.
    pub quota: Option<Quota>,
}

/// Requests that are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// How many requests pass before all are denied. 0 denies all from the beginning, and for good.
    pub requests: u32,
    /// Seconds from the last request that passed until as many pass again. Default: they never do.
    #[serde(default, deserialize_with = "some_seconds")]
    pub resets_after: Option<Duration>,
}

/// What ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// [`Limits::requests`].
    Requests,
    /// [`Limits::tokens`].
    Tokens,
    /// [`Limits::requests_per_day`].
    Day,
    /// [`Limits::concurrency`].
    Concurrency,
    /// [`Limits::quota`].
    Quota,
}

/// A request that may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// What ran out; of several, the one that takes longest.
    pub by: Meter,
    /// How long until there is room for this request. `None` where time alone does not help: the request is larger
    /// than the limit, others have to end first, or the quota never comes back.
    pub wait: Option<Duration>,
}

/// A request in a list to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When it arrived, counted from any fixed moment.
    pub at: Duration,
    /// Its tokens, of prompt and answer together.
    pub tokens: u32,
}

impl Limits {
    /// Which of these requests a provider with these limits would deny, by index, given in the order of their arrival.
    /// Each counts as over at once, so [`concurrency`](Self::concurrency) denies none; for that use an [`Account`].
    pub fn denials<S: Into<Sent>>(&self, requests: impl IntoIterator<Item = S>) -> Vec<(usize, Denied)> {
        let mut account = Account::new(*self);
        let mut denials = Vec::new();
        for (index, request) in requests.into_iter().enumerate() {
            let Sent { at, tokens } = request.into();
            match account.admit(tokens, at) {
                Ok(()) => account.release(),
                Err(denied) => denials.push((index, denied)),
            }
        }
        denials
    }

    pub(crate) fn check(&self, place: &str) -> Result<(), ScenarioError> {
        let refuse = |why: &str| Err(ScenarioError::new(format!("{place} {why}")));
        let Self {
            requests,
            tokens,
            per,
            requests_per_day,
            concurrency,
            window: _,
            count_denied: _,
            quota,
        } = *self;
        let numbers = [requests, tokens, requests_per_day, concurrency];
        if numbers.iter().all(Option::is_none) && quota.is_none() {
            return refuse(
                "limits nothing; give requests, tokens, requests_per_day, concurrency or quota, or leave it out",
            );
        }
        let reset = quota.and_then(|quota| quota.resets_after);
        if reset.is_some() && quota.is_some_and(|quota| quota.requests == 0) {
            return refuse(
                "has a quota of 0 that would be 0 again after its reset; give it a request, or no reset",
            );
        }
        if per.is_zero() || reset.is_some_and(|reset| reset.is_zero()) {
            return refuse("has a time of 0 s; give one above it");
        }
        if per.max(reset.unwrap_or_default()) > MAX_DURATION {
            return refuse("has a time of more than a year; give a shorter one");
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: None,
            tokens: None,
            per: Duration::from_secs(60),
            requests_per_day: None,
            concurrency: None,
            window: WindowKind::default(),
            count_denied: false,
            quota: None,
        }
    }
}

impl From<Duration> for Sent {
    /// A request without tokens.
    fn from(at: Duration) -> Self {
        Self { at, tokens: 0 }
    }
}

fn some_seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    seconds(deserializer).map(Some)
}
