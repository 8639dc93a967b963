//! Objects with a `type` whose members the Chat Completions format nests under that type, and the Responses format does not.
//!
//! Annotations and the grammars of custom tools are written like this.

use serde_json::{Value, json};

use crate::chat::Json;

/// Turns `{"type": "url_citation", "url": …}` into `{"type": "url_citation", "url_citation": {"url": …}}`.
///
/// Other values are returned unchanged.
pub(super) fn nest(object: &Json) -> Json {
    let mut value = object.value();
    let Some(Value::String(kind)) = value.as_object_mut().and_then(|members| members.remove("type")) else {
        return object.clone();
    };
    if value.get(&kind).is_some() {
        return object.clone();
    }
    Json::of(&json!({"type": kind, kind: value})).unwrap_or_else(|_| object.clone())
}

/// Turns `{"type": "url_citation", "url_citation": {"url": …}}` into `{"type": "url_citation", "url": …}`.
///
/// Other values are returned unchanged.
pub(super) fn flatten(object: &Json) -> Json {
    let mut value = object.value();
    let flat = value.as_object_mut().and_then(|members| {
        let kind = members.get("type")?.as_str()?.to_owned();
        let Some(Value::Object(mut flat)) = members.remove(&kind) else {
            return None;
        };
        flat.append(members);
        Json::of(&flat).ok()
    });
    flat.unwrap_or_else(|| object.clone())
}
