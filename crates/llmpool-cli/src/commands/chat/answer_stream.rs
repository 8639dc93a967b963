//! Streams one answer from the model to the printer.

use std::borrow::Cow;
use std::process::ExitCode;

use llmpool::chat::{ChatChunk, ChatRequest};
use llmpool::{CallReport, Error, LlmInterface, OpenAiCompatible, UsageSource};

use super::answer_printer::AnswerPrinter;
use crate::problem;

/// Why an answer ended early.
pub(super) enum AnswerError {
    Call(Error),
    /// Stdout cannot be written; the reason is already printed.
    Output(ExitCode),
}

impl From<Error> for AnswerError {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<ExitCode> for AnswerError {
    fn from(code: ExitCode) -> Self {
        Self::Output(code)
    }
}

impl AnswerError {
    /// Prints the error and returns its exit code.
    pub(super) fn exit(self) -> ExitCode {
        match self {
            Self::Call(error) => problem::exit_with(error),
            Self::Output(code) => code,
        }
    }
}

/// Streams an answer to the printer and appends its text to `answer`.
///
/// Cancel safe: when the future is dropped, `answer` holds everything that was printed.
pub(super) async fn print(
    model: &OpenAiCompatible,
    request: &ChatRequest,
    printer: &mut AnswerPrinter,
    answer: &mut String,
) -> Result<CallReport, AnswerError> {
    let mut stream = model.chat_stream(request).await?;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        printer.print_reasoning(reasoning(&chunk).unwrap_or_default())?;
        let text = text_or_refusal(&chunk);
        answer.push_str(&text);
        printer.print_text(&text)?;
    }
    Ok(stream.report())
}

/// Returns the next piece of the answer, or of a refusal if there is no text.
fn text_or_refusal(chunk: &ChatChunk) -> Cow<'_, str> {
    let text = chunk.text();
    let refusal = || chunk.choices.first()?.delta.refusal.as_deref();
    match refusal() {
        Some(refusal) if text.is_empty() => Cow::Borrowed(refusal),
        _ => text,
    }
}

fn reasoning(chunk: &ChatChunk) -> Option<&str> {
    let delta = &chunk.choices.first()?.delta;
    delta.reasoning_content.as_deref().or(delta.reasoning.as_deref())
}

/// Formats target, tokens, times and attempts of a call in one line.
pub(super) fn summary(report: &CallReport) -> String {
    format!("{}: {}", report.target, statistics(report))
}

/// Formats tokens, times and attempts of a call.
pub(super) fn statistics(report: &CallReport) -> String {
    let usage = report.usage.as_ref();
    let count = |tokens: Option<u64>| tokens.map_or("?".to_owned(), |tokens| tokens.to_string());
    let prompt = count(usage.and_then(llmpool::chat::Usage::prompt_tokens));
    let completion = count(usage.and_then(llmpool::chat::Usage::completion_tokens));
    let first_content = report
        .first_content
        .map(|elapsed| format!(", first content {:.2}s", elapsed.as_secs_f64()));
    let attempts = match report.attempts.len() {
        1 => String::new(),
        several => format!(", {several} attempts"),
    };
    let prefix = match report.usage_source {
        UsageSource::Estimated => "about ",
        UsageSource::Provider | UsageSource::Unknown => "",
    };
    format!(
        "{prefix}{prompt} prompt + {completion} completion tokens{}, total {:.2}s{attempts}",
        first_content.unwrap_or_default(),
        report.elapsed.as_secs_f64(),
    )
}
