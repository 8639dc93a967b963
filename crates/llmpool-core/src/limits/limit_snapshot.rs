//! The state of rate limits, as reported by the headers of one response.

use std::time::Duration;

/// State of one rate limit, as reported by the headers of a response. A field is `None` if the headers do not
/// report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSnapshot {
    /// Number of requests or tokens that the limit admits if none of it has been used.
    pub limit: Option<u32>,
    /// Number of requests or tokens that the limit still admits.
    pub remaining: Option<u32>,
    /// Time from the arrival of the response until the full limit is available again or, with some providers,
    /// until the next request is admitted.
    pub reset: Option<Duration>,
}

/// State of the limits on requests and on tokens, as reported by the headers of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSnapshots {
    /// State of the limit on requests. All fields are `None` if not reported.
    pub requests: LimitSnapshot,
    /// State of the limit on tokens. All fields are `None` if not reported.
    pub tokens: LimitSnapshot,
}
