//! The length of an answer, from which the number of output tokens is estimated if the provider reports no
//! usage.

use serde::Deserialize;

use super::chat_chunk::DeltaFields;
use super::response_event;
use crate::chat::repair::{AnswerKind, repaired};

/// Length in bytes of the output that has arrived, and the number of events that carried output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OutputSize {
    events: u32,
    pub(super) bytes: u64,
}

impl OutputSize {
    /// Adds an event with `bytes` bytes of output. Does nothing if `bytes` is 0.
    pub(super) fn add(&mut self, bytes: usize) {
        if bytes > 0 {
            self.events = self.events.saturating_add(1);
            self.bytes += bytes as u64;
        }
    }

    /// Estimates the number of output tokens: one for every four bytes, rounded up, but at least one for each
    /// event with output.
    pub(super) fn estimated_tokens(self) -> u32 {
        let by_length = u32::try_from(self.bytes.div_ceil(4)).unwrap_or(u32::MAX);
        by_length.max(self.events)
    }
}

/// Estimates the number of output tokens of a complete answer from its length. Returns `None` if `body` is
/// neither a chat completion nor a response of the Responses API.
pub fn estimated_tokens(body: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Completion<'a> {
        #[serde(borrow)]
        choices: Vec<CompletionChoice<'a>>,
    }
    #[derive(Deserialize)]
    struct CompletionChoice<'a> {
        #[serde(borrow)]
        message: Option<DeltaFields<'a>>,
    }
    let size_of = |completion: Completion<'_>| {
        let mut size = OutputSize::default();
        let choices = completion.choices.iter();
        let messages = choices.filter_map(|choice| choice.message.as_ref());
        messages.for_each(|message| size.add(message.output_bytes()));
        size
    };
    if let Ok(completion) = serde_json::from_slice(body) {
        return Some(size_of(completion).estimated_tokens());
    }
    if let Some(bytes) = response_event::output_bytes_of(body) {
        let mut size = OutputSize::default();
        size.add(bytes);
        return Some(size.estimated_tokens());
    }
    let body = repaired(body, AnswerKind::Completion)?;
    let completion = serde_json::from_str(&body).ok()?;
    Some(size_of(completion).estimated_tokens())
}
