//! Every field of the official SDKs' types keeps its value in its own format, and is carried, reported or refused by a translation.
//!
//! The fields are in `fixtures/sdk-fields.txt`, which a step of `scripts/test` compares with the SDKs. What a translation does not carry is
//! in `docs/translation.md`, which this test writes if `UPDATE_DOCS` is set.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "support/sdk_directions.rs"]
mod sdk_directions;
#[path = "support/sdk_sample.rs"]
mod sdk_sample;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use llmpool_core::chat::{ChatChunk, ChatCompletion, ChatRequest};
use llmpool_core::responses::{Response, ResponseEvent, ResponsesRequest};
use sdk_directions::{
    DIRECTIONS, Direction, FROM_CHAT, FROM_RESPONSES, TO_CHAT, TO_RESPONSES, Translated, basic_request,
    itself, parse, streamed_completion, streamed_response, to_json,
};
use sdk_sample::{Choice, SdkFields, segments, untagged};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn fields() -> SdkFields {
    SdkFields::parse(include_str!("fixtures/sdk-fields.txt"))
}

/// What a translation does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Carried,
    Reported,
    Refused,
    /// Stated in [`MADE_ANEW`] with this index.
    MadeAnew(usize),
    Lost,
}

/// Fields that are neither carried nor reported: the direction, the path of the field or of an object around it, and the reason.
const MADE_ANEW: [(&str, &str, &str); 38] = [
    (
        TO_RESPONSES,
        "stream_options.include_usage",
        "responses always report the usage",
    ),
    (TO_CHAT, "input.id", BOOKKEEPING),
    (TO_CHAT, "input.status", BOOKKEEPING),
    (
        TO_CHAT,
        "input.content.logprobs",
        "no provider reads log probabilities",
    ),
    (TO_CHAT, "stream_options.include_obfuscation", "only for a stream"),
    (FROM_CHAT, "id", BOOKKEEPING),
    (FROM_CHAT, "created", BOOKKEEPING),
    (FROM_CHAT, "metadata", ECHO),
    (FROM_CHAT, "choices.index", "a response has one choice"),
    (FROM_CHAT, "moderation.input.model", "each result names its model"),
    (
        FROM_CHAT,
        "moderation.output.model",
        "each result names its model",
    ),
    (FROM_RESPONSES, "completed_at", BOOKKEEPING),
    (FROM_RESPONSES, "status", "the finish reason"),
    (
        FROM_RESPONSES,
        "output_text",
        "a helper of the Node client, which joins the texts",
    ),
    (FROM_RESPONSES, "output.id", BOOKKEEPING),
    (FROM_RESPONSES, "output.status", BOOKKEEPING),
    (FROM_RESPONSES, "output.role", "output has the role assistant"),
    (FROM_RESPONSES, "access_programs", ECHO),
    (FROM_RESPONSES, "background", ECHO),
    (FROM_RESPONSES, "conversation", ECHO),
    (FROM_RESPONSES, "image", ECHO),
    (FROM_RESPONSES, "instructions", ECHO),
    (FROM_RESPONSES, "max_output_tokens", ECHO),
    (FROM_RESPONSES, "max_tool_calls", ECHO),
    (FROM_RESPONSES, "parallel_tool_calls", ECHO),
    (FROM_RESPONSES, "previous_response_id", ECHO),
    (FROM_RESPONSES, "prompt", ECHO),
    (FROM_RESPONSES, "prompt_cache_key", ECHO),
    (FROM_RESPONSES, "prompt_cache_options", ECHO),
    (FROM_RESPONSES, "prompt_cache_retention", ECHO),
    (FROM_RESPONSES, "reasoning", ECHO),
    (FROM_RESPONSES, "safety_identifier", ECHO),
    (FROM_RESPONSES, "temperature", ECHO),
    (FROM_RESPONSES, "text", ECHO),
    (FROM_RESPONSES, "top_logprobs", ECHO),
    (FROM_RESPONSES, "top_p", ECHO),
    (FROM_RESPONSES, "truncation", ECHO),
    (FROM_RESPONSES, "user", ECHO),
];
const BOOKKEEPING: &str = "bookkeeping of the provider";
const ECHO: &str = "repeats the request";

/// Removes list indexes and details from a reported path: `tools[0].x: detail` becomes `tools.x`.
fn plain(path: &str) -> String {
    let path = path.split([':', ' ']).next().unwrap();
    let mut plain = String::new();
    let mut is_index = false;
    for letter in path.chars() {
        match letter {
            '[' => is_index = true,
            ']' => is_index = false,
            _ if is_index => {}
            _ => plain.push(letter),
        }
    }
    for end in [".type", ".role"] {
        if let Some(start) = plain.strip_suffix(end) {
            return start.to_owned();
        }
    }
    plain
}

fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || outer.is_empty() || rest.starts_with('.'))
}

fn outcome(place: &str, first: &Translated, second: &Translated) -> Outcome {
    let is_about = |path: &String| is_within(place, &plain(path)) || is_within(&plain(path), place);
    let refused = [first, second]
        .into_iter()
        .filter_map(|result| result.as_ref().err());
    let refused: Vec<&String> = refused.collect();
    if !refused.is_empty() {
        return if refused.into_iter().any(is_about) {
            Outcome::Refused
        } else {
            Outcome::Lost
        };
    }
    let ((first, dropped), (second, more)) = (first.as_ref().unwrap(), second.as_ref().unwrap());
    if first != second {
        Outcome::Carried
    } else if dropped.iter().chain(more).any(is_about) {
        Outcome::Reported
    } else {
        Outcome::Lost
    }
}

/// Returns the outcome of each field, by direction and path. Fields with only one possible value are left out.
fn outcomes(fields: &SdkFields, directions: &[Direction]) -> BTreeMap<(&'static str, &'static str), Outcome> {
    let mut outcomes = BTreeMap::new();
    for direction in directions {
        for (path, rest) in fields.leaves(direction.root) {
            let head = segments(path)[..2].join(".");
            let samples = [Choice::First, Choice::Second].map(|choice| fields.sample(&head, &rest, choice));
            let [Some(first), Some(second)] = samples else {
                continue;
            };
            let place = [direction.place].into_iter().filter(|place| !place.is_empty());
            let place: Vec<&str> = place
                .chain(rest.iter().map(|segment| untagged(segment)))
                .collect();
            let place = place.join(".");
            let [first, second] =
                [first, second].map(|sample| (direction.translate)(&(direction.wrap)(sample, &head)));
            let outcome = match outcome(&place, &first, &second) {
                Outcome::Lost => made_anew(direction.name, &place).map_or(Outcome::Lost, Outcome::MadeAnew),
                outcome => outcome,
            };
            outcomes.insert((direction.name, path), outcome);
        }
    }
    outcomes
}

fn made_anew(direction: &str, place: &str) -> Option<usize> {
    let is_listed = |(known, path, _): &(&str, &str, &str)| *known == direction && is_within(place, path);
    MADE_ANEW.iter().position(is_listed)
}

#[test]
fn every_field_of_the_sdks_is_carried_reported_or_refused() {
    let outcomes = outcomes(&fields(), &DIRECTIONS);
    assert!(outcomes.len() > 1000);
    let lost = outcomes.iter().filter(|(_, outcome)| **outcome == Outcome::Lost);
    assert_eq!(
        lost.map(|(field, _)| field).collect::<Vec<_>>(),
        [] as [&(&str, &str); 0]
    );
    for (index, entry) in MADE_ANEW.iter().enumerate() {
        assert!(
            outcomes
                .values()
                .any(|outcome| *outcome == Outcome::MadeAnew(index)),
            "unused: {entry:?}"
        );
    }
}

#[test]
fn no_field_is_lost_for_a_provider_without_extensions() {
    let directions = DIRECTIONS
        .into_iter()
        .filter(|direction| direction.name == TO_CHAT);
    let directions = directions.map(|direction| Direction {
        translate: basic_request,
        ..direction
    });
    let outcomes = outcomes(&fields(), &directions.collect::<Vec<_>>());
    let lost = outcomes.iter().filter(|(_, outcome)| **outcome == Outcome::Lost);
    assert_eq!(
        lost.map(|(field, _)| field).collect::<Vec<_>>(),
        [] as [&(&str, &str); 0]
    );
}

/// Removes what a stream does not contain or numbers otherwise: nulls, and ids that the translation makes.
fn comparable(translated: Translated) -> Result<(Value, BTreeSet<String>), String> {
    fn without(value: Value) -> Value {
        let is_made = |value: &Value| value.as_str().is_some_and(|text| text.contains("_seed_"));
        match value {
            Value::Array(values) => values.into_iter().map(without).collect(),
            Value::Object(members) => {
                let members = members
                    .into_iter()
                    .filter(|(_, value)| !value.is_null() && !is_made(value));
                members.map(|(name, value)| (name, without(value))).collect()
            }
            other => other,
        }
    }
    translated.map(|(answer, dropped)| (without(answer), dropped.into_iter().collect()))
}

#[test]
fn streams_treat_every_field_like_complete_answers() {
    let fields = fields();
    let mut count = 0;
    for direction in &DIRECTIONS {
        for (path, rest) in fields.leaves(direction.root) {
            let head = segments(path)[..2].join(".");
            let Some(sample) = fields.sample(&head, &rest, Choice::First) else {
                continue;
            };
            let value = (direction.wrap)(sample, &head);
            let streams = match direction.name {
                FROM_CHAT => vec![streamed_completion(&value)],
                FROM_RESPONSES => [true, false]
                    .map(|has_items| streamed_response(&value, has_items))
                    .into(),
                _ => continue,
            };
            let plain = comparable((direction.translate)(&value));
            for stream in streams {
                assert_eq!(comparable(stream), plain, "{path}");
            }
            count += 1;
        }
    }
    assert!(count > 500, "{count}");
}

fn round_trip<T: Serialize + DeserializeOwned>(value: &Value) -> Value {
    to_json(&parse::<T>(value))
}

/// Replaces numbers by floats, since a `temperature` of `1` is encoded as `1.0`.
fn floats(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(floats).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, floats(value)))
            .collect(),
        other => other,
    }
}

#[test]
fn every_field_of_the_sdks_keeps_its_value_in_its_own_format() {
    type Wrap = fn(Value, &str) -> Value;
    type Encode = fn(&Value) -> Value;
    let fields = fields();
    let others: [(&str, Wrap, Encode); 2] = [
        ("chat.chunk", itself, round_trip::<ChatChunk>),
        ("responses.event", itself, round_trip::<ResponseEvent>),
    ];
    let known = DIRECTIONS.iter().map(|direction| {
        let encode: Encode = match direction.name {
            TO_RESPONSES => round_trip::<ChatRequest>,
            TO_CHAT => round_trip::<ResponsesRequest>,
            FROM_CHAT => round_trip::<ChatCompletion>,
            _ => round_trip::<Response>,
        };
        (direction.root, direction.wrap, encode)
    });
    let mut count = 0;
    for (root, wrap, encode) in known.chain(others) {
        for (path, rest) in fields.leaves(root) {
            let head = segments(path)[..2].join(".");
            let Some(sample) = fields.sample(&head, &rest, Choice::First) else {
                continue;
            };
            let mut value = wrap(sample, &head);
            if matches!(root, "responses.item" | "responses.part" | "responses.answer")
                && value.get("status").is_some()
            {
                // A response is encoded with its lists, also if they are missing.
                value["tools"] = value.get("tools").cloned().unwrap_or_else(|| json!([]));
                value["output"] = value.get("output").cloned().unwrap_or_else(|| json!([]));
            }
            assert_eq!(floats(encode(&value)), floats(value), "{path}");
            count += 1;
        }
    }
    assert!(count > 1500, "{count}");
}

/// Returns the shortest path around the field at `path` all of whose fields have the same outcome.
fn collapsed<'a>(path: &'a str, peers: &BTreeMap<&str, Outcome>) -> &'a str {
    let outcome = peers[path];
    let ends = path
        .char_indices()
        .filter(|(_, letter)| matches!(letter, '.' | '('));
    let mut starts = ends.map(|(end, _)| &path[..end]).skip(1);
    let is_uniform = |start: &&str| {
        let is_below = |other: &str| {
            other
                .strip_prefix(*start)
                .is_some_and(|rest| rest.starts_with(['.', '(']))
        };
        peers
            .iter()
            .filter(|(other, _)| is_below(other))
            .all(|(_, other)| *other == outcome)
    };
    starts.find(is_uniform).unwrap_or(path)
}

/// Returns the documentation of the fields that the translations do not carry.
fn documentation() -> String {
    let outcomes = outcomes(&fields(), &DIRECTIONS);
    let mut text = String::from(HEAD);
    for name in [TO_RESPONSES, TO_CHAT, FROM_CHAT, FROM_RESPONSES] {
        let peers = outcomes.iter().filter(|((direction, _), _)| *direction == name);
        let peers: BTreeMap<&str, Outcome> = peers.map(|((_, path), outcome)| (*path, *outcome)).collect();
        let rows: BTreeSet<String> = peers
            .iter()
            .filter_map(|(path, outcome)| {
                let what = match outcome {
                    Outcome::Reported => "left out and reported",
                    Outcome::Refused if name == FROM_RESPONSES => "the call fails with it",
                    Outcome::Refused => "refused",
                    Outcome::MadeAnew(index) => MADE_ANEW[*index].2,
                    Outcome::Carried | Outcome::Lost => return None,
                };
                Some(format!("| `{}` | {what} |\n", collapsed(path, &peers)))
            })
            .collect();
        text += &format!("\n## {name}\n\n| Field | Treatment |\n|---|---|\n");
        text.extend(rows);
    }
    text
}

const HEAD: &str = "# Fields that translations do not carry

llmpool translates between Chat Completions and Responses. A field of the official clients (Python 3.57.0, Node 7.59.0) that is not listed here
is translated: a test gives each field two different values, and the translations differ. The test does not compare the translated values, and
leaves out fields with only one possible value. A request with a *refused* field fails before it is sent, with the name of the field, because the
answer would be wrong without it. Fields that are *left out and reported* are listed in `CallReport::dropped` for a request and in
`CallReport::dropped_output` for an answer, streamed or not. A test writes this page, for a provider with OpenAI's extensions that takes
reasoning blocks back.

`responses.tool(function).strict` is the field `strict` of an object whose `type` is `function`. A row stands for all fields below it.
";

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "only this test, and not the core, reads the environment"
)]
fn documentation_lists_what_translations_do_not_carry() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/translation.md");
    let documentation = documentation();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &documentation).unwrap();
    }
    // The package of the crate does not contain the folder with the documentation.
    if let Ok(written) = std::fs::read_to_string(&path) {
        assert!(
            written == documentation,
            "write docs/translation.md with UPDATE_DOCS=1"
        );
    }
}
