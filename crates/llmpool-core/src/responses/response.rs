//! Responses.

use std::fmt;

use super::item::Item;
use super::part::ItemPart;
use super::request::{Reasoning, ResponsesTool, TextOptions};
use crate::chat::lenient_u64::lenient_getters;
use crate::chat::string_enum::string_enum;
use crate::chat::valid_fields::decode_valid_fields;
use crate::chat::wire_object::{opaque_debug, partial_debug, wire_object};
use crate::chat::{Content, Json, LenientU64, UnknownFields};

/// A response, finished or in progress.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// ID of the response, for `previous_response_id` of the next request.
    pub id: Option<String>,
    /// `response`.
    pub object: Option<String>,
    /// Creation time in seconds since 1970, sometimes with a fraction.
    pub created_at: Option<Json>,
    /// Completion time in seconds since 1970.
    pub completed_at: Option<Json>,
    /// Status of the response.
    pub status: Option<ResponseStatus>,
    /// Why the response failed.
    pub error: Option<ResponseError>,
    /// Why the response is incomplete.
    pub incomplete_details: Option<IncompleteDetails>,
    /// Instructions of the request.
    pub instructions: Option<Json>,
    /// Model that generated the response.
    pub model: Option<String>,
    /// Output items, in order.
    pub output: Vec<Item>,
    /// Token usage; `null` until the response is finished.
    pub usage: Option<ResponsesUsage>,
    /// As in the request.
    pub max_output_tokens: Option<u64>,
    /// As in the request.
    pub max_tool_calls: Option<u64>,
    /// As in the request.
    pub parallel_tool_calls: Option<bool>,
    /// ID of the previous response.
    pub previous_response_id: Option<String>,
    /// As in the request.
    pub reasoning: Option<Reasoning>,
    /// As in the request.
    pub temperature: Option<f64>,
    /// As in the request.
    pub top_p: Option<f64>,
    /// As in the request.
    pub text: Option<TextOptions>,
    /// As in the request.
    pub tool_choice: Option<Json>,
    /// As in the request.
    pub tools: Vec<ResponsesTool>,
    /// As in the request.
    pub truncation: Option<String>,
    /// As in the request.
    pub metadata: Option<Json>,
    /// Service tier that processed the request.
    pub service_tier: Option<String>,
    /// Unknown fields.
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
    /// Waiting to be processed.
    Queued,
    /// Being generated.
    InProgress,
    /// Complete.
    Completed,
    /// Ended early, see [`Response::incomplete_details`].
    Incomplete,
    /// Failed, see [`Response::error`].
    Failed,
    /// Cancelled by a request.
    Cancelled,
    /// A status that has no variant.
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
    /// Error code: `server_error`, `rate_limit_exceeded`, `invalid_prompt` and others.
    pub code: Option<String>,
    /// Message of the provider.
    pub message: Option<String>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(ResponseError { code, message });

/// Why a response is incomplete.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct IncompleteDetails {
    /// `max_output_tokens` or `content_filter`.
    pub reason: Option<String>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(IncompleteDetails { reason });

/// Token usage of a response.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ResponsesUsage {
    pub(crate) input_tokens: Option<LenientU64>,
    /// Breakdown of the input tokens.
    pub input_tokens_details: Option<InputTokensDetails>,
    pub(crate) output_tokens: Option<LenientU64>,
    /// Breakdown of the output tokens.
    pub output_tokens_details: Option<OutputTokensDetails>,
    pub(crate) total_tokens: Option<LenientU64>,
    /// Unknown fields.
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
    /// Returns the input tokens, including cached ones.
    input_tokens,
    /// Returns the output tokens, including reasoning.
    output_tokens,
    /// Returns the total tokens.
    total_tokens,
});

/// Breakdown of the input tokens. The counts are included in the input tokens.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct InputTokensDetails {
    pub(crate) cached_tokens: Option<LenientU64>,
    pub(crate) cache_write_tokens: Option<LenientU64>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(InputTokensDetails {
    cached_tokens,
    cache_write_tokens
});

lenient_getters!(InputTokensDetails {
    /// Returns the tokens that were read from a cache.
    cached_tokens,
});

/// Breakdown of the output tokens. The counts are included in the output tokens.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct OutputTokensDetails {
    pub(crate) reasoning_tokens: Option<LenientU64>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(OutputTokensDetails { reasoning_tokens });

lenient_getters!(OutputTokensDetails {
    /// Returns the tokens that were reasoning.
    reasoning_tokens,
});

impl Response {
    /// Decodes the body of an answer. Fields with values of an unexpected type are kept in `extra`.
    ///
    /// # Errors
    /// If the body is not an object. The error may quote the body.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        crate::chat::from_json(json).or_else(|error| decode_valid_fields(json).ok_or(error))
    }

    /// Returns the text of all output messages, joined. Empty if there are none.
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
