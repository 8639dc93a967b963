//! Items that say what a chat would say, though not quite as they should.

use crate::chat::{EmptyObject, Json, UnknownFields};
use crate::responses::{Item, ItemPart};

/// An item that could not be read because of how something in it is written: ids that are numbers, arguments that are objects, parts with odd
/// members beside their text. What cannot be read either way stays as it is.
pub(super) fn salvaged(item: Item) -> Item {
    let Item::Other(json) = item else { return item };
    let Ok(object) = serde_json::from_str::<EmptyObject>(json.get()) else {
        return Item::Other(json);
    };
    let members = object
        .extra
        .iter()
        .filter_map(|(name, json)| Some((name, mended(name, json)?)));
    match Json::of(&with(members)) {
        Ok(mended) => Item::from(mended),
        Err(_) => Item::Other(json),
    }
}

/// As [`salvaged`], a part.
pub(super) fn salvaged_part(said: ItemPart) -> ItemPart {
    match said {
        ItemPart::Other(json) => ItemPart::from(part(&json)),
        known => known,
    }
}

fn mended(name: &str, json: &Json) -> Option<Json> {
    match name {
        "id" | "call_id" | "name" | "arguments" | "input" => as_text(json),
        "content" | "summary" => Some(match serde_json::from_str::<Vec<Json>>(json.get()) {
            Ok(parts) => Json::of(&parts.iter().map(part).collect::<Vec<_>>()).ok()?,
            Err(_) => json.clone(),
        }),
        "type" | "role" | "encrypted_content" => Some(json.clone()),
        // Of no use to a chat, and perhaps what is odd.
        _ => None,
    }
}

/// A text; anything else as the text of its JSON.
fn as_text(json: &Json) -> Option<Json> {
    match json.get() {
        "null" => None,
        text if text.starts_with('"') => Some(json.clone()),
        other => Json::of(other).ok(),
    }
}

/// A part without what is beside its text.
fn part(json: &Json) -> Json {
    let Ok(object) = serde_json::from_str::<EmptyObject>(json.get()) else {
        return json.clone();
    };
    let is_list = |json: &Json| json.get().starts_with('[');
    let members = object.extra.iter();
    let members = members.filter(|(name, json)| match *name {
        "type" | "text" | "refusal" => true,
        "annotations" | "logprobs" => is_list(json),
        _ => false,
    });
    Json::of(&with(members.map(|(name, json)| (name, json.clone())))).unwrap_or_else(|_| json.clone())
}

fn with<'a>(members: impl Iterator<Item = (&'a str, Json)>) -> EmptyObject {
    let mut extra = UnknownFields::default();
    members.for_each(|(name, json)| extra.push(name.to_owned(), json));
    EmptyObject { extra }
}
