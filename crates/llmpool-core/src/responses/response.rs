//! The plain answer.

use std::fmt;

use super::item::Item;
use super::part::ItemPart;
use super::request::{Reasoning, ResponsesTool, TextOptions};
use crate::chat::string_enum::string_enum;
use crate::chat::wire_object::{decode_valid_fields, opaque_debug, wire_object};
use crate::chat::{Content, Json, LenientU64, UnknownFields};

/// A response, finished or not.
#[derive(Clone, Default, PartialEq)]
pub struct Response {
    /// The provider's id of it; the next turn can go on from it.
    pub id: Option<String>,
    /// `response`.
    pub object: Option<String>,
    /// Seconds since 1970 at which it was begun; a whole number or not.
    pub created_at: Option<Json>,
    /// Seconds since 1970 at which it was completed.
    pub completed_at: Option<Json>,
    /// How far it is.
    pub status: Option<ResponseStatus>,
    /// Why it failed.
    pub error: Option<ResponseError>,
    /// Why it is incomplete.
    pub incomplete_details: Option<IncompleteDetails>,
    /// What went before all input.
    pub instructions: Option<Json>,
    /// The model that answered.
    pub model: Option<String>,
    /// What came of it, in the order in which it happened.
    pub output: Vec<Item>,
    /// What it used; null until the end.
    pub usage: Option<ResponsesUsage>,
    /// As asked for.
    pub max_output_tokens: Option<u64>,
    /// As asked for.
    pub max_tool_calls: Option<u64>,
    /// As asked for.
    pub parallel_tool_calls: Option<bool>,
    /// The response that it goes on from.
    pub previous_response_id: Option<String>,
    /// As asked for.
    pub reasoning: Option<Reasoning>,
    /// As asked for.
    pub temperature: Option<f64>,
    /// As asked for.
    pub top_p: Option<f64>,
    /// As asked for.
    pub text: Option<TextOptions>,
    /// As asked for.
    pub tool_choice: Option<Json>,
    /// As asked for.
    pub tools: Vec<ResponsesTool>,
    /// As asked for.
    pub truncation: Option<String>,
    /// As asked for.
    pub metadata: Option<Json>,
    /// Which tier served it.
    pub service_tier: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(Response {
    id => "id",
    object => "object",
    created_at => "created_at",
    completed_at => "completed_at",
    status => "status",
    error => "error",
    incomplete_details => "incomplete_details",
    instructions => "instructions",
    model => "model",
    usage => "usage",
    max_output_tokens => "max_output_tokens",
    max_tool_calls => "max_tool_calls",
    parallel_tool_calls => "parallel_tool_calls",
    previous_response_id => "previous_response_id",
    reasoning => "reasoning",
    temperature => "temperature",
    top_p => "top_p",
    text => "text",
    tool_choice => "tool_choice",
    truncation => "truncation",
    metadata => "metadata",
    service_tier => "service_tier",
} always { output => "output", tools => "tools" });

/// How far a response is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ResponseStatus {
    /// It waits to be begun.
    Queued,
    /// It is being made.
    InProgress,
    /// It is whole.
    Completed,
    /// It ended early: see the details.
    Incomplete,
    /// It failed: see the error.
    Failed,
    /// Somebody stopped it.
    Cancelled,
    /// Anything else.
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
pub struct ResponseError {
    /// `server_error`, `rate_limit_exceeded`, `invalid_prompt` and others.
    pub code: Option<String>,
    /// The provider's words.
    pub message: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ResponseError { code => "code", message => "message" });

/// Why a response is incomplete.
#[derive(Clone, Default, PartialEq)]
pub struct IncompleteDetails {
    /// `max_output_tokens` or `content_filter`.
    pub reason: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(IncompleteDetails { reason => "reason" });

/// What a response used.
#[derive(Clone, Default, PartialEq)]
pub struct ResponsesUsage {
    pub(crate) input_tokens: Option<LenientU64>,
    /// Parts of the input.
    pub input_tokens_details: Option<InputTokensDetails>,
    pub(crate) output_tokens: Option<LenientU64>,
    /// Parts of the output.
    pub output_tokens_details: Option<OutputTokensDetails>,
    pub(crate) total_tokens: Option<LenientU64>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ResponsesUsage {
    input_tokens => "input_tokens",
    input_tokens_details => "input_tokens_details",
    output_tokens => "output_tokens",
    output_tokens_details => "output_tokens_details",
    total_tokens => "total_tokens",
});

impl ResponsesUsage {
    /// Tokens of the input, cached ones included.
    pub fn input_tokens(&self) -> Option<u64> {
        self.input_tokens.map(|tokens| tokens.0)
    }

    /// Tokens of the output, reasoning included.
    pub fn output_tokens(&self) -> Option<u64> {
        self.output_tokens.map(|tokens| tokens.0)
    }

    /// Tokens in all.
    pub fn total_tokens(&self) -> Option<u64> {
        self.total_tokens.map(|tokens| tokens.0)
    }
}

/// Parts of the input.
#[derive(Clone, Default, PartialEq)]
pub struct InputTokensDetails {
    pub(crate) cached_tokens: Option<LenientU64>,
    pub(crate) cache_write_tokens: Option<LenientU64>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(InputTokensDetails { cached_tokens => "cached_tokens", cache_write_tokens => "cache_write_tokens" });

impl InputTokensDetails {
    /// Tokens that were read from a cache.
    pub fn cached_tokens(&self) -> Option<u64> {
        self.cached_tokens.map(|tokens| tokens.0)
    }
}

/// Parts of the output.
#[derive(Clone, Default, PartialEq)]
pub struct OutputTokensDetails {
    pub(crate) reasoning_tokens: Option<LenientU64>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(OutputTokensDetails { reasoning_tokens => "reasoning_tokens" });

impl OutputTokensDetails {
    /// Tokens that were reasoning.
    pub fn reasoning_tokens(&self) -> Option<u64> {
        self.reasoning_tokens.map(|tokens| tokens.0)
    }
}

impl Response {
    /// Decodes the body of an answer. Members that are not what they should be are kept as they are, in `extra`.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        crate::chat::from_json(json).or_else(|error| decode_valid_fields(json).ok_or(error))
    }

    /// All texts of the model, joined.
    pub fn text(&self) -> String {
        let messages = self.output.iter().filter_map(|item| match item {
            Item::Message(message) | Item::EasyMessage(message) => message.content.as_ref(),
            _ => None,
        });
        let mut text = String::new();
        for content in messages {
            match content {
                Content::Text(said) => text += said,
                Content::Parts(parts) => parts
                    .iter()
                    .filter_map(ItemPart::text)
                    .for_each(|said| text += said),
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

impl fmt::Debug for ResponsesUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponsesUsage")
            .field("input_tokens", &self.input_tokens())
            .field("output_tokens", &self.output_tokens())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("output", &self.output)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}
