//! Generates response formats with JSON schemas from Rust types.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::definition_names::plain_name;
use super::nullable::require_written;
use super::schema_error::SchemaError;
use super::strict;
use super::{JsonSchema, Unsupported};
use crate::chat::{Json, JsonSchemaFormat, NamedSchema, ResponseFormat};

/// Maximum length of a schema name in characters. Providers reject longer names.
const MAX_NAME_LENGTH: usize = 64;

/// Returns the response format for replies of type `T`. The schema uses only the subset of JSON Schema that
/// OpenAI and other providers accept in strict mode (the mode that enforces the schema).
///
/// In the schema, every object requires all its fields and allows no other fields. A field may be null if its
/// type is `Option`, or if the type neither needs nor always writes it: the fields of a flattened `Option`, and
/// fields with both a default and `skip_serializing_if`. [`parse_reply`](super::parse_reply) reads null as the
/// absence of such a field. Bounds, patterns and formats are omitted, because many models reject schemas with
/// these keywords. To make the model follow such a rule, state the rule in a doc comment. `T` can also check
/// the rule when the reply is parsed.
///
/// Doc comments become descriptions. Types that are used more than once share a definition, whose name is the
/// name of the type with `_` for all characters other than ASCII letters, digits, `_` and `-`.
///
/// # Errors
///
/// Fails if `T` is not a struct with named fields, or if `T` uses a feature that strict mode does not
/// support: a map, a tuple, a value of any type, or a flattened enum.
pub fn json_schema<T: JsonSchema>() -> Result<ResponseFormat, SchemaError> {
    let generated = GeneratedSchema::of::<T>();
    let schema = strict::to_strict(&generated.type_name, &generated.written)?;
    named_format(&generated.type_name, &schema, true)
}

/// The schemas that `schemars` generates for a type.
pub(super) struct GeneratedSchema {
    pub(super) type_name: String,
    /// Describes the values that the type accepts.
    pub(super) accepted: Value,
    /// Like `accepted`, but also requires the properties that the type always writes.
    pub(super) written: Value,
}

impl GeneratedSchema {
    pub(super) fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
        let serialized = settings.clone().for_serialize();
        let root =
            |settings: SchemaSettings| settings.into_generator().into_root_schema_for::<T>().to_value();
        let accepted = root(settings);
        let mut written = accepted.clone();
        require_written(&mut written, &root(serialized));
        Self {
            type_name: T::schema_name().into_owned(),
            accepted,
            written,
        }
    }
}

/// Returns a response format for a schema whose name is made from the name of the type.
pub(super) fn named_format(
    type_name: &str,
    schema: &Value,
    strict: bool,
) -> Result<ResponseFormat, SchemaError> {
    // Cannot fail: every `Value` can be serialized.
    let schema = Json::of(schema).map_err(|_| SchemaError::new(type_name.to_owned(), Unsupported::Any))?;
    let json_schema = NamedSchema {
        name: schema_name(type_name),
        schema: Some(schema.into_shared()),
        strict: Some(strict),
        ..NamedSchema::default()
    };
    Ok(ResponseFormat::JsonSchema(JsonSchemaFormat {
        json_schema,
        ..JsonSchemaFormat::default()
    }))
}

/// Converts a type name to a schema name that providers accept.
fn schema_name(type_name: &str) -> String {
    let mut name = plain_name(type_name);
    name.truncate(MAX_NAME_LENGTH);
    name
}
