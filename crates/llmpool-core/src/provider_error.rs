//! What providers say in the body of an error, read leniently.

use std::time::Duration;

use serde_json::{Map, Value};

/// An error body, whatever its shape.
#[derive(Clone, Default, PartialEq)]
pub struct ProviderError {
    /// The provider's words.
    pub message: Option<String>,
    /// `code`, as text also where it is a number.
    pub code: Option<String>,
    /// `type`, or Google's `status`.
    pub kind: Option<String>,
    /// Which member of the request it is about.
    pub param: Option<String>,
    /// How long to wait, where the body says so.
    pub retry_delay: Option<Duration>,
}

impl ProviderError {
    /// Reads an error body. `None` only for an empty one.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body = body.trim_ascii();
        if body.is_empty() {
            return None;
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Some(Self::read(&value)),
            Err(_) => {
                // Whole, because what is secret in it is found only in the whole.
                Some(Self {
                    message: Some(String::from_utf8_lossy(body).into_owned()),
                    ..Self::default()
                })
            }
        }
    }

    fn read(value: &Value) -> Self {
        match value {
            Value::Array(items) => items.first().map(Self::read).unwrap_or_default(),
            Value::String(text) => Self {
                message: Some(text.clone()),
                ..Self::default()
            },
            Value::Object(members) => nested(members).map_or_else(|| Self::of(members), Self::read),
            _ => Self::default(),
        }
    }

    fn of(members: &Map<String, Value>) -> Self {
        let text = |names: &[&str]| names.iter().find_map(|name| as_text(members.get(*name)?));
        Self {
            message: text(&["message", "msg", "error_msg", "detail"]),
            code: text(&["code", "error_code"]),
            kind: text(&["status", "type", "error_type"]),
            param: text(&["param"]).or_else(|| location(members)),
            retry_delay: retry_delay(members),
        }
    }
}

/// The error of a 200 that is one: a truthy `error`, or a code and no answer.
pub fn is_error_in_success(body: &[u8]) -> Option<ProviderError> {
    // An answer without these words is none of the shapes below, and need not be read twice.
    let suspicious = ["\"error", "\"code\""]
        .iter()
        .any(|word| memchr::memmem::find(body, word.as_bytes()).is_some());
    if !suspicious {
        return None;
    }
    let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(body) else {
        return None;
    };
    let coded = ["code", "error_code"]
        .iter()
        .any(|name| members.get(*name).is_some_and(says_something));
    let answered = ["choices", "data", "output"]
        .iter()
        .any(|name| members.get(*name).is_some_and(says_something));
    if nested(&members).is_some() || (coded && !answered) {
        return Some(ProviderError::read(&Value::Object(members)));
    }
    None
}

/// The member that holds the error, if it is not the object itself.
fn nested(members: &Map<String, Value>) -> Option<&Value> {
    let choice = || {
        let choices = members.get("choices")?.as_array()?;
        let errors = choices.iter().map(|choice| choice.get("error"));
        errors.flatten().find(|error| says_something(error))
    };
    let groq = || {
        members
            .get("x_groq")?
            .get("error")
            .filter(|error| says_something(error))
    };
    let own = members.get("error").filter(|error| says_something(error));
    own.or_else(choice).or_else(groq)
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// FastAPI: `{"detail": [{"loc": ["body", "stream_options"], "msg": …}]}`.
fn location(members: &Map<String, Value>) -> Option<String> {
    let path = members
        .get("detail")?
        .as_array()?
        .first()?
        .get("loc")?
        .as_array()?;
    let names: Vec<_> = path
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| *name != "body")
        .collect();
    Some(names.join("."))
}

/// Google: `{"details": [{"retryDelay": "34s"}]}`.
fn retry_delay(members: &Map<String, Value>) -> Option<Duration> {
    let details = members.get("details")?.as_array()?;
    details
        .iter()
        .find_map(|detail| crate::rate_headers::span(detail.get("retryDelay")?.as_str()?))
}

impl std::fmt::Debug for ProviderError {
    /// Names the code only: the rest may echo the prompt.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderError")
            .field("kind", &self.kind.as_deref().map(crate::failure::plain_word))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_hides_no_error_behind_it() {
        for body in [
            r#"{"error":null,"choices":[{"error":{"message":"m"}}]}"#,
            r#"{"choices":[{"error":null},{"error":{"message":"m"}}]}"#,
            r#"{"choices":[{"error":null}],"x_groq":{"error":"m"}}"#,
        ] {
            let error = is_error_in_success(body.as_bytes()).unwrap();
            assert_eq!(error.message.as_deref(), Some("m"), "{body}");
        }
    }
}
