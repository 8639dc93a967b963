//! Translation between the reasoning items of a response and the `reasoning_details` of a chat message.
//!
//! The elements of `reasoning_details`, called blocks, are in OpenRouter's format. A client returns the
//! blocks unchanged in the next request, and providers refuse or ignore blocks that have changed.
//!
//! - An item becomes blocks with its texts and its encrypted content. If the item has more than that, or no
//!   id, its last block also contains the whole item in the field `item`.
//! - Foreign blocks, which were not made from an item, become an item whose encrypted content is
//!   [`FOREIGN_PREFIX`] and the JSON of the blocks.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::chat::Json;
use crate::responses::{FOREIGN_PREFIX, ItemPart, ItemText, ReasoningItem};

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
    /// The whole item, in the last block of the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Json>,
}

/// Translates a reasoning item to blocks: one for each part of the summary, one for each part of the full
/// text, and one for the encrypted content. An item without any of these becomes one block that contains only
/// the item's id. An item that was made from foreign blocks becomes these blocks.
pub(super) fn item_to_blocks(item: &ReasoningItem) -> Vec<Json> {
    if let Some(blocks) = foreign_blocks(item) {
        return blocks;
    }
    let block = |kind: &str| ReasoningBlock {
        kind: kind.to_owned(),
        id: item.id.clone(),
        format: FORMAT.to_owned(),
        ..ReasoningBlock::default()
    };
    let mut blocks = Vec::new();
    let mut restored = ReasoningItem {
        id: item.id.clone(),
        encrypted_content: item.encrypted_content.clone(),
        ..ReasoningItem::default()
    };
    for text in item.summary.iter().filter_map(ItemPart::text) {
        add_summary(&mut restored, text.to_owned());
        blocks.push(ReasoningBlock {
            summary: Some(text.to_owned()),
            ..block("reasoning.summary")
        });
    }
    for text in item.content.iter().flatten().filter_map(ItemPart::text) {
        add_text(&mut restored, text.to_owned());
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
    // Without an id, the blocks of two items could not be told apart.
    if (item.id.is_none() || restored != *item)
        && let Some(last) = blocks.last_mut()
    {
        last.item = Json::of(item).ok();
    }
    blocks.iter().filter_map(|block| Json::of(block).ok()).collect()
}

/// Returns the blocks that complete those of `sent`, an earlier state of the item: the further blocks, or a block
/// with the whole item if earlier blocks would differ.
///
/// Returns no blocks for an item without an id, because they would be those of another item.
pub(super) fn late_blocks(sent: &ReasoningItem, item: &ReasoningItem) -> Vec<Json> {
    if item.id.is_none() || item.id != sent.id {
        return Vec::new();
    }
    let (sent, mut blocks) = (item_to_blocks(sent), item_to_blocks(item));
    let is_same = |(sent, block): (&Json, &Json)| sent.get() == block.get();
    if sent.len() < blocks.len() && sent.iter().zip(&blocks).all(is_same) {
        return blocks.split_off(sent.len());
    }
    let block = ReasoningBlock {
        kind: "reasoning.encrypted".to_owned(),
        data: item.encrypted_content.clone(),
        id: item.id.clone(),
        format: FORMAT.to_owned(),
        item: Json::of(item).ok(),
        ..ReasoningBlock::default()
    };
    Json::of(&block).into_iter().collect()
}

fn add_summary(item: &mut ReasoningItem, text: String) {
    item.summary.push(ItemPart::SummaryText(ItemText::new(text)));
}

fn add_text(item: &mut ReasoningItem, text: String) {
    let content = item.content.get_or_insert_default();
    content.push(ItemPart::ReasoningText(ItemText::new(text)));
}

/// Returns an item without id that contains foreign blocks, for a later request. `text` is the text that
/// clients see, which may be empty.
pub(super) fn foreign_to_item(blocks: &[Json], text: String) -> ReasoningItem {
    let mut item = ReasoningItem::default();
    if !text.is_empty() {
        add_text(&mut item, text);
    }
    let blocks = Json::of(blocks).ok().filter(|_| !blocks.is_empty());
    item.encrypted_content = blocks.map(|blocks| format!("{FOREIGN_PREFIX}{}", blocks.get()));
    item
}

/// Returns the foreign blocks from which the item was made, or `None` if it was not made from foreign blocks.
fn foreign_blocks(item: &ReasoningItem) -> Option<Vec<Json>> {
    let json = item.encrypted_content.as_deref()?.strip_prefix(FOREIGN_PREFIX)?;
    serde_json::from_str(json).ok()
}

/// A part of the `reasoning_details` of a chat message.
pub(super) enum DetailsPart {
    /// An item that was restored from its blocks.
    Item(ReasoningItem),
    /// Consecutive foreign blocks.
    Foreign(Vec<Json>),
}

/// The parsed `reasoning_details` of a chat message.
#[derive(Default)]
pub(super) struct ReasoningDetails {
    pub(super) parts: Vec<DetailsPart>,
    /// Whether `reasoning_details` is not a list.
    is_malformed: bool,
    /// Whether the last item was restored from its `item` field, so that no further block belongs to it.
    is_closed: bool,
    /// Position of the last part with each id. A stream may add blocks to an item after those of other items.
    by_id: HashMap<String, usize>,
}

impl ReasoningDetails {
    pub(super) fn parse(details: &Json) -> Self {
        let mut parsed = Self::default();
        let Ok(blocks) = serde_json::from_str::<Vec<Json>>(details.get()) else {
            parsed.is_malformed = true;
            return parsed;
        };
        for json in blocks {
            match serde_json::from_str::<ReasoningBlock>(json.get()) {
                Ok(block) if block.format == FORMAT => parsed.add_to_item(block),
                _ => parsed.add_foreign(json),
            }
        }
        parsed
    }

    /// Consumes the details and returns the restored items.
    pub(super) fn into_items(self) -> Vec<ReasoningItem> {
        let items = self.parts.into_iter().filter_map(|part| match part {
            DetailsPart::Item(item) => Some(item),
            DetailsPart::Foreign(_) => None,
        });
        items.collect()
    }

    /// Returns whether there are foreign blocks, or the details are not a list.
    pub(super) fn has_other_blocks(&self) -> bool {
        let is_foreign = |part: &DetailsPart| matches!(part, DetailsPart::Foreign(_));
        self.is_malformed || self.parts.iter().any(is_foreign)
    }

    fn add_foreign(&mut self, block: Json) {
        match self.parts.last_mut() {
            Some(DetailsPart::Foreign(blocks)) => blocks.push(block),
            _ => self.parts.push(DetailsPart::Foreign(vec![block])),
        }
    }

    /// Adds the block to the last item if the block belongs to it. Otherwise adds the block to a new item.
    fn add_to_item(&mut self, block: ReasoningBlock) {
        let whole = block.item.as_ref();
        let whole: Option<ReasoningItem> = whole.and_then(|item| serde_json::from_str(item.get()).ok());
        let known = self
            .continued(&block)
            .or_else(|| self.completed(&block, whole.as_ref()));
        let position = known.unwrap_or_else(|| {
            self.parts.push(DetailsPart::Item(ReasoningItem {
                id: block.id.clone(),
                ..ReasoningItem::default()
            }));
            self.parts.len() - 1
        });
        if let Some(id) = block.id {
            self.by_id.insert(id, position);
        }
        self.is_closed = whole.is_some();
        let DetailsPart::Item(item) = &mut self.parts[position] else {
            return;
        };
        if let Some(whole) = whole {
            *item = whole;
        } else {
            if let Some(summary) = block.summary {
                add_summary(item, summary);
            }
            if let Some(text) = block.text {
                add_text(item, text);
            }
            item.encrypted_content = block.data.or(item.encrypted_content.take());
        }
    }

    /// Returns the position of the last item if the block continues it.
    fn continued(&self, block: &ReasoningBlock) -> Option<usize> {
        let Some(DetailsPart::Item(last)) = self.parts.last() else {
            return None;
        };
        // A second encrypted content of an item without id belongs to the next item.
        let is_same = !self.is_closed
            && last.id == block.id
            && (block.id.is_some() || block.data.is_none() || last.encrypted_content.is_none());
        is_same.then(|| self.parts.len() - 1)
    }

    /// Returns the position of an earlier item that a block of the end of a stream completes: one with the same id
    /// that lacks the encrypted content of the block, or has the text of the whole item in the block.
    fn completed(&self, block: &ReasoningBlock, whole: Option<&ReasoningItem>) -> Option<usize> {
        let position = *self.by_id.get(block.id.as_ref()?)?;
        let DetailsPart::Item(item) = &self.parts[position] else {
            return None;
        };
        let is_completed = match whole {
            Some(whole) => item.text() == whole.text(),
            None => block.data.is_some() && item.encrypted_content.is_none(),
        };
        is_completed.then_some(position)
    }
}

/// Returns the concatenated texts of reasoning blocks of any format.
pub(super) fn blocks_text(blocks: &[Json]) -> String {
    let texts = blocks.iter().filter_map(|block| {
        let block = block.value();
        let text = block["text"].as_str().or_else(|| block["summary"].as_str());
        text.map(str::to_owned)
    });
    texts.collect()
}
