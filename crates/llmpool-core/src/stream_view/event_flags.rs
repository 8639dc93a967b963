//! Facts about one event of a stream.

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
    /// The event carries usage and no choice.
    pub usage_only: bool,
    /// The event is not valid JSON.
    pub corrupt: bool,
    /// The event names resources of the provider that later requests can refer to: a response, an item, or encrypted reasoning.
    pub creates_resources: bool,
}

/// Everything that [`StreamView`](super::StreamView) takes from one event.
#[derive(Clone, Debug, Default)]
pub(super) struct EventFacts {
    pub(super) flags: EventFlags,
    /// Choices in the event, one bit per index. Indexes from 127 on share the last bit.
    pub(super) choices: u128,
    /// Choices with a finish reason in the event.
    pub(super) finished: u128,
    /// Whether the event is the terminal event of a response.
    pub(super) terminal: bool,
    /// JSON text of the event's usage in the Chat Completions vocabulary, if it has at least one count.
    pub(super) usage: Option<Bytes>,
    /// Bytes of output in the event, JSON escapes included.
    pub(super) output_bytes: usize,
}

impl EventFacts {
    /// Facts about an event that is not a JSON object of the expected shape.
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

    /// Returns whether the event does nothing but add output, so that another one like it changes no other state of the stream.
    pub(super) fn is_output_only(&self) -> bool {
        let flags = EventFlags {
            content: self.flags.content,
            ..EventFlags::default()
        };
        self.flags == flags && self.finished == 0 && !self.terminal && self.usage.is_none()
    }
}
