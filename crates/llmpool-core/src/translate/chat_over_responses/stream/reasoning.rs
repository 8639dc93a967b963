//! Reasoning in a stream of response events.

use std::borrow::Cow;

use super::chunk_queue::ChunkQueue;
use super::output_items::{StreamedItem, unsent};
use crate::responses::{ItemPart, ItemText, ReasoningItem};
use crate::translate::REASONING_SEPARATOR;
use crate::translate::reasoning_details::{REASONING_DETAILS, item_to_blocks, late_blocks};

/// Sends a piece of reasoning text. `is_summary` tells whether the piece belongs to the reasoning summary or
/// to the full reasoning. `index` is the zero-based index of the summary or content part; `None` counts as 0.
pub(super) fn push_delta(
    item: &mut StreamedItem,
    is_summary: bool,
    index: Option<u64>,
    text: &str,
    chunks: &mut ChunkQueue,
) {
    let part = Some((is_summary, index.unwrap_or(0)));
    let is_new_part = item.reasoning_part != part;
    // The text of an item contains the separators between its parts, but no separator before its first part.
    if is_new_part && item.reasoning_part.is_some() {
        item.other_bytes += REASONING_SEPARATOR.len();
    }
    item.reasoning_part = part;
    if is_summary {
        match item.summary.last_mut().filter(|_| !is_new_part) {
            Some(known) => known.push_str(text),
            None => item.summary.push(text.to_owned()),
        }
    }
    item.other_bytes += text.len();
    chunks.push_reasoning(text, is_new_part);
}

/// Sends the part of a complete reasoning item that was not sent yet. A complete item arrives twice, when the item
/// ends and in the last event of the stream. Some servers send the encrypted content only in the latter.
pub(super) fn push_unsent(item: &mut StreamedItem, complete: &ReasoningItem, chunks: &mut ChunkQueue) {
    if let Some(text) = unsent(&complete.text(), item.other_bytes) {
        chunks.push_reasoning(&text, item.other_bytes == 0);
        item.other_bytes += text.len();
    }
    let mut complete = Cow::Borrowed(complete);
    // Some servers send the summary only in deltas.
    if complete.summary.is_empty() && !item.summary.is_empty() {
        let parts = item.summary.iter().map(ItemText::new);
        complete.to_mut().summary = parts.map(ItemPart::SummaryText).collect();
    }
    let blocks = match &item.sent_reasoning {
        Some(sent) if **sent == *complete => return,
        Some(sent) => late_blocks(sent, &complete),
        None => item_to_blocks(&complete),
    };
    chunks.push_list(REASONING_DETAILS, &blocks);
    item.sent_reasoning = Some(Box::new(complete.into_owned()));
}
