//! Translation for a chat client whose target speaks the Responses API. Chat requests are translated to
//! Responses requests. Responses and their event streams are translated back to Chat Completions.

mod completion;
mod conversation;
mod finish_reason;
mod lenient_items;
mod message_content;
mod request;
mod stream;
mod tools;

pub(super) use lenient_items::{removed_from_item, removed_from_part, repair_item, repair_part};

pub use completion::response_to_completion;
pub use request::chat_request_to_responses;
pub use stream::{EventError, EventToChunkTranslator};
