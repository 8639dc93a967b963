//! Reasoning of a stream: its text, and its encrypted content.

use super::output::StreamedOutput;
use crate::chat::Json;
use crate::responses::{Item, ItemPart, ItemText, ReasoningItem};
use crate::translate::REASONING_SEPARATOR;
use crate::translate::reasoning_details::ReasoningDetails;

/// Appends text to the current reasoning item. Does nothing if the text is empty.
pub(super) fn push_text(output: &mut StreamedOutput, text: &str) {
    if text.is_empty() {
        return;
    }
    // The separator from the reasoning before is not needed in an item of its own.
    let text = if is_reasoning(output) {
        text
    } else {
        text.strip_prefix(REASONING_SEPARATOR).unwrap_or(text)
    };
    let part = ItemPart::ReasoningText(ItemText::default());
    output.push_text(part, text.to_owned(), None);
}

/// Returns whether a reasoning item is being written.
fn is_reasoning(output: &StreamedOutput) -> bool {
    output
        .current()
        .is_some_and(|(_, item)| matches!(item, Item::Reasoning(_)))
}

/// Encrypted reasoning of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct ReasoningStream {
    /// Encrypted items that arrived while a message was being written.
    late: Vec<ReasoningItem>,
}

impl ReasoningStream {
    /// Translates `reasoning_details`. Encrypted content is added to its item. Text is added only if the chunk does not contain it as
    /// plain text (`has_text`).
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

    /// Adds the encrypted items that could not be added earlier.
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

/// Removes the text, which was sent as deltas of another item.
fn without_text(item: ReasoningItem) -> Item {
    Item::Reasoning(ReasoningItem {
        summary: Vec::new(),
        content: None,
        ..item
    })
}
