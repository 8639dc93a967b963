//! Types for the Chat Completions API: requests, completions and chunks of streamed completions.
//!
//! The types preserve unknown fields, unknown enum values and all digits of numbers. Decoding also accepts
//! values of unexpected types if their meaning is clear, because providers deviate from OpenAI's
//! specification. Encoding omits absent fields.
//!
//! Minor releases may add public fields to structs. To stay compatible, create structs with their
//! constructors or with `..Default::default()`:
//!
//! ```
//! use llmpool_core::chat::{ChatRequest, Message};
//!
//! let request = ChatRequest {
//!     temperature: Some(0.2),
//!     ..ChatRequest::new([Message::system("Answer in one word."), Message::user("Is water wet?")])
//! };
//! # assert_eq!(request.messages.len(), 2);
//! ```
//!
//! Invariant: if all values have the expected types, decoding JSON and encoding the result yields equal JSON.
//!
//! Invariant: `Debug` output shows types and sizes, never text that a user or a model wrote.

mod arguments;
mod assembler;
mod chunk;
mod chunk_decoder;
mod chunk_serde;
mod content;
mod delta_merge;
mod empty_object;
mod field_map;
mod finish_reason;
mod first_choice;
mod half_pairs;
mod json;
pub(crate) mod json_progress;
pub(crate) mod lenient_u64;
mod logprobs;
mod message;
mod part;
mod reasoning_fragments;
pub(crate) mod repair;
mod request;
mod response;
mod response_format;
pub(crate) mod string_enum;
mod text_part;
mod thinking;
mod tool;
mod tool_call_matcher;
mod tool_definition;
mod unknown_fields;
mod usage;
mod usage_sum;
pub(crate) mod valid_fields;
pub(crate) mod wire_object;

pub use assembler::Assembler;
pub use chunk::{ChatChunk, ChunkChoice, Delta};
pub use chunk_decoder::ChunkDecoder;
pub use content::Content;
pub use empty_object::EmptyObject;
pub use finish_reason::FinishReason;
pub(crate) use finish_reason::{FinishClass, states_a_reason};
pub(crate) use first_choice::FirstChoice;
pub use json::Json;
pub(crate) use lenient_u64::LenientU64;
pub use logprobs::{Logprobs, TokenLogprob, TopLogprob};
pub use message::{Message, Role};
pub use part::{AudioPart, FilePart, FileSource, ImagePart, ImageUrl, InputAudio, Part, RefusalPart};
pub(crate) use reasoning_fragments::ReasoningFragments;
pub use request::{ChatRequest, Stop, StreamOptions};
pub use response::{ChatCompletion, Choice};
pub use response_format::{JsonSchemaFormat, NamedSchema, ResponseFormat};
pub use text_part::TextPart;
pub use thinking::{ThinkingPart, Thought};
pub use tool::{CustomCall, FunctionCall, FunctionCallDelta, ToolCall, ToolCallDelta};
pub(crate) use tool_call_matcher::ToolCallMatcher;
pub use tool_definition::{
    AllowedSet, AllowedTool, AllowedTools, CustomDefinition, CustomTool, FunctionDefinition, FunctionTool,
    NamedCustom, NamedFunction, NamedTool, Tool, ToolChoice, ToolMode, ToolName,
};
pub use unknown_fields::UnknownFields;
pub use usage::{CompletionTokensDetails, PromptTokensDetails, Usage};
pub(crate) use usage::{count_in, details_in};

/// Decodes JSON. Validates the input as UTF-8 once, which is cheaper than validating every string separately.
pub(crate) fn from_json<'a, T: serde::Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        // For invalid UTF-8, the error of `from_slice` contains the position.
        Err(_) => serde_json::from_slice(json),
    }
}
