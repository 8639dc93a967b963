//! Tokens and time that the answers of an interactive chat took.

use std::time::Duration;

use llmpool::{CallReport, UsageSource};

use crate::format;

#[derive(Debug, Default)]
pub(super) struct ChatUsage {
    answers: usize,
    prompt_tokens: u64,
    completion_tokens: u64,
    /// Answers without reported usage; their tokens are not in the sums.
    unknown: u32,
    /// Answers whose usage is an estimate.
    estimated: u32,
    elapsed: Duration,
    /// Prompt and completion tokens of the last call: the size of the conversation.
    conversation_tokens: Option<u64>,
}

impl ChatUsage {
    pub(super) fn add(&mut self, report: &CallReport) {
        self.answers += 1;
        self.elapsed += report.elapsed;
        self.estimated += u32::from(report.usage_source == UsageSource::Estimated);
        let usage = report.usage.as_ref();
        let tokens = usage.and_then(|usage| usage.prompt_tokens().zip(usage.completion_tokens()));
        self.unknown += u32::from(tokens.is_none());
        let (prompt, completion) = tokens.unwrap_or_default();
        self.prompt_tokens = self.prompt_tokens.saturating_add(prompt);
        self.completion_tokens = self.completion_tokens.saturating_add(completion);
        self.conversation_tokens = tokens.map(|(prompt, completion)| prompt.saturating_add(completion));
    }

    /// Adds an answer that ended early, without usage. An empty one is not counted.
    pub(super) fn add_incomplete(&mut self, is_empty: bool) {
        self.answers += usize::from(!is_empty);
        self.unknown += u32::from(!is_empty);
    }

    /// Formats the totals for `/usage`. `context_window` is in tokens.
    pub(super) fn summary(&self, context_window: u32) -> String {
        let mut text = format!(
            "{}: {} prompt + {} completion tokens in {:.1}s",
            format::count(self.answers, "answer"),
            self.prompt_tokens,
            self.completion_tokens,
            self.elapsed.as_secs_f64()
        );
        for (answers, source) in [(self.estimated, "estimated"), (self.unknown, "unknown")] {
            if answers > 0 {
                text += &format!("; usage of {answers} {source}");
            }
        }
        if let Some(tokens) = self.conversation_tokens {
            let share = tokens as f64 / f64::from(context_window) * 100.0;
            text += &format!(
                "\nthe conversation has {tokens} tokens, {share:.1} % of the context window of {context_window}"
            );
        }
        text
    }
}
