//! Token usage reported by providers.

use super::lenient_u64::{LenientU64, lenient_getters};
use super::unknown_fields::UnknownFields;
use super::wire_object::wire_object;

/// Token usage of one request, as reported by the provider. A count that the provider did not report is
/// `None`, never 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    pub(crate) prompt_tokens: LenientU64,
    pub(crate) completion_tokens: LenientU64,
    pub(crate) total_tokens: LenientU64,
    /// Breakdown of the prompt tokens by kind. `None` if the provider does not report a breakdown.
    pub prompt_tokens_details: Option<PromptTokensDetails>,
    /// Breakdown of the completion tokens by kind. `None` if the provider does not report a breakdown.
    pub completion_tokens_details: Option<CompletionTokensDetails>,
    /// JSON fields that this struct does not define, for example DeepSeek's cache counts. Encoding preserves
    /// these fields.
    pub extra: UnknownFields,
}

wire_object!(Usage {
    prompt_tokens,
    completion_tokens,
    total_tokens,
    prompt_tokens_details,
    completion_tokens_details,
});

/// Breakdown of the prompt tokens by kind. Each count is included in [`Usage::prompt_tokens()`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptTokensDetails {
    pub(crate) cached_tokens: LenientU64,
    pub(crate) audio_tokens: LenientU64,
    pub(crate) cache_write_tokens: LenientU64,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(PromptTokensDetails {
    cached_tokens,
    audio_tokens,
    cache_write_tokens,
});

lenient_getters!(PromptTokensDetails {
    /// Returns the number of prompt tokens that the provider wrote to its cache. `None` if the provider does
    /// not report this count.
    cache_write_tokens,
    /// Returns the number of audio tokens in the prompt. `None` if the provider does not report this count.
    audio_tokens,
});

/// Breakdown of the completion tokens by kind. Each count is included in [`Usage::completion_tokens()`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CompletionTokensDetails {
    pub(crate) reasoning_tokens: LenientU64,
    pub(crate) audio_tokens: LenientU64,
    pub(crate) accepted_prediction_tokens: LenientU64,
    pub(crate) rejected_prediction_tokens: LenientU64,
    /// JSON fields that this struct does not define. Encoding preserves these fields.
    pub extra: UnknownFields,
}

wire_object!(CompletionTokensDetails {
    reasoning_tokens,
    audio_tokens,
    accepted_prediction_tokens,
    rejected_prediction_tokens,
});

lenient_getters!(CompletionTokensDetails {
    /// Returns the number of audio tokens in the answer. `None` if the provider does not report this count.
    audio_tokens,
    /// Returns the number of tokens of the request's `prediction` that appear in the answer. `None` if the
    /// provider does not report this count.
    accepted_prediction_tokens,
    /// Returns the number of tokens of the request's `prediction` that do not appear in the answer but are
    /// billed. `None` if the provider does not report this count.
    rejected_prediction_tokens,
});

lenient_getters!(Usage {
    /// Returns the number of prompt tokens, including tokens that the provider read from its cache. `None` if
    /// the provider does not report this count.
    prompt_tokens,
    /// Returns the number of completion tokens, including reasoning tokens. `None` if the provider does not
    /// report this count.
    completion_tokens,
    /// Returns the total number of prompt and completion tokens. `None` if the provider does not report this
    /// count.
    total_tokens,
});

impl Usage {
    /// Creates a usage with the given numbers of prompt and completion tokens, and their sum as the total.
    pub fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self {
            prompt_tokens: prompt_tokens.into(),
            completion_tokens: completion_tokens.into(),
            total_tokens: prompt_tokens.saturating_add(completion_tokens).into(),
            ..Self::default()
        }
    }

    /// Returns the number of prompt tokens that the provider read from its cache. Recognises the field names
    /// of several providers. `None` if the provider does not report this count.
    pub fn cached_tokens(&self) -> Option<u64> {
        let details = self.prompt_tokens_details.as_ref();
        let in_details = details.and_then(|details| details.cached_tokens.get());
        // DeepSeek and Moonshot report the count of cached tokens in a top-level field.
        let in_extra = || {
            let names = ["prompt_cache_hit_tokens", "cached_tokens"];
            let mut jsons = names.iter().filter_map(|name| self.extra.get(name));
            jsons.find_map(|json| serde_json::from_str::<LenientU64>(json.get()).ok()?.get())
        };
        in_details.or_else(in_extra)
    }

    /// Returns the number of completion tokens that the model used for reasoning. `None` if the provider does
    /// not report this count.
    pub fn reasoning_tokens(&self) -> Option<u64> {
        self.completion_tokens_details.as_ref()?.reasoning_tokens.get()
    }

    /// Returns whether the usage has no counts, for example because the provider sent an empty object or only
    /// nulls.
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
            .all(|tokens| tokens.get().is_none())
            && prompt_tokens_details.is_none()
            && completion_tokens_details.is_none()
            && extra.iter().all(|(_, json)| json.get() == "null")
    }
}
