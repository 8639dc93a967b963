//! One answer, from the model to the page.

use std::borrow::Cow;
use std::process::ExitCode;

use llmpool::chat::{ChatChunk, ChatRequest};
use llmpool::{CallReport, ChatResponse, Error, LlmInterface, OpenAiCompatible, UsageSource};

use super::page::Page;
use crate::exit;

/// Why an answer broke off.
pub(super) enum Broken {
    Call(Error),
    /// Nobody reads it any more.
    Page(ExitCode),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<ExitCode> for Broken {
    fn from(code: ExitCode) -> Self {
        Self::Page(code)
    }
}

impl Broken {
    /// Tells it.
    pub(super) fn told(self) -> ExitCode {
        match self {
            Self::Call(error) => exit::of(&error),
            Self::Page(code) => code,
        }
    }
}

/// Shows an answer as it comes. What has come stays in `heard`, also where this is dropped before the end.
pub(super) async fn stream(
    model: &OpenAiCompatible,
    request: &ChatRequest,
    page: &mut Page,
    heard: &mut String,
) -> Result<CallReport, Broken> {
    let mut stream = model.chat_stream(request).await?;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        page.reasoning(reasoning(&chunk).unwrap_or_default())?;
        let text = text_or_refusal(&chunk);
        heard.push_str(&text);
        page.text(&text)?;
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

/// Waits for the whole answer.
pub(super) async fn whole(model: &OpenAiCompatible, request: &ChatRequest) -> Result<ChatResponse, Error> {
    model.chat(request).await
}

/// One line about what the call took and used.
pub(super) fn summary(report: &CallReport) -> String {
    format!("{}: {}", report.target, figures(report))
}

/// The same where it is known who answered.
pub(super) fn figures(report: &CallReport) -> String {
    let usage = report.usage.as_ref();
    let count = |tokens: Option<u64>| tokens.map_or("?".to_owned(), |tokens| tokens.to_string());
    let prompt = count(usage.and_then(llmpool::chat::Usage::prompt_tokens));
    let completion = count(usage.and_then(llmpool::chat::Usage::completion_tokens));
    let first = report
        .first_content
        .map(|first| format!(", first content {:.2}s", first.as_secs_f64()));
    let attempts = match report.attempts.len() {
        1 => String::new(),
        several => format!(", {several} attempts"),
    };
    let about = match report.usage_source {
        UsageSource::Estimated => "about ",
        UsageSource::Provider | UsageSource::Unknown => "",
    };
    format!(
        "{about}{prompt} prompt + {completion} completion tokens{}, total {:.2}s{attempts}",
        first.unwrap_or_default(),
        report.elapsed.as_secs_f64(),
    )
}
