//! What an answer says, before it is put into the words of a format: the same question gets the same answer in all of
//! them.

use serde_json::Value;

use crate::sample;
use crate::scenario::Scenario;
use crate::words::Words;

/// What the answer has to be.
#[derive(Debug, PartialEq)]
pub(crate) enum Wanted<'a> {
    Text,
    /// JSON that fits a schema.
    Json(&'a Value),
    /// A call of the tool with this name and schema of parameters.
    ToolCall {
        name: &'a str,
        parameters: &'a Value,
    },
}

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) wanted: Wanted<'a>,
    /// The last that the user said, for an echo.
    pub(crate) user_text: Option<String>,
    /// The most words of reasoning and answer together.
    pub(crate) max_tokens: Option<usize>,
}

/// The content of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) reasoning: Option<Words>,
    pub(crate) says: Says,
    /// The text, the refusal, or the arguments of the call.
    pub(crate) words: Words,
    /// Whether `max_tokens` has left something out.
    pub(crate) cut_short: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Says {
    Text,
    Refusal,
    ToolCall { name: String },
}

impl Draft {
    pub(crate) fn new(scenario: &Scenario, asked: Asked<'_>) -> Self {
        let (says, words) = answer(scenario, asked.wanted, asked.user_text);
        let reasoning = scenario.reasoning.as_deref();
        let draft = Self {
            reasoning: reasoning.map(|text| Words::new(text, scenario.words_per_chunk)),
            says,
            words,
            cut_short: false,
        };
        match asked.max_tokens {
            Some(most) => draft.cut_to(most),
            None => draft,
        }
    }

    /// How long it is in tokens.
    pub(crate) fn tokens(&self) -> usize {
        self.reasoning_tokens() + self.words.total()
    }

    pub(crate) fn reasoning_tokens(&self) -> usize {
        self.reasoning.as_ref().map_or(0, Words::total)
    }

    fn cut_to(self, most: usize) -> Self {
        let cut_short = self.tokens() > most;
        let left = most.saturating_sub(self.reasoning_tokens());
        Self {
            reasoning: self.reasoning.map(|words| words.at_most(most)),
            words: self.words.at_most(left),
            cut_short,
            ..self
        }
    }
}

fn answer(scenario: &Scenario, wanted: Wanted<'_>, user_text: Option<String>) -> (Says, Words) {
    let words = |text: &str| Words::new(text, scenario.words_per_chunk);
    match (wanted, &scenario.refusal) {
        (Wanted::ToolCall { name, parameters }, _) => {
            let arguments = scenario.tool_arguments.clone();
            let arguments = arguments.unwrap_or_else(|| arguments_for(parameters));
            let name = name.to_owned();
            (Says::ToolCall { name }, words(&arguments))
        }
        (_, Some(refusal)) => (Says::Refusal, words(refusal)),
        (Wanted::Text, None) => {
            let echo = user_text.filter(|_| scenario.echo);
            let text = words(echo.as_deref().unwrap_or(&scenario.answer));
            (Says::Text, text.repeated_to(scenario.chunk_count))
        }
        (Wanted::Json(Value::Null), None) => (Says::Text, words("{}")),
        (Wanted::Json(schema), None) => (Says::Text, words(&sample::fitting(schema).to_string())),
    }
}

/// Parameters may be left out; a tool then takes an empty object.
fn arguments_for(parameters: &Value) -> String {
    match sample::fitting(parameters) {
        Value::Null => "{}".to_owned(),
        arguments => arguments.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_is_cut_last_and_counts_with_the_answer() {
        let scenario = Scenario::from_json(r#"{"answer": "a b c", "reasoning": "d e"}"#).unwrap();
        for (most, reasoning, words, cut_short) in [
            (None, 2, 3, false),
            (Some(5), 2, 3, false),
            (Some(3), 2, 1, true),
            (Some(1), 1, 0, true),
        ] {
            let asked = Asked {
                wanted: Wanted::Text,
                user_text: None,
                max_tokens: most,
            };
            let draft = Draft::new(&scenario, asked);
            assert_eq!(
                (draft.reasoning_tokens(), draft.words.total(), draft.cut_short),
                (reasoning, words, cut_short)
            );
            assert_eq!(draft.tokens(), reasoning + words);
        }
    }
}
