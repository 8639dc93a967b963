//! Converts JSON schemas to the subset of JSON Schema that providers accept in strict mode.
//!
//! Drops annotations and validation keywords, and rewrites keywords that have an equivalent in strict mode.
//! Every other keyword is an error, because providers reject the whole request for one unsupported keyword.
//! Writes definitions in the order in which they are first referenced, and drops unused definitions.

use serde_json::{Map, Value, json};

use super::definition_names::{ReferencedDefinitions, definition_name};
use super::nullable::or_null;
use super::schema_error::{SchemaError, Unsupported};

type JsonObject = Map<String, Value>;

/// Schema keywords that are dropped: annotations and validation rules. The Rust type can still check the
/// rules when the reply is parsed.
const DROPPED: [&str; 20] = [
    "$comment",
    "$schema",
    "contentEncoding",
    "default",
    "deprecated",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "multipleOf",
    "pattern",
    "readOnly",
    "title",
    "writeOnly",
];

/// Schema keywords that are kept, or rewritten to an equivalent that strict mode accepts.
const CONVERTED: [&str; 12] = [
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "const",
    "description",
    "enum",
    "items",
    "oneOf",
    "properties",
    "required",
    "type",
];

const ROOT: &str = "#";

/// Converts a schema that `schemars` generated to the subset of JSON Schema that strict mode accepts.
///
/// `type_name` is the first segment of the path in errors.
pub(super) fn to_strict(type_name: &str, generated: &Value) -> Result<Value, SchemaError> {
    let Some(root) = generated.as_object() else {
        return Err(SchemaError::new(type_name.to_owned(), Unsupported::Root));
    };
    let mut converter = StrictConverter {
        root,
        definitions: object(root, "$defs"),
        referenced: ReferencedDefinitions::default(),
        merging: Vec::new(),
        path: vec![type_name.to_owned()],
    };
    converter.document()
}

struct StrictConverter<'a> {
    root: &'a JsonObject,
    definitions: JsonObject,
    referenced: ReferencedDefinitions,
    /// References whose properties are currently being merged into an enum variant, outermost first.
    merging: Vec<String>,
    /// Segments of the path to the current position in the type, for error messages.
    path: Vec<String>,
}

impl StrictConverter<'_> {
    fn document(&mut self) -> Result<Value, SchemaError> {
        let body = self.root_body()?;
        let mut document = self.plain(&body)?;
        let mut definitions = JsonObject::new();
        while let Some((name, written)) = self.referenced.get(definitions.len()).cloned() {
            self.path = vec![name.clone()];
            let body = self.definitions.get(&name).cloned().unwrap_or_default();
            let body = self.node(&body)?;
            definitions.insert(written, Value::Object(body));
        }
        if !definitions.is_empty() {
            document.insert("$defs".to_owned(), Value::Object(definitions));
        }
        Ok(Value::Object(document))
    }

    /// Returns the schema of the reply. If the root of the generated schema is a reference, as for a newtype
    /// struct, follows the reference, because strict mode does not accept a reference as the root.
    fn root_body(&self) -> Result<JsonObject, SchemaError> {
        let mut body = self.root.clone();
        // Newtype structs could refer to each other in a cycle, so the loop is bounded.
        let mut hops = 0..=self.definitions.len();
        while let (Some(reference), Some(_)) = (reference(&body), hops.next()) {
            let mut target = self.definition(reference)?;
            if let Some(description) = body.get("description") {
                target.insert("description".to_owned(), description.clone());
            }
            body = target;
        }
        match body.get("type").and_then(Value::as_str) {
            Some("object") => Ok(body),
            _ => Err(self.unsupported(Unsupported::Root)),
        }
    }

    fn node(&mut self, schema: &Value) -> Result<JsonObject, SchemaError> {
        let Some(schema) = schema.as_object() else {
            return Err(self.unsupported(Unsupported::Any));
        };
        match reference(schema) {
            Some(reference) => self.convert_reference(reference, schema),
            None => self.plain(schema),
        }
    }

    /// Converts a reference. Strict mode allows no keywords next to `$ref`, so a description stands next to an
    /// `anyOf` with the reference as its only branch.
    fn convert_reference(&mut self, reference: &str, schema: &JsonObject) -> Result<JsonObject, SchemaError> {
        if schema.contains_key("properties") {
            return self.merged(reference, schema);
        }
        let bare = self.bare(reference)?;
        let mut described = described(schema);
        if described.is_empty() {
            return Ok(bare);
        }
        described.insert("anyOf".to_owned(), json!([bare]));
        Ok(described)
    }

    fn bare(&mut self, reference: &str) -> Result<JsonObject, SchemaError> {
        self.definition(reference)?;
        let written = match definition_name(reference) {
            Some(name) => self.referenced.reference(name, &self.definitions),
            None => reference.to_owned(),
        };
        Ok(members([("$ref", json!(written))]))
    }

    /// Merges the tag of an internally tagged enum variant with the properties of the struct that the variant
    /// contains.
    fn merged(&mut self, reference: &str, schema: &JsonObject) -> Result<JsonObject, SchemaError> {
        let mut body = self.definition(reference)?;
        let is_recursive = self.merging.iter().any(|merging| merging == reference);
        if is_recursive || body.get("type").and_then(Value::as_str) != Some("object") {
            return Err(self.unsupported(Unsupported::Reference(reference.to_owned())));
        }
        let mut properties = object(schema, "properties");
        for (name, property) in object(&body, "properties") {
            properties.entry(name).or_insert(property);
        }
        body.insert("properties".to_owned(), Value::Object(properties));
        let required: Vec<_> = required(&body).chain(required(schema)).cloned().collect();
        body.insert("required".to_owned(), Value::Array(required));
        if let Some(description) = schema.get("description") {
            body.insert("description".to_owned(), description.clone());
        }
        self.merging.push(reference.to_owned());
        let written = self.plain(&body);
        self.merging.pop();
        written
    }

    fn plain(&mut self, schema: &JsonObject) -> Result<JsonObject, SchemaError> {
        self.check_keywords(schema)?;
        if let Some(branches) = branches(schema) {
            return self.any_of(schema, branches);
        }
        match types(schema).as_slice() {
            ["object"] => self.object(schema),
            ["array"] => self.array(schema),
            [] => Err(self.unsupported(Unsupported::Any)),
            [kind @ ("object" | "array"), "null"] => self.nullable(schema, kind),
            [_] | [_, "null"] => Ok(scalar(schema)),
            _ => Err(self.unsupported(Unsupported::Any)),
        }
    }

    fn check_keywords(&self, schema: &JsonObject) -> Result<(), SchemaError> {
        for (keyword, value) in schema {
            let keyword = keyword.as_str();
            match keyword {
                "patternProperties" => return Err(self.unsupported(Unsupported::Map)),
                "additionalProperties" | "unevaluatedProperties" if *value != json!(false) => {
                    return Err(self.unsupported(Unsupported::Map));
                }
                "prefixItems" => return Err(self.unsupported(Unsupported::Tuple)),
                "unevaluatedProperties" | "uniqueItems" => {}
                // `NonZeroI32` and its kin. Like a bound, it is checked when the reply is parsed.
                "not" if *value == json!({"const": 0}) => {}
                known if DROPPED.contains(&known) || CONVERTED.contains(&known) => {}
                other => return Err(self.unsupported(Unsupported::Keyword(other.to_owned()))),
            }
        }
        Ok(())
    }

    /// Converts `oneOf` and `anyOf` to `anyOf`, because strict mode does not accept `oneOf`. The variants of
    /// an enum exclude each other, so both keywords have the same meaning.
    fn any_of(&mut self, schema: &JsonObject, branches: &[Value]) -> Result<JsonObject, SchemaError> {
        if schema.contains_key("properties") || schema.contains_key("type") {
            return Err(self.unsupported(Unsupported::FlattenedEnum));
        }
        let mut written = Vec::with_capacity(branches.len());
        for branch in branches {
            written.push(Value::Object(self.node(branch)?));
        }
        let mut any_of = described(schema);
        any_of.insert("anyOf".to_owned(), Value::Array(written));
        Ok(any_of)
    }

    fn object(&mut self, schema: &JsonObject) -> Result<JsonObject, SchemaError> {
        let mut properties = JsonObject::new();
        for (name, property) in object(schema, "properties") {
            self.path.push(format!(".{name}"));
            let mut written = self.node(&property)?;
            self.path.pop();
            if !required(schema).any(|required| *required == name) {
                written = or_null(written);
            }
            properties.insert(name, Value::Object(written));
        }
        let required: Vec<_> = properties.keys().cloned().collect();
        let mut object = members([("type", json!("object"))]);
        object.extend(described(schema));
        object.extend(members([
            ("properties", Value::Object(properties)),
            ("required", json!(required)),
            ("additionalProperties", json!(false)),
        ]));
        Ok(object)
    }

    fn array(&mut self, schema: &JsonObject) -> Result<JsonObject, SchemaError> {
        let Some(items) = schema.get("items") else {
            return Err(self.unsupported(Unsupported::Any));
        };
        self.path.push("[]".to_owned());
        let items = self.node(items)?;
        self.path.pop();
        let mut array = members([("type", json!("array"))]);
        array.extend(described(schema));
        array.insert("items".to_owned(), Value::Object(items));
        Ok(array)
    }

    /// Rewrites the schema of a nullable object or array as an `anyOf`, because providers accept a list of
    /// types only for scalars.
    fn nullable(&mut self, schema: &JsonObject, kind: &str) -> Result<JsonObject, SchemaError> {
        let mut value = schema.clone();
        value.insert("type".to_owned(), json!(kind));
        value.remove("description");
        let value = self.plain(&value)?;
        let mut nullable = described(schema);
        nullable.insert("anyOf".to_owned(), json!([value, {"type": "null"}]));
        Ok(nullable)
    }

    fn definition(&self, reference: &str) -> Result<JsonObject, SchemaError> {
        let found = definition_name(reference).and_then(|name| self.definitions.get(&name));
        match found {
            Some(Value::Object(definition)) => Ok(definition.clone()),
            Some(_) => Err(self.unsupported(Unsupported::Any)),
            None if reference == ROOT => Ok(self.root.clone()),
            None => Err(self.unsupported(Unsupported::Reference(reference.to_owned()))),
        }
    }

    fn unsupported(&self, reason: Unsupported) -> SchemaError {
        SchemaError::new(self.path.concat(), reason)
    }
}

fn reference(schema: &JsonObject) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str)
}

/// Returns the names of the properties that the schema requires.
fn required(schema: &JsonObject) -> impl Iterator<Item = &Value> {
    let required = schema.get("required").and_then(Value::as_array);
    required.into_iter().flatten()
}

fn branches(schema: &JsonObject) -> Option<&[Value]> {
    let branches = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
    branches.as_array().map(Vec::as_slice)
}

fn types(schema: &JsonObject) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(only)) => vec![only],
        _ => Vec::new(),
    }
}

/// Converts the schema of a scalar (string, number, boolean or null), including `enum` and `const`.
fn scalar(schema: &JsonObject) -> JsonObject {
    let values = match (schema.get("const"), schema.get("enum")) {
        (Some(only), _) => Some(json!([only])),
        (None, values) => values.cloned(),
    };
    let mut scalar: JsonObject = schema
        .get("type")
        .map(|kind| ("type".to_owned(), kind.clone()))
        .into_iter()
        .collect();
    scalar.extend(described(schema));
    scalar.extend(values.map(|values| ("enum".to_owned(), values)));
    scalar
}

fn described(schema: &JsonObject) -> JsonObject {
    let description = schema.get("description").cloned();
    description
        .map(|text| ("description".to_owned(), text))
        .into_iter()
        .collect()
}

fn object(schema: &JsonObject, keyword: &str) -> JsonObject {
    schema
        .get(keyword)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

fn members<const N: usize>(members: [(&str, Value); N]) -> JsonObject {
    members
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}
