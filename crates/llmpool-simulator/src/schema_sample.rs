//! Generates a small value that is valid for a JSON Schema, so that clients can parse the simulator's tool
//! calls and structured answers.
//!
//! Supports the keywords that schemas of tools and typed answers use: `type`, `properties`, `required`, `enum`,
//! `const`, `anyOf`, `oneOf`, `allOf`, local `$ref`, `minLength`, `minItems` and `minimum`. All other keywords are
//! ignored, so the value may violate them.

use serde_json::{Map, Value, json};

/// Maximum nesting depth of a generated value. Any deeper value is `null`, which ends the value of a
/// recursive schema.
const MAX_DEPTH: usize = 16;
/// Maximum number of JSON values in a generated value. The depth limit alone is not enough, because the value
/// of a recursive schema with several branches grows exponentially with the depth.
const MAX_VALUES: usize = 10_000;
/// Maximum number of items or characters that are generated for `minItems` or `minLength`.
const MAX_FILLER: u64 = 64;

/// Returns a value that is valid for the schema, or `null` if `schema` is not a schema.
pub(crate) fn value_for(schema: &Value) -> Value {
    Sampler {
        root: schema,
        left: MAX_VALUES,
    }
    .value(schema, MAX_DEPTH)
}

struct Sampler<'a> {
    root: &'a Value,
    /// The number of values that may still be generated.
    left: usize,
}

impl Sampler<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if depth == 0 || self.left == 0 {
            return Value::Null;
        }
        self.left -= 1;
        if let Some(target) = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
            return self
                .root
                .pointer(target)
                .map_or(Value::Null, |target| self.value(target, depth - 1));
        }
        if let Some(constant) = schema.get("const").or_else(|| schema["enum"].get(0)) {
            return constant.clone();
        }
        if let Some(first) = ["anyOf", "oneOf", "allOf"]
            .iter()
            .find_map(|keyword| schema[keyword].get(0))
        {
            return self.value(first, depth - 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => Value::String("x".repeat(minimum_length(schema, "minLength", 4))),
            "integer" | "number" => number(schema),
            "boolean" => json!(false),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let Some(properties) = schema["properties"].as_object() else {
            return json!({});
        };
        let required = schema["required"].as_array();
        let is_required = |name: &str| required.is_none_or(|names| names.iter().any(|entry| entry == name));
        let members = properties
            .iter()
            .filter(|(name, _)| is_required(name))
            .map(|(name, property)| (name.clone(), self.value(property, depth - 1)));
        Value::Object(members.collect::<Map<_, _>>())
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        let count = minimum_length(schema, "minItems", 0);
        let item = || self.value(&schema["items"], depth - 1);
        Value::Array(std::iter::repeat_with(item).take(count).collect())
    }
}

fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
        Value::String(kind) => kind,
        _ if schema["properties"].is_object() => "object",
        _ => "",
    }
}

fn minimum_length(schema: &Value, keyword: &str, default: usize) -> usize {
    let minimum = schema[keyword].as_u64().map(|minimum| minimum.min(MAX_FILLER));
    minimum.map_or(default, |minimum| minimum as usize)
}

fn number(schema: &Value) -> Value {
    match &schema["minimum"] {
        minimum @ Value::Number(_) if minimum.as_f64() > Some(0.0) => minimum.clone(),
        _ => json!(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_has_all_required_members() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "kelvin"]},
                "days": {"type": "integer", "minimum": 1},
                "tags": {"type": "array", "items": {"type": ["boolean", "null"]}, "minItems": 2},
                "place": {"$ref": "#/$defs/place"},
                "note": {"type": "string"},
            },
            "required": ["city", "unit", "days", "tags", "place"],
            "$defs": {"place": {"anyOf": [{"type": "object", "properties": {"lat": {"type": "number"}}}, {"type": "null"}]}},
        });
        let expected = json!({
            "city": "xxxx", "unit": "celsius", "days": 1, "tags": [false, false], "place": {"lat": 0},
        });
        assert_eq!(value_for(&schema), expected);
    }

    #[test]
    fn recursive_schema_terminates() {
        let list = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(value_for(&list).is_object());
        let tree = json!({"type": "array", "items": {"$ref": "#"}, "minItems": 2});
        assert_eq!(value_for(&tree).as_array().map(Vec::len), Some(2));
        assert_eq!(value_for(&json!({"$ref": "#"})), Value::Null);
        let bush = json!({"type": "array", "items": {"$ref": "#"}, "minItems": 64});
        assert!(value_for(&bush).to_string().matches('[').count() <= MAX_VALUES);
    }
}
