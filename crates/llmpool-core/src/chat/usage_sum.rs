//! The usage of several requests together.

use super::lenient_u64::LenientU64;
use super::usage::{CompletionTokensDetails, PromptTokensDetails, Usage};

impl Usage {
    /// Returns the usage of several requests together, count by count. Returns `None` if there are no usages.
    ///
    /// A count is known only if every usage reports it. Otherwise the sum does not report it, because a missing
    /// count is not 0. The same holds for the counts of the breakdowns, such as the cached tokens. Fields in
    /// `extra` are not part of the sum. Sums beyond `u64::MAX` are `u64::MAX`.
    pub fn sum<'a>(usages: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        usages
            .into_iter()
            .map(Self::counts_only)
            .reduce(|sum, usage| sum.plus(&usage))
    }

    /// Returns the counts under their own names, without other fields.
    fn counts_only(&self) -> Self {
        let prompt = self.prompt_details().unwrap_or_default();
        let prompt = PromptTokensDetails {
            cached_tokens: self.cached_tokens().into(),
            audio_tokens: prompt.audio_tokens,
            cache_write_tokens: prompt.cache_write_tokens,
            ..PromptTokensDetails::default()
        };
        let completion = self.completion_details().unwrap_or_default();
        let completion = CompletionTokensDetails {
            reasoning_tokens: completion.reasoning_tokens,
            audio_tokens: completion.audio_tokens,
            accepted_prediction_tokens: completion.accepted_prediction_tokens,
            rejected_prediction_tokens: completion.rejected_prediction_tokens,
            ..CompletionTokensDetails::default()
        };
        Self {
            prompt_tokens: self.prompt_tokens().into(),
            completion_tokens: self.completion_tokens().into(),
            total_tokens: self.total_tokens,
            prompt_tokens_details: stated(prompt),
            completion_tokens_details: stated(completion),
            ..Self::default()
        }
    }

    fn plus(&self, other: &Self) -> Self {
        let prompt = self
            .prompt_tokens_details
            .as_ref()
            .zip(other.prompt_tokens_details.as_ref());
        let completion = self
            .completion_tokens_details
            .as_ref()
            .zip(other.completion_tokens_details.as_ref());
        Self {
            prompt_tokens: sum(self.prompt_tokens, other.prompt_tokens),
            completion_tokens: sum(self.completion_tokens, other.completion_tokens),
            total_tokens: sum(self.total_tokens, other.total_tokens),
            prompt_tokens_details: prompt.and_then(|(one, other)| stated(one.plus(other))),
            completion_tokens_details: completion.and_then(|(one, other)| stated(one.plus(other))),
            ..Self::default()
        }
    }
}

impl PromptTokensDetails {
    fn plus(&self, other: &Self) -> Self {
        Self {
            cached_tokens: sum(self.cached_tokens, other.cached_tokens),
            audio_tokens: sum(self.audio_tokens, other.audio_tokens),
            cache_write_tokens: sum(self.cache_write_tokens, other.cache_write_tokens),
            ..Self::default()
        }
    }
}

impl CompletionTokensDetails {
    fn plus(&self, other: &Self) -> Self {
        Self {
            reasoning_tokens: sum(self.reasoning_tokens, other.reasoning_tokens),
            audio_tokens: sum(self.audio_tokens, other.audio_tokens),
            accepted_prediction_tokens: sum(
                self.accepted_prediction_tokens,
                other.accepted_prediction_tokens,
            ),
            rejected_prediction_tokens: sum(
                self.rejected_prediction_tokens,
                other.rejected_prediction_tokens,
            ),
            ..Self::default()
        }
    }
}

fn sum(one: LenientU64, other: LenientU64) -> LenientU64 {
    let both = one.get().zip(other.get());
    both.map(|(one, other)| one.saturating_add(other)).into()
}

/// Returns a breakdown without counts as `None`.
fn stated<T: Default + PartialEq>(details: T) -> Option<T> {
    (details != T::default()).then_some(details)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use serde_json::json;

    use super::*;

    fn sum_of(usages: &[serde_json::Value]) -> serde_json::Value {
        let usages: Vec<Usage> = usages
            .iter()
            .map(|usage| serde_json::from_value(usage.clone()).unwrap())
            .collect();
        serde_json::to_value(Usage::sum(&usages)).unwrap()
    }

    #[test]
    fn counts_are_added_one_by_one() {
        assert_eq!(Usage::sum([]), None);
        let usage = Usage::new(3, 4);
        assert_eq!(Usage::sum([&usage]), Some(usage.clone()));
        assert_eq!(
            Usage::sum([&usage, &usage, &Usage::new(1, 2)]),
            Some(Usage::new(7, 10))
        );
        assert_eq!(
            Usage::sum([&usage, &Usage::new(u64::MAX, 0)])
                .unwrap()
                .prompt_tokens(),
            Some(u64::MAX)
        );
    }

    #[test]
    fn count_that_one_usage_lacks_is_not_reported() {
        let partial = json!({"prompt_tokens": 5, "total_tokens": null});
        assert_eq!(
            sum_of(&[json!({"prompt_tokens": 1, "total_tokens": 2}), partial]),
            json!({"prompt_tokens": 6})
        );
        assert_eq!(sum_of(&[json!({"completion_tokens": 1}), json!({})]), json!({}));
    }

    #[test]
    fn breakdowns_are_added_and_other_fields_are_left_out() {
        let one = json!({
            "prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1, "x": 1},
            "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 2}, "cost": 0.5});
        let other = json!({
            "input_tokens": 20, "input_tokens_details": {"cached_tokens": 5},
            "output_tokens": 6, "output_tokens_details": {"reasoning_tokens": 3}, "cost": 0.5});
        let sum = json!({
            "prompt_tokens": 30, "prompt_tokens_details": {"cached_tokens": 9},
            "completion_tokens": 11, "completion_tokens_details": {"reasoning_tokens": 5}});
        assert_eq!(sum_of(&[one.clone(), other]), sum);
        let deepseek = json!({"prompt_tokens": 1, "prompt_cache_hit_tokens": 1});
        let sum = json!({"prompt_tokens": 11, "prompt_tokens_details": {"cached_tokens": 5}});
        assert_eq!(sum_of(&[one.clone(), deepseek]), sum);
        assert_eq!(
            sum_of(&[one, json!({"prompt_tokens": 1})]),
            json!({"prompt_tokens": 11})
        );
    }
}
