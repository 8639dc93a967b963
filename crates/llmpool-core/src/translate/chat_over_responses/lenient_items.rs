//! Repair of output items that could not be parsed because their fields do not have the documented types.

use crate::chat::{EmptyObject, Json, UnknownFields};
use crate::responses::{Item, ItemPart};

/// Repairs an item that could not be parsed. Numeric ids and object arguments become strings. Fields that a
/// chat does not need, and invalid fields of content parts, are removed.
///
/// An item that was parsed is returned unchanged.
pub(in crate::translate) fn repair_item(item: Item) -> Item {
    match item {
        Item::Other(json) => Item::from(select_members(&json, repair_member).unwrap_or(json)),
        item => item,
    }
}

/// Repairs a content part that could not be parsed, by removing its invalid fields. A part that was parsed is
/// returned unchanged.
pub(super) fn repair_part(part: ItemPart) -> ItemPart {
    match part {
        ItemPart::Other(json) => ItemPart::from(repair_part_json(&json)),
        part => part,
    }
}

fn repair_member(name: &str, json: &Json) -> Option<Json> {
    match name {
        "id" | "call_id" | "name" | "arguments" | "input" => to_string(json),
        "content" | "summary" => match serde_json::from_str::<Vec<Json>>(json.get()) {
            Ok(parts) => Json::of(&parts.iter().map(repair_part_json).collect::<Vec<_>>()).ok(),
            Err(_) => Some(json.clone()),
        },
        "type" | "role" | "encrypted_content" => Some(json.clone()),
        // A chat does not use any other member, and such a member can be the reason why the item could not be parsed.
        _ => None,
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

/// Removes all fields of a content part except its type, text, refusal, annotations and log probabilities.
/// Annotations and log probabilities are removed as well if their value is not a list. Returns `part`
/// unchanged if it is not an object.
fn repair_part_json(part: &Json) -> Json {
    let valid_member = |name: &str, json: &Json| {
        let is_valid = match name {
            "type" | "text" | "refusal" => true,
            "annotations" | "logprobs" => json.get().starts_with('['),
            _ => false,
        };
        is_valid.then(|| json.clone())
    };
    select_members(part, valid_member).unwrap_or_else(|| part.clone())
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
