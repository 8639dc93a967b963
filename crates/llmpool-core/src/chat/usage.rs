//! Token usage as reported by the provider.

use super::lenient_u64::{LenientU64, lenient_getters};
use super::unknown_fields::UnknownFields;
use super::wire_object::wire_object;

/// Token usage of a call. Counts that the provider did not report are `None`, never 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    pub(crate) prompt_tokens: Option<LenientU64>,
    pub(crate) completion_tokens: Option<LenientU64>,
    pub(crate) total_tokens: Option<LenientU64>,
    /// Breakdown of the prompt tokens.
    pub prompt_tokens_details: Option<PromptTokensDetails>,
    /// Breakdown of the completion tokens.
    pub completion_tokens_details: Option<CompletionTokensDetails>,
    /// Unknown fields, such as DeepSeek's cache counts.
    pub extra: UnknownFields,
}

wire_object!(Usage {
    prompt_tokens,
    completion_tokens,
    total_tokens,
    prompt_tokens_details,
    completion_tokens_details,
});

/// Breakdown of the prompt tokens. The counts are included in the prompt tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptTokensDetails {
    pub(crate) cached_tokens: Option<LenientU64>,
    pub(crate) audio_tokens: Option<LenientU64>,
    pub(crate) cache_write_tokens: Option<LenientU64>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(PromptTokensDetails {
    cached_tokens,
    audio_tokens,
    cache_write_tokens,
});

lenient_getters!(PromptTokensDetails {
    /// Returns the tokens that were written to a cache.
    cache_write_tokens,
    /// Returns the audio tokens.
    audio_tokens,
});

/// Breakdown of the completion tokens. The counts are included in the completion tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CompletionTokensDetails {
    pub(crate) reasoning_tokens: Option<LenientU64>,
    pub(crate) audio_tokens: Option<LenientU64>,
    pub(crate) accepted_prediction_tokens: Option<LenientU64>,
    pub(crate) rejected_prediction_tokens: Option<LenientU64>,
    /// Unknown fields.
    pub extra: UnknownFields,
}

wire_object!(CompletionTokensDetails {
    reasoning_tokens,
    audio_tokens,
    accepted_prediction_tokens,
    rejected_prediction_tokens,
});

lenient_getters!(CompletionTokensDetails {
    /// Returns the audio tokens.
    audio_tokens,
    /// Returns the tokens of a supplied prediction that became part of the answer.
    accepted_prediction_tokens,
    /// Returns the tokens of a supplied prediction that were not used; they are billed.
    rejected_prediction_tokens,
});

lenient_getters!(Usage {
    /// Returns the prompt tokens, including cached ones.
    prompt_tokens,
    /// Returns the completion tokens, including reasoning.
    completion_tokens,
    /// Returns the total tokens.
    total_tokens,
});

impl Usage {
    /// Creates a usage with these counts and their sum.
    pub fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self {
            prompt_tokens: Some(LenientU64(prompt_tokens)),
            completion_tokens: Some(LenientU64(completion_tokens)),
            total_tokens: Some(LenientU64(prompt_tokens.saturating_add(completion_tokens))),
            ..Self::default()
        }
    }

    /// Returns the prompt tokens that were read from a cache, under any provider's name for them. They are included in the prompt tokens.
    pub fn cached_tokens(&self) -> Option<u64> {
        let details = self.prompt_tokens_details.as_ref();
        let in_details = details.and_then(|details| details.cached_tokens);
        // Top-level fields of DeepSeek and Moonshot.
        let in_extra = || {
            let names = ["prompt_cache_hit_tokens", "cached_tokens"];
            let json = names.iter().find_map(|name| self.extra.get(name))?;
            serde_json::from_str::<LenientU64>(json.get()).ok()
        };
        in_details.or_else(in_extra).map(|tokens| tokens.0)
    }

    /// Returns the completion tokens that were reasoning.
    pub fn reasoning_tokens(&self) -> Option<u64> {
        self.completion_tokens_details
            .as_ref()?
            .reasoning_tokens
            .map(|tokens| tokens.0)
    }

    /// Returns whether there are no counts: `{}`, or nulls only.
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
