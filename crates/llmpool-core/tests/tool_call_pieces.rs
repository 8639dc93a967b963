//! Tool calls whose pieces are odd: with other IDs, placeholders or repetitions. They are the same calls in an assembled
//! completion and in a translated stream.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;

use llmpool_core::chat::{Assembler, ChatChunk, ChunkDecoder};
use llmpool_core::responses::{EventSequence, ResponsesRequest};
use llmpool_core::translate::{ChunkToEventTranslator, ResponseEnvelope};
use serde_json::{Value, json};

/// ID, name and arguments of a call.
type Call = (String, String, String);

fn chunks(deltas: impl IntoIterator<Item = Value>) -> Vec<ChatChunk> {
    let mut decoder = ChunkDecoder::new();
    let chunk = |delta| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
    let deltas = deltas.into_iter();
    deltas
        .map(|delta| decoder.decode(chunk(delta).to_string().as_bytes()).unwrap())
        .collect()
}

fn assembled(chunks: &[ChatChunk]) -> Vec<Call> {
    let mut assembler = Assembler::new();
    chunks.iter().for_each(|chunk| assembler.push(chunk.clone()));
    let message = assembler.finish().choices.remove(0).message;
    let calls = message.tool_calls.iter().map(|call| {
        let id = call.id.clone().unwrap_or_default();
        match &call.custom {
            Some(custom) => (
                id,
                custom.name.clone().unwrap_or_default(),
                custom.input.clone().unwrap_or_default(),
            ),
            None => (id, call.name().to_owned(), call.arguments().to_owned()),
        }
    });
    calls.collect()
}

/// Returns the calls of the last event of the translated stream, after it has checked the order of the events, and
/// that the deltas of each item are joined its arguments.
fn translated(chunks: &[ChatChunk]) -> Vec<Call> {
    let envelope = ResponseEnvelope::new(&ResponsesRequest::default(), "seed", 0);
    let mut translator = ChunkToEventTranslator::new(envelope);
    chunks.iter().for_each(|chunk| translator.push(chunk.clone()));
    translator.finish();
    let (mut sequence, mut deltas, mut last) = (EventSequence::new(), BTreeMap::new(), Value::Null);
    while let Some(event) = translator.next_event() {
        sequence.push(&event).unwrap();
        last = serde_json::to_value(&event).unwrap();
        let item = last["item_id"].as_str().unwrap_or_default().to_owned();
        match last["type"].as_str().unwrap() {
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                *deltas.entry(item).or_insert_with(String::new) += last["delta"].as_str().unwrap();
            }
            "response.function_call_arguments.done" => {
                assert_eq!(deltas.get(&item).map_or("", String::as_str), last["arguments"]);
            }
            "response.custom_tool_call_input.done" => {
                assert_eq!(deltas.get(&item).map_or("", String::as_str), last["input"]);
            }
            _ => {}
        }
    }
    let items = last["response"]["output"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let calls = items.map(|item| {
        let arguments = item.get("arguments").unwrap_or(&item["input"]);
        (text(&item["call_id"]), text(&item["name"]), text(arguments))
    });
    calls.collect()
}

fn check(case: &str, pieces: &[Value], expected: &[(&str, &str, &str)]) {
    let chunks = chunks(pieces.iter().map(|piece| json!({"tool_calls": [piece]})));
    let calls = expected
        .iter()
        .map(|(id, name, arguments)| ((*id).to_owned(), (*name).to_owned(), (*arguments).to_owned()));
    let calls: Vec<Call> = calls.collect();
    assert_eq!(assembled(&chunks), calls, "assembled: {case}");
    assert_eq!(translated(&chunks), calls, "translated: {case}");
}

fn piece(id: &str, name: &str, arguments: &Value) -> Value {
    let mut piece = json!({"index": 0, "id": id, "function": {"name": name, "arguments": arguments}});
    if id.is_empty() {
        piece.as_object_mut().unwrap().remove("id");
    }
    if name.is_empty() {
        piece["function"].as_object_mut().unwrap().remove("name");
    }
    piece
}

#[test]
fn call_keeps_its_first_id_if_later_pieces_have_another() {
    let text = |text: &str| json!(text);
    let start = piece("A", "get", &text(""));
    let one = [("A", "get", r#"{"a":1}"#)];
    check(
        "another ID from the second piece on",
        &[
            start.clone(),
            piece("B", "", &text(r#"{"a":"#)),
            piece("B", "", &text("1}")),
        ],
        &one,
    );
    check(
        "another ID in each piece",
        &[
            start.clone(),
            piece("B", "", &text(r#"{"a":"#)),
            piece("C", "", &text("1}")),
            piece("D", "", &text("")),
        ],
        &one,
    );
    let empty_name =
        |id, arguments: &str| json!({"index": 0, "id": id, "function": {"name": "", "arguments": arguments}});
    check(
        "empty names",
        &[start, empty_name("B", r#"{"a":"#), empty_name("C", "1}")],
        &one,
    );
    check(
        "two calls with their own indexes",
        &[
            piece("A", "get", &text("")),
            json!({"index": 1, "id": "X", "function": {"name": "put", "arguments": "{"}}),
            piece("B", "", &text(r#"{"a":1}"#)),
            json!({"index": 1, "id": "Y", "function": {"arguments": "}"}}),
        ],
        &[("A", "get", r#"{"a":1}"#), ("X", "put", "{}")],
    );
    check(
        "names start calls, also with one index",
        &[
            piece("A", "get", &text("{")),
            piece("B", "get", &text("{")),
            piece("A", "", &text("}")),
            piece("B", "", &text("}")),
            piece("C", "", &text("{}")),
        ],
        &[("A", "get", "{}"), ("B", "get", "{}"), ("C", "", "{}")],
    );
}

#[test]
fn placeholder_is_replaced_by_the_arguments_that_follow() {
    let call = [("A", "get", r#"{"a":1}"#)];
    for placeholder in [json!("{}"), json!(" { }"), json!({})] {
        let (begin, end) = (json!(r#"{"a":"#), json!("1}"));
        for (id, name) in [("", ""), ("A", ""), ("A", "get"), ("B", "")] {
            let pieces = [
                piece("A", "get", &placeholder),
                piece(id, name, &json!(" ")),
                json!({"index": 0, "id": id, "type": "function"}),
                piece(id, name, &begin),
                piece(if name.is_empty() { "" } else { id }, name, &end),
            ];
            check(&format!("{placeholder}, {id}, {name}"), &pieces, &call);
        }
        check(
            "the name first",
            &[
                piece("A", "get", &json!("")),
                piece("", "", &placeholder),
                piece("", "", &json!({"a": 1})),
            ],
            &call,
        );
    }
    for pieces in [&["{}"][..], &["", "{}"], &["{}", ""], &["{", "}"], &["{}", "{}"]] {
        let pieces: Vec<Value> = pieces
            .iter()
            .enumerate()
            .map(|(number, text)| {
                let name = if number == 0 { "get" } else { "" };
                piece("A", name, &json!(text))
            })
            .collect();
        check("nothing else follows", &pieces, &[("A", "get", "{}")]);
    }
    check(
        "two calls without arguments",
        &[piece("A", "get", &json!("{}")), piece("B", "get", &json!("{}"))],
        &[("A", "get", "{}"), ("B", "get", "{}")],
    );
    check(
        "the input of a custom tool can be any text",
        &[
            json!({"index": 0, "id": "A", "custom": {"name": "run", "input": "{}"}}),
            json!({"index": 0, "custom": {"input": "{}"}}),
        ],
        &[("A", "run", "{}{}")],
    );
}

#[test]
fn repetition_of_complete_arguments_is_the_same_call() {
    let (begin, end, whole) = (json!(r#"{"a":"#), json!("1}"), json!(r#"{"a":1}"#));
    for (id, name, repeated) in [
        ("A", "get", &whole),
        ("A", "", &whole),
        ("", "", &whole),
        ("A", "get", &json!(r#" {"a" : 1} "#)),
        ("A", "get", &json!({"a": 1})),
    ] {
        let pieces = [
            piece("A", "get", &json!("")),
            piece("", "", &begin),
            piece("", "", &end),
            piece(id, name, repeated),
        ];
        check(
            &format!("{id}, {name}, {repeated}"),
            &pieces,
            &[("A", "get", r#"{"a":1}"#)],
        );
    }
    check(
        "other arguments are another call",
        &[piece("A", "get", &whole), piece("A", "get", &json!(r#"{"a":2}"#))],
        &[("A", "get", r#"{"a":1}"#), ("A", "get", r#"{"a":2}"#)],
    );
    check(
        "equal arguments with another ID are another call",
        &[piece("A", "get", &whole), piece("B", "get", &whole)],
        &[("A", "get", r#"{"a":1}"#), ("B", "get", r#"{"a":1}"#)],
    );
}

#[test]
fn legacy_function_call_keeps_the_rules_of_tool_calls() {
    let delta = |call: Value| json!({"function_call": call});
    let pieces = chunks([
        delta(json!({"name": "get", "arguments": "{}"})),
        delta(json!({"arguments": r#"{"a":"#})),
        delta(json!({"arguments": "1}"})),
        delta(json!({"arguments": r#"{"a":1}"#})),
    ]);
    let mut assembler = Assembler::new();
    pieces.iter().for_each(|chunk| assembler.push(chunk.clone()));
    let call = assembler
        .finish()
        .choices
        .remove(0)
        .message
        .function_call
        .unwrap();
    assert_eq!(call.arguments.as_deref(), Some(r#"{"a":1}"#));
    assert_eq!(translated(&pieces)[0].2, r#"{"a":1}"#);
}
