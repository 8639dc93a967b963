//! Streams one answer from the model to the printer.

use std::borrow::Cow;
use std::process::ExitCode;

use llmpool::chat::{ChatRequest, Delta, FinishReason};
use llmpool::{CallReport, Error, LlmInterface, OpenAiCompatible, UsageSource};

use super::answer_printer::AnswerPrinter;
use crate::problem;

/// Why an answer could not be printed completely.
pub(super) enum AnswerError {
    Call(Error),
    /// Writing to stdout failed, and the error has already been printed. Contains the exit code.
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
    /// Prints the error, unless it has already been printed, and returns the exit code.
    pub(super) fn exit(self) -> ExitCode {
        match self {
            Self::Call(error) => problem::exit_with(error),
            Self::Output(code) => code,
        }
    }
}

/// An answer that has been printed.
pub(super) struct PrintedAnswer {
    pub(super) report: CallReport,
    pub(super) finish_reason: Option<FinishReason>,
}

/// Sends the request, prints the answer as it arrives, and appends the answer's text to `answer`.
///
/// Cancel safe: if the future is dropped, `answer` contains all text of the answer that has been printed.
pub(super) async fn print(
    model: &OpenAiCompatible,
    request: &ChatRequest,
    printer: &mut AnswerPrinter,
    answer: &mut String,
) -> Result<PrintedAnswer, AnswerError> {
    let mut finish_reason = None;
    let mut stream = model.chat_stream(request).await?;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        // The only choice: the request asks for no other.
        let Some(choice) = chunk.first() else {
            continue;
        };
        printer.print_reasoning(&choice.delta.reasoning_text())?;
        let text = text_or_refusal(&choice.delta);
        answer.push_str(&text);
        printer.print_text(&text)?;
        let reason = choice.finish_reason.clone().filter(FinishReason::is_stated);
        finish_reason = reason.or(finish_reason);
    }
    Ok(PrintedAnswer {
        report: stream.report(),
        finish_reason,
    })
}

/// Returns the text in the delta. If the delta has no text, returns the text of the model's refusal instead.
fn text_or_refusal(delta: &Delta) -> Cow<'_, str> {
    Some(delta.text())
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| delta.refusal_text())
}

/// Formats a call's target, tokens, times and number of attempts as one line.
pub(super) fn summary(report: &CallReport) -> String {
    format!("{}: {}", report.target, statistics(report))
}

/// Formats the tokens, times and number of attempts of a call.
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
