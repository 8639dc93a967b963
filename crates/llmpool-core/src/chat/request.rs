//! Requests for chat completions.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use super::json::Json;
use super::message::Message;
use super::response_format::ResponseFormat;
use super::tool_definition::{Tool, ToolChoice};
use super::unknown_fields::UnknownFields;
use super::wire_object::{partial_debug, wire_object};

/// A request for a chat completion. Absent fields are not sent; parameters without a field go into `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// Messages of the conversation.
    pub messages: Vec<Message>,
    /// Model. Targets replace it by their own.
    pub model: Option<String>,
    /// Limit on the tokens of the answer, including reasoning.
    pub max_completion_tokens: Option<u64>,
    /// Limit on the tokens of the answer, under the name that older servers expect.
    pub max_tokens: Option<u64>,
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<f64>,
    /// Nucleus sampling: share of the probability mass, 0 to 1.
    pub top_p: Option<f64>,
    /// Number of choices. The default is 1.
    pub n: Option<u32>,
    /// Strings at which the model stops.
    pub stop: Option<Stop>,
    /// Seed for repeatable sampling.
    pub seed: Option<i64>,
    /// Penalty on frequent tokens, -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// Penalty on tokens that have occurred, -2 to 2.
    pub presence_penalty: Option<f64>,
    /// Whether to return log probabilities.
    pub logprobs: Option<bool>,
    /// Number of most likely tokens to return for each position, 0 to 20.
    pub top_logprobs: Option<u32>,
    /// Whether to stream. Set by `chat` and `chat_stream`.
    pub stream: Option<bool>,
    /// Options for streams. By default usage is requested.
    pub stream_options: Option<StreamOptions>,
    /// Format of the answer.
    pub response_format: Option<ResponseFormat>,
    /// Tools that the model may call.
    pub tools: Vec<Tool>,
    /// Whether and which tools the model must call.
    pub tool_choice: Option<ToolChoice>,
    /// Whether the model may call several tools at once.
    pub parallel_tool_calls: Option<bool>,
    /// Effort spent on reasoning: `low`, `medium`, `high`, or another value that the model supports.
    pub reasoning_effort: Option<String>,
    /// Length of the answer: `low`, `medium`, `high`.
    pub verbosity: Option<String>,
    /// Bias of token probabilities, -100 to 100, by token ID.
    pub logit_bias: Option<Json>,
    /// Output types: `["text"]`, `["text", "audio"]`.
    pub modalities: Option<Vec<String>>,
    /// Voice and format of audio output.
    pub audio: Option<Json>,
    /// Predicted content of most of the answer: `{"type": "content", "content": …}`.
    pub prediction: Option<Json>,
    /// Options for web search by the provider.
    pub web_search_options: Option<Json>,
    /// Whether the provider stores the answer. The default is `false`.
    pub store: Option<bool>,
    /// Up to 16 pairs of strings that the provider stores with the answer.
    pub metadata: Option<Json>,
    /// Service tier: `auto`, `default`, `flex`, `priority`, or another one of the provider.
    pub service_tier: Option<String>,
    /// Hashed ID of the end user, for abuse detection.
    pub safety_identifier: Option<String>,
    /// Key that routes requests with a common prefix to the same cache of the provider.
    pub prompt_cache_key: Option<String>,
    /// Retention of the provider's prompt cache: `in_memory`, `24h`.
    pub prompt_cache_retention: Option<String>,
    /// ID of the end user, for abuse detection, deprecated.
    pub user: Option<String>,
    /// Functions that the model may call, the deprecated form of tools.
    pub functions: Vec<Json>,
    /// Whether and which function the model must call, deprecated.
    pub function_call: Option<Json>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(ChatRequest {
    model,
    max_completion_tokens,
    max_tokens,
    temperature,
    top_p,
    n,
    stop,
    seed,
    frequency_penalty,
    presence_penalty,
    logprobs,
    top_logprobs,
    stream,
    stream_options,
    response_format,
    tools,
    tool_choice,
    parallel_tool_calls,
    reasoning_effort,
    verbosity,
    logit_bias,
    modalities,
    audio,
    prediction,
    web_search_options,
    store,
    metadata,
    service_tier,
    safety_identifier,
    prompt_cache_key,
    prompt_cache_retention,
    user,
    functions,
    function_call,
} always { messages });

impl ChatRequest {
    /// Creates a request with these messages.
    pub fn new(messages: impl Into<Vec<Message>>) -> Self {
        Self {
            messages: messages.into(),
            ..Self::default()
        }
    }

    /// Creates a request with one user message.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new([Message::user(text.into())])
    }
}

/// Options for streams.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamOptions {
    /// Whether the last chunk reports usage.
    pub include_usage: Option<bool>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(StreamOptions { include_usage });

/// Strings at which the model stops.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Stop {
    /// One string.
    One(String),
    /// Up to four strings.
    Any(Vec<String>),
}

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StopVisitor;
        impl<'de> Visitor<'de> for StopVisitor {
            type Value = Stop;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
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
        deserializer.deserialize_any(StopVisitor)
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

partial_debug!(ChatRequest { messages, tools.len(), stream });
