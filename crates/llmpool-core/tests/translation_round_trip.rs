//! Requests for responses as chats and back: what has an equivalent is the same afterwards.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool_core::responses::ResponsesRequest;
use llmpool_core::translate::{self, ChatCapabilities, ReasoningEcho};
use proptest::prelude::*;
use serde_json::{Value, json};

const ENCRYPTED: &str = "reasoning.encrypted_content";
const LOGPROBS: &str = "message.output_text.logprobs";

fn text() -> impl Strategy<Value = Value> {
    "[a-z ]{1,6}".prop_map(Value::from)
}

/// Of anybody but the model. A lone part that is a text comes back as a text.
fn said_to_it() -> impl Strategy<Value = Vec<Value>> {
    let part = prop_oneof![
        text().prop_map(|text| json!({"type": "input_text", "text": text, "cached": true})),
        Just(json!({"type": "input_image", "image_url": "data:x", "detail": "high"})),
        Just(json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}})),
        Just(json!({"type": "input_file", "file_id": "f", "filename": "a.pdf"})),
    ];
    let content = prop_oneof![text(), prop::collection::vec(part, 1..4).prop_map(Value::from)];
    (prop::sample::select(&["user", "developer"][..]), content)
        .prop_map(|(role, content)| vec![json!({"type": "message", "role": role, "content": content})])
}

fn reasoning() -> impl Strategy<Value = Value> {
    let texts = |kind: &'static str| {
        prop::collection::vec(text(), 0..3).prop_map(move |texts| {
            let parts = texts.iter().map(|text| json!({"type": kind, "text": text}));
            parts.collect::<Vec<_>>()
        })
    };
    (
        texts("summary_text"),
        texts("reasoning_text"),
        prop::option::of(text()),
    )
        .prop_map(|(summary, content, encrypted)| {
            let mut item = json!({"type": "reasoning", "summary": summary});
            if !content.is_empty() {
                item["content"] = content.into();
            }
            if let Some(encrypted) = encrypted {
                item["encrypted_content"] = encrypted;
            }
            item
        })
}

/// What the model thought, said and called, and what became of its calls.
fn turn() -> impl Strategy<Value = Vec<Value>> {
    let message = prop::collection::vec(any::<bool>(), 1..3).prop_flat_map(|parts| {
        let parts: Vec<_> = parts.into_iter().map(|_| text()).collect();
        parts.prop_map(|texts| texts.iter().filter_map(Value::as_str).collect::<String>())
    });
    let message = (message, prop::option::of(text())).prop_map(|(said, refusal)| {
        let mut parts = vec![json!({"type": "output_text", "text": said, "annotations": [], "logprobs": []})];
        parts.extend(refusal.map(|refusal| json!({"type": "refusal", "refusal": refusal})));
        json!({"type": "message", "role": "assistant", "content": parts})
    });
    let calls = prop::collection::vec((any::<bool>(), text()), 0..3);
    let thought = prop::collection::vec(reasoning(), 0..3);
    (thought, prop::option::of(message), calls).prop_map(|(thought, message, calls)| {
        let mut turn = if message.is_none() && calls.is_empty() {
            Vec::new()
        } else {
            thought
        };
        turn.extend(message);
        turn.extend(calls.iter().map(|(custom, said)| {
            if *custom {
                json!({"type": "custom_tool_call", "name": "sh", "input": said})
            } else {
                json!({"type": "function_call", "name": "f", "arguments": said})
            }
        }));
        turn.extend(calls.iter().map(|(custom, said)| {
            let kind = if *custom {
                "custom_tool_call_output"
            } else {
                "function_call_output"
            };
            json!({"type": kind, "output": said})
        }));
        turn
    })
}

/// Items of all turns. Ids of calls may come again in another turn, those of reasoning may not.
fn input() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec((said_to_it(), turn()), 1..5).prop_map(|turns| {
        let mut thoughts = 0..;
        let mut items = Vec::new();
        for (asked, mut turn) in turns {
            let (mut calls, mut results) = (0.., 0..);
            for item in &mut turn {
                let kind = item["type"].as_str().unwrap().to_owned();
                match kind.as_str() {
                    "reasoning" => item["id"] = format!("rs_{}", thoughts.next().unwrap()).into(),
                    "message" => {}
                    kind if kind.ends_with("_output") => {
                        item["call_id"] = format!("call_{}", results.next().unwrap()).into();
                    }
                    _ => item["call_id"] = format!("call_{}", calls.next().unwrap()).into(),
                }
            }
            items.extend(asked);
            items.append(&mut turn);
        }
        items
    })
}

fn settings() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    prop::sample::subsequence(
        vec![
            ("instructions", json!("Be brief.")),
            ("temperature", json!(0.5)),
            ("top_p", json!(0.25)),
            ("max_output_tokens", json!(50)),
            ("parallel_tool_calls", json!(false)),
            ("reasoning", json!({"effort": "high"})),
            (
                "text",
                json!({"format": {"type": "json_object"}, "verbosity": "low"}),
            ),
            (
                "text",
                json!({"format": {"type": "json_schema", "name": "a", "description": "d", "schema": {"type": "object"}, "strict": false, "x": 1}}),
            ),
            ("tool_choice", json!("required")),
            ("tool_choice", json!({"type": "custom", "name": "sh"})),
            (
                "tool_choice",
                json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}),
            ),
            (
                "tools",
                json!([{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true, "x": 1}, {"type": "custom", "name": "sh",
                    "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}]),
            ),
            ("metadata", json!({"a": "b"})),
            ("service_tier", json!("flex")),
            ("user", json!("u")),
            ("safety_identifier", json!("s")),
            ("prompt_cache_key", json!("k")),
            ("stream", json!(true)),
            ("unknown", json!([1])),
        ],
        0..12,
    )
}

fn a_request() -> impl Strategy<Value = Value> {
    (input(), settings(), any::<bool>(), prop::option::of(0..5_u32)).prop_map(
        |(items, settings, keeps, logprobs)| {
            let mut request = json!({"model": "m", "store": keeps});
            for (name, value) in settings {
                request[name] = value;
            }
            let thinks =
                request.get("reasoning").is_some() || items.iter().any(|item| item["type"] == "reasoning");
            let mut include = Vec::new();
            if let Some(top) = logprobs {
                include.push(LOGPROBS);
                request["top_logprobs"] = top.into();
            }
            if thinks && !keeps {
                include.push(ENCRYPTED);
            }
            if !include.is_empty() {
                request["include"] = json!(include);
            }
            request["input"] = items.into();
            request
        },
    )
}

/// What is not kept and has nothing but an id is not sent.
fn is_but_an_id(item: &Value) -> bool {
    item["type"] == "reasoning"
        && item["summary"] == json!([])
        && item.get("content").is_none()
        && item.get("encrypted_content").is_none()
}

proptest! {
    // O20
    #[test]
    fn a_request_for_a_response_that_is_translated_twice_is_the_same(mut request in a_request()) {
        let asked: ResponsesRequest = serde_json::from_str(&request.to_string()).unwrap();
        let accent = ChatCapabilities { reasoning_echo: ReasoningEcho::Details, ..ChatCapabilities::default() };
        let there = translate::responses_request_to_chat(&asked, accent).unwrap();
        prop_assert_eq!(&there.dropped, &[] as &[String]);
        let back = translate::chat_request_to_responses(&there.request).unwrap();
        if request["store"] == false {
            let items = request["input"].as_array_mut().unwrap();
            items.retain(|item| !is_but_an_id(item));
        } else {
            prop_assert_eq!(&back.dropped, &[] as &[String]);
        }
        prop_assert_eq!(serde_json::to_value(&back.request).unwrap(), request);
    }
}
