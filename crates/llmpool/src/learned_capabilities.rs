//! What the library learns about a target from its answers: whether it supports `stream_options`, which formats of
//! structured answers it supports, and how long its answers are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use llmpool_core::answer_format::AnswerFormat;
use llmpool_core::estimate::OutputLengths;
use llmpool_core::time::Timestamp;

/// Time after which a refused format is tried again. A provider can support a format later, or an error can be
/// mistaken for a refusal.
const REFUSAL_TIME: Duration = Duration::from_secs(3600);

/// Time in which a format that one call tries is expected to be refused, if it is.
const TRIAL_TIME: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct LearnedCapabilities {
    rejects_stream_options: AtomicBool,
    /// The format of structured answers before anything is learned.
    first_format: AnswerFormat,
    refused_formats: SharedRefusal,
    /// The formats that are refused in requests with tools. Some providers support a format or tools, but not both.
    refused_with_tools: SharedRefusal,
    answer_lengths: Mutex<OutputLengths>,
}

impl LearnedCapabilities {
    /// Creates the capabilities of a target whose calls ask for structured answers in `first_format` until the target
    /// refuses it.
    pub(crate) fn new(first_format: AnswerFormat) -> Self {
        Self {
            first_format,
            ..Self::default()
        }
    }

    /// Returns whether the library may add `stream_options` to a request that does not set them. Returns true
    /// until the target has rejected `stream_options`.
    pub(crate) fn accepts_stream_options(&self) -> bool {
        !self.rejects_stream_options.load(Ordering::Relaxed)
    }

    /// Records that the target rejects `stream_options`, so that the library no longer adds them.
    pub(crate) fn reject_stream_options(&self) {
        self.rejects_stream_options.store(true, Ordering::Relaxed);
    }

    /// Returns the format in which a call at the time `now` asks for a structured answer: the strongest one that the
    /// target is not known to refuse, in requests with or without tools. A format that is refused without tools is
    /// also refused with tools.
    ///
    /// A refusal ends after an hour. Then one call tries the stronger format. The others follow after
    /// a minute, unless the format was refused again.
    ///
    /// Invariant: until a refusal ends, the format only gets weaker, by one step for each format that was refused,
    /// however many calls report the same refusal.
    pub(crate) fn answer_format(&self, has_tools: bool, now: Timestamp) -> AnswerFormat {
        let with_tools = has_tools.then_some(&self.refused_with_tools);
        let refusals = || [Some(&self.refused_formats), with_tools].into_iter().flatten();
        let known = refusals().map(|refused| refused.lock().known_format(now)).max();
        let learned = match known {
            // No refusal prevents the trial of another format.
            Some(AnswerFormat::JsonSchema) | None => {
                refusals().map(|refused| refused.lock().try_format(now)).max()
            }
            weaker => weaker,
        };
        learned.unwrap_or_default().max(self.first_format)
    }

    /// Records that the target refused a format of structured answers in a request with or without tools, so that later
    /// such requests use a weaker one.
    pub(crate) fn reject_answer_format(&self, format: AnswerFormat, has_tools: bool, now: Timestamp) {
        let refused = if has_tools {
            &self.refused_with_tools
        } else {
            &self.refused_formats
        };
        refused.lock().insert(format, now);
    }

    pub(crate) fn record_answer_length(&self, tokens: u32) {
        self.answer_lengths().record(tokens);
    }

    /// Returns the 95th percentile of the lengths of recent answers, in tokens. Returns `None` until 20
    /// answers are recorded.
    pub(crate) fn p95_answer_length(&self) -> Option<u32> {
        self.answer_lengths().p95()
    }

    fn answer_lengths(&self) -> MutexGuard<'_, OutputLengths> {
        self.answer_lengths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The response formats that a target refused, shared by its calls.
#[derive(Debug, Default)]
struct SharedRefusal(Mutex<FormatRefusal>);

impl SharedRefusal {
    fn lock(&self) -> MutexGuard<'_, FormatRefusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a target refuses response formats.
#[derive(Clone, Copy, Debug, Default)]
enum FormatRefusal {
    #[default]
    None,
    /// The target refuses this format and all stronger ones.
    Until(AnswerFormat, Timestamp),
    /// One call tries the strongest format until this time. The others do not use the given format.
    Trial(AnswerFormat, Timestamp),
}

impl FormatRefusal {
    /// Returns the strongest format that is weaker than each refused one, without starting a trial.
    fn known_format(self, now: Timestamp) -> AnswerFormat {
        match self {
            Self::Until(format, end) | Self::Trial(format, end) if now < end => {
                format.weaker().unwrap_or(format)
            }
            _ => AnswerFormat::JsonSchema,
        }
    }

    /// Returns the strongest format that is weaker than each refused one. If the refusal has ended, the caller
    /// tries the strongest format alone.
    fn try_format(&mut self, now: Timestamp) -> AnswerFormat {
        let known = self.known_format(now);
        match *self {
            Self::Until(format, end) if now >= end => *self = Self::Trial(format, now + TRIAL_TIME),
            Self::Trial(_, end) if now >= end => *self = Self::None,
            _ => {}
        }
        known
    }

    fn insert(&mut self, format: AnswerFormat, now: Timestamp) {
        if format == AnswerFormat::Text {
            return;
        }
        match *self {
            // The refusal of a call that began before the others.
            Self::Until(weakest, end) if now < end && format < weakest => {}
            _ => *self = Self::Until(format, now + REFUSAL_TIME),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AnswerFormat::{JsonObject, JsonSchema, Text};

    const NOW: Timestamp = Timestamp::from_nanos(7);

    #[test]
    fn answer_format_is_weakened_once_for_each_refused_format() {
        for (first, refused, expected) in [
            (JsonSchema, &[][..], JsonSchema),
            (JsonSchema, &[JsonSchema], JsonObject),
            // Two calls at once, both refused in the same format.
            (JsonSchema, &[JsonSchema, JsonSchema], JsonObject),
            (JsonSchema, &[JsonSchema, JsonObject], Text),
            // The refusal of a call that began before the others.
            (JsonSchema, &[JsonSchema, JsonObject, JsonSchema], Text),
            (JsonSchema, &[Text], JsonSchema),
            (JsonObject, &[], JsonObject),
            (JsonObject, &[JsonSchema], JsonObject),
            (JsonObject, &[JsonObject], Text),
            (Text, &[Text], Text),
        ] {
            let capabilities = LearnedCapabilities::new(first);
            for format in refused {
                let before = capabilities.answer_format(false, NOW);
                capabilities.reject_answer_format(*format, false, NOW);
                assert!(capabilities.answer_format(false, NOW) >= before);
            }
            for has_tools in [false, true] {
                let learned = capabilities.answer_format(has_tools, NOW);
                assert_eq!(learned, expected, "{first:?} {refused:?}");
            }
        }
    }

    #[test]
    fn refusal_with_tools_says_nothing_about_requests_without_tools() {
        for (refused, with_tools) in [(JsonSchema, JsonObject), (JsonObject, Text)] {
            let capabilities = LearnedCapabilities::default();
            capabilities.reject_answer_format(refused, true, NOW);
            assert_eq!(capabilities.answer_format(true, NOW), with_tools);
            assert_eq!(capabilities.answer_format(false, NOW), JsonSchema);
        }
    }

    #[test]
    fn refused_format_is_tried_by_one_call_after_an_hour() {
        for has_tools in [false, true] {
            let capabilities = LearnedCapabilities::default();
            let format = |now| capabilities.answer_format(has_tools, now);
            capabilities.reject_answer_format(JsonSchema, has_tools, NOW);
            let later = NOW + Duration::from_secs(1);
            capabilities.reject_answer_format(JsonObject, has_tools, later);
            capabilities.reject_answer_format(JsonSchema, has_tools, later + Duration::from_secs(5));
            let end = later + Duration::from_secs(3600);
            let before = Timestamp::from_nanos(end.as_nanos() - 1);
            assert_eq!([before, end, end].map(format), [Text, JsonSchema, Text]);
            // Refused again: learned again, format by format.
            capabilities.reject_answer_format(JsonSchema, has_tools, end);
            assert_eq!([end, end].map(format), [JsonObject, JsonObject]);
            capabilities.reject_answer_format(JsonObject, has_tools, end);
            let second = end + Duration::from_secs(3600);
            assert_eq!([end, second, second].map(format), [Text, JsonSchema, Text]);
            // Not refused: the other calls follow.
            let minute = Duration::from_secs(60);
            assert_eq!(
                [second + minute, second + minute].map(format),
                [JsonSchema, JsonSchema]
            );
        }
    }

    #[test]
    fn call_that_cannot_try_a_format_starts_no_trial() {
        let capabilities = LearnedCapabilities::default();
        let end = NOW + Duration::from_secs(3600);
        capabilities.reject_answer_format(JsonSchema, false, NOW);
        capabilities.reject_answer_format(JsonObject, true, end);
        assert_eq!(capabilities.answer_format(true, end), Text);
        assert_eq!(capabilities.answer_format(false, end), JsonSchema);
        assert_eq!(capabilities.answer_format(false, end), JsonObject);
    }
}
