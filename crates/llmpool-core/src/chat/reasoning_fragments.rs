//! Merges the fragments of streamed reasoning blocks, the elements of `reasoning_details`.

use std::collections::HashMap;

use super::empty_object::EmptyObject;
use super::field_map::FieldMap;
use super::json::Json;
use super::unknown_fields::UnknownFields;
use crate::lenient_json::decode_part;

/// Names of the fields whose texts are joined.
const TEXTS: [&str; 2] = ["text", "summary"];

/// Reasoning blocks, some of them assembled from fragments.
///
/// Fragments with the same `type` and `index` are one block: their texts are joined, and of their other fields
/// the first value is kept. A fragment without an index is a block of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReasoningFragments {
    blocks: Vec<Block>,
    /// Position of the block of each type and index.
    positions: HashMap<(String, u64), usize>,
}

#[derive(Clone, Debug)]
struct Block {
    /// The first fragment, exactly as received.
    first: Json,
    /// The merged fields, if there is more than one fragment.
    merged: Option<MergedBlock>,
}

#[derive(Clone, Debug, Default)]
struct MergedBlock {
    fields: FieldMap<Json>,
    /// The joined text of each of the fields in [`TEXTS`].
    texts: [Option<String>; TEXTS.len()],
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
        let next = self.blocks.len();
        let key: Option<BlockKey> = serde_json::from_str(fragment.get()).ok();
        let position = key.map_or(next, |key| {
            *self.positions.entry((key.kind, key.index)).or_insert(next)
        });
        match self.blocks.get_mut(position) {
            Some(block) => block.merge(&fragment),
            None => self.blocks.push(Block {
                first: fragment,
                merged: None,
            }),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Returns the blocks, in the order in which they started.
    pub(crate) fn blocks(&self) -> Vec<Json> {
        let blocks = self.blocks.iter().filter_map(|block| match &block.merged {
            None => Some(block.first.clone()),
            Some(merged) => merged.to_json(),
        });
        blocks.collect()
    }
}

impl Block {
    fn merge(&mut self, fragment: &Json) {
        let first = &self.first;
        let merged = self.merged.get_or_insert_with(|| {
            let mut merged = MergedBlock::default();
            merged.add(first);
            merged
        });
        merged.add(fragment);
    }
}

impl MergedBlock {
    fn add(&mut self, fragment: &Json) {
        let Ok(EmptyObject { extra }) = serde_json::from_str(fragment.get()) else {
            return;
        };
        for (name, json) in extra.iter() {
            let text = TEXTS.iter().position(|known| *known == name);
            if let Some(position) = text
                && let Some(text) = decode_part::<String>(json.get())
            {
                self.texts[position].get_or_insert_default().push_str(&text);
            }
            match self.fields.get_mut(name) {
                Some(known) if known.get() == "null" => *known = json.clone(),
                Some(_) => {}
                None => self.fields.push(name.to_owned(), json.clone()),
            }
        }
    }

    fn to_json(&self) -> Option<Json> {
        let mut extra = UnknownFields::default();
        self.fields.clone().move_to(&mut extra);
        for (name, text) in TEXTS.iter().zip(&self.texts) {
            if let Some(text) = text {
                extra.insert(*name, Json::of(text).ok()?);
            }
        }
        Json::of(&EmptyObject { extra }).ok()
    }
}
