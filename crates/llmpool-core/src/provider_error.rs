//! What providers say in the body of an error, read leniently.

use std::sync::LazyLock;
use std::time::Duration;

use memchr::memmem::Finder;
use serde_json::{Map, Value};

use crate::chat::FinishReason;
use crate::rate_headers::{rfc3339, span};

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
    /// When a quota is renewed, since 1970, where the body says so; some providers say it in their message only.
    pub resets_at: Option<Duration>,
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
        let message = text(&["message", "msg", "error_msg", "detail"]);
        let code = text(&["code", "error_code"]);
        let said = || reset_in(message.as_deref()?, code.as_deref());
        Self {
            resets_at: resets_at(members).or_else(said),
            message,
            code,
            kind: text(&["status", "type", "error_type"]),
            param: text(&["param"]).or_else(|| location(members)),
            retry_delay: retry_delay(members),
        }
    }
}

/// The error of a 200 that is one: a truthy `error`, a code and no answer, an object that calls itself an error, or an end that says that the
/// provider broke.
pub fn is_error_in_success(body: &[u8]) -> Option<ProviderError> {
    /// An answer without these words is none of the shapes below, and need not be read twice.
    static WORDS: LazyLock<[Finder<'static>; 4]> =
        LazyLock::new(|| ["error\"", "\"error", "\"code\"", "\"insufficient_system"].map(Finder::new));
    if WORDS.iter().all(|word| word.find(body).is_none()) {
        return None;
    }
    let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(body) else {
        return None;
    };
    let answered = ["choices", "data", "output"]
        .iter()
        .any(|name| members.get(*name).is_some_and(says_something));
    if nested(&members).is_some() || (!answered && calls_itself_an_error(|name| members.get(name))) {
        return Some(ProviderError::read(&Value::Object(members)));
    }
    broken_end(&members).map(|reason| ProviderError {
        code: Some(reason.to_owned()),
        ..ProviderError::default()
    })
}

/// Whether an object without an answer is an error: it has a code that is none of success, or says so itself.
pub(crate) fn calls_itself_an_error<'a>(member: impl Fn(&str) -> Option<&'a Value>) -> bool {
    let is_success = |code: &Value| {
        let code = as_text(code).unwrap_or_default().to_ascii_lowercase();
        matches!(code.as_str(), "0" | "200" | "ok" | "success")
    };
    let coded = |name: &str| member(name).is_some_and(|code| says_something(code) && !is_success(code));
    coded("code") || coded("error_code") || member("object").and_then(Value::as_str) == Some("error")
}

/// The finish reason of a choice whose provider broke.
fn broken_end(members: &Map<String, Value>) -> Option<&str> {
    let choices = members.get("choices")?.as_array()?;
    let mut reasons = choices
        .iter()
        .filter_map(|choice| choice.get("finish_reason")?.as_str());
    reasons.find(|reason| FinishReason::from(*reason).is_failure())
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
    let response = || {
        let error = members.get("response")?.get("error");
        error.filter(|error| says_something(error))
    };
    let own = members.get("error").filter(|error| says_something(error));
    own.or_else(choice).or_else(groq).or_else(response)
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

/// Google: `{"details": [{"retryDelay": "34s"}]}`; others: `{"resets_in_seconds": 34}`.
fn retry_delay(members: &Map<String, Value>) -> Option<Duration> {
    let seconds = || span(&as_text(members.get("resets_in_seconds")?)?);
    let details = members.get("details").and_then(Value::as_array);
    let mut details = details.into_iter().flatten();
    details
        .find_map(|detail| span(detail.get("retryDelay")?.as_str()?))
        .or_else(seconds)
}

/// `{"resets_at": 1767323045}`.
fn resets_at(members: &Map<String, Value>) -> Option<Duration> {
    let seconds = members.get("resets_at")?.as_f64()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The date in words such as "your limit will reset at 2026-01-02 03:04:05".
fn reset_in(message: &str, code: Option<&str>) -> Option<Duration> {
    const WORDS: [&str; 3] = ["reset", "Reset", "重置"];
    /// As long as `2026-01-02 03:04:05`.
    const DATE: usize = 19;
    if !WORDS.iter().any(|word| message.contains(word)) {
        return None;
    }
    let starts = (0..message.len()).filter(|at| message.as_bytes()[*at].is_ascii_digit());
    let mut dates = starts.filter_map(|at| message.get(at..at + DATE));
    let local = dates.find_map(|date| rfc3339(&format!("{date}Z")))?;
    // GLM, whose codes are four digits, tells the time of Beijing without saying so.
    let is_glm = code.is_some_and(|code| code.len() == 4 && code.bytes().all(|byte| byte.is_ascii_digit()));
    let ahead = Duration::from_secs(if is_glm { 8 * 3600 } else { 0 });
    local.checked_sub(ahead)
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

    // L03
    #[test]
    fn a_reset_that_only_the_body_names_is_read() {
        let reads = |body: &str| {
            let error = ProviderError::parse(body.as_bytes()).unwrap();
            (
                error.resets_at.map(|at| at.as_secs()),
                error.retry_delay.map(|delay| delay.as_secs()),
            )
        };
        // 2026-01-02 03:04:05 in UTC, and the same instant on a clock in Beijing.
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
            assert_eq!(reads(body), expected, "{body}");
        }
    }

    // L56
    #[test]
    fn a_success_that_is_an_error_is_known_however_it_says_so() {
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
            let error = is_error_in_success(body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
            assert_eq!(error.code.as_deref(), code, "{body}");
        }
        for fine in [
            r#"{"code":0,"message":"Success","choices":[]}"#,
            r#"{"code":5,"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"message":{"content":"\"error\" and \"code\""},"finish_reason":"stop"}]}"#,
        ] {
            assert_eq!(is_error_in_success(fine.as_bytes()), None, "{fine}");
        }
    }

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
