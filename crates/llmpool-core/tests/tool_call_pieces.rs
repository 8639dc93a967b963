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
