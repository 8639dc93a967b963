//! Translation between the API formats Chat Completions and Responses. There is one submodule for each
//! direction.
//!
//! - `chat_over_responses` serves a chat client whose target speaks Responses. [`chat_request_to_responses`]
//!   translates the request, [`response_to_completion`] a complete response, and [`EventToChunkTranslator`] a
//!   stream.
//! - `responses_over_chat` serves a Responses client whose target speaks Chat Completions.
//!   [`responses_request_to_chat`] translates the request, [`completion_to_response`] a complete chat
//!   completion, and [`ChunkToEventTranslator`] a stream.
//!
//! A request field that has an equivalent in the other format is translated to that equivalent. A field
//! without an equivalent causes an [`UnsupportedField`] error if the answer would be wrong without the field.
//! Otherwise the field is left out and listed in [`TranslatedRequest::dropped`].
//!
//! An answer is translated as far as possible. [`dropped_from_response`] and [`dropped_from_completion`] list
//! what is left out, as do the `dropped_output` methods of the two stream translators.

mod chat_over_responses;
mod dropped_fields;
mod dropped_output;
mod echoed;
mod failed_response;
mod image_items;
mod moderation;
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
pub use dropped_output::{dropped_from_completion, dropped_from_response};
pub use echoed::{without_echoed_fields, without_extra_content};
pub use failed_response::FailedResponse;
pub use responses_over_chat::{
    ChatCapabilities, ChunkToEventTranslator, ReasoningEcho, ResponseEnvelope, completion_to_response,
    responses_request_to_chat,
};
pub use translated_request::TranslatedRequest;
pub use unsupported_field::UnsupportedField;
pub use usage::parse_usage;

/// Element of a Responses request's `include` list that asks for the log probabilities of the output tokens.
const INCLUDE_LOGPROBS: &str = "message.output_text.logprobs";
/// Element of a Responses request's `include` list that asks for the encrypted content of reasoning items.
const INCLUDE_ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";
/// Separator between parts of reasoning that are joined into one text.
const REASONING_SEPARATOR: &str = "\n\n";
