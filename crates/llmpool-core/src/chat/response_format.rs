//! Formats that a request can demand of the answer.

use super::empty_object::EmptyObject;
use super::json::Json;
use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, tagged_enum, wire_object};

/// Format of the answer.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum ResponseFormat {
    /// Plain text, the default of all providers.
    Text(EmptyObject),
    /// Any JSON object.
    JsonObject(EmptyObject),
    /// JSON that follows a schema.
    JsonSchema(JsonSchemaFormat),
    /// A format of another type, unchanged.
    Other(Json),
}

tagged_enum!(ResponseFormat {
    Text => "text",
    JsonObject => "json_object",
    JsonSchema => "json_schema",
});

impl ResponseFormat {
    /// Creates the format for JSON that follows `schema` strictly. `name` consists of letters, digits, `_` and `-`.
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

/// JSON that follows a schema.
#[derive(Clone, Default, PartialEq)]
pub struct JsonSchemaFormat {
    /// The schema and its name.
    pub json_schema: NamedSchema,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(JsonSchemaFormat {} always { json_schema });

/// A schema and its name.
#[derive(Clone, Default, PartialEq)]
pub struct NamedSchema {
    /// Name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// Purpose of the answer, for the model.
    pub description: Option<String>,
    /// A JSON Schema.
    pub schema: Option<Json>,
    /// Whether the answer must follow the schema exactly.
    pub strict: Option<bool>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(NamedSchema {
    description,
    schema,
    strict,
} always { name });

opaque_debug!(JsonSchemaFormat, NamedSchema);
