//! Reading of items that do not have the documented form but a clear meaning.

use super::item::Item;
use crate::chat::Json;
use crate::raw_object::{RawObject, quoted};

/// Reads a message whose content is one part in place of a list, and a part in place of a message. Returns
/// `None` for anything else.
pub(super) fn lenient_item(json: &Json) -> Option<Item> {
    let mut item = RawObject::parse(json.get())?;
    match item.get("type") {
        Some(r#""message""#) if is_object(item.get("content")) => {
            item.edit("content", |part| Some(format!("[{part}]")));
        }
        Some(r#""text""# | r#""output_text""#) if item.get("text").is_some() => {
            item = message_of(json.get());
        }
        _ => return None,
    }
    serde_json::from_str(&item.to_json())
        .ok()
        .filter(|item| matches!(item, Item::Message(_)))
}

/// Returns a message of the model with one part.
fn message_of(part: &str) -> RawObject<'_> {
    let mut message = RawObject::default();
    message.set("type", quoted("message"));
    message.set("role", quoted("assistant"));
    message.set("content", format!("[{part}]"));
    message
}

fn is_object(json: Option<&str>) -> bool {
    json.is_some_and(|json| json.starts_with('{'))
}
