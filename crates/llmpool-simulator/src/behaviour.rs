//! Behaviours: rules for how the simulator answers requests. Each rule has an action, and conditions that
//! select the requests to which the action applies.
//!
//! In JSON, a [`Behaviour`] is a flat object. Exactly one of the fields `ok`, `status`, `limit`,
//! `throttle_once`, `stall`, `cut`, `refuse_stream_options`, `raw` and `error_in_200` selects the action.

mod json;

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use crate::reply::{SimulatedReply, StatusReply, StreamOptionsRefusal};
use crate::retry_after::{RetryAfter, RetryAfterForm};
use crate::scenario::ScenarioError;
use crate::seconds;
use crate::stats::RequestKind;

/// Maximum value of [`SlidingLimit::limit`], in requests per window. Bounds memory, because the simulator
/// stores an entry for every request in the window.
const MAX_LIMIT: u32 = 1_000_000;

/// A rule for how the simulator answers requests: an action, and conditions that select the requests to which
/// the action applies.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// What the rule does with a request.
    pub action: BehaviourAction,
    /// The probability, from 0 to 1, that the rule applies to a request that meets the rule's other
    /// conditions. `None`, the default, is the same as 1.
    pub probability: Option<f64>,
    /// The endpoints whose requests the rule applies to. Default: [`EndpointFilter::Chat`].
    pub on: EndpointFilter,
    /// The start of the period in which the rule is active (inclusive), as a duration since the simulator's
    /// start. Default 0.
    pub from: Duration,
    /// The end of the period in which the rule is active (exclusive), as a duration since the simulator's
    /// start. `None`, the default, means that the period never ends.
    pub until: Option<Duration>,
    /// Whether the rule is tried before the [limits](crate::ProviderLimits) of the request's key are checked.
    /// If so, a request that the rule answers counts towards no limit, as in an outage of a gateway in front
    /// of the provider. Default `false`.
    pub before_limits: bool,
    /// Headers (name and value) that the rule adds to the response. An added header replaces a header of the
    /// same name. Default: none.
    pub headers: Vec<(String, String)>,
    /// Delays that the rule uses instead of the scenario's delays. Default: the rule keeps the scenario's
    /// delays.
    pub delays: DelayOverride,
    /// What the simulator does with the connection after the response. `None`, the default, means
    /// [`Scenario::after_response`](crate::Scenario::after_response).
    pub after_response: Option<AfterResponse>,
}

/// What a rule does with a request.
#[derive(Clone, Debug)]
pub enum BehaviourAction {
    /// Answers the request with this reply.
    Reply(SimulatedReply),
    /// Answers requests that exceed the limit with status 429. Passes all other requests on to the next rule.
    Limit(SlidingLimit),
    /// Answers the first request with status 429, and also every later request until [`RetryAfter::wait`] has
    /// passed since the first request. Passes all requests after that time on to the next rule.
    ThrottleOnce(RetryAfter),
    /// Rejects requests that set `stream_options`. Passes all other requests on to the next rule.
    RefuseStreamOptions(StreamOptionsRefusal),
}

/// A limit on the number of requests in a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingLimit {
    /// The maximum number of requests that pass in any time span of length `per`, from 1 to 1,000,000.
    pub limit: u32,
    /// The length of the window: more than 0, at most a year.
    pub per: Duration,
    /// The header in which a 429 response reports how long to wait, and the format of the header. Default in
    /// JSON: [`RetryAfterForm::Seconds`].
    pub retry_after_form: RetryAfterForm,
    /// Whether the response to each request that the rule checks reports the state of the limit in OpenAI's
    /// `x-ratelimit-*-requests` headers, even if the request is within the limit. Default in JSON: `false`.
    pub rate_headers: bool,
}

/// The endpoints whose requests a rule applies to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointFilter {
    /// Requests to `POST /v1/chat/completions` and `POST /v1/responses`. The default.
    #[default]
    Chat,
    /// Requests to `POST /v1/chat/completions`.
    ChatCompletions,
    /// Requests to `POST /v1/responses`.
    Responses,
    /// Requests to `POST /v1/embeddings`.
    Embeddings,
    /// Requests to `GET /v1/models` and `GET /v1/models/{id}`.
    Models,
    /// Requests to all endpoints: chat completions, Responses, embeddings and models.
    Any,
}

/// What the simulator does with the connection after a complete response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterResponse {
    /// Keeps the connection open for the next request. The default.
    #[default]
    KeepOpen,
    /// Sends `connection: close` in the response, and closes the connection after the response.
    Close,
    /// Closes the connection immediately after the response, without sending `connection: close`, as a load
    /// balancer with a short idle timeout does.
    DropIdle,
    /// Closes the connection, without having sent `connection: close`, as soon as the first bytes of the next
    /// request arrive. Every reuse of the connection fails, even if the client first checks that the
    /// connection is still open.
    DropOnReuse,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseDelays {
    pub(crate) head: Duration,
    pub(crate) first_chunk: Duration,
    pub(crate) chunk: Duration,
}

/// Delays that a rule uses instead of the scenario's delays. A field that is `None`, the default, keeps the
/// scenario's delay.
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
    /// Creates a rule that applies to every request to the chat completions and Responses endpoints.
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

    /// Returns whether the rule is active at `now`, the time since the simulator's start.
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
