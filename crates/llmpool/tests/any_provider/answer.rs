//! One abstract answer of a model: the wire formats make the bytes of the provider from it, and [`Reading`] is what a caller must get.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::wire::{BAD_BYTE, CONTROL, HIGH_HALF, LOW_HALF, raw_json, readable};

#[derive(Clone, Debug)]
pub struct Answer {
    /// One or two.
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
}

/// What the model generated for one choice. Texts are in pieces, as a stream sends them.
#[derive(Clone, Debug)]
pub struct Choice {
    pub reasoning: Vec<String>,
    pub text: Vec<String>,
    pub calls: Vec<Call>,
    pub finish: Finish,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub id: String,
    pub name: [&'static str; 2],
    /// Pieces of the text of a JSON object.
    pub arguments: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    Stop,
    Length,
    Filter,
}

#[derive(Clone, Debug)]
pub struct Usage {
    pub prompt: Count,
    pub completion: Count,
    pub total: Count,
}

/// A number of tokens, as some provider writes it.
#[derive(Clone, Debug)]
pub enum Count {
    Number(u32),
    Float(u32),
    Text(u32),
    Unreadable(Value),
}

/// What a caller gets of an answer, in whatever way the call was made.
#[derive(Debug, PartialEq)]
pub struct Reading {
    pub choices: Vec<ChoiceReading>,
    /// Prompt, completion and total tokens. `None` if the provider reports no count that can be read.
    pub usage: Option<[Option<u64>; 3]>,
}

#[derive(Debug, PartialEq)]
pub struct ChoiceReading {
    pub reasoning: String,
    pub text: String,
    /// ID, name and arguments of each call.
    pub calls: Vec<[String; 3]>,
    pub finish: String,
}

impl Answer {
    /// Returns what a caller must get. `finish_word` says how the finish reason of a choice is written.
    pub fn reading(&self, finish_word: impl Fn(&Choice) -> &'static str) -> Reading {
        let choices = self.choices.iter().map(|choice| ChoiceReading {
            reasoning: readable(&choice.reasoning.concat()),
            text: readable(&choice.text.concat()),
            calls: choice.calls.iter().map(Call::reading).collect(),
            finish: finish_word(choice).to_owned(),
        });
        Reading {
            choices: choices.collect(),
            usage: self.usage.as_ref().and_then(Usage::reading),
        }
    }
}

impl Choice {
    fn is_empty(&self) -> bool {
        let texts = self.reasoning.iter().chain(&self.text);
        self.calls.is_empty() && texts.map(String::len).sum::<usize>() == 0
    }
}

impl Call {
    pub fn whole_name(&self) -> String {
        self.name.concat()
    }

    fn reading(&self) -> [String; 3] {
        let arguments = normal_arguments(&readable(&self.arguments.concat()));
        [self.id.clone(), self.whole_name(), arguments]
    }
}

impl Usage {
    fn reading(&self) -> Option<[Option<u64>; 3]> {
        let counts = [&self.prompt, &self.completion, &self.total].map(Count::reading);
        counts.iter().any(Option::is_some).then_some(counts)
    }
}

impl Count {
    pub fn to_json(&self) -> Value {
        match self {
            Self::Number(count) => json!(count),
            Self::Float(count) => json!(f64::from(*count)),
            Self::Text(count) => json!(count.to_string()),
            Self::Unreadable(value) => value.clone(),
        }
    }

    fn reading(&self) -> Option<u64> {
        match self {
            Self::Number(count) | Self::Float(count) | Self::Text(count) => Some((*count).into()),
            Self::Unreadable(_) => None,
        }
    }
}

/// Returns arguments without the white space between their tokens, which a provider may choose that sends an object.
pub fn normal_arguments(arguments: &str) -> String {
    let value: Result<Value, _> = serde_json::from_str(arguments);
    value.map_or_else(|_| arguments.to_owned(), |value| value.to_string())
}

pub fn any_answer() -> impl Strategy<Value = Answer> {
    let choices = prop_oneof![3 => vec(any_choice(), 1..2), 1 => vec(any_choice(), 2..3)];
    (choices, proptest::option::weighted(0.8, any_usage()))
        .prop_map(|(choices, usage)| Answer { choices, usage })
}

fn any_choice() -> impl Strategy<Value = Choice> {
    let finish = select(vec![Finish::Stop, Finish::Length, Finish::Filter]);
    let reasoning = prop_oneof![2 => Just(Vec::new()), 1 => any_pieces()];
    (reasoning, any_pieces(), vec(any_call(), 0..3), finish).prop_map(
        |(reasoning, text, mut calls, finish)| {
            for (place, call) in calls.iter_mut().enumerate() {
                call.id = format!("call_{place}");
            }
            let mut choice = Choice {
                reasoning,
                text,
                calls,
                finish,
            };
            if choice.is_empty() {
                choice.text = vec!["x".to_owned()];
            }
            choice
        },
    )
}

fn any_pieces() -> impl Strategy<Value = Vec<String>> {
    vec(vec(any_unit(), 0..4).prop_map(|units| units.concat()), 0..5)
}

/// Returns a few characters of a text, most of them ordinary.
fn any_unit() -> impl Strategy<Value = String> {
    let pair = format!("{HIGH_HALF}{LOW_HALF}");
    let broken = [HIGH_HALF, LOW_HALF, BAD_BYTE, CONTROL].map(String::from);
    let marks = [
        "\n\ndata: [DONE]\n\n",
        "</html>",
        "{\"a\":1}",
        "}",
        "\\\"",
        "error: x",
    ];
    prop_oneof![
        8 => "[a-c ]{1,3}",
        2 => select(vec!["é", "😀", "\u{feff}", "\u{2028}", "\r\n"]).prop_map(str::to_owned),
        1 => select(marks.to_vec()).prop_map(str::to_owned),
        1 => Just(pair),
        1 => select(broken.to_vec()),
    ]
}

fn any_call() -> impl Strategy<Value = Call> {
    let names = vec![["get_", "weather"], ["search", "_web"], ["f", "x"]];
    let value = prop_oneof![
        any_unit()
            .prop_filter("arguments are JSON", |unit| !unit.contains(CONTROL))
            .prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        Just(json!({"b": [{}, "}"]})),
    ];
    let arguments = proptest::collection::btree_map("[a-c]{1,2}", value, 0..3);
    let arguments = arguments.prop_map(|members| json!(members).to_string());
    (select(names), arguments, vec(any::<prop::sample::Index>(), 0..4)).prop_map(|(name, arguments, cuts)| {
        Call {
            id: String::new(),
            name,
            arguments: pieces_of(&arguments, &cuts),
        }
    })
}

fn pieces_of(text: &str, cuts: &[prop::sample::Index]) -> Vec<String> {
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| places[cut.index(places.len())]).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|cut| text[cut[0]..cut[1]].to_owned())
        .collect()
}

fn any_usage() -> impl Strategy<Value = Usage> {
    (any_count(), any_count(), any_count()).prop_map(|(prompt, completion, total)| Usage {
        prompt,
        completion,
        total,
    })
}

fn any_count() -> impl Strategy<Value = Count> {
    let mut unreadable = ["NaN", "-1", "1e400", "[]", "{}", "true", "null"]
        .map(raw_json)
        .to_vec();
    unreadable.push(json!(""));
    prop_oneof![
        12 => (0..100_000_u32).prop_map(Count::Number),
        1 => (0..100_000_u32).prop_map(Count::Float),
        1 => (0..100_000_u32).prop_map(Count::Text),
        1 => select(unreadable).prop_map(Count::Unreadable),
    ]
}
