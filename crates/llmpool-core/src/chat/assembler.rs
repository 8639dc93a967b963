//! Assembles the chunks of a stream into a complete chat completion.
//!
//! Invariant: the assembled completion equals the completion that the provider would have sent without
//! streaming, however the provider split the answer into chunks.
//!
//! If several chunks report usage, the last report is used, with the counts of earlier ones that it lacks; reports
//! are never added up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::arguments::ArgumentsProgress;
use super::chunk::{ChatChunk, ChunkChoice, Delta};
use super::content::Content;
use super::delta_merge::MergedFields;
use super::field_map::FieldMap;
use super::finish_reason::FinishReason;
use super::json::Json;
use super::message::Message;
use super::part::Part;
use super::response::{ChatCompletion, Choice};
use super::thinking::Thought;
use super::tool::{FunctionCall, ToolCall, ToolCallDelta};
use super::tool_call_matcher::{ToolCallMatcher, extend_name};
use super::usage::Usage;
use super::wire_object::partial_debug;

/// A builder that assembles the chunks of one stream into a [`ChatCompletion`].
///
/// Takes time linear in the size of the chunks, whatever the provider sends.
#[derive(Clone, Default)]
pub struct Assembler {
    /// The completion without its choices and unknown fields.
    completion: ChatCompletion,
    unknown_fields: FieldMap<Json>,
    choices: BTreeMap<u64, PartialChoice>,
}

/// Intermediate state for assembling one choice.
#[derive(Clone, Default)]
struct PartialChoice {
    choice: Choice,
    unknown_fields: FieldMap<Json>,
    /// Unknown fields of the deltas.
    delta_fields: MergedFields,
    /// Unknown fields of the last part, if it contains reasoning of several deltas.
    thinking_fields: FieldMap<Json>,
    function_fields: FieldMap<Json>,
    function_arguments: ArgumentsProgress,
    matcher: ToolCallMatcher,
    tool_calls: Vec<CallFields>,
    /// Log probabilities from each chunk, in order. `finish` joins them into one value.
    logprobs: Vec<Json>,
}

/// Unknown fields of a tool call and of its function.
#[derive(Clone, Default)]
struct CallFields {
    call: FieldMap<Json>,
    function: FieldMap<Json>,
}

impl Assembler {
    /// Creates an empty assembler, to which the chunks of one stream can be added.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next chunk of the stream. Chunks must be added in the order in which they arrive.
    pub fn push(&mut self, chunk: ChatChunk) {
        let usage = chunk.any_usage();
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
        Usage::update(&mut completion.usage, usage);
        self.unknown_fields
            .replace(&chunk.extra, &["obfuscation", "x_groq"]);
        for choice in chunk.choices {
            let index = choice.index();
            self.choices.entry(index).or_default().push(choice);
        }
    }

    /// Returns whether every choice received so far has a finish reason. Returns `false` before the first
    /// choice.
    pub fn is_done(&self) -> bool {
        let mut choices = self.choices.values();
        !self.choices.is_empty() && choices.all(PartialChoice::is_finished)
    }

    /// Returns the completion assembled from the chunks added so far.
    pub fn partial(&self) -> ChatCompletion {
        self.clone().finish()
    }

    /// Consumes the assembler and returns the completion assembled from all added chunks.
    pub fn finish(mut self) -> ChatCompletion {
        let mut completion = self.completion;
        self.unknown_fields.move_to(&mut completion.extra);
        let choices = self.choices.into_iter();
        completion.choices = choices.map(|(index, choice)| choice.finish(index)).collect();
        completion
    }
}

impl PartialChoice {
    fn push(&mut self, piece: ChunkChoice) {
        let choice = &mut self.choice;
        if let Some(reason) = piece.finish_reason
            && (reason.is_stated() || choice.finish_reason.is_none())
        {
            choice.finish_reason = Some(reason);
        }
        self.logprobs.extend(piece.logprobs);
        // Some providers send the complete message beside the delta, or after the last one.
        self.unknown_fields.replace(&piece.extra, &["usage", "message"]);
        self.merge_delta(piece.delta);
    }

    fn is_finished(&self) -> bool {
        self.choice
            .finish_reason
            .as_ref()
            .is_some_and(FinishReason::is_stated)
    }

    fn finish(mut self, index: u64) -> Choice {
        self.end_thinking();
        let mut choice = self.choice;
        choice.index = index.into();
        choice.logprobs = join_logprobs(&self.logprobs);
        self.unknown_fields.move_to(&mut choice.extra);
        let message = &mut choice.message;
        for (name, json) in self.delta_fields.to_fields() {
            set_field(message, name, json);
        }
        if let Some(function) = &mut message.function_call {
            self.function_fields.move_to(&mut function.extra);
        }
        let calls = message.tool_calls.iter_mut().zip(&mut self.tool_calls);
        for (position, (call, fields)) in calls.enumerate() {
            fields.call.move_to(&mut call.extra);
            let name = self.matcher.name(position).map(str::to_owned);
            if let Some(function) = &mut call.function {
                fields.function.move_to(&mut function.extra);
                function.name = name.or(function.name.take());
            } else if let Some(custom) = &mut call.custom {
                custom.name = name.or(custom.name.take());
            }
        }
        choice
    }

    fn merge_delta(&mut self, delta: Delta) {
        let message = &mut self.choice.message;
        // Some providers send an empty role with every chunk after the first.
        if let Some(role) = delta.role.filter(|role| !role.as_str().is_empty()) {
            message.role = Some(role);
        }
        append(&mut message.refusal, delta.refusal);
        append(&mut message.reasoning_content, delta.reasoning_content);
        append(&mut message.reasoning, delta.reasoning);
        if let Some(piece) = delta.function_call {
            merge_deprecated_call(
                message.function_call.get_or_insert_default(),
                piece,
                &mut self.function_fields,
                &mut self.function_arguments,
            );
        }
        self.append_content(delta.content);
        for piece in delta.tool_calls {
            self.merge_tool_call(piece);
        }
        self.delta_fields.merge(&delta.extra);
    }

    fn merge_tool_call(&mut self, piece: ToolCallDelta) {
        let calls = &self.choice.message.tool_calls;
        let (position, change) = self
            .matcher
            .assign(&piece, |position| calls[position].arguments());
        if position == self.tool_calls.len() {
            self.tool_calls.push(CallFields::default());
            self.choice.message.tool_calls.push(ToolCall::default());
        }
        let call = &mut self.choice.message.tool_calls[position];
        let fields = &mut self.tool_calls[position];
        let id = piece.id.filter(|id| !id.is_empty());
        call.id = call.id.take().or(id);
        call.kind = call.kind.take().or(piece.kind);
        // The matcher knows the name.
        if let Some(piece) = piece.function {
            let function = call.function.get_or_insert_default();
            function.name = function.name.take().or(piece.name);
            if let Some(arguments) = piece.arguments {
                change.apply(function.arguments.get_or_insert_default(), arguments);
            }
            fields.function.replace(&piece.extra, &[]);
        }
        if let Some(piece) = piece.custom {
            let custom = call.custom.get_or_insert_default();
            custom.name = custom.name.take().or(piece.name);
            append(&mut custom.input, piece.input);
        }
        fields.call.replace(&piece.extra, &[]);
    }

    /// Appends `piece` to the content. Two strings become one string. If the content or `piece` is a list of
    /// parts, the result is a list of parts.
    fn append_content(&mut self, piece: Option<Content>) {
        let content = match (self.choice.message.content.take(), piece) {
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
                    .for_each(|piece| self.append_part(&mut parts, piece));
                Some(Content::Parts(parts))
            }
        };
        self.choice.message.content = content;
    }

    fn append_part(&mut self, parts: &mut Vec<Part>, piece: Part) {
        match (parts.last_mut(), piece) {
            (Some(Part::Text(text)), Part::Text(piece)) => text.text.push_str(&piece.text),
            (Some(Part::Refusal(refusal)), Part::Refusal(piece)) => refusal.refusal.push_str(&piece.refusal),
            (Some(Part::Thinking(thinking)), Part::Thinking(piece)) => {
                append_thinking(&mut thinking.thinking, piece.thinking);
                self.thinking_fields.replace(&thinking.extra.take_fields(), &[]);
                self.thinking_fields.replace(&piece.extra, &[]);
            }
            (last, piece) => {
                end_thinking(last, &mut self.thinking_fields);
                parts.push(piece);
            }
        }
    }

    fn end_thinking(&mut self) {
        if let Some(Content::Parts(parts)) = &mut self.choice.message.content {
            end_thinking(parts.last_mut(), &mut self.thinking_fields);
        }
    }
}

/// Moves the unknown fields of the last part to that part, if it contains reasoning.
fn end_thinking(last: Option<&mut Part>, fields: &mut FieldMap<Json>) {
    if let Some(Part::Thinking(thinking)) = last {
        fields.move_to(&mut thinking.extra);
    }
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

/// Sets a message field that [`Delta`] does not define, such as `audio`. The field must not be set yet.
fn set_field(message: &mut Message, name: &str, json: Json) {
    match name {
        "reasoning_details" => message.reasoning_details = Some(json),
        "audio" => message.audio = Some(json),
        "annotations" => match serde_json::from_str(json.get()) {
            Ok(list) => message.annotations = Some(list),
            Err(_) => message.extra.push(name.to_owned(), json),
        },
        _ => message.extra.push(name.to_owned(), json),
    }
}

fn merge_deprecated_call(
    function: &mut FunctionCall,
    piece: FunctionCall,
    fields: &mut FieldMap<Json>,
    progress: &mut ArgumentsProgress,
) {
    let has_arguments = function
        .arguments
        .as_deref()
        .is_some_and(|text| !text.trim_start().is_empty());
    if let Some(name) = piece.name.filter(|_| !has_arguments) {
        extend_name(function.name.get_or_insert_default(), &name);
    }
    if let Some(piece) = piece.arguments {
        let arguments = function.arguments.get_or_insert_default();
        let change = progress.change(&piece, || arguments);
        progress.push(&piece, change);
        change.apply(arguments, piece);
    }
    fields.replace(&piece.extra, &[]);
}

fn into_parts(content: Content) -> Vec<Part> {
    match content {
        Content::Text(text) if text.is_empty() => Vec::new(),
        Content::Text(text) => vec![Part::text(text)],
        Content::Parts(parts) => parts,
    }
}

fn append_thinking(thinking: &mut Content<Thought>, piece: Content<Thought>) {
    match (thinking, piece) {
        (Content::Text(text), Content::Text(piece)) => text.push_str(&piece),
        (Content::Parts(thoughts), Content::Parts(pieces)) => {
            pieces
                .into_iter()
                .for_each(|piece| append_thought(thoughts, piece));
        }
        (Content::Parts(thoughts), Content::Text(piece)) => append_thought(thoughts, Thought::text(piece)),
        (thinking, pieces) => {
            let Content::Text(text) = std::mem::take(thinking) else {
                return;
            };
            *thinking = Content::Parts(vec![Thought::text(text)]);
            append_thinking(thinking, pieces);
        }
    }
}

fn append_thought(thoughts: &mut Vec<Thought>, piece: Thought) {
    match (thoughts.last_mut(), piece) {
        (Some(Thought::Text(text)), Thought::Text(piece)) => text.text.push_str(&piece.text),
        (_, piece) => thoughts.push(piece),
    }
}

fn append(text: &mut Option<String>, piece: Option<String>) {
    match (text.as_mut(), piece) {
        (Some(text), Some(piece)) => text.push_str(&piece),
        (None, Some(piece)) => *text = Some(piece),
        (_, None) => {}
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

partial_debug!(Assembler { choices.len() });
