//! The Responses API: requests, responses and events.
//!
//! Like the types in [`chat`](crate::chat), these types preserve JSON fields and variants that they do not
//! define. Decoding tolerates values that deviate from the specification. Encoding omits absent fields. Minor
//! releases add fields to structs with public fields, so build such structs with `..Default::default()`.
//!
//! Invariant: decoding JSON and encoding the result gives equal JSON.
//!
//! Invariant: `Debug` output shows types and sizes, never the text of a user or model.

mod assembler;
mod event;
mod event_decoder;
mod event_sequence;
mod foreign_blocks;
mod item;
mod lenient_item;
mod part;
mod repair;
mod replay;
mod request;
mod resource_refs;
mod response;

pub(crate) use assembler::ResponseAssembler;
pub use event::{EventDelta, EventKind, ResponseEvent};
pub use event_decoder::EventDecoder;
pub use event_sequence::{EventSequence, SequenceError};
pub use foreign_blocks::without_foreign_blocks;
pub use item::{
    CustomToolCallItem, FunctionCallItem, HostedItem, Item, ItemReference, MessageItem, ReasoningItem,
    ToolOutputItem,
};
pub use part::{AudioInput, FileInput, ImageInput, ItemPart, ItemRefusal, ItemText, OutputText};
pub(crate) use replay::response_to_events;
pub use request::{
    CustomResponsesTool, FlatSchema, FunctionResponsesTool, Reasoning, ResponsesRequest, ResponsesTool,
    TextFormat, TextOptions,
};
pub(crate) use resource_refs::FOREIGN_PREFIX;
pub use resource_refs::{ResourceRef, created_resources, resource_refs};
pub use response::{
    IncompleteDetails, InputTokensDetails, OutputTokensDetails, Response, ResponseError, ResponseStatus,
    ResponsesUsage,
};
