//! From the Responses API to chats: requests, answers, streams.

mod answer;
mod conversation;
mod request;
mod salvage;
mod stream;
mod tools;

pub use answer::completion_of;
pub use request::{ChatAccent, ReasoningBack, to_chat};
pub use stream::{EventTranslator, Undecoded};
