//! OpenAI's limits for schemas that it enforces (`strict: true`).
//!
//! A request beyond them is refused by its provider with a text that often does not say where. The check names
//! the place before anything is sent.
//!
//! Invariant: a schema that OpenAI accepts passes. Where the documentation leaves open what counts, the check
//! counts less: references are not followed, and objects without properties add no level.

use std::fmt;

use serde_json::{Map, Value};

use crate::chat::{ChatRequest, Json, ResponseFormat, Tool};
use crate::responses::{ResponsesRequest, ResponsesTool, TextFormat};

/// Maximum number of objects within each other, the outermost one included.
const MAX_DEPTH: usize = 10;
/// Maximum number of properties of all objects.
const MAX_PROPERTIES: usize = 5_000;
/// Maximum number of values of all enums.
const MAX_ENUM_VALUES: usize = 1_000;
/// Maximum number of characters of all names of properties and definitions, and of all fixed values.
const MAX_CHARACTERS: usize = 120_000;
/// Number of values up to which the texts of one enum can have any length.
const UNLIMITED_ENUM_VALUES: usize = 250;
/// Maximum number of characters of all values of one larger enum.
const MAX_ENUM_CHARACTERS: usize = 15_000;

/// The error for a schema beyond one of OpenAI's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaLimitError {
    /// Path of the schema in the request, such as `response_format.json_schema.schema`.
    pub param: String,
    exceeded: Exceeded,
}

impl fmt::Display for SchemaLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Exceeded { path, limit } = &self.exceeded;
        write!(f, "{}: {path}{limit}", self.param)
    }
}

impl std::error::Error for SchemaLimitError {}

/// Checks the schemas that a chat request asks the provider to enforce.
///
/// # Errors
/// Returns the first place that is beyond a limit.
pub fn check_chat(request: &ChatRequest) -> Result<(), SchemaLimitError> {
    if let Some(ResponseFormat::JsonSchema(format)) = &request.response_format {
        let schema = &format.json_schema;
        check(schema.strict, schema.schema.as_ref(), || {
            "response_format.json_schema.schema".to_owned()
        })?;
    }
    for (index, tool) in request.tools.iter().enumerate() {
        if let Tool::Function(tool) = tool {
            let function = &tool.function;
            check(function.strict, function.parameters.as_ref(), || {
                format!("tools[{index}].function.parameters")
            })?;
        }
    }
    Ok(())
}

/// Checks the schemas that a Responses request asks the provider to enforce.
///
/// # Errors
/// Returns the first place that is beyond a limit.
pub fn check_responses(request: &ResponsesRequest) -> Result<(), SchemaLimitError> {
    let format = request.text.as_ref().and_then(|text| text.format.as_ref());
    if let Some(TextFormat::JsonSchema(schema)) = format {
        check(schema.strict, schema.schema.as_ref(), || {
            "text.format.schema".to_owned()
        })?;
    }
    for (index, tool) in request.tools.iter().enumerate() {
        if let ResponsesTool::Function(tool) = tool {
            check(tool.strict, tool.parameters.as_ref(), || {
                format!("tools[{index}].parameters")
            })?;
        }
    }
    Ok(())
}

fn check(
    strict: Option<bool>,
    schema: Option<&Json>,
    param: impl Fn() -> String,
) -> Result<(), SchemaLimitError> {
    let schema = schema.filter(|schema| strict == Some(true) && may_exceed(schema.get()));
    let exceeded = schema.and_then(|schema| SchemaWalk::default().document(&schema.value()).err());
    exceeded.map_or(Ok(()), |exceeded| {
        Err(SchemaLimitError {
            param: param(),
            exceeded,
        })
    })
}

/// Returns whether a schema can be beyond a limit, so that small schemas are not parsed: their text has no room
/// for that many values, and each level has `properties`.
fn may_exceed(schema: &str) -> bool {
    schema.len() > 2 * MAX_ENUM_VALUES
        || memchr::memmem::find_iter(schema.as_bytes(), "\"properties\"").count() > MAX_DEPTH
}

/// The place in a schema that is beyond a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exceeded {
    /// The path with `: ` behind it. Empty for the outermost level.
    path: String,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Depth(usize),
    Properties,
    EnumValues,
    EnumCharacters(usize),
    Characters,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth(depth) => write!(
                f,
                "objects are nested {depth} deep; OpenAI accepts {MAX_DEPTH} in a strict schema"
            ),
            Self::Properties => write!(
                f,
                "more properties up to here than the {MAX_PROPERTIES} that OpenAI accepts in a strict schema"
            ),
            Self::EnumValues => write!(
                f,
                "more enum values up to here than the {MAX_ENUM_VALUES} that OpenAI accepts in a strict schema"
            ),
            Self::EnumCharacters(count) => write!(
                f,
                "an enum of {count} values has more than the {MAX_ENUM_CHARACTERS} characters that OpenAI accepts"
            ),
            Self::Characters => write!(
                f,
                "more characters of names and values up to here than the {MAX_CHARACTERS} that OpenAI accepts in a \
                 strict schema"
            ),
        }
    }
}

/// Counts what the limits are about, from the outermost level inwards.
#[derive(Default)]
struct SchemaWalk {
    properties: usize,
    enum_values: usize,
    characters: usize,
    path: Vec<String>,
}

impl SchemaWalk {
    fn document(&mut self, schema: &Value) -> Result<(), Exceeded> {
        self.node(schema, 0)?;
        for (name, definition) in members(schema, "$defs").chain(members(schema, "definitions")) {
            self.path = vec![name.clone()];
            self.count_characters(name)?;
            self.node(definition, 0)?;
        }
        Ok(())
    }

    /// Counts one schema. `depth` is the number of objects around it.
    fn node(&mut self, schema: &Value, depth: usize) -> Result<(), Exceeded> {
        let depth = depth + usize::from(members(schema, "properties").next().is_some());
        self.check(depth <= MAX_DEPTH, Limit::Depth(depth))?;
        self.values(schema)?;
        for (name, property) in members(schema, "properties") {
            self.properties += 1;
            self.path.push(format!(".{name}"));
            self.check(self.properties <= MAX_PROPERTIES, Limit::Properties)?;
            self.count_characters(name)?;
            self.node(property, depth)?;
            self.path.pop();
        }
        if let Some(items) = schema.get("items") {
            self.path.push("[]".to_owned());
            self.node(items, depth)?;
            self.path.pop();
        }
        let branches = schema.get("anyOf").and_then(Value::as_array);
        branches
            .into_iter()
            .flatten()
            .try_for_each(|branch| self.node(branch, depth))
    }

    fn values(&mut self, schema: &Value) -> Result<(), Exceeded> {
        let before = self.characters;
        if let Some(Value::Array(values)) = schema.get("enum") {
            self.enum_values += values.len();
            self.check(self.enum_values <= MAX_ENUM_VALUES, Limit::EnumValues)?;
            for value in values.iter().filter_map(Value::as_str) {
                self.count_characters(value)?;
            }
            let is_accepted =
                values.len() <= UNLIMITED_ENUM_VALUES || self.characters - before <= MAX_ENUM_CHARACTERS;
            self.check(is_accepted, Limit::EnumCharacters(values.len()))?;
        }
        let only = schema.get("const").and_then(Value::as_str);
        self.count_characters(only.unwrap_or_default())
    }

    fn count_characters(&mut self, text: &str) -> Result<(), Exceeded> {
        self.characters += text.chars().count();
        self.check(self.characters <= MAX_CHARACTERS, Limit::Characters)
    }

    fn check(&self, is_accepted: bool, limit: Limit) -> Result<(), Exceeded> {
        if is_accepted {
            return Ok(());
        }
        let path = self.path.concat();
        let path = path.trim_start_matches('.');
        let separator = if path.is_empty() { "" } else { ": " };
        Err(Exceeded {
            path: format!("{path}{separator}"),
            limit,
        })
    }
}

fn members<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let members = schema.get(keyword).and_then(Value::as_object);
    members.into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests;
