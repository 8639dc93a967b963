//! Reasoning items as `reasoning_details`, in OpenRouter's way, so that the next turn can send them back untouched.

use serde::{Deserialize, Serialize};

use crate::chat::Json;
use crate::responses::{Item, ItemPart, ItemText, ReasoningItem};

/// Blocks of this format are parts of reasoning items.
const FORMAT: &str = "openai-responses-v1";

/// A block of `reasoning_details`.
#[derive(Serialize, Deserialize)]
struct Block {
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

/// The blocks of an item.
pub(super) fn details_of(item: &ReasoningItem) -> Vec<Json> {
    let block = |kind: &str| Block {
        kind: kind.to_owned(),
        summary: None,
        text: None,
        data: None,
        id: item.id.clone(),
        format: FORMAT.to_owned(),
    };
    let mut blocks = Vec::new();
    for text in item.summary.iter().filter_map(ItemPart::text) {
        blocks.push(Block {
            summary: Some(text.to_owned()),
            ..block("reasoning.summary")
        });
    }
    let content = item.content.as_deref().unwrap_or_default();
    for text in content.iter().filter_map(ItemPart::text) {
        blocks.push(Block {
            text: Some(text.to_owned()),
            ..block("reasoning.text")
        });
    }
    // One without anything to say still has to be sent back: its id is what counts.
    if item.encrypted_content.is_some() || blocks.is_empty() {
        blocks.push(Block {
            data: item.encrypted_content.clone(),
            ..block("reasoning.encrypted")
        });
    }
    blocks.iter().filter_map(|block| Json::of(block).ok()).collect()
}

/// The items whose blocks these are; `None` where none of them is of a reasoning item.
pub(super) fn items_of(details: &Json) -> Option<Vec<Item>> {
    let blocks: Vec<Json> = serde_json::from_str(details.get()).ok()?;
    let mut items: Vec<ReasoningItem> = Vec::new();
    for block in blocks {
        let Ok(block) = serde_json::from_str::<Block>(block.get()) else {
            continue;
        };
        if block.format != FORMAT {
            continue;
        }
        let known = items.last().is_some_and(|last| last.id == block.id);
        if !known {
            items.push(ReasoningItem {
                id: block.id,
                ..ReasoningItem::default()
            });
        }
        let Some(item) = items.last_mut() else { continue };
        let summary = block
            .summary
            .map(|text| ItemPart::SummaryText(ItemText::new(text)));
        item.summary.extend(summary);
        if let Some(text) = block.text {
            let content = item.content.get_or_insert_default();
            content.push(ItemPart::ReasoningText(ItemText::new(text)));
        }
        item.encrypted_content = block.data.or(item.encrypted_content.take());
    }
    Some(items.into_iter().map(Item::Reasoning).collect::<Vec<_>>()).filter(|items| !items.is_empty())
}

/// The texts of blocks that are no parts of reasoning items; `None` where there are none.
pub(super) fn text_in(details: &Json) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        text: Option<String>,
        summary: Option<String>,
    }
    let blocks: Vec<Json> = serde_json::from_str(details.get()).ok()?;
    let blocks = blocks
        .iter()
        .filter_map(|block| serde_json::from_str::<Said>(block.get()).ok());
    let text: String = blocks.filter_map(|block| block.text.or(block.summary)).collect();
    Some(text).filter(|text| !text.is_empty())
}

/// Whether all blocks are parts of reasoning items.
pub(super) fn are_ours(details: &Json) -> bool {
    #[derive(Deserialize)]
    struct Said {
        format: Option<String>,
    }
    let blocks: Result<Vec<Said>, _> = serde_json::from_str(details.get());
    blocks.is_ok_and(|blocks| blocks.iter().all(|block| block.format.as_deref() == Some(FORMAT)))
}
