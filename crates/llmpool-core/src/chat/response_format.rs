//! Answer formats that a request can demand.

use super::empty_object::EmptyObject;
use super::json::Json;
use super::unknown_fields::UnknownFields;
use super::wire_object::{opaque_debug, tagged_enum, wire_object};

/// The format that an answer must have.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum ResponseFormat {
    /// Plain text, which is the default of all providers.
    Text(EmptyObject),
    /// Any JSON object.
    JsonObject(EmptyObject),
    /// JSON that follows a given schema.
    JsonSchema(JsonSchemaFormat),
    /// A format of another type, as raw JSON.
    Other(Json),
}

tagged_enum!(ResponseFormat {
    Text => "text",
    JsonObject => "json_object",
    JsonSchema => "json_schema",
});

impl ResponseFormat {
    /// Creates the format for JSON that follows `schema` strictly. `name` consists of at most 64 letters, digits, `_` and `-`.
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

/// The format for JSON that follows a given schema.
#[derive(Clone, Default, PartialEq)]
pub struct JsonSchemaFormat {
    /// The JSON Schema with its name and options.
    pub json_schema: NamedSchema,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(JsonSchemaFormat {} always { json_schema });

/// A JSON Schema with its name and options.
#[derive(Clone, Default, PartialEq)]
pub struct NamedSchema {
    /// Name of the schema: at most 64 letters, digits, `_` and `-`.
    pub name: String,
    /// Purpose of the answer, as a hint for the model.
    pub description: Option<String>,
    /// The JSON Schema that the answer follows.
    pub schema: Option<Json>,
    /// Whether the answer must follow the schema exactly. If absent, it need not.
    pub strict: Option<bool>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(NamedSchema {
    description,
    schema,
    strict,
} always { name });

opaque_debug!(JsonSchemaFormat, NamedSchema);
