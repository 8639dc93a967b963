//! The Responses vocabulary, tested with captured traffic, and the rules for event sequences, tested with valid and invalid streams.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::PathBuf;

use bytes::Bytes;
use llmpool_core::chat::{Content, Json};
use llmpool_core::responses::{
    EventKind, EventSequence, Item, ItemPart, Response, ResponseEvent, ResponseStatus, ResponsesRequest,
    ResponsesTool,
};
use llmpool_core::sse::SseDecoder;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/llama-cpp")
        .join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let body = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n"));
    body.unwrap().1.to_owned()
}

fn round_trip<T: Serialize + DeserializeOwned>(value: &Value) -> Value {
    let read: T =
        serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{error} in {value}"));
    serde_json::to_value(&read).unwrap()
}

/// Replaces numbers by floats, since a `temperature` of `0` is encoded as `0.0`.
fn normalize_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(normalize_numbers).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, normalize_numbers(value)))
            .collect(),
        other => other,
    }
}

fn events(body: &str) -> Vec<Value> {
    let mut decoder = SseDecoder::new(1 << 20);
    decoder.push(Bytes::copy_from_slice(body.as_bytes()));
    let mut events = Vec::new();
    while let Some(event) = decoder.next_event().unwrap() {
        events.push(serde_json::from_slice(&event.data).unwrap());
    }
    events
}

const PLAIN: [&str; 6] = [
    "responses",
    "responses-instructions",
    "responses-tools",
    "responses-tool-result",
    "responses-length",
    "responses-json-schema",
];
const STREAMS: [&str; 2] = ["responses-stream", "responses-stream-tools"];

// L77
#[test]
fn captured_responses_json_encodes_as_it_was_decoded() {
    for name in PLAIN.iter().chain(&STREAMS) {
        let request = serde_json::from_str(&fixture(&format!("{name}.request"))).unwrap();
        assert_eq!(
            normalize_numbers(round_trip::<ResponsesRequest>(&request)),
            normalize_numbers(request),
            "{name}"
        );
    }
    for name in PLAIN {
        let answer = serde_json::from_str(&fixture(&format!("{name}.response"))).unwrap();
        assert_eq!(round_trip::<Response>(&answer), answer, "{name}");
    }
    for name in STREAMS {
        let events = events(&fixture(&format!("{name}.response")));
        assert!(events.len() > 8);
        for event in events {
            assert_eq!(round_trip::<ResponseEvent>(&event), event, "{name}");
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    const KINDS: &[&str] = &[
        "message",
        "function_call",
        "function_call_output",
        "reasoning",
        "item_reference",
        "input_text",
        "output_text",
        "refusal",
        "summary_text",
        "web_search_call",
        "function",
        "custom",
        "user",
        "completed",
    ];
    const NAMES: &[&str] = &[
        "type",
        "role",
        "id",
        "call_id",
        "name",
        "arguments",
        "output",
        "content",
        "summary",
        "text",
        "status",
        "annotations",
        "x",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
        prop::sample::select(KINDS).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(NAMES), inner, 0..6).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

/// Returns whether the members that are texts or lists in the API are so. Others may be read as what they stand for.
fn has_expected_types(value: &Value) -> bool {
    const TEXTS: [&str; 8] = [
        "type",
        "role",
        "id",
        "call_id",
        "name",
        "arguments",
        "text",
        "status",
    ];
    const LISTS: [&str; 4] = ["output", "content", "summary", "annotations"];
    let is_expected = |name: &str, member: &Value| {
        (member.is_string() || !TEXTS.contains(&name))
            && (member.is_string() || member.is_array() || !LISTS.contains(&name))
    };
    match value {
        Value::Array(items) => items.iter().all(has_expected_types),
        Value::Object(members) => {
            let mut members = members.iter();
            members.all(|(name, member)| is_expected(name, member) && has_expected_types(member))
        }
        _ => true,
    }
}

proptest! {
    /// Any item, part or tool decodes, and encodes to the same JSON. What is read as something else encodes to that.
    // L77
    #[test]
    fn any_json_encodes_as_it_was_decoded(value in any_json()) {
        let encoded = [round_trip::<Item>(&value), round_trip::<ItemPart>(&value), round_trip::<ResponsesTool>(&value)];
        let again = [round_trip::<Item>(&encoded[0]), round_trip::<ItemPart>(&encoded[1]), round_trip::<ResponsesTool>(&encoded[2])];
        prop_assert_eq!(&again, &encoded);
        if has_expected_types(&value) {
            prop_assert_eq!(&encoded[1..], [value.clone(), value.clone()]);
            // A part in place of an item is read as the message of which it is the content.
            let is_part = ["output_text", "text", "refusal"].iter().any(|kind| value["type"] == *kind);
            prop_assert!(is_part || encoded[0] == value, "{}", encoded[0]);
        }
    }
}

#[test]
fn known_items_become_typed_variants() {
    let item = |value: Value| Item::from(Json::of(&value).unwrap());
    let Item::EasyMessage(message) = item(json!({"role": "user", "content": "hi"})) else {
        panic!("no type, but a role")
    };
    assert!(matches!(message.content, Some(Content::Text(text)) if text == "hi"));
    assert!(matches!(item(json!({"content": "hi"})), Item::Other(_)));
    let call = item(
        json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}),
    );
    assert_eq!((call.id(), call.status()), (None, Some("completed")));
    let search = item(json!({"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}}));
    assert!(matches!(search, Item::WebSearchCall(_)) && search.id() == Some("ws_1"));
    for kind in [
        "additional_tools",
        "compaction_trigger",
        "configuration_update",
        "program",
        "program_output",
        "tool_search_call",
        "tool_search_output",
    ] {
        let value = json!({"type": kind, "id": "i", "x": 1});
        assert_eq!(
            (item(value.clone()).id(), round_trip::<Item>(&value)),
            (Some("i"), value),
            "{kind}"
        );
    }
}

/// A valid stream: a text, two interleaved function calls, and reasoning with a summary.
fn valid_stream() -> Vec<Value> {
    let response = |status: &str, output: Value, usage: Value| json!({"id": "resp_1", "object": "response", "status": status, "output": output, "tools": [], "usage": usage});
    let text = json!({"type": "output_text", "text": "Hi you", "annotations": []});
    let reasoning =
        json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]});
    let message = json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]});
    let call = |id: &str, arguments: &str| json!({"type": "function_call", "id": id, "call_id": format!("call_{id}"), "name": "f", "arguments": arguments, "status": "completed"});
    let (one, two) = (call("fc_1", "{\"a\":1}"), call("fc_2", "{}"));
    let output = json!([reasoning, message, one, two]);
    let events = [
        json!({"type": "response.created", "response": response("in_progress", json!([]), Value::Null)}),
        json!({"type": "response.in_progress", "response": response("in_progress", json!([]), Value::Null)}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1", "summary": []}}),
        json!({"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "output_index": 0, "summary_index": 0, "part": {"type": "summary_text", "text": ""}}),
        json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0, "summary_index": 0, "delta": "Hm."}),
        json!({"type": "response.reasoning_summary_text.done", "item_id": "rs_1", "output_index": 0, "summary_index": 0, "text": "Hm."}),
        json!({"type": "response.reasoning_summary_part.done", "item_id": "rs_1", "output_index": 0, "summary_index": 0, "part": {"type": "summary_text", "text": "Hm."}}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": reasoning}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}}),
        json!({"type": "response.content_part.added", "item_id": "msg_1", "output_index": 1, "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": []}}),
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 1, "content_index": 0, "delta": "Hi ", "logprobs": []}),
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 1, "content_index": 0, "delta": "you", "logprobs": []}),
        json!({"type": "response.output_text.done", "item_id": "msg_1", "output_index": 1, "content_index": 0, "text": "Hi you", "logprobs": []}),
        json!({"type": "response.content_part.done", "item_id": "msg_1", "output_index": 1, "content_index": 0, "part": text}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": message}),
        json!({"type": "response.output_item.added", "output_index": 2, "item": {"type": "function_call", "id": "fc_1", "call_id": "call_fc_1", "name": "f", "arguments": "", "status": "in_progress"}}),
        json!({"type": "response.output_item.added", "output_index": 3, "item": {"type": "function_call", "id": "fc_2", "call_id": "call_fc_2", "name": "f", "arguments": "", "status": "in_progress"}}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 2, "delta": "{\"a\":"}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "fc_2", "output_index": 3, "delta": "{}"}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 2, "delta": "1}"}),
        json!({"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 2, "name": "f", "arguments": "{\"a\":1}"}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": one}),
        json!({"type": "response.function_call_arguments.done", "item_id": "fc_2", "output_index": 3, "name": "f", "arguments": "{}"}),
        json!({"type": "response.new_thing", "whatever": 1}),
        json!({"type": "response.output_item.done", "output_index": 3, "item": two}),
        json!({"type": "response.completed", "response": response("completed", output, json!({"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}))}),
    ];
    numbered(events)
}

fn numbered(events: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let numbered = events.into_iter().enumerate().map(|(number, mut event)| {
        event["sequence_number"] = number.into();
        event
    });
    numbered.collect()
}

fn check(events: &[Value]) -> Result<(), String> {
    let mut sequence = EventSequence::new();
    for event in events {
        let event: ResponseEvent = serde_json::from_str(&event.to_string()).unwrap();
        sequence.push(&event).map_err(|error| error.to_string())?;
    }
    sequence.end().map_err(|error| error.to_string())
}

// L75
#[test]
fn valid_event_sequence_is_accepted() {
    assert_eq!(check(&valid_stream()), Ok(()));
}

// L75
#[test]
fn failed_and_truncated_event_sequences_are_accepted() {
    let failed = json!({"type": "response.failed", "response": {"id": "resp_1", "status": "failed", "output": [], "error": {"code": "server_error", "message": "m"}}});
    let error = json!({"type": "error", "code": "server_error", "message": "m", "param": null});
    let with = |more: &[Value]| {
        check(&numbered(
            valid_stream().into_iter().take(11).chain(more.iter().cloned()),
        ))
    };
    assert_eq!(with(std::slice::from_ref(&failed)), Ok(()));
    assert_eq!(with(&[error.clone(), failed]), Ok(()));
    assert_eq!(with(&[error]), Ok(()));
    let mut cut = valid_stream();
    cut.drain(15..25);
    cut[14]["item"]["status"] = "incomplete".into();
    cut[15]["type"] = "response.incomplete".into();
    cut[15]["response"]["status"] = "incomplete".into();
    cut[15]["response"]["output"].as_array_mut().unwrap().truncate(2);
    assert_eq!(check(&numbered(cut)), Ok(()));
}

/// Each change violates one rule of a valid stream, and the error names that rule.
// L75
#[test]
fn each_violation_of_the_event_sequence_is_reported() {
    type Change = fn(&mut Vec<Value>);
    let table: [(&str, Change, bool); 33] = [
        (
            "the text of the response differs from its items",
            |events| {
                let last = events.len() - 1;
                let output = events[last]["response"]["output"].as_array_mut().unwrap();
                let message = output.iter_mut().find(|item| item["type"] == "message").unwrap();
                message["content"][0]["text"] = "another".into();
            },
            false,
        ),
        (
            "queued after response.in_progress",
            |events| {
                let mut queued = events[1].clone();
                queued["type"] = "response.queued".into();
                queued["response"]["status"] = "queued".into();
                events.insert(3, queued);
            },
            true,
        ),
        (
            "sequence_number",
            |events| events[5]["sequence_number"] = 4.into(),
            false,
        ),
        (
            "sequence_number",
            |events| events[5]["sequence_number"] = Value::Null,
            false,
        ),
        (
            "sequence_number",
            |events| events[0]["sequence_number"] = 1.into(),
            false,
        ),
        (
            "the first event is not response.created",
            |events| drop(events.remove(0)),
            true,
        ),
        (
            "response.created is not the first event",
            |events| events.insert(1, events[0].clone()),
            true,
        ),
        (
            "repeated or too late",
            |events| events.insert(2, events[1].clone()),
            true,
        ),
        (
            "event before response.in_progress",
            |events| drop(events.remove(1)),
            true,
        ),
        (
            "missing response",
            |events| events[0]["response"] = Value::Null,
            true,
        ),
        (
            "id of the response has changed",
            |events| events[1]["response"]["id"] = "resp_2".into(),
            true,
        ),
        (
            "status of the response does not fit",
            |events| events[25]["response"]["status"] = "in_progress".into(),
            true,
        ),
        (
            "missing output_index",
            |events| events[8]["output_index"] = Value::Null,
            true,
        ),
        (
            "output_index is not the next one",
            |events| events[8]["output_index"] = 2.into(),
            true,
        ),
        (
            "missing output_index",
            |events| events[10]["output_index"] = Value::Null,
            true,
        ),
        (
            "missing item_id",
            |events| events[10]["item_id"] = Value::Null,
            true,
        ),
        (
            "item_id does not fit output_index",
            |events| events[10]["item_id"] = "msg_2".into(),
            true,
        ),
        (
            "item has no id",
            |events| events[8]["item"]["id"] = Value::Null,
            true,
        ),
        (
            "id of another item",
            |events| events[16]["item"]["id"] = "fc_1".into(),
            true,
        ),
        ("was not added", |events| drop(events.remove(9)), true),
        (
            "missing content_index",
            |events| events[10]["content_index"] = Value::Null,
            true,
        ),
        (
            "another type",
            |events| events[10]["type"] = "response.refusal.delta".into(),
            true,
        ),
        (
            "complete text differs from the deltas",
            |events| events[12]["text"] = "Hi".into(),
            true,
        ),
        (
            "complete text was not sent before",
            |events| drop(events.remove(12)),
            true,
        ),
        (
            "a part of the item is not done",
            |events| drop(events.remove(13)),
            true,
        ),
        (
            "delta after the complete text",
            |events| events.insert(13, events[11].clone()),
            true,
        ),
        (
            "id or type of the item has changed",
            |events| events[14]["item"]["id"] = "msg_9".into(),
            true,
        ),
        (
            "text of the item differs from the deltas",
            |events| events[14]["item"]["content"][0]["text"] = "Ho".into(),
            true,
        ),
        (
            "is already done",
            |events| events.insert(15, events[14].clone()),
            true,
        ),
        (
            "a part of the item is not done",
            |events| drop(events.remove(20)),
            true,
        ),
        (
            "items of the response differ from the finished items",
            |events| drop(events[25]["response"]["output"].as_array_mut().unwrap().pop()),
            true,
        ),
        (
            "event after the terminal event",
            |events| events.push(events[23].clone()),
            true,
        ),
        ("without a terminal event", |events| drop(events.pop()), true),
    ];
    for (number, (rule, change, renumber)) in table.into_iter().enumerate() {
        let mut events = valid_stream();
        change(&mut events);
        if renumber {
            events = numbered(events);
        }
        let error = check(&events).expect_err(rule);
        assert!(error.contains(rule), "{number}: {error}, not {rule}");
    }
}

// L75
#[test]
fn missing_sequence_numbers_of_a_real_server_are_reported() {
    for name in STREAMS {
        let broken = check(&events(&fixture(&format!("{name}.response")))).unwrap_err();
        assert!(broken.contains("sequence_number"), "{broken}");
    }
}

#[test]
fn all_documented_event_types_have_a_variant() {
    let facts = include_str!("fixtures/response-events.txt");
    let kinds: Vec<&str> = facts.lines().collect();
    assert_eq!(kinds.len(), 59);
    for kind in kinds {
        assert_eq!(EventKind::from(kind).as_str(), kind);
        assert!(!matches!(EventKind::from(kind), EventKind::Other(_)), "{kind}");
    }
    assert_eq!(ResponseStatus::from("odd"), ResponseStatus::Other("odd".into()));
}

#[test]
fn accessors_work_on_captured_responses() {
    let response = Response::decode(fixture("responses.response").as_bytes()).unwrap();
    assert_eq!(response.status, Some(ResponseStatus::Completed));
    assert!(!response.text().is_empty());
    assert!(response.usage.unwrap().input_tokens().unwrap() > 0);
    let calls = Response::decode(fixture("responses-tools.response").as_bytes()).unwrap();
    assert!(matches!(&calls.output[..], [Item::FunctionCall(call)] if !call.name.is_empty()));
}
