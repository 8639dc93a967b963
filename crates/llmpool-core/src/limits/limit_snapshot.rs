//! Rate limit state as one response reports it.

use std::time::Duration;

/// State of one limit as a response reports it. `None` means not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSnapshot {
    /// The limit itself.
    pub limit: Option<u32>,
    /// What is left of it.
    pub remaining: Option<u32>,
    /// Time until it is full again, from the response on.
    pub reset: Option<Duration>,
}

/// State of the limits for requests and tokens as a response reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSnapshots {
    /// The limit for requests.
    pub requests: LimitSnapshot,
    /// The limit for tokens.
    pub tokens: LimitSnapshot,
}
