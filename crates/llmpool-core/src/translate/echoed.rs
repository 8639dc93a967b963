//! Fields that a model writes and that the client must send back in the next request.
//!
//! - `extra_content` of a tool call or message: Gemini puts the signature of its thoughts there, and refuses a
//!   tool call without its signature.
//! - `phase` of a message: OpenAI's models answer worse if the phase of their earlier messages is missing. A
//!   chat message has no such field, so the phase becomes an unknown field there.

use crate::chat::{ChatRequest, Json, UnknownFields};
use crate::responses::{Item, MessageItem};

/// Name of the field with data that only the provider of the model understands.
pub(super) const EXTRA_CONTENT: &str = "extra_content";
/// Name of the field with the purpose of an assistant message.
pub(super) const PHASE: &str = "phase";

/// Returns those unknown fields of a tool call or message that the client must send back.
pub(super) fn echoed(extra: &UnknownFields) -> UnknownFields {
    let mut kept = UnknownFields::default();
    if let Some(content) = extra.get(EXTRA_CONTENT).filter(|json| json.get() != "null") {
        kept.insert(EXTRA_CONTENT, content.clone());
    }
    kept
}

/// Returns the names of those unknown fields that [`echoed`] leaves out.
pub(super) fn not_echoed(extra: &UnknownFields) -> impl Iterator<Item = &str> {
    let names = extra.iter().map(|(name, _)| name);
    names.filter(|name| *name != EXTRA_CONTENT)
}

/// Returns a copy of the request without `extra_content`, and the paths of the removed fields, such as
/// `messages[1].tool_calls[0].extra_content`. Returns `None` if the request has no `extra_content`.
///
/// Needed for providers that refuse unknown fields, such as OpenAI.
pub fn without_extra_content(request: &ChatRequest) -> Option<(ChatRequest, Vec<String>)> {
    without(request, &[EXTRA_CONTENT])
}

/// Returns a copy of the request without `extra_content` and without the `phase` of messages, and the paths of the
/// removed fields. Returns `None` if the request has neither.
///
/// Needed for chats with providers that refuse unknown fields. A Responses request has a field for the phase.
pub fn without_echoed_fields(request: &ChatRequest) -> Option<(ChatRequest, Vec<String>)> {
    without(request, &[EXTRA_CONTENT, PHASE])
}

/// Removes the fields in `names` from messages, and `extra_content` from tool calls.
fn without(request: &ChatRequest, names: &[&str]) -> Option<(ChatRequest, Vec<String>)> {
    let has_content = |extra: &UnknownFields| extra.get(EXTRA_CONTENT).is_some();
    let mut messages = request.messages.iter();
    if !messages.any(|message| {
        names.iter().any(|name| message.extra.get(name).is_some())
            || message.tool_calls.iter().any(|call| has_content(&call.extra))
    }) {
        return None;
    }
    let (mut request, mut removed) = (request.clone(), Vec::new());
    for (index, message) in request.messages.iter_mut().enumerate() {
        for name in names {
            if message.extra.remove(name).is_some() {
                removed.push(format!("messages[{index}].{name}"));
            }
        }
        for (call_index, call) in message.tool_calls.iter_mut().enumerate() {
            if call.extra.remove(EXTRA_CONTENT).is_some() {
                removed.push(format!(
                    "messages[{index}].tool_calls[{call_index}].{EXTRA_CONTENT}"
                ));
            }
        }
    }
    Some((request, removed))
}

/// The fields of an assistant message that the client must send back.
#[derive(Clone, Debug, Default)]
pub(super) struct EchoedMessage {
    phase: Option<String>,
    extra: UnknownFields,
}

impl EchoedMessage {
    /// Returns the fields of an output item. Empty if the item is not a message.
    pub(super) fn of(item: &Item) -> Self {
        match item {
            Item::Message(message) | Item::EasyMessage(message) => Self::of_item(message),
            _ => Self::default(),
        }
    }

    pub(super) fn of_item(item: &MessageItem) -> Self {
        Self {
            phase: item.phase.clone(),
            extra: echoed(&item.extra),
        }
    }

    /// Returns the fields of a chat message or delta, whose unknown fields are `extra`.
    pub(super) fn of_chat(extra: &UnknownFields) -> Self {
        let phase = extra.get(PHASE).map(Json::get);
        Self {
            phase: phase.and_then(|phase| serde_json::from_str(phase).ok()),
            extra: echoed(extra),
        }
    }

    pub(super) fn has_phase(&self) -> bool {
        self.phase.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.phase.is_none() && self.extra.is_empty()
    }

    /// Returns the names of the fields that are not the same in `kept`.
    pub(super) fn lost_in(&self, kept: &Self) -> impl Iterator<Item = &'static str> + use<> {
        let phase = self.phase.is_some() && self.phase != kept.phase;
        let extra = !self.extra.is_empty() && self.extra != kept.extra;
        let lost = [(phase, PHASE), (extra, EXTRA_CONTENT)];
        lost.into_iter()
            .filter_map(|(is_lost, name)| is_lost.then_some(name))
    }

    /// Replaces each field that `later` contains.
    pub(super) fn update(&mut self, later: Self) {
        self.phase = later.phase.or(self.phase.take());
        if !later.extra.is_empty() {
            self.extra = later.extra;
        }
    }

    pub(super) fn write_to_item(self, item: &mut MessageItem) {
        item.phase = self.phase.or(item.phase.take());
        insert_all(&mut item.extra, self.extra);
    }

    /// Writes the fields to the unknown fields of a chat message or delta.
    pub(super) fn write_to_chat(self, extra: &mut UnknownFields) {
        if let Some(phase) = self.phase.and_then(|phase| Json::of(&phase).ok()) {
            extra.insert(PHASE, phase);
        }
        insert_all(extra, self.extra);
    }
}

/// Sets the fields of `extra` to those in `later`.
pub(super) fn insert_all(extra: &mut UnknownFields, later: UnknownFields) {
    for (name, json) in later.iter() {
        extra.insert(name.to_owned(), json.clone());
    }
}
