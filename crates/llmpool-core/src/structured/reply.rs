//! Parses the model's replies into values of a Rust type.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fence::{position_in_whole, strip_fence};
use super::mismatch::Mismatch;
use super::nullable::remove_null_members;
use super::value_deserializer;
use crate::chat::{ChatCompletion, Choice, Content, FinishReason, Message, Part};

/// The number of levels of arrays and objects that `serde_json` parses.
const MAX_DEPTH: usize = 127;

/// Parses the text of the completion's choice with the lowest index as JSON of type `T`. Strips a Markdown
/// code fence around the JSON.
///
/// # Errors
///
/// Fails if the completion has no choice, or if [`parse_choice`] fails for that choice.
pub fn parse_reply<T: DeserializeOwned>(completion: &ChatCompletion) -> Result<T, ReplyError> {
    match completion.first() {
        Some(choice) => parse_choice(choice),
        None => Err(ReplyError::NoContent),
    }
}

/// Parses the text of a choice as JSON of type `T`. Strips a Markdown code fence around the JSON.
///
/// # Errors
///
/// Fails if the model refused to answer, if the reply was cut off or filtered, or if the text is empty or is
/// not JSON of type `T`. See [`ReplyError`].
pub fn parse_choice<T: DeserializeOwned>(choice: &Choice) -> Result<T, ReplyError> {
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
    if text.trim().is_empty() {
        return Err(ReplyError::NoContent);
    }
    parse(&text)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ReplyError> {
    let json = strip_fence(text);
    serde_json::from_str(json).or_else(|error| {
        let mut value: Value = serde_json::from_str(json).map_err(|error| not_read(text, json, &error))?;
        let mismatch = value_deserializer::find_mismatch::<T>(&value);
        // In strict mode, null stands for a field that may be absent but is no `Option`.
        let without_nulls = remove_null_members(&mut value).then(|| T::deserialize(value));
        without_nulls
            .and_then(Result::ok)
            .ok_or_else(|| ReplyError::Mismatch(mismatch.unwrap_or_else(|| Mismatch::without_path(&error))))
    })
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
    /// The text of the reply is not valid JSON, or contains other text before or after the JSON.
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
