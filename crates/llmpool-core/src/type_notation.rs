//! Writes a JSON schema in the notation of types that programmers use, for prompts.
//!
//! ```text
//! {
//!   "name": string,
//!   "urgency": "low" | "high", // High if money is involved.
//!   "tags": string[]
//! }
//! ```
//!
//! Small models copy a JSON schema in place of filling it in. The notation looks like the answer, and needs a fraction of
//! the tokens.

use serde_json::{Map, Value};

const DEFINITIONS: &str = "#/$defs/";

/// Keywords that change which values match, and that a type cannot express.
const UNWRITABLE: [&str; 10] = [
    "$dynamicRef",
    "allOf",
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "if",
    "not",
    "patternProperties",
    "propertyNames",
    "unevaluatedItems",
];

/// Returns the schema in type notation. Returns `None` if the schema is not valid JSON, or has a keyword that the
/// notation cannot express and that changes which values match.
///
/// Omits bounds, patterns and formats, which the parser of the reply checks. If the schema refers to itself, the
/// notation repeats it as a definition.
pub fn type_notation(schema: &str) -> Option<String> {
    let schema: Value = serde_json::from_str(schema).ok()?;
    let empty = Map::new();
    let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    let mut writer = NotationWriter {
        definitions,
        root_name: free_name(definitions),
        refers_to_root: false,
    };
    let root = writer.written(&schema, 0)?;
    let description = description(&schema);
    let mut notation = if description.is_empty() {
        String::new()
    } else {
        format!("// {description}\n")
    };
    notation.push_str(root.text.trim_start_matches('\n'));
    notation.push_str(&comment(&root.note));
    for (name, definition) in definitions {
        let written = writer.written(definition, 0)?.described(definition);
        notation.push_str(&written.after(&format!("\n\n{name} ="), ""));
    }
    if writer.refers_to_root {
        notation.push_str(&root.after(&format!("\n\n{} =", writer.root_name), ""));
    }
    Some(notation)
}

/// Returns a name for the whole schema that no definition has.
fn free_name(definitions: &Map<String, Value>) -> String {
    let mut name = "Answer".to_owned();
    while definitions.contains_key(&name) {
        name.push('_');
    }
    name
}

/// How strongly the outermost operator of a type binds, from the weakest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Union,
    Intersection,
    Operand,
}

/// A type in notation.
struct WrittenType {
    /// Starts with a line break if this is a union with one branch a line.
    text: String,
    /// The text of the comment behind the type, in one line. Can be empty.
    note: String,
    /// The description of a union with one branch a line, which stands before the branches.
    heading: String,
    binding: Binding,
}

impl WrittenType {
    fn operand(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            note: String::new(),
            heading: String::new(),
            binding: Binding::Operand,
        }
    }

    fn is_multiline_union(&self) -> bool {
        self.text.starts_with('\n')
    }

    /// Adds the description of the schema of this type.
    fn described(mut self, schema: &Value) -> Self {
        let description = description(schema);
        if self.is_multiline_union() {
            self.heading = description;
        } else {
            self.note = joined([description, self.note]);
        }
        self
    }

    /// Returns the type behind the name of what has the type: `end` follows the type, and comments follow `end`.
    fn after(&self, name: &str, end: &str) -> String {
        let space = if self.is_multiline_union() { "" } else { " " };
        let (heading, note) = (comment(&self.heading), comment(&self.note));
        format!("{name}{heading}{space}{}{end}{note}", self.text)
    }

    /// Puts the type in parentheses if its outermost operator binds weaker than `binding`.
    fn grouped(self, binding: Binding, depth: usize) -> Self {
        if self.is_multiline_union() {
            let (heading, note) = (comment(&self.heading), comment(&self.note));
            let indent = "  ".repeat(depth);
            return Self::operand(format!("({heading}{}{note}\n{indent})", self.text));
        }
        if self.binding >= binding {
            return self;
        }
        Self {
            text: format!("({})", self.text),
            binding: Binding::Operand,
            ..self
        }
    }
}

struct NotationWriter<'a> {
    definitions: &'a Map<String, Value>,
    /// The name of the whole schema, for references to it.
    root_name: String,
    refers_to_root: bool,
}

impl NotationWriter<'_> {
    /// Writes the type of one value, without its description. `depth` is the number of objects around it.
    fn written(&mut self, schema: &Value, depth: usize) -> Option<WrittenType> {
        let Value::Object(schema) = schema else {
            return (*schema == Value::Bool(true)).then(|| WrittenType::operand("any"));
        };
        let unevaluated = schema.get("unevaluatedProperties");
        if UNWRITABLE.iter().any(|keyword| schema.contains_key(*keyword))
            || unevaluated.is_some_and(|values| !values.is_boolean())
        {
            return None;
        }
        let mut parts = Vec::new();
        parts.extend(self.of_kinds(schema, depth)?);
        if let Some(reference) = schema.get("$ref") {
            parts.push(WrittenType::operand(self.reference(reference.as_str()?)?));
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(branches) = schema.get(keyword) {
                parts.push(self.branches(branches.as_array()?, depth)?);
            }
        }
        if let Some(value) = schema.get("const") {
            parts.push(WrittenType::operand(value.to_string()));
        } else if let Some(values) = schema.get("enum") {
            let values = values.as_array()?.iter();
            parts.push(union(values.map(|value| WrittenType::operand(value.to_string()))));
        }
        Some(intersection(parts, depth))
    }

    /// Returns the name of the type to which `reference` refers.
    fn reference(&mut self, reference: &str) -> Option<String> {
        if reference == "#" {
            self.refers_to_root = true;
            return Some(self.root_name.clone());
        }
        let name = reference.strip_prefix(DEFINITIONS)?;
        self.definitions.contains_key(name).then(|| name.to_owned())
    }

    /// Writes a union of schemas: in one line or, if a branch has a description, with one branch a line.
    fn branches(&mut self, branches: &[Value], depth: usize) -> Option<WrittenType> {
        let is_documented =
            branches.len() > 1 && branches.iter().any(|branch| !description(branch).is_empty());
        let depth = depth + usize::from(is_documented);
        let mut types = Vec::with_capacity(branches.len());
        for branch in branches {
            types.push(self.written(branch, depth)?.described(branch));
        }
        if !is_documented {
            return Some(union(
                types
                    .into_iter()
                    .map(|branch| branch.grouped(Binding::Union, depth)),
            ));
        }
        let indent = "  ".repeat(depth);
        let mut written = WrittenType {
            binding: Binding::Union,
            ..WrittenType::operand("")
        };
        for branch in types {
            let branch = branch.grouped(Binding::Union, depth);
            let note = comment(&written.note);
            written
                .text
                .push_str(&format!("{note}\n{indent}| {}", branch.text));
            written.note = branch.note;
        }
        Some(written)
    }

    /// Writes the type that the keyword `type` and the keywords of objects and arrays describe. Returns `Some(None)`
    /// if there are none, or if the values are listed.
    fn of_kinds(&mut self, schema: &Map<String, Value>, depth: usize) -> Option<Option<WrittenType>> {
        let has = |keyword: &str| schema.contains_key(keyword);
        let has_fields = has("properties")
            || has("required")
            || schema.get("additionalProperties").is_some_and(Value::is_object);
        let has_items = has("items") || has("prefixItems");
        if (has("const") || has("enum")) && !has_fields && !has_items {
            return Some(None);
        }
        let kind = match schema.get("type") {
            None if has_fields => self.object(schema, depth)?,
            None if has_items => self.array(schema, depth)?,
            None => return Some(None),
            Some(Value::String(kind)) => self.of_kind(kind, schema, depth)?,
            Some(Value::Array(kinds)) => {
                let mut types = Vec::with_capacity(kinds.len());
                for kind in kinds {
                    types.push(self.of_kind(kind.as_str()?, schema, depth)?);
                }
                union(types.into_iter())
            }
            Some(_) => return None,
        };
        Some(Some(kind))
    }

    fn of_kind(&mut self, kind: &str, schema: &Map<String, Value>, depth: usize) -> Option<WrittenType> {
        match kind {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            scalar => Some(WrittenType::operand(scalar)),
        }
    }

    fn object(&mut self, schema: &Map<String, Value>, depth: usize) -> Option<WrittenType> {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        let properties = properties.unwrap_or(&empty);
        let required = schema.get("required").and_then(Value::as_array);
        let required: Vec<_> = required.into_iter().flatten().filter_map(Value::as_str).collect();
        let mut fields = Vec::new();
        for (name, property) in properties {
            let mark = if required.contains(&name.as_str()) {
                ""
            } else {
                "?"
            };
            let name = Value::from(name.as_str());
            let written = self.written(property, depth + 1)?.described(property);
            fields.push((format!("{name}{mark}:"), written));
        }
        for name in required
            .into_iter()
            .filter(|name| !properties.contains_key(*name))
        {
            fields.push((format!("{}:", Value::from(name)), WrittenType::operand("any")));
        }
        if let Some(values @ Value::Object(_)) = schema.get("additionalProperties") {
            let written = self.written(values, depth + 1)?.described(values);
            fields.push(("[name: string]:".to_owned(), written));
        }
        if fields.is_empty() {
            return Some(WrittenType::operand("{}"));
        }
        let indent = "  ".repeat(depth);
        let last = fields.len() - 1;
        let lines = fields.iter().enumerate().map(|(index, (name, written))| {
            let comma = if index == last { "" } else { "," };
            format!("{indent}  {}\n", written.after(name, comma))
        });
        Some(WrittenType::operand(format!(
            "{{\n{}{indent}}}",
            lines.collect::<String>()
        )))
    }

    fn array(&mut self, schema: &Map<String, Value>, depth: usize) -> Option<WrittenType> {
        let rest = match schema.get("items") {
            None | Some(Value::Bool(false)) => None,
            Some(items) => Some(self.items(items, depth)?),
        };
        let Some(Value::Array(places)) = schema.get("prefixItems") else {
            return Some(rest.unwrap_or_else(|| WrittenType::operand("any[]")));
        };
        let (mut texts, mut notes) = (Vec::new(), Vec::new());
        for (index, place) in places.iter().enumerate() {
            let place = self
                .written(place, depth)?
                .described(place)
                .grouped(Binding::Union, depth);
            texts.push(place.text);
            notes.push(labelled(&format!("Item {}", index + 1), &place.note));
        }
        if let Some(rest) = rest {
            texts.push(format!("...{}", rest.text));
            notes.push(rest.note);
        }
        Some(WrittenType {
            note: joined(notes),
            ..WrittenType::operand(format!("[{}]", texts.join(", ")))
        })
    }

    /// Writes the type of an array of which all items match `items`.
    fn items(&mut self, items: &Value, depth: usize) -> Option<WrittenType> {
        let item = self.written(items, depth)?.described(items);
        let item = item.grouped(Binding::Operand, depth);
        Some(WrittenType {
            note: labelled("Each item", &item.note),
            ..WrittenType::operand(format!("{}[]", item.text))
        })
    }
}

/// Writes a union in one line, without repeated types.
fn union(types: impl Iterator<Item = WrittenType>) -> WrittenType {
    let (mut different, mut notes) = (Vec::new(), Vec::new());
    let mut binding = Binding::Operand;
    for kind in types {
        if !different.contains(&kind.text) {
            different.push(kind.text);
            notes.push(kind.note);
            binding = if different.len() == 1 {
                kind.binding
            } else {
                Binding::Union
            };
        }
    }
    WrittenType {
        note: joined(notes),
        binding,
        ..WrittenType::operand(different.join(" | "))
    }
}

/// Writes the type of values that match all parts. Leaves out parts that others imply.
fn intersection(mut parts: Vec<WrittenType>, depth: usize) -> WrittenType {
    let mut seen = Vec::new();
    parts.retain(|part| {
        let is_new = part.text != "any" && !seen.contains(&part.text);
        seen.push(part.text.clone());
        is_new
    });
    if parts.len() > 1 {
        parts.retain(|part| part.text != "{}");
    }
    let Some(last) = parts.pop() else {
        return WrittenType::operand("any");
    };
    if parts.is_empty() {
        return last;
    }
    parts.push(last);
    let parts = parts
        .into_iter()
        .map(|part| part.grouped(Binding::Intersection, depth));
    let (texts, notes): (Vec<_>, Vec<_>) = parts.map(|part| (part.text, part.note)).unzip();
    WrittenType {
        note: joined(notes),
        binding: Binding::Intersection,
        ..WrittenType::operand(texts.join(" & "))
    }
}

/// Returns the description of a schema in one line, or an empty text.
fn description(schema: &Value) -> String {
    let description = schema.get("description").and_then(Value::as_str);
    let words = description.unwrap_or_default().split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

fn comment(note: &str) -> String {
    if note.is_empty() {
        String::new()
    } else {
        format!(" // {note}")
    }
}

fn labelled(label: &str, note: &str) -> String {
    if note.is_empty() {
        String::new()
    } else {
        format!("{label}: {note}")
    }
}

/// Joins the notes that are not empty.
fn joined(notes: impl IntoIterator<Item = String>) -> String {
    let notes = notes.into_iter().filter(|note| !note.is_empty());
    notes.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_are_written_as_types() {
        let name = json!({"type": "string"});
        let cases = [
            (json!({"type": "integer"}), "integer"),
            (json!({"type": ["string", "null"]}), "string | null"),
            (json!({"enum": ["a", 1, null]}), "\"a\" | 1 | null"),
            (json!({"const": "a"}), "\"a\""),
            (json!({"type": "array", "items": name}), "string[]"),
            (
                json!({"type": "array", "items": {"type": ["string", "null"]}}),
                "(string | null)[]",
            ),
            (json!({"type": "array"}), "any[]"),
            (
                json!({"type": "array", "prefixItems": [name, {"type": "number"}]}),
                "[string, number]",
            ),
            (json!({"anyOf": [name, {"type": "null"}, name]}), "string | null"),
            (
                json!({"oneOf": [{"$ref": "#/$defs/A"}, {"type": "null"}], "$defs": {"A": {}}}),
                "A | null\n\nA = any",
            ),
            (json!({}), "any"),
            (json!(true), "any"),
            (json!({"type": "object"}), "{}"),
            (
                json!({"type": "object", "additionalProperties": {"type": "number"}}),
                "{\n  [name: string]: number\n}",
            ),
            (
                json!({
                    "type": "object",
                    "properties": {
                        "name": {"type": "string", "description": "First\n  and last."},
                        "in\"ner": {"properties": {"x": {"type": "boolean"}}, "required": ["x"]},
                    },
                    "required": ["name"],
                }),
                "{\n  \"name\": string, // First and last.\n  \"in\\\"ner\"?: {\n    \"x\": boolean\n  }\n}",
            ),
            (
                json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/A"}, "description": "Nested."}}}),
                "A\n\nA = A[] // Nested.",
            ),
        ];
        for (schema, expected) in cases {
            assert_eq!(
                type_notation(&schema.to_string()).as_deref(),
                Some(expected),
                "{schema}"
            );
        }
    }

    #[track_caller]
    fn assert_notation(schema: Value, expected: &str) {
        assert_eq!(
            type_notation(&schema.to_string()).as_deref(),
            Some(expected),
            "{schema}"
        );
    }

    #[test]
    fn keywords_side_by_side_are_an_intersection() {
        let a = json!({"properties": {"a": {"type": "string"}}, "required": ["a"]});
        let with = |keyword: &str, value: Value| {
            let mut schema = a.clone();
            schema[keyword] = value;
            schema
        };
        let object = "{\n  \"a\": string\n}";
        let (x, y) = (json!({"const": "x"}), json!({"const": "y"}));
        for (keyword, value, expected) in [
            ("oneOf", json!([x, y]), " & (\"x\" | \"y\")"),
            ("anyOf", json!([x]), " & \"x\""),
            ("$ref", json!("#"), " & Answer"),
            ("const", json!(1), " & 1"),
            ("enum", json!([1, 2]), " & (1 | 2)"),
            ("anyOf", json!([true, {"format": "x"}]), ""),
            ("unevaluatedProperties", json!(false), ""),
        ] {
            let notation = type_notation(&with(keyword, value).to_string()).unwrap();
            let whole = format!("{object}{expected}");
            assert_eq!(notation.split("\n\n").next(), Some(&*whole));
        }
        let nullable = with("type", json!(["object", "null"]));
        let nullable = json!({"type": "array", "items": {"anyOf": [nullable]}});
        assert_notation(nullable, &format!("({object} | null)[]"));
        let both = with("oneOf", json!([x, y]));
        assert_notation(
            json!({"type": "array", "items": both}),
            &format!("({object} & (\"x\" | \"y\"))[]"),
        );
        assert_notation(
            json!({"anyOf": [both, {"type": "null"}]}),
            &format!("{object} & (\"x\" | \"y\") | null"),
        );
        assert_notation(json!({"type": "string", "enum": ["a"]}), "\"a\"");
        assert_notation(json!({"type": "object", "anyOf": [a]}), object);
        assert_notation(
            json!({"anyOf": [{"type": "string"}], "type": "string", "minLength": 1}),
            "string",
        );
    }

    #[test]
    fn reference_to_the_schema_itself_is_written_as_a_definition() {
        let body = "{\n  \"a\"?: Answer_[]\n}";
        let schema = json!({
            "properties": {"a": {"type": "array", "items": {"$ref": "#"}}},
            "$defs": {"Answer": {"type": "string"}},
        });
        assert_notation(schema, &format!("{body}\n\nAnswer = string\n\nAnswer_ = {body}"));
    }

    #[test]
    fn descriptions_are_comments() {
        let level = json!({"oneOf": [
            {"const": "low", "description": "Can\nwait."},
            {"const": "none"},
            {"const": "high", "description": "Today."},
        ]});
        let described = |text: &str, schema: &Value| {
            let mut schema = schema.clone();
            schema["description"] = json!(text);
            schema
        };
        let schema = json!({
            "description": "A ticket.",
            "type": "object",
            "properties": {
                "level": described("How urgent.", &level),
                "tags": described("Tags.", &json!({"type": "array", "items": {"type": "string", "description": "One word."}})),
                "at": {"type": "array", "prefixItems": [{"type": "number", "description": "North."}, {"type": "number"}]},
                "levels": {"type": "array", "items": level},
                "other": {"$ref": "#/$defs/Level"},
            },
            "additionalProperties": {"type": "string", "description": "More."},
            "required": ["level", "tags", "at", "levels", "other"],
            "$defs": {"Level": described("Level.", &level)},
        });
        let expected = r#"// A ticket.
{
  "level": // How urgent.
    | "low" // Can wait.
    | "none"
    | "high", // Today.
  "tags": string[], // Tags. Each item: One word.
  "at": [number, number], // Item 1: North.
  "levels": (
    | "low" // Can wait.
    | "none"
    | "high" // Today.
  )[],
  "other": Level,
  [name: string]: string // More.
}

Level = // Level.
  | "low" // Can wait.
  | "none"
  | "high" // Today."#;
        assert_notation(schema, expected);
        assert_notation(
            level,
            "  | \"low\" // Can wait.\n  | \"none\"\n  | \"high\" // Today.",
        );
    }

    #[test]
    fn notation_of_a_flat_object_is_short() {
        let schema = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "age": {"type": "integer", "description": "In years.", "minimum": 0, "format": "uint8"},
                "is_adult": {"type": "boolean"},
            },
            "required": ["name", "age", "is_adult"],
            "additionalProperties": false,
        });
        let expected = "{\n  \"name\": string,\n  \"age\": integer, // In years.\n  \"is_adult\": boolean\n}";
        assert_notation(schema, expected);
    }

    #[test]
    fn schemas_beyond_the_notation_are_not_written() {
        for schema in [
            json!({"allOf": [{"type": "string"}]}),
            json!({"type": "string", "not": {"const": "a"}}),
            json!({"properties": {"a": {"$ref": "#/$defs/A"}}}),
            json!({"$ref": "other.json"}),
            json!({"anyOf": 1}),
            json!({"type": "object", "patternProperties": {"^a": {"type": "string"}}}),
            json!({"type": "object", "unevaluatedProperties": {"type": "string"}}),
            json!({"dependentSchemas": {}}),
            json!({"type": 1}),
            json!(false),
            json!([]),
        ] {
            assert_eq!(type_notation(&schema.to_string()), None, "{schema}");
        }
        assert_eq!(type_notation("{"), None);
    }
}
