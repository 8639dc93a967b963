//! The content of message items, separated into the parts that a chat completion keeps in different fields.

use std::collections::BTreeMap;

use super::lenient_items::repair_part;
use crate::chat::{Content, Json};
use crate::responses::ItemPart;
use crate::translate::tagged_object;

/// The content of one or more message items, merged: texts are concatenated, lists are appended.
#[derive(Default)]
pub(super) struct MessageContent {
    /// The concatenated text. `None` if no item has a text part. An empty string if all text parts are empty.
    pub(super) text: Option<String>,
    pub(super) refusal: Option<String>,
    /// The parts with reasoning, which some providers put into messages.
    pub(super) reasoning: Vec<String>,
    /// Annotations of the text, such as citations, in the Chat Completions format.
    pub(super) annotations: Vec<Json>,
    /// Log probabilities of the text's tokens.
    pub(super) logprobs: Vec<Json>,
}

impl MessageContent {
    pub(super) fn push(&mut self, content: Option<Content<ItemPart>>) {
        match content {
            Some(Content::Text(text)) => *self.text.get_or_insert_default() += &text,
            Some(Content::Parts(parts)) => parts.into_iter().for_each(|part| self.push_part(part)),
            None => {}
        }
    }

    fn push_part(&mut self, part: ItemPart) {
        match repair_part(part) {
            ItemPart::OutputText(part) => {
                *self.text.get_or_insert_default() += &part.text;
                let annotations = part.annotations.iter().map(tagged_object::nest);
                self.annotations.extend(annotations);
                self.logprobs.extend(part.logprobs.into_iter().flatten());
            }
            ItemPart::ReasoningText(part) | ItemPart::SummaryText(part) => self.reasoning.push(part.text),
            ItemPart::Refusal(part) => *self.refusal.get_or_insert_default() += &part.refusal,
            _ => {}
        }
    }
}

/// Returns the `logprobs` object of a chat choice that contains the given tokens, or `None` if `tokens` is
/// empty. Numbers keep all their digits.
pub(super) fn chat_logprobs(tokens: &[Json]) -> Option<Json> {
    if tokens.is_empty() {
        return None;
    }
    Json::of(&BTreeMap::from([("content", Some(tokens)), ("refusal", None)])).ok()
}
