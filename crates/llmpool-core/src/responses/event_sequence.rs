//! Validation of the order of events in a streamed response.
//!
//! `response.created` and `response.in_progress` come first, followed by the events of output items. Several
//! items may be in progress at once. For each item, the events have this order:
//!
//! 1. The item is added.
//! 2. Each part of the item is added, receives deltas, and is marked done.
//! 3. The item is marked done.
//!
//! One terminal event ends the stream. The event that ends a part, an item or the response contains the
//! complete text, which must equal the concatenated deltas.

use std::borrow::Cow;
use std::fmt;

use super::event::{EventKind, ResponseEvent};
use super::item::Item;
use super::part::ItemPart;
use super::response::ResponseStatus;

/// A validator for the order of the events in one stream, for use in tests and to check what a provider
/// sends.
#[derive(Clone, Debug, Default)]
pub struct EventSequence {
    events: u64,
    phase: StreamPhase,
    response_id: Option<String>,
    items: Vec<ItemState>,
    /// Whether an item has ended with the status `incomplete`. No new item may start after an incomplete
    /// item.
    has_incomplete_item: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum StreamPhase {
    #[default]
    Empty,
    Created,
    InProgress,
    /// An `error` event has arrived. After an `error` event, only `response.failed` may follow.
    Error,
    Ended,
}

#[derive(Clone, Debug)]
struct ItemState {
    id: Option<String>,
    kind: String,
    parts: Vec<TextState>,
    summary: Vec<TextState>,
    /// Arguments, input or code of a tool call. Stays empty if the item is not a tool call.
    input: TextState,
    done: bool,
}

/// A text that arrives in deltas: a content part, a summary part, or the input of a tool call.
#[derive(Clone, Default)]
struct TextState {
    kind: String,
    text: String,
    has_deltas: bool,
    /// Whether an event with the complete text has arrived.
    is_complete: bool,
    done: bool,
}

/// A violation of the order of events, or the early end of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SequenceError {
    /// Zero-based index of the event that violates the order. If the stream ended too early, the number of
    /// events received.
    pub event: u64,
    /// Type of the event that violates the order. Empty if the stream ended too early.
    pub kind: String,
    /// Description of the violation, for example `the first event is not response.created`.
    pub reason: Cow<'static, str>,
}

type RuleCheck<T = ()> = Result<T, &'static str>;

impl EventSequence {
    /// Creates a validator for a new stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks the next event of the stream.
    ///
    /// Returns an error if the event violates the order of events. Do not use the validator after an error.
    pub fn push(&mut self, event: &ResponseEvent) -> Result<(), SequenceError> {
        let number = self.events;
        self.events += 1;
        self.check(event, number).map_err(|reason| SequenceError {
            event: number,
            kind: event.kind.as_str().to_owned(),
            reason: reason.into(),
        })
    }

    /// Checks that the stream may end after the last event that was pushed.
    ///
    /// Returns an error if neither a terminal event nor an `error` event has arrived.
    pub fn end(&self) -> Result<(), SequenceError> {
        match self.phase {
            StreamPhase::Ended | StreamPhase::Error => Ok(()),
            _ => Err(SequenceError {
                event: self.events,
                kind: String::new(),
                reason: "the stream ends without a terminal event".into(),
            }),
        }
    }

    fn check(&mut self, event: &ResponseEvent, number: u64) -> RuleCheck {
        ensure(
            event.sequence_number() == Some(number),
            "sequence_number is not one more than the last",
        )?;
        ensure(self.phase != StreamPhase::Ended, "event after the terminal event")?;
        let may_fail = self.phase != StreamPhase::Error || event.kind == EventKind::Failed;
        ensure(may_fail, "only response.failed may follow an error")?;
        match &event.kind {
            EventKind::Created => {
                ensure(
                    self.phase == StreamPhase::Empty,
                    "response.created is not the first event",
                )?;
                self.phase = StreamPhase::Created;
                self.check_created(event)
            }
            _ if self.phase == StreamPhase::Empty => Err("the first event is not response.created"),
            EventKind::Queued => {
                ensure(
                    self.phase == StreamPhase::Created,
                    "response.queued after response.in_progress",
                )?;
                self.check_response(event, &[ResponseStatus::Queued])
            }
            EventKind::InProgress => {
                ensure(
                    self.phase == StreamPhase::Created,
                    "response.in_progress is repeated or too late",
                )?;
                self.phase = StreamPhase::InProgress;
                self.check_response(event, &[ResponseStatus::InProgress])
            }
            EventKind::Error => {
                self.phase = StreamPhase::Error;
                ensure(event.message.is_some(), "missing message")
            }
            EventKind::Completed => self.check_terminal(event, ResponseStatus::Completed),
            EventKind::Incomplete => self.check_terminal(event, ResponseStatus::Incomplete),
            EventKind::Failed => self.check_terminal(event, ResponseStatus::Failed),
            EventKind::Other(_) => Ok(()),
            _ if self.phase == StreamPhase::Created => Err("event before response.in_progress"),
            EventKind::ItemAdded => self.add_item(event),
            EventKind::ItemDone => self.finish_item(event),
            _ => self.check_item_event(event),
        }
    }

    fn check_created(&mut self, event: &ResponseEvent) -> RuleCheck {
        let response = event.response.as_ref().ok_or("missing response")?;
        self.response_id.clone_from(&response.id);
        ensure(response.id.is_some(), "the response has no id")?;
        ensure(response.output.is_empty(), "the new response has output")?;
        self.check_response(event, &[ResponseStatus::InProgress, ResponseStatus::Queued])
    }

    fn check_response(&self, event: &ResponseEvent, allowed: &[ResponseStatus]) -> RuleCheck {
        let response = event.response.as_ref().ok_or("missing response")?;
        ensure(
            response.id == self.response_id,
            "the id of the response has changed",
        )?;
        let status = response.status.as_ref();
        ensure(
            status.is_some_and(|status| allowed.contains(status)),
            "the status of the response does not fit the event",
        )
    }

    fn check_terminal(&mut self, event: &ResponseEvent, status: ResponseStatus) -> RuleCheck {
        let failed = status == ResponseStatus::Failed;
        self.check_response(event, &[status])?;
        self.phase = StreamPhase::Ended;
        if failed {
            return Ok(());
        }
        ensure(
            self.items.iter().all(|state| state.done),
            "an added item is not done",
        )?;
        let output = event.response.as_ref().map(|response| &response.output);
        let output = output.map_or(&[][..], |output| &output[..]);
        let same_items = output.len() == self.items.len()
            && output
                .iter()
                .zip(&self.items)
                .all(|(item, state)| item.id() == state.id.as_deref() && item.kind() == state.kind);
        ensure(
            same_items,
            "the items of the response differ from the finished items",
        )?;
        let same_texts = output
            .iter()
            .zip(&self.items)
            .all(|(item, state)| state.matches(item));
        ensure(same_texts, "the text of the response differs from its items")
    }

    fn add_item(&mut self, event: &ResponseEvent) -> RuleCheck {
        let item = event.item.as_ref().ok_or("missing item")?;
        let index = event.output_index().ok_or("missing output_index")?;
        ensure(
            index == self.items.len() as u64,
            "output_index is not the next one",
        )?;
        ensure(!self.has_incomplete_item, "item after an incomplete item")?;
        let id = item.id().ok_or("the item has no id")?;
        ensure(
            self.items.iter().all(|state| state.id.as_deref() != Some(id)),
            "the item has the id of another item",
        )?;
        self.items.push(ItemState {
            id: Some(id.to_owned()),
            kind: item.kind().into_owned(),
            parts: Vec::new(),
            summary: Vec::new(),
            input: TextState::default(),
            done: false,
        });
        Ok(())
    }

    fn finish_item(&mut self, event: &ResponseEvent) -> RuleCheck {
        let item = event.item.as_ref().ok_or("missing item")?;
        let state = open_item(&mut self.items, event)?;
        ensure(
            item.id() == state.id.as_deref() && item.kind() == state.kind,
            "id or type of the item has changed",
        )?;
        let texts = || state.parts.iter().chain(&state.summary);
        ensure(
            texts().all(|text| text.done) && state.input.is_settled(),
            "a part of the item is not done",
        )?;
        ensure(
            state.matches(item),
            "the text of the item differs from the deltas",
        )?;
        state.done = true;
        self.has_incomplete_item |= item.status() == Some("incomplete");
        Ok(())
    }

    fn check_item_event(&mut self, event: &ResponseEvent) -> RuleCheck {
        let state = open_item(&mut self.items, event)?;
        let other = event.item_id.is_some() && event.item_id != state.id;
        ensure(!other, "item_id does not fit output_index")?;
        let needs_id = !matches!(
            event.kind,
            EventKind::ShellCommandAdded | EventKind::ShellCommandDelta | EventKind::ShellCommandDone
        );
        ensure(event.item_id.is_some() || !needs_id, "missing item_id")?;
        state.apply(event)
    }
}

impl ItemState {
    fn apply(&mut self, event: &ResponseEvent) -> RuleCheck {
        match &event.kind {
            EventKind::ContentPartAdded => self.add_part(event),
            EventKind::ContentPartDone => {
                let part = event.part.as_ref().ok_or("missing part")?;
                self.part(event, &part.kind())?.finish(text_of(part))
            }
            EventKind::TextDelta => self.part(event, "output_text")?.push_delta(event),
            EventKind::TextDone => self.part(event, "output_text")?.complete(event.text.as_deref()),
            EventKind::RefusalDelta => self.part(event, "refusal")?.push_delta(event),
            EventKind::RefusalDone => self.part(event, "refusal")?.complete(event.refusal.as_deref()),
            EventKind::ReasoningDelta => self.part(event, "reasoning_text")?.push_delta(event),
            EventKind::ReasoningDone => self
                .part(event, "reasoning_text")?
                .complete(event.text.as_deref()),
            EventKind::AnnotationAdded => self.part(event, "output_text").map(|_| ()),
            EventKind::SummaryPartAdded => self.add_summary_part(event),
            EventKind::SummaryPartDone => {
                let part = event.part.as_ref().ok_or("missing part")?;
                self.summary_part(event)?.finish(text_of(part))
            }
            EventKind::SummaryTextDelta => self.summary_part(event)?.push_delta(event),
            EventKind::SummaryTextDone => self.summary_part(event)?.complete(event.text.as_deref()),
            EventKind::ArgumentsDelta => self.input("function_call")?.push_delta(event),
            EventKind::ArgumentsDone => self.input("function_call")?.complete(event.arguments.as_deref()),
            EventKind::CustomInputDelta => self.input("custom_tool_call")?.push_delta(event),
            EventKind::CustomInputDone => self.input("custom_tool_call")?.complete(event.input.as_deref()),
            EventKind::McpArgumentsDelta => self.input("mcp_call")?.push_delta(event),
            EventKind::McpArgumentsDone => self.input("mcp_call")?.complete(event.arguments.as_deref()),
            EventKind::CodeDelta => self.input("code_interpreter_call")?.push_delta(event),
            EventKind::CodeDone => self
                .input("code_interpreter_call")?
                .complete(event.code.as_deref()),
            other => match hosted_item_type(other.as_str()) {
                Some(kind) => ensure(self.kind == kind, "the item has another type"),
                None => Ok(()),
            },
        }
    }

    fn add_part(&mut self, event: &ResponseEvent) -> RuleCheck {
        let part = event.part.as_ref().ok_or("missing part")?;
        let index = event.content_index().ok_or("missing content_index")?;
        ensure(
            index == self.parts.len() as u64,
            "content_index is not the next one",
        )?;
        let fits = match self.kind.as_str() {
            "message" => matches!(part, ItemPart::OutputText(_) | ItemPart::Refusal(_)),
            "reasoning" => matches!(part, ItemPart::ReasoningText(_)),
            _ => false,
        };
        ensure(
            fits || matches!(part, ItemPart::Other(_)),
            "an item of this type has no such part",
        )?;
        self.parts.push(TextState::new(part.kind()));
        Ok(())
    }

    fn add_summary_part(&mut self, event: &ResponseEvent) -> RuleCheck {
        ensure(self.kind == "reasoning", "an item of this type has no summary")?;
        let index = event.summary_index().ok_or("missing summary_index")?;
        ensure(
            index == self.summary.len() as u64,
            "summary_index is not the next one",
        )?;
        self.summary.push(TextState::new("summary_text".into()));
        Ok(())
    }

    fn part(&mut self, event: &ResponseEvent, kind: &str) -> RuleCheck<&mut TextState> {
        let index = event.content_index().ok_or("missing content_index")?;
        let text = at(&mut self.parts, index).ok_or("the part was not added")?;
        ensure(text.kind == kind, "the part has another type")?;
        ensure(!text.done, "the part is already done")?;
        Ok(text)
    }

    fn summary_part(&mut self, event: &ResponseEvent) -> RuleCheck<&mut TextState> {
        let index = event.summary_index().ok_or("missing summary_index")?;
        at(&mut self.summary, index).ok_or("the part was not added")
    }

    fn input(&mut self, kind: &str) -> RuleCheck<&mut TextState> {
        ensure(self.kind == kind, "the item has another type")?;
        Ok(&mut self.input)
    }

    /// Returns whether the texts in the finished item equal the texts that the stream sent for this item.
    fn matches(&self, item: &Item) -> bool {
        let texts_match = |parts: &[ItemPart], texts: &[TextState]| {
            parts.len() == texts.len()
                && parts.iter().zip(texts).all(|(part, text)| {
                    part.kind() == text.kind && text_of(part).is_none_or(|complete| complete == text.text)
                })
        };
        let input_matches = |complete: &str| !self.input.is_complete || complete == self.input.text;
        match item {
            Item::Message(message) => match &message.content {
                Some(crate::chat::Content::Parts(parts)) => texts_match(parts, &self.parts),
                _ => self.parts.is_empty(),
            },
            Item::Reasoning(reasoning) => {
                texts_match(&reasoning.summary, &self.summary)
                    && texts_match(reasoning.content.as_deref().unwrap_or_default(), &self.parts)
            }
            Item::FunctionCall(call) => input_matches(&call.arguments),
            Item::CustomToolCall(call) => input_matches(&call.input),
            _ => true,
        }
    }
}

impl TextState {
    fn new(kind: Cow<'_, str>) -> Self {
        Self {
            kind: kind.into_owned(),
            ..Self::default()
        }
    }

    fn push_delta(&mut self, event: &ResponseEvent) -> RuleCheck {
        ensure(!self.is_complete && !self.done, "delta after the complete text")?;
        self.text += event.delta_text().ok_or("missing delta")?;
        self.has_deltas = true;
        Ok(())
    }

    fn complete(&mut self, text: Option<&str>) -> RuleCheck {
        let text = text.ok_or("the complete text is missing")?;
        ensure(!self.is_complete, "the complete text was sent before")?;
        ensure(
            !self.has_deltas || text == self.text,
            "the complete text differs from the deltas",
        )?;
        text.clone_into(&mut self.text);
        self.is_complete = true;
        Ok(())
    }

    fn finish(&mut self, text: Option<&str>) -> RuleCheck {
        ensure(!self.done, "the part is already done")?;
        ensure(
            self.is_complete || text.is_none(),
            "the complete text was not sent before",
        )?;
        ensure(
            text.is_none_or(|text| text == self.text),
            "the text of the part differs from the deltas",
        )?;
        self.done = true;
        Ok(())
    }

    /// Returns whether the text needs no further event: either no delta has arrived, or the complete text has
    /// arrived.
    fn is_settled(&self) -> bool {
        self.is_complete || !self.has_deltas
    }
}

impl fmt::Debug for TextState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextState({} bytes)", self.text.len())
    }
}

fn ensure(holds: bool, violation: &'static str) -> RuleCheck {
    if holds { Ok(()) } else { Err(violation) }
}

fn at<T>(list: &mut [T], index: u64) -> Option<&mut T> {
    list.get_mut(usize::try_from(index).ok()?)
}

fn open_item<'a>(items: &'a mut [ItemState], event: &ResponseEvent) -> RuleCheck<&'a mut ItemState> {
    let index = event.output_index().ok_or("missing output_index")?;
    let state = at(items, index).ok_or("the item was not added")?;
    ensure(!state.done, "the item is already done")?;
    Ok(state)
}

fn text_of(part: &ItemPart) -> Option<&str> {
    match part {
        ItemPart::Refusal(part) => Some(&part.refusal),
        other => other.text(),
    }
}

/// Returns the item type that the name of an event contains, for example `web_search_call` for
/// `response.web_search_call.searching`. Returns `None` if the event does not belong to a tool that the
/// provider runs.
fn hosted_item_type(event: &str) -> Option<&str> {
    const HOSTED: [&str; 6] = [
        "code_interpreter_call",
        "file_search_call",
        "image_generation_call",
        "mcp_call",
        "mcp_list_tools",
        "web_search_call",
    ];
    let item_type = event.split('.').nth(1)?;
    HOSTED.contains(&item_type).then_some(item_type)
}

impl fmt::Display for SequenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.is_empty() {
            return write!(f, "after {} events: {}", self.event, self.reason);
        }
        write!(f, "event {} ({}): {}", self.event, self.kind, self.reason)
    }
}

impl std::error::Error for SequenceError {}
