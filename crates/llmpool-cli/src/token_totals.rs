//! Sums of the tokens that calls used.

use std::fmt;

use llmpool::{CallReport, UsageSource};

/// Prompt and completion tokens of several calls.
///
/// Displayed as `13 prompt + 24 completion tokens (usage of 1 estimated, 1 unknown)`.
#[derive(Debug, Default)]
pub(crate) struct TokenTotals {
    prompt: u64,
    completion: u64,
    /// Calls whose usage is an estimate.
    estimated: usize,
    /// Calls without reported usage; their tokens are not in the sums.
    unknown: usize,
}

impl TokenTotals {
    /// Adds a call. Returns its prompt and completion tokens together, if they are reported.
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

    /// Adds a call without reported usage.
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
