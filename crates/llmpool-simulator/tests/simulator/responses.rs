//! The Responses endpoint without failures.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::client::{End, Reply, chat, post};
use crate::response_events::{events, response, types};
use crate::simulate;

/// An answer without ids; times are replaced by whether they are set.
const EVERY_MEMBER: &str = r#"{
    "id": null, "object": "response", "created_at": true, "completed_at": true, "status": "completed",
    "background": false, "error": null, "frequency_penalty": 0.0, "incomplete_details": null,
    "instructions": "be brief", "max_output_tokens": null, "max_tool_calls": null, "metadata": {"a": "b"},
    "model": "m", "parallel_tool_calls": true, "presence_penalty": 0.0, "previous_response_id": null,
    "prompt_cache_key": null, "reasoning": {"effort": null, "summary": null}, "safety_identifier": null,
    "service_tier": "default", "store": true, "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"}, "tool_choice": "auto", "tools": [],
    "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "user": null,
    "output": [{"id": null, "type": "message", "role": "assistant", "status": "completed", "content": [
        {"type": "output_text", "text": "eins zwei  drei 世界", "annotations": [], "logprobs": []}]}]
}"#;

/// Returns a request with the members of `extra` and the prompt of the chat tests.
pub(crate) fn body(extra: &Value) -> Value {
    let mut body = json!({"model": "m", "input": "PROMPT-CANARY"});
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    body
}

pub(crate) async fn ask(addr: SocketAddr, key: &str, extra: Value) -> Result<Reply, End> {
    post(addr, "/v1/responses", key, &body(&extra)).await
}

/// Requests an answer with and without streaming, checks that they differ only in their ids, and returns one.
async fn plain_and_streamed(scenario: &str, extra: Value) -> Value {
    let provider = simulate(scenario).await;
    let plain = ask(provider.addr(), "k", extra.clone()).await.unwrap();
    assert_eq!(
        (plain.status, plain.end),
        (200, End::Complete),
        "{}",
        plain.text()
    );
    let mut streaming = extra;
    streaming["stream"] = json!(true);
    let streamed = response(&ask(provider.addr(), "k", streaming).await.unwrap());
    let plain = plain.json();
    assert_ne!(plain["id"], streamed["id"]);
    assert_eq!(without_ids(plain.clone()), without_ids(streamed));
    plain
}

fn without_ids(mut response: Value) -> Value {
    for time in ["created_at", "completed_at"] {
        response[time] = json!(response[time].is_u64());
    }
    response["id"] = Value::Null;
    for item in response["output"].as_array_mut().unwrap() {
        for member in ["id", "call_id", "encrypted_content"] {
            if let Some(value) = item.get_mut(member) {
                *value = Value::Null;
            }
        }
    }
    response
}

async fn refused(addr: SocketAddr, key: &str, extra: Value) -> (u16, Value, Value) {
    let reply = ask(addr, key, extra).await.unwrap();
    assert!(!reply.text().contains("PROMPT-CANARY"), "{}", reply.text());
    let error = reply.json()["error"].clone();
    (reply.status, error["param"].clone(), error["code"].clone())
}

fn weather() -> Value {
    json!([{"type": "function", "name": "weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}])
}

#[tokio::test]
async fn answer_has_every_member_and_the_chat_text() {
    let scenario = r#"{"answer": "eins zwei  drei 世界", "words_per_chunk": 2}"#;
    let answer = plain_and_streamed(
        scenario,
        json!({"instructions": "be brief", "metadata": {"a": "b"}}),
    )
    .await;
    let provider = simulate(scenario).await;
    let as_chat = json!({"messages": [
        {"role": "system", "content": "be brief"}, {"role": "user", "content": "PROMPT-CANARY"}]});
    let chat = chat(provider.addr(), "k", as_chat).await.unwrap().json();
    let message = &answer["output"][0];
    assert_eq!(
        message["content"][0]["text"],
        chat["choices"][0]["message"]["content"]
    );
    let usage = json!({
        "input_tokens": chat["usage"]["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": chat["usage"]["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": chat["usage"]["total_tokens"],
    });
    let answer = without_ids(answer);
    let mut expected: Value = serde_json::from_str(EVERY_MEMBER).unwrap();
    expected["usage"] = usage;
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn request_fields_are_echoed_in_the_response() {
    let request = json!({
        "max_output_tokens": 1000, "max_tool_calls": 3, "parallel_tool_calls": false, "prompt_cache_key": "p",
        "reasoning": {"effort": "low", "summary": "auto"}, "safety_identifier": "s", "store": false,
        "temperature": 0.5, "text": {"format": {"type": "json_object"}, "verbosity": "low"}, "top_logprobs": 2,
        "tool_choice": "none", "tools": weather(), "top_p": 0.25, "truncation": "auto", "user": "u",
    });
    let answer = plain_and_streamed("{}", request.clone()).await;
    for (member, value) in request.as_object().unwrap() {
        if member != "tools" {
            assert_eq!(answer[member], *value, "{member}");
        }
    }
    let tool = &answer["tools"][0];
    assert_eq!(
        (&tool["strict"], &tool["description"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(tool["parameters"], weather()[0]["parameters"]);
}

#[tokio::test]
async fn events_are_ordered_and_sent_separately() {
    let provider = simulate(r#"{"answer": "a b"}"#).await;
    let reply = ask(provider.addr(), "k", json!({"stream": true})).await.unwrap();
    assert_eq!(
        reply.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    let (events, done) = events(&reply);
    assert!(done);
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(types(&events), expected);

    let provider = simulate(r#"{"answer": "a b", "done": false, "usage": "never"}"#).await;
    let reply = post(
        provider.addr(),
        "/responses",
        "k",
        &body(&json!({"stream": true})),
    )
    .await
    .unwrap();
    let (events, done) = crate::response_events::events(&reply);
    assert!(!done);
    assert_eq!(events[9]["response"]["usage"], Value::Null);
}

#[tokio::test]
async fn forced_tool_is_called() {
    let named = json!({"type": "function", "name": "weather"});
    let allowed = json!({"type": "allowed_tools", "mode": "required", "tools": [named]});
    let other = json!({"type": "function", "name": "other"});
    let tools = json!([other, weather()[0]]);
    for choice in [named.clone(), allowed] {
        let answer = plain_and_streamed("{}", json!({"tools": tools, "tool_choice": choice})).await;
        assert_eq!(
            answer["output"].as_array().unwrap().len(),
            1,
            "a message beside the call"
        );
        let call = &answer["output"][0];
        assert_eq!(
            (&call["type"], &call["name"]),
            (&json!("function_call"), &json!("weather"))
        );
        assert_eq!(call["arguments"], "{\"city\":\"xxxx\"}");
        assert!(call["call_id"].as_str().unwrap().starts_with("call_"));
        assert_eq!(answer["status"], "completed");
    }
    let required = plain_and_streamed(
        r#"{"tool_arguments": "{\"city\": \"Paris\"}"}"#,
        json!({"tools": weather(), "tool_choice": "required"}),
    );
    assert_eq!(required.await["output"][0]["arguments"], "{\"city\": \"Paris\"}");
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]});
    let format = json!({"text": {"format": {"type": "json_schema", "name": "r", "schema": schema}}});
    assert_eq!(
        plain_and_streamed("{}", format).await["output"][0]["content"][0]["text"],
        "{\"ok\":false}"
    );
}

#[tokio::test]
async fn truncated_answer_is_incomplete() {
    let limit = json!({"max_output_tokens": 16});
    let answer = plain_and_streamed(r#"{"answer": "a b c", "chunk_count": 17}"#, limit.clone()).await;
    assert_eq!(answer["status"], "incomplete");
    assert_eq!(
        answer["incomplete_details"],
        json!({"reason": "max_output_tokens"})
    );
    assert_eq!(
        (&answer["output"][0]["status"], &answer["completed_at"]),
        (&json!("incomplete"), &Value::Null)
    );
    assert_eq!(answer["usage"]["output_tokens"], 16);

    let whole = plain_and_streamed(r#"{"answer": "a b c", "chunk_count": 16}"#, limit.clone()).await;
    assert_eq!(
        (&whole["status"], &whole["output"][0]["status"]),
        (&json!("completed"), &json!("completed"))
    );

    let reasoning = "t ".repeat(17);
    let with_reasoning = format!(r#"{{"answer": "a", "reasoning": "{}"}}"#, reasoning.trim());
    let answer = plain_and_streamed(&with_reasoning, limit).await;
    assert_eq!(
        answer["output"].as_array().unwrap().len(),
        1,
        "an item after the incomplete one"
    );
    let item = &answer["output"][0];
    assert_eq!(
        (&item["type"], &item["status"]),
        (&json!("reasoning"), &json!("incomplete"))
    );
    assert_eq!(answer["usage"]["output_tokens_details"]["reasoning_tokens"], 16);
}

#[tokio::test]
async fn reasoning_item_has_the_requested_visibility() {
    let scenario = r#"{"answer": "a b", "reasoning": "let me see", "words_per_chunk": 2}"#;
    let include = json!(["reasoning.encrypted_content"]);
    for (extra, summary, content, sealed) in [
        (
            json!({}),
            json!([]),
            json!([{"type": "reasoning_text", "text": "let me see"}]),
            false,
        ),
        (
            json!({"reasoning": {"summary": "auto"}, "include": include}),
            json!([{"type": "summary_text", "text": "let me see"}]),
            Value::Null,
            true,
        ),
        (
            json!({"include": include, "store": false}),
            json!([]),
            Value::Null,
            true,
        ),
    ] {
        let answer = plain_and_streamed(scenario, extra).await;
        let (reasoning, message) = (&answer["output"][0], &answer["output"][1]);
        assert_eq!(
            (&reasoning["summary"], &reasoning["content"]),
            (&summary, &content)
        );
        assert_eq!(reasoning["encrypted_content"].is_string(), sealed);
        assert_eq!(message["content"][0]["text"], "a b");
        assert_eq!(answer["usage"]["output_tokens"], 5);
    }
    let refusal = plain_and_streamed(r#"{"refusal": "I will not."}"#, json!({})).await;
    assert_eq!(
        refusal["output"][0]["content"],
        json!([{"type": "refusal", "refusal": "I will not."}])
    );
    assert_eq!(refusal["status"], "completed");
}

#[tokio::test]
async fn response_is_continued_only_by_its_account() {
    let provider = simulate(
        r#"{"echo": true, "accounts": [{"name": "team"}],
            "keys": [{"key": "a", "account": "team"}, {"key": "b", "account": "team"}, {"key": "c"}]}"#,
    )
    .await;
    for streams in [false, true] {
        let first = ask(
            provider.addr(),
            "a",
            json!({"stream": streams, "instructions": "one two three"}),
        )
        .await
        .unwrap();
        let first = if streams { response(&first) } else { first.json() };
        assert_eq!(first["usage"]["input_tokens"], 4);
        let next = json!({"previous_response_id": first["id"], "input": [{"role": "developer", "content": "go on"}]});
        let unknown = (
            400,
            json!("previous_response_id"),
            json!("previous_response_not_found"),
        );
        assert_eq!(refused(provider.addr(), "c", next.clone()).await, unknown);
        for key in ["a", "b"] {
            let second = ask(provider.addr(), key, next.clone()).await.unwrap().json();
            assert_eq!(second["previous_response_id"], first["id"]);
            assert_eq!(
                second["output"][0]["content"][0]["text"], "PROMPT-CANARY",
                "not the text of the previous turn"
            );
            assert_eq!(
                second["usage"]["input_tokens"], 4,
                "the instructions of the first turn were counted"
            );
        }
        let never = json!({"previous_response_id": "resp_never"});
        assert_eq!(refused(provider.addr(), "a", never).await, unknown);
        let gone = ask(provider.addr(), "a", json!({"store": false}))
            .await
            .unwrap()
            .json();
        let next = json!({"previous_response_id": gone["id"]});
        assert_eq!(
            refused(provider.addr(), "a", next).await,
            unknown,
            "a response with store: false was stored"
        );
    }
    assert!(!format!("{provider:?}").contains("PROMPT-CANARY"));
}

#[tokio::test]
async fn encrypted_reasoning_is_bound_to_its_account() {
    let provider = simulate(
        r#"{"reasoning": "hm", "accounts": [{"name": "team"}],
            "keys": [{"key": "a", "account": "team"}, {"key": "b", "account": "team"}, {"key": "c"}]}"#,
    )
    .await;
    let request = json!({"include": ["reasoning.encrypted_content"], "store": false});
    let first = ask(provider.addr(), "a", request).await.unwrap().json();
    let mut input = vec![json!({"role": "user", "content": "PROMPT-CANARY"})];
    input.extend(first["output"].as_array().unwrap().iter().cloned());
    input.push(json!({"role": "user", "content": "go on"}));
    for key in ["a", "b"] {
        let second = ask(provider.addr(), key, json!({"input": input})).await.unwrap();
        assert_eq!(second.status, 200, "{}", second.text());
    }
    let foreign = (400, Value::Null, json!("invalid_encrypted_content"));
    assert_eq!(
        refused(provider.addr(), "c", json!({"input": input})).await,
        foreign
    );
    input[1]["encrypted_content"] = json!("gAAAAAtampered");
    assert_eq!(
        refused(provider.addr(), "a", json!({"input": input})).await,
        foreign
    );
}

#[tokio::test]
async fn call_output_needs_a_matching_call() {
    let provider = simulate(r#"{"keys": [{"key": "a"}, {"key": "b"}]}"#).await;
    let tools = json!({"tools": weather(), "tool_choice": "required"});
    let first = ask(provider.addr(), "a", tools).await.unwrap().json();
    let call = &first["output"][0];
    let output = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "18 degrees"});
    let reference = json!({"type": "item_reference", "id": call["id"]});

    for extra in [
        json!({"previous_response_id": first["id"], "input": [output]}),
        json!({"input": [call, output]}),
        json!({"input": [reference, output]}),
    ] {
        let reply = ask(provider.addr(), "a", extra).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let alone = json!({"input": [output]});
    assert_eq!(
        refused(provider.addr(), "a", alone).await,
        (400, json!("input"), Value::Null)
    );
    let foreign = json!({"input": [reference, output]});
    assert_eq!(
        refused(provider.addr(), "b", foreign).await,
        (404, json!("input"), Value::Null)
    );
}

#[tokio::test]
async fn invalid_request_names_param_and_code() {
    let provider = simulate(r#"{"models": ["m"]}"#).await;
    for (extra, param, code) in [
        (json!({"model": null}), "model", "missing_required_parameter"),
        (json!({"input": null}), "input", "missing_required_parameter"),
        (json!({"input": {}}), "input", "invalid_type"),
        (json!({"messages": []}), "messages", "unknown_parameter"),
        (
            json!({"response_format": {"type": "text"}}),
            "response_format",
            "unknown_parameter",
        ),
        (json!({"max_tokens": 20}), "max_tokens", "unknown_parameter"),
        (
            json!({"stream_options": {"include_usage": true}}),
            "stream_options.include_usage",
            "unknown_parameter",
        ),
        (json!({"background": true}), "background", "unsupported_parameter"),
        (
            json!({"max_output_tokens": 15}),
            "max_output_tokens",
            "integer_below_min_value",
        ),
        (
            json!({"temperature": 2.5}),
            "temperature",
            "decimal_above_max_value",
        ),
        (json!({"temperature": "hot"}), "temperature", "invalid_type"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
            "tools[0].name",
            "missing_required_parameter",
        ),
        (
            json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}),
            "tool_choice.name",
            "missing_required_parameter",
        ),
        (
            json!({"tool_choice": "PROMPT-CANARY"}),
            "tool_choice",
            "invalid_value",
        ),
        (
            json!({"text": {"format": {"type": "json_schema", "json_schema": {"name": "PROMPT-CANARY"}}}}),
            "text.format.schema",
            "missing_required_parameter",
        ),
    ] {
        assert_eq!(
            refused(provider.addr(), "k", extra.clone()).await,
            (400, json!(param), json!(code)),
            "{extra}"
        );
    }
    let unknown = refused(provider.addr(), "k", json!({"model": "none"})).await;
    assert_eq!(unknown, (404, Value::Null, json!("model_not_found")));
    let nulls =
        json!({"background": false, "stop": null, "tools": null, "store": null, "text": null, "user": null});
    assert_eq!(ask(provider.addr(), "k", nulls).await.unwrap().status, 200);
}
