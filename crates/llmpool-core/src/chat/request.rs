//! What is asked.

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::message::Message;
use super::response_format::ResponseFormat;
use super::tool_definition::{Tool, ToolChoice};
use super::unknown_fields::{Json, UnknownFields};
use super::wire_object::wire_object;

/// A request for a chat completion. Absent fields are left out; anything without a field goes into `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// The conversation.
    pub messages: Vec<Message>,
    /// The model; a bound target puts its own in place.
    pub model: Option<String>,
    /// Most tokens of the answer, reasoning included.
    pub max_completion_tokens: Option<u64>,
    /// Most tokens of the answer, as older servers know it.
    pub max_tokens: Option<u64>,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// How many choices.
    pub n: Option<u32>,
    /// Where to stop.
    pub stop: Option<Stop>,
    /// For repeatable sampling.
    pub seed: Option<i64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// Whether to say how likely each token was.
    pub logprobs: Option<bool>,
    /// How many alternatives of each token, 0 to 20.
    pub top_logprobs: Option<u32>,
    /// Set by `chat` and `chat_stream`.
    pub stream: Option<bool>,
    /// Usage at the end of a stream is asked for unless this says otherwise.
    pub stream_options: Option<StreamOptions>,
    /// The form that the answer shall have.
    pub response_format: Option<ResponseFormat>,
    /// Tools the model may call.
    pub tools: Vec<Tool>,
    /// Whether it calls them, and which.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// `low`, `medium`, `high` and what else a model knows.
    pub reasoning_effort: Option<String>,
    /// How much is said: `low`, `medium`, `high`.
    pub verbosity: Option<String>,
    /// How likely tokens are made, -100 to 100, by the numbers of the tokens.
    pub logit_bias: Option<Json>,
    /// What comes back: `["text"]`, `["text", "audio"]`.
    pub modalities: Option<Vec<String>>,
    /// The voice and format of what is spoken.
    pub audio: Option<Json>,
    /// What most of the answer is expected to be: `{"type": "content", "content": …}`.
    pub prediction: Option<Json>,
    /// Lets the provider search the web.
    pub web_search_options: Option<Json>,
    /// Whether the provider keeps the answer. Absent means that it does not.
    pub store: Option<bool>,
    /// Up to 16 pairs of texts that the provider keeps with the answer.
    pub metadata: Option<Json>,
    /// `auto`, `default`, `flex`, `priority` and what else there is.
    pub service_tier: Option<String>,
    /// The end user, hashed, for the provider's abuse detection.
    pub safety_identifier: Option<String>,
    /// Calls with the same key find what they have in common in the provider's cache.
    pub prompt_cache_key: Option<String>,
    /// How long the provider's cache keeps it.
    pub prompt_cache_retention: Option<String>,
    /// The end user, for the provider's abuse detection, in the old way.
    pub user: Option<String>,
    /// The old form of tools.
    pub functions: Vec<Json>,
    /// The old form of a choice of tools.
    pub function_call: Option<Json>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ChatRequest {
    model => "model",
    max_completion_tokens => "max_completion_tokens",
    max_tokens => "max_tokens",
    temperature => "temperature",
    top_p => "top_p",
    n => "n",
    stop => "stop",
    seed => "seed",
    frequency_penalty => "frequency_penalty",
    presence_penalty => "presence_penalty",
    logprobs => "logprobs",
    top_logprobs => "top_logprobs",
    stream => "stream",
    stream_options => "stream_options",
    response_format => "response_format",
    tools => "tools",
    tool_choice => "tool_choice",
    parallel_tool_calls => "parallel_tool_calls",
    reasoning_effort => "reasoning_effort",
    verbosity => "verbosity",
    logit_bias => "logit_bias",
    modalities => "modalities",
    audio => "audio",
    prediction => "prediction",
    web_search_options => "web_search_options",
    store => "store",
    metadata => "metadata",
    service_tier => "service_tier",
    safety_identifier => "safety_identifier",
    prompt_cache_key => "prompt_cache_key",
    prompt_cache_retention => "prompt_cache_retention",
    user => "user",
    functions => "functions",
    function_call => "function_call",
} always { messages => "messages" });

impl ChatRequest {
    /// A request with these messages and nothing else.
    pub fn new(messages: impl Into<Vec<Message>>) -> Self {
        Self {
            messages: messages.into(),
            ..Self::default()
        }
    }

    /// A request with one message of the user.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new([Message::user(text.into())])
    }
}

/// What a stream shall carry beside the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamOptions {
    /// Whether usage comes at the end.
    pub include_usage: Option<bool>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(StreamOptions { include_usage => "include_usage" });

/// Where to stop: one text or several.
#[derive(Clone, PartialEq)]
pub enum Stop {
    /// One text.
    One(String),
    /// Up to four texts.
    Any(Vec<String>),
}

impl Serialize for Stop {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(text) => serializer.serialize_str(text),
            Self::Any(texts) => texts.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrAny;
        impl<'de> Visitor<'de> for OneOrAny {
            type Value = Stop;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Stop, E> {
                Ok(Stop::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Stop, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(Stop::Any(texts))
            }
        }
        deserializer.deserialize_any(OneOrAny)
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(_) => f.write_str("One"),
            Self::Any(texts) => write!(f, "Any({})", texts.len()),
        }
    }
}

impl fmt::Debug for ChatRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatRequest")
            .field("messages", &self.messages)
            .field("tools", &self.tools.len())
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
