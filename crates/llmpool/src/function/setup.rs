//! Options that calls of functions and of chats have in common.

use std::time::Duration;

use llmpool_core::chat::{ChatRequest, Content, Message, Role};
use llmpool_core::structured::ReplySchema;
use serde::Serialize;

use super::arguments::Arguments;
use super::cancellation::Cancellation;
use super::description::Piece;
use super::error::{ArgumentError, FunctionError};
use crate::options::CallOptions;
use crate::tool::CallableTool;

/// How often the model is asked again after an unusable reply, unless the function says otherwise.
const DEFAULT_REPAIRS: u32 = 1;
/// How many rounds of tool calls a call makes at most, unless the function says otherwise.
const DEFAULT_ROUNDS: u32 = 8;

/// The arguments, parameters and options of one call.
pub(super) struct Setup {
    arguments: Arguments,
    /// The messages of few-shot examples: user and assistant, in turn.
    examples: Vec<Message>,
    /// The parameters of the chat requests. Its messages are those of the conversation before the call.
    pub(super) request: ChatRequest,
    pub(super) options: CallOptions,
    /// The maximum duration of the call with all its requests and tools.
    pub(super) timeout: Option<Duration>,
    pub(super) repairs: u32,
    pub(super) rounds: u32,
    pub(super) tools: Vec<CallableTool>,
    pub(super) cancellation: Option<Cancellation>,
    /// The first argument or example that could not be written. The call returns it, before anything is sent.
    failed: Option<ArgumentError>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            arguments: Arguments::default(),
            examples: Vec::new(),
            request: ChatRequest::default(),
            options: CallOptions {
                adapt_schema: true,
                ..CallOptions::default()
            },
            timeout: None,
            repairs: DEFAULT_REPAIRS,
            rounds: DEFAULT_ROUNDS,
            tools: Vec::new(),
            cancellation: None,
            failed: None,
        }
    }
}

impl Setup {
    pub(super) fn add_argument<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        if let Err(error) = self.arguments.push(name, value) {
            self.failed.get_or_insert(error);
        }
    }

    pub(super) fn add_example<I: Serialize, O: Serialize>(
        &mut self,
        schema: &ReplySchema,
        input: &I,
        output: &O,
    ) {
        let mut arguments = Arguments::default();
        let written = arguments.push("examples", input).and_then(|()| {
            let output = schema.encode(output);
            output.map_err(|error| ArgumentError::new("examples", error))
        });
        match written {
            Ok(output) => {
                let input = arguments.into_content();
                self.examples
                    .extend([Message::user(input), Message::assistant(output)]);
            }
            Err(error) => {
                self.failed.get_or_insert(error);
            }
        }
    }

    /// Makes the request the first one of the call. Its messages are the system prompt, the examples, the conversation
    /// before the call, and the user message. Returns the number of messages before the conversation.
    pub(super) fn prepare(
        &mut self,
        instructions: &[Piece],
        schema: Option<&ReplySchema>,
    ) -> Result<usize, FunctionError> {
        if let Some(error) = self.failed.take() {
            return Err(FunctionError::Argument(error));
        }
        let history = std::mem::take(&mut self.request.messages);
        let mut messages = Vec::with_capacity(history.len() + self.examples.len() + 2);
        let system = self.arguments.instructions(instructions);
        messages.extend((!system.is_empty()).then(|| Message::system(system)));
        messages.append(&mut self.examples);
        let preamble = messages.len();
        messages.extend(history);
        let content = std::mem::take(&mut self.arguments).into_user_content(instructions);
        let is_user = |message: &Message| message.role == Some(Role::User);
        // Providers refuse a request without a message from the user.
        let needs_user = content.is_none() && !messages[preamble..].iter().any(is_user);
        let content = content.or_else(|| needs_user.then(|| Content::from("Answer.")));
        messages.extend(content.map(Message::user));
        self.request.messages = messages;
        if let Some(format) = schema.and_then(ReplySchema::response_format) {
            self.request.response_format = Some(format.clone());
        }
        for tool in &self.tools {
            self.request.tools.push(tool.definition()?);
        }
        Ok(preamble)
    }
}

/// The builder methods that calls of functions and of chats have in common.
macro_rules! setup_methods {
    () => {
        /// Passes an argument to the function. The value is written at once.
        ///
        /// A value that cannot be written as JSON is an error of the call.
        pub fn argument<T: serde::Serialize + ?Sized>(mut self, name: &'static str, value: &T) -> Self {
            self.setup.add_argument(name, value);
            self
        }

        /// Sets the sampling temperature, from 0 to 2. Default: that of the model.
        pub fn temperature(self, temperature: f64) -> Self {
            self.request(|request| request.temperature = Some(temperature))
        }

        /// Sets the nucleus sampling, from 0 to 1. Default: that of the model.
        pub fn top_p(self, top_p: f64) -> Self {
            self.request(|request| request.top_p = Some(top_p))
        }

        /// Sets the maximum number of tokens of each reply. Default: that of the model.
        pub fn max_tokens(self, tokens: u64) -> Self {
            self.request(|request| request.max_completion_tokens = Some(tokens))
        }

        /// Sets the seed for sampling. Default: none.
        pub fn seed(self, seed: i64) -> Self {
            self.request(|request| request.seed = Some(seed))
        }

        /// Changes parameters of the chat requests that have no method of their own.
        ///
        /// The messages and tools of the call are added to the request afterwards. So is the response format, if the reply
        /// is not plain text. A tool choice that forces a call applies to the first request only.
        pub fn request(mut self, change: impl FnOnce(&mut llmpool_core::chat::ChatRequest)) -> Self {
            change(&mut self.setup.request);
            self
        }

        /// Sets the maximum duration of the call: all requests with their waits and retries, repairs and tools.
        /// Default: none, but each request has the [`timeouts`](crate::Timeouts) of the model.
        pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
            self.setup.timeout = Some(timeout);
            self
        }

        /// Sets the options of each request: caller, timeouts and trace id.
        pub fn options(mut self, options: crate::options::CallOptions) -> Self {
            self.setup.options = crate::options::CallOptions {
                adapt_schema: true,
                ..options
            };
            self
        }

        /// Adds a tool that the model may call.
        pub fn tool(mut self, tool: crate::tool::CallableTool) -> Self {
            self.setup.tools.push(tool);
            self
        }

        /// Adds tools that the model may call.
        pub fn tools(mut self, tools: impl IntoIterator<Item = crate::tool::CallableTool>) -> Self {
            self.setup.tools.extend(tools);
            self
        }

        /// Sets how many rounds of tool calls are made at most. The model may call several tools in one round; they
        /// run at the same time. Default: 8.
        pub fn rounds(mut self, rounds: u32) -> Self {
            self.setup.rounds = rounds;
            self
        }

        /// Ends the call when `cancellation` is cancelled. Dropping the call ends it, too.
        pub fn cancel_on(mut self, cancellation: &super::cancellation::Cancellation) -> Self {
            self.setup.cancellation = Some(cancellation.clone());
            self
        }
    };
}

pub(super) use setup_methods;
