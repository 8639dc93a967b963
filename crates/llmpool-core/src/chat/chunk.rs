//! Chunks of a streamed chat completion.

use std::borrow::Cow;
use std::sync::Arc;

use super::content::{Content, first_text};
use super::finish_reason::FinishReason;
use super::json::Json;
use super::lenient_u64::{LenientU64, lenient_getters};
use super::message::Role;
use super::repair::decode_usage;
use super::tool::{FunctionCall, ToolCallDelta};
use super::unknown_fields::UnknownFields;
use super::usage::Usage;
use super::wire_object::{partial_debug, wire_object};

/// One chunk of a streamed chat completion.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ChatChunk {
    /// ID of the completion. All chunks of a stream carry the same ID.
    pub id: Option<Arc<str>>,
    /// Type of the JSON object: `chat.completion.chunk`.
    pub object: Option<Arc<str>>,
    pub(crate) created: LenientU64,
    /// Name of the model that generated the completion.
    pub model: Option<Arc<str>>,
    /// Identifier of the provider's backend configuration. A new value means that the provider has changed
    /// the configuration.
    pub system_fingerprint: Option<Arc<str>>,
    /// Service tier in which the provider processed the request, such as `default` or `flex`.
    pub service_tier: Option<Arc<str>>,
    /// Additions to the choices (alternative answers) of the completion. Empty in a chunk that carries only
    /// usage.
    pub choices: Vec<ChunkChoice>,
    /// Token usage of the request, which most providers send in the last chunk only. [`usage()`](Self::usage)
    /// also finds usage that a provider sends elsewhere in the chunk.
    pub usage: Option<Usage>,
    /// Index of the choice that [`first`](Self::first) returns.
    pub(crate) first_choice: u64,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

/// Additions of one chunk to one choice (one of the alternative answers).
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ChunkChoice {
    pub(crate) index: LenientU64,
    /// Additions to the message of the choice.
    pub delta: Delta,
    /// Why the model stopped generating the choice. Usually present only in the last chunk of the choice.
    pub finish_reason: Option<FinishReason>,
    /// Log probabilities of the tokens in `delta`, as raw JSON. `None` if the provider does not report log
    /// probabilities.
    pub logprobs: Option<Json>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ChunkChoice {
    index,
    finish_reason,
    logprobs,
} always { delta });

impl ChunkChoice {
    /// Wraps `delta` as the additions of a chunk to the choice with index 0.
    pub(crate) fn first(delta: Delta) -> Self {
        Self {
            index: 0.into(),
            delta,
            ..Self::default()
        }
    }

    /// Returns the zero-based index of the choice, or 0 if the provider sent no index.
    pub fn index(&self) -> u64 {
        self.index.get().unwrap_or(0)
    }
}

/// Additions of one chunk to the message of a choice: the next pieces of the message's text, reasoning and
/// tool calls.
#[derive(Clone, Default, PartialEq)]
pub struct Delta {
    /// Next piece of the message content, nearly always a string.
    pub content: Option<Content>,
    /// Role of the message's author. Most providers send the role in the first delta only.
    pub role: Option<Role>,
    /// Next piece of the text with which the model refuses to answer.
    pub refusal: Option<String>,
    /// Next piece of the model's reasoning, in the field that DeepSeek and many other providers use.
    pub reasoning_content: Option<String>,
    /// Next piece of the model's reasoning, in the field that OpenRouter, Groq and vLLM use.
    pub reasoning: Option<String>,
    /// Next pieces of the model's tool calls. One chunk can contain pieces of several calls.
    pub tool_calls: Vec<ToolCallDelta>,
    /// Next piece of the model's function call. Deprecated by OpenAI in favour of `tool_calls`.
    pub function_call: Option<FunctionCall>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
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
    /// Returns the text in `content`, with all text parts joined. Empty if `content` has no text.
    pub fn text(&self) -> Cow<'_, str> {
        self.content.as_ref().map(Content::text).unwrap_or_default()
    }

    /// Returns the reasoning in the delta: the field `reasoning_content`, otherwise the field `reasoning`,
    /// otherwise the text of all reasoning parts in `content`. Empty if there is none.
    pub fn reasoning_text(&self) -> Cow<'_, str> {
        let fields = [&self.reasoning_content, &self.reasoning];
        first_text(fields, || self.content.as_ref().map(Content::reasoning_text))
    }

    /// Returns the text with which the model refuses to answer: the field `refusal`, otherwise the text of all
    /// refusal parts in `content`. Empty if there is none.
    pub fn refusal_text(&self) -> Cow<'_, str> {
        first_text([&self.refusal], || {
            self.content.as_ref().map(Content::refusal_text)
        })
    }
}

lenient_getters!(ChatChunk {
    /// Returns the creation time of the completion in seconds since the Unix epoch. `None` if the provider
    /// sent no number.
    created,
});

impl ChatChunk {
    /// Returns the additions to the choice that is the answer of the stream, which nearly always has index 0.
    /// `None` if the chunk adds nothing to that choice.
    ///
    /// This is the choice with the lowest index of the stream so far. It no longer changes once it has output,
    /// so that the texts of two choices are never mixed. If a choice with a higher index has output before the
    /// first chunk of the choice with the lowest index, it is therefore not the choice whose text
    /// [`ChatCompletion::text`](super::ChatCompletion::text) returns for the assembled completion.
    ///
    /// Only a chunk from a [`ChunkDecoder`](super::ChunkDecoder), as in the streams of the library `llmpool`,
    /// knows the chunks before it. Any other chunk returns the choice with index 0.
    pub fn first(&self) -> Option<&ChunkChoice> {
        let mut choices = self.choices.iter();
        choices.find(|choice| choice.index() == self.first_choice)
    }

    /// Returns the text that the chunk adds to the [first](Self::first) choice, with all text parts joined.
    /// Empty if the chunk adds no text to that choice.
    pub fn text(&self) -> Cow<'_, str> {
        self.first().map(|choice| choice.delta.text()).unwrap_or_default()
    }

    /// Returns the token usage in the chunk. Looks at the top level of the chunk, then in the choices, then
    /// in Groq's `x_groq` field, and skips usage objects without counts. `None` if there is no usage with
    /// counts.
    pub fn usage(&self) -> Option<Usage> {
        let has_counts = |usage: &Usage| !usage.is_empty();
        let parse = |json: &Json| decode_usage(json.get()).filter(has_counts);
        let in_choice = || {
            let mut choices = self.choices.iter().rev();
            choices.find_map(|choice| choice.extra.get("usage").and_then(parse))
        };
        let in_groq = || {
            let groq: GroqExtension = serde_json::from_str(self.extra.get("x_groq")?.get()).ok()?;
            parse(&groq.usage?)
        };
        let top_level = self.usage.as_ref().filter(|usage| has_counts(usage));
        top_level.cloned().or_else(in_choice).or_else(in_groq)
    }

    /// Returns whether the chunk has token usage, or a usage object with other members, but no choices.
    pub fn is_usage_only(&self) -> bool {
        self.choices.is_empty() && self.any_usage().is_some()
    }

    /// Returns the token usage in the chunk or, if there is none with counts, the usage object at the top level
    /// with its other members, such as a price.
    pub(crate) fn any_usage(&self) -> Option<Usage> {
        let has_members = |usage: &&Usage| !usage.is_blank();
        let without_counts = || self.usage.as_ref().filter(has_members).cloned();
        self.usage().or_else(without_counts)
    }
}

#[derive(serde::Deserialize)]
struct GroqExtension {
    usage: Option<Json>,
}

partial_debug!(ChatChunk { choices, usage });

partial_debug!(ChunkChoice { index(), delta });

partial_debug!(Delta { content, tool_calls.len() });
