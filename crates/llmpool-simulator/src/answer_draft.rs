//! The content of an answer, independent of the format that encodes it.
//!
//! The chat endpoint and the Responses endpoint give the same answer to the same question, because both encode this
//! draft.

use serde_json::Value;

use crate::answer_text::AnswerText;
use crate::scenario::Scenario;
use crate::schema_sample;

/// The kind of output that a request asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum RequestedOutput<'a> {
    Text,
    /// JSON that is valid for this schema. If the schema is `null`, the answer may be any JSON object.
    Json(&'a Value),
    /// A call of the tool `name`, with arguments that are valid for the schema `parameters`.
    ToolCall {
        name: &'a str,
        parameters: &'a Value,
    },
}

/// The parts of a request that determine the content of its answer.
#[derive(Debug)]
pub(crate) struct DraftRequest<'a> {
    pub(crate) output: RequestedOutput<'a>,
    /// The text of the last user message, which [`Scenario::echo`] returns as the answer.
    pub(crate) user_text: Option<String>,
    /// Maximum number of words in reasoning and content together.
    pub(crate) max_tokens: Option<usize>,
}

/// The content of an answer.
#[derive(Clone, Debug)]
pub(crate) struct AnswerDraft {
    pub(crate) reasoning: Option<AnswerText>,
    pub(crate) kind: DraftKind,
    /// The text of the answer, the text of the refusal, or the arguments of the tool call, depending on `kind`.
    pub(crate) text: AnswerText,
    /// Whether `max_tokens` truncated the answer.
    pub(crate) cut_short: bool,
}

/// The meaning of [`AnswerDraft::text`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DraftKind {
    Text,
    Refusal,
    ToolCall { name: String },
}

impl AnswerDraft {
    pub(crate) fn new(scenario: &Scenario, request: DraftRequest<'_>) -> Self {
        let (kind, text) = content(scenario, request.output, request.user_text);
        let reasoning = scenario.reasoning.as_deref();
        let draft = Self {
            reasoning: reasoning.map(|text| AnswerText::new(text, scenario.words_per_chunk)),
            kind,
            text,
            cut_short: false,
        };
        match request.max_tokens {
            Some(limit) => draft.truncate(limit),
            None => draft,
        }
    }

    /// Returns the number of tokens in reasoning and content together. One word is one token.
    pub(crate) fn tokens(&self) -> usize {
        self.reasoning_tokens() + self.text.words()
    }

    pub(crate) fn reasoning_tokens(&self) -> usize {
        self.reasoning.as_ref().map_or(0, AnswerText::words)
    }

    /// Returns the number of stream events in which the reasoning is sent.
    pub(crate) fn reasoning_pieces(&self) -> usize {
        self.reasoning.as_ref().map_or(0, AnswerText::pieces)
    }

    /// Keeps the first `limit` words of reasoning and content together. The reasoning comes first.
    fn truncate(self, limit: usize) -> Self {
        let cut_short = self.tokens() > limit;
        let content_limit = limit.saturating_sub(self.reasoning_tokens());
        Self {
            reasoning: self.reasoning.map(|text| text.truncate(limit)),
            text: self.text.truncate(content_limit),
            cut_short,
            ..self
        }
    }
}

fn content(
    scenario: &Scenario,
    output: RequestedOutput<'_>,
    user_text: Option<String>,
) -> (DraftKind, AnswerText) {
    let to_text = |text: &str| AnswerText::new(text, scenario.words_per_chunk);
    match (output, &scenario.refusal) {
        (RequestedOutput::ToolCall { name, parameters }, _) => {
            let arguments = scenario.tool_arguments.clone();
            let arguments = arguments.unwrap_or_else(|| arguments_for(parameters));
            let name = name.to_owned();
            (DraftKind::ToolCall { name }, to_text(&arguments))
        }
        (_, Some(refusal)) => (DraftKind::Refusal, to_text(refusal)),
        (RequestedOutput::Text, None) => {
            let echo = user_text.filter(|_| scenario.echo);
            let text = to_text(echo.as_deref().unwrap_or(&scenario.answer));
            (DraftKind::Text, text.repeat_to(scenario.chunk_count))
        }
        (RequestedOutput::Json(Value::Null), None) => (DraftKind::Text, to_text("{}")),
        (RequestedOutput::Json(schema), None) => (
            DraftKind::Text,
            to_text(&schema_sample::value_for(schema).to_string()),
        ),
    }
}

/// Returns tool call arguments, as JSON text, that are valid for the schema. Returns `{}` for a tool without
/// parameters.
fn arguments_for(parameters: &Value) -> String {
    match schema_sample::value_for(parameters) {
        Value::Null => "{}".to_owned(),
        arguments => arguments.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_keeps_reasoning_before_content() {
        let scenario = Scenario::from_json(r#"{"answer": "a b c", "reasoning": "d e"}"#).unwrap();
        for (limit, reasoning, words, cut_short) in [
            (None, 2, 3, false),
            (Some(5), 2, 3, false),
            (Some(3), 2, 1, true),
            (Some(1), 1, 0, true),
        ] {
            let request = DraftRequest {
                output: RequestedOutput::Text,
                user_text: None,
                max_tokens: limit,
            };
            let draft = AnswerDraft::new(&scenario, request);
            assert_eq!(
                (draft.reasoning_tokens(), draft.text.words(), draft.cut_short),
                (reasoning, words, cut_short)
            );
            assert_eq!(draft.tokens(), reasoning + words);
        }
    }
}
