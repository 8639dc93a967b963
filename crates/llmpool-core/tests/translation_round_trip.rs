//! Requests that are translated to the other format and back: everything with an equivalent is unchanged.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool_core::chat::ChatRequest;
use llmpool_core::responses::ResponsesRequest;
use llmpool_core::translate::{self, ChatCapabilities, ReasoningEcho};
use proptest::prelude::*;
use serde_json::{Value, json};

const ENCRYPTED: &str = "reasoning.encrypted_content";
const LOGPROBS: &str = "message.output_text.logprobs";

fn text() -> impl Strategy<Value = Value> {
    "[a-z ]{1,6}".prop_map(Value::from)
}

/// Returns a message that the model did not write. Its text parts have an unknown member: a single part without one would come back as a
/// string.
fn input_message() -> impl Strategy<Value = Vec<Value>> {
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

/// Returns reasoning, message and tool calls of the model, and the outputs of the calls.
fn turn() -> impl Strategy<Value = Vec<Value>> {
    let message = prop::collection::vec(any::<bool>(), 1..3).prop_flat_map(|parts| {
        let parts: Vec<_> = parts.into_iter().map(|_| text()).collect();
        parts.prop_map(|texts| texts.iter().filter_map(Value::as_str).collect::<String>())
    });
    let message = (message, prop::option::of(text())).prop_map(|(text, refusal)| {
        let mut parts = vec![json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})];
        parts.extend(refusal.map(|refusal| json!({"type": "refusal", "refusal": refusal})));
        json!({"type": "message", "role": "assistant", "content": parts})
    });
    let calls = prop::collection::vec((any::<bool>(), text()), 0..3);
    let reasoning = prop::collection::vec(reasoning(), 0..3);
    (reasoning, prop::option::of(message), calls).prop_map(|(reasoning, message, calls)| {
        let mut turn = if message.is_none() && calls.is_empty() {
            Vec::new()
        } else {
            reasoning
        };
        turn.extend(message);
        turn.extend(calls.iter().map(|(custom, text)| {
            if *custom {
                json!({"type": "custom_tool_call", "name": "sh", "input": text})
            } else {
                json!({"type": "function_call", "name": "f", "arguments": text})
            }
        }));
        turn.extend(calls.iter().map(|(custom, text)| {
            let kind = if *custom {
                "custom_tool_call_output"
            } else {
                "function_call_output"
            };
            json!({"type": kind, "output": text})
        }));
        turn
    })
}

/// Returns the items of several turns. Call ids can repeat in another turn, ids of reasoning cannot.
fn input() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec((input_message(), turn()), 1..5).prop_map(|turns| {
        let mut reasoning_ids = 0..;
        let mut items = Vec::new();
        for (message, mut turn) in turns {
            let (mut call_ids, mut output_ids) = (0.., 0..);
            for item in &mut turn {
                let kind = item["type"].as_str().unwrap().to_owned();
                match kind.as_str() {
                    "reasoning" => item["id"] = format!("rs_{}", reasoning_ids.next().unwrap()).into(),
                    "message" => {}
                    kind if kind.ends_with("_output") => {
                        item["call_id"] = format!("call_{}", output_ids.next().unwrap()).into();
                    }
                    _ => item["call_id"] = format!("call_{}", call_ids.next().unwrap()).into(),
                }
            }
            items.extend(message);
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

fn responses_request() -> impl Strategy<Value = Value> {
    (input(), settings(), any::<bool>(), prop::option::of(0..5_u32)).prop_map(
        |(items, settings, is_stored, logprobs)| {
            let mut request = json!({"model": "m", "store": is_stored});
            for (name, value) in settings {
                request[name] = value;
            }
            let has_reasoning =
                request.get("reasoning").is_some() || items.iter().any(|item| item["type"] == "reasoning");
            let mut include = Vec::new();
            if let Some(top) = logprobs {
                include.push(LOGPROBS);
                request["top_logprobs"] = top.into();
            }
            if has_reasoning && !is_stored {
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

/// Returns whether a reasoning item has only an id. Such items are not sent unless the response is stored.
fn has_only_id(item: &Value) -> bool {
    item["type"] == "reasoning"
        && item["summary"] == json!([])
        && item.get("content").is_none()
        && item.get("encrypted_content").is_none()
}

fn chat_request() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        text().prop_map(|text| json!({"type": "text", "text": text})),
        Just(json!({"type": "image_url", "image_url": {"url": "data:x", "detail": "high"}})),
        Just(json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}})),
        Just(json!({"type": "file", "file": {"file_id": "f"}})),
    ];
    let content = prop_oneof![text(), prop::collection::vec(part, 2..4).prop_map(Value::from)];
    let user = (prop::sample::select(&["user", "developer"][..]), content)
        .prop_map(|(role, content)| json!([{"role": role, "content": content}]));
    let reasoning =
        json!([{"type": "reasoning.encrypted", "data": "gA", "id": "rs_1", "format": "openai-responses-v1"}]);
    let turn = (prop::option::of(text()), any::<bool>(), any::<bool>(), text()).prop_map(
        move |(text, has_reasoning, has_custom_call, result)| {
            // Without text and reasoning, the calls would join the preceding message.
            let text = if has_reasoning {
                text
            } else {
                text.or(Some("so".into()))
            };
            let mut message = json!({"role": "assistant", "content": text});
            if has_reasoning {
                message["reasoning_details"] = reasoning.clone();
            }
            let mut calls = vec![
                json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{"}}),
            ];
            if has_custom_call {
                calls
                    .push(json!({"id": "call_2", "type": "custom", "custom": {"name": "sh", "input": "ls"}}));
            }
            message["tool_calls"] = calls.clone().into();
            let results = calls
                .iter()
                .map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": result}));
            let mut turn = vec![message];
            turn.extend(results);
            Value::from(turn)
        },
    );
    let answer = (text(), prop::option::of(text())).prop_map(|(text, refusal)| {
        let mut message = json!({"role": "assistant", "content": text});
        if let Some(refusal) = refusal {
            message["refusal"] = refusal;
        }
        json!([message])
    });
    let settings = prop::sample::subsequence(
        vec![
            ("temperature", json!(0.5)),
            ("top_p", json!(0.25)),
            ("max_completion_tokens", json!(50)),
            ("parallel_tool_calls", json!(false)),
            ("reasoning_effort", json!("high")),
            ("verbosity", json!("low")),
            ("metadata", json!({"a": "b"})),
            ("service_tier", json!("flex")),
            ("user", json!("u")),
            ("safety_identifier", json!("s")),
            ("prompt_cache_key", json!("k")),
            ("logprobs", json!(true)),
            ("tool_choice", json!("required")),
            ("tool_choice", json!({"type": "custom", "custom": {"name": "sh"}})),
            ("response_format", json!({"type": "json_object"})),
            (
                "response_format",
                json!({"type": "json_schema", "json_schema": {"name": "a", "description": "d", "schema": {"type": "object"}, "strict": false}}),
            ),
            (
                "tools",
                json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": false}}, {"type": "custom", "custom": {"name": "sh"}}]),
            ),
            ("unknown", json!([1])),
        ],
        0..10,
    );
    let turns = prop::collection::vec(prop_oneof![user, turn, answer], 1..6);
    (any::<bool>(), turns, settings).prop_map(|(has_system, turns, settings)| {
        let mut messages = Vec::new();
        if has_system {
            messages.push(json!({"role": "system", "content": "Be brief."}));
        }
        messages.extend(
            turns
                .into_iter()
                .flat_map(|turn| turn.as_array().unwrap().clone()),
        );
        let mut chat = json!({"model": "m", "messages": messages, "store": false});
        for (name, value) in settings {
            chat[name] = value;
        }
        chat
    })
}

/// Removes the settings that only providers with OpenAI's extensions accept.
fn without_extensions(request: &mut Value) {
    const EXTENSIONS: [&str; 6] = [
        "store",
        "metadata",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "verbosity",
    ];
    const WITHIN: [&str; 3] = ["verbosity", "custom", "allowed_tools"];
    request.as_object_mut().unwrap().retain(|name, value| {
        let value = value.to_string();
        let is_conversation = ["messages", "input"].contains(&name.as_str());
        let is_extension =
            EXTENSIONS.contains(&name.as_str()) || WITHIN.iter().any(|word| value.contains(word));
        is_conversation || !is_extension
    });
}

/// Turns a Responses request into one to Gemini: without OpenAI's extensions, with `extra_content` in the messages and calls of the model.
fn responses_request_to_gemini(mut request: Value) -> Value {
    without_extensions(&mut request);
    for (number, item) in request["input"].as_array_mut().unwrap().iter_mut().enumerate() {
        let kind = item["type"].as_str().unwrap().replace("custom_tool", "function");
        if let Some(input) = item.as_object_mut().unwrap().remove("input") {
            item["arguments"] = input;
        }
        if kind == "function_call" || item["role"] == "assistant" {
            item["extra_content"] = json!({"google": {"thought_signature": number}});
        }
        item["type"] = kind.into();
    }
    request
}

/// The same for a chat. A message without text has no `extra_content`: a response has no item for it.
fn chat_request_to_gemini(mut chat: Value) -> Value {
    without_extensions(&mut chat);
    for (number, message) in chat["messages"].as_array_mut().unwrap().iter_mut().enumerate() {
        let extra = json!({"google": {"thought_signature": number}});
        if message["role"] == "assistant" && message["content"].is_string() {
            message["extra_content"] = extra.clone();
        }
        for call in message
            .get_mut("tool_calls")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(custom) = call.as_object_mut().unwrap().remove("custom") {
                *call = json!({"id": call["id"], "type": "function", "function": {"name": custom["name"], "arguments": custom["input"]}});
            }
            call["extra_content"] = extra.clone();
        }
    }
    chat
}

fn gemini() -> ChatCapabilities {
    ChatCapabilities {
        openai_extensions: false,
        reasoning_echo: ReasoningEcho::Details,
        ..ChatCapabilities::default()
    }
}

proptest! {
    #[test]
    fn responses_request_to_gemini_and_back_is_unchanged(mut request in responses_request().prop_map(responses_request_to_gemini)) {
        let original: ResponsesRequest = serde_json::from_str(&request.to_string()).unwrap();
        let translated = translate::responses_request_to_chat(&original, gemini()).unwrap();
        prop_assert_eq!(&translated.dropped, &[] as &[String]);
        let back = translate::chat_request_to_responses(&translated.request).unwrap();
        request["input"].as_array_mut().unwrap().retain(|item| !has_only_id(item));
        prop_assert_eq!(serde_json::to_value(&back.request).unwrap()["input"].take(), request["input"].take());
    }

    #[test]
    fn chat_request_of_gemini_translated_to_responses_and_back_is_unchanged(chat in chat_request().prop_map(chat_request_to_gemini)) {
        let original: ChatRequest = serde_json::from_str(&chat.to_string()).unwrap();
        let translated = translate::chat_request_to_responses(&original).unwrap();
        prop_assert_eq!(&translated.dropped, &[] as &[String]);
        let back = translate::responses_request_to_chat(&translated.request, gemini()).unwrap();
        prop_assert_eq!(&back.dropped, &[] as &[String]);
        prop_assert_eq!(serde_json::to_value(&back.request).unwrap(), chat);
    }

    // O20
    #[test]
    fn responses_request_translated_to_chat_and_back_is_unchanged(mut request in responses_request()) {
        let original: ResponsesRequest = serde_json::from_str(&request.to_string()).unwrap();
        let capabilities = ChatCapabilities { reasoning_echo: ReasoningEcho::Details, ..ChatCapabilities::default() };
        let translated = translate::responses_request_to_chat(&original, capabilities).unwrap();
        prop_assert_eq!(&translated.dropped, &[] as &[String]);
        let back = translate::chat_request_to_responses(&translated.request).unwrap();
        if request["store"] == false {
            let items = request["input"].as_array_mut().unwrap();
            items.retain(|item| !has_only_id(item));
        } else {
            prop_assert_eq!(&back.dropped, &[] as &[String]);
        }
        prop_assert_eq!(serde_json::to_value(&back.request).unwrap(), request);
    }

    // O20
    #[test]
    fn chat_request_translated_to_responses_and_back_is_unchanged(chat in chat_request()) {
        let translated = translate::chat_request_to_responses(&serde_json::from_str::<ChatRequest>(&chat.to_string()).unwrap()).unwrap();
        prop_assert_eq!(&translated.dropped, &[] as &[String]);
        let capabilities = ChatCapabilities { reasoning_echo: ReasoningEcho::Details, ..ChatCapabilities::default() };
        let back = translate::responses_request_to_chat(&translated.request, capabilities).unwrap();
        prop_assert_eq!(&back.dropped, &[] as &[String]);
        prop_assert_eq!(serde_json::to_value(&back.request).unwrap(), chat);
    }
}
