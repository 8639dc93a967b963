//! The conversation of one call: requests, rounds of tool calls, and repairs of unusable replies.

use llmpool_core::chat::{
    ChatChunk, ChatCompletion, ChatRequest, Choice, Content, Message, Part, ResponseFormat, Role, ToolCall,
    ToolChoice, ToolMode,
};
use llmpool_core::estimate;
use llmpool_core::failure::FailureKind;
use llmpool_core::type_notation::type_notation;

use super::error::{FunctionError, Progress, UnusableReply};
use super::interruption::{Interrupted, Interruption};
use super::setup::Setup;
use crate::error::{Error, ErrorKind};
use crate::interface::{ChatStream, LlmInterface};
use crate::report::{CallReport, TraceId};
use crate::tool::{FinishedTool, RunningTools};

/// The conversation of one call, with the messages so far.
///
/// Invariant: an error that a method returns contains the reports of all chat calls, and the messages.
pub(super) struct CallConversation<'llm> {
    llm: &'llm dyn LlmInterface,
    /// Boxed and used in place, because it is large. Its request has all messages so far.
    setup: Box<Setup>,
    /// The number of messages before the history: the system prompt and the examples.
    preamble: usize,
    interruption: Interruption,
    rounds_left: u32,
    repairs: u32,
    calls: Vec<CallReport>,
}

impl<'llm> CallConversation<'llm> {
    /// `setup` is prepared: its request is the first one of the call, with `preamble` messages before the history.
    pub(super) fn new(llm: &'llm dyn LlmInterface, mut setup: Box<Setup>, preamble: usize) -> Self {
        Self {
            llm,
            preamble,
            interruption: Interruption::new(setup.cancellation.take(), setup.timeout),
            rounds_left: setup.rounds,
            repairs: 0,
            calls: Vec::new(),
            setup,
        }
    }

    pub(super) fn into_request(self) -> ChatRequest {
        self.setup.request
    }

    /// Returns the reports of the chat calls, and the number of repairs.
    pub(super) fn into_calls(self) -> (Vec<CallReport>, u32) {
        (self.calls, self.repairs)
    }

    pub(super) fn calls(&self) -> &[CallReport] {
        &self.calls
    }

    /// Returns the messages of the conversation without the system prompt and the examples.
    pub(super) fn history(&self) -> &[Message] {
        self.setup
            .request
            .messages
            .get(self.preamble..)
            .unwrap_or_default()
    }

    /// Sends the messages, and runs the tools that the model calls, until the model replies with anything else.
    pub(super) async fn next_reply(&mut self) -> Result<ChatCompletion, FunctionError> {
        loop {
            let completion = self.send().await?;
            let calls = self.take_tool_calls(&completion)?;
            if calls.is_empty() {
                return Ok(completion);
            }
            self.add_reply(&completion);
            let mut running = self.start_tools(calls);
            let finished = loop {
                match self.next_finished_tool(&mut running).await {
                    Ok(Some(_)) => {}
                    Ok(None) => break Ok(()),
                    Err(interrupted) => break Err(interrupted),
                }
            };
            self.add_results(running);
            finished.map_err(|interrupted| self.interrupted(&interrupted))?;
        }
    }

    async fn send(&mut self) -> Result<ChatCompletion, FunctionError> {
        self.prepare_request()?;
        let call = self.llm.chat_with(&self.setup.request, &self.setup.options);
        let response = self.interruption.guard_request(call).await;
        let response = response.map_err(|interrupted| self.interrupted_request(&interrupted))?;
        let response = response.map_err(|error| self.failed(error.into()))?;
        self.record(response.report);
        Ok(response.completion)
    }

    /// Sends the messages, and returns the streamed reply once its first content has arrived.
    pub(super) async fn open_stream(&mut self) -> Result<ChatStream, FunctionError> {
        self.prepare_request()?;
        let call = self
            .llm
            .chat_stream_with(&self.setup.request, &self.setup.options);
        let stream = self.interruption.guard_request(call).await;
        let stream = stream.map_err(|interrupted| self.interrupted_request(&interrupted))?;
        stream.map_err(|error| self.failed(error.into()))
    }

    /// Returns the next chunk of `stream`, unless the call is cancelled before.
    pub(super) async fn next_chunk(
        &self,
        stream: &mut ChatStream,
    ) -> Result<Option<Result<ChatChunk, Error>>, Interrupted> {
        self.interruption.guard_request(stream.next()).await
    }

    /// Records the report of a request that has ended. The next requests of the call have the same trace id.
    pub(super) fn record(&mut self, report: CallReport) {
        if self.setup.options.trace_id.is_none() && report.trace_id != TraceId::None {
            self.setup.options.trace_id = Some(report.trace_id.to_string().into());
        }
        self.calls.push(report);
    }

    /// Returns the tool calls of a reply, which spend a round if there are any. A reply that was cut off or filtered
    /// calls no tool, because its arguments may be incomplete.
    pub(super) fn take_tool_calls(
        &mut self,
        completion: &ChatCompletion,
    ) -> Result<Vec<ToolCall>, FunctionError> {
        let is_whole = |choice: &&Choice| {
            let reason = choice.finish_reason.as_ref();
            !reason.is_some_and(|reason| reason.is_truncated() || reason.is_filtered())
        };
        let choice = completion.first().filter(is_whole);
        let calls = choice.map_or(&[][..], |choice| &choice.message.tool_calls);
        if self.setup.tools.is_empty() || calls.is_empty() {
            return Ok(Vec::new());
        }
        if self.rounds_left == 0 {
            let rounds = self.setup.rounds;
            let reason = format!("the model called tools in more than {rounds} rounds; raise `rounds`");
            let reply = UnusableReply::new(completion.text(), reason.clone(), reason);
            return Err(self.failed(FunctionError::TooManyRounds(Box::new(reply))));
        }
        self.rounds_left -= 1;
        Ok(calls.to_vec())
    }

    /// Starts the tools that the last reply calls, all at the same time.
    pub(super) fn start_tools(&self, calls: Vec<ToolCall>) -> RunningTools {
        RunningTools::start(&self.setup.tools, calls)
    }

    /// Returns the next tool that finishes. `None` once all have.
    pub(super) async fn next_finished_tool(
        &self,
        running: &mut RunningTools,
    ) -> Result<Option<FinishedTool>, Interrupted> {
        self.interruption.guard(running.next_finished()).await
    }

    /// Appends the results of the tools to the conversation, in the order of the calls. A tool that still runs is
    /// stopped, and its result is an error.
    pub(super) fn add_results(&mut self, running: RunningTools) {
        self.setup.request.messages.extend(running.into_messages());
        // A choice that forces a call would force one in every round.
        let is_free =
            |choice: &ToolChoice| matches!(choice, ToolChoice::Mode(ToolMode::Auto | ToolMode::None));
        self.setup.request.tool_choice = self.setup.request.tool_choice.take().filter(is_free);
    }

    /// Appends a reply to the conversation as it is.
    pub(super) fn add_reply(&mut self, completion: &ChatCompletion) {
        if let Some(choice) = completion.first() {
            let mut message = choice.message.clone();
            // Some providers leave it out in streams, but none accepts a message without it.
            message.role.get_or_insert(Role::Assistant);
            self.setup.request.messages.push(message);
        }
    }

    /// Asks the model for another reply, with the reason why this one is unusable. Returns the error if no repair is
    /// left, or if another reply would be no better.
    pub(super) fn repair(
        &mut self,
        completion: &ChatCompletion,
        error: FunctionError,
    ) -> Result<(), FunctionError> {
        let is_left = self.repairs < self.setup.repairs;
        let Some(reply) = error.repairable().filter(|_| is_left) else {
            return Err(self.failed(error));
        };
        self.repairs += 1;
        let place = reply
            .path()
            .map(|path| format!(" at `{path}`"))
            .unwrap_or_default();
        let mut text = format!(
            "This reply cannot be used{place}: {}. Send the whole reply again, corrected, and nothing else.",
            reply.reason()
        );
        if matches!(error, FunctionError::Invalid(_)) {
            text.push_str(&self.form_of_reply());
        }
        if matches!(error, FunctionError::Empty(_)) {
            self.add_to_user_message(text);
        } else {
            self.add_reply(completion);
            self.setup.request.messages.push(Message::user(text));
        }
        Ok(())
    }

    /// Returns the form of the reply, for a provider that ignores response formats, so that the model has not seen it.
    fn form_of_reply(&self) -> String {
        let schema = match &self.setup.request.response_format {
            Some(ResponseFormat::JsonSchema(format)) => format.json_schema.schema.as_ref(),
            _ => None,
        };
        let notation = schema.and_then(|schema| type_notation(schema.get()));
        notation.map_or_else(String::new, |notation| {
            format!(" The form of the JSON:\n{notation}")
        })
    }

    /// Appends text to the last message if it is the user's. Many chat templates refuse two of them in a row.
    fn add_to_user_message(&mut self, text: String) {
        let last = self
            .setup
            .request
            .messages
            .last_mut()
            .filter(|last| last.role == Some(Role::User));
        match last.and_then(|last| last.content.as_mut()) {
            Some(Content::Text(own)) => own.extend(["\n\n", &text]),
            Some(Content::Parts(parts)) => parts.push(Part::text(text)),
            None => self.setup.request.messages.push(Message::user(text)),
        }
    }

    /// Returns the error with the reports of all chat calls, and with the messages.
    pub(super) fn failed(&mut self, error: FunctionError) -> FunctionError {
        let progress = Progress {
            calls: std::mem::take(&mut self.calls),
            history: self.history().to_vec(),
        };
        error.with_progress(progress)
    }

    /// Returns the error of a call that is interrupted while a request is in flight. The usage of the request is unknown.
    fn interrupted_request(&mut self, interrupted: &Interrupted) -> FunctionError {
        self.calls.push(CallReport::default());
        self.interrupted(interrupted)
    }

    pub(super) fn interrupted(&mut self, interrupted: &Interrupted) -> FunctionError {
        self.interrupted_after("", interrupted)
    }

    /// `text` is the part of the reply that was received.
    pub(super) fn interrupted_after(&mut self, text: &str, interrupted: &Interrupted) -> FunctionError {
        let error = match interrupted {
            Interrupted::Cancelled(reason) => {
                let reply = UnusableReply::new(text, &**reason, "the call was cancelled");
                FunctionError::Cancelled(Box::new(reply))
            }
            Interrupted::Deadline => {
                let kind = ErrorKind::Attempt(FailureKind::DeadlineExceeded);
                let message = "the timeout of the function passed before its value was complete";
                FunctionError::from(Error::new(kind, message))
            }
        };
        self.failed(error)
    }

    /// Checks that the next request can be sent, and gives it the time that the call has left.
    fn prepare_request(&mut self) -> Result<(), FunctionError> {
        self.check_window()?;
        let time_left = self.interruption.time_left();
        let time_left = time_left.map_err(|interrupted| self.interrupted(&interrupted))?;
        if let Some(left) = time_left {
            self.setup.options.timeout = Some(
                self.setup
                    .options
                    .timeout
                    .map_or(left, |timeout| timeout.min(left)),
            );
        }
        Ok(())
    }

    /// Fails if a conversation that has grown during the call exceeds the context window of the model. The first
    /// request is the caller's, and the provider's to judge.
    fn check_window(&mut self) -> Result<(), FunctionError> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let reply = self
            .setup
            .request
            .max_completion_tokens
            .or(self.setup.request.max_tokens);
        let tokens = estimated_tokens(&self.setup.request) + reply.unwrap_or_default();
        let window = self.llm.context_window();
        if tokens <= u64::from(window) {
            return Ok(());
        }
        let reason = format!(
            "the conversation has grown to about {tokens} tokens, but the context window of the model has {window}; \
             limit rounds or the output of tools"
        );
        let reply = UnusableReply::new("", reason.clone(), reason);
        Err(self.failed(FunctionError::ContextWindow(Box::new(reply))))
    }
}

/// Returns the estimated number of tokens of a request. Audio counts as much as an image: the length of its base64 text
/// says little about its tokens.
fn estimated_tokens(request: &ChatRequest) -> u64 {
    const AUDIO_TOKENS: u64 = 1000;
    let mut request = request.clone();
    let mut audio = 0;
    for message in &mut request.messages {
        if let Some(Content::Parts(parts)) = &mut message.content {
            let count = parts.len();
            parts.retain(|part| !matches!(part, Part::Audio(_)));
            audio += (count - parts.len()) as u64;
        }
    }
    let body = serde_json::to_vec(&request).unwrap_or_default();
    u64::from(estimate::tokens(&body)) + audio * AUDIO_TOKENS
}
