//! Conversion of objects with a `type` between the two API formats. Chat Completions nests the other members of such an object under the
//! name of its type. Responses keeps them in the object itself.
//!
//! Annotations of a text and grammars of custom tools are such objects.

use serde_json::{Value, json};

use crate::chat::Json;

/// Nests the members of an object under the name of its `type`: `{"type": "url_citation", "url": …}` becomes
/// `{"type": "url_citation", "url_citation": {"url": …}}`.
///
/// Returns objects that are nested already, and values without a string `type`, unchanged.
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

/// Moves the members that are nested under an object's `type` to the object itself: `{"type": "url_citation", "url_citation": {"url": …}}`
/// becomes `{"type": "url_citation", "url": …}`.
///
/// Returns values without such a nested object unchanged.
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
