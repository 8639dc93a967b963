//! The form that an answer shall have.

use super::unknown_fields::{Json, UnknownFields};
use super::wire_object::{opaque_debug, tagged_enum, wire_object};

/// The form that an answer shall have.
#[derive(Clone, PartialEq)]
pub enum ResponseFormat {
    /// Text, as without this.
    Text(EmptyObject),
    /// Any JSON object.
    JsonObject(EmptyObject),
    /// JSON that follows a schema.
    JsonSchema(JsonSchemaFormat),
    /// Any other, as it was given.
    Other(Json),
}

tagged_enum!(ResponseFormat {
    Text(EmptyObject) => "text",
    JsonObject(EmptyObject) => "json_object",
    JsonSchema(JsonSchemaFormat) => "json_schema",
});

impl ResponseFormat {
    /// JSON that follows a schema strictly. `name` has letters, digits, `_` and `-`.
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

/// Nothing but its type.
#[derive(Clone, Default, PartialEq)]
pub struct EmptyObject {
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(EmptyObject {});

/// JSON that follows a schema.
#[derive(Clone, Default, PartialEq)]
pub struct JsonSchemaFormat {
    /// The schema and its name.
    pub json_schema: NamedSchema,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(JsonSchemaFormat {} always { json_schema => "json_schema" });

/// A schema and its name.
#[derive(Clone, Default, PartialEq)]
pub struct NamedSchema {
    /// Letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What the answer is for; the model reads it.
    pub description: Option<String>,
    /// A JSON Schema.
    pub schema: Option<Json>,
    /// Whether the answer has to follow it exactly.
    pub strict: Option<bool>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(NamedSchema {
    description => "description",
    schema => "schema",
    strict => "strict",
} always { name => "name" });

opaque_debug!(EmptyObject, JsonSchemaFormat, NamedSchema);
