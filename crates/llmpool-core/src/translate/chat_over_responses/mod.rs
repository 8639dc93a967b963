//! A chat client over a target that speaks Responses: the request is translated to Responses, response and stream back to chat.

mod completion;
mod conversation;
mod finish_reason;
mod lenient_items;
mod message_content;
mod request;
mod stream;
mod tools;

pub use completion::response_to_completion;
pub use request::chat_request_to_responses;
pub use stream::{EventError, EventToChunkTranslator};
