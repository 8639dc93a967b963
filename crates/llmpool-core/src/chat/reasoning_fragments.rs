//! Merges the fragments of streamed reasoning blocks, the elements of `reasoning_details`.

use std::collections::HashMap;

use super::delta_merge::MergedFields;
use super::empty_object::EmptyObject;
use super::json::Json;

/// Reasoning blocks, some of them assembled from fragments.
///
/// Fragments with the same `type` and `index` are one block: their texts are joined, and of their other fields
/// the first value is kept. A fragment without an index is a block of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReasoningFragments {
    blocks: Vec<Block>,
    /// Position of the last block of each type and index.
    positions: HashMap<(String, u64), usize>,
}

#[derive(Clone, Debug)]
enum Block {
    /// A block that no fragment can extend, exactly as received.
    Whole(Json),
    /// The merged fields of a block with an index, and the block as received while it has one fragment.
    Merged(MergedFields, Option<Json>),
}

#[derive(serde::Deserialize)]
struct BlockKey {
    #[serde(rename = "type")]
    kind: String,
    index: u64,
}

impl ReasoningFragments {
    /// Adds a block or a fragment of a block.
    pub(crate) fn push(&mut self, fragment: Json) {
        let key: Option<BlockKey> = serde_json::from_str(fragment.get()).ok();
        let fields: Option<EmptyObject> = serde_json::from_str(fragment.get()).ok();
        let (Some(BlockKey { kind, index }), Some(fields)) = (key, fields) else {
            return self.blocks.push(Block::Whole(fragment));
        };
        let position = *self.positions.entry((kind, index)).or_insert(self.blocks.len());
        match self.blocks.get_mut(position) {
            Some(Block::Merged(known, received)) => {
                *received = None;
                known.merge_block(&fields.extra);
            }
            _ => {
                let mut merged = MergedFields::default();
                merged.merge_block(&fields.extra);
                self.blocks.push(Block::Merged(merged, Some(fragment)));
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Returns the blocks, in the order in which they started.
    pub(crate) fn blocks(&self) -> Vec<Json> {
        let blocks = self.blocks.iter().filter_map(|block| match block {
            Block::Whole(json) | Block::Merged(_, Some(json)) => Some(json.clone()),
            Block::Merged(fields, None) => fields.to_object(),
        });
        blocks.collect()
    }
}
