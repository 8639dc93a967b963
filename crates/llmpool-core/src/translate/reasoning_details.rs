//! Translation between the reasoning items of a response and the `reasoning_details` of a chat message.
//!
//! The elements of `reasoning_details`, called blocks, are in OpenRouter's format. A client returns the
//! blocks unchanged in the next request.

use serde::{Deserialize, Serialize};

use crate::chat::Json;
use crate::responses::{ItemPart, ItemText, ReasoningItem};

/// Name of the field of a chat message that contains the reasoning blocks.
pub(super) const REASONING_DETAILS: &str = "reasoning_details";

/// Value of the field `format` in reasoning blocks that were made from reasoning items.
const FORMAT: &str = "openai-responses-v1";

/// A reasoning block: one element of `reasoning_details`.
#[derive(Default, Serialize, Deserialize)]
struct ReasoningBlock {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    format: String,
}

/// Translates a reasoning item to blocks: one for each part of the summary, one for each part of the full
/// text, and one for the encrypted content. An item without any of these becomes one block that contains only
/// the item's id.
pub(super) fn item_to_blocks(item: &ReasoningItem) -> Vec<Json> {
    let block = |kind: &str| ReasoningBlock {
        kind: kind.to_owned(),
        id: item.id.clone(),
        format: FORMAT.to_owned(),
        ..ReasoningBlock::default()
    };
    let mut blocks = Vec::new();
    for text in item.summary.iter().filter_map(ItemPart::text) {
        blocks.push(ReasoningBlock {
            summary: Some(text.to_owned()),
            ..block("reasoning.summary")
        });
    }
    for text in item.content.iter().flatten().filter_map(ItemPart::text) {
        blocks.push(ReasoningBlock {
            text: Some(text.to_owned()),
            ..block("reasoning.text")
        });
    }
    // An item without text is kept too: the provider looks it up by its id.
    if item.encrypted_content.is_some() || blocks.is_empty() {
        blocks.push(ReasoningBlock {
            data: item.encrypted_content.clone(),
            ..block("reasoning.encrypted")
        });
    }
    blocks.iter().filter_map(|block| Json::of(block).ok()).collect()
}

/// The parsed `reasoning_details` of a chat message.
#[derive(Default)]
pub(super) struct ReasoningDetails {
    /// Reasoning items that were restored from their blocks.
    pub(super) items: Vec<ReasoningItem>,
    /// Whether `reasoning_details` contains blocks that were not made from reasoning items, or is not a list.
    pub(super) has_other_blocks: bool,
    /// Concatenated text of the blocks that were not made from reasoning items.
    pub(super) other_text: String,
}

impl ReasoningDetails {
    pub(super) fn parse(details: &Json) -> Self {
        let mut parsed = Self::default();
        let Ok(blocks) = serde_json::from_str::<Vec<Json>>(details.get()) else {
            parsed.has_other_blocks = true;
            return parsed;
        };
        for json in blocks {
            match serde_json::from_str::<ReasoningBlock>(json.get()) {
                Ok(block) if block.format == FORMAT => parsed.add_to_item(block),
                _ => {
                    parsed.has_other_blocks = true;
                    parsed.other_text += &block_text(&json).unwrap_or_default();
                }
            }
        }
        parsed
    }

    /// Adds the block to the last reasoning item if that item has the same id. Otherwise adds the block to a
    /// new reasoning item.
    fn add_to_item(&mut self, block: ReasoningBlock) {
        let mut item = match self.items.pop_if(|last| last.id == block.id) {
            Some(last) => last,
            None => ReasoningItem {
                id: block.id,
                ..ReasoningItem::default()
            },
        };
        let summary = block.summary.map(ItemText::new);
        item.summary.extend(summary.map(ItemPart::SummaryText));
        if let Some(text) = block.text {
            let content = item.content.get_or_insert_default();
            content.push(ItemPart::ReasoningText(ItemText::new(text)));
        }
        item.encrypted_content = block.data.or(item.encrypted_content);
        self.items.push(item);
    }
}

/// Returns the `text` field of a reasoning block, or its `summary` field if there is no text. Returns `None`
/// if the block has neither field. The block can have any format.
fn block_text(block: &Json) -> Option<String> {
    let block = block.value();
    let text = block["text"].as_str().or_else(|| block["summary"].as_str());
    text.map(str::to_owned)
}
