//! Reasoning of other formats in a request to a provider with a Responses API.
//!
//! A translated answer carries such reasoning in the `encrypted_content` of a reasoning item, marked with
//! [`FOREIGN_PREFIX`], so that the next request to a chat target can restore it. A provider with a Responses API
//! cannot decrypt it and refuses the request.

use serde_json::value::RawValue;

use super::resource_refs::FOREIGN_PREFIX;
use crate::lenient_json::decode_part;
use crate::raw_object::RawObject;

/// Returns the body of a Responses request without the reasoning of other formats that llmpool has written, and the
/// paths of what was removed: `input[0].encrypted_content`, or `input[0]` for an item with no other content.
///
/// Returns `None` if the body has no such reasoning.
pub fn without_foreign_blocks(request: &[u8]) -> Option<(Vec<u8>, Vec<String>)> {
    memchr::memmem::find(request, FOREIGN_PREFIX.as_bytes())?;
    let mut object = RawObject::parse(std::str::from_utf8(request).ok()?)?;
    let items: Vec<&RawValue> = serde_json::from_str(object.get("input")?).ok()?;
    let mut removed = Vec::new();
    let mut kept = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().map(RawValue::get).enumerate() {
        match cleaned(item) {
            Cleaned::Unchanged => kept.push(item.to_owned()),
            Cleaned::Shortened(item) => {
                removed.push(format!("input[{index}].encrypted_content"));
                kept.push(item);
            }
            Cleaned::Empty => removed.push(format!("input[{index}]")),
        }
    }
    if removed.is_empty() {
        return None;
    }
    object.set("input", format!("[{}]", kept.join(",")));
    Some((object.to_json().into_bytes(), removed))
}

enum Cleaned {
    Unchanged,
    /// The item without its encrypted content.
    Shortened(String),
    /// The item has nothing but its encrypted content.
    Empty,
}

fn cleaned(item: &str) -> Cleaned {
    let Some(mut object) = RawObject::parse(item) else {
        return Cleaned::Unchanged;
    };
    let encrypted = object.get("encrypted_content").and_then(decode_part::<String>);
    if !encrypted.is_some_and(|text| text.starts_with(FOREIGN_PREFIX)) {
        return Cleaned::Unchanged;
    }
    object.remove("encrypted_content");
    let is_empty = |name: &&str| matches!(object.get(name), None | Some("null" | "[]"));
    if ["summary", "content"].iter().all(is_empty) {
        return Cleaned::Empty;
    }
    Cleaned::Shortened(object.to_json())
}
