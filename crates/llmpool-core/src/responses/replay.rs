//! Converts a complete response to the events of a stream.

use super::event::{EventDelta, EventKind, ResponseEvent};
use super::item::Item;
use super::part::{ItemPart, OutputText};
use super::response::{Response, ResponseStatus};
use crate::chat::Content;

/// Returns the events of a stream that ends with `response`. A response that is still in progress has no
/// last event.
///
/// [`EventSequence`](super::EventSequence) accepts the events if the response and its items have IDs.
pub(crate) fn response_to_events(mut response: Response) -> Vec<ResponseEvent> {
    response.output.iter_mut().for_each(normalize);
    let mut replay = Replay { events: Vec::new() };
    replay.start(&response);
    for (index, item) in response.output.iter().enumerate() {
        replay.push_item(index, item);
    }
    replay.finish(response);
    replay.events
}

/// Turns the short forms of a message, which only requests may have, into a message with parts, and parts of
/// the type `text` into output text.
fn normalize(item: &mut Item) {
    if let Item::EasyMessage(message) = item {
        *item = Item::Message(std::mem::take(message));
    }
    if let Item::Message(message) = item
        && let Some(Content::Text(text)) = &mut message.content
    {
        let part = ItemPart::output_text(std::mem::take(text));
        message.content = Some(Content::Parts(vec![part]));
    }
    if let Item::Message(message) = item
        && let Some(Content::Parts(parts)) = &mut message.content
    {
        for part in parts {
            if let ItemPart::OutputText(part) = part {
                part.extra.remove("type");
            }
        }
    }
}

struct Replay {
    events: Vec<ResponseEvent>,
}

/// The place of a text in the output.
struct PartPlace<'a> {
    item: &'a Item,
    item_index: usize,
    part_index: usize,
    is_summary: bool,
}

impl Replay {
    fn start(&mut self, response: &Response) {
        for kind in [EventKind::Created, EventKind::InProgress] {
            let mut event = ResponseEvent::new(kind);
            event.response = Some(Box::new(Response {
                status: Some(ResponseStatus::InProgress),
                output: Vec::new(),
                usage: None,
                completed_at: None,
                incomplete_details: None,
                error: None,
                ..response.clone()
            }));
            self.push(event);
        }
    }

    fn finish(&mut self, mut response: Response) {
        let status = response.status.get_or_insert(ResponseStatus::Completed);
        let kind = match status {
            ResponseStatus::Incomplete => EventKind::Incomplete,
            ResponseStatus::Failed | ResponseStatus::Cancelled => EventKind::Failed,
            ResponseStatus::Queued | ResponseStatus::InProgress => return,
            ResponseStatus::Completed | ResponseStatus::Other(_) => EventKind::Completed,
        };
        let mut event = ResponseEvent::new(kind);
        event.response = Some(Box::new(response));
        self.push(event);
    }

    fn push_item(&mut self, index: usize, item: &Item) {
        self.push_item_event(EventKind::ItemAdded, index, started(item));
        match item {
            Item::Message(message) => {
                if let Some(Content::Parts(parts)) = &message.content {
                    self.push_parts(index, item, parts, false);
                }
            }
            Item::Reasoning(reasoning) => {
                self.push_parts(index, item, &reasoning.summary, true);
                self.push_parts(
                    index,
                    item,
                    reasoning.content.as_deref().unwrap_or_default(),
                    false,
                );
            }
            Item::FunctionCall(call) => {
                self.push_input(index, item, EventKind::ArgumentsDelta, &call.arguments);
                let mut done = item_event(EventKind::ArgumentsDone, index, item);
                done.name = Some(call.name.clone());
                done.arguments = Some(call.arguments.clone());
                self.push(done);
            }
            Item::CustomToolCall(call) => {
                self.push_input(index, item, EventKind::CustomInputDelta, &call.input);
                let mut done = item_event(EventKind::CustomInputDone, index, item);
                done.input = Some(call.input.clone());
                self.push(done);
            }
            _ => {}
        }
        self.push_item_event(EventKind::ItemDone, index, item.clone());
    }

    fn push_item_event(&mut self, kind: EventKind, index: usize, item: Item) {
        let mut event = ResponseEvent::new(kind);
        event.output_index = (index as u64).into();
        event.item = Some(item);
        self.push(event);
    }

    fn push_input(&mut self, index: usize, item: &Item, kind: EventKind, input: &str) {
        if !input.is_empty() {
            let mut event = item_event(kind, index, item);
            event.delta = Some(input.into());
            self.push(event);
        }
    }

    fn push_parts(&mut self, item_index: usize, item: &Item, parts: &[ItemPart], is_summary: bool) {
        for (part_index, part) in parts.iter().enumerate() {
            self.push_part(
                part,
                &PartPlace {
                    item,
                    item_index,
                    part_index,
                    is_summary,
                },
            );
        }
    }

    fn push_part(&mut self, part: &ItemPart, place: &PartPlace<'_>) {
        let (added, done) = if place.is_summary {
            (EventKind::SummaryPartAdded, EventKind::SummaryPartDone)
        } else {
            (EventKind::ContentPartAdded, EventKind::ContentPartDone)
        };
        let mut event = place.event(added);
        event.part = Some(empty(part));
        self.push(event);
        self.push_text(part, place);
        let mut event = place.event(done);
        event.part = Some(part.clone());
        self.push(event);
    }

    fn push_text(&mut self, part: &ItemPart, place: &PartPlace<'_>) {
        let (delta_kind, done_kind, text) = match part {
            ItemPart::OutputText(part) => (EventKind::TextDelta, EventKind::TextDone, &part.text),
            ItemPart::Refusal(part) => (EventKind::RefusalDelta, EventKind::RefusalDone, &part.refusal),
            ItemPart::ReasoningText(part) => {
                (EventKind::ReasoningDelta, EventKind::ReasoningDone, &part.text)
            }
            ItemPart::SummaryText(part) => (
                EventKind::SummaryTextDelta,
                EventKind::SummaryTextDone,
                &part.text,
            ),
            _ => return,
        };
        let logprobs = match part {
            ItemPart::OutputText(part) => part.logprobs.clone(),
            _ => None,
        };
        let mut done = place.event(done_kind);
        if !text.is_empty() {
            let mut delta = place.event(delta_kind);
            delta.delta = Some(EventDelta::Text(text.clone()));
            delta.logprobs.clone_from(&logprobs);
            self.push(delta);
        }
        match part {
            ItemPart::Refusal(_) => done.refusal = Some(text.clone()),
            _ => done.text = Some(text.clone()),
        }
        done.logprobs = logprobs;
        self.push(done);
    }

    fn push(&mut self, event: ResponseEvent) {
        let number = self.events.len() as u64;
        self.events.push(event.with_sequence_number(number));
    }
}

impl PartPlace<'_> {
    fn event(&self, kind: EventKind) -> ResponseEvent {
        let mut event = item_event(kind, self.item_index, self.item);
        let part_index = (self.part_index as u64).into();
        if self.is_summary {
            event.summary_index = part_index;
        } else {
            event.content_index = part_index;
        }
        event
    }
}

fn item_event(kind: EventKind, index: usize, item: &Item) -> ResponseEvent {
    let mut event = ResponseEvent::new(kind);
    event.item_id = item.id().map(str::to_owned);
    event.output_index = (index as u64).into();
    event
}

/// Returns the item as it is when it starts: without its texts.
fn started(item: &Item) -> Item {
    let mut item = item.clone();
    match &mut item {
        Item::Message(message) => message.content = Some(Content::Parts(Vec::new())),
        Item::Reasoning(reasoning) => {
            reasoning.summary.clear();
            reasoning.content = None;
            reasoning.encrypted_content = None;
        }
        Item::FunctionCall(call) => call.arguments.clear(),
        Item::CustomToolCall(call) => call.input.clear(),
        _ => return item,
    }
    if item.status().is_some() {
        item.set_status("in_progress".to_owned());
    }
    item
}

/// Returns the part without its text.
fn empty(part: &ItemPart) -> ItemPart {
    let mut part = part.clone();
    match &mut part {
        ItemPart::OutputText(text) => {
            *text = OutputText {
                logprobs: text.logprobs.take().map(|_| Vec::new()),
                ..OutputText::default()
            };
        }
        ItemPart::Refusal(part) => part.refusal.clear(),
        ItemPart::ReasoningText(part) | ItemPart::SummaryText(part) => part.text.clear(),
        _ => {}
    }
    part
}
