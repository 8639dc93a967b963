//! The other vocabulary: requests, answers and events of the Responses API.
//!
//! As in [`chat`](crate::chat), what these types do not name is kept and said again; reading is lenient, writing leaves out what is absent.
//!
//! Always true: decode and encode again gives equal JSON; `{:?}` shows opaque_debug and sizes, never a text somebody wrote.

mod event;
mod event_sequence;
mod item;
mod part;
mod request;
mod resource_refs;
mod response;

pub use event::{EventDelta, EventKind, ResponseEvent};
pub use event_sequence::{EventSequence, SequenceError};
pub use item::{
    CustomToolCallItem, FunctionCallItem, HostedItem, Item, ItemReference, MessageItem, ReasoningItem,
    ToolOutputItem,
};
pub use part::{AudioInput, FileInput, ImageInput, ItemPart, ItemRefusal, ItemText, OutputText};
pub use request::{
    CustomResponsesTool, FlatSchema, FunctionResponsesTool, Reasoning, ResponsesRequest, ResponsesTool,
    TextFormat, TextOptions,
};
pub use resource_refs::{ResourceRef, created_resources, resource_refs};
pub use response::{
    IncompleteDetails, InputTokensDetails, OutputTokensDetails, Response, ResponseError, ResponseStatus,
    ResponsesUsage,
};
