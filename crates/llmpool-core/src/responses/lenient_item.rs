//! Reading of items that do not have the documented form but a clear meaning.

use crate::chat::Json;
use crate::lenient_json;
use crate::raw_object::{RawObject, quoted};

/// Returns an item in the documented form, as JSON:
///
/// - a message whose content is one part in place of a list, or a part in place of a message;
/// - a call whose arguments are an object in place of its text, or whose ID is a number.
///
/// `None` for anything else, so that reading the result leniently ends.
pub(super) fn read_leniently(json: &Json) -> Option<String> {
    let text = lenient_json::cleaned_text(json.get().as_bytes());
    let mut item = RawObject::parse(&text)?;
    match item.get("type") {
        Some(r#""message""#) if is_object(item.get("content")) => {
            item.edit("content", |part| Some(format!("[{part}]")));
        }
        Some(r#""text""# | r#""output_text""#) if item.get("text").is_some() => {
            item = message_of(&text);
        }
        Some(r#""function_call""# | r#""custom_tool_call""#)
            if CALL_TEXTS.iter().any(|name| has_value(&item, name)) =>
        {
            for name in CALL_TEXTS {
                if has_value(&item, name) {
                    item.edit(name, |value| Some(quoted(value)));
                }
            }
        }
        _ => return None,
    }
    Some(item.to_json())
}

/// Members of a call that are strings.
const CALL_TEXTS: [&str; 5] = ["id", "call_id", "name", "arguments", "input"];

/// Returns whether a member is neither a string nor null.
fn has_value(item: &RawObject<'_>, name: &str) -> bool {
    let value = item.get(name);
    value.is_some_and(|value| value != "null" && !value.starts_with('"'))
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
