//! Merges the unknown fields of deltas.
//!
//! Strings are appended to strings and lists to lists. For values of any other type, the last value is kept.
//! The fragments of reasoning blocks are joined to whole blocks.
//! The merged JSON is serialized only once, after the last chunk, because serializing it after every chunk
//! would take quadratic time.

use super::empty_object::EmptyObject;
use super::field_map::FieldMap;
use super::json::Json;
use super::reasoning_fragments::ReasoningFragments;
use super::unknown_fields::UnknownFields;
use crate::lenient_json::decode_part;

/// The unknown fields of several deltas, merged by name.
#[derive(Clone, Debug, Default)]
pub(super) struct MergedFields(FieldMap<MergedValue>);

#[derive(Clone, Debug)]
enum MergedValue {
    Text(String),
    List(Vec<Json>),
    /// The elements of `reasoning_details`.
    Blocks(ReasoningFragments),
    /// An object whose fields are merged one by one.
    Object(MergedFields),
    Other(Json),
}

/// Name of the field with audio output. The object in this field is merged field by field, because providers
/// stream the audio data and the transcript in pieces.
const AUDIO: &str = "audio";
/// Name of the field with reasoning blocks.
const REASONING_DETAILS: &str = "reasoning_details";

impl MergedFields {
    pub(super) fn merge(&mut self, delta: &UnknownFields) {
        for (name, value) in delta.iter() {
            let value = MergedValue::parse(name, value);
            match self.0.get_mut(name) {
                Some(known) => known.merge(value),
                None => self.0.push(name.to_owned(), value),
            }
        }
    }

    /// Merges the fields of `object` into `self`. Returns `false` and merges nothing if `object` is not a
    /// JSON object.
    pub(super) fn merge_object(&mut self, object: &Json) -> bool {
        let object: Option<EmptyObject> = serde_json::from_str(object.get()).ok();
        object.is_some_and(|object| {
            self.merge(&object.extra);
            true
        })
    }

    /// Returns the merged fields as one JSON object. `None` if serialization fails.
    pub(super) fn to_object(&self) -> Option<Json> {
        let mut object = EmptyObject::default();
        for (name, json) in self.to_fields() {
            object.extra.push(name.to_owned(), json);
        }
        Json::of(&object).ok()
    }

    /// Returns the names and values of the merged fields, in order of first appearance.
    pub(super) fn to_fields(&self) -> impl Iterator<Item = (&str, Json)> {
        let fields = self.0.iter();
        fields.filter_map(|(name, value)| Some((name, value.to_json()?)))
    }
}

impl MergedValue {
    fn parse(name: &str, json: &Json) -> Self {
        let text = json.get();
        let parsed = match text.as_bytes().first() {
            Some(b'"') => decode_part(text).map(Self::Text),
            Some(b'[') if name == REASONING_DETAILS => serde_json::from_str(text).ok().map(|blocks| {
                let mut fragments = ReasoningFragments::default();
                Vec::<Json>::into_iter(blocks).for_each(|block| fragments.push(block));
                Self::Blocks(fragments)
            }),
            Some(b'[') => serde_json::from_str(text).ok().map(Self::List),
            Some(b'{') if name == AUDIO => {
                let mut fields = MergedFields::default();
                fields.merge_object(json).then_some(Self::Object(fields))
            }
            _ => None,
        };
        parsed.unwrap_or_else(|| Self::Other(json.clone()))
    }

    fn merge(&mut self, value: Self) {
        match (self, value) {
            (Self::Text(known), Self::Text(more)) => known.push_str(&more),
            (Self::List(known), Self::List(more)) => known.extend(more),
            (Self::Blocks(known), Self::Blocks(more)) => {
                more.blocks().into_iter().for_each(|block| known.push(block));
            }
            (Self::Object(known), Self::Object(mut more)) => {
                for (name, value) in more.0.take() {
                    match known.0.get_mut(&name) {
                        // Each delta repeats the whole ID of the audio, so the IDs must not be joined.
                        Some(known) if name == "id" => *known = value,
                        Some(known) => known.merge(value),
                        None => known.0.push(name, value),
                    }
                }
            }
            (_, Self::Other(value)) if value.get() == "null" => {}
            (known, value) => *known = value,
        }
    }

    fn to_json(&self) -> Option<Json> {
        match self {
            Self::Text(text) => Json::of(text).ok(),
            Self::List(items) => Json::of(items).ok(),
            Self::Blocks(fragments) => Json::of(&fragments.blocks()).ok(),
            Self::Object(fields) => fields.to_object(),
            Self::Other(json) => Some(json.clone()),
        }
    }
}
