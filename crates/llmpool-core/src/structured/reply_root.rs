//! The outermost level of a reply's schema.
//!
//! Providers accept only an object there. A type of another kind is the member `value` of an object, and a text
//! without constraints needs no schema.

use serde_json::{Map, Value, json};

use super::definition_names::{definition_name, plain_name};
use super::schema_error::{SchemaError, Unsupported};

/// Name of the member that holds a value whose type is no object.
pub(super) const WRAPPER: &str = "value";

const ROOT: &str = "#";

/// Keywords of a text that any text satisfies.
const TEXT_KEYWORDS: [&str; 7] = [
    "type",
    "title",
    "description",
    "default",
    "deprecated",
    "examples",
    "$defs",
];

/// How a reply holds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyShape {
    /// The text of the reply is the value.
    Text,
    /// The reply is a JSON object, which is the value.
    Object,
    /// The reply is a JSON object with the value as its member [`WRAPPER`].
    Wrapped,
}

impl ReplyShape {
    /// Returns the shape of replies for a schema that `schemars` generated.
    ///
    /// # Errors
    /// Fails if the type has no values, or if its schema refers to a definition that does not exist.
    pub(super) fn of(type_name: &str, document: &Value) -> Result<Self, SchemaError> {
        let root = resolved(type_name, document)?;
        let kind = root.get("type").and_then(Value::as_str);
        let is_any_text = || {
            root.keys()
                .all(|keyword| TEXT_KEYWORDS.contains(&keyword.as_str()))
        };
        Ok(match kind {
            Some("string") if is_any_text() => Self::Text,
            Some("object") => Self::Object,
            _ => Self::Wrapped,
        })
    }
}

/// Returns the outermost schema. Follows references, which a newtype struct has in place of its own schema.
/// Its own description takes precedence.
fn resolved(type_name: &str, document: &Value) -> Result<Map<String, Value>, SchemaError> {
    let error = |reason| SchemaError::new(type_name.to_owned(), reason);
    let definitions = document.get("$defs").and_then(Value::as_object);
    let mut schema = document;
    let mut own = Map::new();
    // Types that consist only of themselves have no end, so the loop is bounded.
    for _ in 0..=definitions.map_or(0, Map::len) {
        if has_no_value(document, schema) {
            return Err(error(Unsupported::NoValue));
        }
        let Some(members) = schema.as_object() else {
            return Ok(Map::new());
        };
        let Some(reference) = members.get("$ref").and_then(Value::as_str) else {
            let mut members = members.clone();
            members.extend(own);
            return Ok(members);
        };
        for keyword in ["title", "description"] {
            if let (Some(value), None) = (members.get(keyword), own.get(keyword)) {
                own.insert(keyword.to_owned(), value.clone());
            }
        }
        schema =
            target(document, reference).ok_or_else(|| error(Unsupported::Reference(reference.to_owned())))?;
    }
    Err(error(Unsupported::NoValue))
}

/// Returns the schema to which a `$ref` refers.
pub(super) fn target<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
    if reference == ROOT {
        return Some(document);
    }
    document.get("$defs")?.get(&definition_name(reference)?)
}

/// Returns whether no value satisfies the schema. Follows one reference.
pub(super) fn has_no_value(document: &Value, schema: &Value) -> bool {
    let is_empty = |schema: &Value| *schema == json!(false) || schema.get("not") == Some(&json!({}));
    let reference = schema.get("$ref").and_then(Value::as_str);
    is_empty(schema)
        || reference
            .and_then(|reference| target(document, reference))
            .is_some_and(is_empty)
}

/// Returns a generated schema whose outermost level is an object itself, not a reference to one.
///
/// # Errors
/// See [`ReplyShape::of`].
pub(super) fn unreferenced(type_name: &str, document: &Value) -> Result<Value, SchemaError> {
    let mut root = resolved(type_name, document)?;
    // The definitions stay behind the description of the type.
    let definitions = root
        .shift_remove("$defs")
        .or_else(|| document.get("$defs").cloned());
    root.extend(definitions.map(|definitions| ("$defs".to_owned(), definitions)));
    Ok(Value::Object(root))
}

/// Returns the schema of an object with the value as its only member. The definitions stay at the outermost level.
pub(super) fn wrapped(type_name: &str, mut document: Value) -> Value {
    let definitions = document
        .as_object_mut()
        .and_then(|root| root.shift_remove("$defs"));
    let mut definitions = match definitions {
        Some(Value::Object(definitions)) => definitions,
        _ => Map::new(),
    };
    let is_recursive = refers_to_root(&document) || definitions.values().any(refers_to_root);
    if is_recursive {
        let mut name = plain_name(type_name);
        while definitions.contains_key(&name) {
            name.push('_');
        }
        let reference = format!("#/$defs/{name}");
        redirect(&mut document, &reference);
        definitions
            .values_mut()
            .for_each(|schema| redirect(schema, &reference));
        definitions.insert(name, document);
        document = json!({"$ref": reference});
    }
    let mut wrapper = json!({
        "type": "object",
        "properties": {WRAPPER: document},
        "required": [WRAPPER],
        "additionalProperties": false,
    });
    if !definitions.is_empty() {
        wrapper["$defs"] = Value::Object(definitions);
    }
    wrapper
}

fn refers_to_root(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            members.get("$ref").is_some_and(|reference| reference == ROOT)
                || members.values().any(refers_to_root)
        }
        Value::Array(schemas) => schemas.iter().any(refers_to_root),
        _ => false,
    }
}

/// Replaces references to the outermost level.
fn redirect(schema: &mut Value, reference: &str) {
    match schema {
        Value::Object(members) => {
            for (keyword, value) in members {
                if keyword == "$ref" && value == ROOT {
                    *value = Value::from(reference);
                } else {
                    redirect(value, reference);
                }
            }
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(|schema| redirect(schema, reference)),
        _ => {}
    }
}
