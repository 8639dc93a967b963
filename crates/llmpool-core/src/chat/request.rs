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

/// A request for a chat completion. Optional fields that are `None` or empty are not sent. Put parameters
/// that have no field into `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// Messages of the conversation, oldest first.
    pub messages: Vec<Message>,
    /// Name of the model. The `llmpool` crate replaces this name with the model of the target to which it
    /// sends the request.
    pub model: Option<String>,
    /// Maximum number of tokens in the answer, including reasoning tokens.
    pub max_completion_tokens: Option<u64>,
    /// Older name of `max_completion_tokens`. Some servers accept only this name.
    pub max_tokens: Option<u64>,
    /// Sampling temperature, from 0 to 2. Higher values make the answer more random.
    pub temperature: Option<f64>,
    /// Nucleus sampling, from 0 to 1: the model samples only from the smallest set of most likely tokens
    /// whose probabilities add up to at least this value.
    pub top_p: Option<f64>,
    /// Number of alternative answers to generate. If absent, providers generate one answer.
    pub n: Option<u32>,
    /// Strings at which the model stops generating.
    pub stop: Option<Stop>,
    /// Seed for sampling. If the provider supports seeds, requests with equal seeds and parameters should
    /// yield equal answers.
    pub seed: Option<i64>,
    /// Penalty for tokens that have already occurred, from -2 to 2. The penalty grows with the number of
    /// occurrences.
    pub frequency_penalty: Option<f64>,
    /// Penalty for tokens that have already occurred, from -2 to 2. The penalty does not depend on the number
    /// of occurrences.
    pub presence_penalty: Option<f64>,
    /// Whether the provider returns the log probabilities of the answer's tokens.
    pub logprobs: Option<bool>,
    /// Number of most likely tokens, from 0 to 20, that the provider returns for each position of the answer.
    pub top_logprobs: Option<u32>,
    /// Whether the provider streams the answer. The methods `chat` and `chat_stream` of the `llmpool` crate
    /// ignore this field and send the value that they need.
    pub stream: Option<bool>,
    /// Options for a streamed answer. If absent, the `llmpool` crate asks the provider to report usage at the
    /// end of the stream, unless the provider is known to reject these options.
    pub stream_options: Option<StreamOptions>,
    /// Format that the answer must have. If absent, the answer is plain text.
    pub response_format: Option<ResponseFormat>,
    /// Tools that the model may call.
    pub tools: Vec<Tool>,
    /// Whether the model must call a tool, and which tools the model may call.
    pub tool_choice: Option<ToolChoice>,
    /// Whether the model may call several tools in one answer.
    pub parallel_tool_calls: Option<bool>,
    /// Effort that the model spends on reasoning: `low`, `medium`, `high`, or another value that the model
    /// supports.
    pub reasoning_effort: Option<String>,
    /// Level of detail of the answer: `low`, `medium` or `high`.
    pub verbosity: Option<String>,
    /// Object that maps token IDs to biases from -100 to 100. The provider adds each bias to the logit of the
    /// token.
    pub logit_bias: Option<Json>,
    /// Types of output that the model generates: `["text"]` or `["text", "audio"]`.
    pub modalities: Option<Vec<String>>,
    /// Object with the voice and the format of audio output.
    pub audio: Option<Json>,
    /// Object `{"type": "content", "content": …}` with text that the answer is expected to repeat. Speeds up
    /// generation.
    pub prediction: Option<Json>,
    /// Object with options for the provider's web search.
    pub web_search_options: Option<Json>,
    /// Whether the provider stores the answer. If absent, the answer is not stored.
    pub store: Option<bool>,
    /// Object with up to 16 key-value pairs of strings, which the provider stores with the answer.
    pub metadata: Option<Json>,
    /// Service tier in which the provider processes the request: `auto`, `default`, `flex`, `priority`, or
    /// another tier that the provider offers.
    pub service_tier: Option<String>,
    /// Hashed identifier of the end user, which helps the provider detect abuse.
    pub safety_identifier: Option<String>,
    /// Key that helps the provider route requests with the same prompt prefix to the same prompt cache.
    pub prompt_cache_key: Option<String>,
    /// Retention policy of the provider's prompt cache: `in_memory` or `24h`.
    pub prompt_cache_retention: Option<String>,
    /// Options for prompt caching, as an object such as `{"mode": "explicit", "ttl": "30m"}`.
    pub prompt_cache_options: Option<Json>,
    /// Options for moderating the input and the output, as an object with the moderation model.
    pub moderation: Option<Json>,
    /// Identifier of the end user, which helps the provider detect abuse. Deprecated by OpenAI in favour of
    /// `safety_identifier`.
    pub user: Option<String>,
    /// Functions that the model may call. Deprecated by OpenAI in favour of `tools`.
    pub functions: Vec<Json>,
    /// Whether the model must call a function, and which function. Deprecated by OpenAI in favour of
    /// `tool_choice`.
    pub function_call: Option<Json>,
    /// Request parameters that this struct does not define. Encoding adds these parameters to the request.
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
    prompt_cache_options,
    moderation,
    user,
    functions,
    function_call,
} always { messages });

impl ChatRequest {
    /// Creates a request with the given messages. All other fields are absent.
    pub fn new(messages: impl Into<Vec<Message>>) -> Self {
        Self {
            messages: messages.into(),
            ..Self::default()
        }
    }

    /// Creates a request with a single `user` message.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new([Message::user(text.into())])
    }
}

/// Options for a streamed answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamOptions {
    /// Whether the provider reports usage in an additional chunk at the end of the stream.
    pub include_usage: Option<bool>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(StreamOptions { include_usage });

/// Strings at which the model stops generating.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Stop {
    /// A single stop string.
    One(String),
    /// A list of stop strings. Most providers allow up to four.
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
