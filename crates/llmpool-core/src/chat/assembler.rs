//! Chunks to the plain answer.
//!
//! Always true: a stream assembled equals the plain answer, whatever pieces it came in; repeated usage is never summed.

use std::fmt;
use std::sync::Arc;

use super::chunk::{ChatChunk, ChunkChoice, Delta};
use super::content::Content;
use super::delta_merge::MergedFields;
use super::finish_reason::{FinishClass, FinishReason};
use super::lenient_u64::LenientU64;
use super::message::Message;
use super::part::{Part, Thought};
use super::response::{ChatCompletion, Choice};
use super::tool::{FunctionCall, ToolCall, ToolCallDelta};
use super::tool_call_matcher::ToolCallMatcher;
use super::unknown_fields::{Json, UnknownFields};

/// Puts a stream together.
#[derive(Clone, Default)]
pub struct Assembler {
    answer: ChatCompletion,
    /// What there is of each choice beside what the answer has of it.
    growing: Vec<Growing>,
}

/// Of one choice.
#[derive(Clone, Default)]
struct Growing {
    calls: ToolCallMatcher,
    /// Joined once, at the end.
    logprobs: Vec<Json>,
    members: MergedFields,
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
        tell(&mut answer.id, chunk.id);
        tell(&mut answer.model, chunk.model);
        tell(&mut answer.system_fingerprint, chunk.system_fingerprint);
        tell(&mut answer.service_tier, chunk.service_tier);
        answer.created = match (answer.created, chunk.created) {
            (None | Some(LenientU64(0)), Some(created)) => Some(created),
            (known, _) => known,
        };
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
        let ended = |choice: &Choice| choice.finish_reason.as_ref().is_some_and(says_why);
        !self.answer.choices.is_empty() && self.answer.choices.iter().all(ended)
    }

    /// What there is so far.
    pub fn partial(&self) -> ChatCompletion {
        self.clone().finish()
    }

    /// The answer.
    pub fn finish(mut self) -> ChatCompletion {
        for (choice, growing) in self.answer.choices.iter_mut().zip(&self.growing) {
            choice.logprobs = joined_logprobs(&growing.logprobs);
            for (name, json) in growing.members.whole() {
                set_member(&mut choice.message, name, json);
            }
        }
        self.answer
    }

    fn push_choice(&mut self, piece: ChunkChoice) {
        let index = piece.index();
        let at = match self.answer.choices.binary_search_by_key(&index, Choice::index) {
            Ok(at) => at,
            Err(at) => {
                self.answer.choices.insert(at, Choice::at(index));
                self.growing.insert(at, Growing::default());
                at
            }
        };
        let choice = &mut self.answer.choices[at];
        let growing = &mut self.growing[at];
        if let Some(reason) = piece.finish_reason
            && (says_why(&reason) || choice.finish_reason.is_none())
        {
            choice.finish_reason = Some(reason);
        }
        growing.logprobs.extend(piece.logprobs);
        latest(&mut choice.extra, &piece.extra, &["usage"]);
        push_delta(&mut choice.message, piece.delta, growing);
    }
}

/// Some providers write an empty one into every chunk.
fn says_why(reason: &FinishReason) -> bool {
    reason.class() != FinishClass::Missing
}

/// What a chunk says of the whole: the latest counts, but not an empty one, as in the frames that Azure puts around a stream.
fn tell(known: &mut Option<String>, said: Option<Arc<str>>) {
    if let Some(said) = said
        && (known.is_none() || (!said.is_empty() && known.as_deref() != Some(&said)))
    {
        *known = Some(said.to_string());
    }
}

/// Members that a message has fields for, and that are rare enough in a stream to have none in a delta.
fn set_member(message: &mut Message, name: &str, json: Json) {
    match name {
        "reasoning_details" => message.reasoning_details = Some(json),
        "audio" => message.audio = Some(json),
        "annotations" => match serde_json::from_str(json.get()) {
            Ok(list) => message.annotations = Some(list),
            Err(_) => message.extra.insert(name.to_owned(), json),
        },
        _ => message.extra.insert(name.to_owned(), json),
    }
}

fn push_delta(message: &mut Message, delta: Delta, growing: &mut Growing) {
    if delta.role.is_some() {
        message.role = delta.role;
    }
    push_content(&mut message.content, delta.content);
    append(&mut message.refusal, delta.refusal);
    append(&mut message.reasoning_content, delta.reasoning_content);
    append(&mut message.reasoning, delta.reasoning);
    if let Some(piece) = delta.function_call {
        push_function(message.function_call.get_or_insert_default(), piece);
    }
    for piece in delta.tool_calls {
        let number = growing.calls.position_of(&piece);
        push_tool_call(&mut message.tool_calls, number, piece);
    }
    growing.members.push(&delta.extra);
}

fn push_tool_call(calls: &mut Vec<ToolCall>, number: usize, piece: ToolCallDelta) {
    if number == calls.len() {
        calls.push(ToolCall::default());
    }
    let call = &mut calls[number];
    let id = piece.id.filter(|id| !id.is_empty());
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
fn latest(into: &mut UnknownFields, from: &UnknownFields, skip: &[&str]) {
    for (name, json) in from.iter().filter(|(name, _)| !skip.contains(name)) {
        into.insert(name.to_owned(), json.clone());
    }
}

/// `{"content": […], "refusal": […]}` of all pieces in one.
fn joined_logprobs(pieces: &[Json]) -> Option<Json> {
    let [first, rest @ ..] = pieces else { return None };
    let mut all = MergedFields::default();
    if rest.is_empty() || !pieces.iter().all(|piece| all.push_object(piece)) {
        return Some(first.clone());
    }
    all.object()
}

impl fmt::Debug for Assembler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembler")
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}
