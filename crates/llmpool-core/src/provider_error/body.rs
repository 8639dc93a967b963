//! Finds the JSON in the body of an error response, which may be an event stream, a log line or cut off.

use serde_json::Value;

use crate::framing::page_title;
use crate::lenient_json::decode_cleaned;

/// The maximum number of lines of a text that are parsed as JSON.
const MAX_LINES: usize = 32;
/// The maximum nesting of truncated JSON. `serde_json` accepts no deeper nesting.
const MAX_DEPTH: usize = 127;

/// What the body of an error response consists of.
pub(super) enum BodyContent {
    /// The body is JSON.
    Json(Value),
    /// The body is an HTML page. Holds the title of the page, if the page has one.
    Page(Option<String>),
    /// The body is text that may contain JSON.
    Text(String),
}

/// Returns the content of a body.
pub(super) fn read(body: &[u8]) -> BodyContent {
    if let Some(value) = parse(body) {
        return BodyContent::Json(value);
    }
    if is_page(body) {
        return BodyContent::Page(page_title(body));
    }
    BodyContent::Text(String::from_utf8_lossy(body).into_owned())
}

fn parse(json: &[u8]) -> Option<Value> {
    decode_cleaned(json, |json| serde_json::from_slice(json)).ok()
}

/// Returns the JSON objects and lists in a text: those that fill a line, such as the data of a server-sent
/// event; then the part from the first to the last brace; then the complete members of truncated JSON.
pub(super) fn json_in_text(text: &str) -> impl Iterator<Item = Value> {
    let lines = text.lines().filter_map(json_line).take(MAX_LINES);
    let embedded = || parse(text.get(text.find('{')?..=text.rfind('}')?)?.as_bytes());
    let truncated = || parse(close_truncated(text)?.as_bytes());
    lines
        .filter_map(|line| parse(line.as_bytes()))
        .chain(std::iter::once_with(embedded).flatten())
        .chain(std::iter::once_with(truncated).flatten())
}

/// Parses a text that is a JSON object or list as a whole.
pub(super) fn json_text(text: &str) -> Option<Value> {
    let text = text.trim();
    text.starts_with(['{', '[']).then(|| parse(text.as_bytes()))?
}

/// Returns the part of a line that may be a JSON object or list: the line without a field name of a
/// server-sent event.
fn json_line(line: &str) -> Option<&str> {
    let line = line.trim();
    let value = line.strip_prefix("data:").or_else(|| line.strip_prefix("error:"));
    Some(value.unwrap_or(line).trim_start()).filter(|value| value.starts_with(['{', '[']))
}

fn is_page(body: &[u8]) -> bool {
    ["<!doctype html", "<html", "<head", "<body"].iter().any(|start| {
        body.get(..start.len())
            .is_some_and(|own| own.eq_ignore_ascii_case(start.as_bytes()))
    })
}

/// Drops the incomplete end of truncated JSON and closes its objects and lists. Returns `None` if the text
/// does not begin like JSON or closes more than it opens.
fn close_truncated(text: &str) -> Option<String> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let mut closers = Vec::new();
    // The end of the text that is kept. Everything after it is part of an incomplete member.
    let mut end = 0;
    let (mut in_string, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                closers.push(if byte == b'{' { '}' } else { ']' });
                end = at + 1;
            }
            b'}' | b']' => {
                closers.pop().filter(|closer| *closer == char::from(byte))?;
                end = at + 1;
            }
            b',' => end = at,
            _ => {}
        }
        if closers.len() > MAX_DEPTH {
            return None;
        }
    }
    let mut closed = text[..end].to_owned();
    closed.extend(closers.iter().rev());
    Some(closed)
}

/// Returns a text or a number as text. `None` for other values.
pub(super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns whether the value of an error, or of its code, says that something failed. Empty values, zeros and words for
/// success say nothing, and neither do objects and lists of them: gateways send them beside complete answers.
pub(crate) fn is_failure(value: &Value) -> bool {
    const NOTHING: &[&str] = &["", "0", "200", "false", "none", "null", "ok", "success"];
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => !matches!(number.as_f64(), Some(0.0 | 200.0)),
        Value::String(text) => !NOTHING.iter().any(|word| text.trim().eq_ignore_ascii_case(word)),
        Value::Array(items) => items.iter().any(is_failure),
        Value::Object(members) => members.values().any(is_failure),
    }
}
