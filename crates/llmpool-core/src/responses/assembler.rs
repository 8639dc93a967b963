//! Assembles the events of a stream into a complete response.

use std::collections::{BTreeMap, HashMap};

use super::event::{EventKind, ResponseEvent};
use super::event_decoder::EventDecoder;
use super::item::{CustomToolCallItem, FunctionCallItem, Item, MessageItem, ReasoningItem};
use super::part::{ItemPart, ItemText};
use super::response::{Response, ResponseStatus};
use crate::chat::wire_object::opaque_debug;
use crate::chat::{Content, Role};

/// A builder that assembles the events of one stream into a [`Response`].
///
/// The response of the last event is used as it was sent. Only if it has no output, the output is taken from
/// the complete items of earlier events, and from deltas where an item was never sent completely.
#[derive(Default)]
pub(crate) struct ResponseAssembler {
    decoder: EventDecoder,
    /// The response of the last event that contained one.
    response: Option<Box<Response>>,
    status: Option<ResponseStatus>,
    items: Vec<PartialItem>,
    /// Positions in `items`. Names and indexes come from the provider, so each is found in constant time.
    by_index: HashMap<u64, usize>,
    by_id: HashMap<String, usize>,
}

#[derive(Default)]
struct PartialItem {
    output_index: Option<u64>,
    /// The item as it was sent last.
    item: Option<Item>,
    is_done: bool,
    texts: BTreeMap<OutputPlace, String>,
    name: Option<String>,
}

/// The place of a text in an item: the kind of the text, and the index of the part.
type OutputPlace = (TextKind, u64);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TextKind {
    Summary,
    Reasoning,
    Message,
    Refusal,
    Arguments,
    CustomInput,
}

/// A text in an event.
struct TextPiece {
    place: OutputPlace,
    text: String,
    /// Whether the text is complete, so that it replaces the deltas.
    is_complete: bool,
}

impl ResponseAssembler {
    /// Adds the JSON data of the next event.
    ///
    /// # Errors
    /// Returns an error if `data` is not a JSON object.
    pub(crate) fn push(&mut self, data: &[u8]) -> Result<(), serde_json::Error> {
        let mut event = self.decoder.decode(data)?;
        self.status = match event.kind {
            EventKind::Completed => Some(ResponseStatus::Completed),
            EventKind::Incomplete => Some(ResponseStatus::Incomplete),
            _ => self.status.take(),
        };
        match event.kind {
            EventKind::Created
            | EventKind::InProgress
            | EventKind::Queued
            | EventKind::Completed
            | EventKind::Incomplete => {
                self.response = event.response.take().or(self.response.take());
            }
            EventKind::ItemAdded | EventKind::ItemDone => self.push_item(event),
            _ => self.push_text(event),
        }
        Ok(())
    }

    /// Returns the complete response. `None` if no event contained a response or an item.
    pub(crate) fn finish(self) -> Option<Response> {
        if self.response.is_none() && self.items.is_empty() {
            return None;
        }
        let mut response = self.response.map_or_else(Response::default, |response| *response);
        if self.status.is_none() || response.status.is_none() {
            // The stream ended properly, or it would have failed.
            response.status = self.status.or(Some(ResponseStatus::Completed));
        }
        if response.output.is_empty() {
            let mut items = self.items;
            // Items without an index keep their position.
            items.sort_by_key(|item| item.output_index.unwrap_or(u64::MAX));
            response.output = items.into_iter().filter_map(PartialItem::into_item).collect();
        }
        Some(response)
    }

    fn push_item(&mut self, event: ResponseEvent) {
        let is_done = event.kind == EventKind::ItemDone;
        let output_index = event.output_index();
        let Some(item) = event.item else { return };
        let id = item.id().or(event.item_id.as_deref());
        let is_anonymous = id.is_none() && output_index.is_none();
        let last = self.items.len().checked_sub(1);
        let last = last.filter(|last| is_anonymous && is_done && !self.items[*last].is_done);
        let position = self.position_of(id, output_index, last);
        let known = &mut self.items[position];
        if is_done || !known.is_done {
            known.item = Some(item);
            known.is_done = is_done;
        }
    }

    fn push_text(&mut self, mut event: ResponseEvent) {
        let Some(piece) = TextPiece::take(&mut event) else {
            return;
        };
        let last = self.items.len().checked_sub(1);
        let last = last.filter(|last| self.items[*last].may_contain(piece.place.0));
        let position = self.position_of(event.item_id.as_deref(), event.output_index(), last);
        let item = &mut self.items[position];
        item.name = event.name.or(item.name.take());
        item.push(piece);
    }

    /// Returns the position of the item with this index or ID. An event with neither belongs to the item at
    /// position `last`. Adds an item if there is none.
    fn position_of(&mut self, id: Option<&str>, output_index: Option<u64>, last: Option<usize>) -> usize {
        let by_index = output_index.and_then(|index| self.by_index.get(&index));
        let by_id = || self.by_id.get(id?);
        let known = by_index.or_else(by_id).copied();
        let is_anonymous = id.is_none() && output_index.is_none();
        let position = known.or(last.filter(|_| is_anonymous)).unwrap_or_else(|| {
            self.items.push(PartialItem {
                output_index,
                ..PartialItem::default()
            });
            self.items.len() - 1
        });
        if let Some(index) = output_index {
            self.by_index.entry(index).or_insert(position);
        }
        if let Some(id) = id.filter(|id| !self.by_id.contains_key(*id)) {
            self.by_id.insert(id.to_owned(), position);
        }
        position
    }
}

impl PartialItem {
    /// Returns whether a text of this kind can belong to the item.
    fn may_contain(&self, kind: TextKind) -> bool {
        !self.is_done
            && match &self.item {
                Some(item) => kinds_of(item).contains(&kind),
                None => self.texts.keys().all(|(known, _)| *known == kind),
            }
    }

    fn push(&mut self, piece: TextPiece) {
        if piece.is_complete {
            self.texts.insert(piece.place, piece.text);
        } else {
            *self.texts.entry(piece.place).or_default() += &piece.text;
        }
    }
}

impl PartialItem {
    /// Returns the item, completed from its texts if it was not sent completely. `None` if nothing is known
    /// of it.
    fn into_item(self) -> Option<Item> {
        let Some((kind, _)) = self.texts.first_key_value().map(|(place, _)| *place) else {
            return self.item;
        };
        if self.is_done {
            return self.item;
        }
        let mut texts = self.texts;
        let mut item = self.item.unwrap_or_else(|| empty_item(kind));
        match &mut item {
            Item::FunctionCall(call) => {
                call.arguments = join(&mut texts);
                call.name = self.name.unwrap_or_else(|| std::mem::take(&mut call.name));
            }
            Item::CustomToolCall(call) => call.input = join(&mut texts),
            Item::Reasoning(reasoning) => {
                let (summary, content) = texts
                    .into_iter()
                    .partition::<Vec<_>, _>(|((kind, _), _)| *kind == TextKind::Summary);
                let part = |(place, text): (OutputPlace, String)| part_of(place.0, text);
                reasoning.summary = summary.into_iter().map(part).collect();
                let content: Vec<_> = content.into_iter().map(part).collect();
                reasoning.content = (!content.is_empty()).then_some(content);
            }
            Item::Message(message) | Item::EasyMessage(message) => {
                let mut parts: Vec<_> = texts.into_iter().collect();
                parts.sort_by_key(|((_, index), _)| *index);
                let parts = parts.into_iter().map(|((kind, _), text)| part_of(kind, text));
                message.content = Some(Content::Parts(parts.collect()));
            }
            _ => {}
        }
        item.set_status("completed".to_owned());
        Some(item)
    }
}

impl TextPiece {
    /// Takes the text out of an event. `None` if the event has no text that belongs to an item.
    fn take(event: &mut ResponseEvent) -> Option<Self> {
        let (kind, complete) = match event.kind {
            EventKind::TextDelta | EventKind::TextDone => (TextKind::Message, event.text.take()),
            EventKind::RefusalDelta | EventKind::RefusalDone => (TextKind::Refusal, event.refusal.take()),
            EventKind::ReasoningDelta | EventKind::ReasoningDone => (TextKind::Reasoning, event.text.take()),
            EventKind::SummaryTextDelta | EventKind::SummaryTextDone => {
                (TextKind::Summary, event.text.take())
            }
            EventKind::ArgumentsDelta | EventKind::ArgumentsDone => {
                (TextKind::Arguments, event.arguments.take())
            }
            EventKind::CustomInputDelta | EventKind::CustomInputDone => {
                (TextKind::CustomInput, event.input.take())
            }
            _ => return None,
        };
        let index = match kind {
            TextKind::Summary => event.summary_index(),
            _ => event.content_index(),
        };
        let is_complete = complete.is_some();
        let delta = || event.delta_text().map(str::to_owned);
        Some(Self {
            place: (kind, index.unwrap_or(0)),
            text: complete.or_else(delta)?,
            is_complete,
        })
    }
}

fn kinds_of(item: &Item) -> &'static [TextKind] {
    match item {
        Item::FunctionCall(_) => &[TextKind::Arguments],
        Item::CustomToolCall(_) => &[TextKind::CustomInput],
        Item::Reasoning(_) => &[TextKind::Summary, TextKind::Reasoning],
        Item::Message(_) | Item::EasyMessage(_) => &[TextKind::Message, TextKind::Refusal],
        _ => &[],
    }
}

fn empty_item(kind: TextKind) -> Item {
    match kind {
        TextKind::Arguments => Item::FunctionCall(FunctionCallItem::default()),
        TextKind::CustomInput => Item::CustomToolCall(CustomToolCallItem::default()),
        TextKind::Summary | TextKind::Reasoning => Item::Reasoning(ReasoningItem::default()),
        TextKind::Message | TextKind::Refusal => Item::Message(MessageItem {
            role: Some(Role::Assistant),
            ..MessageItem::default()
        }),
    }
}

fn part_of(kind: TextKind, text: String) -> ItemPart {
    match kind {
        TextKind::Summary => ItemPart::SummaryText(ItemText::new(text)),
        TextKind::Reasoning => ItemPart::ReasoningText(ItemText::new(text)),
        TextKind::Refusal => ItemPart::refusal(text),
        _ => ItemPart::output_text(text),
    }
}

fn join(texts: &mut BTreeMap<OutputPlace, String>) -> String {
    std::mem::take(texts).into_values().collect()
}

opaque_debug!(ResponseAssembler);
