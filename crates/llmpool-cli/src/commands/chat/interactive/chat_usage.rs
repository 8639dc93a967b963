//! Total tokens and time of the answers in an interactive chat.

use std::time::Duration;

use llmpool::CallReport;

use crate::format;
use crate::token_totals::TokenTotals;

#[derive(Debug, Default)]
pub(super) struct ChatUsage {
    answers: usize,
    tokens: TokenTotals,
    elapsed: Duration,
    /// The size of the conversation in tokens: the sum of the prompt and completion tokens of the last
    /// complete answer. `None` if the usage of that answer is unknown, or if no answer is complete yet.
    conversation_tokens: Option<u64>,
}

impl ChatUsage {
    pub(super) fn add(&mut self, report: &CallReport) {
        self.answers += 1;
        self.elapsed += report.elapsed;
        self.conversation_tokens = self.tokens.add(report);
    }

    /// Counts an answer that ended early. The usage of such an answer is unknown.
    pub(super) fn add_incomplete(&mut self) {
        self.answers += 1;
        self.tokens.add_unknown();
    }

    /// Formats the totals that `/usage` prints. `context_window` is the size of the model's context window in
    /// tokens.
    pub(super) fn summary(&self, context_window: u32) -> String {
        let answers = format::count(self.answers, "answer");
        let mut text = format!("{answers}: {} in {:.1}s", self.tokens, self.elapsed.as_secs_f64());
        if let Some(tokens) = self.conversation_tokens {
            let share = tokens as f64 / f64::from(context_window) * 100.0;
            text += &format!(
                "\nthe conversation has {tokens} tokens, {share:.1} % of the context window of {context_window}"
            );
        }
        text
    }
}
