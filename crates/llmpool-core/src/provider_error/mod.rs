//! Parses the bodies of error responses, whose shape differs between providers.
//!
//! Everything here runs only after a failure. Bodies of success responses are parsed only if they contain a
//! byte sequence that marks an error.

mod body;
mod error;
mod times;
mod walk;

use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::Finder;
use serde_json::{Map, Value};

use crate::chat::FinishReason;
use crate::lenient_json::decode_cleaned;
use body::{BodyContent, as_text};

pub use error::ProviderError;

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
            BodyContent::Json(value) => walk::read(&value),
            BodyContent::Page(title) => Self::with_message(match title {
                Some(title) => format!("HTML page: {title}"),
                None => "HTML page".to_owned(),
            }),
            BodyContent::Text(text) => {
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
    match decode_cleaned(body, |body| serde_json::from_slice(body)).ok()? {
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

/// Returns false if a body contains no word that marks an error. Such a body is not parsed.
fn may_report_error(body: &[u8]) -> bool {
    static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("error"));
    static FINISH_REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("finish_reason"));
    static CODE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"code\""));
    // Text of an answer may contain the word. A name or a whole value has a quote at one end.
    let is_quoted = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| body.get(at));
        before == Some(&b'"') || body.get(at + 5) == Some(&b'"')
    };
    let is_failure = |at: usize| {
        let rest = &body[at + FINISH_REASON.needle().len()..];
        let value = rest.strip_prefix(b"\"").unwrap_or_default().trim_ascii_start();
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        let text = value.strip_prefix(b"\"").unwrap_or_default();
        let end = memchr(b'"', text).unwrap_or(0);
        std::str::from_utf8(&text[..end]).is_ok_and(|reason| FinishReason::from(reason).is_failure())
    };
    ERROR.find_iter(body).any(is_quoted)
        || FINISH_REASON.find_iter(body).any(is_failure)
        || (!may_have_content(body) && CODE.find(body).is_some())
}

/// Returns whether a body contains the name of a member with content, which is usually near its beginning.
fn may_have_content(body: &[u8]) -> bool {
    static NAMES: LazyLock<[Finder<'static>; 3]> =
        LazyLock::new(|| ["\"choices\"", "\"output\"", "\"data\""].map(Finder::new));
    NAMES.iter().any(|name| name.find(body).is_some())
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

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
