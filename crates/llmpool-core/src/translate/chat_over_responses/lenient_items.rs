//! Lenient reading of output items whose members do not have the documented types.

use crate::chat::{EmptyObject, Json, UnknownFields};
use crate::responses::{Item, ItemPart};

/// Parses an unreadable item again without what a chat does not need: ids can be numbers, arguments can be objects, and parts can have
/// invalid members beside their text.
///
/// Items that are readable, or not readable this way either, are returned unchanged.
pub(super) fn repair_item(item: Item) -> Item {
    match item {
        Item::Other(json) => Item::from(select_members(&json, repair_member).unwrap_or(json)),
        item => item,
    }
}

/// Does for a part what [`repair_item`] does for an item.
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
        // A chat does not use the others, and one of them can be what makes the item unreadable.
        _ => None,
    }
}

/// Returns a string unchanged, and any other value except null as a string of its JSON text.
fn to_string(json: &Json) -> Option<Json> {
    match json.get() {
        "null" => None,
        text if text.starts_with('"') => Some(json.clone()),
        other => Json::of(other).ok(),
    }
}

/// Removes the members of a part that are not its text or are invalid.
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

/// Replaces each member of an object by what `select` returns. Returns `None` if `json` is not an object.
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
