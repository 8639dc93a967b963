//! Responses: the answers to requests of the Responses API.

use std::fmt;

use super::item::Item;
use super::part::ItemPart;
use super::request::{Reasoning, ResponsesTool, TextOptions};
use crate::chat::lenient_u64::lenient_getters;
use crate::chat::string_enum::string_enum;
use crate::chat::valid_fields::decode_valid_fields;
use crate::chat::wire_object::{opaque_debug, partial_debug, wire_object};
use crate::chat::{Content, Json, LenientU64, UnknownFields};

/// A response of the Responses API, finished or still in progress.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// ID of the response, for the field `previous_response_id` of the next request.
    pub id: Option<String>,
    /// Object type: `response`.
    pub object: Option<String>,
    /// Creation time in seconds since 1970, as raw JSON because some providers send a fraction.
    pub created_at: Option<Json>,
    /// Completion time in seconds since 1970, as raw JSON. `None` until the response is completed.
    pub completed_at: Option<Json>,
    /// Whether the response is in progress, completed, or ended otherwise.
    pub status: Option<ResponseStatus>,
    /// Why the response failed. `None` unless it did.
    pub error: Option<ResponseError>,
    /// Why the response is incomplete. `None` unless it is.
    pub incomplete_details: Option<IncompleteDetails>,
    /// Instructions of the request.
    pub instructions: Option<Json>,
    /// Name of the model that generated the response.
    pub model: Option<String>,
    /// Items that the model generated, in order.
    pub output: Vec<Item>,
    /// Tokens used by the request. `None` until the response is finished, or if not reported.
    pub usage: Option<ResponsesUsage>,
    /// Maximum number of tokens in the answer, from the request.
    pub max_output_tokens: Option<u64>,
    /// Maximum number of calls of tools that the provider runs, from the request.
    pub max_tool_calls: Option<u64>,
    /// Whether the model may call several tools in one answer, from the request.
    pub parallel_tool_calls: Option<bool>,
    /// ID of the response that this response continues.
    pub previous_response_id: Option<String>,
    /// Effort and summary of the reasoning, from the request.
    pub reasoning: Option<Reasoning>,
    /// Sampling temperature, from the request.
    pub temperature: Option<f64>,
    /// Share of probabilities for nucleus sampling, from the request.
    pub top_p: Option<f64>,
    /// Format and level of detail of the answer, from the request.
    pub text: Option<TextOptions>,
    /// Whether the model must call tools, and which, from the request.
    pub tool_choice: Option<Json>,
    /// Tools that the model may call, from the request.
    pub tools: Vec<ResponsesTool>,
    /// What to do with input beyond the context window, from the request.
    pub truncation: Option<String>,
    /// Object with pairs of strings, from the request.
    pub metadata: Option<Json>,
    /// Service tier that processed the request.
    pub service_tier: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(Response {
    id,
    object,
    created_at,
    completed_at,
    status,
    error,
    incomplete_details,
    instructions,
    model,
    usage,
    max_output_tokens,
    max_tool_calls,
    parallel_tool_calls,
    previous_response_id,
    reasoning,
    temperature,
    top_p,
    text,
    tool_choice,
    truncation,
    metadata,
    service_tier,
} always { output, tools });

/// Status of a response.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseStatus {
    /// The response is waiting to be processed.
    Queued,
    /// The response is being generated.
    InProgress,
    /// The response is complete.
    Completed,
    /// The response ended early. [`Response::incomplete_details`] says why.
    Incomplete,
    /// The response failed. [`Response::error`] says why.
    Failed,
    /// The response was cancelled by a request of the client.
    Cancelled,
    /// A status that this enum does not define.
    Other(Box<str>),
}

string_enum!(ResponseStatus {
    Queued => "queued",
    InProgress => "in_progress",
    Completed => "completed",
    Incomplete => "incomplete",
    Failed => "failed",
    Cancelled => "cancelled",
});

/// Why a response failed.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ResponseError {
    /// Error code, for example `server_error`, `rate_limit_exceeded` or `invalid_prompt`.
    pub code: Option<String>,
    /// Error message of the provider.
    pub message: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(ResponseError { code, message });

/// Why a response is incomplete.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct IncompleteDetails {
    /// The cause: `max_output_tokens` or `content_filter`.
    pub reason: Option<String>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(IncompleteDetails { reason });

/// Token usage of a response.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ResponsesUsage {
    pub(crate) input_tokens: Option<LenientU64>,
    /// Breakdown of the input tokens. `None` if not reported.
    pub input_tokens_details: Option<InputTokensDetails>,
    pub(crate) output_tokens: Option<LenientU64>,
    /// Breakdown of the output tokens. `None` if not reported.
    pub output_tokens_details: Option<OutputTokensDetails>,
    pub(crate) total_tokens: Option<LenientU64>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(ResponsesUsage {
    input_tokens,
    input_tokens_details,
    output_tokens,
    output_tokens_details,
    total_tokens,
});

lenient_getters!(ResponsesUsage {
    /// Returns the number of input tokens, including those read from a cache.
    input_tokens,
    /// Returns the number of output tokens, including those of reasoning.
    output_tokens,
    /// Returns the number of input and output tokens together.
    total_tokens,
});

/// Breakdown of the input tokens. Each count is part of the number of input tokens.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct InputTokensDetails {
    pub(crate) cached_tokens: Option<LenientU64>,
    pub(crate) cache_write_tokens: Option<LenientU64>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(InputTokensDetails {
    cached_tokens,
    cache_write_tokens
});

lenient_getters!(InputTokensDetails {
    /// Returns the number of input tokens that were read from a cache.
    cached_tokens,
});

/// Breakdown of the output tokens. Each count is part of the number of output tokens.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct OutputTokensDetails {
    pub(crate) reasoning_tokens: Option<LenientU64>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(OutputTokensDetails { reasoning_tokens });

lenient_getters!(OutputTokensDetails {
    /// Returns the number of output tokens that were used for reasoning.
    reasoning_tokens,
});

impl Response {
    /// Decodes the body of a response. A field with a value of an unexpected type is kept in `extra`.
    ///
    /// # Errors
    /// If the body is not a JSON object. The error may quote the body.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        crate::chat::from_json(json).or_else(|error| decode_valid_fields(json).ok_or(error))
    }

    /// Returns the text of all messages in the output, joined. Empty if there are none.
    pub fn text(&self) -> String {
        let messages = self.output.iter().filter_map(|item| match item {
            Item::Message(message) | Item::EasyMessage(message) => message.content.as_ref(),
            _ => None,
        });
        let mut text = String::new();
        for content in messages {
            match content {
                Content::Text(whole) => text += whole,
                Content::Parts(parts) => parts
                    .iter()
                    .filter_map(ItemPart::text)
                    .for_each(|part| text += part),
            }
        }
        text
    }
}

opaque_debug!(ResponseError, InputTokensDetails, OutputTokensDetails);

impl fmt::Debug for IncompleteDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IncompleteDetails")
    }
}

partial_debug!(ResponsesUsage { input_tokens(), output_tokens() });

partial_debug!(Response {
    status,
    output,
    usage
});
