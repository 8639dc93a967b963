//! What may happen to a request: an answer, a refusal, silence, or a broken connection, and when it happens.
//!
//! A [`Behaviour`] is a rule: it says whom it strikes (which requests, how often) and what then happens. In JSON all of
//! it is one flat object with exactly one of `ok`, `status`, `limit`, `throttle_once`, `stall`, `cut`,
//! `refuse_stream_options`, `raw` and `error_in_200`.

mod wire;

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use crate::scenario::{MAX_DURATION, ScenarioError};

/// The highest limit: each request in its window is remembered.
const MAX_LIMIT: u32 = 1_000_000;

/// A rule: what happens, and to which requests.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "wire::Behaviour")]
pub struct Behaviour {
    /// What happens when the rule strikes.
    pub action: Action,
    /// How likely the rule strikes, from 0 to 1. `None`: every time.
    pub probability: Option<f64>,
    /// Which requests the rule looks at. Default: requests for an answer, in either format.
    pub on: Endpoint,
    /// The time since the provider's start from which on the rule holds. Default 0.
    pub from: Duration,
    /// The time since the provider's start at which the rule ends. `None`: it never does.
    pub until: Option<Duration>,
    /// Whether the rule strikes before [limits](crate::Limits) are asked, as an outage of what stands in front of the
    /// provider does: what it strikes counts for no limit. Default `false`.
    pub before_limits: bool,
    /// Headers added to the response when the rule strikes.
    pub headers: Vec<(String, String)>,
    /// Delays that replace the scenario's when the rule strikes.
    pub pace: PaceOverride,
    /// What happens to the connection afterwards, instead of the scenario's choice.
    pub after_response: Option<AfterResponse>,
}

/// What a rule does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Replies in a given way.
    Reply(Reply),
    /// Answers 429 to requests above a rate; lets the others pass to the next rule.
    Limit(RateLimit),
    /// Answers 429 until this long after the first request, then lets everything pass.
    ThrottleOnce(RetryAfter),
    /// Answers 400 or 422 to requests with `stream_options`; lets the others pass.
    RefuseStreamOptions(RefusalForm),
}

/// A way to reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The proper answer.
    Ok,
    /// A status other than success.
    Status(StatusReply),
    /// Silence from this point on; the connection stays open until the client leaves.
    Stall(Point),
    /// The connection is closed at this point.
    Cut {
        /// How much of the response is sent before.
        at: Point,
        /// With a TCP reset instead of an orderly end.
        reset: bool,
    },
    /// Recorded bytes.
    Raw(Raw),
    /// Status 200 with an error inside.
    ErrorIn200(ErrorIn200),
}

/// A refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusReply {
    /// The HTTP status, 200 to 599.
    pub status: u16,
    /// The `code` (and for `insufficient_quota` the `type`) in the default body. Default: what OpenAI sends.
    pub code: Option<String>,
    /// When the provider says to come back.
    pub retry_after: Option<RetryAfter>,
    /// Sent instead of the default body: a JSON string as plain text, anything else as JSON.
    pub body: Option<serde_json::Value>,
}

/// A time to come back at, and how it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// How long to stay away.
    pub wait: Duration,
    /// How it is written.
    pub form: RetryAfterForm,
}

/// How a time to come back at is written into headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfterForm {
    /// `retry-after` in whole seconds, rounded up.
    Seconds,
    /// `retry-after` in seconds with three decimals.
    Decimal,
    /// `retry-after-ms` alone, in whole milliseconds, rounded up.
    Ms,
    /// `retry-after` as an HTTP date, rounded up to a second.
    Date,
    /// Not at all.
    None,
}

/// A limit of requests in a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests pass in any span of `per`.
    pub limit: u32,
    /// The length of the window.
    pub per: Duration,
    /// How the 429 tells when to come back. Default whole seconds.
    pub retry_after_form: RetryAfterForm,
    /// Whether all responses carry OpenAI's `x-ratelimit-*-requests` headers. Default `false`.
    pub rate_headers: bool,
}

/// A point in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// Before any byte of it.
    BeforeHead,
    /// After the status line and headers.
    AfterHead,
    /// After this many events of a stream, role and finish events counted. A plain answer has no events: there it
    /// means half of the body (for 0, none of it).
    AfterEvents(usize),
    /// After exactly this many bytes of the body, not counting what the transfer coding adds.
    AfterBytes(usize),
}

/// How a server without `stream_options` refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalForm {
    /// 400 with an error object whose `param` is `stream_options`.
    Openai,
    /// 422 with a `detail` list whose `loc` ends in `stream_options`.
    Fastapi,
}

/// Where the error stands in a response that claims success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorIn200 {
    /// It is the whole body, as plain JSON, even if a stream was asked for.
    Plain,
    /// It is the first event of the stream. A plain answer is as in `Plain`.
    FirstEvent,
    /// It follows this many events of the stream, and ends it. A plain answer is as in `Plain`.
    AfterEvents(usize),
}

/// A recorded response body, served byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "wire::Raw")]
pub struct Raw {
    /// The HTTP status. Default 200.
    pub status: u16,
    /// The content type. Default `text/event-stream`; that one is sent chunked, any other with its length.
    pub content_type: String,
    /// The bytes of the body.
    pub body: Bytes,
    /// Sizes of the writes, each flushed by itself; what is left goes in one more. Default: all in one.
    pub writes: Vec<usize>,
}

/// The requests a rule looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// Requests for an answer, in either format: those of `ChatCompletions` and of `Responses`.
    #[default]
    Chat,
    /// `POST /v1/chat/completions`.
    ChatCompletions,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `GET /v1/models`, and of one model.
    Models,
    /// All of them.
    Any,
}

/// What happens to the connection once a response is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterResponse {
    /// It stays open for the next request.
    #[default]
    KeepOpen,
    /// It is closed, and the response says so (`connection: close`).
    Close,
    /// It is closed at once and without a word, as an impatient load balancer does.
    DropIdle,
    /// It is closed without a word as soon as the next request's first bytes arrive: every reuse hits a dead
    /// connection, whatever the client checks before.
    DropOnReuse,
}

/// The delays of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) head: Duration,
    pub(crate) first_chunk: Duration,
    pub(crate) chunk: Duration,
}

/// Delays that replace those of the scenario; `None` keeps the scenario's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaceOverride {
    /// Instead of [`Scenario::head_delay`](crate::Scenario::head_delay).
    pub head_delay: Option<Duration>,
    /// Instead of [`Scenario::first_chunk_delay`](crate::Scenario::first_chunk_delay).
    pub first_chunk_delay: Option<Duration>,
    /// Instead of [`Scenario::chunk_delay`](crate::Scenario::chunk_delay).
    pub chunk_delay: Option<Duration>,
}

impl Behaviour {
    /// A rule that strikes every request for an answer.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            probability: None,
            on: Endpoint::default(),
            from: Duration::ZERO,
            until: None,
            before_limits: false,
            headers: Vec::new(),
            pace: PaceOverride::default(),
            after_response: None,
        }
    }

    /// Whether the rule holds at this time since the provider's start.
    pub(crate) fn holds(&self, now: Duration) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }

    pub(crate) fn check(&self, place: &str) -> Result<(), ScenarioError> {
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err(ScenarioError::new(format!(
                "{place}.probability must be from 0 to 1"
            )));
        }
        if self.until.is_some_and(|until| until <= self.from) {
            return Err(ScenarioError::new(format!(
                "{place} ends before it begins; give an until above from"
            )));
        }
        for (name, value) in &self.headers {
            if name.parse::<HeaderName>().is_err() || HeaderValue::from_str(value).is_err() {
                return Err(ScenarioError::new(format!(
                    "{place}.headers: `{name}` is no valid header"
                )));
            }
        }
        match &self.action {
            Action::Reply(reply) => reply.check(place),
            Action::Limit(rate) if !(1..=MAX_LIMIT).contains(&rate.limit) || rate.per.is_zero() => {
                Err(ScenarioError::new(format!(
                    "{place}: limit must be from 1 to {MAX_LIMIT}, and per above 0"
                )))
            }
            Action::Limit(rate) => check_span(place, rate.per),
            Action::ThrottleOnce(retry_after) => check_span(place, retry_after.wait),
            Action::RefuseStreamOptions(_) => Ok(()),
        }
    }
}

impl From<Reply> for Behaviour {
    fn from(reply: Reply) -> Self {
        Self::new(Action::Reply(reply))
    }
}

impl From<StatusReply> for Behaviour {
    fn from(status: StatusReply) -> Self {
        Reply::Status(status).into()
    }
}

impl Reply {
    fn check(&self, place: &str) -> Result<(), ScenarioError> {
        let status = match self {
            Self::Status(reply) => reply.status,
            Self::Raw(raw) => raw.status,
            Self::Ok | Self::Stall(_) | Self::Cut { .. } | Self::ErrorIn200(_) => return Ok(()),
        };
        if !(200..=599).contains(&status) {
            return Err(ScenarioError::new(format!(
                "{place}.status must be from 200 to 599"
            )));
        }
        match self {
            Self::Status(reply) => reply
                .retry_after
                .map_or(Ok(()), |told| check_span(place, told.wait)),
            Self::Raw(raw) if HeaderValue::from_str(&raw.content_type).is_err() => Err(ScenarioError::new(
                format!("{place}.raw.content_type is no valid header value"),
            )),
            _ => Ok(()),
        }
    }
}

impl StatusReply {
    /// A status with the default body and no time to come back at.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            code: None,
            retry_after: None,
            body: None,
        }
    }

    /// A 429 that says when to come back.
    pub fn throttled(retry_after: RetryAfter) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(429)
        }
    }

    pub(crate) fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl RetryAfter {
    /// This long, as whole seconds where it is whole and with decimals where it is not.
    pub fn new(wait: Duration) -> Self {
        let form = if wait.subsec_nanos() == 0 {
            RetryAfterForm::Seconds
        } else {
            RetryAfterForm::Decimal
        };
        Self { wait, form }
    }
}

impl PaceOverride {
    pub(crate) fn over(self, pace: Pace) -> Pace {
        Pace {
            head: self.head_delay.unwrap_or(pace.head),
            first_chunk: self.first_chunk_delay.unwrap_or(pace.first_chunk),
            chunk: self.chunk_delay.unwrap_or(pace.chunk),
        }
    }
}

fn check_span(place: &str, span: Duration) -> Result<(), ScenarioError> {
    if span > MAX_DURATION {
        return Err(ScenarioError::new(format!(
            "{place} has a time of more than a year"
        )));
    }
    Ok(())
}
