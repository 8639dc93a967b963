//! The cause of a failed attempt, and which party must change before a retry makes sense.
//!
//! Retries and the health of keys and targets depend only on the [`FailureKind`] and its [`Blame`]. Code outside this module makes no
//! decision by status code.

mod classify;
pub mod status_policy;

use std::fmt;
use std::time::Duration;

pub use classify::{classify, classify_in_stream};

/// The cause of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The provider rejects the request for a reason in the request itself: 400, 404, 405, 422, or a redirect (redirects are not followed).
    InvalidRequest,
    /// The prompt exceeds the model's context window: code `context_length_exceeded`, `exceed_context_size_error` or similar.
    ContextLength,
    /// The request exceeds the maximum size or number of tokens that the provider accepts: 413, or 429 with "request too large".
    TooLarge,
    /// The provider's moderation blocks the content: code `content_filter` or `content_policy_violation`.
    ContentFilter,
    /// The provider does not serve the model: a 4xx status, usually 404, with `model_not_found` or a similar code.
    ModelNotFound,
    /// The endpoint does not support `stream_options`: 400 or 422 with `stream_options`, or a member of it, as the `param` of the error.
    StreamOptionsRefused,
    /// The key is wrong, revoked or missing: 401, or code `invalid_api_key`.
    InvalidKey,
    /// The key lacks a permission that the request needs: 403, or code `insufficient_permissions`.
    PermissionDenied,
    /// The account of the key has no quota or credit left: 402, or 429 with `insufficient_quota` or a similar code.
    NoQuota,
    /// The key exceeded a rate limit, which recovers with time: 429.
    RateLimited,
    /// The provider is overloaded for all keys: 498, 503 or 529.
    Overloaded,
    /// The provider failed: 408, 409, a 5xx status other than 503 and 529, or an error of unknown cause in the body of a 200.
    ServerError,
    /// The response does not follow the API format: it is not JSON, has no choices, or contains an event that is too long.
    InvalidResponse,
    /// No connection was established within the connect timeout.
    ConnectTimeout,
    /// No connection could be established: the host was not found, was unreachable or refused the connection, or TLS failed.
    Connect,
    /// No content arrived within the first-content timeout.
    FirstContentTimeout,
    /// The provider sent nothing for longer than the idle timeout.
    IdleTimeout,
    /// The connection was closed or reset before the response was complete.
    ConnectionLost,
    /// A reused connection was closed before the first byte of the response.
    DeadConnection,
    /// The stream ended without the event that marks its regular end.
    Truncated,
    /// The deadline of the call passed during the attempt.
    DeadlineExceeded,
}

/// The party that must change before a retry makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The request is to blame: the same bytes fail with every key (400, 413, 422, an unknown model).
    Request,
    /// The key or its account is to blame: another key may succeed (401, 402, 403, 429).
    Key,
    /// The target is to blame: a later attempt or another target may succeed (5xx, an unreadable response).
    Target,
    /// The network is to blame: a retry after a backoff may succeed (connect errors, timeouts, broken streams).
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

    /// Returns a short description for error messages and reports, such as `rate limited`.
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

/// Whether the cause of a failed attempt is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// The status or a known error code identifies the cause.
    Certain,
    /// A 403, 404 or 429 without a known error code: either the key or the request may be the cause.
    Ambiguous,
}

/// The failure of one attempt.
#[derive(Clone, PartialEq)]
pub struct Failure {
    /// The cause of the failure.
    pub kind: FailureKind,
    /// Whether [`kind`](Failure::kind) is certainly the cause.
    pub certainty: Certainty,
    /// The HTTP status; `None` if no response arrived or if the error was in a success response.
    pub status: Option<u16>,
    /// The wait that the provider requests, measured from the arrival of the response. `None` if the provider requests no wait.
    pub retry_after: Option<Duration>,
    /// The `code` of the provider's error, as text even if it is a number.
    pub code: Option<String>,
    /// The `param` of the provider's error: the member of the request that the provider rejects.
    pub param: Option<String>,
    /// The message of the provider's error. Returned to the caller but never logged, because it may quote the prompt.
    pub message: Option<String>,
    /// The ID that the provider gave to the request, from the response headers.
    pub request_id: Option<String>,
}

impl Failure {
    /// Creates a failure of the given kind with certain cause. All other fields are `None`.
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
    /// Formats the failure without the provider's message, and with unusual codes redacted, because both may quote the prompt or a key.
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

/// Returns `text` if it looks like an error code (at most 48 characters, all of them lower-case ASCII letters or underscores). Returns a
/// placeholder otherwise.
pub(crate) fn redact_unless_code(text: &str) -> &str {
    let is_code_char = |c: char| c.is_ascii_lowercase() || c == '_';
    if text.len() <= 48 && text.chars().all(is_code_char) {
        text
    } else {
        "(withheld)"
    }
}
