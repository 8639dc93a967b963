//! From the Responses API to chats.

mod conversation;
mod request;
mod tools;

pub use request::{ChatAccent, ReasoningBack, to_chat};
