//! The vocabulary: Chat Completions requests, answers and chunks.
//!
//! Whatever a client or a provider says that these types do not name is kept, with the text of its numbers, and said again.
//! Reading is lenient, because providers are; writing leaves out what is absent.
//!
//! Always true: decode and encode again gives equal JSON; `{:?}` shows opaque_debug and sizes, never a text somebody wrote.

mod assembler;
mod chunk;
mod chunk_decoder;
mod content;
mod delta_merge;
mod finish_reason;
pub(crate) mod lenient_u64;
mod logprobs;
mod message;
mod part;
mod repair;
mod request;
mod response;
mod response_format;
pub(crate) mod string_enum;
mod template;
mod tool;
mod tool_call_matcher;
mod tool_definition;
mod unknown_fields;
mod usage;
pub(crate) mod wire_object;

pub use assembler::Assembler;
pub use chunk::{ChatChunk, ChunkChoice, Delta};
pub use chunk_decoder::ChunkDecoder;
pub use content::Content;
pub(crate) use finish_reason::FinishClass;
pub use finish_reason::FinishReason;
pub(crate) use lenient_u64::LenientU64;
pub use logprobs::{Logprobs, TokenLogprob, TopLogprob};
pub use message::{Message, Role};
pub use part::{
    AudioPart, FilePart, FileSource, ImagePart, ImageUrl, InputAudio, Part, RefusalPart, TextPart,
    ThinkingPart, Thought,
};
pub use request::{ChatRequest, Stop, StreamOptions};
pub use response::{ChatCompletion, Choice};
pub use response_format::{EmptyObject, JsonSchemaFormat, NamedSchema, ResponseFormat};
pub use tool::{CustomCall, FunctionCall, FunctionCallDelta, ToolCall, ToolCallDelta};
pub(crate) use tool_call_matcher::ToolCallMatcher;
pub use tool_definition::{
    AllowedSet, AllowedTool, AllowedTools, CustomDefinition, CustomTool, FunctionDefinition, FunctionTool,
    NamedCustom, NamedFunction, NamedTool, Tool, ToolChoice, ToolMode, ToolName,
};
pub use unknown_fields::{Json, UnknownFields};
pub use usage::{CompletionTokensDetails, PromptTokensDetails, Usage};

/// Decodes JSON. Checking once that it is text is cheaper than checking every string in it.
pub(crate) fn from_json<'a, T: serde::Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        // For the sake of the message.
        Err(_) => serde_json::from_slice(json),
    }
}
