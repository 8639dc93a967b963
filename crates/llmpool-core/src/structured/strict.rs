//! From a schema of the whole language to one of the strict subset.
//!
//! What only describes is dropped, what has an equivalent is rewritten, anything else is refused: a keyword that a provider does
//! not know fails the whole request. Definitions are written in the order in which they are first referred to, and only those
//! that are.

use serde_json::{Map, Value, json};

use super::schema_error::{SchemaError, Unsupported};

type Members = Map<String, Value>;

/// What a type's own check repeats when the reply is parsed, or what only tells of it.
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

const UNDERSTOOD: [&str; 12] = [
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
const DEFINITIONS: &str = "#/$defs/";

/// The strict form of a generated schema.
pub(super) fn strict(type_name: &str, generated: &Value) -> Result<Value, SchemaError> {
    let Some(root) = generated.as_object() else {
        return Err(SchemaError::new(type_name.to_owned(), Unsupported::Root));
    };
    let mut writer = Writer {
        root,
        wanted: Vec::new(),
        open: Vec::new(),
        merging: Vec::new(),
        at: vec![type_name.to_owned()],
    };
    writer.document()
}

struct Writer<'a> {
    root: &'a Members,
    /// Definitions that were referred to, in order.
    wanted: Vec<String>,
    /// References in whose place their definition is being written.
    open: Vec<String>,
    /// References whose members are being joined with others.
    merging: Vec<String>,
    at: Vec<String>,
}

impl Writer<'_> {
    fn document(&mut self) -> Result<Value, SchemaError> {
        let body = self.root_body()?;
        let mut document = self.within(ROOT, |writer| writer.plain(&body))?;
        let mut definitions = Members::new();
        while let Some(name) = self.wanted.get(definitions.len()).cloned() {
            self.at = vec![name.clone()];
            let reference = format!("{DEFINITIONS}{name}");
            let body = Value::Object(self.definition(&reference)?);
            let written = self.within(&reference, |writer| writer.node(&body))?;
            definitions.insert(name, Value::Object(written));
        }
        if !definitions.is_empty() {
            document.insert("$defs".to_owned(), Value::Object(definitions));
        }
        Ok(Value::Object(document))
    }

    /// The root is never a reference: a struct around another is written as that other.
    fn root_body(&self) -> Result<Members, SchemaError> {
        let mut body = self.root.clone();
        // Structs around each other in a circle have no members at all.
        let mut hops = 0..=object(self.root, "$defs").len();
        while let (Some(reference), Some(_)) = (reference(&body), hops.next()) {
            let mut target = self.definition(reference)?;
            if let Some(description) = body.get("description") {
                target.insert("description".to_owned(), description.clone());
            }
            body = target;
        }
        match body.get("type").and_then(Value::as_str) {
            Some("object") => Ok(body),
            _ => Err(self.refused(Unsupported::Root)),
        }
    }

    fn node(&mut self, schema: &Value) -> Result<Members, SchemaError> {
        let Some(schema) = schema.as_object() else {
            return Err(self.refused(Unsupported::Any));
        };
        match reference(schema) {
            Some(reference) => self.referring(reference, schema),
            None => self.plain(schema),
        }
    }

    /// Nothing may stand beside a reference: with a description or members of its own, the definition is written in its place.
    fn referring(&mut self, reference: &str, schema: &Members) -> Result<Members, SchemaError> {
        if schema.contains_key("properties") {
            return self.merged(reference, schema);
        }
        match schema.get("description") {
            Some(description) if !self.open.iter().any(|open| open == reference) => {
                let mut body = self.definition(reference)?;
                body.insert("description".to_owned(), description.clone());
                let body = Value::Object(body);
                self.within(reference, |writer| writer.node(&body))
            }
            _ => self.bare(reference),
        }
    }

    fn bare(&mut self, reference: &str) -> Result<Members, SchemaError> {
        if reference != ROOT {
            self.definition(reference)?;
            let name = reference.trim_start_matches(DEFINITIONS);
            if !self.wanted.iter().any(|wanted| wanted == name) {
                self.wanted.push(name.to_owned());
            }
        }
        Ok(members([("$ref", json!(reference))]))
    }

    /// A variant with its tag inside: the tag, then the members of the struct it holds.
    fn merged(&mut self, reference: &str, schema: &Members) -> Result<Members, SchemaError> {
        let mut body = self.definition(reference)?;
        let endless = self.merging.iter().any(|merging| merging == reference);
        if endless || body.get("type").and_then(Value::as_str) != Some("object") {
            return Err(self.refused(Unsupported::Reference(reference.to_owned())));
        }
        let mut properties = object(schema, "properties");
        for (name, property) in object(&body, "properties") {
            properties.entry(name).or_insert(property);
        }
        body.insert("properties".to_owned(), Value::Object(properties));
        if let Some(description) = schema.get("description") {
            body.insert("description".to_owned(), description.clone());
        }
        self.merging.push(reference.to_owned());
        let written = self.plain(&body);
        self.merging.pop();
        written
    }

    fn plain(&mut self, schema: &Members) -> Result<Members, SchemaError> {
        self.check_keywords(schema)?;
        if let Some(branches) = branches(schema) {
            return self.any_of(schema, branches);
        }
        match types(schema).as_slice() {
            ["object"] => self.object(schema),
            ["array"] => self.array(schema),
            [] => Err(self.refused(Unsupported::Any)),
            [kind @ ("object" | "array"), "null"] => self.nullable(schema, kind),
            [_] | [_, "null"] => Ok(scalar(schema)),
            _ => Err(self.refused(Unsupported::Any)),
        }
    }

    fn check_keywords(&self, schema: &Members) -> Result<(), SchemaError> {
        for (keyword, value) in schema {
            let keyword = keyword.as_str();
            match keyword {
                "patternProperties" => return Err(self.refused(Unsupported::Map)),
                "additionalProperties" | "unevaluatedProperties" if *value != json!(false) => {
                    return Err(self.refused(Unsupported::Map));
                }
                "prefixItems" => return Err(self.refused(Unsupported::Tuple)),
                "unevaluatedProperties" | "uniqueItems" => {}
                known if DROPPED.contains(&known) || UNDERSTOOD.contains(&known) => {}
                other => return Err(self.refused(Unsupported::Keyword(other.to_owned()))),
            }
        }
        Ok(())
    }

    /// `oneOf` is not in the subset; the branches of an enum exclude each other by themselves.
    fn any_of(&mut self, schema: &Members, branches: &[Value]) -> Result<Members, SchemaError> {
        if schema.contains_key("properties") || schema.contains_key("type") {
            return Err(self.refused(Unsupported::FlattenedEnum));
        }
        let mut written = Vec::with_capacity(branches.len());
        for branch in branches {
            written.push(Value::Object(self.node(branch)?));
        }
        let mut any_of = described(schema);
        any_of.insert("anyOf".to_owned(), Value::Array(written));
        Ok(any_of)
    }

    fn object(&mut self, schema: &Members) -> Result<Members, SchemaError> {
        let mut properties = Members::new();
        for (name, property) in object(schema, "properties") {
            self.at.push(format!(".{name}"));
            let written = self.node(&property)?;
            self.at.pop();
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

    fn array(&mut self, schema: &Members) -> Result<Members, SchemaError> {
        let Some(items) = schema.get("items") else {
            return Err(self.refused(Unsupported::Any));
        };
        self.at.push("[]".to_owned());
        let items = self.node(items)?;
        self.at.pop();
        let mut array = members([("type", json!("array"))]);
        array.extend(described(schema));
        array.insert("items".to_owned(), Value::Object(items));
        Ok(array)
    }

    /// A list of types is known to be taken for scalars only.
    fn nullable(&mut self, schema: &Members, kind: &str) -> Result<Members, SchemaError> {
        let mut value = schema.clone();
        value.insert("type".to_owned(), json!(kind));
        value.remove("description");
        let value = self.plain(&value)?;
        let mut nullable = described(schema);
        nullable.insert("anyOf".to_owned(), json!([value, {"type": "null"}]));
        Ok(nullable)
    }

    fn definition(&self, reference: &str) -> Result<Members, SchemaError> {
        let found = match reference.strip_prefix(DEFINITIONS) {
            Some(name) => self.root.get("$defs").and_then(|all| all.get(name)),
            None => None,
        };
        match found {
            Some(Value::Object(definition)) => Ok(definition.clone()),
            Some(_) => Err(self.refused(Unsupported::Any)),
            None if reference == ROOT => Ok(self.root.clone()),
            None => Err(self.refused(Unsupported::Reference(reference.to_owned()))),
        }
    }

    fn within<T>(&mut self, reference: &str, write: impl FnOnce(&mut Self) -> T) -> T {
        self.open.push(reference.to_owned());
        let written = write(self);
        self.open.pop();
        written
    }

    fn refused(&self, why: Unsupported) -> SchemaError {
        SchemaError::new(self.at.concat(), why)
    }
}

fn reference(schema: &Members) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str)
}

fn branches(schema: &Members) -> Option<&[Value]> {
    let branches = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
    branches.as_array().map(Vec::as_slice)
}

fn types(schema: &Members) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(only)) => vec![only],
        _ => Vec::new(),
    }
}

/// A text, number, truth value or null, perhaps one of a few.
fn scalar(schema: &Members) -> Members {
    let values = match (schema.get("const"), schema.get("enum")) {
        (Some(only), _) => Some(json!([only])),
        (None, values) => values.cloned(),
    };
    let mut scalar: Members = schema
        .get("type")
        .map(|kind| ("type".to_owned(), kind.clone()))
        .into_iter()
        .collect();
    scalar.extend(described(schema));
    scalar.extend(values.map(|values| ("enum".to_owned(), values)));
    scalar
}

fn described(schema: &Members) -> Members {
    let description = schema.get("description").cloned();
    description
        .map(|text| ("description".to_owned(), text))
        .into_iter()
        .collect()
}

fn object(schema: &Members, keyword: &str) -> Members {
    schema
        .get(keyword)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

fn members<const N: usize>(members: [(&str, Value); N]) -> Members {
    members
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}
