//! The parts of an answer that a translation leaves out.
//!
//! What only serves the provider's bookkeeping, such as ids, is not reported, nor is what repeats the request.

use serde_json::Value;

use super::chat_over_responses::{removed_from_item, removed_from_part, repair_item, repair_part};
use super::echoed::{EXTRA_CONTENT, EchoedMessage, PHASE};
use super::image_items::{IMAGES, item_to_image};
use super::moderation::{self, MODERATION};
use super::reasoning_details::REASONING_DETAILS;
use crate::chat::{
    ChatChunk, ChatCompletion, Choice, ChunkChoice, Content, Json, Part, ToolCall, ToolCallDelta,
    UnknownFields,
};
use crate::responses::{Item, ItemPart, MessageItem, Response};

/// Maximum number of reported paths, because the provider determines how many unknown fields an answer has.
const MAX_PATHS: usize = 128;

/// Maximum number of characters of a field name in a path, because the provider writes the name.
const MAX_NAME: usize = 64;

/// Unknown fields of a response that repeat the request, or that say who pays.
const ECHOES: [&str; 16] = [
    "access_programs",
    "background",
    "billing",
    "conversation",
    "frequency_penalty",
    "image",
    "output_text",
    "presence_penalty",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "top_logprobs",
    "user",
];

/// Name of the field of a response with the uses of the provider's tools.
const TOOL_USAGE: &str = "tool_usage";

/// Fields of an item that serve only the provider's bookkeeping.
const BOOKKEEPING: [&str; 3] = ["created_by", "id", "status"];

/// Fields of a tool call or message that are not reported as unknown fields.
const CARRIED: [&str; 2] = ["created_by", EXTRA_CONTENT];

/// Path of the message of a completion.
const MESSAGE: &str = "choices[0].message";

/// Returns the paths of the parts of a response that
/// [`response_to_completion`](super::response_to_completion) leaves out, such as `output[0] (web_search_call)`
/// or `output[1].namespace`. Contains at most 128 paths.
pub fn dropped_from_response(response: &Response) -> Vec<String> {
    let mut dropped = DroppedOutput::default();
    dropped.add_items(&response.output);
    dropped.add_response(response);
    dropped.0
}

/// Returns the paths of the parts of a chat completion that
/// [`completion_to_response`](super::completion_to_response) leaves out, such as `choices[1]` or
/// `choices[0].message.audio`. Contains at most 128 paths.
pub fn dropped_from_completion(completion: &ChatCompletion) -> Vec<String> {
    let mut dropped = DroppedOutput::default();
    let fingerprint = completion.system_fingerprint.is_some();
    dropped.add_completion(&completion.extra, fingerprint);
    let first = completion.first().map(Choice::index);
    for choice in &completion.choices {
        if Some(choice.index()) == first {
            dropped.add_choice(choice);
        } else {
            dropped.add_other_choice(choice.index());
        }
    }
    dropped.0
}

/// The paths of the parts that were left out so far, each path once.
#[derive(Clone, Debug, Default)]
pub(super) struct DroppedOutput(Vec<String>);

impl DroppedOutput {
    pub(super) fn paths(&self) -> &[String] {
        &self.0
    }

    fn push(&mut self, path: String) {
        if self.0.len() < MAX_PATHS && !self.0.contains(&path) {
            self.0.push(path);
        }
    }

    /// Reports the unknown fields named `names` of the object at `path`, except null fields and those named in
    /// `known`.
    fn add_unknown(&mut self, extra: &UnknownFields, known: &[&str], path: &str) {
        for (name, json) in extra.iter() {
            if !known.contains(&name) && json.get() != "null" {
                self.push_field(path, name);
            }
        }
    }

    /// Reports the field `name` of the object at `path`. Removes control characters from the name and shortens
    /// it.
    fn push_field(&mut self, path: &str, name: &str) {
        let name = shown(name);
        self.push(if path.is_empty() {
            name
        } else {
            format!("{path}.{name}")
        });
    }

    /// Reports the fields of a response other than its output.
    pub(super) fn add_response(&mut self, response: &Response) {
        let mut known = ECHOES.to_vec();
        if !moderation::is_malformed(&response.extra) {
            known.push(MODERATION);
        }
        // OpenAI counts the uses of its tools in every response.
        if response.extra.get(TOOL_USAGE).is_some_and(counts_nothing) {
            known.push(TOOL_USAGE);
        }
        self.add_unknown(&response.extra, &known, "");
    }

    /// Reports what a chat cannot express of the output of a response.
    pub(super) fn add_items(&mut self, items: &[Item]) {
        let mut kept = EchoedMessage::default();
        items.iter().for_each(|item| kept.update(echoed_of(item)));
        for (index, item) in items.iter().enumerate() {
            self.add_item(item, index as u64);
            // The chat has one message.
            self.add_echoed(&echoed_of(item), &kept, &format!("output[{index}]"));
        }
    }

    /// Reports the fields of `echoed`, at `path`, that are not the same in `kept`.
    fn add_echoed(&mut self, echoed: &EchoedMessage, kept: &EchoedMessage, path: &str) {
        let lost = echoed.lost_in(kept);
        lost.for_each(|name| self.push(format!("{path}.{name}")));
    }

    /// Reports the fields of a chat message that must be sent back. Called if a response has no message for
    /// them, because the chat message has no text.
    pub(super) fn add_echoed_of_chat(&mut self, echoed: &EchoedMessage) {
        self.add_echoed(echoed, &EchoedMessage::default(), MESSAGE);
    }

    /// Reports what a chat cannot express of the item at `index` of the output.
    pub(super) fn add_item(&mut self, item: &Item, index: u64) {
        let path = format!("output[{index}]");
        if let Item::Other(json) = item {
            match repair_item(item.clone()) {
                Item::Other(_) => self.push(format!("{path} (unknown type)")),
                repaired => {
                    self.add_item(&repaired, index);
                    self.add_removed(removed_from_item(json), &path);
                }
            }
            return;
        }
        match item {
            Item::Message(message) | Item::EasyMessage(message) => self.add_message_item(message, &path),
            Item::FunctionCall(call) => self.add_unknown(&call.extra, &CARRIED, &path),
            Item::CustomToolCall(call) => self.add_unknown(&call.extra, &CARRIED, &path),
            Item::Reasoning(_) => {}
            Item::ImageGenerationCall(image) if item_to_image(image).is_some() => {
                self.add_unknown(&image.extra, &["result"], &path);
            }
            item => self.push(format!("{path} ({})", item.kind())),
        }
    }

    /// Reports fields that were removed because their values do not have the documented type.
    fn add_removed(&mut self, names: Vec<String>, path: &str) {
        let reported = |name: &&String| !BOOKKEEPING.contains(&name.as_str());
        let reported = names.iter().filter(reported);
        reported.for_each(|name| self.push_field(path, name));
    }

    fn add_message_item(&mut self, message: &MessageItem, path: &str) {
        self.add_unknown(&message.extra, &CARRIED, path);
        let Some(Content::Parts(parts)) = &message.content else {
            return;
        };
        for (index, part) in parts.iter().enumerate() {
            let path = format!("{path}.content[{index}]");
            if let ItemPart::Other(json) = part {
                self.add_part(&repair_part(part.clone()), &path);
                self.add_removed(removed_from_part(json), &path);
            } else {
                self.add_part(part, &path);
            }
        }
    }

    fn add_part(&mut self, part: &ItemPart, path: &str) {
        match part {
            ItemPart::OutputText(part) => self.add_unknown(&part.extra, &[], path),
            ItemPart::Refusal(part) => self.add_unknown(&part.extra, &[], path),
            ItemPart::ReasoningText(part) | ItemPart::SummaryText(part) => {
                self.add_unknown(&part.extra, &[], path);
            }
            _ => self.push(path.to_owned()),
        }
    }

    /// Reports the fields of a completion or chunk other than its choices. `extra` contains its unknown
    /// fields.
    fn add_completion(&mut self, extra: &UnknownFields, has_fingerprint: bool) {
        self.add_unknown(extra, &[MODERATION, "metadata", "obfuscation", "x_groq"], "");
        if moderation::is_malformed(extra) {
            self.push(MODERATION.to_owned());
        }
        for side in moderation::shortened(extra) {
            self.push(format!("{MODERATION}.{}.results", shown(&side)));
        }
        if has_fingerprint {
            self.push("system_fingerprint".to_owned());
        }
    }

    /// Reports a choice other than the first. A response has only one answer.
    pub(super) fn add_other_choice(&mut self, index: u64) {
        self.push(format!("choices[{index}]"));
    }

    fn add_choice(&mut self, choice: &Choice) {
        self.add_unknown(&choice.extra, &["usage"], "choices[0]");
        self.add_refusal_logprobs(choice.logprobs.as_ref());
        let message = &choice.message;
        for (is_set, name) in [
            (message.audio.is_some(), "audio"),
            (message.name.is_some(), "name"),
        ] {
            if is_set {
                self.push(format!("{MESSAGE}.{name}"));
            }
        }
        self.add_message(&message.extra, message.content.as_ref());
        self.add_details(message.reasoning_details.as_ref());
        if message.text().is_empty() && message.refusal_text().is_empty() {
            self.add_echoed_of_chat(&EchoedMessage::of_chat(&message.extra));
        }
        let deprecated = message.function_call.as_ref();
        if let Some(function) = deprecated {
            self.add_call_fields(&UnknownFields::default(), Some(&function.extra), None, 0);
        }
        let first = usize::from(deprecated.is_some());
        for (index, call) in message.tool_calls.iter().enumerate() {
            self.add_call(call, first + index);
        }
    }

    /// Reports the parts of a chunk. Uses the same paths as for the assembled completion.
    pub(super) fn add_chunk(&mut self, chunk: &ChatChunk) {
        self.add_completion(&chunk.extra, chunk.system_fingerprint.is_some());
    }

    /// Reports what a response cannot express of the first choice of a chunk.
    pub(super) fn add_chunk_choice(&mut self, choice: &ChunkChoice) {
        self.add_unknown(&choice.extra, &["usage"], "choices[0]");
        self.add_refusal_logprobs(choice.logprobs.as_ref());
        self.add_message(&choice.delta.extra, choice.delta.content.as_ref());
        self.add_details(choice.delta.extra.get(REASONING_DETAILS));
    }

    /// Reports reasoning blocks that are not a list.
    fn add_details(&mut self, details: Option<&Json>) {
        if details.is_some_and(|details| !details.get().starts_with('[') && details.get() != "null") {
            self.push(format!("{MESSAGE}.{REASONING_DETAILS}"));
        }
    }

    fn add_message(&mut self, extra: &UnknownFields, content: Option<&Content>) {
        let mut known = vec![EXTRA_CONTENT, REASONING_DETAILS];
        for (name, start) in [(IMAGES, '['), ("annotations", '['), (PHASE, '"')] {
            if extra.get(name).is_some_and(|json| json.get().starts_with(start)) {
                known.push(name);
            }
        }
        self.add_unknown(extra, &known, MESSAGE);
        let Some(Content::Parts(parts)) = content else {
            return;
        };
        for (index, part) in parts.iter().enumerate() {
            let path = format!("{MESSAGE}.content[{index}]");
            match part {
                Part::Text(part) => self.add_unknown(&part.extra, &[], &path),
                Part::Refusal(part) => self.add_unknown(&part.extra, &[], &path),
                Part::Thinking(part) => self.add_unknown(&part.extra, &[], &path),
                _ => self.push(path),
            }
        }
    }

    fn add_call(&mut self, call: &ToolCall, index: usize) {
        let path = format!("{MESSAGE}.tool_calls[{index}]");
        if call.function.is_none() && call.custom.is_none() {
            return self.push(path);
        }
        let function = call.function.as_ref().map(|function| &function.extra);
        let custom = call.custom.as_ref().map(|custom| &custom.extra);
        self.add_call_fields(&call.extra, function, custom, index);
    }

    /// Reports what a response cannot express of a piece of the tool call at position `index`.
    pub(super) fn add_call_piece(&mut self, piece: &ToolCallDelta, index: usize) {
        let custom = piece.custom.as_ref().map(|custom| &custom.extra);
        let function = piece.function.as_ref().map(|function| &function.extra);
        let is_plain = |extra: Option<&UnknownFields>| extra.is_none_or(UnknownFields::is_empty);
        if piece.extra.is_empty() && is_plain(custom) && is_plain(function) {
            return;
        }
        self.add_call_fields(&piece.extra, function, custom, index);
    }

    /// Reports the unknown fields of a tool call, of its function and of its custom tool.
    fn add_call_fields(
        &mut self,
        extra: &UnknownFields,
        function: Option<&UnknownFields>,
        custom: Option<&UnknownFields>,
        index: usize,
    ) {
        let path = format!("{MESSAGE}.tool_calls[{index}]");
        // Some providers number the calls of complete messages too.
        self.add_unknown(extra, &["index", EXTRA_CONTENT], &path);
        for (extra, kind) in [(function, "function"), (custom, "custom")] {
            if let Some(extra) = extra {
                self.add_unknown(extra, &[], &format!("{path}.{kind}"));
            }
        }
    }

    fn add_refusal_logprobs(&mut self, logprobs: Option<&Json>) {
        #[derive(serde::Deserialize)]
        struct ChatLogprobs {
            refusal: Option<Json>,
        }
        let logprobs = logprobs.and_then(|json| serde_json::from_str::<ChatLogprobs>(json.get()).ok());
        if logprobs.is_some_and(|logprobs| logprobs.refusal.is_some()) {
            self.push("choices[0].logprobs.refusal".to_owned());
        }
    }
}

/// Returns the fields of an item that the client must send back.
fn echoed_of(item: &Item) -> EchoedMessage {
    match item {
        Item::Other(_) => EchoedMessage::of(&repair_item(item.clone())),
        item => EchoedMessage::of(item),
    }
}

/// Returns the name of a field as it is shown in a path.
fn shown(name: &str) -> String {
    let characters = name.chars().filter(|character| !character.is_control());
    characters.take(MAX_NAME).collect()
}

/// Returns whether all numbers in the JSON are 0.
fn counts_nothing(usage: &Json) -> bool {
    fn is_zero(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::Array(values) => values.iter().all(is_zero),
            Value::Object(members) => members.values().all(is_zero),
            _ => true,
        }
    }
    is_zero(&usage.value())
}
