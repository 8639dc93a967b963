//! The vocabulary: Chat Completions requests, answers and chunks.
//!
//! Whatever a client or a provider says that these types do not name is kept, with the text of its numbers, and said again.
//! Reading is lenient, because providers are; writing leaves out what is absent.
//!
//! Always true: decode and encode again gives equal JSON; `{:?}` shows shapes and sizes, never a text somebody wrote.

mod assemble;
mod call_pieces;
mod chunk;
mod chunk_decoder;
mod content;
mod delta_merge;
mod extra;
mod finish_reason;
mod format;
pub(crate) mod lenient;
mod logprobs;
mod message;
pub(crate) mod object;
mod part;
mod repair;
mod request;
mod response;
mod template;
pub(crate) mod text_enum;
mod tool;
mod tool_definition;
mod usage;

pub use assemble::Assembler;
pub(crate) use call_pieces::CallPieces;
pub use chunk::{ChatChunk, ChunkChoice, Delta};
pub use chunk_decoder::ChunkDecoder;
pub use content::Content;
pub use extra::{Extra, Json};
pub(crate) use finish_reason::Ending;
pub use finish_reason::FinishReason;
pub use format::{JsonSchemaFormat, NamedSchema, Plain, ResponseFormat};
pub(crate) use lenient::Whole;
pub use logprobs::{Logprobs, TokenLogprob, TopLogprob};
pub use message::{Message, Role};
pub use part::{
    AudioPart, FilePart, FileSource, ImagePart, ImageUrl, InputAudio, Part, RefusalPart, TextPart,
    ThinkingPart, Thought,
};
pub use request::{ChatRequest, Stop, StreamOptions};
pub use response::{ChatCompletion, Choice};
pub use tool::{CustomCall, FunctionCall, FunctionCallDelta, ToolCall, ToolCallDelta};
pub use tool_definition::{
    AllowedSet, AllowedTool, AllowedTools, CustomDefinition, CustomTool, FunctionDefinition, FunctionTool,
    NamedCustom, NamedFunction, NamedTool, Tool, ToolChoice, ToolMode, ToolName,
};
pub use usage::{CompletionTokensDetails, PromptTokensDetails, Usage};

/// Decodes JSON. Checking once that it is text is cheaper than checking every string in it.
pub(crate) fn from_json<'a, T: serde::Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        // For the sake of the message.
        Err(_) => serde_json::from_slice(json),
    }
}
