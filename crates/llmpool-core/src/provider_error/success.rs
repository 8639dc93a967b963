//! Finds errors in the bodies of success responses and in the events of streams.
//!
//! An answer that a caller can read counts more than what stands beside it: gateways add empty error structs, and
//! codes that mean success, to complete answers.

use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::{self, Finder};
use serde_json::{Map, Value};

use super::body::is_failure;
use super::error::ProviderError;
use super::walk;
use crate::chat::FinishReason;
use crate::lenient_json::decode_cleaned;

/// The members in which answers have their content.
const CONTENT: [&str; 3] = ["output", "choices", "data"];
/// The members that hold a code, which may mean success.
const CODES: [&str; 6] = [
    "code",
    "error_code",
    "errcode",
    "err_code",
    "statusCode",
    "status_code",
];

/// Returns the error that the body of a success response reports, or `None` if the body reports no error.
///
/// A body with content reports an error in two ways: it has an `error` member that says something, or a finish reason
/// states that the provider failed. A body without content also reports one by an error code, a status that is no
/// success, `errors` or `"object": "error"`. A list reports an error if an entry has such an `error` member.
pub fn find_error_in_success(body: &[u8]) -> Option<ProviderError> {
    if may_have_content(body) && !may_report_error(body) {
        return None;
    }
    match decode_cleaned(body, |body| serde_json::from_slice(body)).ok()? {
        Value::Object(members) => {
            let has_content = CONTENT
                .iter()
                .any(|name| members.get(*name).is_some_and(is_filled));
            let is_error = !has_content && looks_like_error(&members);
            error_in_object(members, is_error)
        }
        Value::Array(items) => error_in_list(&items),
        _ => None,
    }
}

/// Returns the error that an event without output reports, or `None` if it reports none.
pub(crate) fn find_error_in_event(data: &[u8]) -> Option<ProviderError> {
    match decode_cleaned(data, |data| serde_json::from_slice(data)).ok()? {
        Value::Object(members) => {
            let is_error = looks_like_error(&members);
            error_in_object(members, is_error)
        }
        Value::Array(items) => error_in_list(&items),
        _ => None,
    }
}

/// Returns whether an event says of itself that it is an error: `"object": "error"`.
pub(crate) fn is_error_object(data: &[u8]) -> bool {
    let event: Option<Value> = decode_cleaned(data, |data| serde_json::from_slice(data)).ok();
    event.is_some_and(|event| event.get("object").and_then(Value::as_str) == Some("error"))
}

/// Returns false if a body with content contains no word that marks an error. Such a body is not parsed.
fn may_report_error(body: &[u8]) -> bool {
    static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("error"));
    static FINISH_REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("finish_reason"));
    // Text of an answer may contain the word. A name or a whole value has a quote at one end.
    let is_quoted = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| body.get(at));
        before == Some(&b'"') || body.get(at + 5) == Some(&b'"')
    };
    let is_failure = |at: usize| {
        let value = value_after(&body[at + FINISH_REASON.needle().len()..]);
        let text = value.strip_prefix(b"\"").unwrap_or_default();
        let end = memchr(b'"', text).unwrap_or(0);
        std::str::from_utf8(&text[..end]).is_ok_and(|reason| FinishReason::from(reason).is_failure())
    };
    ERROR.find_iter(body).any(is_quoted) || FINISH_REASON.find_iter(body).any(is_failure)
}

/// Returns whether a body is most likely an answer: it has a member with content that is not empty. Where that may be the
/// member of an object within an error, it also has no code.
fn may_have_content(body: &[u8]) -> bool {
    static ORDINARY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"choices\":[{"));
    let has_code = || memmem::find(body, b"code\"").is_some();
    ORDINARY.find(body).is_some() || CONTENT.iter().any(|name| may_have_filled(body, name)) && !has_code()
}

#[cold]
fn may_have_filled(body: &[u8], name: &str) -> bool {
    let is_filled = |value: &[u8]| match value {
        [open @ (b'[' | b'{'), inner @ ..] => {
            let close = if *open == b'[' { b']' } else { b'}' };
            inner
                .trim_ascii_start()
                .first()
                .is_some_and(|first| *first != close)
        }
        _ => false,
    };
    let is_name = |at: usize| at.checked_sub(1).is_some_and(|before| body[before] == b'"');
    // The text of an answer may contain the name, too.
    let mut places = memmem::find_iter(body, name).filter(|at| is_name(*at));
    places.any(|at| is_filled(value_after(&body[at + name.len()..])))
}

fn is_filled(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => false,
    }
}

/// Returns what follows the end of a member's name: its value and the rest. Empty if no value follows.
fn value_after(rest: &[u8]) -> &[u8] {
    let colon = rest.strip_prefix(b"\"").unwrap_or_default().trim_ascii_start();
    colon.strip_prefix(b":").unwrap_or_default().trim_ascii_start()
}

/// `is_error`: whether members other than `error` and finish reasons show that the object is an error.
fn error_in_object(members: Map<String, Value>, is_error: bool) -> Option<ProviderError> {
    if is_error || has_nested_error(&members) {
        return Some(walk::read(&Value::Object(members)));
    }
    failed_finish_reason(&members).map(|reason| ProviderError {
        code: Some(reason.to_owned()),
        codes: vec![reason.to_owned()],
        ..ProviderError::default()
    })
}

fn error_in_list(items: &[Value]) -> Option<ProviderError> {
    let is_error = |item: &&Value| item.as_object().is_some_and(has_nested_error);
    items.iter().find(is_error).map(walk::read)
}

/// Returns whether an object without content is an error.
fn looks_like_error(members: &Map<String, Value>) -> bool {
    let has_failed = |name: &&str| members.get(*name).is_some_and(is_failure);
    let is_text = |name, text| members.get(name).and_then(Value::as_str) == Some(text);
    let status = members.get("status");
    let has_failed_status = status
        .and_then(Value::as_u64)
        .is_some_and(|status| (400..600).contains(&status))
        || ["error", "fail", "failure"]
            .iter()
            .any(|text| is_text("status", *text));
    CODES.iter().any(has_failed)
        || has_failed(&"errors")
        || has_failed_status
        || is_text("object", "error")
        || is_text("type", "error")
        || members.get("success") == Some(&Value::Bool(false))
        || members
            .get("base_resp")
            .is_some_and(|base| base.get("status_code").is_some_and(is_failure))
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

/// Returns whether a body has an `error` member that says something: in the body itself, in a choice, in `x_groq`, or
/// in `response`.
fn has_nested_error(members: &Map<String, Value>) -> bool {
    let has_error = |value: &Value| value.get("error").is_some_and(is_failure);
    let choices = members.get("choices").and_then(Value::as_array);
    let carriers = ["x_groq", "response"]
        .into_iter()
        .filter_map(|name| members.get(name));
    members.get("error").is_some_and(is_failure)
        || carriers.chain(choices.into_iter().flatten()).any(has_error)
}
