//! Chat completions.

use super::finish_reason::FinishReason;
use super::json::Json;
use super::lenient_u64::{LenientU64, lenient_getters};
use super::logprobs::Logprobs;
use super::message::Message;
use super::repair::repair;
use super::unknown_fields::UnknownFields;
use super::usage::Usage;
use super::wire_object::{partial_debug, wire_object};

/// A chat completion.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ChatCompletion {
    /// ID of the completion.
    pub id: Option<String>,
    /// `chat.completion`.
    pub object: Option<String>,
    pub(crate) created: Option<LenientU64>,
    /// Model that generated the completion.
    pub model: Option<String>,
    /// Choices, in the order in which the provider lists them.
    pub choices: Vec<Choice>,
    /// Token usage.
    pub usage: Option<Usage>,
    /// Service tier that processed the request.
    pub service_tier: Option<String>,
    /// Fingerprint of the backend's configuration.
    pub system_fingerprint: Option<String>,
    /// Unknown fields.
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
    /// Returns the creation time in seconds since 1970, as reported by the provider.
    created,
});

impl ChatCompletion {
    /// Decodes the body of an answer. Values of an unexpected type are converted where their meaning is clear.
    ///
    /// # Errors
    /// If the body is not a chat completion. The error may quote the body.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        super::from_json(json).or_else(|error| repair(json).ok_or(error))
    }

    /// Returns the choice with the lowest index.
    pub fn first(&self) -> Option<&Choice> {
        self.choices.iter().min_by_key(|choice| choice.index())
    }

    /// Returns the text of the first choice: all text parts, joined. Empty if there are none.
    pub fn text(&self) -> String {
        let first = self.first();
        first
            .map(|choice| choice.message.text().into_owned())
            .unwrap_or_default()
    }
}

/// One of the alternative answers.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Choice {
    pub(crate) index: Option<LenientU64>,
    /// Message of the model.
    pub message: Message,
    /// Why the model stopped.
    pub finish_reason: Option<FinishReason>,
    /// Log probabilities of the tokens. [`token_logprobs`](Self::token_logprobs) decodes them.
    pub logprobs: Option<Json>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(Choice {
    index,
    finish_reason,
    logprobs,
} always { message });

impl Choice {
    /// Creates an empty choice with this index.
    pub(crate) fn with_index(index: u64) -> Self {
        Self {
            index: Some(LenientU64(index)),
            ..Self::default()
        }
    }

    /// Decodes the log probabilities. Returns `None` if there are none in OpenAI's format.
    pub fn token_logprobs(&self) -> Option<Logprobs> {
        serde_json::from_str(self.logprobs.as_ref()?.get()).ok()
    }

    /// Returns the index of the choice. A missing index is 0.
    pub fn index(&self) -> u64 {
        self.index.map_or(0, |index| index.0)
    }
}

partial_debug!(ChatCompletion { choices, usage });

partial_debug!(Choice { index(), message });
