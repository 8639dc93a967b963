//! Events that carry a piece of an output item's text, arguments or reasoning.

use crate::responses::{EventDelta, EventKind, ResponseEvent};

/// A piece of an output item: a delta, or the complete text that the provider sends after the deltas.
pub(super) struct EventPiece {
    pub(super) kind: PieceKind,
    /// Text of the piece. Never empty.
    pub(super) text: String,
    /// Whether the piece is the complete text. Usually, deltas with the same text have arrived before.
    pub(super) is_complete: bool,
}

/// The part of an output item to which a piece of text belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    Text,
    Refusal,
    /// The piece belongs to the arguments of a function call.
    Arguments,
    /// The piece belongs to the input of a custom tool call.
    CustomInput,
    Reasoning,
    ReasoningSummary,
}

impl EventPiece {
    /// Moves the piece out of an event. Returns `None` if the event carries no piece of text, or an empty
    /// piece.
    pub(super) fn take(event: &mut ResponseEvent) -> Option<Self> {
        let (kind, complete) = match event.kind {
            EventKind::TextDelta => (PieceKind::Text, None),
            EventKind::TextDone => (PieceKind::Text, Some(event.text.take())),
            EventKind::RefusalDelta => (PieceKind::Refusal, None),
            EventKind::RefusalDone => (PieceKind::Refusal, Some(event.refusal.take())),
            EventKind::ArgumentsDelta => (PieceKind::Arguments, None),
            EventKind::ArgumentsDone => (PieceKind::Arguments, Some(event.arguments.take())),
            EventKind::CustomInputDelta => (PieceKind::CustomInput, None),
            EventKind::CustomInputDone => (PieceKind::CustomInput, Some(event.input.take())),
            EventKind::ReasoningDelta => (PieceKind::Reasoning, None),
            EventKind::SummaryTextDelta => (PieceKind::ReasoningSummary, None),
            _ => return None,
        };
        let is_complete = complete.is_some();
        let text = match (complete, event.delta.take()) {
            (Some(complete), _) => complete?,
            (None, Some(EventDelta::Text(text))) => text,
            // Some servers send the arguments as an object, not as its JSON text.
            (None, Some(EventDelta::Other(json)))
                if kind == PieceKind::Arguments && json.get().starts_with('{') =>
            {
                json.get().to_owned()
            }
            (None, _) => return None,
        };
        (!text.is_empty()).then_some(Self {
            kind,
            text,
            is_complete,
        })
    }
}
