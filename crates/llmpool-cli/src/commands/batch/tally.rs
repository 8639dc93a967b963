//! What became of the lines, in one line and one exit code.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use llmpool::{CallReport, ChatResponse, Error, UsageSource};

use super::row;
use crate::exit;

#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Lines that an earlier run answered.
    skipped: usize,
    answered: usize,
    /// How many failed for which reason.
    failed: BTreeMap<&'static str, usize>,
    /// The exit codes that the failures would have alone.
    codes: BTreeSet<u8>,
    prompt_tokens: u64,
    completion_tokens: u64,
    /// Answers of which nobody said what they used, and those of which that is estimated.
    unknown: usize,
    estimated: usize,
}

impl Tally {
    pub(super) fn new(skipped: usize) -> Self {
        Self {
            skipped,
            ..Self::default()
        }
    }

    pub(super) fn note(&mut self, outcome: &Result<ChatResponse, Error>) {
        match outcome {
            Ok(response) => {
                self.answered += 1;
                self.note_usage(&response.report);
            }
            Err(error) => {
                *self.failed.entry(row::kind(error.kind())).or_default() += 1;
                self.codes.insert(exit::code_of(error.kind()));
            }
        }
    }

    fn note_usage(&mut self, report: &CallReport) {
        self.estimated += usize::from(report.usage_source == UsageSource::Estimated);
        let usage = report.usage.as_ref();
        let tokens = usage.and_then(|usage| usage.prompt_tokens().zip(usage.completion_tokens()));
        match tokens {
            Some((prompt, completion)) => {
                self.prompt_tokens = self.prompt_tokens.saturating_add(prompt);
                self.completion_tokens = self.completion_tokens.saturating_add(completion);
            }
            None => self.unknown += 1,
        }
    }

    pub(super) fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    pub(super) fn summary(&self, elapsed: Duration) -> String {
        let (skipped, failures) = (self.skipped, self.failures());
        let lines = match skipped + self.answered + failures {
            1 => "1 line".to_owned(),
            lines => format!("{lines} lines"),
        };
        let earlier = match skipped {
            0 => String::new(),
            _ => format!("{skipped} answered earlier, "),
        };
        let doubts = [(self.estimated, "estimated"), (self.unknown, "unknown")];
        let doubts = doubts.map(|(answers, how)| (answers > 0).then(|| format!("of {answers} {how}")));
        let doubts: Vec<String> = doubts.into_iter().flatten().collect();
        let doubts = match &doubts[..] {
            [] => String::new(),
            some => format!(" ({})", some.join(", ")),
        };
        format!(
            "{lines}: {earlier}{} answered, {failures} failed{}, {:.1}s, {} prompt + {} completion tokens{doubts}",
            self.answered,
            self.reasons(),
            elapsed.as_secs_f64(),
            self.prompt_tokens,
            self.completion_tokens,
        )
    }

    fn reasons(&self) -> String {
        let reasons: Vec<_> = self
            .failed
            .iter()
            .map(|(reason, times)| format!("{times} {reason}"))
            .collect();
        match reasons.is_empty() {
            true => String::new(),
            false => format!(" ({})", reasons.join(", ")),
        }
    }

    /// That of the failures where all are temporary or all are refused credentials.
    pub(super) fn code(&self) -> u8 {
        match (self.codes.first(), self.codes.len()) {
            (None, _) => 0,
            (Some(&code @ (exit::TEMPORARY | exit::CREDENTIALS)), 1) => code,
            _ => exit::FAILED,
        }
    }

    /// Whether some failures would end differently later.
    pub(super) fn may_do_later(&self) -> bool {
        self.codes.contains(&exit::TEMPORARY)
    }
}

#[cfg(test)]
mod tests {
    use llmpool::chat::Usage;
    use llmpool::{ErrorKind, FailureKind};

    use super::*;

    fn tally(failures: &[ErrorKind]) -> Tally {
        let mut tally = Tally::default();
        for kind in failures {
            tally.note(&Err(Error::new(*kind, "x")));
        }
        tally
    }

    #[test]
    fn the_code_is_that_of_all_failures_or_one() {
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
            assert_eq!(tally(failures).code(), code, "{failures:?}");
        }
    }

    #[test]
    fn usage_that_nobody_told_is_not_counted_as_none() {
        let mut tally = tally(&[ErrorKind::LimitReached]);
        tally.skipped = 2;
        for (usage, usage_source) in [
            (Some(Usage::new(3, 4)), UsageSource::Provider),
            (Some(Usage::new(10, 20)), UsageSource::Estimated),
            (None, UsageSource::Unknown),
        ] {
            let mut response = ChatResponse::default();
            (response.report.usage, response.report.usage_source) = (usage, usage_source);
            tally.note(&Ok(response));
        }
        assert_eq!(
            tally.summary(Duration::from_millis(1250)),
            "6 lines: 2 answered earlier, 3 answered, 1 failed (1 limit reached), 1.2s, \
             13 prompt + 24 completion tokens (of 1 estimated, of 1 unknown)"
        );
    }
}
