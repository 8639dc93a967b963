//! The other vocabulary: requests, answers and events of the Responses API.
//!
//! As in [`chat`](crate::chat), what these types do not name is kept and said again; reading is lenient, writing leaves out what is absent.
//!
//! Always true: decode and encode again gives equal JSON; `{:?}` shows shapes and sizes, never a text somebody wrote.

mod event;
mod grammar;
mod item;
mod part;
mod request;
mod resource_refs;
mod response;

pub use event::{EventKind, ResponseEvent, Said};
pub use grammar::{Broken, Grammar};
pub use item::{
    CustomCallItem, FunctionCallItem, HostedItem, Item, MessageItem, OutputItem, ReasoningItem, Reference,
};
pub use part::{AudioInput, FileInput, ImageInput, ItemPart, OutputText, PartRefusal, PartText};
pub use request::{
    CustomResponsesTool, FlatSchema, FunctionResponsesTool, Reasoning, ResponsesRequest, ResponsesTool,
    TextFormat, TextOptions,
};
pub use resource_refs::{ResourceRef, made_by, ties_of};
pub use response::{
    IncompleteDetails, InputTokensDetails, OutputTokensDetails, Response, ResponseError, ResponsesUsage,
    Status,
};
