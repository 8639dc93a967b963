//! Responses: the answers to requests of the Responses API.

use std::fmt;

use super::item::Item;
use super::part::ItemPart;
use super::repair::{decode_repaired, number, take};
use super::request::{Reasoning, ResponsesTool, TextOptions};
use crate::chat::lenient_u64::lenient_getters;
use crate::chat::repair::decode_usage;
use crate::chat::string_enum::string_enum;
use crate::chat::wire_object::{opaque_debug, partial_debug, wire_object};
use crate::chat::{Content, Json, LenientU64, UnknownFields, count_in};
use crate::lenient_json::decode_part;

/// A response of the Responses API, finished or still in progress.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Response {
    /// ID of the response. A later request that continues this response names the ID in
    /// `previous_response_id`.
    pub id: Option<String>,
    /// Type of the JSON object, always `response`.
    pub object: Option<String>,
    /// Creation time in seconds since 1970, as raw JSON because some providers send fractions of a second.
    pub created_at: Option<Json>,
    /// Completion time in seconds since 1970, as raw JSON. `None` until the response is complete.
    pub completed_at: Option<Json>,
    /// State of the response, such as in progress, completed or failed.
    pub status: Option<ResponseStatus>,
    /// The reason why the response failed. `None` if the response did not fail.
    pub error: Option<ResponseError>,
    /// The reason why the response ended early. `None` if the response did not end early.
    pub incomplete_details: Option<IncompleteDetails>,
    /// Instructions to the model, repeated from the request as raw JSON.
    pub instructions: Option<Json>,
    /// Name of the model that generated the response.
    pub model: Option<String>,
    /// Items that the model and its tools produced, in order.
    pub output: Vec<Item>,
    /// Token usage. `None` if the response is not finished or the provider reported no usage.
    pub usage: Option<ResponsesUsage>,
    /// Maximum number of tokens in the answer, repeated from the request.
    pub max_output_tokens: Option<u64>,
    /// Maximum number of calls to tools that the provider runs, repeated from the request.
    pub max_tool_calls: Option<u64>,
    /// Whether the model may call several tools in one answer, repeated from the request.
    pub parallel_tool_calls: Option<bool>,
    /// ID of the earlier response that this response continues.
    pub previous_response_id: Option<String>,
    /// Options for the model's reasoning, repeated from the request.
    pub reasoning: Option<Reasoning>,
    /// Sampling temperature, from 0 to 2, repeated from the request.
    pub temperature: Option<f64>,
    /// Nucleus sampling threshold, from 0 to 1, repeated from the request.
    pub top_p: Option<f64>,
    /// Format and level of detail of the answer, repeated from the request.
    pub text: Option<TextOptions>,
    /// Which tools the model may or must call, repeated from the request.
    pub tool_choice: Option<Json>,
    /// Tools that the model may call, repeated from the request.
    pub tools: Vec<ResponsesTool>,
    /// What the provider does if the input exceeds the context window (`auto` or `disabled`), repeated from
    /// the request.
    pub truncation: Option<String>,
    /// Object with pairs of strings, repeated from the request.
    pub metadata: Option<Json>,
    /// Service tier in which the provider processed the request.
    pub service_tier: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
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

/// State of a response.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseStatus {
    /// The response waits to be processed.
    Queued,
    /// The provider is generating the response.
    InProgress,
    /// The response is complete.
    Completed,
    /// The response ended early. [`Response::incomplete_details`] contains the reason.
    Incomplete,
    /// The response failed. [`Response::error`] contains the reason.
    Failed,
    /// The client cancelled the response.
    Cancelled,
    /// A status that this enum does not define, as the provider sent it.
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

/// The reason why a response failed.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ResponseError {
    /// Error code, for example `server_error`, `rate_limit_exceeded` or `invalid_prompt`.
    pub code: Option<String>,
    /// Error message, written by the provider.
    pub message: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ResponseError { code, message });

/// The reason why a response ended early.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct IncompleteDetails {
    /// Cause of the early end: `max_output_tokens` or `content_filter`.
    pub reason: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(IncompleteDetails { reason });

/// Token usage of a response.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ResponsesUsage {
    pub(crate) input_tokens: LenientU64,
    /// Breakdown of the input tokens. `None` if the provider reported no breakdown.
    pub input_tokens_details: Option<InputTokensDetails>,
    pub(crate) output_tokens: LenientU64,
    /// Breakdown of the output tokens. `None` if the provider reported no breakdown.
    pub output_tokens_details: Option<OutputTokensDetails>,
    pub(crate) total_tokens: LenientU64,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ResponsesUsage {
    input_tokens,
    input_tokens_details,
    output_tokens,
    output_tokens_details,
    total_tokens,
});

impl ResponsesUsage {
    /// Returns the number of input tokens, including cached tokens. Reads the name of Chat Completions,
    /// `prompt_tokens`, if the own one is absent. `None` if the provider did not report the number.
    pub fn input_tokens(&self) -> Option<u64> {
        let other = || count_in(&self.extra, "prompt_tokens");
        self.input_tokens.get().or_else(other)
    }

    /// Returns the number of output tokens, including reasoning tokens. Reads the name of Chat Completions,
    /// `completion_tokens`, if the own one is absent. `None` if the provider did not report the number.
    pub fn output_tokens(&self) -> Option<u64> {
        let other = || count_in(&self.extra, "completion_tokens");
        self.output_tokens.get().or_else(other)
    }
}

lenient_getters!(ResponsesUsage {
    /// Returns the sum of input and output tokens that the provider reported. `None` if the provider reported
    /// no sum.
    total_tokens,
});

/// Breakdown of the input tokens. Each count is included in the total number of input tokens.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct InputTokensDetails {
    pub(crate) cached_tokens: LenientU64,
    pub(crate) cache_write_tokens: LenientU64,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(InputTokensDetails {
    cached_tokens,
    cache_write_tokens
});

lenient_getters!(InputTokensDetails {
    /// Returns the number of input tokens that the provider read from its cache. `None` if the provider did
    /// not report the number.
    cached_tokens,
});

/// Breakdown of the output tokens. Each count is included in the total number of output tokens.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct OutputTokensDetails {
    pub(crate) reasoning_tokens: LenientU64,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(OutputTokensDetails { reasoning_tokens });

lenient_getters!(OutputTokensDetails {
    /// Returns the number of output tokens that the model used for reasoning. `None` if the provider did not
    /// report the number.
    reasoning_tokens,
});

impl Response {
    /// Decodes the body of a response. A field whose value has an unexpected type is read if its meaning is
    /// clear. Otherwise it is kept in `extra` and causes no error. In text that JSON does not allow, U+FFFD
    /// replaces what is invalid.
    ///
    /// # Errors
    /// Returns an error if `json` is not a JSON object. The error message may quote the body.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        decode_repaired(json, repair_response)
    }

    /// Returns whether the response has an item of output that can be read, or says why it has none: a status
    /// other than `completed`.
    pub fn has_readable_output(&self) -> bool {
        let is_complete = matches!(self.status, None | Some(ResponseStatus::Completed));
        self.has("output") && (!is_complete || self.output.iter().any(Item::is_readable))
    }

    /// Returns the text of all messages in the output, concatenated without a separator. Empty if no message
    /// contains text. Leaves out reasoning that some providers put into messages.
    pub fn text(&self) -> String {
        let messages = self.output.iter().filter_map(|item| match item {
            Item::Message(message) | Item::EasyMessage(message) => message.content.as_ref(),
            _ => None,
        });
        let mut text = String::new();
        for content in messages {
            match content {
                Content::Text(whole) => text += whole,
                Content::Parts(parts) => parts.iter().for_each(|part| match part {
                    part if part.is_reasoning() => {}
                    ItemPart::Other(json) => text += &decode_part::<String>(json.get()).unwrap_or_default(),
                    part => text += part.text().unwrap_or_default(),
                }),
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

/// Reads the usage of a response even if some of its values have unexpected types, and whole numbers that are
/// written as fractions or text.
fn repair_response(response: &mut Response) {
    let extra = &mut response.extra;
    if response.usage.is_none() {
        response.usage = take(extra, "usage", decode_usage);
    }
    for (field, name) in [
        (&mut response.max_output_tokens, "max_output_tokens"),
        (&mut response.max_tool_calls, "max_tool_calls"),
    ] {
        *field = field.or_else(|| take(extra, name, number));
    }
}
