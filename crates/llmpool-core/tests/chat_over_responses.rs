//! Translation for a chat client over a Responses target: the request, the complete response, and the stream.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool_core::api_format::ApiFormat;
use llmpool_core::chat::{Assembler, ChatChunk, ChatCompletion, ChatRequest};
use llmpool_core::responses::{Response, ResponseEvent};
use llmpool_core::sse::SseEvent;
use llmpool_core::stream_view::StreamView;
use llmpool_core::translate::{self, EventError, EventToChunkTranslator};
use proptest::prelude::*;
use serde_json::{Value, json};

fn chat(value: &Value) -> ChatRequest {
    serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{error} in {value}"))
}

/// Returns the translated request and the paths of dropped fields.
fn translate_request(value: &Value) -> (Value, Vec<String>) {
    let translated = translate::chat_request_to_responses(&chat(value))
        .unwrap_or_else(|error| panic!("{error} in {value}"));
    (
        serde_json::to_value(&translated.request).unwrap(),
        translated.dropped,
    )
}

// O20, O21, O22
#[test]
fn chat_request_fields_are_mapped_to_responses() {
    let (request, dropped) = translate_request(&json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://h/i.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
            ]},
            {"role": "assistant", "content": "Let me see.", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{not json"}},
                {"id": "call_2", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "one"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "two"}]},
            {"role": "developer", "content": "Now."},
            {"role": "user", "content": "And?"},
        ],
        "max_completion_tokens": 100, "temperature": 0.5, "top_p": 0.9, "parallel_tool_calls": false,
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}},
            {"type": "function", "function": {"name": "g"}},
            {"type": "custom", "custom": {"name": "sh", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": true}},
        "verbosity": "low", "reasoning_effort": "high", "reasoning": {"summary": "auto"},
        "logprobs": true, "top_logprobs": 3, "stream": true, "stream_options": {"include_usage": true},
        "metadata": {"a": "b"}, "service_tier": "flex", "safety_identifier": "s", "prompt_cache_key": "k", "user": "u",
        "new_field": {"x": 1.50},
    }));
    assert_eq!(dropped, [] as [&str; 0]);
    assert_eq!(
        request,
        json!({
            "model": "m",
            "instructions": "Be brief.",
            "input": [
                {"type": "message", "role": "user", "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "https://h/i.png", "detail": "low"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
                    {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
                ]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see.", "annotations": [], "logprobs": []}]},
                {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{not json"},
                {"type": "custom_tool_call", "call_id": "call_2", "name": "sh", "input": "ls"},
                {"type": "function_call_output", "call_id": "call_1", "output": "one"},
                {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "two"}]},
                {"type": "message", "role": "developer", "content": "Now."},
                {"type": "message", "role": "user", "content": "And?"},
            ],
            "max_output_tokens": 100, "temperature": 0.5, "top_p": 0.9, "parallel_tool_calls": false,
            "tools": [
                {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true},
                {"type": "function", "name": "g", "parameters": {"type": "object", "properties": {}}, "strict": false},
                {"type": "custom", "name": "sh", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
            ],
            "tool_choice": {"type": "function", "name": "f"},
            "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": true}, "verbosity": "low"},
            "reasoning": {"effort": "high", "summary": "auto"},
            "include": ["message.output_text.logprobs", "reasoning.encrypted_content"], "top_logprobs": 3,
            "store": false, "stream": true,
            "metadata": {"a": "b"}, "service_tier": "flex", "safety_identifier": "s", "prompt_cache_key": "k", "user": "u",
            "new_field": {"x": 1.50},
        })
    );
}

#[test]
fn single_leading_system_message_becomes_instructions() {
    let messages = |roles: &[&str]| {
        let messages: Vec<Value> = roles
            .iter()
            .map(|role| json!({"role": role, "content": "x"}))
            .collect();
        let (request, _) = translate_request(&json!({"messages": messages}));
        (
            request["instructions"].is_string(),
            request["input"].as_array().unwrap().len(),
        )
    };
    assert_eq!(messages(&["system", "user"]), (true, 1));
    assert_eq!(messages(&["system", "system", "user"]), (false, 3));
    assert_eq!(messages(&["user", "system"]), (false, 2));
    assert_eq!(messages(&["developer", "user"]), (false, 2));
}

// O21
#[test]
fn unsupported_chat_fields_are_refused_by_path() {
    let user = json!([{"role": "user", "content": "x"}]);
    for (member, value) in [
        ("n", json!(2)),
        ("stop", json!("x")),
        ("stop", json!(["x"])),
        ("logit_bias", json!({"1": 5})),
        ("modalities", json!(["text", "audio"])),
        ("audio", json!({"voice": "v"})),
        ("web_search_options", json!({})),
        ("functions", json!([{"name": "f"}])),
        ("function_call", json!("auto")),
        ("response_format.type", json!({"type": "odd"})),
        (
            "response_format.json_schema.schema",
            json!({"type": "json_schema", "json_schema": {"name": "a"}}),
        ),
        ("tools[0].type", json!([{"type": "odd"}])),
        ("tool_choice.type", json!({"type": "odd"})),
    ] {
        let name = member.split(['.', '[']).next().unwrap();
        let refused =
            translate::chat_request_to_responses(&chat(&json!({"messages": user, name: value}))).unwrap_err();
        assert_eq!(refused.param, member, "{refused}");
    }
    for (param, message) in [
        (
            "messages[0].role",
            json!({"role": "function", "name": "f", "content": "x"}),
        ),
        ("messages[0].role", json!({"content": "x"})),
        (
            "messages[0].tool_call_id",
            json!({"role": "tool", "content": "x"}),
        ),
        (
            "messages[0].tool_calls[0]",
            json!({"role": "assistant", "tool_calls": [{"id": "", "function": {"name": "f"}}]}),
        ),
        (
            "messages[0].audio",
            json!({"role": "assistant", "audio": {"id": "a"}}),
        ),
        (
            "messages[0].content[0]",
            json!({"role": "user", "content": [{"type": "odd"}]}),
        ),
        (
            "messages[0].tool_calls[0]",
            json!({"role": "assistant", "tool_calls": [{"id": "c", "type": "odd"}]}),
        ),
        (
            "messages[0].tool_calls[0]",
            json!({"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}),
        ),
    ] {
        let refused =
            translate::chat_request_to_responses(&chat(&json!({"messages": [message]}))).unwrap_err();
        assert_eq!(refused.param, param, "{refused}");
    }
}

#[test]
fn harmless_chat_fields_are_dropped_and_reported() {
    let (request, dropped) = translate_request(&json!({
        "messages": [
            {"role": "user", "name": "ann", "content": "x"},
            {"role": "assistant", "content": "y", "reasoning_content": "hm"},
        ],
        "n": 1, "stop": [], "logit_bias": {}, "modalities": ["text"], "frequency_penalty": 0.0,
        "seed": 7, "presence_penalty": 0.5, "max_tokens": 5, "store": true,
    }));
    let names = [
        "messages[0].name",
        "messages[1].reasoning_content",
        "max_tokens: raised to 16, the minimum",
        "seed",
        "presence_penalty",
    ];
    assert_eq!(dropped, names);
    assert_eq!(
        (&request["max_output_tokens"], &request["store"]),
        (&json!(16), &json!(true))
    );
}

#[test]
fn encrypted_reasoning_is_requested_if_not_stored() {
    let is_requested = |more: Value| {
        let mut chat = json!({"messages": [{"role": "user", "content": "x"}]});
        chat.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        translate_request(&chat).0["include"] == json!(["reasoning.encrypted_content"])
    };
    assert!(is_requested(json!({"reasoning_effort": "low"})));
    assert!(is_requested(json!({"reasoning": {"summary": "auto"}})));
    assert!(is_requested(
        json!({"reasoning_effort": "low", "include": ["reasoning.encrypted_content"]})
    ));
    // Models without reasoning refuse this value of `include`.
    assert!(!is_requested(json!({})));
    assert!(!is_requested(json!({"reasoning_effort": "none"})));
    assert!(!is_requested(json!({"reasoning_effort": "low", "store": true})));
}

#[test]
fn responses_fields_in_chat_request_are_adopted_once() {
    let (request, dropped) = translate_request(&json!({
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "x"}],
        "logprobs": true, "include": ["reasoning.encrypted_content"], "instructions": "i", "truncation": "auto",
        "verbosity": "low", "text": {"format": {"type": "text"}, "verbosity": "high", "x": 1},
        "max_tokens": 100, "max_output_tokens": 50, "top_k": 5,
    }));
    assert_eq!(dropped, ["max_output_tokens", "text.verbosity"]);
    assert_eq!(
        request,
        json!({
            "instructions": "i", "truncation": "auto", "top_k": 5, "max_output_tokens": 100, "store": false,
            "input": [{"type": "message", "role": "system", "content": "s"}, {"type": "message", "role": "user", "content": "x"}],
            "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
            "text": {"format": {"type": "text"}, "verbosity": "low", "x": 1},
        })
    );
    for (param, value) in [
        ("input", json!("y")),
        ("include", json!("x")),
        ("reasoning", json!("much")),
    ] {
        let request = chat(&json!({"messages": [{"role": "user", "content": "x"}], param: value}));
        assert_eq!(
            translate::chat_request_to_responses(&request).unwrap_err().param,
            param
        );
    }
}

/// Each request contains `MARK` in one member. Either the translated request contains it, or the path of the member is reported.
// O21
#[test]
fn every_chat_request_member_is_kept_or_reported() {
    let user = json!([{"role": "user", "content": "x"}]);
    let of_user = |members: Value| message_with(json!({"role": "user", "content": "a"}), members);
    let of_model = |members: Value| message_with(json!({"role": "assistant", "content": "a"}), members);
    let of_tool = |members: Value| {
        message_with(
            json!({"role": "tool", "tool_call_id": "c", "content": "a"}),
            members,
        )
    };
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}", "x": "MARK"}, "y": "MARK"});
    let own =
        json!({"type": "reasoning.encrypted", "data": "g", "id": "rs", "format": "openai-responses-v1"});
    for (name, value) in [
        (
            "messages[0].content[0].prompt_cache",
            of_user(json!({"content": [{"type": "text", "text": "a", "prompt_cache": "MARK"}]})),
        ),
        (
            "messages[0].content[0].image_url.format",
            of_user(json!({"content": [{"type": "image_url", "image_url": {"url": "u", "format": "MARK"}}]})),
        ),
        (
            "messages[0].content[0].file_id",
            of_user(
                json!({"content": [{"type": "image_url", "image_url": {"url": "u"}, "file_id": "MARK"}]}),
            ),
        ),
        (
            "messages[0].content[0].file.x",
            of_user(json!({"content": [{"type": "file", "file": {"file_id": "u", "x": "MARK"}}]})),
        ),
        (
            "messages[0].tool_call_id",
            of_user(json!({"tool_call_id": "MARK"})),
        ),
        ("messages[0].refusal", of_user(json!({"refusal": "MARK"}))),
        (
            "messages[0].cache_control",
            of_user(json!({"cache_control": "MARK"})),
        ),
        (
            "messages[0].cache_control",
            of_tool(json!({"cache_control": "MARK"})),
        ),
        ("messages[0].status", of_tool(json!({"status": "MARK"}))),
        ("messages[0].prefix", of_model(json!({"prefix": "MARK"}))),
        (
            "messages[0].annotations",
            of_model(json!({"annotations": [{"type": "MARK"}]})),
        ),
        (
            "messages[0].content[0].x",
            of_model(json!({"content": [{"type": "text", "text": "a", "x": "MARK"}]})),
        ),
        (
            "messages[0].tool_calls[0].y",
            of_model(json!({"tool_calls": [call]})),
        ),
        (
            "messages[0].tool_calls[0].function.x",
            of_model(json!({"tool_calls": [call]})),
        ),
        (
            "messages[0].reasoning_content",
            of_model(json!({"reasoning_content": "MARK", "reasoning_details": [own]})),
        ),
        (
            "messages[0].reasoning_details",
            of_model(json!({"reasoning_details": [own, {"type": "reasoning.text", "text": "MARK"}]})),
        ),
        ("top_logprobs", json!({"messages": user, "top_logprobs": 7})),
        (
            "tools[0].cache_control",
            json!({"messages": user, "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": "MARK"}]}),
        ),
        (
            "tools[0].x",
            json!({"messages": user, "tools": [{"type": "custom", "custom": {"name": "f"}, "x": "MARK"}]}),
        ),
        (
            "tools[0].function.x",
            json!({"messages": user, "tools": [{"type": "function", "function": {"name": "f", "x": "MARK"}}]}),
        ),
        (
            "tool_choice.x",
            json!({"messages": user, "tool_choice": {"type": "function", "function": {"name": "f"}, "x": "MARK"}}),
        ),
        (
            "response_format.x",
            json!({"messages": user, "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}, "x": "MARK"}}),
        ),
        (
            "stream_options.x",
            json!({"messages": user, "stream": true, "stream_options": {"x": "MARK"}}),
        ),
    ] {
        let (request, dropped) = translate_request(&value);
        assert!(
            request.to_string().contains("MARK") != dropped.iter().any(|path| path == name),
            "{name}: translated to {request}, dropped {dropped:?}"
        );
    }
}

fn message_with(mut message: Value, members: Value) -> Value {
    let Value::Object(members) = members else {
        panic!("{members}")
    };
    message.as_object_mut().unwrap().extend(members);
    json!({ "messages": [message] })
}

#[test]
fn numbers_out_of_range_keep_their_notation() {
    let chat = r#"{"messages":[{"role":"user","content":"x"}],"stream_options":{"include_obfuscation":1e999},"top_k":1e999}"#;
    let chat: ChatRequest = serde_json::from_str(chat).unwrap();
    let request =
        serde_json::to_string(&translate::chat_request_to_responses(&chat).unwrap().request).unwrap();
    assert_eq!(request.matches("1e999").count(), 2, "{request}");
}

fn response(value: Value) -> Response {
    Response::decode(value.to_string().as_bytes()).unwrap()
}

fn translate_response(value: Value) -> Value {
    serde_json::to_value(translate::response_to_completion(response(value)).unwrap()).unwrap()
}

// O17, O23, L67
#[test]
fn response_fields_are_mapped_to_completion() {
    let completion = translate_response(json!({
        "id": "resp_1", "object": "response", "created_at": 17.0, "status": "completed", "model": "m", "service_tier": "default",
        "metadata": {"a": "b"},
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}], "encrypted_content": "gAAA"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "Hi ", "annotations": [{"type": "url_citation", "url": "https://h", "title": "t", "start_index": 0, "end_index": 2}],
                 "logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]},
                {"type": "output_text", "text": "you", "annotations": []},
                {"type": "refusal", "refusal": "No."},
            ]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "completed"},
            {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_2", "name": "sh", "input": "ls"},
        ],
        "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1}, "output_tokens": 7,
                  "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 12},
    }));
    assert_eq!(
        completion,
        json!({
            "id": "resp_1", "object": "chat.completion", "created": 17, "model": "m", "service_tier": "default", "metadata": {"a": "b"},
            "choices": [{"index": 0, "finish_reason": "tool_calls",
                "logprobs": {"content": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}], "refusal": null},
                "message": {
                    "role": "assistant", "content": "Hi you", "refusal": "No.", "reasoning_content": "One.\n\nTwo.",
                    "reasoning_details": [
                        {"type": "reasoning.summary", "summary": "One.", "id": "rs_1", "format": "openai-responses-v1"},
                        {"type": "reasoning.summary", "summary": "Two.", "id": "rs_1", "format": "openai-responses-v1"},
                        {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "format": "openai-responses-v1"},
                    ],
                    "annotations": [{"type": "url_citation", "url_citation": {"url": "https://h", "title": "t", "start_index": 0, "end_index": 2}}],
                    "tool_calls": [
                        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                        {"id": "call_2", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
                    ],
                }}],
            "usage": {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1}, "completion_tokens": 7,
                      "completion_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 12},
        })
    );
}

#[test]
fn reasoning_items_are_restored_in_the_next_turn() {
    let reasoning = json!([
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "One."}], "encrypted_content": "gAAA"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
        {"type": "reasoning", "id": "rs_3", "summary": []},
    ]);
    let mut output = reasoning.as_array().unwrap().clone();
    output.push(
        json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}),
    );
    let completion = translate_response(json!({"id": "r", "status": "completed", "output": output}));
    let chat = |store: bool| json!({"store": store, "messages": [completion["choices"][0]["message"]]});
    let (request, dropped) = translate_request(&chat(true));
    assert_eq!(dropped, [] as [&str; 0]);
    assert_eq!(
        request["input"].as_array().unwrap()[..3],
        reasoning.as_array().unwrap()[..]
    );
    // If the response is not stored, encrypted reasoning is requested, and an item that has only an id is left out.
    let (request, dropped) = translate_request(&chat(false));
    assert_eq!(dropped, ["messages[0].reasoning_details"]);
    assert_eq!(request["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!(
        request["input"].as_array().unwrap()[..2],
        reasoning.as_array().unwrap()[..2]
    );
    assert_eq!(request["input"][2]["type"], "function_call");
}

#[test]
fn malformed_reasoning_details_are_reported_as_dropped() {
    for details in [json!("text"), json!({"type": "reasoning.text"})] {
        let (request, dropped) = translate_request(&json!({
            "messages": [{"role": "assistant", "content": "a", "reasoning_details": details}],
        }));
        assert_eq!(dropped, ["messages[0].reasoning_details"], "{request}");
    }
}

// L76
#[test]
fn response_status_determines_finish_reason() {
    let finish = |status: &str, reason: Value, output: Value| {
        let details = if reason.is_null() {
            Value::Null
        } else {
            json!({"reason": reason})
        };
        translate_response(json!({"status": status, "incomplete_details": details, "output": output}))["choices"][0]["finish_reason"].clone()
    };
    let call = json!([{"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}]);
    let message =
        json!([{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ""}]}]);
    assert_eq!(finish("completed", Value::Null, message), "stop");
    assert_eq!(finish("completed", Value::Null, call.clone()), "tool_calls");
    assert_eq!(
        finish("incomplete", json!("max_output_tokens"), json!([])),
        "length"
    );
    assert_eq!(
        finish("incomplete", json!("content_filter"), json!([])),
        "content_filter"
    );
    assert_eq!(finish("incomplete", json!("max_output_tokens"), call), "length");
    let failed = response(
        json!({"status": "failed", "error": {"code": "server_error", "message": "m"}, "output": []}),
    );
    assert_eq!(
        translate::response_to_completion(failed)
            .unwrap_err()
            .code
            .as_deref(),
        Some("server_error")
    );
    let cut = translate_response(json!({"status": "incomplete", "output": []}));
    assert_eq!(
        cut["choices"][0]["message"]["content"],
        Value::Null,
        "without a message item the content is null"
    );
    assert_eq!(cut.get("usage"), None, "unreported usage is absent");
}

#[test]
fn complete_response_without_readable_output_is_an_error() {
    let message =
        |content: Value| json!([{"type": "message", "id": "m", "role": "assistant", "content": content}]);
    for output in [
        message(json!([])),
        message(json!([{"type": "output_text", "text": 5}])),
        message(json!([{"type": "output_audio"}])),
        message(json!(5)),
        json!([]),
        Value::Null,
        json!([{"type": "mcp_approval_request", "id": "a", "arguments": "{}", "name": "n", "server_label": "s"}]),
        json!([{"type": "future_item", "text": "x"}]),
    ] {
        let response = json!({"status": "completed", "output": output});
        let plain = translate::response_to_completion(serde_json::from_value(response.clone()).unwrap());
        assert_eq!(
            plain.unwrap_err().detail(),
            "a response without output that a chat can contain"
        );
        let event = json!({"type": "response.completed", "response": response});
        let mut translator = EventToChunkTranslator::new();
        assert!(
            translator.push_data(event.to_string().as_bytes(), None).is_err(),
            "{output}"
        );
        let mut translator = EventToChunkTranslator::new();
        let done = json!({"type": "response.output_item.done", "output_index": 0, "item": output[0]});
        let empty = json!({"type": "response.completed", "response": {"status": "completed", "output": []}});
        translator.push_data(done.to_string().as_bytes(), None).unwrap();
        assert!(
            translator.push_data(empty.to_string().as_bytes(), None).is_err(),
            "{output}"
        );
    }
}

/// Returns the data of an event with its type first, as servers send it.
fn event_data(event: &Value) -> String {
    let mut rest = event.clone();
    let kind = rest.as_object_mut().unwrap().remove("type").unwrap();
    let rest = rest.to_string();
    let comma = if rest == "{}" { "" } else { "," };
    format!("{{\"type\":{kind}{comma}{}", &rest[1..])
}

fn assemble(events: &[Value]) -> ChatCompletion {
    let (mut translator, mut read, mut assembler) = (
        EventToChunkTranslator::new(),
        EventToChunkTranslator::new(),
        Assembler::new(),
    );
    let mut view = StreamView::new(ApiFormat::Responses);
    for event in events {
        let data = event_data(event);
        let observation = view.observe(&SseEvent {
            data: data.clone().into(),
            name: None,
        });
        translator
            .push_data(data.as_bytes(), observation.repeat.as_ref())
            .unwrap();
        read.push(ResponseEvent::decode(data.as_bytes()).unwrap())
            .unwrap();
        let (chunks, same) = (take_chunks(&mut translator), take_chunks(&mut read));
        assert_eq!(
            chunks, same,
            "the fast path and the full decoder give the same chunks"
        );
        for chunk in chunks {
            // Encoded and decoded, as on the wire.
            let wire = serde_json::to_string(&chunk).unwrap();
            assembler.push(serde_json::from_str(&wire).unwrap());
        }
    }
    assert!(translator.is_finished());
    assembler.finish()
}

/// Returns the chunks of a single event.
fn push_event(translator: &mut EventToChunkTranslator, event: &Value) -> Result<Vec<ChatChunk>, EventError> {
    translator.push_data(event_data(event).as_bytes(), None)?;
    Ok(take_chunks(translator))
}

fn take_chunks(translator: &mut EventToChunkTranslator) -> Vec<ChatChunk> {
    std::iter::from_fn(|| translator.next_chunk()).collect()
}

/// Removes null members: they are written in a complete answer and absent from a stream.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// Which members and events the stream contains.
#[derive(Clone, Copy, Debug)]
struct StreamContents {
    ids: bool,
    indexes: bool,
    item_starts: bool,
    deltas: bool,
    /// Complete items; without them only the final output contains the item.
    items: bool,
}

fn contents() -> impl Strategy<Value = StreamContents> {
    (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(ids, indexes, item_starts, deltas, items)| StreamContents {
            // The items follow one another, because interleaved items could not be told apart without ids and indexes.
            ids,
            indexes,
            item_starts,
            deltas,
            items,
        })
}

/// Returns an output item of a kind from 0 to 5 whose text is the joined pieces.
fn item(number: usize, kind: u8, pieces: &[String]) -> Value {
    let whole = pieces.concat();
    match kind {
        0 => {
            json!({"type": "message", "id": format!("msg_{number}"), "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": whole, "annotations": []}]})
        }
        1 => {
            json!({"type": "function_call", "id": format!("fc_{number}"), "call_id": format!("call_{number}"), "name": "f", "arguments": whole})
        }
        2 => {
            json!({"type": "custom_tool_call", "id": format!("ct_{number}"), "call_id": format!("call_{number}"), "name": "sh", "input": whole})
        }
        3 => {
            json!({"type": "reasoning", "id": format!("rs_{number}"), "summary": [{"type": "summary_text", "text": whole}]})
        }
        4 => {
            json!({"type": "message", "id": format!("msg_{number}"), "role": "assistant", "status": "completed",
            "content": [{"type": "refusal", "refusal": whole}]})
        }
        _ => json!({"type": "web_search_call", "id": format!("ws_{number}"), "status": "completed"}),
    }
}

fn events_of(number: usize, kind: u8, pieces: &[String], contents: StreamContents) -> Vec<Value> {
    if !contents.items {
        return Vec::new();
    }
    let whole = item(number, kind, pieces);
    let mut started = whole.clone();
    for name in ["arguments", "input"] {
        if started.get(name).is_some() {
            started[name] = "".into();
        }
    }
    for name in ["content", "summary"] {
        if started.get(name).is_some() {
            started[name] = json!([]);
        }
    }
    let delta = match kind {
        0 => "response.output_text.delta",
        1 => "response.function_call_arguments.delta",
        2 => "response.custom_tool_call_input.delta",
        3 => "response.reasoning_summary_text.delta",
        _ => "response.refusal.delta",
    };
    let mut events = Vec::new();
    if contents.item_starts {
        events.push(json!({"type": "response.output_item.added", "item": started}));
    }
    if contents.item_starts && contents.deltas && kind < 5 {
        let deltas = pieces.iter().map(|piece| json!({"type": delta, "item_id": whole["id"], "delta": piece, "summary_index": 0, "content_index": 0}));
        events.extend(deltas);
    }
    events.push(json!({"type": "response.output_item.done", "item": whole}));
    for event in &mut events {
        if contents.indexes {
            event["output_index"] = number.into();
        }
        if !contents.ids {
            event.as_object_mut().unwrap().remove("item_id");
        }
    }
    events
}

proptest! {
    /// Whatever a provider leaves out, the assembled chunks equal the translation of the complete response.
    // U14, U15, L74, L75
    #[test]
    fn assembled_chunks_equal_translated_response(
        items in prop::collection::vec((0_u8..6, prop::collection::vec("[a-z\u{e9}\u{4e2d}]{1,3}", 1..4), contents()), 0..6),
        cut in any::<bool>(),
    ) {
        // An item without id and index in the stream is identified by its position in the final output.
        let output: Vec<Value> = items.iter().enumerate().map(|(number, (kind, pieces, _))| item(number, *kind, pieces)).collect();
        let status = if cut { "incomplete" } else { "completed" };
        let response = json!({"id": "resp_1", "object": "response", "created_at": 5, "model": "m", "status": status, "output": output,
            "incomplete_details": if cut { json!({"reason": "max_output_tokens"}) } else { Value::Null },
            "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}});
        let mut events = vec![json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "created_at": 5}})];
        let mut is_streamed = true;
        for (number, (kind, pieces, contents)) in items.iter().enumerate() {
            // Items that only the final output contains come last.
            is_streamed &= contents.items;
            events.extend(events_of(number, *kind, pieces, StreamContents { items: is_streamed, ..*contents }));
        }
        events.push(json!({"type": format!("response.{status}"), "response": response}));
        let plain = translate::response_to_completion(response_from(&response));
        let Ok(plain) = plain else {
            let last = events.pop().unwrap();
            let mut translator = EventToChunkTranslator::new();
            let is_failed = translator.push_data(last.to_string().as_bytes(), None).is_err();
            prop_assert!(is_failed, "without output");
            return Ok(());
        };
        let plain = serde_json::to_value(plain).unwrap();
        let streamed = serde_json::to_value(assemble(&events)).unwrap();
        prop_assert_eq!(without_nulls(streamed), without_nulls(plain));
    }
}

fn response_from(value: &Value) -> Response {
    response(value.clone())
}

/// Each stream lacks some events or members. Its chunks still contain the expected text exactly once.
// U15, L75
#[test]
fn streams_with_missing_events_send_everything_once() {
    let message = json!({"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "hello", "annotations": []}]});
    let started = json!({"type": "message", "id": "m", "role": "assistant", "content": []});
    let call =
        json!({"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}"});
    let call_begun =
        json!({"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": ""});
    let added = |item: &Value| json!({"type": "response.output_item.added", "output_index": 0, "item": item});
    let done = |item: &Value| json!({"type": "response.output_item.done", "output_index": 0, "item": item});
    let end = |output: Value| json!({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": output}});
    let delta = |text: &str| json!({"type": "response.output_text.delta", "delta": text});
    let refused = json!({"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "hello", "annotations": []}, {"type": "refusal", "refusal": "no"}]});
    for (case, events, expected) in [
        (
            "complete arguments without deltas",
            vec![
                added(&call_begun),
                json!({"type": "response.function_call_arguments.done", "output_index": 0, "item_id": "fc", "arguments": "{\"a\":1}"}),
                end(json!([call])),
            ],
            "{\"a\":1}",
        ),
        (
            "complete arguments, then an empty output",
            vec![
                added(&call_begun),
                json!({"type": "response.function_call_arguments.done", "arguments": "{\"a\":1}"}),
                end(json!([])),
            ],
            "{\"a\":1}",
        ),
        (
            "complete text without deltas",
            vec![
                added(&started),
                json!({"type": "response.output_text.done", "output_index": 0, "item_id": "m", "content_index": 0, "text": "hello"}),
                end(json!([message])),
            ],
            "hello",
        ),
        (
            "text only in the final output",
            vec![added(&started), end(json!([message]))],
            "hello",
        ),
        (
            "deltas with only the beginning of the text",
            vec![
                added(&started),
                delta("hel"),
                done(&message),
                end(json!([message])),
            ],
            "hello",
        ),
        (
            "text without an item event",
            vec![delta("hel"), delta("lo"), done(&message), end(json!([]))],
            "hello",
        ),
        (
            "another item id in the final output",
            vec![
                json!({"type": "response.output_item.added", "item": started}),
                json!({"type": "response.output_text.delta", "item_id": "m", "delta": "hello"}),
                json!({"type": "response.output_item.done", "item": message}),
                end(
                    json!([{"type": "message", "id": "other", "role": "assistant", "content": [{"type": "output_text", "text": "hello", "annotations": []}]}]),
                ),
            ],
            "hello",
        ),
        (
            "text deltas after a call, identified by index",
            vec![
                added(&started),
                json!({"type": "response.output_item.added", "output_index": 1, "item": call_begun}),
                json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"}),
                json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "hel"}),
                json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "lo"}),
                done(&message),
                end(json!([])),
            ],
            "hello",
        ),
        (
            "complete refusal after text deltas",
            vec![
                added(&started),
                json!({"type": "response.output_text.delta", "item_id": "m", "content_index": 0, "delta": "hello"}),
                json!({"type": "response.refusal.done", "item_id": "m", "content_index": 1, "refusal": "no"}),
                done(&refused),
                end(json!([refused])),
            ],
            "hello|no",
        ),
        (
            "terminal event without a response object",
            vec![
                delta("hello"),
                json!({"type": "response.completed", "id": "r", "status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2}}),
            ],
            "hello",
        ),
        (
            "unknown events with members of any type",
            vec![
                delta("hel"),
                json!({"type": "acme:progress", "message": {"text": "x"}}),
                json!({"type": "response.new", "name": {"a": 1}}),
                json!({"type": "odd", "code": 5}),
                delta("lo"),
                end(json!([])),
            ],
            "hello",
        ),
        (
            "delta with a member of the wrong type",
            vec![
                json!({"type": "response.output_text.delta", "delta": "hello", "logprobs": {}}),
                end(json!([])),
            ],
            "hello",
        ),
        (
            "arguments as an object",
            vec![end(
                json!([{"type": "function_call", "id": 7, "call_id": 5, "name": "f", "arguments": {"a": 1}}]),
            )],
            "{\"a\":1}",
        ),
        (
            "part with a member of the wrong type",
            vec![end(
                json!([{"type": "message", "id": 7, "role": "assistant", "content": [{"type": "output_text", "text": "hello", "annotations": [], "logprobs": {}}]}]),
            )],
            "hello",
        ),
    ] {
        let answer = assemble(&events);
        let message = &answer.choices[0].message;
        let calls = message
            .tool_calls
            .iter()
            .filter_map(|call| call.function.as_ref()?.arguments.clone())
            .filter(|arguments| arguments != "{}");
        let texts: Vec<String> = [answer.text()]
            .into_iter()
            .chain(message.refusal.clone())
            .chain(calls)
            .filter(|text| !text.is_empty())
            .collect();
        assert_eq!(texts.join("|"), expected, "{case}");
        let last = events.last().unwrap();
        let called = events
            .iter()
            .any(|event| event["item"]["type"] == "function_call")
            || last["response"]["output"][0]["type"] == "function_call";
        let reason = answer.choices[0]
            .finish_reason
            .as_ref()
            .map(llmpool_core::chat::FinishReason::as_str);
        assert_eq!(reason, Some(if called { "tool_calls" } else { "stop" }), "{case}");
        let plain = &last["response"];
        if plain["output"]
            .as_array()
            .is_some_and(|output| !output.is_empty())
        {
            let plain = translate::response_to_completion(response(plain.clone())).unwrap();
            assert_eq!(plain.text(), answer.text(), "{case}");
            assert_eq!(
                plain.choices[0].message.tool_calls.len(),
                message.tool_calls.len(),
                "{case}"
            );
        }
    }
}

// U15, L76
#[test]
fn terminal_event_determines_finish_reason_or_error() {
    let mut translator = EventToChunkTranslator::new();
    let cut = json!({"type": "response.incomplete", "response": {"id": "r", "incomplete_details": {"reason": "max_output_tokens"}, "output": []}});
    let chunks = push_event(&mut translator, &cut).unwrap();
    assert_eq!(
        chunks.last().unwrap().choices[0]
            .finish_reason
            .as_ref()
            .unwrap()
            .as_str(),
        "length"
    );
    for broken in [
        json!({"type": "response.completed", "response": {"id": "r", "status": "failed", "error": null, "output": []}}),
        json!({"type": "response.completed", "response": {"id": "r", "status": "in_progress", "output": []}}),
        json!({"type": "error", "code": 500, "message": "m"}),
    ] {
        let error = push_event(&mut EventToChunkTranslator::new(), &broken).unwrap_err();
        assert!(matches!(error, EventError::Failed(_)), "{broken}");
    }
    for status in ["queued", "in_progress"] {
        let not_yet = response(json!({"id": "r", "status": status, "output": []}));
        assert_eq!(
            translate::response_to_completion(not_yet)
                .unwrap_err()
                .code
                .as_deref(),
            Some("response_not_ready")
        );
    }
}

#[test]
fn members_without_deltas_are_sent_in_streams_too() {
    let text = json!({"type": "output_text", "text": "a", "annotations": [], "logprobs": [{"token": "a", "logprob": -0.5}]});
    let output = json!([
        {"type": "message", "id": "m", "role": "assistant", "content": [text]},
        {"type": "image_generation_call", "id": "ig", "status": "completed", "result": "IMG"},
    ]);
    let whole = json!({"id": "r", "status": "completed", "metadata": {"a": "b"}, "output": output});
    let plain =
        serde_json::to_value(translate::response_to_completion(response(whole.clone())).unwrap()).unwrap();
    assert_eq!(
        plain["choices"][0]["message"]["images"][0]["image_url"]["url"],
        "data:image/png;base64,IMG"
    );
    let streamed = assemble(&[
        json!({"type": "response.output_item.done", "output_index": 0, "item": output[0]}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": output[1]}),
        json!({"type": "response.completed", "response": whole}),
    ]);
    assert_eq!(
        without_nulls(serde_json::to_value(streamed).unwrap()),
        without_nulls(plain)
    );
}

#[test]
fn huge_numbers_and_deep_nesting_are_translated() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for token in [r#"{"token":"a","logprob":-1e999}"#, &deep] {
        let part = format!(r#"{{"type":"output_text","text":"a","annotations":[],"logprobs":[{token}]}}"#);
        let body = format!(
            r#"{{"status":"completed","output":[{{"type":"message","role":"assistant","content":[{part}]}}]}}"#
        );
        let plain = translate::response_to_completion(Response::decode(body.as_bytes()).unwrap()).unwrap();
        assert!(plain.choices[0].logprobs.as_ref().unwrap().get().contains(token));
        let event = format!(r#"{{"type":"response.output_text.delta","delta":"a","logprobs":[{token}]}}"#);
        let mut translator = EventToChunkTranslator::new();
        translator.push_data(event.as_bytes(), None).unwrap();
        let chunks = take_chunks(&mut translator);
        assert!(
            chunks[0].choices[0]
                .logprobs
                .as_ref()
                .unwrap()
                .get()
                .contains(token)
        );
    }
}

#[test]
fn log_probabilities_of_a_complete_refusal_are_sent() {
    let event = json!({"type": "response.refusal.done", "refusal": "No.", "logprobs": [{"token": "No.", "logprob": -0.5}]});
    let chunks = push_event(&mut EventToChunkTranslator::new(), &event).unwrap();
    let choice = &chunks[0].choices[0];
    assert_eq!(choice.delta.refusal.as_deref(), Some("No."));
    let logprobs = choice.logprobs.as_ref().unwrap().value();
    assert!(logprobs.to_string().contains("-0.5"), "{logprobs}");
}

#[test]
fn text_after_decoded_events_goes_to_its_own_item() {
    let added = |id: &str| json!({"type": "response.output_item.added", "item": {"type": "message", "id": id, "role": "assistant", "content": []}});
    let text =
        |id: &str, text: &str| json!({"type": "response.output_text.delta", "item_id": id, "delta": text});
    let mut translator = EventToChunkTranslator::new();
    let mut view = StreamView::new(ApiFormat::Responses);
    let mut push_data = |translator: &mut EventToChunkTranslator, event: &Value| {
        let data = event_data(event);
        let observation = view.observe(&SseEvent {
            data: data.clone().into(),
            name: None,
        });
        translator
            .push_data(data.as_bytes(), observation.repeat.as_ref())
            .unwrap();
        observation.repeat.is_some()
    };
    for event in [added("a"), text("a", "1"), text("a", "2")] {
        push_data(&mut translator, &event);
    }
    for event in [added("b"), text("b", "3")] {
        let event = ResponseEvent::decode(event_data(&event).as_bytes()).unwrap();
        translator.push(event).unwrap();
    }
    assert!(push_data(&mut translator, &text("a", "4")));
    take_chunks(&mut translator);
    let done = |id: &str, text: &str| {
        json!({"type": "response.output_item.done", "item": {"type": "message", "id": id, "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}]}})
    };
    for event in [done("a", "124"), done("b", "3")] {
        let chunks = push_event(&mut translator, &event).unwrap();
        assert_eq!(chunks, [], "the text of each item was sent completely");
    }
}

// U15, O23, L74
#[test]
fn tool_call_index_counts_only_tool_calls() {
    let events = [
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs", "summary": []}}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "function_call", "id": "a", "call_id": "call_a", "name": "f", "arguments": ""}}),
        json!({"type": "response.output_item.added", "output_index": 2, "item": {"type": "function_call", "id": "b", "call_id": "call_b", "name": "g", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 2, "item_id": "b", "delta": "{}"}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "item_id": "a", "delta": "{\"x\":1}"}),
    ];
    let mut translator = EventToChunkTranslator::new();
    let mut pieces = Vec::new();
    for event in &events {
        for chunk in push_event(&mut translator, event).unwrap() {
            pieces.extend(
                chunk.choices[0]
                    .delta
                    .tool_calls
                    .iter()
                    .map(|call| (call.index().unwrap(), call.id.clone())),
            );
        }
    }
    let id = |id: &str| Some(id.to_owned());
    assert_eq!(
        pieces,
        [(0, id("call_a")), (1, id("call_b")), (1, None), (0, None)]
    );
}

// U15
#[test]
fn failure_event_is_an_error_without_provider_text() {
    let failed = [
        json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error", "message": "m"}}}),
        json!({"type": "error", "code": "server_error", "message": "m", "param": null}),
    ];
    for event in failed {
        let Err(EventError::Failed(failed)) = push_event(&mut EventToChunkTranslator::new(), &event) else {
            panic!("{event} did not fail")
        };
        assert_eq!(
            (failed.code.as_deref(), failed.message.as_deref()),
            (Some("server_error"), Some("m"))
        );
        assert!(!failed.to_string().contains(": m"));
    }
}
