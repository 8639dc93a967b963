//! Facts about one event of a stream, found by classifying the event.

use bytes::Bytes;

/// Facts about one event of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventFlags {
    /// The event carries output: text, a refusal, reasoning, a tool call, audio, or a finish reason.
    pub content: bool,
    /// The event is an error, or has a finish reason that means one.
    pub error: bool,
    /// The event is `[DONE]`.
    pub done: bool,
    /// The event carries usage but no choices.
    pub usage_only: bool,
    /// The event is not valid JSON.
    pub corrupt: bool,
    /// The event names resources of the provider to which later requests can refer: a response, an item, or encrypted reasoning.
    pub creates_resources: bool,
}

/// Everything that [`StreamView`](super::StreamView) needs to know about one event.
#[derive(Clone, Debug, Default)]
pub(super) struct EventFacts {
    pub(super) flags: EventFlags,
    /// Set of the choices in the event: bit `n` stands for the choice with index `n`. Indexes from 127 on share the last bit.
    pub(super) choices: u128,
    /// Set of the choices that have a finish reason in the event, with the same bits as `choices`.
    pub(super) finished: u128,
    /// Whether the event ends a stream of the Responses API.
    pub(super) terminal: bool,
    /// JSON text of the event's usage, with the field names of Chat Completions. `None` without at least one count.
    pub(super) usage: Option<Bytes>,
    /// Length of the output in the event as JSON text, in bytes.
    pub(super) output_bytes: usize,
}

impl EventFacts {
    /// Returns the facts about an event that is not a JSON object of the expected shape.
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

    /// Returns whether the event only adds output. Another event of the same shape then changes nothing else in the state of the stream.
    pub(super) fn is_output_only(&self) -> bool {
        let flags = EventFlags {
            content: self.flags.content,
            ..EventFlags::default()
        };
        self.flags == flags && self.finished == 0 && !self.terminal && self.usage.is_none()
    }
}
