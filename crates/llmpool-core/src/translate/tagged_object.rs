//! Conversion of objects with a `type` field between the two API formats, for annotations and for the
//! grammars of custom tools.
//!
//! Chat Completions nests the other fields of the object:
//! `{"type": "url_citation", "url_citation": {"url": …}}`. Responses has all fields on one level:
//! `{"type": "url_citation", "url": …}`.

use serde_json::{Value, json};

use crate::chat::Json;

/// Nests the fields of an object under the name of its `type`: `{"type": "url_citation", "url": …}` becomes
/// `{"type": "url_citation", "url_citation": {"url": …}}`.
///
/// Returns the value unchanged if it is already nested or has no string as its `type`.
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

/// Moves the fields that are nested under the name of an object's `type` one level up:
/// `{"type": "url_citation", "url_citation": {"url": …}}` becomes `{"type": "url_citation", "url": …}`.
///
/// Returns the value unchanged if it contains no such nested object.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn nested_object_is_not_nested_again() {
        let nested = json(r#"{"type":"url_citation","url_citation":{"url":"u"}}"#);
        assert_eq!(nest(&nested).value(), nested.value());
        let flat = json(r#"{"type":"url_citation","url":"u"}"#);
        assert_eq!(nest(&flat).value(), nested.value());
    }

    #[test]
    fn flattened_object_keeps_sibling_fields() {
        let nested = json(r#"{"type":"url_citation","url_citation":{"url":"u"},"index":3}"#);
        let flat = json!({"type": "url_citation", "url": "u", "index": 3});
        assert_eq!(flatten(&nested).value(), flat);
    }
}
