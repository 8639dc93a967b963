//! In which order events may come: for tests, for the simulator, and for whoever doubts a provider.
//!
//! `created`, `in_progress`, then items: each is added, its parts are added, grow and are done, and it is done; one terminal event is the
//! end. Items may be open side by side. What is done says the whole of what came in pieces.

use std::borrow::Cow;
use std::fmt;

use super::event::{EventKind, ResponseEvent};
use super::item::Item;
use super::part::ItemPart;
use super::response::ResponseStatus;

/// A stream that is being checked.
#[derive(Clone, Debug, Default)]
pub struct EventSequence {
    events: u64,
    stage: Stage,
    response_id: Option<String>,
    items: Vec<Slot>,
    /// The place of an item that ended early: none may come after it.
    cut: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Nothing,
    Created,
    InProgress,
    /// An error was told; only `response.failed` may follow.
    Error,
    Over,
}

/// An item of the output.
#[derive(Clone, Debug)]
struct Slot {
    id: Option<String>,
    kind: String,
    parts: Vec<Text>,
    summary: Vec<Text>,
    /// Arguments, input or code.
    input: Text,
    done: bool,
}

/// A text that comes in pieces.
#[derive(Clone, Default)]
struct Text {
    kind: String,
    so_far: String,
    has_pieces: bool,
    told: bool,
    done: bool,
}

/// What is wrong with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceError {
    /// The number of the event, from 0; how many there were, where it is the end that is wrong.
    pub event: u64,
    /// The kind of the event; empty at the end.
    pub kind: String,
    /// What is wrong.
    pub why: Cow<'static, str>,
}

type Verdict = Result<(), Cow<'static, str>>;

impl EventSequence {
    /// A stream that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks the next event. After the first one that is broken nothing more can be said.
    pub fn push(&mut self, event: &ResponseEvent) -> Result<(), SequenceError> {
        let number = self.events;
        self.events += 1;
        self.check(event, number).map_err(|why| SequenceError {
            event: number,
            kind: event.kind.as_str().to_owned(),
            why,
        })
    }

    /// Checks that this may be the end.
    pub fn end(&self) -> Result<(), SequenceError> {
        match self.stage {
            Stage::Over | Stage::Error => Ok(()),
            _ => Err(SequenceError {
                event: self.events,
                kind: String::new(),
                why: "it ends without a terminal event".into(),
            }),
        }
    }

    fn check(&mut self, event: &ResponseEvent, number: u64) -> Verdict {
        ensure(
            event.sequence_number() == Some(number),
            "its sequence_number is not one more than the last",
        )?;
        ensure(self.stage != Stage::Over, "it comes after the terminal event")?;
        let may_fail = self.stage != Stage::Error || event.kind == EventKind::Failed;
        ensure(may_fail, "only response.failed may follow an error")?;
        match &event.kind {
            EventKind::Created => {
                ensure(self.stage == Stage::Nothing, "it is not the first event")?;
                self.stage = Stage::Created;
                self.begin(event)
            }
            _ if self.stage == Stage::Nothing => Err("response.created has to be the first event".into()),
            EventKind::Queued => {
                ensure(self.stage == Stage::Created, "it comes too late")?;
                self.same_response(event, &[ResponseStatus::Queued])
            }
            EventKind::InProgress => {
                ensure(self.stage == Stage::Created, "it comes twice or too late")?;
                self.stage = Stage::InProgress;
                self.same_response(event, &[ResponseStatus::InProgress])
            }
            EventKind::Error => {
                self.stage = Stage::Error;
                ensure(event.message.is_some(), "it has no message")
            }
            EventKind::Completed => self.terminal(event, ResponseStatus::Completed),
            EventKind::Incomplete => self.terminal(event, ResponseStatus::Incomplete),
            EventKind::Failed => self.terminal(event, ResponseStatus::Failed),
            EventKind::Other(_) => Ok(()),
            _ if self.stage == Stage::Created => Err("it comes before response.in_progress".into()),
            EventKind::ItemAdded => self.item_added(event),
            EventKind::ItemDone => self.item_done(event),
            _ => self.of_item(event),
        }
    }

    fn begin(&mut self, event: &ResponseEvent) -> Verdict {
        let response = event.response.as_ref().ok_or("it has no response")?;
        self.response_id.clone_from(&response.id);
        ensure(response.id.is_some(), "its response has no id")?;
        ensure(response.output.is_empty(), "its response has output already")?;
        self.same_response(event, &[ResponseStatus::InProgress, ResponseStatus::Queued])
    }

    fn same_response(&self, event: &ResponseEvent, allowed: &[ResponseStatus]) -> Verdict {
        let response = event.response.as_ref().ok_or("it has no response")?;
        ensure(
            response.id == self.response_id,
            "its response has another id than before",
        )?;
        let status = response.status.as_ref();
        ensure(
            status.is_some_and(|status| allowed.contains(status)),
            "its response has another status than it says",
        )
    }

    fn terminal(&mut self, event: &ResponseEvent, status: ResponseStatus) -> Verdict {
        let failed = status == ResponseStatus::Failed;
        self.same_response(event, &[status])?;
        self.stage = Stage::Over;
        if failed {
            return Ok(());
        }
        ensure(
            self.items.iter().all(|slot| slot.done),
            "an item was added and is not done",
        )?;
        let output = event.response.as_ref().map(|response| &response.output);
        let output = output.map_or(&[][..], |output| &output[..]);
        let same = output.len() == self.items.len()
            && output
                .iter()
                .zip(&self.items)
                .all(|(item, slot)| item.id() == slot.id.as_deref() && item.kind() == slot.kind);
        ensure(same, "its response has other items than were done")?;
        let whole = output
            .iter()
            .zip(&self.items)
            .all(|(item, slot)| slot.is_whole_in(item));
        ensure(whole, "its response says something else than its items")
    }

    fn item_added(&mut self, event: &ResponseEvent) -> Verdict {
        let item = event.item.as_ref().ok_or("it has no item")?;
        let index = event.output_index().ok_or("it has no output_index")?;
        ensure(
            index == self.items.len() as u64,
            "its output_index is not the next one",
        )?;
        ensure(!self.cut, "it comes after an item that is incomplete")?;
        let id = item.id().ok_or("its item has no id")?;
        ensure(
            self.items.iter().all(|slot| slot.id.as_deref() != Some(id)),
            "its item has the id of another one",
        )?;
        self.items.push(Slot {
            id: Some(id.to_owned()),
            kind: item.kind().into_owned(),
            parts: Vec::new(),
            summary: Vec::new(),
            input: Text::default(),
            done: false,
        });
        Ok(())
    }

    fn item_done(&mut self, event: &ResponseEvent) -> Verdict {
        let item = event.item.as_ref().ok_or("it has no item")?;
        let index = event.output_index().ok_or("it has no output_index")?;
        let slot = usize::try_from(index)
            .ok()
            .and_then(|index| self.items.get_mut(index));
        let slot = slot.ok_or("its item was not added")?;
        ensure(!slot.done, "its item is done already")?;
        ensure(
            item.id() == slot.id.as_deref() && item.kind() == slot.kind,
            "its item is another one than was added",
        )?;
        let texts = || slot.parts.iter().chain(&slot.summary);
        ensure(
            texts().all(|text| text.done) && slot.input.is_settled(),
            "a part of its item is not done",
        )?;
        ensure(
            slot.is_whole_in(item),
            "its item says something else than its pieces",
        )?;
        slot.done = true;
        self.cut |= item.status() == Some("incomplete");
        Ok(())
    }

    fn of_item(&mut self, event: &ResponseEvent) -> Verdict {
        let index = event.output_index().ok_or("it has no output_index")?;
        let slot = usize::try_from(index)
            .ok()
            .and_then(|index| self.items.get_mut(index));
        let slot = slot.ok_or("its item was not added")?;
        ensure(!slot.done, "its item is done already")?;
        let other = event.item_id.is_some() && event.item_id != slot.id;
        ensure(!other, "its item_id is that of another item")?;
        let needs_id = !matches!(
            event.kind,
            EventKind::ShellCommandAdded | EventKind::ShellCommandDelta | EventKind::ShellCommandDone
        );
        ensure(event.item_id.is_some() || !needs_id, "it has no item_id")?;
        slot.grow(event)
    }
}

impl Slot {
    fn grow(&mut self, event: &ResponseEvent) -> Verdict {
        match &event.kind {
            EventKind::ContentPartAdded => self.part_added(event),
            EventKind::ContentPartDone => {
                let part = event.part.as_ref().ok_or("it has no part")?;
                content(&mut self.parts, event, &part.kind())?.done(said_by(part))
            }
            EventKind::TextDelta => content(&mut self.parts, event, "output_text")?.delta(event),
            EventKind::TextDone => {
                content(&mut self.parts, event, "output_text")?.whole(event.text.as_deref())
            }
            EventKind::RefusalDelta => content(&mut self.parts, event, "refusal")?.delta(event),
            EventKind::RefusalDone => {
                content(&mut self.parts, event, "refusal")?.whole(event.refusal.as_deref())
            }
            EventKind::ReasoningDelta => content(&mut self.parts, event, "reasoning_text")?.delta(event),
            EventKind::ReasoningDone => {
                content(&mut self.parts, event, "reasoning_text")?.whole(event.text.as_deref())
            }
            EventKind::AnnotationAdded => content(&mut self.parts, event, "output_text").map(|_| ()),
            EventKind::SummaryPartAdded => self.summary_added(event),
            EventKind::SummaryPartDone => {
                let part = event.part.as_ref().ok_or("it has no part")?;
                self.summary(event)?.done(said_by(part))
            }
            EventKind::SummaryTextDelta => self.summary(event)?.delta(event),
            EventKind::SummaryTextDone => self.summary(event)?.whole(event.text.as_deref()),
            EventKind::ArgumentsDelta => self.input("function_call")?.delta(event),
            EventKind::ArgumentsDone => self.input("function_call")?.whole(event.arguments.as_deref()),
            EventKind::CustomInputDelta => self.input("custom_tool_call")?.delta(event),
            EventKind::CustomInputDone => self.input("custom_tool_call")?.whole(event.input.as_deref()),
            EventKind::McpArgumentsDelta => self.input("mcp_call")?.delta(event),
            EventKind::McpArgumentsDone => self.input("mcp_call")?.whole(event.arguments.as_deref()),
            EventKind::CodeDelta => self.input("code_interpreter_call")?.delta(event),
            EventKind::CodeDone => self.input("code_interpreter_call")?.whole(event.code.as_deref()),
            other => match hosted(other) {
                Some(kind) => ensure(self.kind == kind, "its item is of another type"),
                None => Ok(()),
            },
        }
    }

    fn part_added(&mut self, event: &ResponseEvent) -> Verdict {
        let part = event.part.as_ref().ok_or("it has no part")?;
        let index = event.content_index().ok_or("it has no content_index")?;
        ensure(
            index == self.parts.len() as u64,
            "its content_index is not the next one",
        )?;
        let fits = match self.kind.as_str() {
            "message" => matches!(part, ItemPart::OutputText(_) | ItemPart::Refusal(_)),
            "reasoning" => matches!(part, ItemPart::ReasoningText(_)),
            _ => false,
        };
        ensure(
            fits || matches!(part, ItemPart::Other(_)),
            "its item has no such parts",
        )?;
        self.parts.push(Text::of(part.kind()));
        Ok(())
    }

    fn summary_added(&mut self, event: &ResponseEvent) -> Verdict {
        ensure(self.kind == "reasoning", "its item has no summary")?;
        let index = event.summary_index().ok_or("it has no summary_index")?;
        ensure(
            index == self.summary.len() as u64,
            "its summary_index is not the next one",
        )?;
        self.summary.push(Text::of("summary_text".into()));
        Ok(())
    }

    fn summary(&mut self, event: &ResponseEvent) -> Result<&mut Text, Cow<'static, str>> {
        let index = event.summary_index().ok_or("it has no summary_index")?;
        let text = usize::try_from(index)
            .ok()
            .and_then(|index| self.summary.get_mut(index));
        text.ok_or_else(|| "its part was not added".into())
    }

    fn input(&mut self, kind: &str) -> Result<&mut Text, Cow<'static, str>> {
        ensure(self.kind == kind, "its item is of another type")?;
        Ok(&mut self.input)
    }

    /// Whether what is done says the whole of what came in pieces.
    fn is_whole_in(&self, item: &Item) -> bool {
        let said = |parts: &[ItemPart], texts: &[Text]| {
            parts.len() == texts.len()
                && parts.iter().zip(texts).all(|(part, text)| {
                    part.kind() == text.kind && said_by(part).is_none_or(|said| said == text.so_far)
                })
        };
        let input = |whole: &str| !self.input.told || whole == self.input.so_far;
        match item {
            Item::Message(message) => match &message.content {
                Some(crate::chat::Content::Parts(parts)) => said(parts, &self.parts),
                _ => self.parts.is_empty(),
            },
            Item::Reasoning(reasoning) => {
                said(&reasoning.summary, &self.summary)
                    && said(reasoning.content.as_deref().unwrap_or_default(), &self.parts)
            }
            Item::FunctionCall(call) => input(&call.arguments),
            Item::CustomToolCall(call) => input(&call.input),
            _ => true,
        }
    }
}

impl Text {
    fn of(kind: Cow<'_, str>) -> Self {
        Self {
            kind: kind.into_owned(),
            ..Self::default()
        }
    }

    fn delta(&mut self, event: &ResponseEvent) -> Verdict {
        ensure(!self.told && !self.done, "it comes after the whole text")?;
        self.so_far += event.delta_text().ok_or("it has no delta")?;
        self.has_pieces = true;
        Ok(())
    }

    fn whole(&mut self, whole: Option<&str>) -> Verdict {
        let whole = whole.ok_or("it does not say the whole")?;
        ensure(!self.told, "the whole was said already")?;
        ensure(
            !self.has_pieces || whole == self.so_far,
            "the whole is another text than the pieces",
        )?;
        whole.clone_into(&mut self.so_far);
        self.told = true;
        Ok(())
    }

    fn done(&mut self, whole: Option<&str>) -> Verdict {
        ensure(!self.done, "its part is done already")?;
        ensure(self.told || whole.is_none(), "the whole text was not said before")?;
        ensure(
            whole.is_none_or(|whole| whole == self.so_far),
            "its part is another text than the pieces",
        )?;
        self.done = true;
        Ok(())
    }

    /// Nothing came, or the whole was said.
    fn is_settled(&self) -> bool {
        self.told || !self.has_pieces
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.so_far.len())
    }
}

fn ensure(right: bool, why: &'static str) -> Verdict {
    if right { Ok(()) } else { Err(why.into()) }
}

fn content<'a>(
    parts: &'a mut [Text],
    event: &ResponseEvent,
    kind: &str,
) -> Result<&'a mut Text, Cow<'static, str>> {
    let index = event.content_index().ok_or("it has no content_index")?;
    let text = usize::try_from(index).ok().and_then(|index| parts.get_mut(index));
    let text = text.ok_or("its part was not added")?;
    ensure(text.kind == kind, "its part is of another type")?;
    ensure(!text.done, "its part is done already")?;
    Ok(text)
}

fn said_by(part: &ItemPart) -> Option<&str> {
    match part {
        ItemPart::Refusal(part) => Some(&part.refusal),
        other => other.text(),
    }
}

/// The item that an event of a tool is about, where the provider runs it.
fn hosted(kind: &EventKind) -> Option<&'static str> {
    use EventKind as Kind;
    match kind {
        Kind::CodeInterpreterCompleted
        | Kind::CodeInterpreterInProgress
        | Kind::CodeInterpreterInterpreting => Some("code_interpreter_call"),
        Kind::FileSearchCompleted | Kind::FileSearchInProgress | Kind::FileSearchSearching => {
            Some("file_search_call")
        }
        Kind::ImageCompleted | Kind::ImageGenerating | Kind::ImageInProgress | Kind::ImagePartial => {
            Some("image_generation_call")
        }
        Kind::McpCompleted | Kind::McpFailed | Kind::McpInProgress => Some("mcp_call"),
        Kind::McpToolsCompleted | Kind::McpToolsFailed | Kind::McpToolsInProgress => Some("mcp_list_tools"),
        Kind::WebSearchCompleted | Kind::WebSearchInProgress | Kind::WebSearchSearching => {
            Some("web_search_call")
        }
        _ => None,
    }
}

impl fmt::Display for SequenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.is_empty() {
            return write!(f, "after {} events: {}", self.event, self.why);
        }
        write!(f, "event {} ({}): {}", self.event, self.kind, self.why)
    }
}

impl std::error::Error for SequenceError {}
