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
