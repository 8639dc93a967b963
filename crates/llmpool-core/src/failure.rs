//! What went wrong with one attempt, and who has to change before another try makes sense.
//!
//! Retry, key state and target health all read this one table; nobody looks at a status code anywhere else.

mod classify;
pub mod policy;

use std::fmt;
use std::time::Duration;

pub use classify::{classify, classify_in_stream};

/// The cause of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The provider refuses the request as it stands (400, 404, 405, 422 and the like).
    InvalidRequest,
    /// The prompt does not fit the model's context window.
    ContextLength,
    /// The body is larger than the provider takes (413).
    TooLarge,
    /// The provider's moderation refuses the content.
    ContentFilter,
    /// The provider does not know the model.
    ModelNotFound,
    /// The endpoint does not know `stream_options`, said by status and structured error.
    StreamOptionsRefused,
    /// The key is wrong, revoked or missing (401).
    InvalidKey,
    /// The key may not do this (403).
    PermissionDenied,
    /// The key's account has no quota or money left (402, or 429 that says so).
    NoQuota,
    /// The key has used up a rate that refills by itself (429).
    RateLimited,
    /// The provider is overloaded, whatever the key (503, 529).
    Overloaded,
    /// The provider broke (other 5xx, 408, 409, an error inside a 200).
    ServerError,
    /// The answer is not what the format promises: not JSON, no choices, an event that is too long.
    InvalidResponse,
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// No connection: refused, unreachable, name not found, TLS failure.
    Connect,
    /// The first content did not come within its timeout.
    FirstContentTimeout,
    /// The provider stopped sending for longer than the idle timeout.
    IdleTimeout,
    /// The connection broke before the answer was complete.
    ConnectionLost,
    /// A reused connection turned out to be dead before any byte of the answer.
    DeadConnection,
    /// The stream ended without a terminal signal.
    Truncated,
    /// The call's own deadline passed while the attempt was under way.
    DeadlineExceeded,
}

/// Who has to change before another try makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The request: the same bytes will fail again anywhere.
    Request,
    /// The key: another key may do.
    Key,
    /// The target: wait, or use another target.
    Target,
    /// The network between: simply try again, after a pause.
    Network,
}

impl FailureKind {
    /// Who has to change before another try makes sense.
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

    /// The kind in words, as errors and reports print it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid request",
            Self::ContextLength => "context length exceeded",
            Self::TooLarge => "request too large",
            Self::ContentFilter => "content refused",
            Self::ModelNotFound => "model not found",
            Self::StreamOptionsRefused => "stream_options refused",
            Self::InvalidKey => "key refused",
            Self::PermissionDenied => "permission denied",
            Self::NoQuota => "no quota left",
            Self::RateLimited => "rate limited",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server error",
            Self::InvalidResponse => "invalid response",
            Self::ConnectTimeout => "connect timeout",
            Self::Connect => "no connection",
            Self::FirstContentTimeout => "first content timeout",
            Self::IdleTimeout => "idle timeout",
            Self::ConnectionLost => "connection lost",
            Self::DeadConnection => "dead connection",
            Self::Truncated => "stream cut short",
            Self::DeadlineExceeded => "deadline exceeded",
        }
    }
}

/// How far a refusal can be believed to be about the key rather than about this one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// The status or a named code leaves no doubt.
    Sure,
    /// A 403, 404 or 429 with a body we do not know: it may be the key's or the request's.
    Unclear,
}

/// One failed attempt, as a fact that can be copied around and compared.
#[derive(Clone, PartialEq)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// Whether the blame is beyond doubt.
    pub certainty: Certainty,
    /// The HTTP status, when an answer came.
    pub status: Option<u16>,
    /// How long the provider asked to wait, measured from the answer; never negative.
    pub retry_after: Option<Duration>,
    /// The provider's error `code`, as text.
    pub code: Option<String>,
    /// The provider's error `param`.
    pub param: Option<String>,
    /// The provider's own words. Given to the caller, never logged: it may echo the prompt.
    pub message: Option<String>,
    /// The provider's id of the exchange.
    pub request_id: Option<String>,
}

impl Failure {
    /// A failure of which nothing but the kind is known.
    pub fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            certainty: Certainty::Sure,
            status: None,
            retry_after: None,
            code: None,
            param: None,
            message: None,
            request_id: None,
        }
    }

    /// Who has to change before another try makes sense.
    pub fn blame(&self) -> Blame {
        self.kind.blame()
    }
}

impl fmt::Debug for Failure {
    /// Leaves out the provider's words, and texts that are no plain codes: they may echo the prompt or a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("kind", &self.kind)
            .field("certainty", &self.certainty)
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("code", &self.code.as_deref().map(plain_word))
            .finish_non_exhaustive()
    }
}

/// A code if it looks like one of a provider's, and nothing that somebody may have written.
pub(crate) fn plain_word(text: &str) -> &str {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    if text.len() <= 48 && text.chars().all(plain) {
        text
    } else {
        "(withheld)"
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
