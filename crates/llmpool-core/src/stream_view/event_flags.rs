//! Facts about one event of a stream, as found by classifying the event.

use super::reported_usage::ReportedUsage;

/// Facts about one event of a stream. Several flags can be set at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventFlags {
    /// The event carries output of the model: text, a refusal, reasoning, a tool call, audio, or a finish
    /// reason.
    pub content: bool,
    /// The event reports an error: it is an error object, or contains a finish reason or status that stands
    /// for a failure.
    pub error: bool,
    /// The event is `[DONE]`, the end marker of a stream.
    pub done: bool,
    /// The event has a usage, with or without counts, and contains no choices.
    pub usage_only: bool,
    /// The event is not a JSON object of the expected shape.
    pub corrupt: bool,
    /// The data of the event is neither a JSON object nor a list, but empty, white space or text such as `ping`. Some
    /// servers send such events to keep the connection open. An event with the name `error` is an error instead.
    pub blank: bool,
    /// The event is a complete answer: it has a message in place of a delta, or is a response in place of an
    /// event. It has no other flags, and the state of the stream stays as it was. [`AnswerReplay`](crate::framing::AnswerReplay) converts
    /// it to events for the stream view to observe instead.
    pub whole: bool,
    /// The event names resources at the provider to which later requests can refer: a response, an item, or
    /// encrypted reasoning.
    pub creates_resources: bool,
}

/// Everything that [`StreamView`](super::StreamView) needs to know about one event.
#[derive(Clone, Debug, Default)]
pub(super) struct EventFacts {
    pub(super) flags: EventFlags,
    /// Bit set of the choices in the event: bit `n` stands for the choice with index `n`. All indexes from
    /// 127 on share bit 127.
    pub(super) choices: u128,
    /// Bit set of the choices that have a finish reason in the event, with the same bits as `choices`.
    pub(super) finished: u128,
    /// Whether the event ends a stream of the Responses API.
    pub(super) terminal: bool,
    /// The token usage that the event reports. `None` if the event reports no token count.
    pub(super) usage: Option<Box<ReportedUsage>>,
    /// Length in bytes of the output in the event, as JSON text.
    pub(super) output_bytes: usize,
}

impl EventFacts {
    /// Returns the facts about an event that is not a JSON object of the expected shape. If the SSE event
    /// name `name` is `error`, the event is an error. Otherwise it is corrupt.
    pub(super) fn unreadable(name: Option<&[u8]>) -> Self {
        let error = name == Some(b"error");
        let flags = EventFlags {
            error,
            corrupt: !error,
            ..EventFlags::default()
        };
        Self {
            flags,
            ..Self::default()
        }
    }

    /// Returns whether the event does nothing but add output to the stream. Such an event reports no error,
    /// no usage and no end of the stream or of a choice.
    pub(super) fn is_output_only(&self) -> bool {
        let flags = EventFlags {
            content: self.flags.content,
            ..EventFlags::default()
        };
        self.flags == flags && self.finished == 0 && !self.terminal && self.usage.is_none()
    }
}
