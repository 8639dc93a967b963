//! Chunks to the plain answer.
//!
//! Always true: a stream assembled equals the plain answer, whatever pieces it came in; repeated usage is never summed.

use std::fmt;

use serde_json::Value;

use super::chunk::{ChatChunk, ChunkChoice, Delta};
use super::content::Content;
use super::extra::{Extra, Json};
use super::lenient::Whole;
use super::part::{Part, Thought};
use super::response::{ChatCompletion, Choice};
use super::tool::{FunctionCall, ToolCall, ToolCallDelta};

/// Puts a stream together.
#[derive(Clone, Default)]
pub struct Assembler {
    answer: ChatCompletion,
    /// For each choice, the explicit indexes under which its tool calls were last addressed.
    call_indexes: Vec<Vec<Option<u64>>>,
    /// For each choice, the pieces of its logprobs; joined once, at the end.
    logprobs: Vec<Vec<Json>>,
}

impl Assembler {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk.
    pub fn push(&mut self, chunk: ChatChunk) {
        let usage = chunk.usage();
        let answer = &mut self.answer;
        let own = |text: Option<std::sync::Arc<str>>| text.map(|text| text.to_string());
        answer.id = own(chunk.id).or(answer.id.take());
        answer.model = own(chunk.model).or(answer.model.take());
        answer.system_fingerprint = own(chunk.system_fingerprint).or(answer.system_fingerprint.take());
        answer.service_tier = own(chunk.service_tier).or(answer.service_tier.take());
        answer.created = answer.created.or(chunk.created);
        answer.object.get_or_insert_with(|| "chat.completion".to_owned());
        if usage.is_some() {
            answer.usage = usage;
        }
        latest(&mut answer.extra, &chunk.extra, &["obfuscation", "x_groq"]);
        for choice in chunk.choices {
            self.push_choice(choice);
        }
    }

    /// Whether every choice that was seen has ended.
    pub fn is_done(&self) -> bool {
        !self.answer.choices.is_empty()
            && self
                .answer
                .choices
                .iter()
                .all(|choice| choice.finish_reason.is_some())
    }

    /// What there is so far.
    pub fn partial(&self) -> ChatCompletion {
        self.clone().finish()
    }

    /// The answer.
    pub fn finish(mut self) -> ChatCompletion {
        for (choice, pieces) in self.answer.choices.iter_mut().zip(&self.logprobs) {
            choice.logprobs = joined_logprobs(pieces);
        }
        self.answer
    }

    fn push_choice(&mut self, piece: ChunkChoice) {
        let index = piece.index();
        let at = match self.answer.choices.binary_search_by_key(&index, Choice::index) {
            Ok(at) => at,
            Err(at) => {
                let choice = Choice {
                    index: Some(Whole(index)),
                    ..Choice::default()
                };
                self.answer.choices.insert(at, choice);
                self.call_indexes.insert(at, Vec::new());
                self.logprobs.insert(at, Vec::new());
                at
            }
        };
        let choice = &mut self.answer.choices[at];
        if piece.finish_reason.is_some() {
            choice.finish_reason = piece.finish_reason;
        }
        self.logprobs[at].extend(piece.logprobs);
        latest(&mut choice.extra, &piece.extra, &["usage"]);
        push_delta(choice, piece.delta, &mut self.call_indexes[at]);
    }
}

fn push_delta(choice: &mut Choice, delta: Delta, indexes: &mut Vec<Option<u64>>) {
    let message = &mut choice.message;
    if delta.role.is_some() {
        message.role = delta.role;
    }
    push_content(&mut message.content, delta.content);
    for (name, known) in [
        ("reasoning_details", &message.reasoning_details),
        ("audio", &message.audio),
    ] {
        if let (Some(known), true) = (known, delta.extra.get(name).is_some()) {
            message.extra.insert(name, known.clone());
        }
    }
    append(&mut message.refusal, delta.refusal);
    append(&mut message.reasoning_content, delta.reasoning_content);
    append(&mut message.reasoning, delta.reasoning);
    if let Some(piece) = delta.function_call {
        push_function(message.function_call.get_or_insert_default(), piece);
    }
    for piece in delta.tool_calls {
        push_tool_call(&mut message.tool_calls, indexes, piece);
    }
    grow(&mut message.extra, &delta.extra);
    // Named in a message, and rare enough in a stream to have no name in a delta.
    message.reasoning_details = message
        .extra
        .remove("reasoning_details")
        .or(message.reasoning_details.take());
}

/// Adds a piece to the call it belongs to: a known id decides, then the index unless a new id claims it, then the place.
fn push_tool_call(calls: &mut Vec<ToolCall>, indexes: &mut Vec<Option<u64>>, piece: ToolCallDelta) {
    let index = piece.index();
    let id = piece.id.filter(|id| !id.is_empty());
    let known = id
        .as_ref()
        .and_then(|id| calls.iter().rposition(|call| call.id.as_ref() == Some(id)));
    let by_index = || {
        let at = indexes
            .iter()
            .rposition(|known| index.is_some() && *known == index)?;
        Some(at).filter(|at| id.is_none() || calls[*at].id.is_none())
    };
    let by_place = || {
        if index.is_none() && id.is_none() {
            calls.len().checked_sub(1)
        } else {
            None
        }
    };
    let at = known.or_else(by_index).or_else(by_place).unwrap_or(calls.len());
    if at == calls.len() {
        calls.push(ToolCall::default());
        indexes.push(index);
    }
    let call = &mut calls[at];
    call.id = call.id.take().or(id);
    call.kind = call.kind.take().or(piece.kind);
    if let Some(function) = piece.function {
        push_function(call.function.get_or_insert_default(), function);
    }
    if let Some(piece) = piece.custom {
        let custom = call.custom.get_or_insert_default();
        name_it(&mut custom.name, piece.name);
        append(&mut custom.input, piece.input);
    }
    latest(&mut call.extra, &piece.extra, &[]);
}

/// Texts grow; where there are parts, a text after them is one more, and pieces of the same kind are one.
fn push_content(content: &mut Option<Content>, piece: Option<Content>) {
    *content = match (content.take(), piece) {
        (None, piece) => piece,
        (content, None) => content,
        (Some(Content::Text(mut text)), Some(Content::Text(piece))) => {
            text.push_str(&piece);
            Some(Content::Text(text))
        }
        (Some(content), Some(piece)) => {
            let mut parts = parts_of(content);
            parts_of(piece)
                .into_iter()
                .for_each(|piece| push_part(&mut parts, piece));
            Some(Content::Parts(parts))
        }
    };
}

fn parts_of(content: Content) -> Vec<Part> {
    match content {
        Content::Text(text) if text.is_empty() => Vec::new(),
        Content::Text(text) => vec![Part::text(text)],
        Content::Parts(parts) => parts,
    }
}

fn push_part(parts: &mut Vec<Part>, piece: Part) {
    match (parts.last_mut(), piece) {
        (Some(Part::Text(text)), Part::Text(piece)) => text.text.push_str(&piece.text),
        (Some(Part::Refusal(refusal)), Part::Refusal(piece)) => refusal.refusal.push_str(&piece.refusal),
        (Some(Part::Thinking(thinking)), Part::Thinking(piece)) => {
            let pieces = piece.thinking.into_iter();
            pieces.for_each(|piece| push_thought(&mut thinking.thinking, piece));
            latest(&mut thinking.extra, &piece.extra, &[]);
        }
        (_, piece) => parts.push(piece),
    }
}

fn push_thought(thoughts: &mut Vec<Thought>, piece: Thought) {
    match (thoughts.last_mut(), piece) {
        (Some(Thought::Text(text)), Thought::Text(piece)) => text.text.push_str(&piece.text),
        (_, piece) => thoughts.push(piece),
    }
}

fn push_function(function: &mut FunctionCall, piece: FunctionCall) {
    name_it(&mut function.name, piece.name);
    append(&mut function.arguments, piece.arguments);
    latest(&mut function.extra, &piece.extra, &[]);
}

/// The first name that says something.
fn name_it(name: &mut Option<String>, piece: Option<String>) {
    if name.as_deref().unwrap_or_default().is_empty() {
        *name = piece.or(name.take());
    }
}

fn append(text: &mut Option<String>, piece: Option<String>) {
    match (text.as_mut(), piece) {
        (Some(text), Some(piece)) => text.push_str(&piece),
        (None, Some(piece)) => *text = Some(piece),
        (_, None) => {}
    }
}

/// Unknown members outside of deltas say the same again or something newer: the latest counts.
fn latest(into: &mut Extra, from: &Extra, skip: &[&str]) {
    for (name, json) in from.iter().filter(|(name, _)| !skip.contains(name)) {
        into.insert(name.to_owned(), json.clone());
    }
}

/// Unknown members of deltas: texts and lists grow, everything else is replaced by the latest.
fn grow(into: &mut Extra, from: &Extra) {
    for (name, json) in from.iter() {
        let joined = into.get(name).and_then(|before| joined(before, json));
        into.insert(name.to_owned(), joined.unwrap_or_else(|| json.clone()));
    }
}

fn joined(before: &Json, piece: &Json) -> Option<Json> {
    match (before.value(), piece.value()) {
        (Value::String(before), Value::String(piece)) => Json::of(&(before + &piece)).ok(),
        (Value::Array(mut before), Value::Array(piece)) => {
            before.extend(piece);
            Json::of(&before).ok()
        }
        _ => None,
    }
}

/// `{"content": […], "refusal": […]}` of all pieces in one.
fn joined_logprobs(pieces: &[Json]) -> Option<Json> {
    let [first, rest @ ..] = pieces else { return None };
    if rest.is_empty() {
        return Some(first.clone());
    }
    let mut all = first.value();
    for piece in rest {
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), piece.value()) {
            for (name, tokens) in more {
                match (all.get_mut(&name).and_then(Value::as_array_mut), tokens) {
                    (Some(known), Value::Array(tokens)) => known.extend(tokens),
                    (Some(_), Value::Null) => {}
                    (_, tokens) => {
                        all.insert(name, tokens);
                    }
                }
            }
        }
    }
    Json::of(&all).ok()
}

impl fmt::Debug for Assembler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembler")
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}
