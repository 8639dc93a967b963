//! Where a text comes from: nested in a chat, flat in a response.

use serde_json::{Value, json};

use crate::chat::Json;

/// `{"type": "url_citation", "url": …}` is nested in a chat.
pub(super) fn nested(annotation: &Json) -> Json {
    let mut value = annotation.value();
    let Some(Value::String(kind)) = value.as_object_mut().and_then(|members| members.remove("type")) else {
        return annotation.clone();
    };
    let nested = json!({"type": kind, kind: value});
    Json::of(&nested).unwrap_or_else(|_| annotation.clone())
}

/// `{"type": "url_citation", "url_citation": {…}}` is flat in a response.
pub(super) fn flat(annotation: &Json) -> Json {
    let value = annotation.value();
    let flat = value.get("type").and_then(|kind| {
        let mut flat = value.get(kind.as_str()?)?.as_object()?.clone();
        flat.insert("type".to_owned(), kind.clone());
        Json::of(&flat).ok()
    });
    flat.unwrap_or_else(|| annotation.clone())
}
