//! Requests for responses as chats, completions as responses, chunks as events; and there and back again.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use llmpool_core::chat::{
    Assembler, ChatChunk, ChatCompletion, ChatRequest, Content, FinishReason, Part, Usage,
};
use llmpool_core::responses::{EventKind, EventSequence, Response, ResponseEvent, ResponsesRequest};
use llmpool_core::translate::{
    self, ChatCapabilities, ChunkToEventTranslator, EventToChunkTranslator, FailedResponse, ReasoningEcho,
    ResponseEnvelope,
};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_str(&value.to_string()).unwrap_or_else(|error| panic!("{error} in {value}"))
}

fn write<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap()
}

fn over(value: &Value, accent: ChatCapabilities) -> (Value, Vec<String>) {
    let request: ResponsesRequest = read(value);
    let done = translate::responses_request_to_chat(&request, accent)
        .unwrap_or_else(|error| panic!("{error} in {value}"));
    (write(&done.request), done.dropped)
}

fn frame(request: &Value) -> ResponseEnvelope {
    ResponseEnvelope::new(&read(request), "seed", 17)
}

#[test]
fn every_field_of_a_request_has_its_place() {
    let (chat, dropped) = over(
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
fn what_a_chat_cannot_do_is_refused_by_name() {
    for (param, member, value) in [
        ("previous_response_id", "previous_response_id", json!("resp_1")),
        ("conversation", "conversation", json!("c")),
        ("prompt", "prompt", json!({"id": "p"})),
        ("background", "background", json!(true)),
        ("tools[0].type", "tools", json!([{"type": "web_search"}])),
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
        let request: ResponsesRequest = read(&json!({"model": "m", member: value}));
        let refused =
            translate::responses_request_to_chat(&request, ChatCapabilities::default()).unwrap_err();
        assert_eq!(refused.param, param, "{refused}");
    }
}

#[test]
fn what_matters_little_is_left_out_and_reported_and_accents_are_kept() {
    let request = json!({
        "input": [{"type": "reasoning", "id": "rs_1", "summary": []}, {"role": "developer", "content": "x"}],
        "reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"], "top_logprobs": 2,
        "max_tool_calls": 1, "truncation": "auto", "max_output_tokens": 7,
    });
    let (chat, dropped) = over(
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
fn members_of_a_chat_are_taken_over_and_none_is_said_twice() {
    let (chat, dropped) = over(
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
        let asked = read(&json!({"input": "x", name: value}));
        let refused = translate::responses_request_to_chat(&asked, ChatCapabilities::default()).unwrap_err();
        assert_eq!(refused.param, param);
    }
}

/// Each is said of a request with `MARK`, which is found in the other request, or named among what was left out.
// O21
#[test]
fn nothing_is_lost_without_a_word() {
    let thought = |more: Value| {
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
        ("input[0].encrypted_content", thought(json!({}))),
        (
            "input[0].encrypted_content",
            thought(json!({"summary": [{"type": "summary_text", "text": "t"}]})),
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
        ("include: MARK", json!({"input": "x", "include": ["MARK"]})),
    ] {
        let accent = ChatCapabilities {
            reasoning_echo: ReasoningEcho::Content,
            ..ChatCapabilities::default()
        };
        let (chat, dropped) = over(&value, accent);
        assert!(
            chat.to_string().contains("MARK") != dropped.iter().any(|path| path == name),
            "{name}: {chat} without {dropped:?}"
        );
    }
}

#[test]
fn results_follow_their_calls_whatever_was_said_meanwhile() {
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": ""});
    let result = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": id});
    let said = |role: &str, text: &str| json!({"role": role, "content": text});
    let thought =
        |id: &str| json!({"type": "reasoning", "id": id, "summary": [{"type": "summary_text", "text": id}]});
    let accent = ChatCapabilities {
        reasoning_echo: ReasoningEcho::Content,
        ..ChatCapabilities::default()
    };
    let shape = |items: Value| {
        let (chat, _) = over(&json!({"input": items}), accent);
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
            said("user", "x"),
            thought("r1"),
            call("1"),
            thought("r2"),
            call("2"),
            result("1"),
            result("2")
        ])),
        ["user 0", "assistant 2  r1\n\nr2", "tool 0 1", "tool 0 2"]
    );
    assert_eq!(
        shape(json!([
            call("1"),
            said("assistant", "wait"),
            result("1"),
            said("user", "?")
        ])),
        ["assistant 1", "tool 0 1", "assistant 0", "user 0"]
    );
    assert_eq!(
        shape(json!([
            call("1"),
            said("assistant", "a"),
            call("2"),
            said("user", "?"),
            result("2"),
            result("1")
        ])),
        ["assistant 1", "tool 0 1", "assistant 1", "tool 0 2", "user 0"]
    );
    // An id that is used again belongs to its latest call; a result of nothing stays where it is.
    assert_eq!(
        shape(json!([
            call("1"),
            result("1"),
            said("user", "?"),
            call("1"),
            result("1"),
            result("9")
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
fn what_openai_has_for_itself_stays_away_from_others() {
    let plain = ChatCapabilities {
        developer_role: false,
        max_completion_tokens: false,
        openai_extensions: false,
        reasoning_echo: ReasoningEcho::Dropped,
    };
    let (chat, dropped) = over(
        &json!({"input": "x", "store": true, "metadata": {"a": "b"}, "service_tier": "flex", "safety_identifier": "s",
            "prompt_cache_key": "k", "prompt_cache_retention": "24h", "text": {"verbosity": "low"}, "user": "u"}),
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
        "text.verbosity",
    ];
    assert_eq!(dropped, names);

    let function = |name: &str| json!({"type": "function", "name": name});
    let (chat, _) = over(
        &json!({"input": "x", "tools": [function("f"), function("g")],
            "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [function("g")]}}),
        plain,
    );
    assert_eq!(chat["tool_choice"], "required");
    assert_eq!(
        chat["tools"],
        json!([{"type": "function", "function": {"name": "g"}}])
    );

    for (param, asked) in [
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
            translate::responses_request_to_chat(&read(&asked), plain)
                .unwrap_err()
                .param,
            param
        );
    }
}

#[test]
fn calls_and_what_was_said_before_them_are_one_message_and_what_was_said_after_is_another() {
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "f", "arguments": ""});
    let said = |text: &str| json!({"role": "assistant", "content": text});
    let (chat, _) = over(
        &json!({"input": [said("a"), call("1"), call("2"), said("b"), call("3")]}),
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
    let (chat, _) = over(&json!({"input": [call("1")]}), ChatCapabilities::default());
    assert_eq!(
        chat["messages"][0]["content"],
        Value::Null,
        "no text is no empty text"
    );
}

#[test]
fn a_completion_is_told_as_a_whole_response() {
    let completion: ChatCompletion = read(&json!({
        "id": "c1", "created": 5, "model": "served", "choices": [{"index": 0, "finish_reason": "tool_calls",
            "logprobs": {"content": [{"token": "Hi"}]},
            "message": {"role": "assistant", "content": "Hi", "reasoning_content": "Hm.",
                "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t"}}],
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "prompt_cache_hit_tokens": 2},
    }));
    let request = json!({"model": "asked", "input": "x", "instructions": "i", "temperature": 0.5, "tools": [{"type": "function", "name": "f"}], "metadata": {"a": "b"}});
    let told = write(&translate::completion_to_response(completion, &frame(&request)).unwrap());
    assert_eq!(
        told,
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
fn how_a_completion_ended_is_told() {
    let end = |reason: &str| {
        let completion = json!({"choices": [{"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": "x"}}]});
        let response = translate::completion_to_response(read(&completion), &frame(&json!({})));
        response.map(|response| {
            let item = response.output[0].status().unwrap().to_owned();
            (
                response.status.unwrap().as_str().to_owned(),
                response.incomplete_details.and_then(|details| details.reason),
                item,
            )
        })
    };
    let told = |status: &str, reason: Option<&str>, item: &str| {
        Ok((status.to_owned(), reason.map(str::to_owned), item.to_owned()))
    };
    for reason in ["stop", "tool_calls", "eos", "end_turn", ""] {
        assert_eq!(end(reason), told("completed", None, "completed"));
    }
    for reason in ["length", "model_length", "max_tokens"] {
        assert_eq!(
            end(reason),
            told("incomplete", Some("max_output_tokens"), "incomplete")
        );
    }
    for reason in ["content_filter", "sensitive"] {
        assert_eq!(
            end(reason),
            told("incomplete", Some("content_filter"), "incomplete")
        );
    }
    for reason in ["error", "insufficient_system_resource", "network_error"] {
        assert!(end(reason).is_err(), "{reason}");
    }
    let unsaid = translate::completion_to_response(
        read(&json!({"choices": [{"message": {"content": "x"}}]})),
        &frame(&json!({})),
    )
    .unwrap();
    assert!(
        unsaid.usage.is_none() && unsaid.has("usage"),
        "usage that was not said is null and no 0"
    );
}

fn events_of(chunks: &[Value], failed: Option<&FailedResponse>) -> Vec<ResponseEvent> {
    let mut translator = ChunkToEventTranslator::new(frame(&json!({"model": "m"})));
    for chunk in chunks {
        translator.push(read::<ChatChunk>(chunk));
    }
    match failed {
        Some(failed) => translator.fail(failed),
        None => translator.finish(),
    }
    let events: Vec<_> = std::iter::from_fn(|| translator.next_event()).collect();
    translator.finish();
    assert!(translator.next_event().is_none(), "there is one end");
    // As they would travel.
    events.iter().map(|event| read(&write(event))).collect()
}

fn check(events: &[ResponseEvent]) {
    let mut grammar = EventSequence::new();
    for event in events {
        grammar
            .push(event)
            .unwrap_or_else(|broken| panic!("{broken}\n{:#}", write(&events)));
    }
    grammar.end().unwrap();
}

fn chunk(delta: &Value) -> Value {
    json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta}]})
}

/// Pieces of calls of one kind: nobody mixes them under one index.
fn deltas(least: usize) -> impl Strategy<Value = Vec<Value>> {
    any::<bool>().prop_flat_map(move |custom| prop::collection::vec(a_delta(custom), least..12))
}

fn a_delta(custom: bool) -> impl Strategy<Value = Value> {
    let text = "[a-c\u{e9}\u{4e2d}]{0,3}";
    let call = (
        prop::option::of(0_u64..3),
        prop::option::of(prop_oneof![Just("".to_owned()), "[xyz]"]),
        prop::option::of(prop_oneof![Just("".to_owned()), "[fg]"]),
        prop::option::of(text),
    );
    let call = call.prop_map(move |(index, id, name, said)| {
        let mut call = if custom {
            json!({"type": "custom", "custom": {"name": name, "input": said}})
        } else {
            json!({"function": {"name": name, "arguments": said}})
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
    /// Whatever a provider streams, what is made of it follows the grammar, and the last event has all that was streamed.
    // L74, L75
    #[test]
    fn whatever_is_streamed_the_events_are_in_order(
        deltas in deltas(0),
        reason in prop::option::of(prop::sample::select(&["stop", "length", "tool_calls", "content_filter", "odd"][..])),
        usage in any::<bool>(),
        breaks in prop::bool::weighted(0.2),
    ) {
        let mut chunks: Vec<Value> = deltas.iter().map(chunk).collect();
        chunks.extend(reason.map(|reason| json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})));
        chunks.extend(usage.then(|| json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})));
        let failed = FailedResponse { code: None, message: Some("m".to_owned()) };
        let events = events_of(&chunks, Some(&failed).filter(|_| breaks));
        check(&events);
        if breaks {
            prop_assert_eq!(&events.last().unwrap().kind, &EventKind::Failed);
            return Ok(());
        }
        let mut assembler = Assembler::new();
        chunks.iter().for_each(|chunk| assembler.push(read(chunk)));
        let whole = assembler.finish();
        let told = events.last().unwrap().response.as_ref().unwrap();
        prop_assert_eq!(told.usage.is_some(), usage);
        if whole.choices.is_empty() {
            return Ok(());
        }
        let plain = translate::completion_to_response(whole, &frame(&json!({"model": "m"}))).unwrap();
        prop_assert_eq!(told.text(), plain.text());
        prop_assert_eq!(calls(told), calls(&plain));
        prop_assert_eq!(&told.status, &plain.status);
        prop_assert_eq!(&told.incomplete_details, &plain.incomplete_details);
    }

    /// There and back: the chunks of the events of chunks say what the chunks said.
    #[test]
    fn a_stream_that_is_translated_twice_says_the_same(deltas in deltas(1)) {
        let mut chunks: Vec<Value> = deltas.iter().map(chunk).collect();
        chunks.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
        let (mut once, mut twice) = (Assembler::new(), Assembler::new());
        chunks.iter().for_each(|chunk| once.push(read(chunk)));
        let mut back = EventToChunkTranslator::new();
        for event in events_of(&chunks, None) {
            back.push(event).unwrap();
            while let Some(chunk) = back.next_chunk() {
                twice.push(chunk);
            }
        }
        let (once, twice) = (once.finish(), twice.finish());
        prop_assert_eq!(said(&once), said(&twice));
    }

    /// There and back: a chat that has an equivalent is the same afterwards.
    // O20
    #[test]
    fn a_chat_that_is_translated_twice_is_the_same(chat in a_chat()) {
        let there = translate::chat_request_to_responses(&read::<ChatRequest>(&chat)).unwrap();
        prop_assert_eq!(&there.dropped, &[] as &[String]);
        let accent = ChatCapabilities { reasoning_echo: ReasoningEcho::Details, ..ChatCapabilities::default() };
        let back = translate::responses_request_to_chat(&there.request, accent).unwrap();
        prop_assert_eq!(&back.dropped, &[] as &[String]);
        prop_assert_eq!(write(&back.request), chat);
    }
}

/// Names and arguments in order. Ids are not compared: one that comes behind the name is too late for what was told.
fn calls(response: &Response) -> Vec<(String, String)> {
    let items = response.output.iter().map(write);
    let calls = items.filter_map(|item| {
        let said = item.get("arguments").or_else(|| item.get("input"))?;
        Some((item["name"].as_str()?.to_owned(), said.as_str()?.to_owned()))
    });
    let mut calls: Vec<_> = calls.collect();
    calls.sort();
    calls
}

fn said(completion: &ChatCompletion) -> (String, String, Vec<(String, String)>) {
    let message = &completion.choices[0].message;
    let mut calls: Vec<_> = message
        .tool_calls
        .iter()
        .map(write)
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

fn a_chat() -> impl Strategy<Value = Value> {
    let text = || "[a-z ]{1,6}".prop_map(Value::from);
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
        move |(said, thinks, custom, result)| {
            // Without a text it would be one with what was said just before.
            let said = if thinks { said } else { said.or(Some("so".into())) };
            let mut message = json!({"role": "assistant", "content": said});
            if thinks {
                message["reasoning_details"] = reasoning.clone();
            }
            let mut calls = vec![
                json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{"}}),
            ];
            if custom {
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
    let answer = (text(), prop::option::of(text())).prop_map(|(said, refusal)| {
        let mut message = json!({"role": "assistant", "content": said});
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
    (any::<bool>(), turns, settings).prop_map(|(system, turns, settings)| {
        let mut messages = Vec::new();
        if system {
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

/// Each says `MARK`, which the response has in the end, streamed and plain, and the events follow the grammar.
// L77
#[test]
fn odd_answers_lose_nothing_on_the_way() {
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
        check(&events);
        let told = write(&events.last().unwrap().response);
        assert!(
            told["output"].to_string().contains("MARK"),
            "streamed: {deltas:?}: {}",
            told["output"]
        );
        let mut assembler = Assembler::new();
        chunks.iter().for_each(|chunk| assembler.push(read(chunk)));
        let plain =
            write(&translate::completion_to_response(assembler.finish(), &frame(&json!({}))).unwrap());
        assert!(
            plain["output"].to_string().contains("MARK"),
            "plain: {deltas:?}: {}",
            plain["output"]
        );
        let kinds = |told: &Value| {
            let items = told["output"].as_array().unwrap().iter();
            let mut kinds: Vec<_> = items
                .map(|item| item["type"].as_str().unwrap().to_owned())
                .collect();
            kinds.sort();
            kinds
        };
        assert_eq!(kinds(&told), kinds(&plain), "{deltas:?}");
        let ids = |told: &Value| {
            let items = told["output"].as_array().unwrap().iter();
            let mut ids: Vec<_> = items
                .map(|item| item["call_id"].as_str().unwrap_or_default().to_owned())
                .collect();
            ids.retain(|id| !id.is_empty());
            ids
        };
        let (streamed, plain) = (ids(&told), ids(&plain));
        assert!(
            streamed.len() == plain.len()
                && (streamed.len() < 2 || streamed[0] != streamed[1] && plain[0] != plain[1]),
            "{streamed:?} {plain:?}"
        );
    }
}

// L77
#[test]
fn two_pieces_of_reasoning_stay_two_with_what_only_their_maker_can_read() {
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
        .map(|chunk| write(&chunk))
        .collect();
    let events = events_of(&chunks, None);
    check(&events);
    let output = write(&events.last().unwrap().response)["output"].clone();
    let said = |number: usize| {
        let item = &output[number];
        (
            item["content"][0]["text"].as_str().unwrap().to_owned(),
            item["encrypted_content"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(
        [said(0), said(1)],
        [("t1", "e1"), ("t2", "e2")].map(|(text, encrypted)| (text.to_owned(), encrypted.to_owned()))
    );
}

// L77
#[test]
fn empty_frames_and_ends_say_nothing_of_a_response() {
    let frame = json!({"id": "", "object": "", "created": 0, "model": "", "choices": [{"index": 0, "delta": {}, "finish_reason": ""}]});
    let said = json!({"id": "c1", "model": "served", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "length"}]});
    let events = events_of(&[frame.clone(), said, frame], None);
    check(&events);
    let last = write(&events.last().unwrap().response);
    assert_eq!(
        (&last["model"], &last["status"]),
        (&json!("served"), &json!("incomplete"))
    );
    assert_ne!(write(&events[0].response)["model"], "");
}

// L67
#[test]
fn what_is_cached_is_counted_once_whatever_it_is_called() {
    for said in [
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}}),
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 6}),
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cached_tokens": 4}),
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_cache_hit_tokens": 4, "prompt_tokens_details": {"cached_tokens": 4}}),
    ] {
        let usage: Usage = read(&said);
        assert_eq!(
            (usage.prompt_tokens(), usage.cached_tokens(), usage.total_tokens()),
            (Some(10), Some(4), Some(15)),
            "{said}"
        );
        let answer = json!({"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}], "usage": said});
        let frame = frame(&json!({}));
        let response = translate::completion_to_response(read(&answer), &frame).unwrap();
        let used = response.usage.as_ref().unwrap();
        let cached = used
            .input_tokens_details
            .as_ref()
            .and_then(|details| details.cached_tokens());
        assert_eq!(
            (used.input_tokens(), cached, used.total_tokens()),
            (Some(10), Some(4), Some(15)),
            "{said}"
        );
        let back = translate::response_to_completion(response)
            .unwrap()
            .usage
            .unwrap();
        assert_eq!(
            (back.prompt_tokens(), back.cached_tokens(), back.total_tokens()),
            (Some(10), Some(4), Some(15)),
            "{said}"
        );
    }
}

#[test]
fn what_a_usage_says_beside_its_counts_goes_along_into_the_other_format_and_back() {
    let said = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.50,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 3, "video_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 0, "accepted_prediction_tokens": 5}});
    let answer = json!({"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}], "usage": said});
    let frame = frame(&json!({}));
    let response = translate::completion_to_response(read(&answer), &frame).unwrap();
    assert_eq!(
        write(&translate::response_to_completion(response).unwrap().usage),
        said
    );
}

// U08
#[test]
fn debug_of_what_is_translated_shows_no_words_of_anybody() {
    const CANARY: &str = "CANARY";
    let failed = FailedResponse {
        code: Some(CANARY.into()),
        message: Some(CANARY.into()),
    };
    let asked = json!({"input": CANARY, "include": [CANARY], CANARY: CANARY});
    let asked: ResponsesRequest = serde_json::from_value(asked).unwrap();
    let translated = translate::responses_request_to_chat(&asked, ChatCapabilities::default()).unwrap();
    let kinds: [EventKind; 2] = [CANARY.into(), "response.created".into()];
    let shown = format!(
        "{failed:?} {:?} {translated:?} {kinds:?} {:?}",
        translate::EventError::Failed(failed.clone()),
        FinishReason::from(CANARY)
    );
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(shown.contains("Created"), "{shown}");
}
