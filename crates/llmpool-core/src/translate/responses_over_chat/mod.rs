//! Translation for a Responses client whose target speaks the Chat Completions API. Responses requests are
//! translated to chat requests. Chat completions and their chunk streams are translated back to responses and
//! events.

mod capabilities;
mod conversation;
mod envelope;
mod incomplete_reason;
mod request;
mod response;
mod stream;
mod tools;

pub use capabilities::{ChatCapabilities, ReasoningEcho};
pub use envelope::ResponseEnvelope;
pub use request::responses_request_to_chat;
pub use response::completion_to_response;
pub use stream::ChunkToEventTranslator;
