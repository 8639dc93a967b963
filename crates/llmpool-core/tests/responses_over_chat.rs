//! Translation for a Responses client over a Chat Completions target: the request, the complete completion, and the stream.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool_core::chat::{Assembler, ChatChunk, ChatCompletion, Content, FinishReason, Part, Usage};
use llmpool_core::responses::{EventKind, EventSequence, Response, ResponseEvent, ResponsesRequest};
use llmpool_core::translate::{
    self, ChatCapabilities, ChunkToEventTranslator, EventToChunkTranslator, FailedResponse, ReasoningEcho,
    ResponseEnvelope,
};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn parse<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{error} in {value}"))
}

fn to_json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap()
}

fn translate_request(value: &Value, capabilities: ChatCapabilities) -> (Value, Vec<String>) {
    let request: ResponsesRequest = parse(value);
    let translated = translate::responses_request_to_chat(&request, capabilities)
        .unwrap_or_else(|error| panic!("{error} in {value}"));
    (to_json(&translated.request), translated.dropped)
}

fn envelope(request: &Value) -> ResponseEnvelope {
    ResponseEnvelope::new(&parse(request), "seed", 17)
}

#[test]
fn responses_request_fields_are_mapped_to_chat() {
    let (chat, dropped) = translate_request(
        &json!({
            "model": "m", "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "https://h/i.png", "detail": "low"},
                    {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
                ]},
                {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
                {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]},
                {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{not json"},
                {"type": "custom_tool_call", "call_id": "call_2", "name": "sh", "input": "ls"},
                {"type": "function_call_output", "call_id": "call_1", "output": "one"},
                {"type": "custom_tool_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "tw"}, {"type": "input_text", "text": "o"}]},
                {"role": "developer", "content": [{"type": "input_text", "text": "Now."}]},
                {"role": "user", "content": "And?"},
            ],
            "max_output_tokens": 100, "temperature": 0.5, "parallel_tool_calls": false, "store": true, "stream": true,
            "tools": [
                {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true},
                {"type": "function", "name": "g", "parameters": null, "strict": null},
                {"type": "custom", "name": "sh", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
            ],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}, "strict": true}, "verbosity": "low"},
            "reasoning": {"effort": "high"}, "include": ["message.output_text.logprobs"], "top_logprobs": 3,
            "metadata": {"a": "b"}, "new_field": 1.50,
        }),
        ChatCapabilities {
            reasoning_echo: ReasoningEcho::Content,
            ..ChatCapabilities::default()
        },
    );
    assert_eq!(dropped, [] as [&str; 0]);
    assert_eq!(
        chat,
        json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://h/i.png", "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
                ]},
                {"role": "assistant", "content": "Let me see.", "reasoning_content": "Hm.", "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{not json"}},
                    {"id": "call_2", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
                ]},
                {"role": "tool", "tool_call_id": "call_1", "content": "one"},
                {"role": "tool", "tool_call_id": "call_2", "content": "two"},
                {"role": "developer", "content": "Now."},
                {"role": "user", "content": "And?"},
            ],
            "max_completion_tokens": 100, "temperature": 0.5, "parallel_tool_calls": false, "store": true, "stream": true,
            "stream_options": {"include_usage": true},
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": true}},
                {"type": "function", "function": {"name": "g"}},
                {"type": "custom", "custom": {"name": "sh", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}}},
            ],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}},
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": true}},
            "verbosity": "low", "reasoning_effort": "high", "logprobs": true, "top_logprobs": 3,
            "metadata": {"a": "b"}, "new_field": 1.50,
        })
    );
}

#[test]
fn unsupported_responses_fields_are_refused_by_path() {
    for (param, member, value) in [
        ("previous_response_id", "previous_response_id", json!("resp_1")),
        ("conversation", "conversation", json!("c")),
        ("prompt", "prompt", json!({"id": "p"})),
        ("background", "background", json!(true)),
        ("tools[0].type", "tools", json!([{"type": "web_search"}])),
        (
            "tools[0].allowed_callers",
            "tools",
            json!([{"type": "function", "name": "f", "allowed_callers": ["programmatic"]}]),
        ),
        ("tool_choice.type", "tool_choice", json!({"type": "file_search"})),
        ("text.format.type", "text", json!({"format": {"type": "odd"}})),
        (
            "input[0]",
            "input",
            json!([{"type": "item_reference", "id": "x"}]),
        ),
        (
            "input[0].type",
            "input",
            json!([{"type": "web_search_call", "id": "x"}]),
        ),
        ("input[0].type", "input", json!([{"type": "acme:odd"}])),
        (
            "input[0].role",
            "input",
            json!([{"role": "critic", "content": "x"}]),
        ),
        (
            "input[0].content[0].file_id",
            "input",
            json!([{"role": "user", "content": [{"type": "input_image", "file_id": "f"}, {"type": "input_text", "text": "x"}]}]),
        ),
        (
            "input[0].content[0].file_url",
            "input",
            json!([{"role": "user", "content": [{"type": "input_file", "file_url": "https://h"}]}]),
        ),
        (
            "input[0].output[0]",
            "input",
            json!([{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": "x"}]}]),
        ),
    ] {
        let request: ResponsesRequest = parse(&json!({"model": "m", member: value}));
        let refused =
            translate::responses_request_to_chat(&request, ChatCapabilities::default()).unwrap_err();
        assert_eq!(refused.param, param, "{refused}");
    }
}

#[test]
fn harmless_fields_are_dropped_and_capabilities_respected() {
    let request = json!({
        "input": [{"type": "reasoning", "id": "rs_1", "summary": []}, {"role": "developer", "content": "x"}],
        "reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"], "top_logprobs": 2,
        "max_tool_calls": 1, "truncation": "auto", "max_output_tokens": 7,
    });
    let (chat, dropped) = translate_request(
        &request,
        ChatCapabilities {
            developer_role: false,
            max_completion_tokens: false,
            ..ChatCapabilities::default()
        },
    );
    assert_eq!(
        dropped,
        [
            "input[0]",
            "reasoning.summary",
            "include: reasoning.encrypted_content",
            "top_logprobs",
            "max_tool_calls",
            "truncation"
        ]
    );
    assert_eq!(
        chat,
        json!({"messages": [{"role": "system", "content": "x"}], "max_tokens": 7})
    );
}

#[test]
fn chat_fields_in_responses_request_are_adopted_once() {
    let (chat, dropped) = translate_request(
        &json!({
            "input": "x", "max_output_tokens": 100, "max_tokens": 50, "reasoning": {"effort": "low"}, "reasoning_effort": "high",
            "text": {"format": {"type": "json_object"}, "verbosity": "low"}, "response_format": {"type": "text"}, "verbosity": "high",
            "seed": 7, "stop": "x", "top_k": 5,
        }),
        ChatCapabilities::default(),
    );
    assert_eq!(
        dropped,
        ["max_tokens", "verbosity", "response_format", "reasoning_effort"]
    );
    assert_eq!(
        chat,
        json!({
            "messages": [{"role": "user", "content": "x"}], "max_completion_tokens": 100, "reasoning_effort": "low",
            "response_format": {"type": "json_object"}, "verbosity": "low", "seed": 7, "stop": "x", "top_k": 5,
        })
    );
    for (param, name, value) in [
        ("messages", "messages", json!([{"role": "user", "content": "y"}])),
        ("n", "n", json!(2)),
        ("audio", "modalities", json!(["audio"])),
        ("functions", "functions", json!([{"name": "f"}])),
        ("seed", "seed", json!("x")),
    ] {
        let request = parse(&json!({"input": "x", name: value}));
        let refused =
            translate::responses_request_to_chat(&request, ChatCapabilities::default()).unwrap_err();
        assert_eq!(refused.param, param);
    }
}

/// Each request contains `MARK` in one member. Either the translated request contains it, or the path of the member is reported.
// O21
#[test]
fn every_responses_request_member_is_kept_or_reported() {
    let reasoning = |more: Value| {
        let mut item = json!({"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "MARK"});
        item.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"input": [item, {"role": "assistant", "content": "a"}]})
    };
    let of_user = |part: Value| json!({"input": [{"role": "user", "content": [part]}]});
    for (name, value) in [
        (
            "reasoning.mode",
            json!({"input": "x", "reasoning": {"effort": "low", "mode": "MARK"}}),
        ),
        (
            "reasoning.summary",
            json!({"input": "x", "reasoning": {"summary": "MARK"}}),
        ),
        ("text.x", json!({"input": "x", "text": {"x": "MARK"}})),
        (
            "text.format.x",
            json!({"input": "x", "text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "x": "MARK"}}}),
        ),
        (
            "input[0].phase",
            json!({"input": [{"role": "assistant", "phase": "MARK", "content": "a"}]}),
        ),
        (
            "input[0].x",
            json!({"input": [{"role": "assistant", "x": "MARK", "content": "a"}]}),
        ),
        (
            "input[0].x",
            json!({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "x": "MARK"}]}),
        ),
        (
            "input[0].content[0].annotations",
            json!({"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": [{"type": "MARK"}]}]}]}),
        ),
        (
            "input[0].content[0].file_id",
            of_user(json!({"type": "input_image", "image_url": "u", "file_id": "MARK"})),
        ),
        (
            "input[0].content[0].x",
            of_user(json!({"type": "input_text", "text": "u", "x": "MARK"})),
        ),
        ("input[0].encrypted_content", reasoning(json!({}))),
        (
            "input[0].encrypted_content",
            reasoning(json!({"summary": [{"type": "summary_text", "text": "t"}]})),
        ),
        (
            "input[0].y",
            json!({"input": [{"type": "function_call_output", "call_id": "c", "output": "x", "y": "MARK"}]}),
        ),
        (
            "input[0].output[0].y",
            json!({"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x", "y": "MARK"}]}]}),
        ),
        (
            "stream_options.x",
            json!({"input": "x", "stream": true, "stream_options": {"x": "MARK"}}),
        ),
        (
            "tool_choice.x",
            json!({"input": "x", "tool_choice": {"type": "function", "name": "f", "x": "MARK"}}),
        ),
        ("truncation", json!({"input": "x", "truncation": "MARK"})),
        (
            "moderation",
            json!({"input": "x", "moderation": {"model": "MARK"}}),
        ),
        (
            "prompt_cache_options",
            json!({"input": "x", "prompt_cache_options": {"ttl": "MARK"}}),
        ),
        (
            "prompt_cache_options.comparison_response_id",
            json!({"input": "x", "prompt_cache_options": {"comparison_response_id": "MARK"}}),
        ),
        (
            "background_options",
            json!({"input": "x", "background_options": {"continuation_id": "MARK"}}),
        ),
        (
            "access_programs",
            json!({"input": "x", "access_programs": {"cyber": "MARK"}}),
        ),
        (
            "image",
            json!({"input": "x", "image": {"context_compression": "MARK"}}),
        ),
        (
            "tools[0].output_schema",
            json!({"input": "x", "tools": [{"type": "function", "name": "f", "output_schema": {"title": "MARK"}}]}),
        ),
        (
            "tools[0].allowed_callers",
            json!({"input": "x", "tools": [{"type": "custom", "name": "f", "allowed_callers": ["direct", "MARK"]}]}),
        ),
        ("include: MARK", json!({"input": "x", "include": ["MARK"]})),
    ] {
        let capabilities = ChatCapabilities {
            reasoning_echo: ReasoningEcho::Content,
            ..ChatCapabilities::default()
        };
        let (chat, dropped) = translate_request(&value, capabilities);
        assert!(
            chat.to_string().contains("MARK") != dropped.iter().any(|path| path == name),
            "{name}: translated to {chat}, dropped {dropped:?}"
        );
    }
}

#[test]
fn newest_responses_fields_are_reported_and_not_sent_to_a_chat() {
    let (chat, dropped) = translate_request(
        &json!({"input": "x", "background_options": {"continuation_id": "c"}, "access_programs": {"cyber": "c"},
            "image": {"context_compression": "c"}, "prompt_cache_options": {"ttl": "1h", "prewarm": true},
            "tools": [{"type": "function", "name": "f", "async": true, "defer_loading": true,
                "output_schema": {}, "allowed_callers": ["direct"]}]}),
        ChatCapabilities::default(),
    );
    assert_eq!(
        chat,
        json!({"messages": [{"role": "user", "content": "x"}], "prompt_cache_options": {"ttl": "1h"},
            "tools": [{"type": "function", "function": {"name": "f"}}]})
    );
    assert_eq!(
        dropped,
        [
            "tools[0].async",
            "tools[0].defer_loading",
            "tools[0].output_schema",
            "tools[0].allowed_callers",
            "prompt_cache_options.prewarm",
            "background_options",
            "access_programs",
            "image",
        ]
    );
}

#[test]
fn tool_outputs_are_moved_directly_behind_their_calls() {
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": ""});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": id});
    let message = |role: &str, text: &str| json!({"role": role, "content": text});
    let reasoning =
        |id: &str| json!({"type": "reasoning", "id": id, "summary": [{"type": "summary_text", "text": id}]});
    let capabilities = ChatCapabilities {
        reasoning_echo: ReasoningEcho::Content,
        ..ChatCapabilities::default()
    };
    let shape = |items: Value| {
        let (chat, _) = translate_request(&json!({"input": items}), capabilities);
        let messages = chat["messages"].as_array().unwrap().iter().map(|message| {
            let calls = message["tool_calls"].as_array().map_or(0, Vec::len);
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let reasoning = message["reasoning_content"].as_str().unwrap_or_default();
            format!("{} {calls} {id} {reasoning}", message["role"].as_str().unwrap())
                .trim_end()
                .to_owned()
        });
        messages.collect::<Vec<_>>()
    };
    assert_eq!(
        shape(json!([
            message("user", "x"),
            reasoning("r1"),
            call("1"),
            reasoning("r2"),
            call("2"),
            output("1"),
            output("2")
        ])),
        ["user 0", "assistant 2  r1\n\nr2", "tool 0 1", "tool 0 2"]
    );
    assert_eq!(
        shape(json!([
            call("1"),
            message("assistant", "wait"),
            output("1"),
            message("user", "?")
        ])),
        ["assistant 1", "tool 0 1", "assistant 0", "user 0"]
    );
    assert_eq!(
        shape(json!([
            call("1"),
            message("assistant", "a"),
            call("2"),
            message("user", "?"),
            output("2"),
            output("1")
        ])),
        ["assistant 1", "tool 0 1", "assistant 1", "tool 0 2", "user 0"]
    );
    // A repeated id belongs to its latest call. An output without a call stays in its place.
    assert_eq!(
        shape(json!([
            call("1"),
            output("1"),
            message("user", "?"),
            call("1"),
            output("1"),
            output("9")
        ])),
        [
            "assistant 1",
            "tool 0 1",
            "user 0",
            "assistant 1",
            "tool 0 1",
            "tool 0 9"
        ]
    );
}

#[test]
fn openai_extensions_are_not_sent_to_other_providers() {
    let plain = ChatCapabilities {
        developer_role: false,
        max_completion_tokens: false,
        openai_extensions: false,
        reasoning_echo: ReasoningEcho::Dropped,
    };
    let (chat, dropped) = translate_request(
        &json!({"input": "x", "store": true, "metadata": {"a": "b"}, "service_tier": "flex", "safety_identifier": "s",
            "prompt_cache_key": "k", "prompt_cache_retention": "24h", "text": {"verbosity": "low"}, "user": "u",
            "prompt_cache_options": {"ttl": "30m"}, "moderation": {"model": "m"}}),
        plain,
    );
    assert_eq!(
        chat,
        json!({"messages": [{"role": "user", "content": "x"}], "user": "u"})
    );
    let names = [
        "store",
        "metadata",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "moderation",
        "text.verbosity",
    ];
    assert_eq!(dropped, names);

    let function = |name: &str| json!({"type": "function", "name": name});
    let (chat, _) = translate_request(
        &json!({"input": "x", "tools": [function("f"), function("g")],
            "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [function("g")]}}),
        plain,
    );
    assert_eq!(chat["tool_choice"], "required");
    assert_eq!(
        chat["tools"],
        json!([{"type": "function", "function": {"name": "g"}}])
    );

    for (param, request) in [
        (
            "tools[0].type",
            json!({"tools": [{"type": "custom", "name": "sh"}]}),
        ),
        (
            "input[0].type",
            json!({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"}]}),
        ),
    ] {
        assert_eq!(
            translate::responses_request_to_chat(&parse(&request), plain)
                .unwrap_err()
                .param,
            param
        );
    }
}

#[test]
fn tool_calls_join_the_preceding_assistant_message() {
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": ""});
    let message = |text: &str| json!({"role": "assistant", "content": text});
    let (chat, _) = translate_request(
        &json!({"input": [message("a"), call("1"), call("2"), message("b"), call("3")]}),
        ChatCapabilities::default(),
    );
    let shape: Vec<_> = chat["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            (
                message["content"].as_str(),
                message["tool_calls"].as_array().map_or(0, Vec::len),
            )
        })
        .collect();
    assert_eq!(shape, [(Some("a"), 2), (Some("b"), 1)]);
    let (chat, _) = translate_request(&json!({"input": [call("1")]}), ChatCapabilities::default());
    assert_eq!(
        chat["messages"][0]["content"],
        Value::Null,
        "without a message the content is null"
    );
}

#[test]
fn completion_fields_are_mapped_to_response() {
    let completion: ChatCompletion = parse(&json!({
        "id": "c1", "created": 5, "model": "served", "choices": [{"index": 0, "finish_reason": "tool_calls",
            "logprobs": {"content": [{"token": "Hi"}]},
            "message": {"role": "assistant", "content": "Hi", "reasoning_content": "Hm.",
                "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t"}}],
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "prompt_cache_hit_tokens": 2},
    }));
    let request = json!({"model": "asked", "input": "x", "instructions": "i", "temperature": 0.5, "tools": [{"type": "function", "name": "f"}], "metadata": {"a": "b"}});
    let response = to_json(&translate::completion_to_response(completion, &envelope(&request)).unwrap());
    assert_eq!(
        response,
        json!({
            "id": "resp_seed", "object": "response", "created_at": 17, "completed_at": null, "status": "completed", "error": null,
            "incomplete_details": null, "instructions": "i", "model": "served", "max_output_tokens": null, "max_tool_calls": null,
            "parallel_tool_calls": true, "previous_response_id": null, "reasoning": {"effort": null, "summary": null},
            "temperature": 0.5, "top_p": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto",
            "tools": [{"type": "function", "name": "f"}], "truncation": "disabled", "metadata": {"a": "b"},
            "output": [
                {"type": "reasoning", "id": "rs_seed_0", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
                {"type": "message", "id": "msg_seed_1", "role": "assistant", "status": "completed", "content": [
                    {"type": "output_text", "text": "Hi", "annotations": [{"type": "url_citation", "url": "u", "title": "t"}], "logprobs": [{"token": "Hi"}]}]},
                {"type": "function_call", "id": "fc_seed_2", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "completed"},
            ],
            "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0}, "output_tokens": 7,
                "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 12, "prompt_cache_hit_tokens": 2},
        })
    );
}

// L76
#[test]
fn finish_reason_determines_response_and_item_status() {
    let end = |reason: &str| {
        let completion = json!({"choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": "x"}}]});
        let response = translate::completion_to_response(parse(&completion), &envelope(&json!({})));
        response.map(|response| {
            let item = response.output[0].status().unwrap().to_owned();
            (
                response.status.unwrap().as_str().to_owned(),
                response.incomplete_details.and_then(|details| details.reason),
                item,
            )
        })
    };
    let expected = |status: &str, reason: Option<&str>, item: &str| {
        Ok((status.to_owned(), reason.map(str::to_owned), item.to_owned()))
    };
    for reason in ["stop", "tool_calls", "eos", "end_turn", ""] {
        assert_eq!(end(reason), expected("completed", None, "completed"));
    }
    for reason in ["length", "model_length", "max_tokens"] {
        assert_eq!(
            end(reason),
            expected("incomplete", Some("max_output_tokens"), "incomplete")
        );
    }
    for reason in ["content_filter", "sensitive"] {
        assert_eq!(
            end(reason),
            expected("incomplete", Some("content_filter"), "incomplete")
        );
    }
    for reason in ["error", "insufficient_system_resource", "network_error"] {
        assert!(end(reason).is_err(), "{reason}");
    }
    let response = translate::completion_to_response(
        parse(&json!({"choices": [{"message": {"content": "x"}}]})),
        &envelope(&json!({})),
    )
    .unwrap();
    assert!(
        response.usage.is_none() && response.has("usage"),
        "unreported usage is null"
    );
}

fn events_of(chunks: &[Value], failed: Option<&FailedResponse>) -> Vec<ResponseEvent> {
    let mut translator = ChunkToEventTranslator::new(envelope(&json!({"model": "m"})));
    for chunk in chunks {
        translator.push(parse::<ChatChunk>(chunk));
    }
    match failed {
        Some(failed) => translator.fail(failed),
        None => translator.finish(),
    }
    let events: Vec<_> = std::iter::from_fn(|| translator.next_event()).collect();
    translator.finish();
    assert!(
        translator.next_event().is_none(),
        "a finished stream has no more events"
    );
    // Encoded and decoded, as on the wire.
    events.iter().map(|event| parse(&to_json(event))).collect()
}

fn assert_valid_sequence(events: &[ResponseEvent]) {
    let mut grammar = EventSequence::new();
    for event in events {
        grammar
            .push(event)
            .unwrap_or_else(|broken| panic!("{broken}\n{:#}", to_json(&events)));
    }
    grammar.end().unwrap();
}

fn chunk(delta: &Value) -> Value {
    json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta}]})
}

/// Returns deltas whose tool calls are all functions or all custom tools, because no provider mixes them under one index.
fn deltas(min: usize) -> impl Strategy<Value = Vec<Value>> {
    any::<bool>().prop_flat_map(move |custom| prop::collection::vec(delta(custom), min..12))
}

fn delta(custom: bool) -> impl Strategy<Value = Value> {
    let text = "[a-c\u{e9}\u{4e2d}]{0,3}";
    let call = (
        prop::option::of(0_u64..3),
        prop::option::of(prop_oneof![Just("".to_owned()), "[xyz]"]),
        prop::option::of(prop_oneof![Just("".to_owned()), "[fg]"]),
        prop::option::of(text),
    );
    let call = call.prop_map(move |(index, id, name, arguments)| {
        let mut call = if custom {
            json!({"type": "custom", "custom": {"name": name, "input": arguments}})
        } else {
            json!({"function": {"name": name, "arguments": arguments}})
        };
        call["index"] = json!(index);
        call["id"] = json!(id);
        call
    });
    prop_oneof![
        4 => text.prop_map(|text| json!({"content": text})),
        2 => text.prop_map(|text| json!({"reasoning_content": text})),
        1 => text.prop_map(|text| json!({"refusal": text})),
        1 => text.prop_map(|text| json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]})),
        1 => Just(json!({"role": "assistant", "content": null})),
        1 => Just(json!({"annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]})),
        4 => prop::collection::vec(call, 1..3).prop_map(|calls| json!({"tool_calls": calls})),
    ]
}

proptest! {
    /// For any chunks, the events are in a valid order, and the response in the last event has the text, tool calls
    /// and status of the translated completion.
    // L74, L75
    #[test]
    fn events_of_any_chunks_are_in_order_and_complete(
        deltas in deltas(0),
        reason in prop::option::of(prop::sample::select(&["stop", "length", "tool_calls", "content_filter", "odd"][..])),
        usage in any::<bool>(),
        is_broken in prop::bool::weighted(0.2),
    ) {
        let mut chunks: Vec<Value> = deltas.iter().map(chunk).collect();
        chunks.extend(reason.map(|reason| json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})));
        chunks.extend(usage.then(|| json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})));
        let failed = FailedResponse { code: None, message: Some("m".to_owned()) };
        let events = events_of(&chunks, Some(&failed).filter(|_| is_broken));
        assert_valid_sequence(&events);
        if is_broken {
            prop_assert_eq!(&events.last().unwrap().kind, &EventKind::Failed);
            return Ok(());
        }
        let mut assembler = Assembler::new();
        chunks.iter().for_each(|chunk| assembler.push(parse(chunk)));
        let whole = assembler.finish();
        let streamed = events.last().unwrap().response.as_ref().unwrap();
        prop_assert_eq!(streamed.usage.is_some(), usage);
        if whole.choices.is_empty() {
            return Ok(());
        }
        let plain = translate::completion_to_response(whole, &envelope(&json!({"model": "m"}))).unwrap();
        prop_assert_eq!(streamed.text(), plain.text());
        prop_assert_eq!(calls(streamed), calls(&plain));
        prop_assert_eq!(&streamed.status, &plain.status);
        prop_assert_eq!(&streamed.incomplete_details, &plain.incomplete_details);
    }

    /// Translating chunks to events and back gives the same texts and tool calls.
    #[test]
    fn stream_translated_to_events_and_back_is_unchanged(deltas in deltas(1)) {
        let mut chunks: Vec<Value> = deltas.iter().map(chunk).collect();
        chunks.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
        let (mut once, mut twice) = (Assembler::new(), Assembler::new());
        chunks.iter().for_each(|chunk| once.push(parse(chunk)));
        let mut back = EventToChunkTranslator::new();
        for event in events_of(&chunks, None) {
            let has_output = event.response.as_ref().is_some_and(|response| !response.output.is_empty());
            let is_empty = event.kind == EventKind::Completed && !has_output;
            if back.push(event).is_err() {
                prop_assert!(is_empty, "a chat may be empty, a response may not");
                return Ok(());
            }
            while let Some(chunk) = back.next_chunk() {
                twice.push(chunk);
            }
        }
        let (once, twice) = (once.finish(), twice.finish());
        prop_assert_eq!(text_and_calls(&once), text_and_calls(&twice));
    }
}

/// Returns the sorted names and arguments of all calls. Ids are not compared, because one that follows the name comes too late for the
/// event that starts the item.
fn calls(response: &Response) -> Vec<(String, String)> {
    let items = response.output.iter().map(to_json);
    let calls = items.filter_map(|item| {
        let arguments = item.get("arguments").or_else(|| item.get("input"))?;
        Some((item["name"].as_str()?.to_owned(), arguments.as_str()?.to_owned()))
    });
    let mut calls: Vec<_> = calls.collect();
    calls.sort();
    calls
}

/// Returns text, refusal, and the sorted names and arguments of all calls.
fn text_and_calls(completion: &ChatCompletion) -> (String, String, Vec<(String, String)>) {
    let message = &completion.choices[0].message;
    let mut calls: Vec<_> = message
        .tool_calls
        .iter()
        .map(to_json)
        .map(|call| {
            let whole = call
                .get("function")
                .or_else(|| call.get("custom"))
                .cloned()
                .unwrap_or_default();
            let text = |name: &str| whole[name].as_str().unwrap_or_default().to_owned();
            (text("name"), text("arguments") + &text("input"))
        })
        .collect();
    calls.sort();
    let text = match &message.content {
        Some(Content::Text(text)) => text.clone(),
        Some(Content::Parts(parts)) => parts.iter().filter_map(Part::as_text).collect(),
        None => String::new(),
    };
    (text, message.refusal.clone().unwrap_or_default(), calls)
}

#[test]
fn arguments_before_the_name_become_one_delta() {
    let deltas = [
        json!({"tool_calls": [{"index": 0, "id": "c", "function": {"arguments": "{\"a\""}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1"}}]}),
        json!({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "}"}}]}),
    ];
    let events = events_of(&deltas.each_ref().map(chunk), None);
    assert_valid_sequence(&events);
    let pieces: Vec<Value> = events
        .iter()
        .map(to_json)
        .filter(|event| event["type"] == "response.function_call_arguments.delta")
        .map(|event| event["delta"].clone())
        .collect();
    assert_eq!(pieces, [r#"{"a":1}"#]);
}

/// Each answer contains `MARK`, and so does the response, both streamed and complete. The events are in a valid order.
// L77
#[test]
fn unusual_answers_are_translated_without_loss() {
    let call = json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]});
    let encrypted =
        json!({"type": "reasoning.encrypted", "data": "MARK", "id": "rs_1", "format": "openai-responses-v1"});
    let summary =
        json!({"type": "reasoning.summary", "summary": "hm", "id": "rs_1", "format": "openai-responses-v1"});
    let citation = json!([{"type": "url_citation", "url_citation": {"url": "MARK"}}]);
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,MARK"}}]);
    for deltas in [
        vec![
            json!({"reasoning_content": "", "reasoning": "MARK"}),
            json!({"content": "a"}),
        ],
        vec![
            json!({"reasoning_details": [{"type": "reasoning.text", "text": "MARK", "signature": "s", "format": "other"}]}),
            json!({"content": "a"}),
        ],
        vec![json!({"reasoning_details": [encrypted]}), call.clone()],
        vec![
            json!({"reasoning": "hm", "reasoning_details": [summary, encrypted]}),
            json!({"content": "a"}),
        ],
        vec![json!({"content": "a"}), json!({"reasoning_details": [encrypted]})],
        vec![
            json!({"reasoning": "hm", "reasoning_details": [summary]}),
            json!({"content": "a"}),
            json!({"reasoning_details": [encrypted]}),
        ],
        vec![json!({"content": [{"type": "refusal", "refusal": "MARK"}]})],
        vec![json!({"content": "", "images": image}), json!({"content": "a"})],
        vec![json!({"content": "a"}), json!({"images": image})],
        vec![
            json!({"function_call": {"name": "MARK", "arguments": ""}}),
            json!({"function_call": {"arguments": "{}"}}),
        ],
        vec![json!({"content": "x"}), json!({"annotations": citation})],
        vec![json!({"annotations": citation}), json!({"content": "x"})],
        vec![json!({"content": "x"}), call, json!({"annotations": citation})],
        vec![
            json!({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "MARK", "arguments": "{}"}}]}),
        ],
        vec![
            json!({"tool_calls": [{"index": 0, "id": "", "function": {"name": "f", "arguments": "{}"}}]}),
            json!({"tool_calls": [{"index": 0, "id": "", "function": {"name": "f", "arguments": "{\"x\":\"MARK\"}"}}]}),
        ],
    ] {
        let mut chunks: Vec<Value> = deltas.iter().map(chunk).collect();
        chunks.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
        let events = events_of(&chunks, None);
        assert_valid_sequence(&events);
        let streamed = to_json(&events.last().unwrap().response);
        assert!(
            streamed["output"].to_string().contains("MARK"),
            "streamed: {deltas:?}: {}",
            streamed["output"]
        );
        let mut assembler = Assembler::new();
        chunks.iter().for_each(|chunk| assembler.push(parse(chunk)));
        let plain =
            to_json(&translate::completion_to_response(assembler.finish(), &envelope(&json!({}))).unwrap());
        assert!(
            plain["output"].to_string().contains("MARK"),
            "plain: {deltas:?}: {}",
            plain["output"]
        );
        let kinds = |response: &Value| {
            let items = response["output"].as_array().unwrap().iter();
            let mut kinds: Vec<_> = items
                .map(|item| item["type"].as_str().unwrap().to_owned())
                .collect();
            kinds.sort();
            kinds
        };
        assert_eq!(kinds(&streamed), kinds(&plain), "{deltas:?}");
        let ids = |response: &Value| {
            let items = response["output"].as_array().unwrap().iter();
            let mut ids: Vec<_> = items
                .map(|item| item["call_id"].as_str().unwrap_or_default().to_owned())
                .collect();
            ids.retain(|id| !id.is_empty());
            ids
        };
        let (streamed_ids, plain_ids) = (ids(&streamed), ids(&plain));
        assert!(
            streamed_ids.len() == plain_ids.len()
                && (streamed_ids.len() < 2
                    || streamed_ids[0] != streamed_ids[1] && plain_ids[0] != plain_ids[1]),
            "{streamed_ids:?} {plain_ids:?}"
        );
    }
}

// L77
#[test]
fn encrypted_reasoning_items_stay_separate() {
    let item = |number: u8| json!({"type": "reasoning", "id": format!("rs_{number}"), "summary": [{"type": "summary_text", "text": format!("t{number}")}], "encrypted_content": format!("e{number}")});
    let mut translator = EventToChunkTranslator::new();
    for number in [1, 2] {
        let event =
            json!({"type": "response.output_item.done", "output_index": number - 1, "item": item(number)});
        translator.push_data(event.to_string().as_bytes(), None).unwrap();
    }
    let end = json!({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item(1), item(2)]}});
    translator.push_data(end.to_string().as_bytes(), None).unwrap();
    let chunks: Vec<Value> = std::iter::from_fn(|| translator.next_chunk())
        .map(|chunk| to_json(&chunk))
        .collect();
    let events = events_of(&chunks, None);
    assert_valid_sequence(&events);
    let output = to_json(&events.last().unwrap().response)["output"].clone();
    let text_and_encrypted = |number: usize| {
        let item = &output[number];
        (
            item["content"][0]["text"].as_str().unwrap().to_owned(),
            item["encrypted_content"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(
        [text_and_encrypted(0), text_and_encrypted(1)],
        [("t1", "e1"), ("t2", "e2")].map(|(text, encrypted)| (text.to_owned(), encrypted.to_owned()))
    );
}

// L77
#[test]
fn empty_strings_in_chunks_count_as_absent() {
    let empty = json!({"id": "", "object": "", "created": 0, "model": "", "choices": [{"index": 0, "delta": {}, "finish_reason": ""}]});
    let text = json!({"id": "c1", "model": "served", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "length"}]});
    let events = events_of(&[empty.clone(), text, empty], None);
    assert_valid_sequence(&events);
    let last = to_json(&events.last().unwrap().response);
    assert_eq!(
        (&last["model"], &last["status"]),
        (&json!("served"), &json!("incomplete"))
    );
    assert_ne!(to_json(&events[0].response)["model"], "");
}

// L67
#[test]
fn cached_tokens_are_counted_once_under_any_name() {
    for json in [
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}}),
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}),
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cached_tokens": 4}),
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_cache_hit_tokens": 4, "prompt_tokens_details": {"cached_tokens": 4}}),
    ] {
        let usage: Usage = parse(&json);
        assert_eq!(
            (usage.prompt_tokens(), usage.cached_tokens(), usage.total_tokens()),
            (Some(10), Some(4), Some(15)),
            "{json}"
        );
        let answer = json!({"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}], "usage": json});
        let envelope = envelope(&json!({}));
        let response = translate::completion_to_response(parse(&answer), &envelope).unwrap();
        let used = response.usage.as_ref().unwrap();
        let cached = used
            .input_tokens_details
            .as_ref()
            .and_then(|details| details.cached_tokens());
        assert_eq!(
            (used.input_tokens(), cached, used.total_tokens()),
            (Some(10), Some(4), Some(15)),
            "{json}"
        );
        let back = translate::response_to_completion(response)
            .unwrap()
            .usage
            .unwrap();
        assert_eq!(
            (back.prompt_tokens(), back.cached_tokens(), back.total_tokens()),
            (Some(10), Some(4), Some(15)),
            "{json}"
        );
    }
}

#[test]
fn unknown_usage_members_survive_translation_and_back() {
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.50,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 3, "video_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 0, "accepted_prediction_tokens": 5}});
    let answer = json!({"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage});
    let envelope = envelope(&json!({}));
    let response = translate::completion_to_response(parse(&answer), &envelope).unwrap();
    assert_eq!(
        to_json(&translate::response_to_completion(response).unwrap().usage),
        usage
    );
}

// U08
#[test]
fn debug_output_of_translations_contains_no_user_text() {
    const CANARY: &str = "CANARY";
    let failed = FailedResponse {
        code: Some(CANARY.into()),
        message: Some(CANARY.into()),
    };
    let request = json!({"input": CANARY, "include": [CANARY], CANARY: CANARY});
    let request: ResponsesRequest = serde_json::from_value(request).unwrap();
    let translated = translate::responses_request_to_chat(&request, ChatCapabilities::default()).unwrap();
    let kinds: [EventKind; 2] = [CANARY.into(), "response.created".into()];
    let output = format!(
        "{failed:?} {:?} {translated:?} {kinds:?} {:?}",
        translate::EventError::Failed(failed.clone()),
        FinishReason::from(CANARY)
    );
    assert!(!output.contains(CANARY), "{output}");
    assert!(output.contains("Created"), "{output}");
}
