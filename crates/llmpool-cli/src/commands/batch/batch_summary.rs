//! Summarises the results of a batch as one line of text and one exit code.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use llmpool::{ChatResponse, Error};

use super::batch_row;
use crate::token_totals::TokenTotals;
use crate::{exit, format};

#[derive(Debug, Default)]
pub(super) struct BatchSummary {
    /// Number of input lines that an earlier run already answered.
    skipped: usize,
    answered: usize,
    /// Number of failed lines for each kind of error.
    failed: BTreeMap<&'static str, usize>,
    /// The exit codes that correspond to the failures, without duplicates.
    codes: BTreeSet<u8>,
    tokens: TokenTotals,
}

impl BatchSummary {
    pub(super) fn new(skipped: usize) -> Self {
        Self {
            skipped,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, result: &Result<ChatResponse, Error>) {
        match result {
            Ok(response) => {
                self.answered += 1;
                self.tokens.add(&response.report);
            }
            Err(error) => {
                *self.failed.entry(batch_row::kind_name(error.kind())).or_default() += 1;
                self.codes.insert(exit::code_for(error.kind()));
            }
        }
    }

    pub(super) fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    /// Formats the summary as one line of text. `elapsed` is the duration of the batch.
    pub(super) fn text(&self, elapsed: Duration) -> String {
        let (skipped, failures) = (self.skipped, self.failures());
        let lines = format::count(skipped + self.answered + failures, "line");
        let earlier = match skipped {
            0 => String::new(),
            _ => format!("{skipped} answered earlier, "),
        };
        format!(
            "{lines}: {earlier}{} answered, {failures} failed{}, {:.1}s, {}",
            self.answered,
            self.reasons(),
            elapsed.as_secs_f64(),
            self.tokens,
        )
    }

    fn reasons(&self) -> String {
        let reasons: Vec<_> = self
            .failed
            .iter()
            .map(|(reason, lines)| format!("{lines} {reason}"))
            .collect();
        match reasons.is_empty() {
            true => String::new(),
            false => format!(" ({})", reasons.join(", ")),
        }
    }

    /// Returns 0 if no line failed, 75 or 77 if this is the exit code of all failures, and 1 otherwise.
    pub(super) fn exit_code(&self) -> u8 {
        match (self.codes.first(), self.codes.len()) {
            (None, _) => 0,
            (Some(&code @ (exit::TEMPORARY | exit::CREDENTIALS)), 1) => code,
            _ => exit::FAILED,
        }
    }

    /// Returns whether any line failed for a temporary reason, such as a rate limit, so that a later retry
    /// can succeed.
    pub(super) fn has_temporary_failures(&self) -> bool {
        self.codes.contains(&exit::TEMPORARY)
    }
}

#[cfg(test)]
mod tests {
    use llmpool::chat::Usage;
    use llmpool::{ErrorKind, FailureKind, UsageSource};

    use super::*;

    fn summary(failures: &[ErrorKind]) -> BatchSummary {
        let mut summary = BatchSummary::default();
        for kind in failures {
            summary.add(&Err(Error::new(*kind, "x")));
        }
        summary
    }

    #[test]
    fn exit_code_is_common_to_all_failures_or_1() {
        let limited = ErrorKind::Attempt(FailureKind::RateLimited);
        let refused = ErrorKind::Attempt(FailureKind::InvalidKey);
        let denied = ErrorKind::Attempt(FailureKind::PermissionDenied);
        for (failures, code) in [
            (&[][..], 0),
            (&[limited, ErrorKind::LimitReached], 75),
            (&[refused, denied], 77),
            (&[limited, refused], 1),
            (&[limited, ErrorKind::Attempt(FailureKind::ServerError)], 1),
            (&[ErrorKind::Unsendable], 1),
        ] {
            assert_eq!(summary(failures).exit_code(), code, "{failures:?}");
        }
    }

    #[test]
    fn unreported_usage_is_counted_as_unknown() {
        let mut summary = summary(&[ErrorKind::LimitReached]);
        summary.skipped = 2;
        for (usage, usage_source) in [
            (Some(Usage::new(3, 4)), UsageSource::Provider),
            (Some(Usage::new(10, 20)), UsageSource::Estimated),
            (None, UsageSource::Unknown),
        ] {
            let mut response = ChatResponse::default();
            (response.report.usage, response.report.usage_source) = (usage, usage_source);
            summary.add(&Ok(response));
        }
        assert_eq!(
            summary.text(Duration::from_millis(1250)),
            "6 lines: 2 answered earlier, 3 answered, 1 failed (1 limit reached), 1.2s, \
             13 prompt + 24 completion tokens (usage of 1 estimated, 1 unknown)"
        );
    }
}
