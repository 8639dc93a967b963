//! The schema of a type as a request asks for it.

use schemars::generate::SchemaSettings;

use super::schema_error::SchemaError;
use super::strict;
use super::{JsonSchema, Unsupported};
use crate::chat::{Json, ResponseFormat};

/// Providers take so many characters of a name.
const LONGEST_NAME: usize = 64;

/// The schema that replies of type `T` keep to, in the strict subset that OpenAI and others enforce while they write.
///
/// Every object names all its members and no others; an `Option` is a member that may be `null`. Doc comments become
/// descriptions, but for those of fields that lead a type back into itself: beside a reference there is no room for one. Bounds, patterns and formats are left out, because many models refuse a schema that has them: the type still
/// checks its values when the reply is parsed, and a doc comment can tell the model.
///
/// # Errors
/// For what the strict subset cannot say: maps, tuples, values of any kind, flattened enums, and replies that are no struct.
pub fn json_schema<T: JsonSchema>() -> Result<ResponseFormat, SchemaError> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
    let generated = settings.into_generator().into_root_schema_for::<T>().to_value();
    let type_name = T::schema_name();
    let schema = strict::strict(&type_name, &generated)?;
    // Never in fact: what is a `Value` can be written.
    let schema =
        Json::of(&schema).map_err(|_| SchemaError::new(type_name.clone().into_owned(), Unsupported::Any))?;
    Ok(ResponseFormat::json_schema(name(&type_name), schema))
}

/// A name that providers take.
fn name(type_name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let letters = type_name.chars().take(LONGEST_NAME);
    letters
        .map(|letter| if plain(letter) { letter } else { '_' })
        .collect()
}
