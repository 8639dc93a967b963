//! Reasoning in a stream of chat chunks: its text and its encrypted content.

use super::output::StreamedOutput;
use crate::chat::Json;
use crate::responses::{Item, ItemPart, ItemText, ReasoningItem};
use crate::translate::REASONING_SEPARATOR;
use crate::translate::reasoning_details::ReasoningDetails;

/// Appends text to the reasoning item that is being written. Starts a reasoning item if none is being
/// written. Does nothing if the text is empty.
pub(super) fn push_text(output: &mut StreamedOutput, text: &str) {
    if text.is_empty() {
        return;
    }
    // At the start of a reasoning item, the separator from earlier reasoning is not needed.
    let text = if is_reasoning(output) {
        text
    } else {
        text.strip_prefix(REASONING_SEPARATOR).unwrap_or(text)
    };
    let part = ItemPart::ReasoningText(ItemText::default());
    output.push_text(part, text.to_owned(), None);
}

fn is_reasoning(output: &StreamedOutput) -> bool {
    output
        .current()
        .is_some_and(|(_, item)| matches!(item, Item::Reasoning(_)))
}

/// Encrypted reasoning that has arrived but is not part of the output yet.
#[derive(Clone, Debug, Default)]
pub(super) struct ReasoningStream {
    /// Encrypted reasoning items that arrived while a message was being written and all reasoning items in
    /// the output already had encrypted content. [`finish`](Self::finish) adds these items to the output.
    late: Vec<ReasoningItem>,
}

impl ReasoningStream {
    /// Translates the `reasoning_details` of a chunk. Adds encrypted content to an earlier reasoning item
    /// without encrypted content, or as a reasoning item of its own. `has_text` tells whether the chunk also
    /// contains reasoning text in another field. If so, the text in `reasoning_details` is ignored, because
    /// both texts are the same.
    pub(super) fn push_details(&mut self, details: &Json, has_text: bool, output: &mut StreamedOutput) {
        let details = ReasoningDetails::parse(details);
        if details.items.is_empty() && !has_text {
            push_text(output, &details.other_text);
        }
        for item in details.items {
            if !has_text && !is_reasoning(output) {
                push_text(output, &item.text());
            }
            if item.encrypted_content.is_some() {
                self.push_encrypted(item, output);
            }
        }
    }

    fn push_encrypted(&mut self, encrypted: ReasoningItem, output: &mut StreamedOutput) {
        let Some((current, _)) = output.current() else {
            output.push_complete(without_text(encrypted));
            return;
        };
        match output.find_last(missing_encrypted_content) {
            Some((index, _, content)) => {
                *content = encrypted.encrypted_content;
                if index == current {
                    output.end_current();
                }
            }
            None => self.late.push(encrypted),
        }
    }

    /// Adds the encrypted reasoning items that could not be added earlier, because a message was being
    /// written.
    pub(super) fn finish(&mut self, output: &mut StreamedOutput) {
        for item in std::mem::take(&mut self.late) {
            output.push_complete(without_text(item));
        }
    }
}

fn missing_encrypted_content(item: &mut Item) -> Option<&mut Option<String>> {
    match item {
        Item::Reasoning(item) if item.encrypted_content.is_none() => Some(&mut item.encrypted_content),
        _ => None,
    }
}

/// Returns the reasoning item without its text, because deltas of another item have already sent the text.
fn without_text(item: ReasoningItem) -> Item {
    Item::Reasoning(ReasoningItem {
        summary: Vec::new(),
        content: None,
        ..item
    })
}
