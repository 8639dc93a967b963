//! From chats to the Responses API.

mod conversation;
mod request;
mod tools;

pub use request::to_responses;
