//! The output items of a streamed response, and the queue of its events.

use std::collections::VecDeque;

use crate::chat::{Content, Json, Role, UnknownFields};
use crate::responses::{
    EventDelta, EventKind, HostedItem, Item, ItemPart, MessageItem, ReasoningItem, ResponseEvent,
};
use crate::translate::echoed::{EchoedMessage, insert_all};
use crate::translate::responses_over_chat::envelope::ResponseEnvelope;
use crate::translate::responses_over_chat::incomplete_reason::item_status;

/// The output items so far, and the events that the caller has not taken yet.
///
/// Only one message or reasoning item is written at a time. That item ends when another item starts.
#[derive(Clone, Debug)]
pub(super) struct StreamedOutput {
    pub(super) envelope: ResponseEnvelope,
    items: Vec<WrittenItem>,
    /// Zero-based index of the message or reasoning item that is being written. `None` if neither is being
    /// written.
    current: Option<usize>,
    /// Zero-based indexes of the last message and of the last message with text.
    last_message: Option<usize>,
    last_text: Option<usize>,
    /// Zero-based indexes of the reasoning items without encrypted content.
    without_encrypted: Vec<usize>,
    events: VecDeque<ResponseEvent>,
    next_sequence_number: u64,
}

#[derive(Clone, Debug)]
struct WrittenItem {
    item: Item,
    is_done: bool,
}

impl StreamedOutput {
    pub(super) fn new(envelope: ResponseEnvelope) -> Self {
        Self {
            envelope,
            items: Vec::new(),
            current: None,
            last_message: None,
            last_text: None,
            without_encrypted: Vec::new(),
            events: VecDeque::new(),
            next_sequence_number: 0,
        }
    }

    pub(super) fn pop_event(&mut self) -> Option<ResponseEvent> {
        self.events.pop_front()
    }

    pub(super) fn push_event(&mut self, event: ResponseEvent) {
        self.events
            .push_back(event.with_sequence_number(self.next_sequence_number));
        self.next_sequence_number += 1;
    }

    fn next_item_id(&self, prefix: &str) -> Option<String> {
        Some(self.envelope.item_id(prefix, self.items.len()))
    }

    /// Returns the message or reasoning item that is being written, with its zero-based index in the output.
    /// Returns `None` if neither is being written.
    pub(super) fn current(&self) -> Option<(usize, &Item)> {
        self.current.map(|index| (index, &self.items[index].item))
    }

    /// Returns the annotations of the last text, with the zero-based indexes of its item and part, and whether
    /// the item is done. Returns `None` if there is no text yet.
    pub(super) fn last_annotations(&mut self) -> Option<((usize, usize), bool, &mut Vec<Json>)> {
        let index = self.last_text?;
        let WrittenItem { item, is_done } = self.items.get_mut(index)?;
        let mut parts = parts_mut(item)?.iter_mut().enumerate();
        parts.find_map(|(part_index, part)| match part {
            ItemPart::OutputText(part) => Some(((index, part_index), *is_done, &mut part.annotations)),
            _ => None,
        })
    }

    /// Sets the encrypted content of the last reasoning item without one, and returns the zero-based index of
    /// that item. Returns `None`, and does not change `encrypted`, if there is no such item.
    pub(super) fn set_encrypted(&mut self, encrypted: &mut Option<String>) -> Option<usize> {
        let index = self.without_encrypted.pop()?;
        if let Item::Reasoning(item) = &mut self.items[index].item {
            item.encrypted_content = encrypted.take();
        }
        Some(index)
    }

    /// Ends the message or reasoning item that is being written, and starts `item`. Returns the zero-based
    /// index of `item`.
    pub(super) fn start_item(&mut self, item: Item) -> usize {
        self.end_current();
        let index = self.items.len();
        self.items.push(WrittenItem { item, is_done: false });
        self.push_item_event(index, EventKind::ItemAdded);
        index
    }

    /// Adds an item that is already complete, so that no delta events are created for the item.
    pub(super) fn push_complete(&mut self, item: Item) {
        let index = self.start_item(item);
        self.items[index].is_done = true;
        self.push_item_event(index, EventKind::ItemDone);
    }

    pub(super) fn push_image(&mut self, mut item: HostedItem) {
        item.id = self.next_item_id("ig");
        self.push_complete(Item::ImageGenerationCall(item));
    }

    /// Appends text to the part of the current item that has the kind of `new_part`, such as output text or
    /// refusal.
    ///
    /// Adds `new_part` to the item if there is no such part. Starts a new item if the current item is not of
    /// the type that `new_part` requires: a reasoning item for reasoning text, otherwise a message.
    pub(super) fn push_text(&mut self, new_part: ItemPart, text: String, logprobs: Option<Vec<Json>>) {
        let is_reasoning = matches!(new_part, ItemPart::ReasoningText(_));
        let index = match self.current() {
            Some((index, item)) if matches!(item, Item::Reasoning(_)) == is_reasoning => index,
            _ => {
                let index = if is_reasoning {
                    let index = self.start_item(self.new_reasoning());
                    self.without_encrypted.push(index);
                    index
                } else {
                    let index = self.start_item(self.new_message());
                    self.last_message = Some(index);
                    index
                };
                self.current = Some(index);
                index
            }
        };
        let part_index = self.part_index(index, new_part);
        let Some(part) = parts_mut(&mut self.items[index].item).and_then(|parts| parts.get_mut(part_index))
        else {
            return;
        };
        let kind = match part {
            ItemPart::OutputText(part) => {
                part.text += &text;
                let known = part.logprobs.get_or_insert_default();
                known.extend(logprobs.iter().flatten().cloned());
                EventKind::TextDelta
            }
            ItemPart::ReasoningText(part) => {
                part.text += &text;
                EventKind::ReasoningDelta
            }
            ItemPart::Refusal(part) => {
                part.refusal += &text;
                EventKind::RefusalDelta
            }
            _ => return,
        };
        let mut event = self.part_event(index, part_index, kind);
        event.delta = Some(EventDelta::Text(text));
        event.logprobs = logprobs;
        self.push_event(event);
    }

    fn new_message(&self) -> Item {
        Item::Message(MessageItem {
            id: self.next_item_id("msg"),
            role: Some(Role::Assistant),
            status: Some("in_progress".to_owned()),
            content: Some(Content::Parts(Vec::new())),
            ..MessageItem::default()
        })
    }

    pub(super) fn next_reasoning_id(&self) -> Option<String> {
        self.next_item_id("rs")
    }

    fn new_reasoning(&self) -> Item {
        Item::Reasoning(ReasoningItem {
            id: self.next_item_id("rs"),
            ..ReasoningItem::default()
        })
    }

    /// Returns the zero-based index of the part that has the kind of `new_part`, in the item at `index`. Adds
    /// `new_part` to the item if there is no such part.
    fn part_index(&mut self, index: usize, new_part: ItemPart) -> usize {
        let Some(parts) = parts_mut(&mut self.items[index].item) else {
            return 0;
        };
        let is_same = |part: &ItemPart| std::mem::discriminant(part) == std::mem::discriminant(&new_part);
        if let Some(part_index) = parts.iter().position(is_same) {
            return part_index;
        }
        let part_index = parts.len();
        parts.push(new_part.clone());
        if let ItemPart::OutputText(_) = new_part {
            self.last_text = Some(index);
        }
        let mut event = self.part_event(index, part_index, EventKind::ContentPartAdded);
        event.part = Some(new_part);
        self.push_event(event);
        part_index
    }

    /// Appends a piece to the arguments of a function call or to the input of a custom tool call. `index` is
    /// the zero-based index of the call's item.
    pub(super) fn push_arguments(&mut self, index: usize, arguments: String) {
        let (known, kind) = match &mut self.items[index].item {
            Item::FunctionCall(call) => (&mut call.arguments, EventKind::ArgumentsDelta),
            Item::CustomToolCall(call) => (&mut call.input, EventKind::CustomInputDelta),
            _ => return,
        };
        if arguments.is_empty() {
            return;
        }
        *known += &arguments;
        let mut event = self.event(index, kind);
        event.delta = Some(EventDelta::Text(arguments));
        self.push_event(event);
    }

    /// Returns the arguments of the function call at `index`, as far as they are part of an event. Empty for another item.
    pub(super) fn arguments(&self, index: usize) -> &str {
        match &self.items[index].item {
            Item::FunctionCall(call) => &call.arguments,
            _ => "",
        }
    }

    /// Adds unknown fields to the tool call at `index`, which its later events and the response contain.
    pub(super) fn add_extra(&mut self, index: usize, extra: UnknownFields) {
        match &mut self.items[index].item {
            Item::FunctionCall(call) => insert_all(&mut call.extra, extra),
            Item::CustomToolCall(call) => insert_all(&mut call.extra, extra),
            _ => {}
        }
    }

    /// Adds fields to the last message. Returns `false` if there is no message yet.
    pub(super) fn add_echoed(&mut self, echoed: &EchoedMessage) -> bool {
        let message = self.last_message.map(|index| &mut self.items[index].item);
        let Some(Item::Message(message)) = message else {
            return false;
        };
        echoed.clone().write_to_item(message);
        true
    }

    /// Ends the message or reasoning item that is being written, if any.
    pub(super) fn end_current(&mut self) {
        if let Some(index) = self.current.take() {
            self.end_item(index, false);
        }
    }

    /// Ends all items that are not done, and returns all items. If `is_incomplete`, the last of the items
    /// ended here gets the status `incomplete`.
    pub(super) fn finish(&mut self, is_incomplete: bool) -> Vec<Item> {
        let last = self.items.iter().rposition(|written| !written.is_done);
        for index in 0..self.items.len() {
            if !self.items[index].is_done {
                self.end_item(index, is_incomplete && Some(index) == last);
            }
        }
        self.items.iter().map(|written| written.item.clone()).collect()
    }

    fn end_item(&mut self, index: usize, is_incomplete: bool) {
        match self.items[index].item.clone() {
            Item::FunctionCall(call) => {
                let mut event = self.event(index, EventKind::ArgumentsDone);
                event.name = Some(call.name);
                event.arguments = Some(call.arguments);
                self.push_event(event);
            }
            Item::CustomToolCall(call) => {
                let mut event = self.event(index, EventKind::CustomInputDone);
                event.input = Some(call.input);
                self.push_event(event);
            }
            mut item => {
                let parts = parts_mut(&mut item).map(std::mem::take);
                for (part_index, part) in parts.unwrap_or_default().into_iter().enumerate() {
                    self.end_part(index, part_index, part);
                }
            }
        }
        let written = &mut self.items[index];
        written.is_done = true;
        // A complete reasoning item has no status.
        if is_incomplete || !matches!(written.item, Item::Reasoning(_)) {
            written.item.set_status(item_status(is_incomplete));
        }
        self.push_item_event(index, EventKind::ItemDone);
    }

    fn end_part(&mut self, index: usize, part_index: usize, part: ItemPart) {
        let mut event = self.part_event(index, part_index, EventKind::ReasoningDone);
        match &part {
            ItemPart::OutputText(part) => {
                event.kind = EventKind::TextDone;
                event.text = Some(part.text.clone());
                event.logprobs = Some(part.logprobs.clone().unwrap_or_default());
            }
            ItemPart::Refusal(part) => {
                event.kind = EventKind::RefusalDone;
                event.refusal = Some(part.refusal.clone());
            }
            part => event.text = part.text().map(str::to_owned),
        }
        self.push_event(event);
        let mut event = self.part_event(index, part_index, EventKind::ContentPartDone);
        event.part = Some(part);
        self.push_event(event);
    }

    fn push_item_event(&mut self, index: usize, kind: EventKind) {
        let mut event = ResponseEvent::new(kind);
        event.output_index = (index as u64).into();
        event.item = Some(self.items[index].item.clone());
        self.push_event(event);
    }

    /// Returns an event of the given kind that refers to the item at `index`.
    fn event(&self, index: usize, kind: EventKind) -> ResponseEvent {
        let mut event = ResponseEvent::new(kind);
        event.item_id = self.items[index].item.id().map(str::to_owned);
        event.output_index = (index as u64).into();
        event
    }

    /// Returns an event of the given kind that refers to the content part at `part_index` of the item at
    /// `index`.
    pub(super) fn part_event(&self, index: usize, part_index: usize, kind: EventKind) -> ResponseEvent {
        let mut event = self.event(index, kind);
        event.content_index = (part_index as u64).into();
        event
    }
}

/// Returns the content parts of a message or reasoning item. Returns `None` for any other item.
fn parts_mut(item: &mut Item) -> Option<&mut Vec<ItemPart>> {
    match item {
        Item::Message(MessageItem {
            content: Some(Content::Parts(parts)),
            ..
        }) => Some(parts),
        Item::Reasoning(item) => Some(item.content.get_or_insert_default()),
        _ => None,
    }
}
