//! Scenarios: the configuration of a simulated provider.
//!
//! A scenario comes from JSON ([`Scenario::from_json`]) or is built as a value. Either way it is validated as a whole
//! before a socket is opened.

mod built_in;
mod error;
mod validate;

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::behaviour::{AfterResponse, Behaviour, ResponseDelays};
use crate::dialect::ProviderDialect;
use crate::limits::ProviderLimits;
use crate::seconds;

pub use error::ScenarioError;

/// The default of [`Scenario::answer`].
const DEFAULT_ANSWER: &str = "Hello! This is the built-in simulator of llmpool, not a language model: it gives this \
                              same answer to every question. Configure a provider to talk to a real model.";

/// The configuration of a simulated provider. The default accepts any key and any model and answers without delay.
///
/// JSON has the same field names. Durations are numbers of seconds there, from 0 to a year, with fractions.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// The accepted keys; a request with another key gets 401. Default: empty, which accepts any key and requests
    /// without a key.
    pub keys: Vec<SimulatedKey>,
    /// The accounts that keys belong to. Default: empty.
    pub accounts: Vec<SimulatedAccount>,
    /// The provider whose rate limit headers and error bodies are used. Default [`ProviderDialect::Openai`].
    pub dialect: ProviderDialect,
    /// The models of the provider; a request for another one gets 404 `model_not_found`. Default: empty, which
    /// accepts any model.
    pub models: Vec<String>,
    /// The text of every answer. The default says that this is a simulator.
    pub answer: String,
    /// Whether an answer is the text of the last user message instead of [`answer`](Self::answer). Default `false`.
    pub echo: bool,
    /// The reasoning before every answer. Default: none.
    pub reasoning: Option<String>,
    /// The text of a refusal that replaces every answer, except for forced tool calls. Default: none.
    pub refusal: Option<String>,
    /// The arguments of a forced tool call, as a string. Default: a small value that is valid for the tool's schema.
    pub tool_arguments: Option<String>,
    /// The number of words in each content event of a stream. Default 1.
    pub words_per_chunk: usize,
    /// The number of content events in a stream. The answer is repeated or truncated to fit, also if it is not
    /// streamed. Default: as many as the answer needs.
    pub chunk_count: Option<usize>,
    /// The delay from the complete request to the head of the response. Default 0.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub head_delay: Duration,
    /// The delay from the head to the first event of a stream. Default 0.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub first_chunk_delay: Duration,
    /// The delay before each later event of a stream. Default 0.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub chunk_delay: Duration,
    /// Which responses report token usage. Default [`UsagePolicy::OnRequest`].
    pub usage: UsagePolicy,
    /// Whether a stream ends with `data: [DONE]`. Default `true`.
    pub done: bool,
    /// What happens to the connection after a response. Default [`AfterResponse::KeepOpen`].
    pub after_response: AfterResponse,
    /// Behaviours for the first requests, one entry per request, whatever its key. Default: empty.
    pub script: Vec<Behaviour>,
    /// Rules for all requests. They are tried in order, after the rules of the request's key. Default: empty.
    pub behaviours: Vec<Behaviour>,
    /// Seconds by which the provider's clock is ahead, or behind if negative. Affects the `date` header and every
    /// other date that the provider sends. At most a year. Default 0.
    pub clock_skew: f64,
    /// The seed of every random decision. Default 0.
    pub seed: u64,
}

/// An accepted key, with its limits and behaviours.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedKey {
    /// The key: what follows `Authorization: Bearer `. Never part of output.
    pub key: String,
    /// The key's name in [`Stats`](crate::Stats). Default `key-N`, counted from 0.
    #[serde(default)]
    pub label: Option<String>,
    /// The name of the key's account, one of [`Scenario::accounts`]. Default: the key belongs to no account.
    #[serde(default)]
    pub account: Option<String>,
    /// The limits of this key alone, in addition to those of its account. Default: none.
    #[serde(default)]
    pub limits: Option<ProviderLimits>,
    /// Behaviours for the first requests with this key, one entry per request. Default: empty.
    #[serde(default)]
    pub script: Vec<Behaviour>,
    /// Rules for requests with this key, tried in order after the script. Default: empty.
    #[serde(default)]
    pub behaviours: Vec<Behaviour>,
}

/// An account that one or more keys belong to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedAccount {
    /// The name that keys refer to, also used in [`Stats`](crate::Stats).
    pub name: String,
    /// The limits that all keys of the account share. Default: none.
    #[serde(default)]
    pub limits: Option<ProviderLimits>,
    /// The value of the `openai-organization` header in responses to keys of the account; only in dialects that have
    /// this header. Default: no header.
    #[serde(default)]
    pub organization: Option<String>,
}

/// Which responses report token usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsagePolicy {
    /// All responses, including streams that do not ask for it.
    Always,
    /// Responses without streaming, and streams with `stream_options.include_usage`.
    #[default]
    OnRequest,
    /// No response.
    Never,
}

impl Scenario {
    /// Parses a scenario from JSON and validates it.
    ///
    /// # Errors
    /// Returns an error for invalid JSON, an unknown field, a value out of range, or a key that occurs twice.
    pub fn from_json(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = serde_json::from_str(text).map_err(|error| ScenarioError::from_json(&error))?;
        scenario.validate()?;
        Ok(scenario)
    }

    /// Creates the default scenario, restricted to these keys.
    pub fn with_keys<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self {
            keys: keys.into_iter().map(SimulatedKey::new).collect(),
            ..Self::default()
        }
    }

    /// Returns the index of the key's account.
    pub(crate) fn account_of(&self, key: &SimulatedKey) -> Option<usize> {
        let name = key.account.as_ref()?;
        self.accounts.iter().position(|account| account.name == *name)
    }

    pub(crate) fn delays(&self) -> ResponseDelays {
        ResponseDelays {
            head: self.head_delay,
            first_chunk: self.first_chunk_delay,
            chunk: self.chunk_delay,
        }
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            accounts: Vec::new(),
            dialect: ProviderDialect::default(),
            models: Vec::new(),
            answer: DEFAULT_ANSWER.into(),
            echo: false,
            reasoning: None,
            refusal: None,
            tool_arguments: None,
            words_per_chunk: 1,
            chunk_count: None,
            head_delay: Duration::ZERO,
            first_chunk_delay: Duration::ZERO,
            chunk_delay: Duration::ZERO,
            usage: UsagePolicy::default(),
            done: true,
            after_response: AfterResponse::default(),
            script: Vec::new(),
            behaviours: Vec::new(),
            clock_skew: 0.0,
            seed: 0,
        }
    }
}

impl SimulatedKey {
    /// Creates a key without limits and behaviours.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            label: None,
            account: None,
            limits: None,
            script: Vec::new(),
            behaviours: Vec::new(),
        }
    }

    /// Adds a rule after the key's existing ones.
    #[must_use]
    pub fn with_behaviour(mut self, behaviour: impl Into<Behaviour>) -> Self {
        self.behaviours.push(behaviour.into());
        self
    }
}

/// Shows every field except the key.
impl fmt::Debug for SimulatedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedKey")
            .field("label", &self.label)
            .field("account", &self.account)
            .field("limits", &self.limits)
            .field("script", &self.script)
            .field("behaviours", &self.behaviours)
            .finish_non_exhaustive()
    }
}
