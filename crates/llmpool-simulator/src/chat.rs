//! `POST /v1/chat/completions`: the parsed request, and the completion that answers it.

mod completion;
mod request;

pub(crate) use completion::Completion;
pub(crate) use request::{ParsedChatRequest, text_of};
