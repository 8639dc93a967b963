//! Behaviours: rules that each decide what happens to a request and to which requests they apply.
//!
//! In JSON a [`Behaviour`] is one flat object with exactly one of the fields `ok`, `status`, `limit`,
//! `throttle_once`, `stall`, `cut`, `refuse_stream_options`, `raw` and `error_in_200`.

mod json;

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use crate::reply::{SimulatedReply, StatusReply, StreamOptionsRefusal};
use crate::retry_after::{RetryAfter, RetryAfterForm};
use crate::scenario::ScenarioError;
use crate::seconds;
use crate::stats::RequestKind;

/// The maximum value of [`SlidingLimit::limit`], because the simulator remembers every request in the window.
const MAX_LIMIT: u32 = 1_000_000;

/// A rule: an action, and conditions that select the requests it applies to.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// What the rule does with a request.
    pub action: BehaviourAction,
    /// The probability that the rule applies to a request, 0 to 1. Default: it always applies.
    pub probability: Option<f64>,
    /// The endpoints that the rule applies to. Default [`EndpointFilter::Chat`].
    pub on: EndpointFilter,
    /// The time at which the rule becomes active, inclusive, since the provider's start. Default 0.
    pub from: Duration,
    /// The time at which the rule stops being active, exclusive, since the provider's start. Default: never.
    pub until: Option<Duration>,
    /// Whether the rule applies before the [limits](crate::ProviderLimits) of the key are checked, like an outage of a
    /// gateway in front of the provider. A request that such a rule answers counts towards no limit. Default `false`.
    pub before_limits: bool,
    /// Headers that the rule adds to the response. Default: none.
    pub headers: Vec<(String, String)>,
    /// Delays that replace the delays of the scenario. Default: none are replaced.
    pub delays: DelayOverride,
    /// What happens to the connection after the response. Default:
    /// [`Scenario::after_response`](crate::Scenario::after_response).
    pub after_response: Option<AfterResponse>,
}

/// What a rule does with a request.
#[derive(Clone, Debug)]
pub enum BehaviourAction {
    /// Answers the request with this reply.
    Reply(SimulatedReply),
    /// Answers 429 to requests above a limit. Requests within the limit pass to the next rule.
    Limit(SlidingLimit),
    /// Answers 429 to the first request, and to later requests until the given wait has passed since the first request.
    /// After that, requests pass to the next rule.
    ThrottleOnce(RetryAfter),
    /// Rejects requests that set `stream_options`. Other requests pass to the next rule.
    RefuseStreamOptions(StreamOptionsRefusal),
}

/// A limit on requests in a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingLimit {
    /// The number of requests that pass in any span of length `per`, 1 to 1,000,000.
    pub limit: u32,
    /// The length of the window. More than 0, at most a year.
    pub per: Duration,
    /// The header in which the 429 response reports the wait, and its format. Default [`RetryAfterForm::Seconds`].
    pub retry_after_form: RetryAfterForm,
    /// Whether responses carry OpenAI's `x-ratelimit-*-requests` headers, whether or not the limit is exceeded. Default
    /// `false`.
    pub rate_headers: bool,
}

/// The endpoints that a rule applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointFilter {
    /// `POST /v1/chat/completions` and `POST /v1/responses`.
    #[default]
    Chat,
    /// `POST /v1/chat/completions`.
    ChatCompletions,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `GET /v1/models` and `GET /v1/models/{id}`.
    Models,
    /// All endpoints.
    Any,
}

/// What happens to the connection after a complete response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterResponse {
    /// The connection stays open for the next request.
    #[default]
    KeepOpen,
    /// The connection is closed, and the response announces it with `connection: close`.
    Close,
    /// The connection is closed without `connection: close` immediately after the response, as by a load balancer with
    /// a short idle timeout.
    DropIdle,
    /// The connection is closed without `connection: close` when the first bytes of the next request arrive. Every
    /// reuse of the connection fails, even if the client checks before the reuse that the connection is open.
    DropOnReuse,
}

/// The delays of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseDelays {
    pub(crate) head: Duration,
    pub(crate) first_chunk: Duration,
    pub(crate) chunk: Duration,
}

/// Delays that replace the delays of the scenario. `None` (the default) keeps the delay of the scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DelayOverride {
    /// The delay that replaces [`Scenario::head_delay`](crate::Scenario::head_delay).
    pub head_delay: Option<Duration>,
    /// The delay that replaces [`Scenario::first_chunk_delay`](crate::Scenario::first_chunk_delay).
    pub first_chunk_delay: Option<Duration>,
    /// The delay that replaces [`Scenario::chunk_delay`](crate::Scenario::chunk_delay).
    pub chunk_delay: Option<Duration>,
}

impl Behaviour {
    /// Creates a rule that applies to every chat and Responses request.
    pub fn new(action: BehaviourAction) -> Self {
        Self {
            action,
            probability: None,
            on: EndpointFilter::default(),
            from: Duration::ZERO,
            until: None,
            before_limits: false,
            headers: Vec::new(),
            delays: DelayOverride::default(),
            after_response: None,
        }
    }

    /// Returns whether the rule is active at `now`, the time since the provider's start.
    pub(crate) fn is_active(&self, now: Duration) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }

    pub(crate) fn validate(&self, place: &str) -> Result<(), ScenarioError> {
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err(ScenarioError::new(format!(
                "{place}.probability must be from 0 to 1"
            )));
        }
        if self.until.is_some_and(|until| until <= self.from) {
            return Err(ScenarioError::new(format!(
                "{place}.until must be greater than {place}.from"
            )));
        }
        for (name, value) in &self.headers {
            if name.parse::<HeaderName>().is_err() || HeaderValue::from_str(value).is_err() {
                return Err(ScenarioError::new(format!(
                    "{place}.headers: `{name}` is not a valid header"
                )));
            }
        }
        match &self.action {
            BehaviourAction::Reply(reply) => reply.validate(place),
            BehaviourAction::Limit(rate) if !(1..=MAX_LIMIT).contains(&rate.limit) || rate.per.is_zero() => {
                Err(ScenarioError::new(format!(
                    "{place}: limit must be from 1 to {MAX_LIMIT}, and per above 0"
                )))
            }
            BehaviourAction::Limit(rate) => seconds::validate(place, rate.per),
            BehaviourAction::ThrottleOnce(retry_after) => seconds::validate(place, retry_after.wait),
            BehaviourAction::RefuseStreamOptions(_) => Ok(()),
        }
    }
}

impl From<SimulatedReply> for Behaviour {
    fn from(reply: SimulatedReply) -> Self {
        Self::new(BehaviourAction::Reply(reply))
    }
}

impl From<StatusReply> for Behaviour {
    fn from(status: StatusReply) -> Self {
        SimulatedReply::Status(status).into()
    }
}

impl EndpointFilter {
    pub(crate) fn matches(self, kind: RequestKind) -> bool {
        match self {
            Self::Any => true,
            Self::Chat => matches!(kind, RequestKind::Chat | RequestKind::Responses),
            Self::ChatCompletions => kind == RequestKind::Chat,
            Self::Responses => kind == RequestKind::Responses,
            Self::Embeddings => kind == RequestKind::Embeddings,
            Self::Models => kind == RequestKind::Models,
        }
    }
}

impl DelayOverride {
    pub(crate) fn apply_to(self, delays: ResponseDelays) -> ResponseDelays {
        ResponseDelays {
            head: self.head_delay.unwrap_or(delays.head),
            first_chunk: self.first_chunk_delay.unwrap_or(delays.first_chunk),
            chunk: self.chunk_delay.unwrap_or(delays.chunk),
        }
    }
}
