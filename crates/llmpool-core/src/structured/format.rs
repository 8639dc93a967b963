//! Generates response formats with JSON schemas from Rust types.

use schemars::generate::SchemaSettings;

use super::definition_names::plain_name;
use super::nullable::require_written;
use super::schema_error::SchemaError;
use super::strict;
use super::{JsonSchema, Unsupported};
use crate::chat::{Json, ResponseFormat};

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
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
    let serialized = settings.clone().for_serialize();
    let root = |settings: SchemaSettings| settings.into_generator().into_root_schema_for::<T>().to_value();
    let mut generated = root(settings);
    require_written(&mut generated, &root(serialized));
    let type_name = T::schema_name();
    let schema = strict::to_strict(&type_name, &generated)?;
    // Cannot fail: every `Value` can be serialized.
    let schema =
        Json::of(&schema).map_err(|_| SchemaError::new(type_name.clone().into_owned(), Unsupported::Any))?;
    Ok(ResponseFormat::json_schema(schema_name(&type_name), schema))
}

/// Converts a type name to a schema name that providers accept.
fn schema_name(type_name: &str) -> String {
    let mut name = plain_name(type_name);
    name.truncate(MAX_NAME_LENGTH);
    name
}
