//! Reasoning items as `reasoning_details` of a chat message.
//!
//! The blocks have OpenRouter's format, so that a client can return them unchanged in the next turn.

use serde::{Deserialize, Serialize};

use crate::chat::Json;
use crate::responses::{ItemPart, ItemText, ReasoningItem};

/// The member of a chat message that holds the blocks.
pub(super) const REASONING_DETAILS: &str = "reasoning_details";

/// `format` of blocks that belong to reasoning items.
const FORMAT: &str = "openai-responses-v1";

/// One element of `reasoning_details`.
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

/// Translates a reasoning item to blocks.
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

/// The content of `reasoning_details`.
#[derive(Default)]
pub(super) struct ReasoningDetails {
    /// The reasoning items to which the blocks belong.
    pub(super) items: Vec<ReasoningItem>,
    /// Whether there are blocks that belong to no reasoning item.
    pub(super) has_other_blocks: bool,
    /// The text of those blocks.
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

    /// Adds the block to the last item if both have the same id, otherwise to a new item.
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

/// Returns the text of a block of any format.
fn block_text(block: &Json) -> Option<String> {
    let block = block.value();
    let text = block["text"].as_str().or_else(|| block["summary"].as_str());
    text.map(str::to_owned)
}
