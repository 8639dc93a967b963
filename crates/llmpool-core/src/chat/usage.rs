//! Token usage as the provider reports it.

use super::lenient_u64::{LenientU64, lenient_getters};
use super::unknown_fields::UnknownFields;
use super::wire_object::wire_object;

/// Token usage of a call. A count is `None`, never 0, if the provider did not report it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    pub(crate) prompt_tokens: Option<LenientU64>,
    pub(crate) completion_tokens: Option<LenientU64>,
    pub(crate) total_tokens: Option<LenientU64>,
    /// Breakdown of the prompt tokens. `None` if not reported.
    pub prompt_tokens_details: Option<PromptTokensDetails>,
    /// Breakdown of the completion tokens. `None` if not reported.
    pub completion_tokens_details: Option<CompletionTokensDetails>,
    /// Fields that this type does not define, for example DeepSeek's cache counts.
    pub extra: UnknownFields,
}

wire_object!(Usage {
    prompt_tokens,
    completion_tokens,
    total_tokens,
    prompt_tokens_details,
    completion_tokens_details,
});

/// Breakdown of the prompt tokens. Each count is part of the number of prompt tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptTokensDetails {
    pub(crate) cached_tokens: Option<LenientU64>,
    pub(crate) audio_tokens: Option<LenientU64>,
    pub(crate) cache_write_tokens: Option<LenientU64>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(PromptTokensDetails {
    cached_tokens,
    audio_tokens,
    cache_write_tokens,
});

lenient_getters!(PromptTokensDetails {
    /// Returns the number of prompt tokens that were written to a cache.
    cache_write_tokens,
    /// Returns the number of audio tokens in the prompt.
    audio_tokens,
});

/// Breakdown of the completion tokens. Each count is part of the number of completion tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CompletionTokensDetails {
    pub(crate) reasoning_tokens: Option<LenientU64>,
    pub(crate) audio_tokens: Option<LenientU64>,
    pub(crate) accepted_prediction_tokens: Option<LenientU64>,
    pub(crate) rejected_prediction_tokens: Option<LenientU64>,
    /// Fields that this type does not define.
    pub extra: UnknownFields,
}

wire_object!(CompletionTokensDetails {
    reasoning_tokens,
    audio_tokens,
    accepted_prediction_tokens,
    rejected_prediction_tokens,
});

lenient_getters!(CompletionTokensDetails {
    /// Returns the number of audio tokens in the answer.
    audio_tokens,
    /// Returns the number of tokens of the request's prediction that became part of the answer.
    accepted_prediction_tokens,
    /// Returns the number of tokens of the request's prediction that did not become part of the answer. These are billed, too.
    rejected_prediction_tokens,
});

lenient_getters!(Usage {
    /// Returns the number of prompt tokens, including those read from a cache.
    prompt_tokens,
    /// Returns the number of completion tokens, including those of reasoning.
    completion_tokens,
    /// Returns the number of prompt and completion tokens together.
    total_tokens,
});

impl Usage {
    /// Creates a usage with these counts and their sum as the total.
    pub fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self {
            prompt_tokens: Some(LenientU64(prompt_tokens)),
            completion_tokens: Some(LenientU64(completion_tokens)),
            total_tokens: Some(LenientU64(prompt_tokens.saturating_add(completion_tokens))),
            ..Self::default()
        }
    }

    /// Returns the number of prompt tokens that were read from a cache. They are part of the prompt tokens. Recognises the names of various providers
    /// for this count.
    pub fn cached_tokens(&self) -> Option<u64> {
        let details = self.prompt_tokens_details.as_ref();
        let in_details = details.and_then(|details| details.cached_tokens);
        // DeepSeek and Moonshot report the count in a top-level field.
        let in_extra = || {
            let names = ["prompt_cache_hit_tokens", "cached_tokens"];
            let json = names.iter().find_map(|name| self.extra.get(name))?;
            serde_json::from_str::<LenientU64>(json.get()).ok()
        };
        in_details.or_else(in_extra).map(|tokens| tokens.0)
    }

    /// Returns the number of completion tokens that were used for reasoning.
    pub fn reasoning_tokens(&self) -> Option<u64> {
        self.completion_tokens_details
            .as_ref()?
            .reasoning_tokens
            .map(|tokens| tokens.0)
    }

    /// Returns whether the provider reported no counts, but an empty object or only nulls.
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
