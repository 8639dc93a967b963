//! Reasoning in a stream of chat chunks: its text and its encrypted content.

use super::output::StreamedOutput;
use crate::chat::{Json, ReasoningFragments};
use crate::responses::{FOREIGN_PREFIX, Item, ItemPart, ItemText, ReasoningItem};
use crate::translate::REASONING_SEPARATOR;
use crate::translate::reasoning_details::{DetailsPart, ReasoningDetails, blocks_text, foreign_to_item};

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

/// Reasoning that has arrived but is not part of the output yet.
#[derive(Clone, Debug, Default)]
pub(super) struct ReasoningStream {
    /// Encrypted reasoning items that arrived while a message was being written and all reasoning items in
    /// the output already had encrypted content. [`finish`](Self::finish) adds these items to the output.
    late: Vec<ReasoningItem>,
    /// Blocks that were not made from reasoning items.
    foreign: ReasoningFragments,
    /// Where the reasoning text comes from. `None` before the first text.
    source: Option<TextSource>,
}

/// The fields of a delta with reasoning text. Some providers send the same text in both, so the first one that has
/// text is the only one whose text counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextSource {
    /// `reasoning_content` or `reasoning`.
    Field,
    /// `reasoning_details`.
    Details,
}

impl ReasoningStream {
    /// Appends the reasoning text of a field other than `reasoning_details`.
    pub(super) fn push_field(&mut self, text: &str, output: &mut StreamedOutput) {
        self.push_text(TextSource::Field, text, output);
    }

    fn push_text(&mut self, source: TextSource, text: &str, output: &mut StreamedOutput) {
        if !text.is_empty() && *self.source.get_or_insert(source) == source {
            push_text(output, text);
        }
    }

    /// Translates the `reasoning_details` of a chunk. Adds encrypted content to an earlier reasoning item
    /// without encrypted content, or as a reasoning item of its own.
    pub(super) fn push_details(&mut self, details: &Json, output: &mut StreamedOutput) {
        for part in ReasoningDetails::parse(details).parts {
            match part {
                DetailsPart::Item(item) => {
                    self.push_text(TextSource::Details, &item.text(), output);
                    if item.encrypted_content.is_some() {
                        self.push_encrypted(item, output);
                    }
                }
                DetailsPart::Foreign(blocks) => {
                    self.push_text(TextSource::Details, &blocks_text(&blocks), output);
                    blocks.into_iter().for_each(|block| self.foreign.push(block));
                }
            }
        }
    }

    /// Adds the foreign blocks so far to the output. Called before the reasoning item ends.
    pub(super) fn end_blocks(&mut self, output: &mut StreamedOutput) {
        if self.foreign.is_empty() {
            return;
        }
        let blocks = std::mem::take(&mut self.foreign).blocks();
        self.push_encrypted(foreign_to_item(&blocks, String::new()), output);
    }

    fn push_encrypted(&mut self, mut encrypted: ReasoningItem, output: &mut StreamedOutput) {
        let Some((current, _)) = output.current() else {
            push_complete(encrypted, output);
            return;
        };
        match output.set_encrypted(&mut encrypted.encrypted_content) {
            Some(index) if index == current => output.end_current(),
            Some(_) => {}
            None => self.late.push(encrypted),
        }
    }

    /// Adds the encrypted reasoning items that could not be added earlier, because a message was being
    /// written.
    pub(super) fn finish(&mut self, output: &mut StreamedOutput) {
        self.end_blocks(output);
        for item in std::mem::take(&mut self.late) {
            push_complete(item, output);
        }
    }
}

/// Adds an encrypted reasoning item without its text, because deltas of another item have already sent the
/// text.
fn push_complete(mut item: ReasoningItem, output: &mut StreamedOutput) {
    item.summary.clear();
    item.content = None;
    if item.encrypted_content.as_deref().is_some_and(is_foreign) {
        item.id = output.next_reasoning_id();
    }
    output.push_complete(Item::Reasoning(item));
}

fn is_foreign(encrypted: &str) -> bool {
    encrypted.starts_with(FOREIGN_PREFIX)
}
