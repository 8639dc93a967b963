use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::api_format::ApiFormat::{self, ChatCompletions, Responses};
use crate::responses::{EventSequence, ResponseEvent};
use crate::sse::SseEvent;
use crate::stream_view::StreamView;

#[test]
fn first_bytes_decide_the_framing() {
    for (answer, framing) in [
        ("{}", Some(Framing::Document)),
        ("\n\n \u{feff}\r\n{\"a\":1}", Some(Framing::Document)),
        ("[{}]", Some(Framing::Document)),
        ("data: {}", Some(Framing::Events)),
        ("\u{feff}\nevent: x", Some(Framing::Events)),
        (": PROCESSING\n\n{}", Some(Framing::Events)),
        ("id:1", Some(Framing::Events)),
        ("retry: 1", Some(Framing::Events)),
        ("error: x", Some(Framing::Events)),
        ("[DONE]", Some(Framing::Events)),
        ("<!doctype html>", Some(Framing::Page)),
        ("<?xml", Some(Framing::Page)),
        ("upstream timed out", Some(Framing::Text)),
        ("database", Some(Framing::Text)),
        ("\"text\"", Some(Framing::Text)),
        ("", None),
        (" \u{feff}\n", None),
        ("dat", None),
        ("[", None),
    ] {
        assert_eq!(sniff(answer.as_bytes()), framing, "{answer:?}");
        for end in 0..answer.len() {
            let early = sniff(&answer.as_bytes()[..end]);
            assert!(early.is_none() || early == framing, "{answer:?} up to {end}");
        }
    }
}

#[test]
fn stream_may_begin_with_any_field() {
    for answer in ["trace: 7\n\ndata: {}", "x\rdata:1", "7\r\n\r\ndata: {}"] {
        assert_eq!(sniff(answer.as_bytes()), Some(Framing::Events), "{answer:?}");
        let without_line = answer.replace("data", " data");
        assert_eq!(
            sniff(without_line.as_bytes()),
            Some(Framing::Text),
            "{without_line:?}"
        );
    }
}

#[test]
fn documents_are_complete_with_the_last_finish_reason() {
    let chunk = |index: u64, finish: &str, usage: &str| {
        format!(
            r#"{{"choices":[{{"index":{index},"delta":{{"content":"a"}},"finish_reason":{finish}}}],"usage":{usage}}}"#
        )
    };
    let usage = r#"{"total_tokens":5}"#;
    let ended = |usage: &str| chunk(0, "\"stop\"", usage);
    let completion = completion().to_string();
    for (requested, body, expected) in [
        (1, chunk(0, "null", "null"), Completeness::Unfinished),
        (1, ended("null"), Completeness::WithoutUsage),
        (1, ended(usage), Completeness::Complete),
        (2, ended(usage), Completeness::Unfinished),
        (
            2,
            ended(usage) + &chunk(1, "\"length\"", "null"),
            Completeness::Complete,
        ),
        (2, completion.clone(), Completeness::Complete),
        (3, completion.clone() + "\n[DONE]", Completeness::Complete),
        (
            2,
            completion[..completion.len() - 1].to_owned(),
            Completeness::Unfinished,
        ),
        (
            1,
            r#"{"error":{"message":"m"}}"#.to_owned(),
            Completeness::Complete,
        ),
        (1, String::new(), Completeness::Unfinished),
        (
            1,
            r#"{"choices":[{"message":{"content":"a"}}]}"#.to_owned(),
            Completeness::WithoutUsage,
        ),
    ] {
        let view = StreamView::new(ChatCompletions).with_choices(requested);
        assert_eq!(
            completeness(body.as_bytes(), view),
            expected,
            "{requested}: {body}"
        );
    }
    let response = response().to_string();
    let view = StreamView::new(Responses);
    assert_eq!(completeness(response.as_bytes(), view), Completeness::Complete);
}

#[test]
fn documents_are_separated_from_marks() {
    for (body, expected) in [
        ("{}", vec!["{}"]),
        (
            "\u{feff}\n{\"a\":\"}\\\"{\"}\r\n\r\ndata: [DONE]\n\n",
            vec!["{\"a\":\"}\\\"{\"}"],
        ),
        ("{\"a\":[{}]}[DONE]", vec!["{\"a\":[{}]}"]),
        (
            "{\"a\":1}\n{\"b\":NaN}\n\n{}\n[DONE]\n",
            vec!["{\"a\":1}", "{\"b\":NaN}", "{}"],
        ),
        ("{\"a\":\"\\ud83d\n\"}", vec!["{\"a\":\"\\ud83d\n\"}"]),
        ("{\"a\":1", vec![]),
        ("{\"a\":\"", vec![]),
        ("{\"a\":\"\\", vec![]),
        ("{} trailing", vec!["{}"]),
        ("{}\n: keep-alive\n\n{}\n\0", vec!["{}", "{}"]),
        ("{}\nnull", vec!["{}"]),
        ("{}\n\ndata: {}\n\n", vec![]),
        ("{}{", vec![]),
        ("[]", vec![]),
        ("[DONE]", vec![]),
        ("data: {}", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(
            documents(body.as_bytes()),
            expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>(),
            "{body:?}"
        );
    }
}

fn completion() -> Value {
    json!({
        "id": "c1", "object": "chat.completion", "created": 5, "model": "m", "x": 1.10,
        "choices": [
            {"index": 0, "finish_reason": "tool_calls", "native_finish_reason": "x",
             "logprobs": {"content": [{"token": "a", "logprob": -0.5}]},
             "message": {"role": "assistant", "content": "Hi", "refusal": "no", "reasoning_content": "hm",
                "annotations": [{"type": "url_citation"}],
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                    {"id": "b", "type": "custom", "custom": {"name": "g", "input": "x"}}]}},
            {"index": 1, "finish_reason": "stop",
             "message": {"role": "assistant", "content": [{"type": "text", "text": "Ho"}]}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    })
}

fn response() -> Value {
    json!({
        "id": "r1", "object": "response", "created_at": 1.5, "status": "completed", "model": "m", "tools": [],
        "output": [
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "s"}],
             "content": [{"type": "reasoning_text", "text": "t"}], "encrypted_content": "e"},
            {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "Hi", "annotations": [{"type": "url_citation"}], "logprobs": []},
                {"type": "refusal", "refusal": "no"},
                {"type": "output_text", "text": "", "annotations": []}]},
            {"type": "web_search_call", "id": "w", "status": "completed", "action": {"x": 1}},
            {"type": "custom_tool_call", "id": "ct", "call_id": "k", "name": "g", "input": "x"},
            {"type": "function_call", "id": "fc", "call_id": "l", "name": "f", "arguments": "{\"a\":1}",
             "status": "completed"}],
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    })
}

fn events_of(format: ApiFormat, document: &Value) -> Vec<SseEvent> {
    document_to_events(format, document.to_string().as_bytes()).unwrap()
}

fn collected<'a>(format: ApiFormat, events: impl IntoIterator<Item = &'a SseEvent>) -> Option<Value> {
    let mut collector = EventCollector::new(format);
    for event in events {
        collector.push(&event.data).unwrap();
    }
    Some(serde_json::from_slice(&collector.finish()?).unwrap())
}

fn named(data: &Value) -> SseEvent {
    SseEvent {
        data: data.to_string().into(),
        name: None,
    }
}

#[test]
fn document_survives_as_events() {
    for (format, document) in [(ChatCompletions, completion()), (Responses, response())] {
        let events = events_of(format, &document);
        assert_eq!(collected(format, &events), Some(document.clone()));
        let mut view = StreamView::new(format);
        for event in &events {
            let flags = view.observe(event).flags;
            assert!(!flags.whole && !flags.corrupt && !flags.error, "{flags:?}");
        }
        assert!(view.is_complete() && view.has_content() && view.usage().is_some());
    }
    let first = &events_of(ChatCompletions, &completion())[0];
    let chunk: Value = serde_json::from_slice(&first.data).unwrap();
    assert_eq!(chunk["object"], "chat.completion.chunk");
    assert_eq!(chunk["choices"][0]["delta"]["tool_calls"][1]["index"], 1);
    assert!(String::from_utf8_lossy(&first.data).contains("1.1"));
    for document in ["{}", "[]", r#"{"choices":[]}"#, "x", r#"{"error":{}}"#] {
        for format in [ChatCompletions, Responses] {
            assert!(
                document_to_events(format, document.as_bytes()).is_none(),
                "{document}"
            );
        }
    }
}

#[test]
fn replayed_response_keeps_the_order_of_events() {
    let mut incomplete = response();
    incomplete["status"] = "incomplete".into();
    let mut short = response();
    short["output"] = json!([{"type": "message", "id": "m", "role": "assistant", "content": "text"}]);
    for document in [response(), incomplete, short] {
        let mut sequence = EventSequence::new();
        for event in events_of(Responses, &document) {
            let decoded = ResponseEvent::decode(&event.data).unwrap();
            assert_eq!(event.name.as_deref(), Some(decoded.kind.as_str().as_bytes()));
            sequence.push(&decoded).unwrap();
        }
        sequence.end().unwrap();
    }
}

/// Returns the events that a stream view and a replay make of the events of a provider, and how many of them
/// were whole answers.
fn replayed(format: ApiFormat, sent: &[Value]) -> (Vec<SseEvent>, usize) {
    let (mut view, mut replay) = (StreamView::new(format), AnswerReplay::new(format));
    let (mut events, mut whole) = (Vec::new(), 0);
    for event in sent.iter().map(named) {
        if !view.observe(&event).flags.whole {
            events.push(event);
            continue;
        }
        whole += 1;
        for event in replay.events_of(&event.data).unwrap() {
            assert!(!view.observe(&event).flags.whole);
            events.push(event);
        }
    }
    assert!(view.is_complete() && view.has_content());
    (events, whole)
}

fn choice_event(choice: Value) -> Value {
    json!({"id": "c", "choices": [choice]})
}

#[test]
fn text_of_whole_messages_arrives_once() {
    let message = |content: &str, finish: Option<&str>| {
        let message = json!({"role": "assistant", "content": content});
        choice_event(json!({"index": 0, "message": message, "delta": {}, "finish_reason": finish}))
    };
    let delta = |content: &str| choice_event(json!({"index": 0, "delta": {"content": content}}));
    let call = |arguments: &str, finish: Option<&str>| {
        let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}});
        let message = json!({"role": "assistant", "content": "Hi", "tool_calls": [call]});
        choice_event(json!({"index": 0, "message": message, "finish_reason": finish}))
    };
    for (case, sent, whole) in [
        ("one message", vec![message("Hi", Some("stop"))], 1),
        (
            "cumulative messages",
            vec![
                message("H", None),
                message("Hi", None),
                message("Hi", Some("stop")),
            ],
            3,
        ),
        (
            "pieces in messages",
            vec![message("H", None), message("i", Some("stop"))],
            2,
        ),
        (
            "message after deltas",
            vec![delta("H"), delta("i"), message("Hi", Some("stop"))],
            0,
        ),
        (
            "cumulative arguments",
            vec![
                call("{", None),
                call("{\"a\"", None),
                call("{\"a\":1}", Some("tool_calls")),
            ],
            3,
        ),
        (
            "empty message before deltas",
            vec![message("", None), delta("Hi"), message("Hi", Some("stop"))],
            0,
        ),
    ] {
        let (events, converted) = replayed(ChatCompletions, &sent);
        assert_eq!(converted, whole, "{case}");
        let completion = collected(ChatCompletions, &events).unwrap();
        let message = &completion["choices"][0]["message"];
        assert_eq!(message["content"], "Hi", "{case}");
        if let Some(calls) = message["tool_calls"].as_array() {
            assert_eq!(calls.len(), 1, "{case}");
            assert_eq!(
                calls[0]["function"],
                json!({"name": "f", "arguments": "{\"a\":1}"}),
                "{case}"
            );
        }
    }
}

#[test]
fn whole_response_as_an_event_is_replayed() {
    let (events, whole) = replayed(Responses, &[response()]);
    assert_eq!(whole, 1);
    assert_eq!(collected(Responses, &events), Some(response()));
    let mut view = StreamView::new(Responses);
    for other in [
        json!({"object": "response", "status": "in_progress", "output": []}),
        json!({"object": "response", "status": "failed", "error": {"code": "server_error"}, "output": []}),
        json!({"object": "x"}),
    ] {
        assert!(!view.observe(&named(&other)).flags.whole, "{other}");
    }
}

#[test]
fn response_is_collected_from_what_was_sent() {
    let terminal = |output: Value| {
        let response =
            json!({"id": "r", "object": "response", "status": "completed", "output": output, "tools": []});
        json!({"type": "response.completed", "response": response})
    };
    let item = json!({"type": "message", "id": "m", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}]});
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item": item});
    let added = json!({"type": "response.output_item.added", "output_index": 0, "item":
        {"type": "message", "id": "m", "role": "assistant", "status": "in_progress", "content": []}});
    let piece = |text: &str| json!({"type": "response.output_text.delta", "item_id": "m", "delta": text});
    let bare = |text: &str| json!({"type": "response.output_text.delta", "delta": text});
    let text_done = json!({"type": "response.output_text.done", "output_index": 0, "text": "Hi"});
    let created = json!({"type": "response.created", "response":
        {"id": "r", "object": "response", "status": "in_progress", "output": [], "tools": []}});
    for (case, sent) in [
        ("complete last event", vec![terminal(json!([item]))]),
        (
            "last event without output",
            vec![done.clone(), terminal(json!([]))],
        ),
        (
            "deltas",
            vec![added.clone(), piece("H"), piece("i"), terminal(json!([]))],
        ),
        (
            "deltas without places",
            vec![added.clone(), bare("H"), bare("i"), terminal(json!([]))],
        ),
        (
            "complete text replaces deltas",
            vec![added, piece("H"), text_done, terminal(json!([]))],
        ),
        ("no last event", vec![created, done.clone()]),
        (
            "fields of the response in the event",
            vec![
                done,
                json!({"type": "response.completed", "sequence_number": 1, "id": "r", "object": "response",
                    "status": "completed", "output": [], "tools": []}),
            ],
        ),
    ] {
        let events: Vec<_> = sent.iter().map(named).collect();
        let response = collected(Responses, &events).unwrap();
        let expected = &terminal(json!([item]))["response"];
        assert_eq!(&response, expected, "{case}");
    }
    let pings = [named(&json!({"type": "ping"}))];
    assert_eq!(collected(Responses, &pings), None);
    assert_eq!(collected(ChatCompletions, &[]), None);
}

#[test]
fn calls_and_reasoning_are_collected_from_deltas() {
    let sent = [
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "s"}),
        json!({"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "t"}),
        json!({"type": "response.output_item.added", "output_index": 1,
            "item": {"type": "function_call", "id": "f", "call_id": "c", "name": "n", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{"}),
        json!({"type": "response.function_call_arguments.delta", "item_id": "f", "delta": "}"}),
        json!({"type": "response.custom_tool_call_input.done", "output_index": 2, "input": "x"}),
        json!({"type": "response.refusal.delta", "output_index": 3, "content_index": 1, "delta": "no"}),
        json!({"type": "response.output_text.delta", "output_index": 3, "content_index": 0, "delta": "a"}),
    ];
    let events: Vec<_> = sent.iter().map(named).collect();
    let output = &collected(Responses, &events).unwrap()["output"];
    assert_eq!(output[0]["summary"][0]["text"], "s");
    assert_eq!(output[0]["content"][0]["text"], "t");
    assert_eq!(output[1]["arguments"], "{}");
    assert_eq!(
        (&output[1]["name"], &output[1]["call_id"]),
        (&json!("n"), &json!("c"))
    );
    assert_eq!(output[2]["input"], "x");
    assert_eq!(output[3]["content"][0]["text"], "a");
    assert_eq!(output[3]["content"][1]["refusal"], "no");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-c]{1,3}", any::<String>()]
}

fn any_message() -> impl Strategy<Value = Value> {
    let calls = proptest::collection::vec((any_text(), any_text()), 0..3);
    let parts = proptest::collection::vec(any_text(), 1..3);
    let content = prop_oneof![
        any_text().prop_map(Value::from),
        parts.prop_map(|parts| {
            parts
                .into_iter()
                .map(|text| json!({"type": "text", "text": text}))
                .collect()
        })
    ];
    (content, any_text(), calls).prop_map(|(content, reasoning, calls)| {
        let mut message = json!({"role": "assistant", "content": content, "reasoning": reasoning});
        let calls = calls.into_iter().enumerate().map(|(index, (name, arguments))| {
            json!({"id": format!("c{index}"), "type": "function", "function": {"name": name, "arguments": arguments}})
        });
        let calls: Vec<_> = calls.collect();
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        message
    })
}

proptest! {
    #[test]
    fn any_completion_survives_as_events(messages in proptest::collection::vec(any_message(), 1..4)) {
        let choices = messages.into_iter().enumerate().map(|(index, message)| {
            json!({"index": index, "message": message, "finish_reason": "stop"})
        });
        let document = json!({"object": "chat.completion", "choices": choices.collect::<Vec<_>>()});
        let events = events_of(ChatCompletions, &document);
        prop_assert_eq!(collected(ChatCompletions, &events), Some(document));
    }

    #[test]
    fn cumulative_messages_add_up(versions in proptest::collection::vec(any_message(), 1..4)) {
        // Each version continues the texts of the one before.
        let mut replay = AnswerReplay::new(ChatCompletions);
        let (mut events, mut text) = (Vec::new(), String::new());
        for version in versions {
            text += version["reasoning"].as_str().unwrap();
            let message = json!({"content": text, "role": "assistant"});
            let event = json!({"choices": [{"index": 0, "message": message}]});
            events.extend(replay.events_of(event.to_string().as_bytes()).unwrap());
        }
        let completion = collected(ChatCompletions, &events).unwrap();
        prop_assert_eq!(&completion["choices"][0]["message"]["content"], &json!(text));
    }

    #[test]
    fn any_bytes_are_framed_without_panic(bytes in proptest::collection::vec(prop_oneof![
        Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), Just(b'['), Just(b']'), Just(b'\n'), any::<u8>()
    ], 0..40)) {
        let body = Bytes::from(bytes);
        for object in documents(&body) {
            prop_assert_eq!((object.first(), object.last()), (Some(&b'{'), Some(&b'}')));
        }
        let _ = (sniff(&body), unusable(&body));
        for format in [ChatCompletions, Responses] {
            let _ = completeness(&body, StreamView::new(format));
            let _ = document_to_events(format, &body);
        }
    }
}
