//! Translation for a Responses client whose target speaks Chat Completions. Requests are translated to Chat Completions. Chat completions
//! and their streams are translated back to Responses.

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
