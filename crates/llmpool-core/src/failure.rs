//! The cause of a failed attempt, and which party must change before a retry makes sense.
//!
//! Retries, key health and target health depend only on the [`FailureKind`] and its [`Blame`]. No other code decides by status code.

mod classify;
pub mod status_policy;

use std::fmt;
use std::time::Duration;

pub use classify::{classify, classify_in_stream};

/// The cause of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The provider rejects the request as it is: 400, 404, 405, 422, or a redirect (redirects are not followed).
    InvalidRequest,
    /// The prompt exceeds the model's context window: code `context_length_exceeded`, `exceed_context_size_error` and the like.
    ContextLength,
    /// The request body, or the number of tokens in it, exceeds what the provider accepts: 413, or 429 with "request too large".
    TooLarge,
    /// The provider's moderation blocks the content: code `content_filter` or `content_policy_violation`.
    ContentFilter,
    /// The provider does not serve the model: code `model_not_found` or a similar one with any 4xx status, usually 404.
    ModelNotFound,
    /// The endpoint does not support `stream_options`: 400 or 422 whose error names that member as its `param`.
    StreamOptionsRefused,
    /// The key is wrong, revoked or missing: 401, or code `invalid_api_key`.
    InvalidKey,
    /// The key lacks a permission: 403, or code `insufficient_permissions`.
    PermissionDenied,
    /// The account of the key has no quota or credit left: 402, or 429 with code `insufficient_quota` and the like.
    NoQuota,
    /// The key exceeded a rate limit, which recovers with time: 429.
    RateLimited,
    /// The provider is overloaded, whichever key is used: 503, 529, 498.
    Overloaded,
    /// The provider failed: 408, 409, a 5xx status with no kind of its own, or an error in the body of a 200.
    ServerError,
    /// The response does not follow the format: not JSON, no choices, an event that is too long.
    InvalidResponse,
    /// No connection was established within the connect timeout.
    ConnectTimeout,
    /// No connection could be established: refused, unreachable, host name not found, TLS failure.
    Connect,
    /// The first content did not arrive within its timeout.
    FirstContentTimeout,
    /// The provider sent nothing for longer than the idle timeout.
    IdleTimeout,
    /// The connection was closed or reset before the response was complete.
    ConnectionLost,
    /// A reused connection was closed before the first byte of the response.
    DeadConnection,
    /// The stream ended without its terminal event.
    Truncated,
    /// The deadline of the call passed during the attempt.
    DeadlineExceeded,
}

/// The party that must change before a retry makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The request: the same bytes fail with every key (400, 413, 422, an unknown model).
    Request,
    /// The key or its account: another key may succeed (401, 402, 403, 429).
    Key,
    /// The target: wait, or use another target (5xx, 529, an unreadable response).
    Target,
    /// The network: retry after a backoff (connect errors, timeouts, broken streams).
    Network,
}

impl FailureKind {
    /// Returns the party that must change before a retry makes sense.
    pub fn blame(self) -> Blame {
        match self {
            Self::InvalidRequest
            | Self::ContextLength
            | Self::TooLarge
            | Self::ContentFilter
            | Self::ModelNotFound
            | Self::StreamOptionsRefused
            | Self::DeadlineExceeded => Blame::Request,
            Self::InvalidKey | Self::PermissionDenied | Self::NoQuota | Self::RateLimited => Blame::Key,
            Self::Overloaded | Self::ServerError | Self::InvalidResponse => Blame::Target,
            Self::ConnectTimeout
            | Self::Connect
            | Self::FirstContentTimeout
            | Self::IdleTimeout
            | Self::ConnectionLost
            | Self::DeadConnection
            | Self::Truncated => Blame::Network,
        }
    }

    /// Returns the description that errors and reports print.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid request",
            Self::ContextLength => "context length exceeded",
            Self::TooLarge => "request too large",
            Self::ContentFilter => "blocked by content filter",
            Self::ModelNotFound => "model not found",
            Self::StreamOptionsRefused => "stream_options not supported",
            Self::InvalidKey => "invalid API key",
            Self::PermissionDenied => "permission denied",
            Self::NoQuota => "quota exhausted",
            Self::RateLimited => "rate limited",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server error",
            Self::InvalidResponse => "invalid response",
            Self::ConnectTimeout => "connect timeout",
            Self::Connect => "connection failed",
            Self::FirstContentTimeout => "timeout before first content",
            Self::IdleTimeout => "idle timeout",
            Self::ConnectionLost => "connection lost",
            Self::DeadConnection => "stale connection",
            Self::Truncated => "stream truncated",
            Self::DeadlineExceeded => "deadline exceeded",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the blame for a rejected attempt is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// The status or a known error code identifies the cause.
    Certain,
    /// A 403, 404 or 429 without a known error code: either the key or the request may be the cause.
    Ambiguous,
}

/// One failed attempt.
#[derive(Clone, PartialEq)]
pub struct Failure {
    /// The cause.
    pub kind: FailureKind,
    /// Whether the cause is certain.
    pub certainty: Certainty,
    /// The HTTP status, if a response arrived.
    pub status: Option<u16>,
    /// The wait that the provider requests, measured from the response; never negative.
    pub retry_after: Option<Duration>,
    /// The provider's error `code`, as text.
    pub code: Option<String>,
    /// The provider's error `param`.
    pub param: Option<String>,
    /// The provider's error message. Returned to the caller, never logged: it may quote the prompt.
    pub message: Option<String>,
    /// The provider's ID of the request, from the response headers.
    pub request_id: Option<String>,
}

impl Failure {
    /// Creates a failure of which only the kind is known.
    pub fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            certainty: Certainty::Certain,
            status: None,
            retry_after: None,
            code: None,
            param: None,
            message: None,
            request_id: None,
        }
    }

    /// Returns the party that must change before a retry makes sense.
    pub fn blame(&self) -> Blame {
        self.kind.blame()
    }
}

impl fmt::Debug for Failure {
    /// Omits the provider's message and redacts unusual codes: they may quote the prompt or a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("kind", &self.kind)
            .field("certainty", &self.certainty)
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("code", &self.code.as_deref().map(redact_unless_code))
            .finish_non_exhaustive()
    }
}

/// Returns `text` if it has the form of an error code (at most 48 lower-case letters and underscores), else a placeholder.
pub(crate) fn redact_unless_code(text: &str) -> &str {
    let is_code_char = |c: char| c.is_ascii_lowercase() || c == '_';
    if text.len() <= 48 && text.chars().all(is_code_char) {
        text
    } else {
        "(withheld)"
    }
}
