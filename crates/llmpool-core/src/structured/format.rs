//! The schema of a type as a request asks for it.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::schema_error::SchemaError;
use super::strict;
use super::{JsonSchema, Unsupported};
use crate::chat::Json;

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
    let format = ResponseFormat::new(name(&type_name), &schema);
    // Never in fact: what is a `Value` can be written.
    format.map_err(|_| SchemaError::new(type_name.into_owned(), Unsupported::Any))
}

/// A name that providers take.
fn name(type_name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let letters = type_name.chars().take(LONGEST_NAME);
    letters
        .map(|letter| if plain(letter) { letter } else { '_' })
        .collect()
}

/// A format to ask for: its name and its strict schema.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseFormat {
    name: String,
    schema: Json,
    response_format: Json,
}

impl ResponseFormat {
    fn new(name: String, schema: &Value) -> Result<Self, serde_json::Error> {
        let named = json!({"name": name, "schema": schema, "strict": true});
        Ok(Self {
            schema: Json::of(schema)?,
            response_format: Json::of(&json!({"type": "json_schema", "json_schema": named}))?,
            name,
        })
    }

    /// The name of the type, as far as providers take it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema alone.
    pub fn schema(&self) -> &Json {
        &self.schema
    }

    /// Whether the provider shall keep to the schema while it writes: always.
    pub fn strict(&self) -> bool {
        true
    }

    /// The value of a chat request's `response_format`.
    pub fn to_json(&self) -> Json {
        self.response_format.clone()
    }
}
