//! Token usage reported by providers.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::json::Json;
use super::lenient_u64::{LenientU64, lenient_getters};
use super::unknown_fields::UnknownFields;
use super::wire_object::wire_object;

/// Token usage of one request, as reported by the provider. A count that the provider did not report is
/// `None`, never 0.
///
/// Some gateways report the usage of a chat with the names of the Responses API, such as `input_tokens`. The
/// methods read these names if the others are absent.
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

    /// Returns the number of prompt tokens, including tokens that the provider read from its cache. `None` if
    /// the provider does not report this count.
    pub fn prompt_tokens(&self) -> Option<u64> {
        let other = || count_in(&self.extra, INPUT_TOKENS);
        self.prompt_tokens.get().or_else(other)
    }

    /// Returns the number of completion tokens, including reasoning tokens. `None` if the provider does not
    /// report this count.
    pub fn completion_tokens(&self) -> Option<u64> {
        let other = || count_in(&self.extra, OUTPUT_TOKENS);
        self.completion_tokens.get().or_else(other)
    }

    /// Returns the breakdown of the prompt tokens, under the name of either format.
    pub(crate) fn prompt_details(&self) -> Option<Cow<'_, PromptTokensDetails>> {
        let other = || details_in(&self.extra, INPUT_TOKENS_DETAILS).map(Cow::Owned);
        let own = self.prompt_tokens_details.as_ref().map(Cow::Borrowed);
        own.or_else(other)
    }

    /// Returns the breakdown of the completion tokens, under the name of either format.
    pub(crate) fn completion_details(&self) -> Option<Cow<'_, CompletionTokensDetails>> {
        let other = || details_in(&self.extra, OUTPUT_TOKENS_DETAILS).map(Cow::Owned);
        let own = self.completion_tokens_details.as_ref().map(Cow::Borrowed);
        own.or_else(other)
    }

    /// Returns the number of prompt tokens that the provider read from its cache. Recognises the field names
    /// of several providers. `None` if the provider does not report this count.
    pub fn cached_tokens(&self) -> Option<u64> {
        let details = self.prompt_details();
        let in_details = details.and_then(|details| details.cached_tokens.get());
        // DeepSeek and Moonshot report the count of cached tokens in a top-level field.
        let in_extra = || {
            let names = ["prompt_cache_hit_tokens", "cached_tokens"];
            names.iter().find_map(|name| count_in(&self.extra, name))
        };
        in_details.or_else(in_extra)
    }

    /// Returns the number of completion tokens that the model used for reasoning. `None` if the provider does
    /// not report this count.
    pub fn reasoning_tokens(&self) -> Option<u64> {
        self.completion_details()?.reasoning_tokens.get()
    }

    /// Returns whether the usage has no counts, for example because the provider sent an empty object, only
    /// nulls, or only a price.
    pub fn is_empty(&self) -> bool {
        let has_total = || self.total_tokens.get().is_some();
        let has_details = || {
            let prompt = self.prompt_details();
            let completion = self.completion_details();
            prompt.is_some_and(|details| details.counts().iter().any(is_stated))
                || completion.is_some_and(|details| details.counts().iter().any(is_stated))
        };
        let has_counts = self.prompt_tokens().is_some()
            || self.completion_tokens().is_some()
            || has_total()
            || self.cached_tokens().is_some()
            || has_details();
        !has_counts
    }

    /// Returns whether the usage has neither counts nor other members, except for nulls.
    pub(crate) fn is_blank(&self) -> bool {
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

    /// Sets `known` to a later report of the same request, completed from the earlier one.
    pub(crate) fn update(known: &mut Option<Self>, later: Option<Self>) {
        if let Some(mut later) = later {
            if let Some(earlier) = known {
                later.complete_from(earlier);
            }
            *known = Some(later);
        }
    }

    /// Takes those values from an earlier report of the same request that this one lacks: some providers report
    /// the counts in different chunks, and some end with zeros. A count is only replaced if it is 0. Returns
    /// whether a value was taken.
    pub(crate) fn complete_from(&mut self, earlier: &Self) -> bool {
        let mut prompt = LenientU64::from(self.prompt_tokens());
        let mut completion = LenientU64::from(self.completion_tokens());
        let mut is_changed = false;
        if take_count(&mut prompt, earlier.prompt_tokens()) {
            (self.prompt_tokens, is_changed) = (prompt, true);
        }
        if take_count(&mut completion, earlier.completion_tokens()) {
            (self.completion_tokens, is_changed) = (completion, true);
        }
        is_changed |= take_count(&mut self.total_tokens, earlier.total_tokens());
        if let Some(details) = earlier.prompt_details() {
            let mut own = self.prompt_details().unwrap_or_default().into_owned();
            if own.complete_from(&details) {
                (self.prompt_tokens_details, is_changed) = (Some(own), true);
            }
        }
        if let Some(details) = earlier.completion_details() {
            let mut own = self.completion_details().unwrap_or_default().into_owned();
            if own.complete_from(&details) {
                (self.completion_tokens_details, is_changed) = (Some(own), true);
            }
        }
        is_changed |= take_fields(&mut self.extra, &earlier.extra);
        if is_changed {
            self.correct_total();
        }
        is_changed
    }

    /// Raises the total of counts that were reported one by one to their sum.
    fn correct_total(&mut self) {
        if let (Some(prompt), Some(completion), Some(total)) = (
            self.prompt_tokens(),
            self.completion_tokens(),
            self.total_tokens(),
        ) {
            self.total_tokens = total.max(prompt.saturating_add(completion)).into();
        }
    }
}

impl PromptTokensDetails {
    fn counts(&self) -> [LenientU64; 3] {
        [self.cached_tokens, self.audio_tokens, self.cache_write_tokens]
    }

    fn complete_from(&mut self, earlier: &Self) -> bool {
        let counts = [
            take_count(&mut self.cached_tokens, earlier.cached_tokens.get()),
            take_count(&mut self.audio_tokens, earlier.audio_tokens.get()),
            take_count(&mut self.cache_write_tokens, earlier.cache_write_tokens.get()),
        ];
        take_fields(&mut self.extra, &earlier.extra) || counts.contains(&true)
    }
}

impl CompletionTokensDetails {
    fn counts(&self) -> [LenientU64; 4] {
        [
            self.reasoning_tokens,
            self.audio_tokens,
            self.accepted_prediction_tokens,
            self.rejected_prediction_tokens,
        ]
    }

    fn complete_from(&mut self, earlier: &Self) -> bool {
        let (accepted, rejected) = (
            earlier.accepted_prediction_tokens.get(),
            earlier.rejected_prediction_tokens.get(),
        );
        let counts = [
            take_count(&mut self.reasoning_tokens, earlier.reasoning_tokens.get()),
            take_count(&mut self.audio_tokens, earlier.audio_tokens.get()),
            take_count(&mut self.accepted_prediction_tokens, accepted),
            take_count(&mut self.rejected_prediction_tokens, rejected),
        ];
        take_fields(&mut self.extra, &earlier.extra) || counts.contains(&true)
    }
}

// The names of the Responses API.
const INPUT_TOKENS: &str = "input_tokens";
const OUTPUT_TOKENS: &str = "output_tokens";
const INPUT_TOKENS_DETAILS: &str = "input_tokens_details";
const OUTPUT_TOKENS_DETAILS: &str = "output_tokens_details";

/// Maximum number of unknown fields of a usage that are compared with those of an earlier one. If there are more,
/// they are not taken, because the provider determines their number.
const MAX_COMPARED: usize = 32;
/// Maximum length of the unknown fields of an earlier usage that are taken, in bytes. They are copied with every report.
const MAX_TAKEN_BYTES: usize = 1024;

fn is_stated(count: &LenientU64) -> bool {
    count.get().is_some()
}

/// Returns a count in an unknown field. `None` if there is none that can be read.
pub(crate) fn count_in(fields: &UnknownFields, name: &str) -> Option<u64> {
    count_of(fields.get(name)?)
}

fn count_of(json: &Json) -> Option<u64> {
    serde_json::from_str::<LenientU64>(json.get()).ok()?.get()
}

/// Returns a breakdown in an unknown field. `None` if there is none that can be read.
pub(crate) fn details_in<T: DeserializeOwned>(fields: &UnknownFields, name: &str) -> Option<T> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

/// Takes a count if it is stated and the known one is absent, or is positive and the known one is 0. Returns
/// whether it was taken.
fn take_count(known: &mut LenientU64, earlier: Option<u64>) -> bool {
    let is_taken = match (known.get(), earlier) {
        (None, Some(_)) => true,
        (Some(0), Some(earlier)) => earlier > 0,
        _ => false,
    };
    if is_taken {
        *known = earlier.into();
    }
    is_taken
}

/// Takes the unknown fields that are absent, null, or 0 in place of a positive number. Returns whether a field was
/// taken.
fn take_fields(fields: &mut UnknownFields, earlier: &UnknownFields) -> bool {
    let is_short = |fields: &UnknownFields| fields.iter().nth(MAX_COMPARED).is_none();
    let bytes = |fields: &UnknownFields| {
        fields
            .iter()
            .map(|(name, json)| name.len() + json.get().len())
            .sum::<usize>()
    };
    if !is_short(fields) || !is_short(earlier) || bytes(earlier) > MAX_TAKEN_BYTES {
        return false;
    }
    let mut is_changed = false;
    for (name, json) in earlier.iter() {
        let is_read_elsewhere = [
            INPUT_TOKENS,
            OUTPUT_TOKENS,
            INPUT_TOKENS_DETAILS,
            OUTPUT_TOKENS_DETAILS,
        ]
        .contains(&name);
        let is_void = |known: &Json| {
            known.get() == "null"
                || count_of(known) == Some(0) && count_of(json).is_some_and(|earlier| earlier > 0)
        };
        if !is_read_elsewhere && json.get() != "null" && fields.get(name).is_none_or(is_void) {
            fields.insert(name.to_owned(), json.clone());
            is_changed = true;
        }
    }
    is_changed
}
