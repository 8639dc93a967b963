//! Which choice of a stream is the answer.

use super::chunk::{ChatChunk, ChunkChoice, Delta};
use super::content::Content;
use super::finish_reason::FinishReason;

/// The choice of a stream whose text is the answer: the choice with the lowest index of the stream so far, until
/// that choice has output. From then on the choice stays the same, because its output has been given out.
///
/// So the choice is the one with index 0 as in a complete answer, also in a stream whose choices are numbered from
/// 1. It is another one only if a choice with a higher index has output before the first chunk of the lowest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FirstChoice {
    index: Option<u64>,
    has_output: bool,
}

impl FirstChoice {
    /// Adds the choices of the next chunk, and returns the index of the choice. Returns 0 before the first choice.
    pub(crate) fn update(&mut self, chunk: &ChatChunk) -> u64 {
        if !self.has_output {
            let indexes = chunk.choices.iter().map(ChunkChoice::index);
            self.index = self.index.into_iter().chain(indexes).min();
            let mut choices = chunk.choices.iter();
            self.has_output = choices.any(|choice| Some(choice.index()) == self.index && has_output(choice));
        }
        self.index.unwrap_or(0)
    }
}

/// Returns whether the piece contains more than a role and empty fields.
fn has_output(choice: &ChunkChoice) -> bool {
    let Delta {
        content,
        role: _,
        refusal,
        reasoning_content,
        reasoning,
        tool_calls,
        function_call,
        extra,
    } = &choice.delta;
    let has_content = content.as_ref().is_some_and(|content| match content {
        Content::Text(text) => !text.is_empty(),
        Content::Parts(parts) => !parts.is_empty(),
    });
    let is_stated = |json: &str| !matches!(json, "null" | "\"\"" | "[]");
    has_content
        || [refusal, reasoning_content, reasoning]
            .iter()
            .any(|text| text.as_ref().is_some_and(|text| !text.is_empty()))
        || !tool_calls.is_empty()
        || function_call.is_some()
        || extra.iter().any(|(_, json)| is_stated(json.get()))
        || choice.finish_reason.as_ref().is_some_and(FinishReason::is_stated)
}
