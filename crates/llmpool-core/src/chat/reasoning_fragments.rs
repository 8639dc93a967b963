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
/// Fragments with the same `type`, `index` and `id` are one block: their texts are joined, and of their other
/// fields the first value is kept that is neither null nor empty. A fragment without an id belongs to the last
/// block of its type and index, and a block without an id takes that of a later fragment. A fragment without an
/// index, or whose `data` differs from that of its block, is a block of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReasoningFragments {
    blocks: Vec<Block>,
    /// Position of the last block of each type and index.
    last: HashMap<(String, u64), usize>,
    /// Position of the last block of each type, index and id.
    by_id: HashMap<(String, u64, String), usize>,
}

#[derive(Clone, Debug)]
struct Block {
    /// The first fragment, exactly as received.
    first: Json,
    has_id: bool,
    /// The encrypted content, as JSON.
    data: Option<Json>,
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
    id: Option<Json>,
    data: Option<Json>,
}

impl ReasoningFragments {
    /// Adds a block or a fragment of a block.
    pub(crate) fn push(&mut self, fragment: Json) {
        let Ok(key) = serde_json::from_str::<BlockKey>(fragment.get()) else {
            self.blocks.push(Block::new(fragment, false, None));
            return;
        };
        let id = key.id.filter(|id| !is_blank(id)).map(|id| id.get().to_owned());
        let data = key.data.filter(|data| !is_blank(data));
        let known = self.position(&key.kind, key.index, id.as_deref(), data.as_ref());
        let position = known.unwrap_or(self.blocks.len());
        match self.blocks.get_mut(position) {
            Some(block) => {
                block.merge(&fragment);
                block.has_id |= id.is_some();
                block.data = block.data.take().or(data);
            }
            None => self.blocks.push(Block::new(fragment, id.is_some(), data)),
        }
        if let Some(id) = id {
            self.by_id.insert((key.kind.clone(), key.index, id), position);
        }
        self.last.insert((key.kind, key.index), position);
    }

    /// Returns the position of the block to which a fragment belongs, or `None` if it starts a block.
    fn position(&self, kind: &str, index: u64, id: Option<&str>, data: Option<&Json>) -> Option<usize> {
        let by_id = id.and_then(|id| self.by_id.get(&(kind.to_owned(), index, id.to_owned())));
        let last = || {
            let last = *self.last.get(&(kind.to_owned(), index))?;
            (id.is_none() || !self.blocks[last].has_id).then_some(last)
        };
        let position = by_id.copied().or_else(last)?;
        let known = self.blocks[position].data.as_ref();
        let is_same = known
            .zip(data)
            .is_none_or(|(known, data)| known.get() == data.get());
        is_same.then_some(position)
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
    fn new(first: Json, has_id: bool, data: Option<Json>) -> Self {
        Self {
            first,
            has_id,
            data,
            merged: None,
        }
    }

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
                Some(known) if is_blank(known) && !is_blank(json) => *known = json.clone(),
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

/// Returns whether the value is null or an empty string, which some providers send in place of an absent value.
fn is_blank(json: &Json) -> bool {
    matches!(json.get(), "null" | "\"\"")
}
