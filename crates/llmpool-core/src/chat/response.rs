//! Complete chat completions: answers to requests without streaming.

use super::finish_reason::FinishReason;
use super::json::Json;
use super::lenient_u64::{LenientU64, lenient_getters};
use super::logprobs::Logprobs;
use super::message::Message;
use super::repair::{AnswerKind, repaired};
use super::unknown_fields::UnknownFields;
use super::usage::Usage;
use super::wire_object::{is_default, partial_debug, wire_object};
use crate::lenient_json;

/// A complete chat completion: the answer to a request without streaming, or an assembled stream.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ChatCompletion {
    /// ID of the completion, assigned by the provider.
    pub id: Option<String>,
    /// Type of the JSON object: `chat.completion`.
    pub object: Option<String>,
    pub(crate) created: LenientU64,
    /// Name of the model that generated the completion.
    pub model: Option<String>,
    /// Alternative answers, in the order in which the provider lists them.
    pub choices: Vec<Choice>,
    /// Token usage of the request. `None` if the provider does not report usage.
    pub usage: Option<Usage>,
    /// Service tier in which the provider processed the request, such as `default` or `flex`.
    pub service_tier: Option<String>,
    /// Identifier of the provider's backend configuration. A new value means that the provider has changed
    /// the configuration.
    pub system_fingerprint: Option<String>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(ChatCompletion {
    id,
    object,
    created,
    model,
    usage,
    service_tier,
    system_fingerprint,
} always { choices });

lenient_getters!(ChatCompletion {
    /// Returns the creation time of the completion in seconds since the Unix epoch. `None` if the provider
    /// sent no number.
    created,
});

impl ChatCompletion {
    /// Decodes the body of a response. Converts values of an unexpected type, for example an ID that is a
    /// number. Drops values whose meaning is unclear. Replaces text that JSON does not allow: invalid UTF-8
    /// and single halves of surrogate pairs become U+FFFD.
    ///
    /// # Errors
    /// Fails if the body cannot be decoded as a chat completion. The error message may quote the body.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        let decoded: Result<Self, _> = super::from_json(json);
        let is_readable = |completion: &Self| !completion.choices.iter().any(Choice::has_text_elsewhere);
        if decoded.as_ref().is_ok_and(is_readable) {
            return decoded;
        }
        let repaired = repaired(json, AnswerKind::Completion);
        let repaired = repaired.and_then(|json| serde_json::from_str(&json).ok());
        repaired.map_or(decoded, Ok)
    }

    /// Returns the choice with the lowest index. `None` if there are no choices.
    pub fn first(&self) -> Option<&Choice> {
        self.choices.iter().min_by_key(|choice| choice.index())
    }

    /// Returns the text of the choice with the lowest index, with all text parts joined. Empty if the choice
    /// has no text, or if there are no choices.
    pub fn text(&self) -> String {
        let first = self.first();
        first
            .map(|choice| choice.message.text().into_owned())
            .unwrap_or_default()
    }
}

/// One of the alternative answers in a completion.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Choice {
    pub(crate) index: LenientU64,
    /// The message that the model generated.
    pub message: Message,
    /// Why the model stopped generating the choice. `None` if the provider does not report a reason.
    pub finish_reason: Option<FinishReason>,
    /// Log probabilities of the answer's tokens, as raw JSON. [`token_logprobs`](Self::token_logprobs)
    /// decodes them.
    pub logprobs: Option<Json>,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(Choice {
    index,
    finish_reason,
    logprobs,
} always { message });

impl Choice {
    pub(crate) fn with_index(index: u64) -> Self {
        Self {
            index: index.into(),
            ..Self::default()
        }
    }

    /// Returns whether the message is empty, and a field that stands for the message in other formats is not. Also
    /// returns whether the message has its text in another field than its content.
    fn has_text_elsewhere(&self) -> bool {
        let message = &self.message;
        let mut names = ["delta", "text"].iter();
        (names.any(|name| self.extra.get(name).is_some()) && is_default(message))
            || (message.content.is_none() && message.extra.get("text").is_some())
    }

    /// Decodes `logprobs`. Returns `None` if the field is absent or is not in OpenAI's format.
    pub fn token_logprobs(&self) -> Option<Logprobs> {
        lenient_json::decode_part(self.logprobs.as_ref()?.get())
    }

    /// Returns the zero-based index of the choice, or 0 if the provider sent no index.
    pub fn index(&self) -> u64 {
        self.index.get().unwrap_or(0)
    }
}

partial_debug!(ChatCompletion { choices, usage });

partial_debug!(Choice { index(), message });
