//! How a model writes a value of a Rust type: as plain text, or as JSON with a schema.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::JsonSchema;
use super::format::{GeneratedSchema, named_format};
use super::mismatch::Mismatch;
use super::reply::{JsonRoot, ReplyError, check_content, completion_text, parse_json};
use super::reply_root::{ReplyShape, unreferenced, wrapped};
use super::schema_error::SchemaError;
use super::{schema_check, strict, value_deserializer};
use crate::chat::{ChatCompletion, ResponseFormat};

/// The form in which a model writes values of a Rust type: plain text, or JSON with a schema.
///
/// - A text without constraints, such as a `String`, is the text of the reply.
/// - A struct with named fields, or a map, is a JSON object.
/// - A value of any other type is the member `value` of a JSON object, because providers accept only objects.
///
/// A clone shares the schema. `Debug` shows the name of the schema only.
#[derive(Clone)]
pub struct ReplySchema {
    shape: ReplyShape,
    /// `None` for plain text.
    format: Option<Arc<ResponseFormat>>,
    is_strict: bool,
}

impl ReplySchema {
    /// Returns how a model writes values of type `T`.
    ///
    /// The schema is the one of [`json_schema`](super::json_schema), which providers can enforce, if strict mode
    /// supports the type and all types in it. For other types, such as maps, tuples and flattened enums, the
    /// provider receives the schema that `schemars` generates, with bounds and formats, but does not enforce it
    /// (`strict: false`).
    ///
    /// # Errors
    ///
    /// Fails if `T` has no values, for example because it is an enum without variants or has a field of such a
    /// type, or if its schema refers to a definition that does not exist.
    pub fn of<T: JsonSchema>() -> Result<Self, SchemaError> {
        let generated = GeneratedSchema::of::<T>();
        let shape = ReplyShape::of(&generated.type_name, &generated.accepted)?;
        if shape == ReplyShape::Text {
            return Ok(Self {
                shape,
                format: None,
                is_strict: false,
            });
        }
        schema_check::check(&generated.type_name, &generated.accepted)?;
        let (schema, is_strict) = match strict_schema(&generated, shape) {
            Ok(schema) => (schema, true),
            Err(_) => (
                loose_schema(generated.accepted, &generated.type_name, shape)?,
                false,
            ),
        };
        let format = named_format(&generated.type_name, &schema, is_strict)?;
        Ok(Self {
            shape,
            format: Some(Arc::new(format)),
            is_strict,
        })
    }

    /// Returns the format to set as [`ChatRequest::response_format`](crate::chat::ChatRequest::response_format).
    /// Returns `None` if the reply is plain text. A clone of the format shares the text of the schema.
    pub fn response_format(&self) -> Option<&ResponseFormat> {
        self.format.as_deref()
    }

    /// Returns whether the provider enforces the schema. Returns `false` for plain text.
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Parses the text of the completion's choice with the lowest index as a value of type `T`, which must be
    /// the type of this schema. See [`parse_text`](Self::parse_text).
    ///
    /// # Errors
    ///
    /// Fails if the completion has no choice, if the model refused to answer, if the reply was cut off or
    /// filtered, or if [`parse_text`](Self::parse_text) fails.
    pub fn parse<T: DeserializeOwned>(&self, completion: &ChatCompletion) -> Result<T, ReplyError> {
        self.parse_content(&completion_text(completion)?)
    }

    /// Parses the text of a reply as a value of type `T`, which must be the type of this schema.
    ///
    /// Plain text is the value as it is. For JSON, ignores text before and after the JSON like
    /// [`parse_choice`](super::parse_choice). Also reads a value without the object that should hold it as the
    /// member `value`.
    ///
    /// # Errors
    ///
    /// Fails if the text consists of white space, contains no JSON, or does not match `T`.
    pub fn parse_text<T: DeserializeOwned>(&self, text: &str) -> Result<T, ReplyError> {
        check_content(text)?;
        self.parse_content(text)
    }

    pub(super) fn shape(&self) -> ReplyShape {
        self.shape
    }

    fn parse_content<T: DeserializeOwned>(&self, text: &str) -> Result<T, ReplyError> {
        match self.shape {
            ReplyShape::Text => parse_plain(text),
            ReplyShape::Object => parse_json(text, JsonRoot::Object),
            ReplyShape::Wrapped => parse_json(text, JsonRoot::Wrapped),
        }
    }

    /// Returns the text that a model should write for `value`, for example for the examples in a prompt. `T`
    /// must be the type of this schema.
    ///
    /// # Errors
    ///
    /// Fails if JSON cannot represent the value, for example a map whose keys are structs.
    pub fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Wrapper<'a, T: ?Sized> {
            value: &'a T,
        }
        match self.shape {
            ReplyShape::Text => match serde_json::to_value(value)? {
                Value::String(text) => Ok(text),
                other => Ok(other.to_string()),
            },
            ReplyShape::Object => serde_json::to_string(value),
            ReplyShape::Wrapped => serde_json::to_string(&Wrapper { value }),
        }
    }
}

fn strict_schema(generated: &GeneratedSchema, shape: ReplyShape) -> Result<Value, SchemaError> {
    match shape {
        ReplyShape::Wrapped => {
            let document = wrapped(&generated.type_name, generated.written.clone());
            strict::to_strict(&generated.type_name, &document)
        }
        _ => strict::to_strict(&generated.type_name, &generated.written),
    }
}

fn loose_schema(document: Value, type_name: &str, shape: ReplyShape) -> Result<Value, SchemaError> {
    match shape {
        ReplyShape::Wrapped => Ok(wrapped(type_name, document)),
        _ => unreferenced(type_name, &document),
    }
}

fn parse_plain<T: DeserializeOwned>(text: &str) -> Result<T, ReplyError> {
    T::deserialize(Value::from(text)).map_err(|error| {
        let mismatch = value_deserializer::find_mismatch::<T>(&Value::from(text));
        ReplyError::Mismatch(mismatch.unwrap_or_else(|| Mismatch::without_path(&error)))
    })
}

impl fmt::Debug for ReplySchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.response_format() {
            Some(ResponseFormat::JsonSchema(format)) => write!(f, "ReplySchema({})", format.json_schema.name),
            _ => f.write_str("ReplySchema(text)"),
        }
    }
}
