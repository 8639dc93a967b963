//! Parses the bodies of error responses, whose shape differs between providers.

use std::sync::LazyLock;
use std::time::Duration;

use memchr::memmem::Finder;
use serde_json::{Map, Value};

use crate::chat::FinishReason;
use crate::time_format::{parse_duration, parse_rfc3339};

/// The error that the body of a response describes. A field is `None` if the body does not state the value.
#[derive(Clone, Default, PartialEq)]
pub struct ProviderError {
    /// The error message, from `message`, `msg`, `error_msg` or `detail`, or the whole body if the body is
    /// not JSON.
    pub message: Option<String>,
    /// The error code, from `code` or `error_code`. A numeric code is converted to text.
    pub code: Option<String>,
    /// The error type, from `status` (sent by Google), `type` or `error_type`.
    pub kind: Option<String>,
    /// The name of the request parameter that the provider rejects, such as `stream_options`.
    pub param: Option<String>,
    /// The wait that the provider requests before the next attempt, measured from the arrival of the
    /// response.
    pub retry_delay: Option<Duration>,
    /// The time at which the exhausted quota resets, as a duration since the Unix epoch. Parsed from the
    /// error message if the body has no member for the time.
    pub resets_at: Option<Duration>,
}

impl ProviderError {
    /// Parses the body of an error response. If the body is not JSON, the whole body becomes the message.
    /// Returns `None` if the body is empty.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body = body.trim_ascii();
        if body.is_empty() {
            return None;
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Some(Self::from_value(&value)),
            // The text is not shortened, because secrets in the text are masked later, and only complete secrets are recognized.
            Err(_) => Some(Self {
                message: Some(String::from_utf8_lossy(body).into_owned()),
                ..Self::default()
            }),
        }
    }

    fn from_value(value: &Value) -> Self {
        match value {
            Value::Array(items) => items.first().map(Self::from_value).unwrap_or_default(),
            Value::String(text) => Self {
                message: Some(text.clone()),
                ..Self::default()
            },
            Value::Object(members) => {
                nested_error(members).map_or_else(|| Self::from_members(members), Self::from_value)
            }
            _ => Self::default(),
        }
    }

    fn from_members(members: &Map<String, Value>) -> Self {
        let text = |names: &[&str]| names.iter().find_map(|name| as_text(members.get(*name)?));
        let message = text(&["message", "msg", "error_msg", "detail"]);
        let code = text(&["code", "error_code"]);
        let reset_in_message = || parse_reset_in_message(message.as_deref()?, code.as_deref());
        Self {
            resets_at: parse_resets_at(members).or_else(reset_in_message),
            message,
            code,
            kind: text(&["status", "type", "error_type"]),
            param: text(&["param"]).or_else(|| fastapi_param(members)),
            retry_delay: parse_retry_delay(members),
        }
    }
}

/// Returns the error that the body of a success response reports, or `None` if the body reports no error.
///
/// The body reports an error in one of three ways: it has a non-empty `error` member; it has no content, but
/// an error code or `"object": "error"`; or a finish reason states that the provider failed.
pub fn find_error_in_success(body: &[u8]) -> Option<ProviderError> {
    /// Byte sequences that mark errors. A body that contains none of these sequences reports no error, and is
    /// not parsed.
    static MARKERS: LazyLock<[Finder<'static>; 4]> =
        LazyLock::new(|| ["error\"", "\"error", "\"code\"", "\"insufficient_system"].map(Finder::new));
    if MARKERS.iter().all(|marker| marker.find(body).is_none()) {
        return None;
    }
    let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(body) else {
        return None;
    };
    let has_content = ["choices", "data", "output"]
        .iter()
        .any(|name| members.get(*name).is_some_and(is_present));
    if nested_error(&members).is_some() || (!has_content && looks_like_error(|name| members.get(name))) {
        return Some(ProviderError::from_value(&Value::Object(members)));
    }
    failed_finish_reason(&members).map(|reason| ProviderError {
        code: Some(reason.to_owned()),
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
        .filter_map(|choice| choice.get("finish_reason")?.as_str());
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

/// Returns the name of the request parameter that a FastAPI server rejects. For example, returns
/// `stream_options` for `{"detail": [{"loc": ["body", "stream_options"], "msg": …}]}`.
fn fastapi_param(members: &Map<String, Value>) -> Option<String> {
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

/// Returns the wait that an error object requests before the next attempt. Reads
/// `{"details": [{"retryDelay": "34s"}]}`, which Google sends, and `{"resets_in_seconds": 34}`.
fn parse_retry_delay(members: &Map<String, Value>) -> Option<Duration> {
    let seconds = || parse_duration(&as_text(members.get("resets_in_seconds")?)?);
    let details = members.get("details").and_then(Value::as_array);
    let mut details = details.into_iter().flatten();
    details
        .find_map(|detail| parse_duration(detail.get("retryDelay")?.as_str()?))
        .or_else(seconds)
}

/// Returns the time at which the exhausted quota resets, as a duration since the Unix epoch. Reads error
/// objects such as `{"resets_at": 1767323045}`.
fn parse_resets_at(members: &Map<String, Value>) -> Option<Duration> {
    let seconds = members.get("resets_at")?.as_f64()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Returns the time at which the exhausted quota resets, as a duration since the Unix epoch. Reads error
/// messages such as "your limit will reset at 2026-01-02 03:04:05". The date is interpreted as Beijing time
/// if `code` has four digits, as the error codes of the provider GLM do, and as UTC otherwise.
fn parse_reset_in_message(message: &str, code: Option<&str>) -> Option<Duration> {
    const MARKERS: [&str; 3] = ["reset", "Reset", "重置"];
    const DATE_LEN: usize = "2026-01-02 03:04:05".len();
    if !MARKERS.iter().any(|marker| message.contains(marker)) {
        return None;
    }
    let starts = (0..message.len()).filter(|at| message.as_bytes()[*at].is_ascii_digit());
    let mut dates = starts.filter_map(|at| message.get(at..at + DATE_LEN));
    let local = dates.find_map(|date| parse_rfc3339(&format!("{date}Z")))?;
    // GLM, whose error codes have four digits, states the local time of Beijing without an offset.
    let is_glm = code.is_some_and(|code| code.len() == 4 && code.bytes().all(|byte| byte.is_ascii_digit()));
    let utc_offset = Duration::from_secs(if is_glm { 8 * 3600 } else { 0 });
    local.checked_sub(utc_offset)
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
mod tests {
    use super::*;

    // L03
    #[test]
    fn reset_time_in_body_or_message_is_parsed() {
        let parse = |body: &str| {
            let error = ProviderError::parse(body.as_bytes()).unwrap();
            (
                error.resets_at.map(|at| at.as_secs()),
                error.retry_delay.map(|delay| delay.as_secs()),
            )
        };
        // 2026-01-02 03:04:05 in UTC, which is 11:04:05 in Beijing.
        let at = Some(1_767_323_045);
        for (body, expected) in [
            (
                r#"{"error":{"message":"Limit will reset at 2026-01-02 03:04:05"}}"#,
                (at, None),
            ),
            (
                r#"{"error":{"message":"resets 2026-01-02T03:04:05Z."}}"#,
                (at, None),
            ),
            (
                r#"{"error":{"code":"1308","message":"Your limit will reset at 2026-01-02 11:04:05"}}"#,
                (at, None),
            ),
            (
                r#"{"error":{"code":"1308","message":"限额将在 2026-01-02 11:04:05 重置。"}}"#,
                (at, None),
            ),
            (r#"{"error":{"message":"x","resets_at":1767323045}}"#, (at, None)),
            (
                r#"{"error":{"message":"x","resets_in_seconds":90}}"#,
                (None, Some(90)),
            ),
            (
                r#"{"error":{"message":"model of 2026-01-02 03:04:05"}}"#,
                (None, None),
            ),
            (
                r#"{"error":{"message":"reset 99999-99-99 99:99:99 ü 2026-13-02 03:04:05"}}"#,
                (None, None),
            ),
            (r#"{"error":{"message":"x","resets_at":-1}}"#, (None, None)),
        ] {
            assert_eq!(parse(body), expected, "{body}");
        }
    }

    // L56
    #[test]
    fn error_in_success_body_is_found_in_all_shapes() {
        for (body, code) in [
            (
                r#"{"code":"rpm_rate_limit_exceeded","msg":"Rate limit"}"#,
                Some("rpm_rate_limit_exceeded"),
            ),
            (
                r#"{"error_code":336501,"error_msg":"Rate limit"}"#,
                Some("336501"),
            ),
            (r#"{"object":"error","message":"overloaded","code":null}"#, None),
            (
                r#"{"choices":[{"message":{"content":"half"},"finish_reason":"insufficient_system_resource"}]}"#,
                Some("insufficient_system_resource"),
            ),
            (
                r#"{"choices":[{"message":{"content":"half"},"finish_reason":"network_error"}]}"#,
                Some("network_error"),
            ),
        ] {
            let error = find_error_in_success(body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
            assert_eq!(error.code.as_deref(), code, "{body}");
        }
        for success in [
            r#"{"code":0,"message":"Success","choices":[]}"#,
            r#"{"code":5,"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"message":{"content":"\"error\" and \"code\""},"finish_reason":"stop"}]}"#,
        ] {
            assert_eq!(find_error_in_success(success.as_bytes()), None, "{success}");
        }
    }

    #[test]
    fn null_error_does_not_hide_a_later_error() {
        for body in [
            r#"{"error":null,"choices":[{"error":{"message":"m"}}]}"#,
            r#"{"choices":[{"error":null},{"error":{"message":"m"}}]}"#,
            r#"{"choices":[{"error":null}],"x_groq":{"error":"m"}}"#,
        ] {
            let error = find_error_in_success(body.as_bytes()).unwrap();
            assert_eq!(error.message.as_deref(), Some("m"), "{body}");
        }
    }
}
