//! Reading of items that do not have the documented form but a clear meaning.

use crate::chat::Json;
use crate::raw_object::{RawObject, quoted};

/// Returns the message, as JSON, of a message whose content is one part in place of a list, or of a part in place of
/// a message. `None` for anything else.
pub(super) fn message_of_lenient(json: &Json) -> Option<String> {
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
    Some(item.to_json())
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
