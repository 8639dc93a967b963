//! What a talk took.

use std::time::Duration;

use llmpool::{CallReport, UsageSource};

#[derive(Debug, Default)]
pub(super) struct Used {
    answers: u32,
    prompt: u64,
    completion: u64,
    /// Answers of which nobody said what they used, and those of which that is estimated.
    unknown: u32,
    estimated: u32,
    elapsed: Duration,
    /// Prompt and answer of the last call: what the next one begins with.
    last: Option<u64>,
}

impl Used {
    pub(super) fn note(&mut self, report: &CallReport) {
        self.answers += 1;
        self.elapsed += report.elapsed;
        self.estimated += u32::from(report.usage_source == UsageSource::Estimated);
        let usage = report.usage.as_ref();
        let tokens = usage.and_then(|usage| usage.prompt_tokens().zip(usage.completion_tokens()));
        self.unknown += u32::from(tokens.is_none());
        let (prompt, completion) = tokens.unwrap_or_default();
        self.prompt = self.prompt.saturating_add(prompt);
        self.completion = self.completion.saturating_add(completion);
        self.last = tokens.map(|(prompt, completion)| prompt.saturating_add(completion));
    }

    /// An answer that broke off: nobody says what it used.
    pub(super) fn note_broken(&mut self, is_empty: bool) {
        self.answers += u32::from(!is_empty);
        self.unknown += u32::from(!is_empty);
    }

    pub(super) fn told(&self, window: u32) -> String {
        let answers = match self.answers {
            1 => "1 answer".to_owned(),
            several => format!("{several} answers"),
        };
        let mut text = format!(
            "{answers}: {} prompt + {} completion tokens in {:.1}s",
            self.prompt,
            self.completion,
            self.elapsed.as_secs_f64()
        );
        for (count, what) in [(self.estimated, "estimated"), (self.unknown, "not known")] {
            if count > 0 {
                text += &format!("; of {count} that is {what}");
            }
        }
        if let Some(last) = self.last {
            let share = last as f64 / f64::from(window) * 100.0;
            text +=
                &format!("\nthe talk has {last} tokens, {share:.1} % of the {window} that the model takes");
        }
        text
    }
}
