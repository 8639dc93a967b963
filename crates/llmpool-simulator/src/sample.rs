//! The smallest value that fits a JSON Schema, so that forced tool calls and structured answers parse.
//!
//! Knows what schemas of tools and typed answers use: types, properties, enums, constants, alternatives, local
//! references, least lengths and minima. Anything else is ignored, and so may not fit.

use serde_json::{Map, Value, json};

/// Deeper than this a schema refers to itself; `null` ends it.
const MAX_DEPTH: usize = 16;
/// Values in one sample; a schema that branches and refers to itself would grow without bound before it is deep.
const MAX_VALUES: usize = 10_000;
/// Most items or characters invented to satisfy a minimum.
const MAX_FILLER: u64 = 64;

/// A value for the schema; `null` for what is no schema.
pub(crate) fn fitting(schema: &Value) -> Value {
    Sampler {
        root: schema,
        left: MAX_VALUES,
    }
    .value(schema, MAX_DEPTH)
}

struct Sampler<'a> {
    root: &'a Value,
    /// Values that may still be made.
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
            .find_map(|word| schema[word].get(0))
        {
            return self.value(first, depth - 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => Value::String("x".repeat(filler(schema, "minLength", 4))),
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
        let wanted = |name: &str| required.is_none_or(|names| names.iter().any(|entry| entry == name));
        let members = properties
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, property)| (name.clone(), self.value(property, depth - 1)));
        Value::Object(members.collect::<Map<_, _>>())
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        let count = filler(schema, "minItems", 0);
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

fn filler(schema: &Value, minimum: &str, default: usize) -> usize {
    let least = schema[minimum].as_u64().map(|least| least.min(MAX_FILLER));
    least.map_or(default, |least| least as usize)
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
    fn a_value_has_what_its_schema_requires() {
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
        assert_eq!(fitting(&schema), expected);
    }

    #[test]
    fn a_schema_that_refers_to_itself_comes_to_an_end() {
        let list = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(fitting(&list).is_object());
        let tree = json!({"type": "array", "items": {"$ref": "#"}, "minItems": 2});
        assert_eq!(fitting(&tree).as_array().map(Vec::len), Some(2));
        assert_eq!(fitting(&json!({"$ref": "#"})), Value::Null);
        let bush = json!({"type": "array", "items": {"$ref": "#"}, "minItems": 64});
        assert!(fitting(&bush).to_string().matches('[').count() <= MAX_VALUES);
    }
}
