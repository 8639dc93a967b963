//! Assembles the chunks of a stream into a complete chat completion.
//!
//! Invariant: the assembled completion equals the completion that the provider would have sent without
//! streaming, however the provider split the answer into chunks.
//!
//! If several chunks report usage, the last report is used; reports are never added up.

use std::sync::Arc;

use super::chunk::{ChatChunk, ChunkChoice, Delta};
use super::content::Content;
use super::delta_merge::MergedFields;
use super::finish_reason::{FinishClass, FinishReason};
use super::json::Json;
use super::message::Message;
use super::part::{Part, Thought};
use super::response::{ChatCompletion, Choice};
use super::tool::{FunctionCall, ToolCall, ToolCallDelta};
use super::tool_call_matcher::ToolCallMatcher;
use super::unknown_fields::UnknownFields;
use super::wire_object::partial_debug;

/// A builder that assembles the chunks of one stream into a [`ChatCompletion`].
#[derive(Clone, Default)]
pub struct Assembler {
    completion: ChatCompletion,
    /// State of each choice, in the same order as `completion.choices`.
    choices: Vec<ChoiceState>,
}

/// Intermediate state for assembling one choice.
#[derive(Clone, Default)]
struct ChoiceState {
    tool_calls: ToolCallMatcher,
    /// Log probabilities from each chunk, in order. `finish` joins them into one value.
    logprobs: Vec<Json>,
    unknown_fields: MergedFields,
}

impl Assembler {
    /// Creates an empty assembler, to which the chunks of one stream can be added.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next chunk of the stream. Chunks must be added in the order in which they arrive.
    pub fn push(&mut self, chunk: ChatChunk) {
        let usage = chunk.usage();
        let completion = &mut self.completion;
        replace_text(&mut completion.id, chunk.id);
        replace_text(&mut completion.model, chunk.model);
        replace_text(&mut completion.system_fingerprint, chunk.system_fingerprint);
        replace_text(&mut completion.service_tier, chunk.service_tier);
        if completion.created.get().unwrap_or(0) == 0 {
            completion.created = chunk.created.or(completion.created);
        }
        completion
            .object
            .get_or_insert_with(|| "chat.completion".to_owned());
        if usage.is_some() {
            completion.usage = usage;
        }
        replace_fields(&mut completion.extra, &chunk.extra, &["obfuscation", "x_groq"]);
        for choice in chunk.choices {
            self.push_choice(choice);
        }
    }

    /// Returns whether every choice received so far has a finish reason. Returns `false` before the first
    /// choice.
    pub fn is_done(&self) -> bool {
        let choices = &self.completion.choices;
        let is_finished = |choice: &Choice| choice.finish_reason.as_ref().is_some_and(is_stated);
        !choices.is_empty() && choices.iter().all(is_finished)
    }

    /// Returns the completion assembled from the chunks added so far.
    pub fn partial(&self) -> ChatCompletion {
        self.clone().finish()
    }

    /// Consumes the assembler and returns the completion assembled from all added chunks.
    pub fn finish(mut self) -> ChatCompletion {
        for (choice, state) in self.completion.choices.iter_mut().zip(&self.choices) {
            choice.logprobs = join_logprobs(&state.logprobs);
            for (name, json) in state.unknown_fields.to_fields() {
                set_field(&mut choice.message, name, json);
            }
        }
        self.completion
    }

    fn push_choice(&mut self, piece: ChunkChoice) {
        let (choice, state) = self.choice_mut(piece.index());
        if let Some(reason) = piece.finish_reason
            && (is_stated(&reason) || choice.finish_reason.is_none())
        {
            choice.finish_reason = Some(reason);
        }
        state.logprobs.extend(piece.logprobs);
        replace_fields(&mut choice.extra, &piece.extra, &["usage"]);
        merge_delta(&mut choice.message, piece.delta, state);
    }

    /// Returns the choice with the given index, and its state. Adds both if no choice has this index.
    fn choice_mut(&mut self, index: u64) -> (&mut Choice, &mut ChoiceState) {
        let choices = &mut self.completion.choices;
        let position = choices
            .binary_search_by_key(&index, Choice::index)
            .unwrap_or_else(|position| {
                choices.insert(position, Choice::with_index(index));
                self.choices.insert(position, ChoiceState::default());
                position
            });
        (&mut choices[position], &mut self.choices[position])
    }
}

/// Returns whether the finish reason is a non-empty string. Some providers send an empty finish reason in
/// each chunk of an unfinished choice.
fn is_stated(reason: &FinishReason) -> bool {
    reason.class() != FinishClass::Missing
}

/// Sets `known` to `text`, if present. An empty `text` does not replace an earlier value, because some
/// providers (such as Azure) send chunks with empty fields at both ends of a stream.
fn replace_text(known: &mut Option<String>, text: Option<Arc<str>>) {
    if let Some(text) = text
        && (known.is_none() || (!text.is_empty() && known.as_deref() != Some(&text)))
    {
        *known = Some(text.to_string());
    }
}

/// Sets a message field that [`Delta`] does not define, such as `audio`.
fn set_field(message: &mut Message, name: &str, json: Json) {
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

fn merge_delta(message: &mut Message, delta: Delta, state: &mut ChoiceState) {
    if delta.role.is_some() {
        message.role = delta.role;
    }
    append_content(&mut message.content, delta.content);
    append(&mut message.refusal, delta.refusal);
    append(&mut message.reasoning_content, delta.reasoning_content);
    append(&mut message.reasoning, delta.reasoning);
    if let Some(piece) = delta.function_call {
        merge_function(message.function_call.get_or_insert_default(), piece);
    }
    for piece in delta.tool_calls {
        let position = state.tool_calls.position_of(&piece);
        merge_tool_call(&mut message.tool_calls, position, piece);
    }
    state.unknown_fields.merge(&delta.extra);
}

fn merge_tool_call(calls: &mut Vec<ToolCall>, position: usize, piece: ToolCallDelta) {
    if position == calls.len() {
        calls.push(ToolCall::default());
    }
    let call = &mut calls[position];
    let id = piece.id.filter(|id| !id.is_empty());
    call.id = call.id.take().or(id);
    call.kind = call.kind.take().or(piece.kind);
    if let Some(function) = piece.function {
        merge_function(call.function.get_or_insert_default(), function);
    }
    if let Some(piece) = piece.custom {
        let custom = call.custom.get_or_insert_default();
        set_name(&mut custom.name, piece.name);
        append(&mut custom.input, piece.input);
    }
    replace_fields(&mut call.extra, &piece.extra, &[]);
}

fn merge_function(function: &mut FunctionCall, piece: FunctionCall) {
    set_name(&mut function.name, piece.name);
    append(&mut function.arguments, piece.arguments);
    replace_fields(&mut function.extra, &piece.extra, &[]);
}

/// Appends `piece` to `content`. Two strings become one string. If `content` or `piece` is a list of parts,
/// the result is a list of parts.
fn append_content(content: &mut Option<Content>, piece: Option<Content>) {
    *content = match (content.take(), piece) {
        (None, piece) => piece,
        (content, None) => content,
        (Some(Content::Text(mut text)), Some(Content::Text(piece))) => {
            text.push_str(&piece);
            Some(Content::Text(text))
        }
        (Some(content), Some(piece)) => {
            let mut parts = into_parts(content);
            into_parts(piece)
                .into_iter()
                .for_each(|piece| append_part(&mut parts, piece));
            Some(Content::Parts(parts))
        }
    };
}

fn into_parts(content: Content) -> Vec<Part> {
    match content {
        Content::Text(text) if text.is_empty() => Vec::new(),
        Content::Text(text) => vec![Part::text(text)],
        Content::Parts(parts) => parts,
    }
}

fn append_part(parts: &mut Vec<Part>, piece: Part) {
    match (parts.last_mut(), piece) {
        (Some(Part::Text(text)), Part::Text(piece)) => text.text.push_str(&piece.text),
        (Some(Part::Refusal(refusal)), Part::Refusal(piece)) => refusal.refusal.push_str(&piece.refusal),
        (Some(Part::Thinking(thinking)), Part::Thinking(piece)) => {
            let pieces = piece.thinking.into_iter();
            pieces.for_each(|piece| append_thought(&mut thinking.thinking, piece));
            replace_fields(&mut thinking.extra, &piece.extra, &[]);
        }
        (_, piece) => parts.push(piece),
    }
}

fn append_thought(thoughts: &mut Vec<Thought>, piece: Thought) {
    match (thoughts.last_mut(), piece) {
        (Some(Thought::Text(text)), Thought::Text(piece)) => text.text.push_str(&piece.text),
        (_, piece) => thoughts.push(piece),
    }
}

/// Sets `name` to `piece`, unless `name` already holds a non-empty string.
fn set_name(name: &mut Option<String>, piece: Option<String>) {
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

/// Copies the fields of `from` into `into`, replacing fields of the same name. Fields named in `skip` are not
/// copied.
fn replace_fields(into: &mut UnknownFields, from: &UnknownFields, skip: &[&str]) {
    for (name, json) in from.iter().filter(|(name, _)| !skip.contains(name)) {
        into.insert(name.to_owned(), json.clone());
    }
}

/// Joins the log probabilities of all chunks: concatenates their `content` lists and their `refusal` lists.
/// Returns the first piece unchanged if any piece is not an object.
fn join_logprobs(pieces: &[Json]) -> Option<Json> {
    let [first, rest @ ..] = pieces else { return None };
    let mut merged = MergedFields::default();
    if rest.is_empty() || !pieces.iter().all(|piece| merged.merge_object(piece)) {
        return Some(first.clone());
    }
    merged.to_object()
}

partial_debug!(Assembler { completion });
