//! Generates response formats with JSON schemas from Rust types.

use schemars::generate::SchemaSettings;

use super::schema_error::SchemaError;
use super::strict;
use super::{JsonSchema, Unsupported};
use crate::chat::{Json, ResponseFormat};

/// The maximum length of a schema name that providers accept, in characters.
const MAX_NAME_LENGTH: usize = 64;

/// Returns the response format for replies of type `T`: a schema in the subset of JSON Schema that the strict mode of OpenAI and other
/// providers accepts.
///
/// Every object requires all its fields and allows no others; an `Option` is a field that may be `null`. Doc comments become
/// descriptions, except on a field that leads back to a type that contains the field: the schema of such a field is a reference, which
/// cannot have a description. Bounds, patterns and formats are left out of the schema, because many models reject schemas with these
/// keywords. To make the model follow such rules, state them in doc comments; `T` can still check them when the reply is parsed.
///
/// # Errors
///
/// Fails if `T` needs a feature that strict mode does not support: a map, a tuple, a value of any type, a flattened enum, or a reply that
/// is not a struct.
pub fn json_schema<T: JsonSchema>() -> Result<ResponseFormat, SchemaError> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
    let generated = settings.into_generator().into_root_schema_for::<T>().to_value();
    let type_name = T::schema_name();
    let schema = strict::to_strict(&type_name, &generated)?;
    // Cannot fail: every `Value` can be serialized.
    let schema =
        Json::of(&schema).map_err(|_| SchemaError::new(type_name.clone().into_owned(), Unsupported::Any))?;
    Ok(ResponseFormat::json_schema(schema_name(&type_name), schema))
}

/// Converts a type name to a schema name that providers accept: at most 64 letters, digits, `_` and `-`; `_` replaces other characters.
fn schema_name(type_name: &str) -> String {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let letters = type_name.chars().take(MAX_NAME_LENGTH);
    letters
        .map(|letter| if is_allowed(letter) { letter } else { '_' })
        .collect()
}
