//! Validates the fields of a Responses request.
//!
//! The validation is as strict as OpenAI's, so that a test fails if a client that translates between formats
//! sends a wrong field.

use serde_json::{Map, Value};

use crate::errors::ErrorResponse;

/// Fields of chat requests that do not exist in the Responses API.
const CHAT_ONLY: [&str; 18] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "modalities",
    "n",
    "prediction",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "stop",
    "verbosity",
];
/// Fields of the Responses API that would change the answer, but that the simulator does not support.
const NOT_SIMULATED: [&str; 3] = ["background", "conversation", "prompt"];

/// All fields of a Responses request except `input`, and the values that each field accepts.
const SHAPES: [(&str, FieldShape); 23] = [
    ("include", FieldShape::List),
    ("instructions", FieldShape::Text),
    ("max_output_tokens", FieldShape::Integer(16, u64::MAX)),
    ("max_tool_calls", FieldShape::Integer(1, u64::MAX)),
    ("metadata", FieldShape::Object),
    ("model", FieldShape::Text),
    ("parallel_tool_calls", FieldShape::Flag),
    ("previous_response_id", FieldShape::Text),
    ("prompt_cache_key", FieldShape::Text),
    ("reasoning", FieldShape::Object),
    ("safety_identifier", FieldShape::Text),
    ("service_tier", FieldShape::Text),
    ("store", FieldShape::Flag),
    ("stream", FieldShape::Flag),
    ("stream_options", FieldShape::Object),
    ("temperature", FieldShape::Number(0.0, 2.0)),
    ("text", FieldShape::Object),
    ("tool_choice", FieldShape::TextOrObject),
    ("tools", FieldShape::List),
    ("top_logprobs", FieldShape::Integer(0, 20)),
    ("top_p", FieldShape::Number(0.0, 1.0)),
    ("truncation", FieldShape::Text),
    ("user", FieldShape::Text),
];

#[derive(Clone, Copy)]
enum FieldShape {
    Text,
    Flag,
    List,
    Object,
    TextOrObject,
    /// A number between this minimum and this maximum, both inclusive.
    Number(f64, f64),
    /// An integer between this minimum and this maximum, both inclusive.
    Integer(u64, u64),
}

/// Checks that every field of the request is known and has a valid value. Treats a field that is `null` as
/// absent.
pub(super) fn validate(fields: &Map<String, Value>) -> Result<(), ErrorResponse> {
    let is_set = |name: &&&str| fields.get(**name).is_some_and(|value| !value.is_null());
    if let Some(name) = CHAT_ONLY.iter().find(is_set) {
        return Err(
            ErrorResponse::invalid(name, &format!("Unknown parameter: '{name}'."))
                .with_code("unknown_parameter"),
        );
    }
    let is_requested = |name: &&&str| is_set(name) && fields[**name] != false;
    if let Some(name) = NOT_SIMULATED.iter().find(is_requested) {
        let message = format!("'{name}' is not supported by the simulator.");
        return Err(ErrorResponse::invalid(name, &message).with_code("unsupported_parameter"));
    }
    if fields
        .get("stream_options")
        .is_some_and(|options| options.get("include_usage").is_some())
    {
        let name = "stream_options.include_usage";
        return Err(
            ErrorResponse::invalid(name, &format!("Unknown parameter: '{name}'."))
                .with_code("unknown_parameter"),
        );
    }
    for name in ["model", "input"] {
        if fields.get(name).is_none_or(Value::is_null) {
            return Err(missing(name));
        }
    }
    for (name, shape) in SHAPES {
        match fields.get(name) {
            None | Some(Value::Null) => {}
            Some(value) => shape.validate(name, value)?,
        }
    }
    Ok(())
}

/// Returns the error for a missing required parameter.
pub(super) fn missing(name: &str) -> ErrorResponse {
    let message = format!("Missing required parameter: '{name}'.");
    ErrorResponse::invalid(name, &message).with_code("missing_required_parameter")
}

/// Returns the error for a parameter with the wrong type. `expected` describes the right type, such as "a
/// string".
pub(super) fn wrong_type(name: &str, expected: &str) -> ErrorResponse {
    let message = format!("Invalid type for '{name}': expected {expected}.");
    ErrorResponse::invalid(name, &message).with_code("invalid_type")
}

/// Returns the error for a parameter with a value that is not allowed. `expected` describes the allowed
/// values.
pub(super) fn wrong_value(name: &str, expected: &str) -> ErrorResponse {
    let message = format!("Invalid value for '{name}': expected {expected}.");
    ErrorResponse::invalid(name, &message).with_code("invalid_value")
}

/// Returns the value of the required string member `member` of `object`. `place` is the path of `object` that
/// error messages show, such as `tools[0]`.
pub(super) fn text<'a>(object: &'a Value, place: &str, member: &str) -> Result<&'a str, ErrorResponse> {
    let name = || format!("{place}.{member}");
    match &object[member] {
        Value::String(text) => Ok(text),
        Value::Null => Err(missing(&name())),
        _ => Err(wrong_type(&name(), "a string")),
    }
}

impl FieldShape {
    fn validate(self, name: &str, value: &Value) -> Result<(), ErrorResponse> {
        let (fits, expected) = match self {
            Self::Text => (value.is_string(), "a string"),
            Self::Flag => (value.is_boolean(), "a boolean"),
            Self::List => (value.is_array(), "an array"),
            Self::Object => (value.is_object(), "an object"),
            Self::TextOrObject => (value.is_string() || value.is_object(), "a string or an object"),
            Self::Number(..) => (value.is_number(), "a number"),
            Self::Integer(..) => (value.is_i64() || value.is_u64(), "an integer"),
        };
        if !fits {
            return Err(wrong_type(name, expected));
        }
        match self {
            Self::Integer(min, _) if value.as_u64().is_none_or(|number| number < min) => {
                let message = format!("Invalid '{name}': integer below minimum value of {min}.");
                Err(ErrorResponse::invalid(name, &message).with_code("integer_below_min_value"))
            }
            Self::Integer(_, max) if value.as_u64() > Some(max) => {
                let message = format!("Invalid '{name}': integer above maximum value of {max}.");
                Err(ErrorResponse::invalid(name, &message).with_code("integer_above_max_value"))
            }
            Self::Number(min, _) if value.as_f64() < Some(min) => {
                let message = format!("Invalid '{name}': decimal below minimum value of {min}.");
                Err(ErrorResponse::invalid(name, &message).with_code("decimal_below_min_value"))
            }
            Self::Number(_, max) if value.as_f64() > Some(max) => {
                let message = format!("Invalid '{name}': decimal above maximum value of {max}.");
                Err(ErrorResponse::invalid(name, &message).with_code("decimal_above_max_value"))
            }
            _ => Ok(()),
        }
    }
}
