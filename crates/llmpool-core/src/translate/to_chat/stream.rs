//! Events of a response as chunks of a chat completion.
//!
//! Always true: the chunks put together are what [`completion_of`](crate::translate::completion_of) makes of the whole response.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{End, IMAGES, created_of, logprobs_of, metadata_of};
use super::lenient_items::{salvaged, salvaged_part};
use crate::chat::{
    ChatChunk, ChunkChoice, Content, CustomCall, Delta, EmptyObject, FunctionCall, Json, LenientU64, Role,
    ToolCallDelta, UnknownFields,
};
use crate::responses::{EventKind, Item, ItemPart, Response, ResponseEvent, ResponseStatus};
use crate::translate::{BETWEEN, Failed, annotation, images, reasoning, usage};

/// Makes chunks of events.
#[derive(Clone, Debug, Default)]
pub struct EventTranslator {
    /// What all chunks have in common.
    id: Option<Arc<str>>,
    object: Option<Arc<str>>,
    model: Option<Arc<str>>,
    created: Option<LenientU64>,
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
    kind: Kind,
    id: Option<String>,
    output_index: Option<u64>,
    /// Of a call: which one, and whether its name was told.
    call: Option<u64>,
    named: bool,
    /// In bytes, how much of each was told.
    told: Told,
    /// The part of its reasoning that the last piece was of.
    part: Option<(bool, u64)>,
    /// Whether what comes with the whole item only was told.
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Message,
    Call,
    Reasoning,
    Other,
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    text: usize,
    refusal: usize,
    /// Reasoning, arguments or input.
    other: usize,
}

impl Kind {
    fn of(item: &Item) -> Self {
        match item {
            Item::Message(_) | Item::EasyMessage(_) => Self::Message,
            Item::FunctionCall(_) | Item::CustomToolCall(_) => Self::Call,
            Item::Reasoning(_) => Self::Reasoning,
            _ => Self::Other,
        }
    }

    /// Of the item that an event tells a piece of.
    fn told_by(event: &EventKind) -> Self {
        match event {
            EventKind::TextDelta | EventKind::TextDone | EventKind::RefusalDelta | EventKind::RefusalDone => {
                Self::Message
            }
            EventKind::ArgumentsDelta
            | EventKind::ArgumentsDone
            | EventKind::CustomInputDelta
            | EventKind::CustomInputDone => Self::Call,
            _ => Self::Reasoning,
        }
    }
}

/// What of a whole text was not told yet.
fn rest(whole: &str, told: usize) -> Option<String> {
    let rest = whole.get(told..).filter(|rest| !rest.is_empty());
    rest.map(str::to_owned)
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
    pub fn push(&mut self, mut event: ResponseEvent, chunks: &mut Vec<ChatChunk>) -> Result<(), Failed> {
        match event.kind {
            EventKind::Created | EventKind::InProgress | EventKind::Queued => {
                self.learn(event.response.as_deref());
            }
            EventKind::ItemAdded => self.item_added(event, chunks),
            EventKind::TextDelta | EventKind::RefusalDelta => self.said(event, chunks),
            EventKind::ReasoningDelta | EventKind::SummaryTextDelta => self.thought(event, chunks),
            EventKind::ArgumentsDelta | EventKind::CustomInputDelta => self.called_with(event, chunks),
            // Told in pieces as a rule; where it was not, it is told now.
            EventKind::TextDone
            | EventKind::RefusalDone
            | EventKind::ArgumentsDone
            | EventKind::CustomInputDone => self.part_done(event, chunks),
            EventKind::ItemDone => self.item_done(event, chunks),
            EventKind::Completed | EventKind::Incomplete => self.ended(event, chunks)?,
            EventKind::Failed => {
                let response = event.response.take().map(|response| *response);
                let error = response.and_then(|response| response.error).unwrap_or_default();
                return Err(Failed {
                    code: error.code,
                    message: error.message,
                });
            }
            EventKind::Error => {
                return Err(Failed {
                    code: event.code.or_else(|| code_in(&event.extra)),
                    message: event.message,
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// As [`push`](Self::push), of an event that is not decoded yet. A piece of text in the middle of an answer is read without its frame.
    pub fn push_data(&mut self, data: &[u8], chunks: &mut Vec<ChatChunk>) -> Result<(), Undecoded> {
        if let Some(text) = self.plain_piece(data) {
            if let Some(last) = self.items.last_mut() {
                last.told.text += text.len();
            }
            let delta = Delta {
                content: Some(Content::Text(text)),
                ..Delta::default()
            };
            self.piece(delta, chunks);
            return Ok(());
        }
        let event = ResponseEvent::decode(data).map_err(|_| Undecoded::NoEvent)?;
        self.push(event, chunks).map_err(Undecoded::Failed)
    }

    /// The text of a piece that follows another one of the same item and says nothing else.
    fn plain_piece(&self, data: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        struct Piece<'a> {
            #[serde(borrow)]
            item_id: Option<Cow<'a, str>>,
            output_index: Option<u64>,
            #[serde(borrow)]
            delta: Cow<'a, str>,
            #[serde(borrow, default)]
            logprobs: Option<&'a RawValue>,
        }
        let follows = |last: &&Slot| self.begun && last.told.text > 0;
        let last = self.items.last().filter(follows)?;
        if !data.starts_with(b"{\"type\":\"response.output_text.delta\",") {
            return None;
        }
        let piece: Piece<'_> = serde_json::from_str(std::str::from_utf8(data).ok()?).ok()?;
        let silent = piece
            .logprobs
            .is_none_or(|tokens| matches!(tokens.get(), "[]" | "null"));
        let same = match &piece.item_id {
            Some(id) => Some(&**id) == last.id.as_deref(),
            None => piece.output_index.is_none() || piece.output_index == last.output_index,
        };
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

    /// The item that an event is about: by its id, its place, or as the last of its kind; begun where there is none.
    fn slot(&mut self, event: &ResponseEvent) -> &mut Slot {
        let kind = Kind::told_by(&event.kind);
        let by_id = |slot: &Slot| event.item_id.is_some() && slot.id == event.item_id;
        let by_place = |slot: &Slot| slot.output_index.is_some() && slot.output_index == event.output_index();
        let says_neither = event.item_id.is_none() && event.output_index().is_none();
        let by_kind = |slot: &Slot| {
            slot.kind == kind && (says_neither || (slot.id.is_none() && slot.output_index.is_none()))
        };
        let at = self.items.iter().rposition(by_id);
        let at = at.or_else(|| self.items.iter().rposition(by_place));
        let at = at.or_else(|| self.items.iter().rposition(by_kind));
        let at = at.unwrap_or_else(|| self.open(kind, event.item_id.clone(), event.output_index()));
        &mut self.items[at]
    }

    fn open(&mut self, kind: Kind, id: Option<String>, output_index: Option<u64>) -> usize {
        let call = (kind == Kind::Call).then_some(self.calls);
        self.calls += u64::from(call.is_some());
        self.items.push(Slot {
            kind,
            id,
            output_index,
            call,
            named: false,
            told: Told::default(),
            part: None,
            closed: false,
        });
        self.items.len() - 1
    }

    fn item_added(&mut self, event: ResponseEvent, chunks: &mut Vec<ChatChunk>) {
        let Some(item) = event.item else { return };
        let item = salvaged(item);
        let place = event.output_index.map(|index| index.0);
        let at = self.open(Kind::of(&item), item.id().map(str::to_owned), place);
        self.name(at, &item, chunks);
    }

    /// Says which tool is called, once.
    fn name(&mut self, at: usize, item: &Item, chunks: &mut Vec<ChatChunk>) {
        let called = match item {
            Item::FunctionCall(call) => ToolCallDelta {
                id: Some(call.call_id.clone()),
                kind: Some("function".to_owned()),
                function: Some(FunctionCall {
                    name: Some(call.name.clone()),
                    arguments: Some(String::new()),
                    ..FunctionCall::default()
                }),
                ..ToolCallDelta::default()
            },
            Item::CustomToolCall(call) => ToolCallDelta {
                id: Some(call.call_id.clone()),
                kind: Some("custom".to_owned()),
                custom: Some(CustomCall {
                    name: Some(call.name.clone()),
                    input: Some(String::new()),
                    ..CustomCall::default()
                }),
                ..ToolCallDelta::default()
            },
            _ => return,
        };
        let slot = &mut self.items[at];
        if !std::mem::replace(&mut slot.named, true) {
            let number = slot.call;
            self.call_piece(number, called, chunks);
        }
    }

    fn call_piece(&mut self, number: Option<u64>, mut piece: ToolCallDelta, chunks: &mut Vec<ChatChunk>) {
        piece.index = number.map(LenientU64);
        let delta = Delta {
            tool_calls: vec![piece],
            ..Delta::default()
        };
        self.piece(delta, chunks);
    }

    fn said(&mut self, mut event: ResponseEvent, chunks: &mut Vec<ChatChunk>) {
        let Some(text) = text_of(&mut event) else { return };
        let slot = self.slot(&event);
        let delta = if event.kind == EventKind::RefusalDelta {
            slot.told.refusal += text.len();
            refused(text)
        } else {
            slot.told.text += text.len();
            told(text)
        };
        let tokens = event.logprobs.take().unwrap_or_default();
        self.piece_with(delta, &tokens, chunks);
    }

    /// A piece of the answer, and how likely its tokens were.
    fn piece_with(&mut self, delta: Delta, tokens: &[Json], chunks: &mut Vec<ChatChunk>) {
        self.piece(delta, chunks);
        if let Some(chunk) = chunks.last_mut() {
            chunk.choices[0].logprobs = logprobs_of(tokens);
        }
    }

    fn thought(&mut self, mut event: ResponseEvent, chunks: &mut Vec<ChatChunk>) {
        let in_short = event.kind == EventKind::SummaryTextDelta;
        let index = if in_short {
            event.summary_index()
        } else {
            event.content_index()
        };
        let part = Some((in_short, index.unwrap_or(0)));
        let Some(text) = text_of(&mut event) else { return };
        let reasoned = self.reasoned;
        let slot = self.slot(&event);
        let begins = slot.part != part;
        // Between its own parts it belongs to the item, and before the first of them it does not.
        slot.told.other += if begins && slot.part.is_some() {
            BETWEEN.len()
        } else {
            0
        };
        slot.told.other += text.len();
        slot.part = part;
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

    fn called_with(&mut self, mut event: ResponseEvent, chunks: &mut Vec<ChatChunk>) {
        let Some(text) = text_of(&mut event) else { return };
        let slot = self.slot(&event);
        slot.told.other += text.len();
        let number = slot.call;
        let piece = with(event.kind == EventKind::CustomInputDelta, text);
        self.call_piece(number, piece, chunks);
    }

    /// The whole of a part, of which nothing came in pieces.
    fn part_done(&mut self, mut event: ResponseEvent, chunks: &mut Vec<ChatChunk>) {
        let whole = match event.kind {
            EventKind::TextDone => event.text.take(),
            EventKind::RefusalDone => event.refusal.take(),
            EventKind::ArgumentsDone => event.arguments.take(),
            _ => event.input.take(),
        };
        let Some(whole) = whole.filter(|whole| !whole.is_empty()) else {
            return;
        };
        let kind = event.kind.clone();
        let slot = self.slot(&event);
        let counted = match kind {
            EventKind::TextDone => &mut slot.told.text,
            EventKind::RefusalDone => &mut slot.told.refusal,
            _ => &mut slot.told.other,
        };
        if *counted > 0 {
            return;
        }
        *counted = whole.len();
        let number = slot.call;
        match kind {
            EventKind::TextDone => {
                let tokens = event.logprobs.take().unwrap_or_default();
                self.piece_with(told(whole), &tokens, chunks);
            }
            EventKind::RefusalDone => self.piece(refused(whole), chunks),
            kind => self.call_piece(number, with(kind == EventKind::CustomInputDone, whole), chunks),
        }
    }

    fn item_done(&mut self, event: ResponseEvent, chunks: &mut Vec<ChatChunk>) {
        let Some(item) = event.item else { return };
        let item = salvaged(item);
        let place = event.output_index.map(|index| index.0);
        let id = item.id().or(event.item_id.as_deref());
        let by_id = |slot: &Slot| slot.id.is_some() && slot.id.as_deref() == id;
        let by_place = |slot: &Slot| slot.output_index.is_some() && slot.output_index == place;
        let by_kind = |slot: &Slot| {
            let unsaid = id.is_none() && place.is_none() || slot.id.is_none() && slot.output_index.is_none();
            slot.kind == Kind::of(&item) && !slot.closed && unsaid
        };
        let at = self.items.iter().rposition(by_id);
        let at = at.or_else(|| self.items.iter().rposition(by_place));
        let at = at.or_else(|| self.items.iter().rposition(by_kind));
        let at = at.unwrap_or_else(|| self.open(Kind::of(&item), id.map(str::to_owned), place));
        self.close(at, item, chunks);
    }

    /// What of an item did not come in pieces is told now.
    fn close(&mut self, at: usize, item: Item, chunks: &mut Vec<ChatChunk>) {
        self.name(at, &item, chunks);
        let slot = &mut self.items[at];
        let first = !std::mem::replace(&mut slot.closed, true);
        let (before, number) = (slot.told, slot.call);
        match item {
            Item::Message(message) | Item::EasyMessage(message) => {
                self.message_done(at, parts_of(message.content), first, chunks);
            }
            Item::FunctionCall(call) => {
                if let Some(rest) = rest(&call.arguments, before.other) {
                    slot.told.other = call.arguments.len();
                    self.call_piece(number, with(false, rest), chunks);
                }
            }
            Item::CustomToolCall(call) => {
                if let Some(rest) = rest(&call.input, before.other) {
                    slot.told.other = call.input.len();
                    self.call_piece(number, with(true, rest), chunks);
                }
            }
            Item::Reasoning(item) => {
                let whole = item.text();
                if let Some(rest) = rest(&whole, before.other) {
                    slot.told.other = whole.len();
                    let begins = before.other == 0 && self.reasoned;
                    let between = if begins { BETWEEN } else { "" };
                    self.think(format!("{between}{rest}"), chunks);
                }
                if first {
                    self.rare("reasoning_details", &reasoning::details_of(&item), chunks);
                }
            }
            Item::ImageGenerationCall(item) if first => {
                let images: Vec<Json> = images::image_of(&item).into_iter().collect();
                self.rare(IMAGES, &images, chunks);
            }
            _ => {}
        }
    }

    fn message_done(&mut self, at: usize, parts: Vec<ItemPart>, first: bool, chunks: &mut Vec<ChatChunk>) {
        let before = self.items[at].told;
        let (mut text, mut refusal) = (String::new(), String::new());
        let mut speaks = false;
        let mut annotations = Vec::new();
        let mut tokens = Vec::new();
        for part in parts {
            match salvaged_part(part) {
                ItemPart::OutputText(part) => {
                    speaks = true;
                    text += &part.text;
                    annotations.extend(part.annotations.iter().map(annotation::nested));
                    tokens.extend(part.logprobs.into_iter().flatten());
                }
                ItemPart::Refusal(part) => refusal += &part.refusal,
                _ => {}
            }
        }
        if let Some(rest) = rest(&text, before.text) {
            // How likely the tokens of a rest were is not known apart.
            let tokens = if before.text == 0 { tokens } else { Vec::new() };
            self.piece_with(told(rest), &tokens, chunks);
        } else if speaks && first && text.is_empty() && before.text == 0 {
            self.piece(told(String::new()), chunks);
        }
        if let Some(rest) = rest(&refusal, before.refusal) {
            self.piece(refused(rest), chunks);
        }
        let known = &mut self.items[at].told;
        known.text = known.text.max(text.len());
        known.refusal = known.refusal.max(refusal.len());
        if first {
            self.rare("annotations", &annotations, chunks);
        }
    }

    /// A list that a delta has no field for.
    fn rare(&mut self, name: &'static str, list: &[Json], chunks: &mut Vec<ChatChunk>) {
        if let Some(list) = Json::of(list).ok().filter(|_| !list.is_empty()) {
            let mut delta = Delta::default();
            delta.extra.insert(name, list);
            self.piece(delta, chunks);
        }
    }

    /// The finish, and the usage behind it.
    fn ended(&mut self, event: ResponseEvent, chunks: &mut Vec<ChatChunk>) -> Result<(), Failed> {
        let cut = event.kind == EventKind::Incomplete;
        let Some(mut response) = event
            .response
            .map(|response| *response)
            .or_else(|| bare(event.extra))
        else {
            self.over = true;
            return Ok(());
        };
        if cut && response.status.is_none() {
            response.status = Some(ResponseStatus::Incomplete);
        }
        let end = End::of(&response)?;
        self.over = true;
        self.learn(Some(&response));
        for (at, item) in std::mem::take(&mut response.output).into_iter().enumerate() {
            self.catch_up(at, salvaged(item), chunks);
        }
        if !self.begun {
            self.piece(Delta::default(), chunks);
        }
        let mut finish = ChunkChoice::first(Delta::default());
        finish.finish_reason = Some(end.reason(self.calls > 0));
        let mut chunk = self.chunk(vec![finish]);
        chunk.service_tier = response.service_tier.as_deref().map(Arc::from);
        if let Some(metadata) = metadata_of(response.metadata) {
            chunk.extra.insert("metadata", metadata);
        }
        chunks.push(chunk);
        let used = response.usage.as_ref().map(usage::as_chat);
        if let Some(used) = used.filter(|used| !used.is_empty()) {
            let mut chunk = self.chunk(Vec::new());
            chunk.usage = Some(used);
            chunks.push(chunk);
        }
        Ok(())
    }

    /// What only the last event tells of an item. Of some providers' items neither ids nor places agree with those of the stream.
    fn catch_up(&mut self, at: usize, item: Item, chunks: &mut Vec<ChatChunk>) {
        let kind = Kind::of(&item);
        let by_id = |slot: &Slot| slot.id.is_some() && slot.id.as_deref() == item.id();
        let by_place = |slot: &Slot| slot.output_index == Some(at as u64);
        let places = self.items.get(at);
        let same = places.is_some_and(|slot| slot.output_index.is_none() && slot.kind == kind);
        let known = self.items.iter().rposition(by_id);
        let known = known.or_else(|| self.items.iter().rposition(by_place));
        let known = known.or(same.then_some(at));
        let place = at as u64;
        let known = known.unwrap_or_else(|| self.open(kind, item.id().map(str::to_owned), Some(place)));
        self.close(known, item, chunks);
    }
}

fn told(text: String) -> Delta {
    Delta {
        content: Some(Content::Text(text)),
        ..Delta::default()
    }
}

fn refused(text: String) -> Delta {
    Delta {
        refusal: Some(text),
        ..Delta::default()
    }
}

fn parts_of(content: Option<Content<ItemPart>>) -> Vec<ItemPart> {
    match content {
        Some(Content::Parts(parts)) => parts,
        Some(Content::Text(text)) => vec![ItemPart::output_text(text)],
        None => Vec::new(),
    }
}

/// A response without anything around it.
fn bare(extra: UnknownFields) -> Option<Response> {
    let response = Json::of(&EmptyObject { extra }).ok()?;
    let response = Response::decode(response.get().as_bytes()).ok()?;
    Some(response).filter(|response| response.status.is_some() || response.has("output"))
}

/// A code that is a number.
fn code_in(extra: &UnknownFields) -> Option<String> {
    let code: serde_json::Number = serde_json::from_str(extra.get("code")?.get()).ok()?;
    Some(code.to_string())
}

fn text_of(event: &mut ResponseEvent) -> Option<String> {
    match event.delta.take()? {
        crate::responses::EventDelta::Text(text) if !text.is_empty() => Some(text),
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
