//! A checker for the subset of JSON Schema that providers accept in strict mode.

use serde_json::{Value, json};

/// Asserts that every node is in the strict subset.
pub(crate) fn assert_strict(node: &Value) {
    let members = node.as_object().unwrap();
    let allowed: &[&str] = if members.contains_key("$ref") {
        &["$ref"]
    } else if members.contains_key("anyOf") {
        &["description", "anyOf"]
    } else {
        match &members["type"] {
            Value::String(kind) if kind == "object" => &[
                "type",
                "description",
                "properties",
                "required",
                "additionalProperties",
                "$defs",
            ],
            Value::String(kind) if kind == "array" => &["type", "description", "items"],
            _ => &["type", "description", "enum"],
        }
    };
    for name in members.keys() {
        assert!(allowed.contains(&name.as_str()), "{name} in {node}");
    }
    if let Some(properties) = node.get("properties") {
        let properties = properties.as_object().unwrap();
        let names: Vec<_> = properties.keys().collect();
        assert_eq!(node["required"], json!(names));
        assert_eq!(node["additionalProperties"], json!(false));
        properties.values().for_each(assert_strict);
    }
    if let Some(definitions) = node.get("$defs") {
        definitions.as_object().unwrap().values().for_each(assert_strict);
    }
    if let Some(branches) = node.get("anyOf") {
        branches.as_array().unwrap().iter().for_each(assert_strict);
    }
    if let Some(items) = node.get("items") {
        assert_strict(items);
    }
}

/// Returns whether a value is valid for a schema in the strict subset.
pub(crate) fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    if let Some(reference) = schema.get("$ref") {
        let target = root.pointer(reference.as_str().unwrap().trim_start_matches('#'));
        return is_valid(root, target.unwrap(), value);
    }
    if let Some(branches) = schema.get("anyOf") {
        let branches = branches.as_array().unwrap();
        return branches.iter().any(|branch| is_valid(root, branch, value));
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        only => vec![only.clone()],
    };
    let allowed = schema
        .get("enum")
        .is_none_or(|values| values.as_array().unwrap().contains(value));
    let inside = || match value {
        Value::Object(members) => {
            let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
                return false;
            };
            members.len() == properties.len()
                && properties.iter().all(|(name, property)| {
                    members
                        .get(name)
                        .is_some_and(|member| is_valid(root, property, member))
                })
        }
        Value::Array(items) => items.iter().all(|item| is_valid(root, &schema["items"], item)),
        _ => true,
    };
    allowed && types.iter().any(|kind| is_of(value, kind.as_str().unwrap())) && inside()
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    }
}
