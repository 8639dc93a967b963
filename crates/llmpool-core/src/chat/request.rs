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

/// A request for a chat completion. Fields that are `None` or empty are not sent. Parameters without a field go into `extra`.
#[derive(Clone, Default, PartialEq)]
pub struct ChatRequest {
    /// Messages of the conversation, oldest first.
    pub messages: Vec<Message>,
    /// Name of the model. A target replaces it with the name of its own model.
    pub model: Option<String>,
    /// Maximum number of tokens in the answer, including reasoning.
    pub max_completion_tokens: Option<u64>,
    /// Maximum number of tokens in the answer, under the name that older servers expect.
    pub max_tokens: Option<u64>,
    /// Sampling temperature, from 0 to 2.
    pub temperature: Option<f64>,
    /// Nucleus sampling: the model samples only from the most likely tokens, whose probabilities sum to this share, from 0 to 1.
    pub top_p: Option<f64>,
    /// Number of alternative answers to generate. If absent, providers generate 1.
    pub n: Option<u32>,
    /// Strings at which the model stops generating.
    pub stop: Option<Stop>,
    /// Seed that makes sampling repeatable, as far as the provider supports it.
    pub seed: Option<i64>,
    /// Penalty for tokens in proportion to how often they have occurred, from -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// Penalty for tokens that have occurred at all, from -2 to 2.
    pub presence_penalty: Option<f64>,
    /// Whether to return the log probabilities of the tokens.
    pub logprobs: Option<bool>,
    /// Number of most likely tokens to return for each position of the answer, from 0 to 20.
    pub top_logprobs: Option<u32>,
    /// Whether to stream the answer. The methods `chat` and `chat_stream` of the `llmpool` crate set this field.
    pub stream: Option<bool>,
    /// Options for streams. If absent, the `llmpool` crate requests usage at the end of a stream.
    pub stream_options: Option<StreamOptions>,
    /// Format that the answer must have. If absent, the answer is plain text.
    pub response_format: Option<ResponseFormat>,
    /// Tools that the model may call.
    pub tools: Vec<Tool>,
    /// Whether the model must call tools, and which.
    pub tool_choice: Option<ToolChoice>,
    /// Whether the model may call several tools in one answer.
    pub parallel_tool_calls: Option<bool>,
    /// Effort that the model spends on reasoning: `low`, `medium`, `high`, or another value that the model supports.
    pub reasoning_effort: Option<String>,
    /// Level of detail of the answer: `low`, `medium` or `high`.
    pub verbosity: Option<String>,
    /// Object that maps token IDs to a bias of the token's probability, from -100 to 100.
    pub logit_bias: Option<Json>,
    /// Types of output: `["text"]` or `["text", "audio"]`.
    pub modalities: Option<Vec<String>>,
    /// Voice and format of audio output, as an object.
    pub audio: Option<Json>,
    /// Expected content of most of the answer, which speeds up generation: `{"type": "content", "content": …}`.
    pub prediction: Option<Json>,
    /// Options for web search by the provider, as an object.
    pub web_search_options: Option<Json>,
    /// Whether the provider stores the answer. If absent, it does not.
    pub store: Option<bool>,
    /// Object with up to 16 pairs of strings that the provider stores with the answer.
    pub metadata: Option<Json>,
    /// Service tier: `auto`, `default`, `flex`, `priority`, or another tier of the provider.
    pub service_tier: Option<String>,
    /// Hashed identifier of the end user, for abuse detection by the provider.
    pub safety_identifier: Option<String>,
    /// Key by which the provider routes requests with a common prefix to the same prompt cache.
    pub prompt_cache_key: Option<String>,
    /// How long the provider keeps the prompt cached: `in_memory` or `24h`.
    pub prompt_cache_retention: Option<String>,
    /// Identifier of the end user, for abuse detection by the provider. Deprecated in favour of `safety_identifier`.
    pub user: Option<String>,
    /// Functions that the model may call. Deprecated in favour of `tools`.
    pub functions: Vec<Json>,
    /// Whether the model must call a function, and which. Deprecated in favour of `tool_choice`.
    pub function_call: Option<Json>,
    /// Fields that this type does not define.
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
    /// Creates a request with these messages. All other fields are absent.
    pub fn new(messages: impl Into<Vec<Message>>) -> Self {
        Self {
            messages: messages.into(),
            ..Self::default()
        }
    }

    /// Creates a request with a single message of the end user.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new([Message::user(text.into())])
    }
}

/// Options for streams.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamOptions {
    /// Whether the provider reports usage in an additional chunk at the end of the stream.
    pub include_usage: Option<bool>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(StreamOptions { include_usage });

/// Strings at which the model stops generating.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Stop {
    /// One string.
    One(String),
    /// A list of strings. Most providers allow up to four.
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
