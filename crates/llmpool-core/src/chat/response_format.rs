//! Formats that a request can require of the answer.

use super::empty_object::EmptyObject;
use super::json::Json;
use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, tagged_enum, wire_object};

/// The format that an answer must have.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum ResponseFormat {
    /// The answer is plain text, which is the default of all providers.
    Text(EmptyObject),
    /// The answer is a JSON object with any fields.
    JsonObject(EmptyObject),
    /// The answer is JSON that matches a given schema.
    JsonSchema(JsonSchemaFormat),
    /// A format of any other type, or a format that could not be decoded, as raw JSON.
    Other(Json),
}

tagged_enum!(ResponseFormat {
    Text => "text",
    JsonObject => "json_object",
    JsonSchema => "json_schema",
});

impl ResponseFormat {
    /// Creates a format for JSON that must match `schema` exactly. `name` has at most 64 characters, each an
    /// ASCII letter, a digit, `_` or `-`.
    pub fn json_schema(name: impl Into<String>, schema: Json) -> Self {
        let json_schema = NamedSchema {
            name: name.into(),
            schema: Some(schema),
            strict: Some(true),
            ..NamedSchema::default()
        };
        Self::JsonSchema(JsonSchemaFormat {
            json_schema,
            ..JsonSchemaFormat::default()
        })
    }
}

/// A response format for JSON that matches a given schema.
#[derive(Clone, Default, PartialEq)]
pub struct JsonSchemaFormat {
    /// The JSON Schema with its name and options.
    pub json_schema: NamedSchema,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(JsonSchemaFormat {} always { json_schema });

/// A JSON Schema with its name and options.
#[derive(Clone, Default, PartialEq)]
pub struct NamedSchema {
    /// Name of the schema: at most 64 characters, each an ASCII letter, a digit, `_` or `-`.
    pub name: String,
    /// Purpose of the answer. Helps the model fill in the schema.
    pub description: Option<String>,
    /// The JSON Schema that the answer must match.
    pub schema: Option<Json>,
    /// Whether the provider enforces the schema. If absent, the answer may deviate from the schema.
    pub strict: Option<bool>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(NamedSchema {
    description,
    schema,
    strict,
} always { name });

opaque_debug!(JsonSchemaFormat, NamedSchema);
