//! Events of a response as chunks of a chat completion.
//!
//! Always true: the chunks put together are what [`completion_of`](crate::translate::completion_of) makes of the whole response.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{created_of, finish_reason};
use crate::chat::{
    ChatChunk, ChunkChoice, Content, CustomCall, Delta, FunctionCall, Json, Role, ToolCallDelta, Whole,
};
use crate::responses::{Event, EventKind, Item, ItemPart, Response};
use crate::translate::{BETWEEN, Failed, annotation, reasoning, usage};

/// Makes chunks of events.
#[derive(Clone, Debug, Default)]
pub struct EventTranslator {
    /// What all chunks have in common.
    id: Option<Arc<str>>,
    object: Option<Arc<str>>,
    model: Option<Arc<str>>,
    created: Option<Whole>,
    begun: bool,
    items: Vec<Slot>,
    /// Calls of tools so far.
    calls: u64,
    reasoned: bool,
    over: bool,
}

/// Why an event is no chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecoded {
    /// It is no event.
    NoEvent,
    /// It says that the response failed.
    Failed(Failed),
}

/// An item of the output, by its id and place; some providers say but one of them, or neither.
#[derive(Clone, Debug)]
struct Slot {
    id: Option<String>,
    output_index: Option<u64>,
    /// Of a call: which one.
    call: Option<u64>,
    /// Whether its texts, or arguments, or input came in pieces.
    said: bool,
    /// The part that the last piece was of.
    part: Option<(bool, u64)>,
}

impl EventTranslator {
    /// For a stream that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the response is over: a terminal event came.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Adds the chunks that an event is, if any: most are one, some none, the last is two.
    pub fn push(&mut self, event: Event, chunks: &mut Vec<ChatChunk>) -> Result<(), Failed> {
        match event.kind {
            EventKind::Created | EventKind::InProgress | EventKind::Queued => {
                self.learn(event.response.as_deref());
            }
            EventKind::ItemAdded => self.item_added(event, chunks),
            EventKind::TextDelta | EventKind::RefusalDelta => self.said(event, chunks),
            EventKind::ReasoningDelta | EventKind::SummaryTextDelta => self.thought(event, chunks),
            EventKind::ArgumentsDelta | EventKind::CustomInputDelta => self.called_with(event, chunks),
            EventKind::ItemDone => self.item_done(event, chunks),
            EventKind::Completed | EventKind::Incomplete => self.ended(event, chunks),
            EventKind::Failed => {
                let error = event
                    .response
                    .and_then(|response| response.error)
                    .unwrap_or_default();
                return Err(Failed {
                    code: error.code,
                    message: error.message,
                });
            }
            EventKind::Error => {
                return Err(Failed {
                    code: event.code,
                    message: event.message,
                });
            }
            // What is done is told by the item that is done.
            _ => {}
        }
        Ok(())
    }

    /// As [`push`](Self::push), of an event that is not decoded yet. A piece of text in the middle of an answer is read without its frame.
    pub fn push_data(&mut self, data: &[u8], chunks: &mut Vec<ChatChunk>) -> Result<(), Undecoded> {
        let text = self.plain_piece(data);
        if let Some(text) = text {
            let delta = Delta {
                content: Some(Content::Text(text)),
                ..Delta::default()
            };
            self.piece(delta, chunks);
            return Ok(());
        }
        let event = Event::decode(data).map_err(|_| Undecoded::NoEvent)?;
        self.push(event, chunks).map_err(Undecoded::Failed)
    }

    /// The text of a piece that follows another one of the same item and says nothing else.
    fn plain_piece(&self, data: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        struct Piece<'a> {
            #[serde(borrow)]
            item_id: Option<Cow<'a, str>>,
            #[serde(borrow)]
            delta: Cow<'a, str>,
            #[serde(borrow, default)]
            logprobs: Option<&'a RawValue>,
        }
        let last = self.items.last().filter(|last| self.begun && last.said)?;
        if !data.starts_with(b"{\"type\":\"response.output_text.delta\",") {
            return None;
        }
        let piece: Piece<'_> = serde_json::from_str(std::str::from_utf8(data).ok()?).ok()?;
        let silent = piece
            .logprobs
            .is_none_or(|tokens| matches!(tokens.get(), "[]" | "null"));
        let same = piece.item_id.is_none() || piece.item_id.as_deref() == last.id.as_deref();
        (silent && same && !piece.delta.is_empty()).then(|| piece.delta.into_owned())
    }

    fn learn(&mut self, response: Option<&Response>) {
        let Some(response) = response else { return };
        let shared = |known: &Option<Arc<str>>, said: &Option<String>| match said {
            Some(said) if known.as_deref() != Some(said) => Some(Arc::from(said.as_str())),
            _ => known.clone(),
        };
        self.id = shared(&self.id, &response.id);
        self.model = shared(&self.model, &response.model);
        self.created = created_of(response.created_at.as_ref()).or(self.created);
    }

    fn chunk(&mut self, choices: Vec<ChunkChoice>) -> ChatChunk {
        let object = self.object.get_or_insert_with(|| "chat.completion.chunk".into());
        ChatChunk {
            id: self.id.clone(),
            object: Some(object.clone()),
            created: self.created,
            model: self.model.clone(),
            choices,
            ..ChatChunk::default()
        }
    }

    /// A piece of the answer. The first says who speaks.
    fn piece(&mut self, mut delta: Delta, chunks: &mut Vec<ChatChunk>) {
        if !self.begun {
            self.begun = true;
            delta.role = Some(Role::Assistant);
        }
        let chunk = self.chunk(vec![ChunkChoice::first(delta)]);
        chunks.push(chunk);
    }

    /// The item that an event is about: by its id, its place, or as the last one.
    fn slot(&mut self, event: &Event) -> Option<&mut Slot> {
        let by_id = |slot: &Slot| event.item_id.is_some() && slot.id == event.item_id;
        let by_place = |slot: &Slot| slot.output_index.is_some() && slot.output_index == event.output_index();
        let at = self.items.iter().rposition(by_id);
        let at = at.or_else(|| self.items.iter().rposition(by_place));
        let at = at.or_else(|| self.items.len().checked_sub(1))?;
        self.items.get_mut(at)
    }

    fn item_added(&mut self, event: Event, chunks: &mut Vec<ChatChunk>) {
        let Some(item) = event.item else { return };
        let place = event.output_index.map(|index| index.0);
        self.begin(&item, place, chunks);
    }

    fn begin(&mut self, item: &Item, output_index: Option<u64>, chunks: &mut Vec<ChatChunk>) {
        let called = match item {
            Item::FunctionCall(call) => Some(ToolCallDelta {
                id: Some(call.call_id.clone()),
                kind: Some("function".to_owned()),
                function: Some(FunctionCall {
                    name: Some(call.name.clone()),
                    arguments: Some(String::new()),
                    ..FunctionCall::default()
                }),
                ..ToolCallDelta::default()
            }),
            Item::CustomToolCall(call) => Some(ToolCallDelta {
                id: Some(call.call_id.clone()),
                kind: Some("custom".to_owned()),
                custom: Some(CustomCall {
                    name: Some(call.name.clone()),
                    input: Some(String::new()),
                    ..CustomCall::default()
                }),
                ..ToolCallDelta::default()
            }),
            _ => None,
        };
        let number = called.is_some().then_some(self.calls);
        self.items.push(Slot {
            id: item.id().map(str::to_owned),
            output_index,
            call: number,
            said: false,
            part: None,
        });
        if let Some(called) = called {
            self.calls += 1;
            self.call_piece(number, called, chunks);
        }
    }

    fn call_piece(&mut self, number: Option<u64>, mut piece: ToolCallDelta, chunks: &mut Vec<ChatChunk>) {
        piece.index = number.map(Whole);
        let delta = Delta {
            tool_calls: vec![piece],
            ..Delta::default()
        };
        self.piece(delta, chunks);
    }

    fn said(&mut self, mut event: Event, chunks: &mut Vec<ChatChunk>) {
        if let Some(slot) = self.slot(&event) {
            slot.said = true;
        }
        let Some(text) = text_of(&mut event) else { return };
        let delta = if event.kind == EventKind::RefusalDelta {
            Delta {
                refusal: Some(text),
                ..Delta::default()
            }
        } else {
            Delta {
                content: Some(Content::Text(text)),
                ..Delta::default()
            }
        };
        let tokens = event.logprobs.take().filter(|tokens| !tokens.is_empty());
        self.piece(delta, chunks);
        if let (Some(tokens), Some(chunk)) = (tokens, chunks.last_mut()) {
            chunk.choices[0].logprobs = logprobs(&tokens);
        }
    }

    fn thought(&mut self, mut event: Event, chunks: &mut Vec<ChatChunk>) {
        let in_short = event.kind == EventKind::SummaryTextDelta;
        let index = if in_short {
            event.summary_index()
        } else {
            event.content_index()
        };
        let part = Some((in_short, index.unwrap_or(0)));
        let reasoned = self.reasoned;
        let mut begins = false;
        if let Some(slot) = self.slot(&event) {
            begins = slot.part != part;
            slot.part = part;
            slot.said = true;
        }
        let Some(text) = text_of(&mut event) else { return };
        let between = if begins && reasoned { BETWEEN } else { "" };
        self.think(format!("{between}{text}"), chunks);
    }

    fn think(&mut self, text: String, chunks: &mut Vec<ChatChunk>) {
        self.reasoned = true;
        let delta = Delta {
            reasoning_content: Some(text),
            ..Delta::default()
        };
        self.piece(delta, chunks);
    }

    fn called_with(&mut self, mut event: Event, chunks: &mut Vec<ChatChunk>) {
        let Some(slot) = self.slot(&event) else { return };
        slot.said = true;
        let number = slot.call;
        let Some(text) = text_of(&mut event) else { return };
        let piece = with(event.kind == EventKind::CustomInputDelta, text);
        self.call_piece(number, piece, chunks);
    }

    /// What of the item did not come in pieces is told now.
    fn item_done(&mut self, mut event: Event, chunks: &mut Vec<ChatChunk>) {
        let Some(item) = event.item.take() else { return };
        if event.item_id.is_none() {
            event.item_id = item.id().map(str::to_owned);
        }
        let known = self.items.iter().any(|slot| {
            (slot.id.is_some() && slot.id == event.item_id)
                || (slot.output_index.is_some() && slot.output_index == event.output_index())
        });
        if !known {
            self.begin(&item, event.output_index(), chunks);
        }
        let Some(slot) = self.slot(&event) else { return };
        let (said, number) = (slot.said, slot.call);
        slot.said = true;
        match item {
            Item::Message(message) | Item::EasyMessage(message) => {
                self.message_done(message.content, said, chunks);
            }
            Item::FunctionCall(call) if !said && !call.arguments.is_empty() => {
                self.call_piece(number, with(false, call.arguments), chunks);
            }
            Item::CustomToolCall(call) if !said && !call.input.is_empty() => {
                self.call_piece(number, with(true, call.input), chunks);
            }
            Item::Reasoning(item) => {
                let text = item.text();
                if !said && !text.is_empty() {
                    let between = if self.reasoned { BETWEEN } else { "" };
                    self.think(format!("{between}{text}"), chunks);
                }
                let mut delta = Delta::default();
                if let Ok(details) = Json::of(&reasoning::details_of(&item)) {
                    delta.extra.insert("reasoning_details", details);
                }
                self.piece(delta, chunks);
            }
            _ => {}
        }
    }

    fn message_done(&mut self, content: Option<Content<ItemPart>>, said: bool, chunks: &mut Vec<ChatChunk>) {
        let parts = match content {
            Some(Content::Parts(parts)) => parts,
            Some(Content::Text(text)) => vec![ItemPart::output_text(text)],
            None => Vec::new(),
        };
        let mut annotations = Vec::new();
        for part in parts {
            let delta = match part {
                ItemPart::OutputText(part) => {
                    annotations.extend(part.annotations.iter().map(annotation::nested));
                    Delta {
                        content: Some(Content::Text(part.text)),
                        ..Delta::default()
                    }
                }
                ItemPart::Refusal(part) => Delta {
                    refusal: Some(part.refusal),
                    ..Delta::default()
                },
                _ => continue,
            };
            if !said {
                self.piece(delta, chunks);
            }
        }
        if let Some(annotations) = Json::of(&annotations).ok().filter(|list| list.get() != "[]") {
            let mut delta = Delta::default();
            delta.extra.insert("annotations", annotations);
            self.piece(delta, chunks);
        }
    }

    /// The finish, and the usage behind it.
    fn ended(&mut self, event: Event, chunks: &mut Vec<ChatChunk>) {
        self.over = true;
        let Some(response) = event.response else { return };
        self.learn(Some(&response));
        for (at, item) in response.output.iter().enumerate() {
            self.catch_up(at as u64, item, chunks);
        }
        if !self.begun {
            self.piece(Delta::default(), chunks);
        }
        let mut finish = ChunkChoice::first(Delta::default());
        finish.finish_reason = Some(finish_reason(
            response.status.as_ref(),
            response.incomplete_details.as_ref(),
            self.calls > 0,
        ));
        let mut chunk = self.chunk(vec![finish]);
        chunk.service_tier = response.service_tier.as_deref().map(Arc::from);
        chunks.push(chunk);
        if let Some(used) = &response.usage {
            let mut chunk = self.chunk(Vec::new());
            chunk.usage = Some(usage::as_chat(used));
            chunks.push(chunk);
        }
    }

    /// An item that no event told of but the last.
    fn catch_up(&mut self, at: u64, item: &Item, chunks: &mut Vec<ChatChunk>) {
        let known = self.items.iter().enumerate().any(|(place, slot)| {
            (slot.id.is_some() && slot.id.as_deref() == item.id())
                || slot.output_index == Some(at)
                || (slot.id.is_none() && slot.output_index.is_none() && place as u64 == at)
        });
        if !known {
            let mut event = Event::new(EventKind::ItemDone);
            event.output_index = Some(Whole(at));
            event.item = Some(item.clone());
            self.item_done(event, chunks);
        }
    }
}

fn text_of(event: &mut Event) -> Option<String> {
    match event.delta.take()? {
        crate::responses::Said::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn with(custom: bool, text: String) -> ToolCallDelta {
    if custom {
        let custom = CustomCall {
            input: Some(text),
            ..CustomCall::default()
        };
        return ToolCallDelta {
            custom: Some(custom),
            ..ToolCallDelta::default()
        };
    }
    let function = FunctionCall {
        arguments: Some(text),
        ..FunctionCall::default()
    };
    ToolCallDelta {
        function: Some(function),
        ..ToolCallDelta::default()
    }
}

fn logprobs(tokens: &[Json]) -> Option<Json> {
    Json::of(&serde_json::json!({"content": tokens, "refusal": null})).ok()
}
