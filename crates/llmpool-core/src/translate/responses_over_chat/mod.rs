//! From the Responses API to chats: requests, answers, streams.

mod answer;
mod conversation;
mod lenient_items;
mod request;
mod stream;
mod tools;

pub use answer::completion_of;
pub use request::{ChatCapabilities, ReasoningEcho, to_chat};
pub use stream::{EventTranslator, Undecoded};
