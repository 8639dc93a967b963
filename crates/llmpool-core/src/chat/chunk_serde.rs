//! Decodes and encodes chunks.
//!
//! Fields such as `id` and `model` have the same value in every chunk of a stream. The decoder caches these
//! strings and shares them between chunks, so that decoding a text chunk allocates only the list of choices
//! and the text.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::chunk::{ChatChunk, ChunkChoice};
use super::wire_object::FieldName;

/// Strings from earlier chunks that the next chunk is likely to repeat.
#[derive(Clone, Default)]
pub(super) struct StringCache {
    id: Option<Arc<str>>,
    object: Option<Arc<str>>,
    model: Option<Arc<str>>,
    system_fingerprint: Option<Arc<str>>,
    service_tier: Option<Arc<str>>,
}

impl StringCache {
    /// Returns a chunk without choices, with the id and model of the last chunk.
    pub(super) fn empty_chunk(&self) -> ChatChunk {
        ChatChunk {
            id: self.id.clone(),
            object: self.object.clone(),
            model: self.model.clone(),
            ..ChatChunk::default()
        }
    }

    /// Decodes a chunk. A string that equals the cached string of the same field is shared instead of
    /// allocated again.
    pub(super) fn decode(&mut self, data: &[u8]) -> Result<ChatChunk, serde_json::Error> {
        let Ok(text) = std::str::from_utf8(data) else {
            return serde_json::from_slice(data);
        };
        // `from_str` is cheaper than `from_slice`, which validates every string as UTF-8.
        let mut json = serde_json::Deserializer::from_str(text);
        let chunk = ChunkVisitor { cache: self }.deserialize(&mut json)?;
        json.end()?;
        Ok(chunk)
    }
}

struct ChunkVisitor<'a> {
    cache: &'a mut StringCache,
}

impl<'de> DeserializeSeed<'de> for ChunkVisitor<'_> {
    type Value = ChatChunk;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ChatChunk, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// JSON names of the fields of a chunk. The index of a name is the number of the field's bit in the bit sets
/// of [`UnknownFields`](super::UnknownFields).
const NAMES: [&str; 8] = [
    "id",
    "object",
    "created",
    "model",
    "system_fingerprint",
    "service_tier",
    "choices",
    "usage",
];

/// Index of `choices` in [`NAMES`], and therefore the number of the field's bit in
/// [`UnknownFields`](super::UnknownFields).
const CHOICES: u32 = 6;

impl<'de> Visitor<'de> for ChunkVisitor<'_> {
    type Value = ChatChunk;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a chunk of a chat completion")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<ChatChunk, A::Error> {
        let mut chunk = ChatChunk::default();
        chunk.extra.mark(CHOICES);
        let cache = self.cache;
        while let Some(FieldName(name)) = fields.next_key()? {
            let bit = NAMES.iter().position(|known| *known == name);
            let mut cached = |last: &mut Option<Arc<str>>| fields.next_value_seed(CachedString(last));
            let is_set = match bit {
                Some(0) => set(&mut chunk.id, cached(&mut cache.id)?),
                Some(1) => set(&mut chunk.object, cached(&mut cache.object)?),
                Some(2) => {
                    chunk.created = fields.next_value()?;
                    chunk.created.get().is_some()
                }
                Some(3) => set(&mut chunk.model, cached(&mut cache.model)?),
                Some(4) => set(
                    &mut chunk.system_fingerprint,
                    cached(&mut cache.system_fingerprint)?,
                ),
                Some(5) => set(&mut chunk.service_tier, cached(&mut cache.service_tier)?),
                Some(6) => match fields.next_value::<Option<Vec<ChunkChoice>>>()? {
                    Some(choices) => {
                        chunk.choices = choices;
                        chunk.extra.unmark(CHOICES);
                        true
                    }
                    None => false,
                },
                Some(_) => set(&mut chunk.usage, fields.next_value()?),
                None => {
                    let value = fields.next_value()?;
                    chunk.extra.push(name.into_owned(), value);
                    true
                }
            };
            if let Some(bit) = bit.filter(|_| !is_set) {
                chunk.extra.set_null(bit as u32);
            }
        }
        chunk.extra.remove_duplicates();
        Ok(chunk)
    }
}

fn set<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    *field = value;
    field.is_some()
}

/// A serde seed that decodes a string or null. Returns a clone of the cached `Arc` if the decoded string
/// equals the cached string; otherwise replaces the cached string.
struct CachedString<'a>(&'a mut Option<Arc<str>>);

impl<'de> DeserializeSeed<'de> for CachedString<'_> {
    type Value = Option<Arc<str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let Some(FieldName(text)) = Option::<FieldName<'de>>::deserialize(deserializer)? else {
            return Ok(None);
        };
        if self.0.as_deref() != Some(text.as_ref()) {
            *self.0 = Some(Arc::from(text.as_ref()));
        }
        Ok(self.0.clone())
    }
}

impl<'de> Deserialize<'de> for ChatChunk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ChunkVisitor {
            cache: &mut StringCache::default(),
        }
        .deserialize(deserializer)
    }
}

impl Serialize for ChatChunk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let strings = [
            (0, &self.id),
            (1, &self.object),
            (3, &self.model),
            (4, &self.system_fingerprint),
            (5, &self.service_tier),
        ];
        for (bit, text) in strings {
            self.serialize_field(bit, text.as_deref(), &mut map)?;
        }
        self.serialize_field(2, self.created.get().as_ref(), &mut map)?;
        let has_choices = !(self.extra.is_null(CHOICES) || self.extra.is_marked(CHOICES));
        let choices = Some(&self.choices).filter(|choices| has_choices || !choices.is_empty());
        self.serialize_field(CHOICES, choices, &mut map)?;
        self.serialize_field(7, self.usage.as_ref(), &mut map)?;
        self.extra.serialize_fields(&mut map, &[])?;
        map.end()
    }
}

impl ChatChunk {
    fn serialize_field<M: SerializeMap>(
        &self,
        bit: u32,
        value: Option<&(impl Serialize + ?Sized)>,
        map: &mut M,
    ) -> Result<(), M::Error> {
        let name = NAMES[bit as usize];
        match value {
            Some(value) => map.serialize_entry(name, value),
            None if self.extra.is_null(bit) => map.serialize_entry(name, &()),
            None => Ok(()),
        }
    }
}
