//! Parses the bodies of error responses, whose shape differs between providers.
//!
//! Everything here runs only after a failure. Bodies of success responses are parsed only if they contain a
//! byte sequence that marks an error.

mod body;
mod times;
mod walk;

use std::sync::LazyLock;
use std::time::Duration;

use memchr::memmem::Finder;
use serde_json::{Map, Value};

use crate::chat::FinishReason;
use body::Content;

/// The error that the body of a response describes. A field is `None` if the body does not state the value.
///
/// The values come from the innermost error object, and from the objects around it if they state more: errors
/// contain each other, in lists, in members such as `detail`, or as JSON within a text.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ProviderError {
    /// The error message, from `message`, `msg`, `error_msg`, `detail` or similar. Several errors in a list are
    /// joined, and a validation error begins with the path of its field. The whole body if the body is not
    /// JSON; only the title if the body is an HTML page.
    pub message: Option<String>,
    /// The error code, from `code` or `error_code`, or an `error` that is a text written like a code. A numeric
    /// code is converted to text.
    pub code: Option<String>,
    /// The error type, from `status` (sent by Google), `type` or `error_type`.
    pub kind: Option<String>,
    /// Every code, type and reason in the body, in the order in which they were found. A general type often
    /// stands beside the code that names the cause, or an error of another provider within the error.
    pub codes: Vec<String>,
    /// The name of the request parameter that the provider rejects, such as `stream_options`.
    pub param: Option<String>,
    /// The wait that the provider requests before the next attempt, measured from the arrival of the
    /// response. Never zero. Parsed from the error message if the body has no member for the wait.
    pub retry_delay: Option<Duration>,
    /// The time at which the exhausted quota resets, as a duration since the Unix epoch. Parsed from the
    /// error message if the body has no member for the time.
    pub resets_at: Option<Duration>,
    /// Headers that the body quotes, with lower-case names. OpenRouter sends them in `error.metadata.headers`.
    pub headers: Vec<(String, String)>,
}

impl ProviderError {
    /// Parses the body of an error response, or the data of an error event. If the body contains no JSON, the
    /// whole body becomes the message. Returns `None` if the body is empty.
    pub fn parse(body: &[u8]) -> Option<Self> {
        const BOM: &[u8] = b"\xef\xbb\xbf";
        let body = body.trim_ascii();
        let body = body.strip_prefix(BOM).unwrap_or(body).trim_ascii();
        if body.is_empty() {
            return None;
        }
        Some(match body::read(body) {
            Content::Json(value) => walk::read(&value),
            Content::Page(title) => Self::with_message(match title {
                Some(title) => format!("HTML page: {title}"),
                None => "HTML page".to_owned(),
            }),
            Content::Text(text) => {
                let found = body::json_in_text(&text)
                    .map(|value| walk::read(&value))
                    .find(|error| !error.is_empty());
                found.unwrap_or_else(|| Self::from_text(text))
            }
        })
    }

    /// Returns an error whose message is the whole text. The text is not shortened, because secrets in the text
    /// are masked later, and only complete secrets are recognized.
    fn from_text(text: String) -> Self {
        let mut error = Self::with_message(text);
        error.read_times_of_message();
        error
    }

    fn with_message(message: String) -> Self {
        Self {
            message: Some(message),
            ..Self::default()
        }
    }
}

/// Returns the error that the body of a success response reports, or `None` if the body reports no error.
///
/// The body reports an error in one of three ways: it has a non-empty `error` member; it has no content, but
/// an error code, `errors` or `"object": "error"`; or a finish reason states that the provider failed. A list
/// reports an error if an entry has a non-empty `error` member.
pub fn find_error_in_success(body: &[u8]) -> Option<ProviderError> {
    if !may_report_error(body) {
        return None;
    }
    match serde_json::from_slice::<Value>(body).ok()? {
        Value::Object(members) => error_in_object(members),
        Value::Array(items) => items
            .iter()
            .find(|item| {
                item.as_object()
                    .is_some_and(|members| nested_error(members).is_some())
            })
            .map(walk::read),
        _ => None,
    }
}

/// Returns false if a body contains none of the words that mark errors. Such a body is not parsed.
fn may_report_error(body: &[u8]) -> bool {
    /// The last one is part of a finish reason of Gemini, `MALFORMED_FUNCTION_CALL`.
    static MARKERS: LazyLock<[Finder<'static>; 3]> =
        LazyLock::new(|| ["\"code\"", "\"insufficient_system", "ALFORMED_"].map(Finder::new));
    static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("error"));
    // Text of an answer may contain the word. A name or a whole value has a quote at one end.
    let is_quoted = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| body.get(at));
        before == Some(&b'"') || body.get(at + 5) == Some(&b'"')
    };
    ERROR.find_iter(body).any(is_quoted) || MARKERS.iter().any(|marker| marker.find(body).is_some())
}

fn error_in_object(members: Map<String, Value>) -> Option<ProviderError> {
    let has = |name: &str| members.get(name).is_some_and(is_present);
    let has_content = ["choices", "data", "output"].into_iter().any(has);
    let is_error = || looks_like_error(|name| members.get(name)) || has("errors");
    if nested_error(&members).is_some() || (!has_content && is_error()) {
        return Some(walk::read(&Value::Object(members)));
    }
    failed_finish_reason(&members).map(|reason| ProviderError {
        code: Some(reason.to_owned()),
        codes: vec![reason.to_owned()],
        ..ProviderError::default()
    })
}

/// Returns whether a JSON object without content is an error: it has a `code` or `error_code` that does not
/// mean success, or its `object` is `error`. `member` returns the member of the object with the given name.
pub(crate) fn looks_like_error<'a>(member: impl Fn(&str) -> Option<&'a Value>) -> bool {
    let is_success = |code: &Value| {
        let code = as_text(code).unwrap_or_default().to_ascii_lowercase();
        matches!(code.as_str(), "0" | "200" | "ok" | "success")
    };
    let has_error_code = |name: &str| member(name).is_some_and(|code| is_present(code) && !is_success(code));
    has_error_code("code")
        || has_error_code("error_code")
        || member("object").and_then(Value::as_str) == Some("error")
}

/// Returns the finish reason of the first choice that ended because the provider failed. Returns `None` if
/// there is no such choice.
fn failed_finish_reason(members: &Map<String, Value>) -> Option<&str> {
    let choices = members.get("choices")?.as_array()?;
    let mut reasons = choices
        .iter()
        .flat_map(|choice| [choice.get("finish_reason"), choice.get("native_finish_reason")])
        .filter_map(|reason| reason?.as_str());
    reasons.find(|reason| FinishReason::from(*reason).is_failure())
}

/// Returns the first non-empty `error` member in a response body: in the body itself, in a choice, in
/// `x_groq`, or in `response`. Returns `None` if there is no such member.
fn nested_error(members: &Map<String, Value>) -> Option<&Value> {
    fn error_of(value: &Value) -> Option<&Value> {
        value.get("error").filter(|error| is_present(error))
    }
    let in_choices = || members.get("choices")?.as_array()?.iter().find_map(error_of);
    let in_member = |name: &str| error_of(members.get(name)?);
    let own = members.get("error").filter(|error| is_present(error));
    own.or_else(in_choices)
        .or_else(|| in_member("x_groq"))
        .or_else(|| in_member("response"))
}

/// Returns whether a JSON value is significant: neither null nor false, and not an empty string, array or
/// object.
fn is_present(value: &Value) -> bool {
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

impl std::fmt::Debug for ProviderError {
    /// Shows only the error type, and redacts a type that does not look like an error code, because the
    /// fields of an error may quote the prompt.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderError")
            .field(
                "kind",
                &self.kind.as_deref().map(crate::failure::redact_unless_code),
            )
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
