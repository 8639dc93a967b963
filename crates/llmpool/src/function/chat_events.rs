//! The steps of a conversation as a stream: requests, chunks, tools.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use llmpool_core::chat::{Assembler, ChatChunk, ChatCompletion, Message, ToolCall};
use llmpool_core::time::Timestamp;

use super::chat_answer::ChatAnswer;
use super::conversation::CallConversation;
use super::error::FunctionError;
use super::returned::Returned;
use crate::clock;
use crate::interface::ChatStream;
use crate::report::CallReport;
use crate::tool::{FinishedTool, RunningTools};

/// One step of a chat.
///
/// `Debug` shows no content.
#[derive(Clone)]
#[non_exhaustive]
pub enum ChatEvent {
    /// A request is about to be sent: the first one, or one with the results of tools.
    CallStart {
        /// The number of requests before this one.
        round: u32,
    },
    /// The next chunk of the reply.
    Chunk(ChatChunk),
    /// The next piece of the arguments of a tool call. The same piece is in the chunk before.
    ToolArguments {
        /// The position of the call among the tool calls of the reply, starting at 0.
        index: u64,
        /// The name of the tool. Empty in pieces for which the provider does not repeat it.
        name: String,
        /// The next piece of the JSON text of the arguments.
        delta: String,
    },
    /// The reply is complete.
    CallEnd {
        /// The report of the request, with usage and times.
        report: Box<CallReport>,
        /// The time from [`CallStart`](Self::CallStart) to the end of the reply.
        duration: Duration,
    },
    /// A tool starts. All tools of one reply run at the same time.
    ToolStart(ToolCall),
    /// A tool has ended, with its result or its error.
    ToolEnd(FinishedTool),
    /// The chat is over. The last event.
    End(Box<ChatAnswer>),
}

impl fmt::Debug for ChatEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CallStart { round } => write!(f, "CallStart({round})"),
            Self::Chunk(chunk) => f.debug_tuple("Chunk").field(chunk).finish(),
            Self::ToolArguments { index, delta, .. } => {
                write!(f, "ToolArguments({index}, {} bytes)", delta.len())
            }
            Self::CallEnd { report, duration } => {
                f.debug_tuple("CallEnd").field(report).field(duration).finish()
            }
            Self::ToolStart(call) => f.debug_tuple("ToolStart").field(call).finish(),
            Self::ToolEnd(finished) => f.debug_tuple("ToolEnd").field(finished).finish(),
            Self::End(answer) => f.debug_tuple("End").field(answer).finish(),
        }
    }
}

/// Where the conversation stands.
enum Stage {
    Start,
    /// The request is to be sent.
    Opening(Timestamp),
    Streaming(Box<StreamedReply>),
    Tools(RunningTools),
    Ended,
}

struct StreamedReply {
    stream: ChatStream,
    assembler: Assembler,
    started: Timestamp,
}

/// Makes the steps of a conversation, one event at a time.
pub(super) struct ConversationEvents<'llm> {
    conversation: CallConversation<'llm>,
    stage: Stage,
    /// Events that have happened but are not yet returned.
    queue: VecDeque<ChatEvent>,
    round: u32,
    /// The final reply.
    reply: Option<ChatCompletion>,
    /// The error that ends the events, after those in the queue.
    failure: Option<FunctionError>,
}

impl<'llm> ConversationEvents<'llm> {
    pub(super) fn new(conversation: CallConversation<'llm>) -> Self {
        Self {
            conversation,
            stage: Stage::Start,
            queue: VecDeque::new(),
            round: 0,
            reply: None,
            failure: None,
        }
    }

    pub(super) fn conversation(&mut self) -> &mut CallConversation<'llm> {
        &mut self.conversation
    }

    pub(super) fn history(&self) -> &[Message] {
        self.conversation.history()
    }

    /// Returns the final reply, once the events have ended. `None` after an error.
    pub(super) fn take_reply(&mut self) -> Option<ChatCompletion> {
        self.reply.take()
    }

    /// Returns the next event. `None` once the reply is complete and calls no tool, or after an error.
    ///
    /// A future that is dropped loses no event. If it is dropped before the first chunk of a reply, the request is
    /// cancelled, and sent again by the next call.
    pub(super) async fn next(&mut self) -> Option<Result<ChatEvent, FunctionError>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(Ok(event));
            }
            if matches!(self.stage, Stage::Ended) {
                return self.failure.take().map(Err);
            }
            if let Err(error) = self.step().await {
                self.stage = Stage::Ended;
                self.failure = Some(error);
            }
        }
    }

    async fn step(&mut self) -> Result<(), FunctionError> {
        match &mut self.stage {
            Stage::Start => {
                self.queue.push_back(ChatEvent::CallStart { round: self.round });
                self.stage = Stage::Opening(clock::now());
            }
            Stage::Opening(started) => {
                let reply = StreamedReply {
                    started: *started,
                    stream: self.conversation.open_stream().await?,
                    assembler: Assembler::new(),
                };
                self.stage = Stage::Streaming(Box::new(reply));
            }
            Stage::Streaming(reply) => match self.conversation.next_chunk(&mut reply.stream).await {
                Ok(Some(Ok(chunk))) => {
                    reply.assembler.push(chunk.clone());
                    push_chunk(&mut self.queue, chunk);
                }
                Ok(Some(Err(error))) => {
                    let partial = std::mem::take(&mut reply.assembler).finish();
                    return Err(self.conversation.failed(error.with_partial(partial).into()));
                }
                Ok(None) => self.end_reply()?,
                Err(interrupted) => {
                    let partial = std::mem::take(&mut reply.assembler).finish();
                    self.conversation.record(reply.stream.report());
                    return Err(self.conversation.interrupted_after(&partial.text(), &interrupted));
                }
            },
            Stage::Tools(running) => match self.conversation.next_finished_tool(running).await {
                Ok(Some(finished)) => self.queue.push_back(ChatEvent::ToolEnd(finished)),
                Ok(None) => self.end_round(),
                Err(interrupted) => {
                    self.end_round();
                    return Err(self.conversation.interrupted(&interrupted));
                }
            },
            Stage::Ended => {}
        }
        Ok(())
    }

    fn end_reply(&mut self) -> Result<(), FunctionError> {
        let Stage::Streaming(reply) = std::mem::replace(&mut self.stage, Stage::Ended) else {
            return Ok(());
        };
        let report = reply.stream.report();
        self.queue.push_back(ChatEvent::CallEnd {
            report: Box::new(report.clone()),
            duration: clock::now().since(reply.started),
        });
        self.conversation.record(report);
        let completion = reply.assembler.finish();
        let calls = self.conversation.take_tool_calls(&completion)?;
        if calls.is_empty() {
            self.conversation.add_reply(&completion);
            self.reply = Some(completion);
        } else {
            self.queue.extend(calls.iter().cloned().map(ChatEvent::ToolStart));
            self.conversation.add_reply(&completion);
            self.stage = Stage::Tools(self.conversation.start_tools(calls));
        }
        Ok(())
    }

    fn end_round(&mut self) {
        if let Stage::Tools(running) = std::mem::replace(&mut self.stage, Stage::Start) {
            self.conversation.add_results(running);
            self.round += 1;
        }
    }
}

fn push_chunk(queue: &mut VecDeque<ChatEvent>, chunk: ChatChunk) {
    let first = chunk.choices.iter().find(|choice| choice.index() == 0);
    let deltas = first.map_or(&[][..], |choice| &choice.delta.tool_calls);
    let arguments: Vec<_> = deltas
        .iter()
        .enumerate()
        .filter_map(|(position, delta)| {
            let function = delta.function.as_ref()?;
            Some(ChatEvent::ToolArguments {
                index: delta.index().unwrap_or(position as u64),
                name: function.name.clone().unwrap_or_default(),
                delta: function.arguments.clone().unwrap_or_default(),
            })
        })
        .collect();
    queue.push_back(ChatEvent::Chunk(chunk));
    queue.extend(arguments);
}

/// The steps of a chat: see [`ChatCall::stream`](super::ChatCall::stream). Dropping it cancels the chat.
pub struct ChatEvents<'llm, R> {
    state: Result<ConversationEvents<'llm>, Option<FunctionError>>,
    is_over: bool,
    returned: PhantomData<fn() -> R>,
}

impl<'llm, R: Returned<Value = ChatAnswer>> ChatEvents<'llm, R> {
    pub(super) fn new(conversation: Result<CallConversation<'llm>, FunctionError>) -> Self {
        Self {
            state: conversation.map(ConversationEvents::new).map_err(Some),
            is_over: false,
            returned: PhantomData,
        }
    }

    /// Returns the next step. `None` after [`ChatEvent::End`] or after an error.
    ///
    /// A future that is dropped loses no event. If it is dropped before the first chunk of a reply, the request is
    /// cancelled, and sent again by the next call.
    pub async fn next(&mut self) -> Option<Result<ChatEvent, R::Error>> {
        if self.is_over {
            return None;
        }
        let events = match &mut self.state {
            Ok(events) => events,
            Err(error) => return error.take().map(|error| Err(error.into())),
        };
        let event = match events.next().await {
            Some(event) => event,
            None => {
                self.is_over = true;
                let reply = events.take_reply()?;
                ChatAnswer::new(events.conversation(), &reply).map(|answer| ChatEvent::End(Box::new(answer)))
            }
        };
        self.is_over |= event.is_err();
        Some(event.map_err(R::Error::from))
    }

    /// Returns the messages so far: the history that the chat started with, the new message, and what followed. After
    /// an error, too.
    pub fn history(&self) -> &[Message] {
        self.state.as_ref().map_or(&[], ConversationEvents::history)
    }
}

impl<R> fmt::Debug for ChatEvents<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatEvents").finish_non_exhaustive()
    }
}
