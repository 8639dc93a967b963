//! The cause of a failed attempt, and which party is to blame for the failure.
//!
//! Retries, and the health of keys and targets, depend on the [`FailureKind`], its [`Blame`] and the
//! [`Certainty`]. Only this module maps HTTP status codes to these values.

mod classify;
mod known_errors;
mod refused_format;
pub mod status_policy;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

pub use classify::{classify, classify_in_stream};

/// The cause of a failed attempt. An attempt is one request to a provider; a call may make several attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The request itself is invalid: a 4xx status such as 400, 404 or 422 that has no more specific meaning
    /// and comes without a known error code.
    InvalidRequest,
    /// The prompt exceeds the model's context window: error code `context_length_exceeded`,
    /// `exceed_context_size_error` or similar.
    ContextLength,
    /// The request exceeds the size or the number of tokens that the provider accepts in one request: status
    /// 413, or 429 with the message "request too large".
    TooLarge,
    /// The provider's moderation blocked the prompt or the answer: error code `content_filter`,
    /// `content_policy_violation` or similar.
    ContentFilter,
    /// The provider does not serve the requested model: a 4xx status, usually 404, with error code
    /// `model_not_found` or similar.
    ModelNotFound,
    /// The provider does not support `stream_options` in a request: status 400 or 422, with `stream_options`
    /// or one of its members as the `param` of the error.
    StreamOptionsRefused,
    /// The provider or the model does not support the `response_format` of the request: status 400, 404, 405, 422,
    /// 500 or 501, with `response_format` as the `param` of the error or a message that says so. A complaint about
    /// the schema itself is an [`InvalidRequest`](Self::InvalidRequest).
    ResponseFormatRefused,
    /// The API key is wrong, revoked or missing: status 401, or error code `invalid_api_key` or similar.
    InvalidKey,
    /// The API key lacks a permission that the request needs: status 403, or error code
    /// `insufficient_permissions` or similar.
    PermissionDenied,
    /// The account of the API key has no quota or credit left: status 402, or another 4xx status or a success
    /// status with error code `insufficient_quota` or a similar code or message.
    NoQuota,
    /// The API key exceeded a rate limit, which refills with time: error code `rate_limit_exceeded` or
    /// similar, or a 429 for which no other cause is known.
    RateLimited,
    /// The provider is overloaded, whichever key is used: status 498, 503 or 529, or error code
    /// `overloaded_error` or similar.
    Overloaded,
    /// The provider failed: status 408, 409 or 5xx (except 503 and 529), or an error of unknown cause in a
    /// success response.
    ServerError,
    /// The response does not follow the API format. For example, the body is cut off, or the stream ends
    /// without content.
    InvalidResponse,
    /// The response cannot be an answer of this API, exceeds a size limit, or has a content coding that cannot be
    /// decoded: an HTML page, plain text, an event above the limit. The same request would get the same response.
    UnusableAnswer,
    /// The base URL names a place that does not answer requests of this API: it redirects, expects the other
    /// scheme (`http` or `https`), or does not speak HTTP/1. Redirects are not followed, because the redirected
    /// request would send the API key to another host.
    WrongEndpoint,
    /// The certificate of the host was not accepted: it names another host, is expired, or is signed by an
    /// unknown issuer.
    Certificate,
    /// The configured proxy refused to forward the request, for example with status 407.
    ProxyRefused,
    /// The connection was not established within the connect timeout.
    ConnectTimeout,
    /// The connection could not be established: the host was not found, was unreachable or refused the
    /// connection, or the TLS handshake failed.
    Connect,
    /// No content of the response arrived within the first-content timeout.
    FirstContentTimeout,
    /// The provider sent no data for longer than the idle timeout.
    IdleTimeout,
    /// The connection was closed or reset before the response was complete.
    ConnectionLost,
    /// The attempt reused an idle connection that was closed before the first byte of the response arrived.
    DeadConnection,
    /// The stream ended without its regular final event, such as `[DONE]`.
    Truncated,
    /// The call's deadline passed during the attempt.
    DeadlineExceeded,
}

/// The party to blame for a failed attempt. The blame decides whether and how the call is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The request is to blame: the same request fails with every key (status 400, 413 or 422, or an unknown
    /// model).
    Request,
    /// The key or its account is to blame: another key may succeed (status 401, 402, 403 or 429).
    Key,
    /// The target (the model at its base URL) is to blame: a later attempt or another target may succeed
    /// (status 5xx, or an unreadable response).
    Target,
    /// The network is to blame: a retry after a backoff may succeed (connect errors, timeouts, broken streams).
    Network,
}

impl FailureKind {
    /// Returns the party to blame for failures of this kind.
    pub fn blame(self) -> Blame {
        match self {
            Self::InvalidRequest
            | Self::ContextLength
            | Self::TooLarge
            | Self::ContentFilter
            | Self::ModelNotFound
            | Self::StreamOptionsRefused
            | Self::ResponseFormatRefused
            | Self::DeadlineExceeded => Blame::Request,
            Self::InvalidKey | Self::PermissionDenied | Self::NoQuota | Self::RateLimited => Blame::Key,
            Self::Overloaded
            | Self::ServerError
            | Self::InvalidResponse
            | Self::UnusableAnswer
            | Self::WrongEndpoint
            | Self::Certificate => Blame::Target,
            Self::ProxyRefused
            | Self::ConnectTimeout
            | Self::Connect
            | Self::FirstContentTimeout
            | Self::IdleTimeout
            | Self::ConnectionLost
            | Self::DeadConnection
            | Self::Truncated => Blame::Network,
        }
    }

    /// Returns whether the failure stays until a setting or the server is changed. A call is not repeated
    /// with the same target after such a failure.
    pub fn is_lasting(self) -> bool {
        matches!(
            self,
            Self::UnusableAnswer | Self::WrongEndpoint | Self::Certificate | Self::ProxyRefused
        )
    }

    /// Returns a short lower-case description of the failure for error messages and reports, such as
    /// `rate limited`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid request",
            Self::ContextLength => "context length exceeded",
            Self::TooLarge => "request too large",
            Self::ContentFilter => "blocked by content filter",
            Self::ModelNotFound => "model not found",
            Self::StreamOptionsRefused => "stream_options not supported",
            Self::ResponseFormatRefused => "response_format not supported",
            Self::InvalidKey => "invalid API key",
            Self::PermissionDenied => "permission denied",
            Self::NoQuota => "quota exhausted",
            Self::RateLimited => "rate limited",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server error",
            Self::InvalidResponse => "invalid response",
            Self::UnusableAnswer => "unusable answer",
            Self::WrongEndpoint => "wrong endpoint",
            Self::Certificate => "certificate not accepted",
            Self::ProxyRefused => "refused by the proxy",
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
    /// The failure has only one possible cause, for example because of its status or a known error code.
    Certain,
    /// Either the key or the request may be the cause: status 403, 404 or 429 without a known error code or
    /// message, if the provider requests no wait in the case of 429.
    Ambiguous,
}

/// What failed, and what to do about it, in words of this library. Contains no message of the provider, no key and no
/// prompt, so it may be logged. Names of hosts may come from the other side: the target of a redirect, without its
/// query, and the names in a certificate. Both texts start with a lower-case letter and have no full stop at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// What failed and where, such as `cannot find host api.example.com`.
    pub detail: Option<Cow<'static, str>>,
    /// An edit or a command that solves the problem.
    pub help: Option<Cow<'static, str>>,
}

/// The failure of one attempt: the cause, and the details that the provider reported.
#[derive(Clone, PartialEq)]
pub struct Failure {
    /// The cause of the failed attempt.
    pub kind: FailureKind,
    /// Whether the cause given by [`kind`](Failure::kind) is certain.
    pub certainty: Certainty,
    /// The HTTP status of the response; a success status if the response body reports the error. `None` if no
    /// response arrived, and for most failures that occur while the body is read.
    pub status: Option<u16>,
    /// The wait that the provider requests before the next attempt, measured from the arrival of the
    /// response. Without such a request, the time until the key's exhausted rate limits are reset, unless the
    /// account has no quota left. `None` if the provider names neither.
    pub retry_after: Option<Duration>,
    /// Whether [`retry_after`](Failure::retry_after) is only the time of a reset. Depending on the provider,
    /// requests are admitted from that time on or earlier.
    pub is_limit_reset: bool,
    /// What failed, and what to do about it, in words of this library. Boxed, since few failures need it.
    pub explanation: Option<Box<Explanation>>,
    /// The error code that the provider sent, such as `rate_limit_exceeded`. A numeric code is converted to
    /// text.
    pub code: Option<String>,
    /// The name of the request parameter that the provider rejects, such as `stream_options`.
    pub param: Option<Box<str>>,
    /// The error message that the provider sent. Returned to the caller but never logged, because the message
    /// may quote the prompt.
    pub message: Option<String>,
    /// The ID that the provider assigned to the request, from the response headers.
    pub request_id: Option<String>,
}

impl Failure {
    /// Creates a failure of the given kind whose cause is known for certain. All other fields are `None`.
    pub fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            certainty: Certainty::Certain,
            status: None,
            retry_after: None,
            is_limit_reset: false,
            explanation: None,
            code: None,
            param: None,
            message: None,
            request_id: None,
        }
    }

    /// Returns what failed and where: see [`Explanation::detail`].
    pub fn detail(&self) -> Option<&str> {
        self.explanation.as_ref()?.detail.as_deref()
    }

    /// Returns what to do about the failure: see [`Explanation::help`].
    pub fn help(&self) -> Option<&str> {
        self.explanation.as_ref()?.help.as_deref()
    }

    /// Sets what failed and where: see [`Explanation::detail`].
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.explanation.get_or_insert_default().detail = Some(detail.into());
        self
    }

    /// Sets what to do about the failure: see [`Explanation::help`].
    pub fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.explanation.get_or_insert_default().help = Some(help.into());
        self
    }

    /// Returns the party to blame for the failure.
    pub fn blame(&self) -> Blame {
        self.kind.blame()
    }
}

impl fmt::Debug for Failure {
    /// Omits the provider's message and redacts unusual error codes, because both may quote the prompt or a
    /// key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("kind", &self.kind)
            .field("certainty", &self.certainty)
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("detail", &self.detail())
            .field("code", &self.code.as_deref().map(redact_unless_code))
            .finish_non_exhaustive()
    }
}

/// Returns `text` unchanged if it looks like an error code: at most 48 characters, all of them lower-case
/// ASCII letters or underscores. Otherwise returns `(withheld)`, because other text may quote the prompt.
pub(crate) fn redact_unless_code(text: &str) -> &str {
    let is_code_char = |c: char| c.is_ascii_lowercase() || c == '_';
    if text.len() <= 48 && text.chars().all(is_code_char) {
        text
    } else {
        "(withheld)"
    }
}
