//! From chats to the Responses API: requests, answers, streams.

mod answer;
mod conversation;
mod envelope;
mod request;
mod stream;
mod tools;

pub use answer::response_of;
pub use envelope::ResponseEnvelope;
pub use request::to_responses;
pub use stream::ChunkTranslator;
