//! Reasoning of a stream.

use super::chunk_queue::ChunkQueue;
use super::output_items::{StreamedItem, unsent};
use crate::responses::ReasoningItem;
use crate::translate::REASONING_SEPARATOR;
use crate::translate::reasoning_details::{REASONING_DETAILS, item_to_blocks};

/// Sends a delta of the full reasoning, or of its summary. `index` is that of the part.
pub(super) fn push_delta(
    item: &mut StreamedItem,
    is_summary: bool,
    index: Option<u64>,
    text: &str,
    chunks: &mut ChunkQueue,
) {
    let part = Some((is_summary, index.unwrap_or(0)));
    let is_new_part = item.reasoning_part != part;
    // The text of an item contains the separators between its parts, but not the one before its first part.
    if is_new_part && item.reasoning_part.is_some() {
        item.other_bytes += REASONING_SEPARATOR.len();
    }
    item.reasoning_part = part;
    item.other_bytes += text.len();
    chunks.push_reasoning(text, is_new_part);
}

/// Sends what the complete item contains and its deltas did not.
pub(super) fn push_unsent(
    item: &mut StreamedItem,
    complete: &ReasoningItem,
    is_first: bool,
    chunks: &mut ChunkQueue,
) {
    if let Some(text) = unsent(&complete.text(), item.other_bytes) {
        chunks.push_reasoning(&text, item.other_bytes == 0);
        item.other_bytes += text.len();
    }
    if is_first {
        chunks.push_list(REASONING_DETAILS, &item_to_blocks(complete));
    }
}
