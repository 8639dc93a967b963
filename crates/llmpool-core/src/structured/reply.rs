//! Parses the model's replies into values of a Rust type.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fence::{position_in_whole, strip_fence};
use super::json_in_text::{FoundJson, fenced_blocks};
use super::mismatch::Mismatch;
use super::nullable::remove_null_members;
use super::reply_root::WRAPPER;
use super::value_deserializer;
use crate::chat::{ChatCompletion, Choice, Content, FinishReason, Message, Part};

/// The number of levels of arrays and objects that `serde_json` parses.
pub(super) const MAX_DEPTH: usize = 127;

/// Parses the text of the completion's choice with the lowest index as JSON of type `T`. See [`parse_choice`].
///
/// # Errors
///
/// Fails if the completion has no choice, or if [`parse_choice`] fails for that choice.
pub fn parse_reply<T: DeserializeOwned>(completion: &ChatCompletion) -> Result<T, ReplyError> {
    parse_json(&completion_text(completion)?, JsonRoot::Any)
}

/// Parses the text of a choice as JSON of type `T`.
///
/// If the text as a whole is not JSON, ignores the text before and after the JSON, such as a sentence or a
/// Markdown code fence. If the text contains several objects, the first one that matches `T` is the reply;
/// arrays are considered after all objects. Reads at most 8 objects and arrays.
///
/// # Errors
///
/// Fails if the model refused to answer, if the reply was cut off or filtered, or if the text is empty or
/// contains no JSON of type `T`. The error is about the first object if there are several. See [`ReplyError`].
pub fn parse_choice<T: DeserializeOwned>(choice: &Choice) -> Result<T, ReplyError> {
    parse_json(&choice_text(choice)?, JsonRoot::Any)
}

/// Returns the text of the choice with the lowest index.
///
/// # Errors
/// Fails if the completion has no choice, if the model refused to answer, if the reply was cut off or filtered, or if
/// the text is empty.
pub fn completion_text(completion: &ChatCompletion) -> Result<Cow<'_, str>, ReplyError> {
    completion.first().map_or(Err(ReplyError::NoContent), choice_text)
}

/// Returns the text of a choice.
///
/// # Errors
/// Fails if the model refused to answer, if the reply was cut off or filtered, or if the text is empty.
fn choice_text(choice: &Choice) -> Result<Cow<'_, str>, ReplyError> {
    if let Some(refusal) = refusal(&choice.message) {
        return Err(ReplyError::Refused(Refusal(refusal)));
    }
    let finish_reason = choice.finish_reason.as_ref();
    if finish_reason.is_some_and(FinishReason::is_truncated) {
        return Err(ReplyError::Truncated);
    }
    if finish_reason.is_some_and(FinishReason::is_filtered) {
        return Err(ReplyError::Filtered);
    }
    let text = choice.message.text();
    check_content(&text)?;
    Ok(text)
}

/// Checks that a text is not empty.
///
/// # Errors
/// Returns [`ReplyError::NoContent`] if the text consists of white space.
pub(super) fn check_content(text: &str) -> Result<(), ReplyError> {
    if text.trim().is_empty() {
        return Err(ReplyError::NoContent);
    }
    Ok(())
}

/// The outermost JSON value of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonRoot {
    /// A value of any type.
    Any,
    Object,
    /// An object whose member `value` is the value, or the value itself.
    Wrapped,
}

/// Parses the JSON in a text. The text around the JSON is ignored.
pub(super) fn parse_json<T: DeserializeOwned>(text: &str, root: JsonRoot) -> Result<T, ReplyError> {
    let error = match parse_value(text, strip_fence(text), root) {
        Err(error @ ReplyError::NotJson { .. }) => error,
        parsed => return parsed,
    };
    let found = FoundJson::in_text(text);
    let arrays = found.arrays().filter(|_| root != JsonRoot::Object);
    let mut first_error = None;
    for json in found.objects().chain(arrays) {
        match parse_value(text, json, root) {
            Ok(value) => return Ok(value),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let mut blocks = fenced_blocks(text).filter(|_| root == JsonRoot::Wrapped);
    if let Some(value) = blocks.find_map(|block| parse_value(text, block, root).ok()) {
        return Ok(value);
    }
    let broken = || Some(syntax_error(text, found.broken?));
    Err(first_error.or_else(broken).unwrap_or(error))
}

/// Parses `json`, which is a part of `text`, as a whole.
pub(super) fn parse_value<T: DeserializeOwned>(
    text: &str,
    json: &str,
    root: JsonRoot,
) -> Result<T, ReplyError> {
    let error = match from_json(json, root) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let mut value: Value = serde_json::from_str(json).map_err(|error| not_read(text, json, &error))?;
    if root == JsonRoot::Wrapped {
        value = unwrapped(value);
    }
    let mismatch = value_deserializer::find_mismatch::<T>(&value);
    // In strict mode, null stands for a field that may be absent but is no `Option`.
    let without_nulls = remove_null_members(&mut value).then(|| T::deserialize(value));
    without_nulls
        .and_then(Result::ok)
        .ok_or_else(|| ReplyError::Mismatch(mismatch.unwrap_or_else(|| Mismatch::without_path(&error))))
}

fn from_json<T: DeserializeOwned>(json: &str, root: JsonRoot) -> Result<T, serde_json::Error> {
    if root == JsonRoot::Wrapped
        && let Ok(wrapper) = serde_json::from_str::<Wrapper<T>>(json)
    {
        return Ok(wrapper.value);
    }
    serde_json::from_str(json)
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Wrapper<T> {
    // Without the function, an object without this member would be `None` of an `Option`.
    #[serde(deserialize_with = "T::deserialize")]
    value: T,
}

/// Returns the member `value` of an object. Returns a value without this member unchanged.
fn unwrapped(mut value: Value) -> Value {
    let wrapped = value.get_mut(WRAPPER).map(Value::take);
    wrapped.unwrap_or(value)
}

/// Returns the error for a part of the text with a syntax error.
fn syntax_error(text: &str, json: &str) -> ReplyError {
    let read: Result<Value, _> = serde_json::from_str(json);
    read.err()
        .map_or(ReplyError::NoContent, |error| not_read(text, json, &error))
}

/// Returns the error for text that `serde_json` cannot read as any value. Only the message of its error tells
/// the limits of the parser from a syntax error.
fn not_read(text: &str, json: &str, error: &serde_json::Error) -> ReplyError {
    let (line, column) = position_in_whole(text, json, error.line(), error.column());
    let message = error.to_string();
    if message.starts_with("recursion limit exceeded") {
        ReplyError::TooDeep { limit: MAX_DEPTH }
    } else if message.starts_with("number out of range") {
        ReplyError::NumberOutOfRange { line, column }
    } else {
        ReplyError::NotJson { line, column }
    }
}

fn refusal(message: &Message) -> Option<String> {
    let refusal = message.refusal.clone().unwrap_or_else(|| refusal_parts(message));
    (!refusal.is_empty()).then_some(refusal)
}

fn refusal_parts(message: &Message) -> String {
    let Some(Content::Parts(parts)) = &message.content else {
        return String::new();
    };
    let refusals = parts.iter().filter_map(|part| match part {
        Part::Refusal(part) => Some(part.refusal.as_str()),
        _ => None,
    });
    refusals.collect()
}

/// The reason why a reply could not be parsed as a value of the requested type. `Display` and `Debug` show no
/// text that the model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyError {
    /// The reply was truncated because it reached the token limit. Repeat the request with a higher token
    /// limit.
    Truncated,
    /// The provider's content filter ended the reply.
    Filtered,
    /// The model refused to answer. Holds the text of the refusal.
    Refused(Refusal),
    /// The reply contains no text, for example because the model called a tool.
    NoContent,
    /// The text of the reply contains no valid JSON.
    NotJson {
        /// Line of the syntax error in the text of the reply. The first line is 1.
        line: usize,
        /// Column of the syntax error in bytes. The first byte of the line is 1; 0 means that the error is
        /// before the first byte.
        column: usize,
    },
    /// Arrays and objects of the reply are nested more deeply than can be parsed.
    TooDeep {
        /// The number of levels that can be parsed.
        limit: usize,
    },
    /// A number in the reply, such as `1e400`, is larger than any number type.
    NumberOutOfRange {
        /// Line of the number in the text of the reply. The first line is 1.
        line: usize,
        /// Column of the end of the number in bytes. The first byte of the line is 1.
        column: usize,
    },
    /// The text of the reply is valid JSON but does not match the requested type.
    Mismatch(Mismatch),
}

/// The text with which the model refused to answer. `Debug` shows only the length of the text in bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// Returns the text of the refusal.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({} bytes)", self.0.len())
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => {
                f.write_str("the reply was truncated at the token limit; raise the limit and try again")
            }
            Self::Filtered => f.write_str("the provider's content filter stopped the reply"),
            Self::Refused(_) => f.write_str("the model refused to answer"),
            Self::NoContent => f.write_str("the reply has no content"),
            Self::NotJson { line, column } => {
                write!(f, "the reply is not valid JSON at line {line}, column {column}")
            }
            Self::TooDeep { limit } => write!(f, "the reply is nested more than {limit} levels deep"),
            Self::NumberOutOfRange { line, column } => write!(
                f,
                "a number of the reply at line {line}, column {column} is out of range"
            ),
            Self::Mismatch(mismatch) => write!(f, "the reply does not fit the requested type: {mismatch}"),
        }
    }
}

impl std::error::Error for ReplyError {}
