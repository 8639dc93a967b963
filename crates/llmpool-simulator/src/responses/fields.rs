//! The fields of a request, and what may stand in them.
//!
//! As strict as OpenAI is, because a client that translates between formats shows its mistakes here.

use serde_json::{Map, Value};

use crate::chat::{Refusal, invalid};

/// Fields of chat requests that this format does not have.
const OF_CHAT: [&str; 18] = [
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
/// What would change the answer and is not simulated.
const NOT_SIMULATED: [&str; 3] = ["background", "conversation", "prompt"];

const SHAPES: [(&str, Shape); 23] = [
    ("include", Shape::List),
    ("instructions", Shape::Text),
    ("max_output_tokens", Shape::Whole(16, u64::MAX)),
    ("max_tool_calls", Shape::Whole(1, u64::MAX)),
    ("metadata", Shape::Object),
    ("model", Shape::Text),
    ("parallel_tool_calls", Shape::Flag),
    ("previous_response_id", Shape::Text),
    ("prompt_cache_key", Shape::Text),
    ("reasoning", Shape::Object),
    ("safety_identifier", Shape::Text),
    ("service_tier", Shape::Text),
    ("store", Shape::Flag),
    ("stream", Shape::Flag),
    ("stream_options", Shape::Object),
    ("temperature", Shape::Number(0.0, 2.0)),
    ("text", Shape::Object),
    ("tool_choice", Shape::TextOrObject),
    ("tools", Shape::List),
    ("top_logprobs", Shape::Whole(0, 20)),
    ("top_p", Shape::Number(0.0, 1.0)),
    ("truncation", Shape::Text),
    ("user", Shape::Text),
];

#[derive(Clone, Copy)]
enum Shape {
    Text,
    Flag,
    List,
    Object,
    TextOrObject,
    Number(f64, f64),
    Whole(u64, u64),
}

/// Whether every field may be there and has a value that it can have; `null` is the same as absent.
pub(super) fn check(fields: &Map<String, Value>) -> Result<(), Refusal> {
    let given = |name: &&&str| fields.get(**name).is_some_and(|value| !value.is_null());
    if let Some(name) = OF_CHAT.iter().find(given) {
        return Err(invalid(name, &format!("Unknown parameter: '{name}'.")).coded("unknown_parameter"));
    }
    let asked = |name: &&&str| given(name) && fields[**name] != false;
    if let Some(name) = NOT_SIMULATED.iter().find(asked) {
        let message = format!("'{name}' is not supported by the simulator.");
        return Err(invalid(name, &message).coded("unsupported_parameter"));
    }
    if fields
        .get("stream_options")
        .is_some_and(|options| options.get("include_usage").is_some())
    {
        let name = "stream_options.include_usage";
        return Err(invalid(name, &format!("Unknown parameter: '{name}'.")).coded("unknown_parameter"));
    }
    for name in ["model", "input"] {
        if fields.get(name).is_none_or(Value::is_null) {
            return Err(missing(name));
        }
    }
    for (name, shape) in SHAPES {
        match fields.get(name) {
            None | Some(Value::Null) => {}
            Some(value) => shape.check(name, value)?,
        }
    }
    Ok(())
}

/// A parameter that has to be there is not.
pub(super) fn missing(name: &str) -> Refusal {
    let message = format!("Missing required parameter: '{name}'.");
    invalid(name, &message).coded("missing_required_parameter")
}

/// A parameter is of another type than `expected`.
pub(super) fn wrong_type(name: &str, expected: &str) -> Refusal {
    let message = format!("Invalid type for '{name}': expected {expected}.");
    invalid(name, &message).coded("invalid_type")
}

/// A parameter has none of the values that it can have.
pub(super) fn wrong_value(name: &str, expected: &str) -> Refusal {
    let message = format!("Invalid value for '{name}': expected {expected}.");
    invalid(name, &message).coded("invalid_value")
}

/// The text in a member that has to be there.
pub(super) fn text<'a>(owner: &'a Value, place: &str, member: &str) -> Result<&'a str, Refusal> {
    let name = || format!("{place}.{member}");
    match &owner[member] {
        Value::String(text) => Ok(text),
        Value::Null => Err(missing(&name())),
        _ => Err(wrong_type(&name(), "a string")),
    }
}

impl Shape {
    fn check(self, name: &str, value: &Value) -> Result<(), Refusal> {
        let (fits, expected) = match self {
            Self::Text => (value.is_string(), "a string"),
            Self::Flag => (value.is_boolean(), "a boolean"),
            Self::List => (value.is_array(), "an array"),
            Self::Object => (value.is_object(), "an object"),
            Self::TextOrObject => (value.is_string() || value.is_object(), "a string or an object"),
            Self::Number(..) => (value.is_number(), "a number"),
            Self::Whole(..) => (value.is_i64() || value.is_u64(), "an integer"),
        };
        if !fits {
            return Err(wrong_type(name, expected));
        }
        match self {
            Self::Whole(least, _) if value.as_u64().is_none_or(|number| number < least) => {
                let message = format!("Invalid '{name}': integer below minimum value of {least}.");
                Err(invalid(name, &message).coded("integer_below_min_value"))
            }
            Self::Whole(_, most) if value.as_u64() > Some(most) => {
                let message = format!("Invalid '{name}': integer above maximum value of {most}.");
                Err(invalid(name, &message).coded("integer_above_max_value"))
            }
            Self::Number(least, _) if value.as_f64() < Some(least) => {
                let message = format!("Invalid '{name}': decimal below minimum value of {least}.");
                Err(invalid(name, &message).coded("decimal_below_min_value"))
            }
            Self::Number(_, most) if value.as_f64() > Some(most) => {
                let message = format!("Invalid '{name}': decimal above maximum value of {most}.");
                Err(invalid(name, &message).coded("decimal_above_max_value"))
            }
            _ => Ok(()),
        }
    }
}
