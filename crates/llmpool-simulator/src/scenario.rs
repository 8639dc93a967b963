//! Scenarios: the configuration of a simulated provider.
//!
//! A scenario is parsed from JSON ([`Scenario::from_json`]) or built as a Rust value. Either way, the whole scenario is
//! validated before a socket is opened.

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
/// In JSON, the fields have the same names. A duration is a number of seconds from 0 to a year, and can have
/// a fraction.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// The accepted keys. A request without a key or with a key that is not listed gets status 401. Default:
    /// empty, which accepts requests with any key or without a key.
    pub keys: Vec<SimulatedKey>,
    /// The accounts to which keys can belong. All keys of an account share the account's limits. Default:
    /// empty.
    pub accounts: Vec<SimulatedAccount>,
    /// The provider whose rate limit headers and error bodies the simulator imitates. Default
    /// [`ProviderDialect::Openai`].
    pub dialect: ProviderDialect,
    /// The models of the provider. A request for a model that is not listed gets status 404 with the code
    /// `model_not_found`. Default: empty, which accepts any model.
    pub models: Vec<String>,
    /// The text of every answer. Default: a text that introduces the simulator.
    pub answer: String,
    /// Whether the simulator answers with the text of the last user message instead of
    /// [`answer`](Self::answer). Default `false`.
    pub echo: bool,
    /// The reasoning that precedes every answer. Default: no reasoning.
    pub reasoning: Option<String>,
    /// The text of a refusal that replaces every answer. Tool calls that the request requires are not
    /// replaced. Default: no refusal.
    pub refusal: Option<String>,
    /// The arguments of each tool call, as JSON text. The simulator calls a tool only if the request's
    /// `tool_choice` requires a call. Default: a small value that is valid for the tool's schema.
    pub tool_arguments: Option<String>,
    /// The number of words in each content event of a stream. Default 1.
    pub words_per_chunk: usize,
    /// The number of content events in a stream. The answer is repeated or truncated to this number of
    /// events, even if the response is not a stream. Default: as many events as the answer needs.
    pub chunk_count: Option<usize>,
    /// The delay between the arrival of the whole request and the head of the response. Default 0.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub head_delay: Duration,
    /// The delay between the head of the response and the first bytes of the body, such as the first event of
    /// a stream. Default 0.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub first_chunk_delay: Duration,
    /// The delay before each stream event except the first. Default 0.
    #[serde(deserialize_with = "seconds::deserialize")]
    pub chunk_delay: Duration,
    /// When the chat completions and Responses endpoints report token usage. Default
    /// [`UsagePolicy::OnRequest`].
    pub usage: UsagePolicy,
    /// Whether a stream ends with `data: [DONE]`. Default `true`.
    pub done: bool,
    /// What happens to the connection after a response. Default [`AfterResponse::KeepOpen`].
    pub after_response: AfterResponse,
    /// Behaviours for the first requests, whatever key the requests have. Each entry is used for one request.
    /// Default: empty.
    pub script: Vec<Behaviour>,
    /// Rules for all requests. The rules of a request's key are tried first, then these rules in order.
    /// Default: empty.
    pub behaviours: Vec<Behaviour>,
    /// The number of seconds by which the provider's clock is ahead of the real time; negative if the clock
    /// is behind. Affects the `date` header and every other date that the provider sends. At most a year in
    /// either direction. Default 0.
    pub clock_skew: f64,
    /// The seed of every random decision. Default 0.
    pub seed: u64,
}

/// An accepted key, with its limits and behaviours.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedKey {
    /// The key: the text after `Authorization: Bearer `. The simulator never prints the key.
    pub key: String,
    /// The key's name in [`Stats`](crate::Stats). Default `key-N`, where `N` is the key's zero-based index in
    /// [`Scenario::keys`].
    #[serde(default)]
    pub label: Option<String>,
    /// The name of the key's account, one of [`Scenario::accounts`]. Default: the key belongs to no account.
    #[serde(default)]
    pub account: Option<String>,
    /// The limits that apply to this key alone, in addition to the limits of its account. Default: unlimited.
    #[serde(default)]
    pub limits: Option<ProviderLimits>,
    /// Behaviours for the first requests with this key. Each entry is used for one request. Default: empty.
    #[serde(default)]
    pub script: Vec<Behaviour>,
    /// Rules for requests with this key, which are tried in order after [`script`](Self::script). Default:
    /// empty.
    #[serde(default)]
    pub behaviours: Vec<Behaviour>,
}

/// An account to which one or more keys belong.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedAccount {
    /// The name by which keys refer to the account, and the account's name in [`Stats`](crate::Stats).
    pub name: String,
    /// The limits that all keys of the account share. Default: unlimited.
    #[serde(default)]
    pub limits: Option<ProviderLimits>,
    /// The value of the `openai-organization` header in responses to requests with keys of the account. Only some
    /// dialects send this header. Default: no header.
    #[serde(default)]
    pub organization: Option<String>,
}

/// When the chat completions and Responses endpoints report token usage. The embeddings endpoint always
/// reports usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsagePolicy {
    /// All answers report usage, including chat streams whose request does not ask for usage.
    Always,
    /// All answers report usage, except chat streams whose request does not set
    /// `stream_options.include_usage`. The default, as with OpenAI.
    #[default]
    OnRequest,
    /// No answer from the chat completions or Responses endpoint reports usage.
    Never,
}

impl Scenario {
    /// Parses a scenario from JSON and validates it.
    ///
    /// # Errors
    /// Returns an error for invalid JSON, for an unknown field, and for a value that is out of range or
    /// contradicts another value.
    pub fn from_json(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = serde_json::from_str(text).map_err(|error| ScenarioError::from_json(&error))?;
        scenario.validate()?;
        Ok(scenario)
    }

    /// Creates a scenario that accepts only these keys, with defaults for all other fields.
    pub fn with_keys<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self {
            keys: keys.into_iter().map(SimulatedKey::new).collect(),
            ..Self::default()
        }
    }

    /// Returns the zero-based index of the key's account. `None` if the key belongs to no account.
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
    /// Creates a key without limits and without behaviours.
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

    /// Adds a rule after the rules that the key already has.
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
