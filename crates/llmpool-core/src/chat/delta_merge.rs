//! Unknown members of deltas, piece by piece.
//!
//! Texts and lists grow, and whatever else is said is replaced by the latest. Pieces are put together once, at the end: a member that comes
//! with every chunk would otherwise be written anew with each.

use super::response_format::EmptyObject;
use super::unknown_fields::{Json, UnknownFields};

/// Members of which there are pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct MergedFields(Vec<(String, MergedValue)>);

#[derive(Clone, Debug)]
enum MergedValue {
    Text(String),
    List(Vec<Json>),
    /// Only of a member whose own members grow.
    Object(MergedFields),
    Other(Json),
}

/// An object whose members grow: its data and its transcript come in pieces.
const AUDIO: &str = "audio";

impl MergedFields {
    /// The pieces of a delta.
    pub(super) fn push(&mut self, delta: &UnknownFields) {
        delta.iter().for_each(|(name, piece)| self.push_one(name, piece));
    }

    fn push_one(&mut self, name: &str, piece: &Json) {
        let piece = MergedValue::read(name, piece);
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.push(piece),
            None => self.0.push((name.to_owned(), piece)),
        }
    }

    /// The pieces of an object. Answers whether it is one.
    pub(super) fn push_object(&mut self, object: &Json) -> bool {
        let object: Option<EmptyObject> = serde_json::from_str(object.get()).ok();
        object.is_some_and(|object| {
            self.push(&object.extra);
            true
        })
    }

    /// All of them as an object.
    pub(super) fn object(&self) -> Option<Json> {
        let mut object = EmptyObject::default();
        self.whole()
            .for_each(|(name, json)| object.extra.push(name.to_owned(), json));
        Json::of(&object).ok()
    }

    /// Each member put together.
    pub(super) fn whole(&self) -> impl Iterator<Item = (&str, Json)> {
        let members = self.0.iter();
        members.filter_map(|(name, grown)| Some((name.as_str(), grown.whole()?)))
    }
}

impl MergedValue {
    fn read(name: &str, piece: &Json) -> Self {
        let text = piece.get();
        let read = match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(text).ok().map(Self::Text),
            Some(b'[') => serde_json::from_str(text).ok().map(Self::List),
            Some(b'{') if name == AUDIO => members_of(text).map(Self::Object),
            _ => None,
        };
        read.unwrap_or_else(|| Self::Other(piece.clone()))
    }

    fn push(&mut self, piece: Self) {
        match (self, piece) {
            (Self::Text(known), Self::Text(more)) => known.push_str(&more),
            (Self::List(known), Self::List(more)) => known.extend(more),
            (Self::Object(known), Self::Object(more)) => {
                for (name, piece) in more.0 {
                    match known.0.iter_mut().find(|(other, _)| *other == name) {
                        // Its id says the same again.
                        Some((_, known)) if name == "id" => *known = piece,
                        Some((_, known)) => known.push(piece),
                        None => known.0.push((name, piece)),
                    }
                }
            }
            // A null says nothing.
            (_, Self::Other(piece)) if piece.get() == "null" => {}
            (known, piece) => *known = piece,
        }
    }

    fn whole(&self) -> Option<Json> {
        match self {
            Self::Text(text) => Json::of(text).ok(),
            Self::List(items) => Json::of(items).ok(),
            Self::Object(members) => members.object(),
            Self::Other(json) => Some(json.clone()),
        }
    }
}

/// The members of an object, each by itself.
fn members_of(text: &str) -> Option<MergedFields> {
    let object: EmptyObject = serde_json::from_str(text).ok()?;
    let mut members = MergedFields::default();
    members.push(&object.extra);
    Some(members)
}
