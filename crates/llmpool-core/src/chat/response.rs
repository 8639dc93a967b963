//! The plain answer.

use std::borrow::Cow;
use std::fmt;

use super::finish_reason::FinishReason;
use super::lenient_u64::LenientU64;
use super::logprobs::Logprobs;
use super::message::Message;
use super::repair::repaired;
use super::unknown_fields::{Json, UnknownFields};
use super::usage::Usage;
use super::wire_object::wire_object;

/// A whole answer.
#[derive(Clone, Default, PartialEq)]
pub struct ChatCompletion {
    /// The provider's id of the completion.
    pub id: Option<String>,
    /// `chat.completion`.
    pub object: Option<String>,
    pub(crate) created: Option<LenientU64>,
    /// The model that answered.
    pub model: Option<String>,
    /// The choices, by index.
    pub choices: Vec<Choice>,
    /// What the call used.
    pub usage: Option<Usage>,
    /// Which tier served it.
    pub service_tier: Option<String>,
    /// The backend's configuration.
    pub system_fingerprint: Option<String>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(ChatCompletion {
    id => "id",
    object => "object",
    created => "created",
    model => "model",
    usage => "usage",
    service_tier => "service_tier",
    system_fingerprint => "system_fingerprint",
} always { choices => "choices" });

impl ChatCompletion {
    /// Decodes the body of an answer. One that is written in an odd way is read as what it means, where that is plain.
    pub fn decode(json: &[u8]) -> Result<Self, serde_json::Error> {
        super::from_json(json).or_else(|error| repaired(json).ok_or(error))
    }

    /// The first choice: the one of index 0, wherever it is listed.
    pub fn first(&self) -> Option<&Choice> {
        self.choices.iter().min_by_key(|choice| choice.index())
    }

    /// The first choice's text, its parts joined; empty when it has none.
    pub fn text(&self) -> Cow<'_, str> {
        let message = self.first().map(|choice| &choice.message);
        match message.and_then(|message| message.content.as_ref()) {
            None => Cow::Borrowed(""),
            Some(content) => match content.as_text() {
                Some(text) => Cow::Borrowed(text),
                None => Cow::Owned(content.texts().collect()),
            },
        }
    }

    /// Seconds since 1970 at which it was made, as the provider says.
    pub fn created(&self) -> Option<u64> {
        self.created.map(|created| created.0)
    }
}

/// One of the answers.
#[derive(Clone, Default, PartialEq)]
pub struct Choice {
    pub(crate) index: Option<LenientU64>,
    /// What was said.
    pub message: Message,
    /// Why it ended.
    pub finish_reason: Option<FinishReason>,
    /// How likely the tokens were.
    pub logprobs: Option<Json>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(Choice {
    index => "index",
    finish_reason => "finish_reason",
    logprobs => "logprobs",
} always { message => "message" });

impl Choice {
    /// One with nothing in it, at this place.
    pub(crate) fn at(index: u64) -> Self {
        Self {
            index: Some(LenientU64(index)),
            ..Self::default()
        }
    }

    /// How likely the tokens were, where the provider says it in OpenAI's way.
    pub fn token_logprobs(&self) -> Option<Logprobs> {
        serde_json::from_str(self.logprobs.as_ref()?.get()).ok()
    }

    /// Its place among the choices.
    pub fn index(&self) -> u64 {
        self.index.map_or(0, |index| index.0)
    }
}

impl fmt::Debug for ChatCompletion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatCompletion")
            .field("choices", &self.choices)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice")
            .field("index", &self.index())
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}
