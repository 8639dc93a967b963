//! Parses replies into values of a Rust type.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fence::{position_in_whole, strip_fence};
use super::mismatch::Mismatch;
use super::value_deserializer;
use crate::chat::{ChatCompletion, Choice, Content, FinishReason, Message, Part};

/// Parses the first choice of a completion as JSON of type `T`. A Markdown code fence around the JSON is stripped.
///
/// # Errors
///
/// Fails if the completion has no choice, or if the text of its first choice is not complete JSON for a `T`; see [`ReplyError`].
pub fn parse_reply<T: DeserializeOwned>(completion: &ChatCompletion) -> Result<T, ReplyError> {
    match completion.first() {
        Some(choice) => parse_choice(choice),
        None => Err(ReplyError::NoContent),
    }
}

/// Parses the text of a choice as JSON of type `T`. A Markdown code fence around the JSON is stripped.
///
/// # Errors
///
/// Fails if the text of the choice is not complete JSON for a `T`; see [`ReplyError`].
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
    serde_json::from_str(json).map_err(|error| match serde_json::from_str::<Value>(json) {
        Ok(value) => {
            let mismatch = value_deserializer::find_mismatch::<T>(&value);
            ReplyError::Mismatch(mismatch.unwrap_or_else(|| Mismatch::without_path(&error)))
        }
        Err(error) => {
            let (line, column) = position_in_whole(text, json, error.line(), error.column());
            ReplyError::NotJson { line, column }
        }
    })
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

/// The reason why a reply could not be parsed as a value of the requested type. `Display` and `Debug` show no text of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyError {
    /// The reply was truncated because it reached the token limit. Repeat the request with a higher limit.
    Truncated,
    /// The provider's content filter ended the reply.
    Filtered,
    /// The model refused to answer.
    Refused(Refusal),
    /// The reply contains no text, for example because the model calls a tool.
    NoContent,
    /// The text of the reply is not valid JSON, or contains other text beside the JSON.
    NotJson {
        /// The line of the syntax error in the text of the reply, counted from 1.
        line: usize,
        /// The byte of the syntax error in its line, counted from 1; 0 means before the first byte.
        column: usize,
    },
    /// The text of the reply is valid JSON that does not fit the requested type.
    Mismatch(Mismatch),
}

/// The text with which the model refused to answer. `Debug` shows only the length of the text.
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
            Self::Truncated => f.write_str("the reply was truncated at the token limit"),
            Self::Filtered => f.write_str("the reply was ended by the provider's content filter"),
            Self::Refused(_) => f.write_str("the model refused to answer"),
            Self::NoContent => f.write_str("the reply has no content"),
            Self::NotJson { line, column } => {
                write!(f, "the reply is not valid JSON at line {line}, column {column}")
            }
            Self::Mismatch(mismatch) => write!(f, "the reply does not fit the requested type: {mismatch}"),
        }
    }
}

impl std::error::Error for ReplyError {}
