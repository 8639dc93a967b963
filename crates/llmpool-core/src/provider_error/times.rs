//! Reads the waits and reset times that error bodies state, in members and in sentences.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::time_format::{parse_duration, parse_rfc3339, parse_timestamp, plausible_wait};

/// The members that state when to try again, as a wait in seconds or as a time.
const NAMES: &[&str] = &[
    "retryDelay",
    "retry_delay",
    "retry_after",
    "retryAfter",
    "retry-after",
    "retry_after_seconds",
    "resets_in_seconds",
    "resets_in",
    "quotaResetDelay",
    "resets_at",
    "reset_at",
    "resetsAt",
    "resetAt",
    "reset_time",
    "quotaResetTimeStamp",
];

/// The members that state a wait in milliseconds.
const MILLISECOND_NAMES: &[&str] = &["retry_after_ms", "retryAfterMs"];

/// The words that precede a wait in an error message.
const WAIT_WORDS: &[&str] = &[
    "try again in ",
    "try again after ",
    "retry in ",
    "retry after ",
    "wait for ",
    "wait ",
];

/// When an error body says that the next attempt may be made.
pub(super) enum RetryTime {
    /// After a wait, measured from the arrival of the response. Never zero.
    After(Duration),
    /// At a time, as a duration since the Unix epoch.
    At(Duration),
}

/// Returns the times that the members of an error object state.
pub(super) fn in_members(members: &Map<String, Value>) -> impl Iterator<Item = RetryTime> {
    let value = |name: &&str| members.get(*name);
    let milliseconds = |value: &Value| RetryTime::after(milliseconds(value)?);
    let seconds = NAMES.iter().filter_map(value).filter_map(RetryTime::parse);
    seconds.chain(
        MILLISECOND_NAMES
            .iter()
            .filter_map(value)
            .filter_map(milliseconds),
    )
}

impl RetryTime {
    fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::Object(members) => Self::after(protobuf_duration(members)?),
            Value::String(text) => Self::parse_text(text),
            Value::Number(number) => Self::parse_text(&number.to_string()),
            _ => None,
        }
    }

    fn parse_text(text: &str) -> Option<Self> {
        match parse_timestamp(text) {
            Some(at) => Some(Self::At(at)),
            None => Self::after(parse_duration(text)?),
        }
    }

    fn after(wait: Duration) -> Option<Self> {
        (!wait.is_zero()).then_some(Self::After(wait))
    }
}

fn milliseconds(value: &Value) -> Option<Duration> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        _ => value.as_f64()?,
    };
    plausible_wait(Duration::try_from_secs_f64(number / 1e3).ok()?)
}

/// Reads `{"seconds": 34, "nanos": 500000000}`, as Google encodes durations in some languages.
fn protobuf_duration(members: &Map<String, Value>) -> Option<Duration> {
    let number = |name: &str| match members.get(name)? {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    };
    let seconds = number("seconds")? + number("nanos").unwrap_or(0.0) / 1e9;
    plausible_wait(Duration::try_from_secs_f64(seconds).ok()?)
}

/// Returns the wait that an error message asks for, such as "Please try again in 1m30.5s". Only a number with
/// a unit after known words counts, because messages also quote limits, sizes and prompts.
pub(super) fn wait_in_message(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    WAIT_WORDS.iter().find_map(|words| {
        let mut ends = message
            .match_indices(words)
            .filter(|(at, _)| !message[..*at].ends_with(char::is_alphanumeric))
            .map(|(at, _)| at + words.len());
        ends.find_map(|end| spoken_duration(&message[end..]))
    })
}

/// Parses the duration at the start of a lower-case text: numbers, each with a unit, such as "1 hour 20
/// minutes" or "1m30.5s".
fn spoken_duration(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    let mut rest = text;
    while let Some((part, tail)) = spoken_part(rest) {
        seconds += part;
        rest = tail;
    }
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    plausible_wait(wait).filter(|wait| !wait.is_zero())
}

/// Parses a number with its unit at the start of a text. Returns the duration in seconds and the rest.
fn spoken_part(text: &str) -> Option<(f64, &str)> {
    let text = text.trim_start_matches(' ');
    let (number, rest) = split_at(text, |c| !c.is_ascii_digit() && c != '.');
    let (unit, rest) = split_at(rest.trim_start_matches(' '), |c| !c.is_ascii_alphabetic());
    let unit = match unit {
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    };
    Some((number.parse::<f64>().ok()? * unit, rest))
}

fn split_at(text: &str, is_end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(is_end).unwrap_or(text.len()))
}

/// Returns the time at which the exhausted quota resets, as a duration since the Unix epoch. Reads error
/// messages such as "your limit will reset at 2026-01-02 03:04:05". A date without an offset is interpreted as
/// Beijing time if `code` has four digits, as the error codes of the provider GLM do, and as UTC otherwise.
pub(super) fn reset_in_message(message: &str, code: Option<&str>) -> Option<Duration> {
    const MARKERS: [&str; 3] = ["reset", "Reset", "重置"];
    const DATE_LEN: usize = "2026-01-02 03:04:05".len();
    const OFFSET_LEN: usize = "+08:00".len();
    if !MARKERS.iter().any(|marker| message.contains(marker)) {
        return None;
    }
    // GLM, whose error codes have four digits, states the local time of Beijing without an offset.
    let is_glm = code.is_some_and(|code| code.len() == 4 && code.bytes().all(|byte| byte.is_ascii_digit()));
    let utc_offset = Duration::from_secs(if is_glm { 8 * 3600 } else { 0 });
    let mut starts = (0..message.len()).filter(|at| message.as_bytes()[*at].is_ascii_digit());
    starts.find_map(|at| {
        let with_offset = || parse_rfc3339(message.get(at..at + DATE_LEN + OFFSET_LEN)?);
        let local =
            || parse_rfc3339(&format!("{}Z", message.get(at..at + DATE_LEN)?))?.checked_sub(utc_offset);
        with_offset().or_else(local)
    })
}
