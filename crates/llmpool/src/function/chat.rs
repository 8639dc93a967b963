//! Chats with a model: a system prompt from the doc comment, a history, and tools.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;

use futures_core::future::BoxFuture;
use llmpool_core::chat::Message;

use super::chat_answer::ChatAnswer;
use super::chat_events::ChatEvents;
use super::conversation::CallConversation;
use super::description::Piece;
use super::error::FunctionError;
use super::prompt::Prompt;
use super::returned::ChatReturn;
use super::setup::{Setup, setup_methods};
use crate::interface::LlmInterface;

/// A chat with a fixed system prompt, as [`llm_chat`](crate::llm_chat) declares it in a `static`. `R` is the `Result`
/// that the function returns.
pub struct ChatFunction<R> {
    name: &'static str,
    instructions: &'static [Piece],
    returned: PhantomData<fn() -> R>,
}

impl<R> ChatFunction<R> {
    /// Describes a chat. The concatenated `instructions` are the system prompt.
    pub const fn new(name: &'static str, instructions: &'static [Piece]) -> Self
    where
        R: ChatReturn,
    {
        Self {
            name,
            instructions,
            returned: PhantomData,
        }
    }

    /// Returns the name of the function.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Starts a turn of a chat. `history` is [`ChatAnswer::history`] of the turn before, or empty. Sends nothing until
    /// the call is awaited or streamed.
    pub fn call<'llm>(&'static self, llm: &'llm dyn LlmInterface, history: &[Message]) -> ChatCall<'llm, R> {
        let mut setup = Box::<Setup>::default();
        setup.request.messages = history.to_vec();
        ChatCall {
            chat: self,
            llm,
            setup,
        }
    }
}

/// One turn of a chat, which does nothing until it is awaited or streamed. Chats have no state: the history goes in,
/// and comes back longer.
///
/// Dropping the call, its future or its stream cancels it.
#[must_use = "a call does nothing until it is awaited"]
pub struct ChatCall<'llm, R: 'static> {
    chat: &'static ChatFunction<R>,
    llm: &'llm dyn LlmInterface,
    setup: Box<Setup>,
}

impl<'llm, R: 'static> ChatCall<'llm, R> {
    setup_methods!();

    /// Returns a stream of all steps: requests, chunks, tools, and the answer with the history.
    pub fn stream(self) -> ChatEvents<'llm, R>
    where
        R: ChatReturn,
    {
        ChatEvents::new(self.open())
    }

    /// Returns what the call would send first, without sending anything.
    ///
    /// # Errors
    /// Fails if an argument cannot be written as JSON, or if no JSON schema can express the arguments of a tool.
    pub fn prompt(self) -> Result<Prompt, FunctionError> {
        Ok(Prompt::new(self.open()?.into_request()))
    }

    fn open(mut self) -> Result<CallConversation<'llm>, FunctionError> {
        let preamble = self.setup.prepare(self.chat.instructions, None)?;
        Ok(CallConversation::new(self.llm, self.setup, preamble))
    }

    async fn run(self) -> Result<ChatAnswer, FunctionError> {
        let mut conversation = self.open()?;
        let reply = conversation.next_reply().await?;
        conversation.add_reply(&reply);
        ChatAnswer::new(&mut conversation, &reply)
    }
}

impl<'llm, R: ChatReturn> IntoFuture for ChatCall<'llm, R> {
    type Output = R;
    type IntoFuture = BoxFuture<'llm, R>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { R::from_outcome(self.run().await) })
    }
}

impl<R> fmt::Debug for ChatCall<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatCall")
            .field("chat", &self.chat.name)
            .finish_non_exhaustive()
    }
}
