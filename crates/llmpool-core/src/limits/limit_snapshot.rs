//! Rate limit state that the headers of one response report.

use std::time::Duration;

/// State of one limit that the headers of a response report. A field is `None` if the response does not report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSnapshot {
    /// Maximum number of requests or tokens.
    pub limit: Option<u32>,
    /// Number of requests or tokens that are left.
    pub remaining: Option<u32>,
    /// Time from the response until the full limit is available again.
    pub reset: Option<Duration>,
}

/// State of the limits on requests and on tokens that the headers of a response report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSnapshots {
    /// State of the limit on requests.
    pub requests: LimitSnapshot,
    /// State of the limit on tokens.
    pub tokens: LimitSnapshot,
}
