//! The parts of an answer that a translation leaves out.
//!
//! What only serves the provider's bookkeeping, such as ids, is not reported, nor is what repeats the request.

use super::chat_over_responses::repair_item;
use super::echoed::{PHASE, not_echoed};
use super::image_items::{IMAGES, item_to_image};
use super::moderation::{self, MODERATION};
use crate::chat::{
    ChatChunk, ChatCompletion, Choice, ChunkChoice, Content, Json, Message, Part, ToolCall, ToolCallDelta,
    UnknownFields,
};
use crate::responses::{Item, ItemPart, MessageItem, Response};

/// Maximum number of reported paths, because the provider determines how many unknown fields an answer has.
const MAX_PATHS: usize = 128;

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
            dropped.push(format!("choices[{}]", choice.index()));
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
        let names = not_echoed(extra).filter(|name| !known.contains(name));
        for name in names.filter(|name| extra.get(name).is_some_and(|json| json.get() != "null")) {
            self.push(if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            });
        }
    }

    /// Reports the fields of a response other than its output.
    pub(super) fn add_response(&mut self, response: &Response) {
        self.add_unknown(&response.extra, &[&ECHOES[..], &[MODERATION]].concat(), "");
    }

    pub(super) fn add_items(&mut self, items: &[Item]) {
        let last_phase = items.iter().rev().find_map(|item| match item {
            Item::Message(message) => message.phase.as_ref(),
            _ => None,
        });
        for (index, item) in items.iter().enumerate() {
            self.add_item(item, index as u64);
            if let Item::Message(MessageItem {
                phase: Some(phase), ..
            }) = item
                && Some(phase) != last_phase
            {
                self.push(format!("output[{index}].{PHASE}"));
            }
        }
    }

    /// Reports what a chat cannot express of the item at `index` of the output.
    pub(super) fn add_item(&mut self, item: &Item, index: u64) {
        let path = format!("output[{index}]");
        if let Item::Other(_) = item {
            match repair_item(item.clone()) {
                Item::Other(_) => self.push(format!("{path} (unknown type)")),
                repaired => self.add_item(&repaired, index),
            }
            return;
        }
        match item {
            Item::Message(message) | Item::EasyMessage(message) => self.add_message_item(message, &path),
            Item::FunctionCall(call) => self.add_unknown(&call.extra, &["created_by"], &path),
            Item::CustomToolCall(call) => self.add_unknown(&call.extra, &["created_by"], &path),
            Item::Reasoning(_) => {}
            Item::ImageGenerationCall(image) if item_to_image(image).is_some() => {
                self.add_unknown(&image.extra, &["result"], &path);
            }
            item => self.push(format!("{path} ({})", item.kind())),
        }
    }

    fn add_message_item(&mut self, message: &MessageItem, path: &str) {
        self.add_unknown(&message.extra, &["created_by"], path);
        let Some(Content::Parts(parts)) = &message.content else {
            return;
        };
        for (index, part) in parts.iter().enumerate() {
            let path = format!("{path}.content[{index}]");
            match part {
                ItemPart::OutputText(part) => self.add_unknown(&part.extra, &[], &path),
                ItemPart::Refusal(part) => self.add_unknown(&part.extra, &[], &path),
                // A part whose fields have other types is repaired.
                ItemPart::Other(_) if matches!(&*part.kind(), "output_text" | "refusal") => {}
                _ => self.push(path),
            }
        }
    }

    /// Reports the fields of a completion or chunk other than its choices. `extra` contains its unknown
    /// fields.
    fn add_completion(&mut self, extra: &UnknownFields, has_fingerprint: bool) {
        self.add_unknown(extra, &[MODERATION, "metadata", "obfuscation", "x_groq"], "");
        for side in moderation::shortened(extra) {
            self.push(format!("{MODERATION}.{side}.results"));
        }
        if has_fingerprint {
            self.push("system_fingerprint".to_owned());
        }
    }

    fn add_choice(&mut self, choice: &Choice) {
        let path = "choices[0]";
        self.add_unknown(&choice.extra, &["usage"], path);
        self.add_refusal_logprobs(choice.logprobs.as_ref());
        let Message { audio, extra, .. } = &choice.message;
        if audio.is_some() {
            self.push(format!("{path}.message.audio"));
        }
        self.add_message(extra, choice.message.content.as_ref());
        for (index, call) in choice.message.tool_calls.iter().enumerate() {
            self.add_call(call, index);
        }
    }

    /// Reports the parts of a chunk. Uses the same paths as for the assembled completion.
    pub(super) fn add_chunk(&mut self, chunk: &ChatChunk) {
        self.add_completion(&chunk.extra, chunk.system_fingerprint.is_some());
    }

    /// Reports what a response cannot express of a choice of a chunk.
    pub(super) fn add_chunk_choice(&mut self, choice: &ChunkChoice) {
        if choice.index() != 0 {
            return self.push(format!("choices[{}]", choice.index()));
        }
        self.add_unknown(&choice.extra, &["usage"], "choices[0]");
        self.add_refusal_logprobs(choice.logprobs.as_ref());
        self.add_message(&choice.delta.extra, choice.delta.content.as_ref());
    }

    fn add_message(&mut self, extra: &UnknownFields, content: Option<&Content>) {
        const KNOWN: [&str; 4] = [IMAGES, PHASE, "annotations", "reasoning_details"];
        let path = "choices[0].message";
        self.add_unknown(extra, &KNOWN, path);
        let Some(Content::Parts(parts)) = content else {
            return;
        };
        for (index, part) in parts.iter().enumerate() {
            let path = format!("{path}.content[{index}]");
            match part {
                Part::Text(part) => self.add_unknown(&part.extra, &[], &path),
                Part::Refusal(part) => self.add_unknown(&part.extra, &[], &path),
                Part::Thinking(part) => self.add_unknown(&part.extra, &[], &path),
                _ => self.push(path),
            }
        }
    }

    fn add_call(&mut self, call: &ToolCall, index: usize) {
        let path = format!("choices[0].message.tool_calls[{index}]");
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
        let path = format!("choices[0].message.tool_calls[{index}]");
        // Some providers number the calls of complete messages too.
        self.add_unknown(extra, &["index"], &path);
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
