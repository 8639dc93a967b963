//! Chunks of a streamed chat completion.

use std::borrow::Cow;
use std::sync::Arc;

use super::content::Content;
use super::finish_reason::FinishReason;
use super::json::Json;
use super::lenient_u64::{LenientU64, lenient_getters};
use super::message::Role;
use super::tool::{FunctionCall, ToolCallDelta};
use super::unknown_fields::UnknownFields;
use super::usage::Usage;
use super::wire_object::{partial_debug, wire_object};

/// One chunk of a streamed chat completion.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ChatChunk {
    /// ID of the completion, the same in all chunks.
    pub id: Option<Arc<str>>,
    /// `chat.completion.chunk`.
    pub object: Option<Arc<str>>,
    pub(crate) created: Option<LenientU64>,
    /// Model that generated the completion.
    pub model: Option<Arc<str>>,
    /// Fingerprint of the backend's configuration.
    pub system_fingerprint: Option<Arc<str>>,
    /// Service tier that processed the request.
    pub service_tier: Option<Arc<str>>,
    /// Deltas of the choices. Empty in a chunk that only carries usage.
    pub choices: Vec<ChunkChoice>,
    /// Token usage, as a rule in the last chunk. [`usage()`](Self::usage) also finds it in other places.
    pub usage: Option<Usage>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

/// The next delta of one choice.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ChunkChoice {
    pub(crate) index: Option<LenientU64>,
    /// What the chunk adds to the choice.
    pub delta: Delta,
    /// Why the model stopped, in the last chunk of the choice.
    pub finish_reason: Option<FinishReason>,
    /// Log probabilities of the tokens in this delta.
    pub logprobs: Option<Json>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(ChunkChoice {
    index,
    finish_reason,
    logprobs,
} always { delta });

impl ChunkChoice {
    /// Creates a delta of the first choice.
    pub(crate) fn first(delta: Delta) -> Self {
        Self {
            index: Some(LenientU64(0)),
            delta,
            ..Self::default()
        }
    }

    /// Returns the index of the choice. A missing index is 0.
    pub fn index(&self) -> u64 {
        self.index.map_or(0, |index| index.0)
    }
}

/// What one chunk adds to a choice.
#[derive(Clone, Default, PartialEq)]
pub struct Delta {
    /// The next piece of content, nearly always a string.
    pub content: Option<Content>,
    /// Role of the message, sent once.
    pub role: Option<Role>,
    /// The next piece of a refusal.
    pub refusal: Option<String>,
    /// The next piece of reasoning, under the name that DeepSeek and many others use.
    pub reasoning_content: Option<String>,
    /// The next piece of reasoning, under the name that OpenRouter, Groq and vLLM use.
    pub reasoning: Option<String>,
    /// Deltas of tool calls.
    pub tool_calls: Vec<ToolCallDelta>,
    /// The next piece of a function call in the deprecated form.
    pub function_call: Option<FunctionCall>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(Delta {
    content,
    role,
    refusal,
    reasoning_content,
    reasoning,
    tool_calls,
    function_call,
});

impl Delta {
    /// Returns the text of the delta: all text parts, joined. Empty if there are none.
    pub fn text(&self) -> Cow<'_, str> {
        self.content.as_ref().map(Content::text).unwrap_or_default()
    }
}

lenient_getters!(ChatChunk {
    /// Returns the creation time in seconds since 1970, as reported by the provider.
    created,
});

impl ChatChunk {
    /// Returns the text that the chunk adds to the first choice: all text parts, joined. Empty if there are none.
    pub fn text(&self) -> Cow<'_, str> {
        let mut choices = self.choices.iter();
        let first = choices.find(|choice| choice.index() == 0);
        first.map(|choice| choice.delta.text()).unwrap_or_default()
    }

    /// Returns the usage that has at least one count, from the top level, a choice, or Groq's `x_groq`.
    pub fn usage(&self) -> Option<Usage> {
        let has_counts = |usage: &Usage| !usage.is_empty();
        let parse = |json: &Json| serde_json::from_str(json.get()).ok().filter(has_counts);
        let in_choice = || {
            let mut choices = self.choices.iter().rev();
            choices.find_map(|choice| choice.extra.get("usage").and_then(parse))
        };
        let in_groq = || {
            let groq: GroqExtension = serde_json::from_str(self.extra.get("x_groq")?.get()).ok()?;
            groq.usage.filter(has_counts)
        };
        let top_level = self.usage.as_ref().filter(|usage| has_counts(usage));
        top_level.cloned().or_else(in_choice).or_else(in_groq)
    }

    /// Returns whether the chunk carries usage and no choice.
    pub fn is_usage_only(&self) -> bool {
        self.choices.is_empty() && self.usage().is_some()
    }
}

#[derive(serde::Deserialize)]
struct GroqExtension {
    usage: Option<Usage>,
}

partial_debug!(ChatChunk { choices, usage });

partial_debug!(ChunkChoice { index(), delta });

partial_debug!(Delta { content, tool_calls.len() });
