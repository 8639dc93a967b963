//! Chunks of a chat completion as events of a response.
//!
//! Always true: whatever the chunks, the events follow the [`EventSequence`](crate::responses::EventSequence), and the last one says what
//! [`response_of`](crate::translate::response_of) says of the whole completion.

use super::answer::{End, tokens_of};
use super::envelope::ResponseEnvelope;
use crate::chat::{
    ChatChunk, ChunkChoice, Content, Delta, FinishClass, FinishReason, Json, LenientU64, Part, Role, Thought,
    ToolCallDelta, ToolCallMatcher, Usage,
};
use crate::responses::{
    CustomToolCallItem, EventDelta, EventKind, FunctionCallItem, HostedItem, Item, ItemPart, ItemRefusal,
    ItemText, MessageItem, OutputText, ReasoningItem, ResponseEvent,
};
use crate::translate::{BETWEEN, Failed, annotation, images, reasoning};

/// Makes events of chunks. Only the first choice is told, since a response has but one.
#[derive(Clone, Debug)]
pub struct ChunkTranslator {
    frame: ResponseEnvelope,
    model: Option<String>,
    service_tier: Option<String>,
    number: u64,
    begun: bool,
    over: bool,
    items: Vec<Open>,
    calls: Vec<Call>,
    pieces: ToolCallMatcher,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    /// The message or the reasoning that is being written; there is one at most.
    speech: Option<usize>,
    /// Where a text comes from that has not come yet.
    annotations: Vec<Json>,
    /// Reasoning that only its maker can read, and that came while a message was being written.
    late: Vec<ReasoningItem>,
}

/// An item that is being written, or is done.
#[derive(Clone, Debug)]
struct Open {
    item: Item,
    done: bool,
}

/// A call, and the id that its provider gave it.
#[derive(Clone, Debug)]
struct Call {
    id: Option<String>,
    place: Place,
}

/// Where a call is.
#[derive(Clone, Debug)]
enum Place {
    /// Not among the items, since its name has not come yet.
    Unnamed(Item),
    /// Among the items.
    At(usize),
}

impl ChunkTranslator {
    /// For a stream that has not begun.
    pub fn new(frame: ResponseEnvelope) -> Self {
        Self {
            frame,
            model: None,
            service_tier: None,
            number: 0,
            begun: false,
            over: false,
            items: Vec::new(),
            calls: Vec::new(),
            pieces: ToolCallMatcher::default(),
            finish: None,
            usage: None,
            speech: None,
            annotations: Vec::new(),
            late: Vec::new(),
        }
    }

    /// The events that a chunk is.
    pub fn push(&mut self, chunk: ChatChunk) -> Vec<ResponseEvent> {
        let mut events = Vec::new();
        if self.over {
            return events;
        }
        let usage = chunk.usage();
        self.usage = usage.or(self.usage.take());
        tell(&mut self.model, chunk.model.as_deref());
        tell(&mut self.service_tier, chunk.service_tier.as_deref());
        self.begin(&mut events);
        for choice in chunk.choices {
            if choice.index() == 0 {
                self.choice(choice, &mut events);
            }
        }
        events
    }

    /// The events that end the response: the stream of chunks is over. What the usage says belongs into the last one, so it waits for this.
    pub fn finish(&mut self) -> Vec<ResponseEvent> {
        let mut events = Vec::new();
        if self.over {
            return events;
        }
        self.begin(&mut events);
        let Some(end) = End::of(self.finish.as_ref()) else {
            let failed = Failed {
                code: None,
                message: self.finish.as_ref().map(|reason| reason.as_str().to_owned()),
            };
            return self.fail(&failed);
        };
        (0..self.calls.len()).for_each(|call| self.tell_call(call, &mut events));
        for item in std::mem::take(&mut self.late) {
            self.whole(Item::Reasoning(without_text(item)), &mut events);
        }
        let last = self.items.iter().rposition(|open| !open.done);
        for at in 0..self.items.len() {
            if !self.items[at].done {
                let status = if Some(at) == last { end } else { End::Whole };
                self.close(at, status, &mut events);
            }
        }
        self.over = true;
        let output = self.items.iter().map(|open| open.item.clone());
        let mut response = self.frame.over(output.collect(), end, self.usage.as_ref());
        response.model = self.model.take().or(response.model);
        response.service_tier = self.service_tier.take().or(response.service_tier);
        let kind = if end == End::Whole {
            EventKind::Completed
        } else {
            EventKind::Incomplete
        };
        let mut event = ResponseEvent::new(kind);
        event.response = Some(Box::new(response));
        self.tell(event, &mut events);
        events
    }

    /// The events that end the response where the stream of chunks broke: what was told stays told.
    pub fn fail(&mut self, failed: &Failed) -> Vec<ResponseEvent> {
        let mut events = Vec::new();
        if self.over {
            return events;
        }
        self.begin(&mut events);
        self.over = true;
        let response = self.frame.failed(failed);
        let mut error = ResponseEvent::new(EventKind::Error);
        error.code = response.error.as_ref().and_then(|error| error.code.clone());
        error.message = Some(
            failed
                .message
                .clone()
                .unwrap_or_else(|| "the answer broke off".to_owned()),
        );
        error.set_null("param");
        self.tell(error, &mut events);
        let mut event = ResponseEvent::new(EventKind::Failed);
        event.response = Some(Box::new(response));
        self.tell(event, &mut events);
        events
    }

    fn tell(&mut self, event: ResponseEvent, events: &mut Vec<ResponseEvent>) {
        events.push(event.at(self.number));
        self.number += 1;
    }

    fn begin(&mut self, events: &mut Vec<ResponseEvent>) {
        if self.begun {
            return;
        }
        self.begun = true;
        for kind in [EventKind::Created, EventKind::InProgress] {
            let mut event = ResponseEvent::new(kind);
            let mut response = self.frame.begun();
            response.model = self.model.clone().or(response.model);
            event.response = Some(Box::new(response));
            self.tell(event, events);
        }
    }

    fn choice(&mut self, choice: ChunkChoice, events: &mut Vec<ResponseEvent>) {
        let ChunkChoice {
            delta,
            finish_reason,
            logprobs,
            ..
        } = choice;
        let Delta {
            content,
            refusal,
            reasoning_content,
            reasoning,
            tool_calls,
            function_call,
            extra,
            ..
        } = delta;
        let said = |text: &String| !text.is_empty();
        let thought = reasoning_content.filter(said).or(reasoning.filter(said));
        let has_thought = thought.is_some();
        if let Some(text) = thought {
            self.think(text, events);
        }
        if let Some(details) = extra.get("reasoning_details") {
            self.detail(details, has_thought, events);
        }
        match content {
            Some(Content::Text(text)) => self.say(text, tokens_of(logprobs.as_ref()), events),
            Some(Content::Parts(parts)) => parts.into_iter().for_each(|part| self.part(part, events)),
            None => {}
        }
        if let Some(images) = extra.get("images") {
            for item in images::calls_of(images) {
                self.image(item, events);
            }
        }
        if let Some(annotations) = extra.get("annotations") {
            let annotations = serde_json::from_str::<Vec<Json>>(annotations.get()).unwrap_or_default();
            self.annotations.extend(annotations.iter().map(annotation::flat));
        }
        self.annotate(events);
        if let Some(text) = refusal {
            self.refuse(text, events);
        }
        let old = function_call.map(|function| ToolCallDelta {
            function: Some(function),
            ..ToolCallDelta::default()
        });
        let calls = old.into_iter().chain(tool_calls);
        calls.for_each(|piece| self.call(piece, events));
        if let Some(reason) = finish_reason.filter(|reason| reason.class() != FinishClass::Missing) {
            self.finish = Some(reason);
        }
    }

    /// Reasoning in blocks: what only its maker can read comes back with its item, and other people's is told where it is told nowhere else.
    fn detail(&mut self, details: &Json, has_thought: bool, events: &mut Vec<ResponseEvent>) {
        let Some(items) = reasoning::items_of(details) else {
            if let Some(text) = reasoning::text_in(details).filter(|_| !has_thought) {
                self.think(text, events);
            }
            return;
        };
        for item in items {
            let Item::Reasoning(item) = item else { continue };
            if !has_thought && !self.is_thinking() && !item.text().is_empty() {
                self.think(item.text(), events);
            }
            if item.encrypted_content.is_some() {
                self.keep_encrypted(item, events);
            }
        }
    }

    fn is_thinking(&self) -> bool {
        let speech = self.speech.map(|at| &self.items[at].item);
        speech.is_some_and(|item| matches!(item, Item::Reasoning(_)))
    }

    fn keep_encrypted(&mut self, encrypted: ReasoningItem, events: &mut Vec<ResponseEvent>) {
        let lacks =
            |open: &Open| matches!(&open.item, Item::Reasoning(item) if item.encrypted_content.is_none());
        let known = self.items.iter().rposition(lacks);
        if let Some(at) = known.filter(|at| Some(*at) == self.speech || self.speech.is_some()) {
            if let Item::Reasoning(item) = &mut self.items[at].item {
                item.encrypted_content = encrypted.encrypted_content;
            }
            if Some(at) == self.speech {
                self.close_speech(events);
            }
        } else if self.speech.is_some() {
            self.late.push(encrypted);
        } else {
            self.whole(Item::Reasoning(without_text(encrypted)), events);
        }
    }

    /// An item of which there are no pieces.
    fn whole(&mut self, item: Item, events: &mut Vec<ResponseEvent>) {
        self.close_speech(events);
        self.items.push(Open { item, done: false });
        let at = self.items.len() - 1;
        self.tell_item(at, EventKind::ItemAdded, events);
        self.items[at].done = true;
        self.tell_item(at, EventKind::ItemDone, events);
    }

    fn image(&mut self, mut item: HostedItem, events: &mut Vec<ResponseEvent>) {
        item.id = Some(self.frame.id("ig", self.items.len()));
        self.whole(Item::ImageGenerationCall(item), events);
    }

    fn part(&mut self, part: Part, events: &mut Vec<ResponseEvent>) {
        match part {
            Part::Text(part) => self.say(part.text, Vec::new(), events),
            Part::Thinking(part) => {
                let text: String = part.thinking.iter().filter_map(Thought::as_text).collect();
                if !text.is_empty() {
                    self.think(text, events);
                }
            }
            Part::Refusal(part) => self.refuse(part.refusal, events),
            _ => {}
        }
    }

    /// The message or reasoning that is being written, if it is of a kind; another one is closed first, and one is begun where there is none.
    fn open(
        &mut self,
        is: impl Fn(&Item) -> bool,
        new: impl Fn(String) -> Item,
        prefix: &str,
        events: &mut Vec<ResponseEvent>,
    ) -> usize {
        if let Some(at) = self.speech.filter(|at| is(&self.items[*at].item)) {
            return at;
        }
        self.close_speech(events);
        let at = self.items.len();
        let item = new(self.frame.id(prefix, at));
        self.items.push(Open { item, done: false });
        self.speech = Some(at);
        self.tell_item(at, EventKind::ItemAdded, events);
        at
    }

    /// Reasoning and texts are written one after the other.
    fn close_speech(&mut self, events: &mut Vec<ResponseEvent>) {
        if let Some(at) = self.speech.take() {
            self.close(at, End::Whole, events);
        }
    }

    fn tell_item(&mut self, at: usize, kind: EventKind, events: &mut Vec<ResponseEvent>) {
        let mut event = ResponseEvent::new(kind);
        event.output_index = Some(LenientU64(at as u64));
        event.item = Some(self.items[at].item.clone());
        self.tell(event, events);
    }

    /// An event about an item.
    fn about(&self, at: usize, kind: EventKind) -> ResponseEvent {
        let mut event = ResponseEvent::new(kind);
        event.item_id = self.items[at].item.id().map(str::to_owned);
        event.output_index = Some(LenientU64(at as u64));
        event
    }

    /// An event about a part.
    fn about_part(&self, at: usize, part: usize, kind: EventKind) -> ResponseEvent {
        let mut event = self.about(at, kind);
        event.content_index = Some(LenientU64(part as u64));
        event
    }

    fn think(&mut self, mut text: String, events: &mut Vec<ResponseEvent>) {
        if !self.is_thinking() {
            // One item need not be told apart from the one before.
            text = text.strip_prefix(BETWEEN).unwrap_or(&text).to_owned();
        }
        let new = |id| {
            Item::Reasoning(ReasoningItem {
                id: Some(id),
                ..ReasoningItem::default()
            })
        };
        let at = self.open(|item| matches!(item, Item::Reasoning(_)), new, "rs", events);
        let Item::Reasoning(item) = &mut self.items[at].item else {
            return;
        };
        let parts = item.content.get_or_insert_default();
        if parts.is_empty() {
            parts.push(ItemPart::ReasoningText(ItemText::default()));
            self.part_added(at, 0, ItemPart::ReasoningText(ItemText::default()), events);
        }
        if let Item::Reasoning(item) = &mut self.items[at].item
            && let Some(ItemPart::ReasoningText(part)) =
                item.content.as_mut().and_then(|parts| parts.last_mut())
        {
            part.text += &text;
        }
        let mut event = self.about_part(at, 0, EventKind::ReasoningDelta);
        event.delta = Some(EventDelta::Text(text));
        self.tell(event, events);
    }

    fn part_added(&mut self, at: usize, part: usize, blank: ItemPart, events: &mut Vec<ResponseEvent>) {
        let mut event = self.about_part(at, part, EventKind::ContentPartAdded);
        event.part = Some(blank);
        self.tell(event, events);
    }

    fn message(&mut self, events: &mut Vec<ResponseEvent>) -> usize {
        let new = |id| {
            Item::Message(MessageItem {
                id: Some(id),
                role: Some(Role::Assistant),
                status: Some("in_progress".to_owned()),
                content: Some(Content::Parts(Vec::new())),
                ..MessageItem::default()
            })
        };
        self.open(|item| matches!(item, Item::Message(_)), new, "msg", events)
    }

    fn parts(&mut self, at: usize) -> Option<&mut Vec<ItemPart>> {
        match &mut self.items[at].item {
            Item::Message(MessageItem {
                content: Some(Content::Parts(parts)),
                ..
            }) => Some(parts),
            _ => None,
        }
    }

    /// The part of a kind in a message, begun where there is none.
    fn part_of(&mut self, at: usize, blank: ItemPart, events: &mut Vec<ResponseEvent>) -> usize {
        let kind = blank.kind().into_owned();
        let Some(parts) = self.parts(at) else { return 0 };
        if let Some(part) = parts.iter().position(|part| part.kind() == kind) {
            return part;
        }
        parts.push(blank.clone());
        let part = parts.len() - 1;
        self.part_added(at, part, blank, events);
        part
    }

    fn say(&mut self, text: String, tokens: Vec<Json>, events: &mut Vec<ResponseEvent>) {
        if text.is_empty() && tokens.is_empty() {
            return;
        }
        let at = self.message(events);
        let part = self.part_of(at, ItemPart::output_text(""), events);
        if let Some(ItemPart::OutputText(known)) = self.parts(at).and_then(|parts| parts.get_mut(part)) {
            known.text += &text;
            known
                .logprobs
                .get_or_insert_default()
                .extend(tokens.iter().cloned());
        }
        let mut event = self.about_part(at, part, EventKind::TextDelta);
        event.delta = Some(EventDelta::Text(text));
        event.logprobs = Some(tokens);
        self.tell(event, events);
    }

    /// Says where the text comes from; of one that is closed already only the response does.
    fn annotate(&mut self, events: &mut Vec<ResponseEvent>) {
        if self.annotations.is_empty() {
            return;
        }
        let is_text = |part: &ItemPart| matches!(part, ItemPart::OutputText(_));
        let text_in = |open: &Open| match &open.item {
            Item::Message(MessageItem {
                content: Some(Content::Parts(parts)),
                ..
            }) => parts.iter().position(is_text),
            _ => None,
        };
        let items = self.items.iter().enumerate().rev();
        let mut texts = items.filter_map(|(at, open)| Some((at, text_in(open)?)));
        let Some((at, part)) = texts.next() else { return };
        for annotation in std::mem::take(&mut self.annotations) {
            let parts = self.parts(at).and_then(|parts| parts.get_mut(part));
            let Some(ItemPart::OutputText(text)) = parts else {
                return;
            };
            text.annotations.push(annotation.clone());
            let number = text.annotations.len() - 1;
            if self.items[at].done {
                continue;
            }
            let mut event = self.about_part(at, part, EventKind::AnnotationAdded);
            event.extra.insert("annotation", annotation);
            if let Ok(number) = Json::of(&number) {
                event.extra.insert("annotation_index", number);
            }
            self.tell(event, events);
        }
    }

    fn refuse(&mut self, text: String, events: &mut Vec<ResponseEvent>) {
        if text.is_empty() {
            return;
        }
        let at = self.message(events);
        let part = self.part_of(at, ItemPart::Refusal(ItemRefusal::default()), events);
        if let Some(ItemPart::Refusal(known)) = self.parts(at).and_then(|parts| parts.get_mut(part)) {
            known.refusal += &text;
        }
        let mut event = self.about_part(at, part, EventKind::RefusalDelta);
        event.delta = Some(EventDelta::Text(text));
        self.tell(event, events);
    }

    /// A piece of a call.
    fn call(&mut self, piece: ToolCallDelta, events: &mut Vec<ResponseEvent>) {
        let number = self.addressed(&piece);
        let call = &mut self.calls[number];
        if let (None, Some(id)) = (&call.id, piece.id.filter(|id| !id.is_empty())) {
            if let Place::Unnamed(item) = &mut call.place {
                set_call_id(item, &id);
            }
            call.id = Some(id);
        }
        let (name, said) = match (piece.function, piece.custom) {
            (Some(function), _) => (function.name, function.arguments),
            (None, Some(custom)) => (custom.name, custom.input),
            (None, None) => (None, None),
        };
        let name = name.filter(|name| !name.is_empty());
        if let (Place::Unnamed(item), Some(name)) = (&mut self.calls[number].place, name) {
            set_name(item, name);
            self.tell_call(number, events);
        }
        let said = said.unwrap_or_default();
        match &mut self.calls[number].place {
            Place::Unnamed(item) => add_to_call(item, &said),
            Place::At(at) => {
                let at = *at;
                self.call_delta(at, said, events);
            }
        }
    }

    /// The call that a piece is of.
    fn addressed(&mut self, piece: &ToolCallDelta) -> usize {
        let number = self.pieces.position_of(piece);
        if number == self.calls.len() {
            let custom = piece.custom.is_some() || piece.kind.as_deref() == Some("custom");
            self.calls.push(Call {
                id: None,
                place: Place::Unnamed(self.blank_call(custom)),
            });
        }
        number
    }

    fn blank_call(&self, custom: bool) -> Item {
        let number = self.calls.len();
        let call_id = self.frame.id("call", number);
        let status = Some("in_progress".to_owned());
        if custom {
            return Item::CustomToolCall(CustomToolCallItem {
                id: Some(self.frame.id("ctc", number)),
                call_id,
                status,
                ..CustomToolCallItem::default()
            });
        }
        Item::FunctionCall(FunctionCallItem {
            id: Some(self.frame.id("fc", number)),
            call_id,
            status,
            ..FunctionCallItem::default()
        })
    }

    /// A call becomes an item; what came of it before follows.
    fn tell_call(&mut self, number: usize, events: &mut Vec<ResponseEvent>) {
        let at = self.items.len();
        let mut item = match &mut self.calls[number].place {
            Place::At(_) => return,
            Place::Unnamed(item) => item.clone(),
        };
        self.calls[number].place = Place::At(at);
        self.close_speech(events);
        let said = take_said(&mut item);
        self.items.push(Open { item, done: false });
        self.tell_item(at, EventKind::ItemAdded, events);
        self.call_delta(at, said, events);
    }

    fn call_delta(&mut self, at: usize, said: String, events: &mut Vec<ResponseEvent>) {
        if said.is_empty() {
            return;
        }
        add_to_call(&mut self.items[at].item, &said);
        let custom = matches!(self.items[at].item, Item::CustomToolCall(_));
        let kind = if custom {
            EventKind::CustomInputDelta
        } else {
            EventKind::ArgumentsDelta
        };
        let mut event = self.about(at, kind);
        event.delta = Some(EventDelta::Text(said));
        self.tell(event, events);
    }

    /// Says the whole of an item and closes it.
    fn close(&mut self, at: usize, end: End, events: &mut Vec<ResponseEvent>) {
        match self.items[at].item.clone() {
            Item::Message(MessageItem {
                content: Some(Content::Parts(parts)),
                ..
            }) => {
                for (number, part) in parts.into_iter().enumerate() {
                    self.part_done(at, number, part, events);
                }
            }
            Item::Reasoning(item) => {
                for (number, part) in item.content.into_iter().flatten().enumerate() {
                    self.part_done(at, number, part, events);
                }
            }
            Item::FunctionCall(call) => {
                let mut event = self.about(at, EventKind::ArgumentsDone);
                event.name = Some(call.name);
                event.arguments = Some(call.arguments);
                self.tell(event, events);
            }
            Item::CustomToolCall(call) => {
                let mut event = self.about(at, EventKind::CustomInputDone);
                event.input = Some(call.input);
                self.tell(event, events);
            }
            _ => {}
        }
        if !matches!(self.items[at].item, Item::Reasoning(_)) || end != End::Whole {
            self.items[at].item.set_status(end.status());
        }
        self.items[at].done = true;
        self.tell_item(at, EventKind::ItemDone, events);
    }

    fn part_done(&mut self, at: usize, number: usize, part: ItemPart, events: &mut Vec<ResponseEvent>) {
        let mut whole = match &part {
            ItemPart::OutputText(OutputText { text, logprobs, .. }) => {
                let mut event = self.about_part(at, number, EventKind::TextDone);
                event.text = Some(text.clone());
                event.logprobs = Some(logprobs.clone().unwrap_or_default());
                event
            }
            ItemPart::Refusal(part) => {
                let mut event = self.about_part(at, number, EventKind::RefusalDone);
                event.refusal = Some(part.refusal.clone());
                event
            }
            part => {
                let mut event = self.about_part(at, number, EventKind::ReasoningDone);
                event.text = part.text().map(str::to_owned);
                event
            }
        };
        whole.content_index = Some(LenientU64(number as u64));
        self.tell(whole, events);
        let mut event = self.about_part(at, number, EventKind::ContentPartDone);
        event.part = Some(part);
        self.tell(event, events);
    }
}

/// What a chunk says of the whole; an empty one says nothing.
fn tell(known: &mut Option<String>, said: Option<&str>) {
    if let Some(said) = said.filter(|said| !said.is_empty() && known.as_deref() != Some(said)) {
        *known = Some(said.to_owned());
    }
}

/// Its text was told before, in pieces.
fn without_text(item: ReasoningItem) -> ReasoningItem {
    ReasoningItem {
        summary: Vec::new(),
        content: None,
        ..item
    }
}

fn set_call_id(item: &mut Item, id: &str) {
    match item {
        Item::FunctionCall(call) => id.clone_into(&mut call.call_id),
        Item::CustomToolCall(call) => id.clone_into(&mut call.call_id),
        _ => {}
    }
}

fn set_name(item: &mut Item, name: String) {
    match item {
        Item::FunctionCall(call) => call.name = name,
        Item::CustomToolCall(call) => call.name = name,
        _ => {}
    }
}

fn add_to_call(item: &mut Item, said: &str) {
    match item {
        Item::FunctionCall(call) => call.arguments += said,
        Item::CustomToolCall(call) => call.input += said,
        _ => {}
    }
}

fn take_said(item: &mut Item) -> String {
    match item {
        Item::FunctionCall(call) => std::mem::take(&mut call.arguments),
        Item::CustomToolCall(call) => std::mem::take(&mut call.input),
        _ => String::new(),
    }
}
