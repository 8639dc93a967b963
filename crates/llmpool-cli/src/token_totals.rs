//! Total tokens of several calls.

use std::fmt;

use llmpool::{CallReport, UsageSource};

/// The total prompt tokens and completion tokens of several calls.
///
/// The display form is `13 prompt + 24 completion tokens (usage of 1 estimated, 1 unknown)`.
#[derive(Debug, Default)]
pub(crate) struct TokenTotals {
    prompt: u64,
    completion: u64,
    /// Number of calls whose token usage is an estimate.
    estimated: usize,
    /// Number of calls whose token usage is unknown. Their tokens are not included in the totals.
    unknown: usize,
}

impl TokenTotals {
    /// Adds a call. Returns the sum of its prompt and completion tokens, or `None` if the usage is unknown.
    pub(crate) fn add(&mut self, report: &CallReport) -> Option<u64> {
        self.estimated += usize::from(report.usage_source == UsageSource::Estimated);
        let usage = report.usage.as_ref();
        let Some((prompt, completion)) =
            usage.and_then(|usage| usage.prompt_tokens().zip(usage.completion_tokens()))
        else {
            self.add_unknown();
            return None;
        };
        self.prompt = self.prompt.saturating_add(prompt);
        self.completion = self.completion.saturating_add(completion);
        Some(prompt.saturating_add(completion))
    }

    /// Counts a call whose token usage is unknown.
    pub(crate) fn add_unknown(&mut self) {
        self.unknown += 1;
    }
}

impl fmt::Display for TokenTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} prompt + {} completion tokens",
            self.prompt, self.completion
        )?;
        match (self.estimated, self.unknown) {
            (0, 0) => Ok(()),
            (estimated, 0) => write!(f, " (usage of {estimated} estimated)"),
            (0, unknown) => write!(f, " (usage of {unknown} unknown)"),
            (estimated, unknown) => write!(f, " (usage of {estimated} estimated, {unknown} unknown)"),
        }
    }
}
