//! Translation between the Chat Completions and the Responses format, grouped by exchange.
//!
//! - `chat_over_responses`: a chat client over a target that speaks Responses. [`chat_request_to_responses`] translates the request,
//!   [`response_to_completion`] the complete response and [`EventToChunkTranslator`] the stream.
//! - `responses_over_chat`: a Responses client over a target that speaks Chat Completions. [`responses_request_to_chat`] translates the
//!   request, [`completion_to_response`] the complete response and [`ChunkToEventTranslator`] the stream.
//!
//! Fields with an equivalent are mapped. A field without one is an [`UnsupportedField`] error if the response would be wrong without it.
//! Otherwise the field is left out, and its path is listed in [`TranslatedRequest::dropped`].

mod chat_over_responses;
mod dropped_fields;
mod failed_response;
mod image_items;
mod reasoning_details;
mod responses_over_chat;
mod tagged_object;
mod tool_call_parts;
mod translated_request;
mod unsupported_field;
pub(crate) mod usage;

pub use chat_over_responses::{
    EventError, EventToChunkTranslator, chat_request_to_responses, response_to_completion,
};
pub use failed_response::FailedResponse;
pub use responses_over_chat::{
    ChatCapabilities, ChunkToEventTranslator, ReasoningEcho, ResponseEnvelope, completion_to_response,
    responses_request_to_chat,
};
pub use translated_request::TranslatedRequest;
pub use unsupported_field::UnsupportedField;
pub use usage::parse_usage;

/// Value of `include` with which a response contains log probabilities.
const INCLUDE_LOGPROBS: &str = "message.output_text.logprobs";
/// Value of `include` with which a response contains encrypted reasoning.
const INCLUDE_ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";
/// Stands between two parts of reasoning that are joined to one text.
const REASONING_SEPARATOR: &str = "\n\n";
