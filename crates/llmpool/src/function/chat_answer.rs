//! The outcome of a chat.

use std::borrow::Cow;

use llmpool_core::chat::{ChatCompletion, Message, Usage};
use llmpool_core::structured::completion_text;

use super::conversation::CallConversation;
use super::error::FunctionError;
use crate::report::{CallReport, sum_of_usages};

/// The outcome of a chat: the reply of the model, and the history for the next message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChatAnswer {
    /// The reply of the model.
    pub message: Message,
    /// The messages of the chat without the system prompt: those that it started with, the new message, tool calls with
    /// their results, and the reply. Pass it to the next call.
    pub history: Vec<Message>,
    /// The tokens of all requests together. `None` if the usage of one of them is unknown.
    pub usage: Option<Usage>,
    /// The reports of the requests in chronological order.
    pub calls: Vec<CallReport>,
}

impl ChatAnswer {
    pub(super) fn new(
        conversation: &mut CallConversation<'_>,
        reply: &ChatCompletion,
    ) -> Result<Self, FunctionError> {
        if let Err(error) = completion_text(reply) {
            return Err(conversation.failed(FunctionError::of_reply(&error, reply.text())));
        }
        let message = reply
            .first()
            .map(|choice| choice.message.clone())
            .unwrap_or_default();
        let calls = conversation.calls().to_vec();
        Ok(Self {
            message,
            history: conversation.history().to_vec(),
            usage: sum_of_usages(&calls),
            calls,
        })
    }

    /// Returns the text of the reply.
    pub fn text(&self) -> Cow<'_, str> {
        self.message.text()
    }
}
