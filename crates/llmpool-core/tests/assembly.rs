//! Assembly of chunks whose provider splits or repeats parts of the answer in unusual ways.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool_core::chat::{Assembler, ChatChunk, ChatCompletion, Role};
use llmpool_core::responses::{EventSequence, Item, Response, ResponsesRequest};
use llmpool_core::translate::{ChunkToEventTranslator, ResponseEnvelope};
use serde_json::{Value, json};

fn chunk(choice: &Value) -> ChatChunk {
    serde_json::from_value(json!({"choices": [choice]})).unwrap()
}

fn assembled(choices: &[Value]) -> ChatCompletion {
    let mut assembler = Assembler::new();
    choices.iter().for_each(|choice| assembler.push(chunk(choice)));
    assembler.finish()
}

fn deltas(deltas: &[Value]) -> Vec<Value> {
    deltas
        .iter()
        .map(|delta| json!({"index": 0, "delta": delta}))
        .collect()
}

fn call(index: Option<u64>, name: Option<&str>, arguments: Option<&str>) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"name": name, "arguments": arguments}}]})
}

/// Returns the response that the chunks are translated to, and checks the order of its events.
fn translated(choices: &[Value]) -> Response {
    let mut translator =
        ChunkToEventTranslator::new(ResponseEnvelope::new(&ResponsesRequest::default(), "x", 0));
    choices.iter().for_each(|choice| translator.push(chunk(choice)));
    translator.finish();
    let mut sequence = EventSequence::new();
    let mut last = None;
    while let Some(event) = translator.next_event() {
        sequence.push(&event).unwrap();
        last = event.response;
    }
    sequence.end().unwrap();
    *last.unwrap()
}

// A1
#[test]
fn empty_role_does_not_replace_the_role() {
    let completion = assembled(&deltas(&[
        json!({"role": "assistant", "content": "a"}),
        json!({"role": "", "content": "b"}),
    ]));
    assert_eq!(completion.choices[0].message.role, Some(Role::Assistant));
    let completion = assembled(&deltas(&[json!({"role": "", "content": "a"})]));
    assert_eq!(completion.choices[0].message.role, None);
}

// A2 to A9, A12
#[test]
fn name_of_a_call_is_joined_and_repeated_names_are_not() {
    for index in [Some(0), None] {
        for (case, names, arguments, expected) in [
            ("pieces", ["get_", "weather", ""], ["", "", "{}"], "get_weather"),
            (
                "whole so far",
                ["get", "get_weather", ""],
                ["", "", "{}"],
                "get_weather",
            ),
            (
                "no arguments",
                ["get_", "weather", ""],
                ["", "", ""],
                "get_weather",
            ),
            (
                "repeated",
                ["get_weather", "get_weather", "get_weather"],
                ["", "{\"a\":\"fn(){}", "{x\"}"],
                "get_weather",
            ),
            ("after the arguments", ["", "f", ""], ["{", "", "}"], "f"),
        ] {
            let pieces = names.iter().zip(arguments);
            let pieces: Vec<_> = pieces
                .map(|(name, arguments)| call(index, Some(name), Some(arguments)))
                .collect();
            let pieces = deltas(&pieces);
            let calls = &assembled(&pieces).choices[0].message.tool_calls;
            assert_eq!(calls.len(), 1, "{case}");
            let function = calls[0].function.as_ref().unwrap();
            assert_eq!(function.name.as_deref(), Some(expected), "{case}");
            assert_eq!(
                function.arguments.as_deref(),
                Some(&*arguments.concat()),
                "{case}"
            );
            let response = translated(&pieces);
            let [Item::FunctionCall(item)] = &response.output[..] else {
                panic!("{case}: {response:?}");
            };
            assert_eq!(
                (item.name.as_str(), &item.arguments),
                (expected, &arguments.concat()),
                "{case}"
            );
        }
    }
}

#[test]
fn calls_without_arguments_stay_separate_and_in_order() {
    let pieces = deltas(&[
        json!({"tool_calls": [
            {"index": 0, "id": "a", "function": {"name": "f"}},
            {"index": 1, "id": "b", "function": {"name": "g"}}]}),
        json!({"tool_calls": [{"index": 2, "id": "c", "function": {"name": "h", "arguments": "{}"}}]}),
    ]);
    let names: Vec<_> = translated(&pieces)
        .output
        .iter()
        .map(|item| match item {
            Item::FunctionCall(call) => (call.call_id.clone(), call.name.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [("a", "f"), ("b", "g"), ("c", "h")];
    assert_eq!(names, expected.map(|(id, name)| (id.to_owned(), name.to_owned())));
}

// A11
#[test]
fn name_of_a_deprecated_call_is_joined() {
    let piece = |name: Option<&str>, arguments: &str| json!({"function_call": {"name": name, "arguments": arguments, "x": 1}});
    for names in [
        ["get_", "weather"],
        ["get", "get_weather"],
        ["get_weather", "get_weather"],
    ] {
        let completion = assembled(&deltas(&[
            piece(Some(names[0]), ""),
            piece(Some(names[1]), "{"),
            piece(None, "}"),
            piece(Some("get_weather"), ""),
        ]));
        let function = completion.choices[0].message.function_call.as_ref().unwrap();
        assert_eq!(function.name.as_deref(), Some("get_weather"), "{names:?}");
        assert_eq!(function.arguments.as_deref(), Some("{}"));
        assert!(function.extra.get("x").is_some());
    }
}

// A13, A14, A15
#[test]
fn message_beside_deltas_is_not_encoded_twice() {
    let message = json!({"role": "assistant", "content": "Hi"});
    let completion = assembled(&[
        json!({"index": 0, "delta": {"content": "H"}, "message": message, "x": 1}),
        json!({"index": 0, "delta": {"content": "i"}}),
        json!({"index": 0, "delta": {}, "message": message, "finish_reason": "stop"}),
    ]);
    let json = serde_json::to_string(&completion).unwrap();
    assert_eq!(json.matches("\"message\"").count(), 1, "{json}");
    assert_eq!(completion.text(), "Hi");
    assert!(completion.choices[0].extra.get("x").is_some());
}

#[test]
fn choices_are_sorted_by_index_and_the_last_unknown_field_counts() {
    let unknown = |index: usize, value: usize| json!({"index": index, "x": value, "delta": {"content": "a"}});
    let completion = assembled(&[unknown(2, 1), unknown(0, 2), unknown(1, 3), unknown(0, 4)]);
    let choices = completion.choices.iter();
    let seen: Vec<_> = choices
        .map(|choice| (choice.index(), choice.extra.get("x").unwrap().get().to_owned()))
        .collect();
    assert_eq!(
        seen,
        [(0, "4".to_owned()), (1, "3".to_owned()), (2, "1".to_owned())]
    );
}

#[test]
fn unknown_fields_of_reasoning_parts_stay_with_their_part() {
    let thinking = |text: &str, sign: u8| json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}], "sign": sign}]});
    let text = json!({"content": [{"type": "text", "text": "x"}]});
    let completion = assembled(&deltas(&[
        thinking("a", 1),
        thinking("b", 2),
        text,
        thinking("c", 3),
        thinking("d", 4),
    ]));
    let content = serde_json::to_value(&completion).unwrap()["choices"][0]["message"]["content"].clone();
    let part = |text: &str, sign: u8| json!({"type": "thinking", "thinking": [{"type": "text", "text": text}], "sign": sign});
    assert_eq!(
        content,
        json!([part("ab", 2), {"type": "text", "text": "x"}, part("cd", 4)])
    );
}
