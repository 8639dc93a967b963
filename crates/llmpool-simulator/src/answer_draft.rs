//! The content of an answer, before it is encoded as a chat completion or as a response.
//!
//! The chat completions endpoint and the Responses endpoint encode the same [`AnswerDraft`], so both give the
//! same answer to the same question.

use serde_json::Value;

use crate::answer_text::AnswerText;
use crate::scenario::Scenario;
use crate::schema_sample;

/// The kind of output that a request asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum RequestedOutput<'a> {
    Text,
    /// JSON that is valid for this JSON Schema. If the schema is `null`, any JSON object is valid.
    Json(&'a Value),
    /// A call to the tool `name`, with arguments that are valid for the JSON Schema `parameters`.
    ToolCall {
        name: &'a str,
        parameters: &'a Value,
    },
}

/// The parts of a request that determine the content of its answer.
#[derive(Debug)]
pub(crate) struct DraftRequest<'a> {
    pub(crate) output: RequestedOutput<'a>,
    /// The text of the last user message, which is the answer if [`Scenario::echo`] is set.
    pub(crate) user_text: Option<String>,
    /// The request's token limit, as the maximum number of words in reasoning and content together (one word
    /// counts as one token). `None` if the request sets no limit.
    pub(crate) max_tokens: Option<usize>,
}

/// The content of an answer: optional reasoning, and a text whose meaning depends on `kind`.
#[derive(Clone, Debug)]
pub(crate) struct AnswerDraft {
    pub(crate) reasoning: Option<AnswerText>,
    pub(crate) kind: DraftKind,
    /// Depending on `kind`: the text of the answer, the text of the refusal, or the arguments of the tool
    /// call as JSON.
    pub(crate) text: AnswerText,
    /// Whether the answer was truncated because of the request's `max_tokens`.
    pub(crate) cut_short: bool,
}

/// The kind of text that [`AnswerDraft::text`] holds.
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

    /// Returns the number of tokens in reasoning and content together. One word counts as one token.
    pub(crate) fn tokens(&self) -> usize {
        self.reasoning_tokens() + self.text.words()
    }

    pub(crate) fn reasoning_tokens(&self) -> usize {
        self.reasoning.as_ref().map_or(0, AnswerText::words)
    }

    /// Returns the number of stream events that carry the reasoning, which is 0 if there is no reasoning.
    pub(crate) fn reasoning_pieces(&self) -> usize {
        self.reasoning.as_ref().map_or(0, AnswerText::pieces)
    }

    /// Truncates the answer to its first `limit` words. The words of the reasoning count before the words of
    /// the content.
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

/// Returns arguments for a tool call, as JSON text that is valid for the JSON Schema `parameters`. Returns
/// `{}` for a tool without parameters.
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
