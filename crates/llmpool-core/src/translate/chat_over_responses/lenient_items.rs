//! Repair of output items that could not be parsed because their fields do not have the documented types.

use crate::chat::{EmptyObject, Json, UnknownFields};
use crate::lenient_json::decode_part;
use crate::responses::{Item, ItemPart};

/// Repairs an item that could not be parsed. Numeric ids and object arguments become strings. Fields whose values
/// still have another type than documented are removed.
///
/// An item that was parsed is returned unchanged.
pub(in crate::translate) fn repair_item(item: Item) -> Item {
    match item {
        Item::Other(json) => Item::from(select_members(&json, repair_member).unwrap_or(json)),
        item => item,
    }
}

/// Repairs a content part that could not be parsed. A string becomes a text, and fields with invalid values are
/// removed. A part that was parsed is returned unchanged.
pub(in crate::translate) fn repair_part(part: ItemPart) -> ItemPart {
    match part {
        ItemPart::Other(json) => match decode_part::<String>(json.get()) {
            Some(text) => ItemPart::output_text(text),
            None => ItemPart::from(select_members(&json, repair_part_member).unwrap_or(json)),
        },
        part => part,
    }
}

/// Returns the names of the fields that [`repair_item`] removes from an item.
pub(in crate::translate) fn removed_from_item(item: &Json) -> Vec<String> {
    removed(item, repair_member)
}

/// Returns the names of the fields that [`repair_part`] removes from a content part.
pub(in crate::translate) fn removed_from_part(part: &Json) -> Vec<String> {
    removed(part, repair_part_member)
}

fn removed(json: &Json, repair: impl Fn(&str, &Json) -> Option<Json>) -> Vec<String> {
    let object: EmptyObject = serde_json::from_str(json.get()).unwrap_or_default();
    let members = object.extra.iter();
    let removed = members.filter(|(name, json)| json.get() != "null" && repair(name, json).is_none());
    removed.map(|(name, _)| name.to_owned()).collect()
}

fn repair_member(name: &str, json: &Json) -> Option<Json> {
    let is_valid = |starts: &[char]| json.get().starts_with(starts).then(|| json.clone());
    match name {
        "id" | "call_id" | "name" | "arguments" | "input" => to_string(json),
        "status" | "phase" | "role" | "encrypted_content" => is_valid(&['"']),
        "content" => is_valid(&['"', '[']),
        "summary" => is_valid(&['[']),
        // A field that the struct of the item does not define can have any value.
        _ => Some(json.clone()),
    }
}

/// Converts a JSON value to a JSON string: a string stays unchanged, and any other value becomes a string
/// with its JSON text. Returns `None` for `null`.
fn to_string(json: &Json) -> Option<Json> {
    match json.get() {
        "null" => None,
        text if text.starts_with('"') => Some(json.clone()),
        other => Json::of(other).ok(),
    }
}

/// Removes annotations and log probabilities that are not a list. A text that is not a string stays, so that the
/// part stays unreadable: it is not an empty text.
fn repair_part_member(name: &str, json: &Json) -> Option<Json> {
    let is_valid = !matches!(name, "annotations" | "logprobs") || json.get().starts_with('[');
    is_valid.then(|| json.clone())
}

/// Returns the JSON object with the value of each field replaced by the result of `select`, and without the
/// fields for which `select` returns `None`. Returns `None` if `json` is not an object.
fn select_members(json: &Json, select: impl Fn(&str, &Json) -> Option<Json>) -> Option<Json> {
    let object: EmptyObject = serde_json::from_str(json.get()).ok()?;
    let mut extra = UnknownFields::default();
    for (name, json) in object.extra.iter() {
        if let Some(json) = select(name, json) {
            extra.push(name.to_owned(), json);
        }
    }
    Json::of(&EmptyObject { extra }).ok()
}
