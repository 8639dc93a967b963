//! The value that a reply holds, or why it holds none.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fence::{place, unfenced};
use super::mismatch::Mismatch;
use super::reader;
use crate::chat::{ChatCompletion, Choice, Content, FinishReason, Message, Part};

/// The value that the first choice of an answer holds. JSON in one Markdown fence is taken out of it.
///
/// # Errors
/// For every reply that is not the whole JSON of a `T`; see [`ReplyError`].
pub fn parse_reply<T: DeserializeOwned>(answer: &ChatCompletion) -> Result<T, ReplyError> {
    match answer.choices.first() {
        Some(choice) => parse_choice(choice),
        None => Err(ReplyError::NoContent),
    }
}

/// The value that a choice holds, as [`parse_reply`] finds it.
///
/// # Errors
/// For every choice that is not the whole JSON of a `T`; see [`ReplyError`].
pub fn parse_choice<T: DeserializeOwned>(choice: &Choice) -> Result<T, ReplyError> {
    if let Some(refusal) = refusal(&choice.message) {
        return Err(ReplyError::Refused(Refusal(refusal)));
    }
    let is = |what: fn(&FinishReason) -> bool| choice.finish_reason.as_ref().is_some_and(what);
    if is(FinishReason::is_truncated) {
        return Err(ReplyError::Truncated);
    }
    if is(FinishReason::is_filtered) {
        return Err(ReplyError::Filtered);
    }
    let text = choice.message.text();
    if text.trim().is_empty() {
        return Err(ReplyError::NoContent);
    }
    parse(&text)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ReplyError> {
    let json = unfenced(text);
    serde_json::from_str(json).map_err(|error| match serde_json::from_str::<Value>(json) {
        Ok(value) => {
            let found = reader::mismatch::<T>(&value);
            ReplyError::Mismatch(found.unwrap_or_else(|| Mismatch::elsewhere(&error)))
        }
        Err(error) => {
            let (line, column) = place(text, json, error.line(), error.column());
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

/// Why a reply is no value. Neither `Display` nor `Debug` shows what the model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyError {
    /// The limit of tokens cut it off: ask again with a higher one.
    Truncated,
    /// The provider's moderation cut it off.
    Filtered,
    /// The model refuses.
    Refused(Refusal),
    /// There is no text in it, perhaps because the model calls a tool instead.
    NoContent,
    /// It is not JSON, or not only JSON.
    NotJson {
        /// The line of the text, from 1.
        line: usize,
        /// The byte of the line, from 1; 0 is before its first.
        column: usize,
    },
    /// It is JSON, but not of this type.
    Mismatch(Mismatch),
}

/// What the model says when it refuses.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// The model's words.
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
            Self::Truncated => f.write_str("the reply was cut off by the limit of tokens"),
            Self::Filtered => f.write_str("the reply was cut off by the provider's content filter"),
            Self::Refused(_) => f.write_str("the model refuses"),
            Self::NoContent => f.write_str("the reply has no content"),
            Self::NotJson { line, column } => {
                write!(f, "the reply is not JSON from line {line}, column {column}")
            }
            Self::Mismatch(mismatch) => write!(f, "the reply is not what was asked for: {mismatch}"),
        }
    }
}

impl std::error::Error for ReplyError {}
