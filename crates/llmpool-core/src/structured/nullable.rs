//! Which properties may be null in place of being absent.
//!
//! In strict mode every property is required. A field that the type can do without, such as the fields of a
//! flattened `Option`, is therefore nullable, and null stands for its absence.

use serde_json::{Map, Value, json};

/// Adds to the required properties of `deserialized`, the schema of values that the type accepts, those that
/// are required in `serialized`, the schema of values that the type writes. Both are schemas of one type.
///
/// A field with a default stays required, because the type always writes it. Its default is no value that a
/// model should choose by leaving the field out.
pub(super) fn require_written(deserialized: &mut Value, serialized: &Value) {
    match (deserialized, serialized) {
        (Value::Object(schema), Value::Object(written)) => {
            if let (true, Some(Value::Array(more))) =
                (schema.contains_key("properties"), written.get("required"))
            {
                let required = schema.entry("required").or_insert_with(|| json!([]));
                if let Value::Array(required) = required {
                    required.extend(more.iter().cloned());
                }
            }
            for (keyword, value) in schema {
                if let Some(written) = written.get(keyword) {
                    require_written(value, written);
                }
            }
        }
        (Value::Array(schemas), Value::Array(written)) => {
            for (schema, written) in schemas.iter_mut().zip(written) {
                require_written(schema, written);
            }
        }
        _ => {}
    }
}

/// Returns a schema in the strict subset that accepts null and all values that `schema` accepts.
pub(super) fn or_null(mut schema: Map<String, Value>) -> Map<String, Value> {
    let null = json!({"type": "null"});
    if let Some(Value::Array(branches)) = schema.get_mut("anyOf") {
        if !branches.contains(&null) {
            branches.push(null);
        }
        return schema;
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) if !matches!(kind.as_str(), "object" | "array" | "null") => kind.clone(),
        Some(Value::String(kind)) if kind != "null" => return any_of_null(schema),
        None => return any_of_null(schema),
        // Null is already accepted.
        Some(_) => return schema,
    };
    schema.insert("type".to_owned(), json!([kind, "null"]));
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
    schema
}

/// Wraps the schema in an `anyOf`. The description stands outside.
fn any_of_null(mut schema: Map<String, Value>) -> Map<String, Value> {
    let description = schema.shift_remove("description");
    let mut nullable = Map::new();
    nullable.extend(description.map(|text| ("description".to_owned(), text)));
    nullable.insert("anyOf".to_owned(), json!([schema, {"type": "null"}]));
    nullable
}

/// Removes all members of objects that are null. Returns whether any was removed.
pub(super) fn remove_null_members(value: &mut Value) -> bool {
    let mut removed = false;
    match value {
        Value::Object(members) => {
            let count = members.len();
            members.retain(|_, member| !member.is_null());
            removed = members.len() < count;
            for member in members.values_mut() {
                removed |= remove_null_members(member);
            }
        }
        Value::Array(items) => {
            for item in items {
                removed |= remove_null_members(item);
            }
        }
        _ => {}
    }
    removed
}
