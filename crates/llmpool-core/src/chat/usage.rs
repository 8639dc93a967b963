//! What a call used, as the provider counts it.

use super::lenient_u64::LenientU64;
use super::unknown_fields::UnknownFields;
use super::wire_object::wire_object;

/// What a call used. Whatever the provider did not say is `None`, never 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    pub(crate) prompt_tokens: Option<LenientU64>,
    pub(crate) completion_tokens: Option<LenientU64>,
    pub(crate) total_tokens: Option<LenientU64>,
    /// What the prompt tokens consist of.
    pub prompt_tokens_details: Option<PromptTokensDetails>,
    /// What the completion tokens consist of.
    pub completion_tokens_details: Option<CompletionTokensDetails>,
    /// Anything else, such as DeepSeek's cache counts.
    pub extra: UnknownFields,
}

wire_object!(Usage {
    prompt_tokens => "prompt_tokens",
    completion_tokens => "completion_tokens",
    total_tokens => "total_tokens",
    prompt_tokens_details => "prompt_tokens_details",
    completion_tokens_details => "completion_tokens_details",
});

/// Parts of the prompt tokens: contained in them, not added to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptTokensDetails {
    pub(crate) cached_tokens: Option<LenientU64>,
    pub(crate) audio_tokens: Option<LenientU64>,
    pub(crate) cache_write_tokens: Option<LenientU64>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(PromptTokensDetails {
    cached_tokens => "cached_tokens",
    audio_tokens => "audio_tokens",
    cache_write_tokens => "cache_write_tokens",
});

impl PromptTokensDetails {
    /// Tokens that were written to a cache.
    pub fn cache_write_tokens(&self) -> Option<u64> {
        self.cache_write_tokens.map(|tokens| tokens.0)
    }

    /// Tokens of audio.
    pub fn audio_tokens(&self) -> Option<u64> {
        self.audio_tokens.map(|tokens| tokens.0)
    }
}

/// Parts of the completion tokens: contained in them, not added to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CompletionTokensDetails {
    pub(crate) reasoning_tokens: Option<LenientU64>,
    pub(crate) audio_tokens: Option<LenientU64>,
    pub(crate) accepted_prediction_tokens: Option<LenientU64>,
    pub(crate) rejected_prediction_tokens: Option<LenientU64>,
    /// Anything else.
    pub extra: UnknownFields,
}

wire_object!(CompletionTokensDetails {
    reasoning_tokens => "reasoning_tokens",
    audio_tokens => "audio_tokens",
    accepted_prediction_tokens => "accepted_prediction_tokens",
    rejected_prediction_tokens => "rejected_prediction_tokens",
});

impl CompletionTokensDetails {
    /// Tokens of audio.
    pub fn audio_tokens(&self) -> Option<u64> {
        self.audio_tokens.map(|tokens| tokens.0)
    }

    /// Tokens of a given prediction that became part of the answer.
    pub fn accepted_prediction_tokens(&self) -> Option<u64> {
        self.accepted_prediction_tokens.map(|tokens| tokens.0)
    }

    /// Tokens of a given prediction that did not, and are paid for.
    pub fn rejected_prediction_tokens(&self) -> Option<u64> {
        self.rejected_prediction_tokens.map(|tokens| tokens.0)
    }
}

impl Usage {
    /// A usage of prompt and completion tokens.
    pub fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self {
            prompt_tokens: Some(LenientU64(prompt_tokens)),
            completion_tokens: Some(LenientU64(completion_tokens)),
            total_tokens: Some(LenientU64(prompt_tokens.saturating_add(completion_tokens))),
            ..Self::default()
        }
    }

    /// Tokens of the prompt, cached ones included.
    pub fn prompt_tokens(&self) -> Option<u64> {
        self.prompt_tokens.map(|tokens| tokens.0)
    }

    /// Tokens of the answer, reasoning included.
    pub fn completion_tokens(&self) -> Option<u64> {
        self.completion_tokens.map(|tokens| tokens.0)
    }

    /// Tokens in all.
    pub fn total_tokens(&self) -> Option<u64> {
        self.total_tokens.map(|tokens| tokens.0)
    }

    /// Prompt tokens that were read from a cache, whatever the provider calls them. They are part of the prompt tokens.
    pub fn cached_tokens(&self) -> Option<u64> {
        let details = self.prompt_tokens_details.as_ref();
        let usual = details.and_then(|details| details.cached_tokens);
        // As DeepSeek and Moonshot tell it.
        let elsewhere = || {
            let names = ["prompt_cache_hit_tokens", "cached_tokens"];
            let said = names.iter().find_map(|name| self.extra.get(name))?;
            serde_json::from_str::<LenientU64>(said.get()).ok()
        };
        usual.or_else(elsewhere).map(|tokens| tokens.0)
    }

    /// Completion tokens that were reasoning.
    pub fn reasoning_tokens(&self) -> Option<u64> {
        self.completion_tokens_details
            .as_ref()?
            .reasoning_tokens
            .map(|tokens| tokens.0)
    }

    /// Whether it says nothing: `{}`, or nothing but nulls.
    pub fn is_empty(&self) -> bool {
        let Self {
            prompt_tokens,
            completion_tokens,
            total_tokens,
            prompt_tokens_details,
            completion_tokens_details,
            extra,
        } = self;
        [prompt_tokens, completion_tokens, total_tokens]
            .iter()
            .all(|tokens| tokens.is_none())
            && prompt_tokens_details.is_none()
            && completion_tokens_details.is_none()
            && extra.iter().all(|(_, json)| json.get() == "null")
    }
}
