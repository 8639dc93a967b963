//! Models called through the Responses API: translated from chat completions, and native.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;

use llmpool::chat::{ChatRequest, FinishReason, Json, Message, Stop};
use llmpool::responses::{EventKind, ResponseEvent, ResponseStatus, ResponsesRequest};
use llmpool::{
    ApiFormat, ApiKeyPool, ErrorKind, FailureKind, LlmInterface, OpenAiCompatible, OpenAiResponsesCompatible,
    Providers, TargetSettings, UsageSource,
};
use serde_json::{Value, json};
use support::{Action, STREAM_HEAD, ScriptedProvider, answer, completion, events};

fn target(script: Arc<ScriptedProvider>, max_retries: u32) -> OpenAiCompatible {
    let pool = ApiKeyPool::new("p", ["a", "b"]).unwrap();
    let settings = TargetSettings {
        api: ApiFormat::Responses,
        max_retries,
        ..TargetSettings::default()
    };
    OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(script)
        .build()
        .unwrap()
}

fn response(status: &str) -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m",
        "error": if status == "failed" { json!({"code": "server_error", "message": "words of the provider"}) } else { Value::Null },
        "incomplete_details": if status == "incomplete" { json!({"reason": "max_output_tokens"}) } else { Value::Null },
        "output": [
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "Hello", "annotations": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}", "status": "completed"},
        ],
        "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1}, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 5}})
}

fn stream(status: &str) -> Vec<Value> {
    let end = format!("response.{status}");
    vec![
        json!({"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "model": "m", "created_at": 1, "status": "in_progress", "output": []}}),
        json!({"type": "response.in_progress", "sequence_number": 1, "response": {"id": "resp_1", "model": "m", "created_at": 1, "status": "in_progress", "output": []}}),
        json!({"type": "response.output_item.added", "sequence_number": 2, "output_index": 0, "item": {"type": "message", "id": "msg_1", "role": "assistant", "content": []}}),
        json!({"type": "response.output_text.delta", "sequence_number": 3, "output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": "Hel"}),
        json!({"type": "response.output_text.delta", "sequence_number": 4, "output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": "lo"}),
        json!({"type": "response.output_item.added", "sequence_number": 5, "output_index": 1, "item": {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.done", "sequence_number": 6, "output_index": 1, "item_id": "fc_1", "name": "f", "arguments": "{}"}),
        json!({"type": "response.output_item.done", "sequence_number": 7, "output_index": 1, "item": {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}}),
        json!({"type": end, "sequence_number": 8, "response": response(status)}),
    ]
}

fn encode_stream(stream: &[Value], done: bool) -> Vec<u8> {
    let mut texts: Vec<String> = stream.iter().map(Value::to_string).collect();
    texts.extend(done.then(|| "[DONE]".to_owned()));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    [STREAM_HEAD.as_bytes(), &events(&texts), b"0\r\n\r\n"].concat()
}

fn plain(status: &'static str) -> Arc<ScriptedProvider> {
    ScriptedProvider::new(move |_, _| Action::Send(answer(200, "", &response(status).to_string())))
}

fn request() -> ChatRequest {
    ChatRequest {
        seed: Some(1),
        ..ChatRequest::new([Message::system("Be brief."), Message::user("hi")])
    }
}

#[tokio::test(start_paused = true)]
async fn chat_is_translated_to_a_response_request_and_back() {
    let script = plain("completed");
    let answer = target(script.clone(), 0).chat(&request()).await.unwrap();
    assert_eq!(answer.text(), "Hello");
    assert_eq!(answer.finish_reason(), Some(&FinishReason::ToolCalls));
    assert_eq!(answer.report.dropped, ["seed"]);
    assert_eq!(answer.report.usage_source, UsageSource::Provider);
    let usage = answer.report.usage.as_ref().unwrap();
    assert_eq!(
        (usage.prompt_tokens(), usage.cached_tokens(), usage.total_tokens()),
        (Some(3), Some(1), Some(5))
    );
    let received = script.received.lock().unwrap();
    assert_eq!(
        received[0].body,
        json!({"model": "m", "instructions": "Be brief.", "store": false, "input": [{"type": "message", "role": "user", "content": "hi"}]})
    );
}

#[tokio::test(start_paused = true)]
async fn target_parameters_complete_partly_set_chat_fields() {
    let params = json!({"store": true, "include": ["file_search_call.results"], "reasoning": {"effort": "low", "summary": "auto", "mode": "pro"},
        "text": {"verbosity": "low", "format": {"type": "json_object"}, "x": 1}});
    let params = params.as_object().unwrap().iter();
    let params = params.map(|(name, value)| (name.clone(), Json::of(value).unwrap()));
    let settings = TargetSettings {
        api: ApiFormat::Responses,
        api_params: params.collect(),
        ..TargetSettings::default()
    };
    let script = plain("completed");
    let pool = ApiKeyPool::new("p", ["a", "b"]).unwrap();
    let target = OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(script.clone())
        .build()
        .unwrap();
    let request = json!({"messages": [{"role": "user", "content": "hi"}], "logprobs": true, "reasoning_effort": "high",
        "response_format": {"type": "text"}, "stream_options": {"include_obfuscation": false}});
    let request: ChatRequest = serde_json::from_value(request).unwrap();
    target.chat(&request).await.unwrap();
    let without_store = ChatRequest {
        store: Some(false),
        ..request
    };
    target.chat(&without_store).await.unwrap();
    let received = script.received.lock().unwrap();
    let body = &received[0].body;
    assert_eq!(body["store"], true);
    assert_eq!(
        body["include"],
        json!([
            "message.output_text.logprobs",
            "reasoning.encrypted_content",
            "file_search_call.results"
        ])
    );
    assert_eq!(
        body["reasoning"],
        json!({"effort": "high", "summary": "auto", "mode": "pro"})
    );
    assert_eq!(
        body["text"],
        json!({"format": {"type": "text"}, "verbosity": "low", "x": 1})
    );
    assert_eq!(body.get("stream_options"), None, "not allowed without streaming");
    assert_eq!(received[1].body["store"], false);
}

#[tokio::test(start_paused = true)]
async fn hosted_items_are_in_the_report_of_plain_and_streamed_chats() {
    let search =
        json!({"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search"}});
    let with_search = move || {
        let mut response = response("completed");
        response["output"]
            .as_array_mut()
            .unwrap()
            .insert(0, search.clone());
        response
    };
    let body = with_search().to_string();
    let script = ScriptedProvider::new(move |_, _| Action::Send(answer(200, "", &body)));
    let plain = target(script, 0).chat(&request()).await.unwrap();
    assert_eq!(plain.report.dropped_output, ["output[0] (web_search_call)"]);

    let script = ScriptedProvider::new(move |_, _| {
        let mut events = stream("completed");
        events.last_mut().unwrap()["response"] = with_search();
        Action::Send(encode_stream(&events, false))
    });
    let stream = target(script, 0).chat_stream(&request()).await.unwrap();
    let streamed = stream.into_response().await.unwrap();
    assert_eq!(streamed.report.dropped_output, plain.report.dropped_output);
}

#[tokio::test(start_paused = true)]
async fn extra_content_of_earlier_turns_is_not_sent_to_openai() {
    let request = json!({"messages": [{"role": "assistant", "extra_content": {"x": "MARK"}, "phase": "final_answer", "content": "t", "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {"x": "MARK"}}]}]});
    let request: ChatRequest = serde_json::from_value(request).unwrap();
    for (host, api, is_sent) in [
        ("scripted", ApiFormat::Responses, true),
        ("api.openai.com", ApiFormat::Responses, false),
        ("scripted", ApiFormat::ChatCompletions, true),
        ("api.openai.com", ApiFormat::ChatCompletions, false),
        ("x.openai.azure.com", ApiFormat::ChatCompletions, false),
    ] {
        let script = match api {
            ApiFormat::Responses => plain("completed"),
            ApiFormat::ChatCompletions => ScriptedProvider::new(|_, _| Action::Send(completion("t"))),
        };
        let pool = ApiKeyPool::new("p", ["a"]).unwrap();
        let settings = TargetSettings {
            api,
            ..TargetSettings::default()
        };
        let target = OpenAiCompatible::builder(&pool, "m", format!("http://{host}/v1"))
            .settings(settings)
            .connector(script.clone())
            .build()
            .unwrap();
        let answer = target.chat(&request).await.unwrap();
        let body = script.received.lock().unwrap()[0].body.to_string();
        assert_eq!(
            body.matches("MARK").count(),
            if is_sent { 2 } else { 0 },
            "{host}: {body}"
        );
        // A Responses request has a field for the phase.
        let has_phase = is_sent || api == ApiFormat::Responses;
        assert_eq!(body.contains("final_answer"), has_phase, "{host}: {body}");
        let mut removed = vec![
            "messages[0].extra_content",
            "messages[0].phase",
            "messages[0].tool_calls[0].extra_content",
        ];
        removed.retain(|path| {
            if path.ends_with("phase") {
                !has_phase
            } else {
                !is_sent
            }
        });
        assert_eq!(answer.report.dropped, removed, "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn blocks_of_other_formats_are_not_sent_to_a_responses_target() {
    let blocks = "llmpool.blocks.1:[{\"type\":\"reasoning.text\"}]";
    let text = json!([{"type": "reasoning_text", "text": "hm"}]);
    let request = json!({"model": "m", "input": [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": blocks},
        {"type": "reasoning", "id": "rs_2", "summary": [], "content": text, "encrypted_content": blocks},
        {"role": "user", "content": "llmpool.blocks.1: in a text"},
    ]});
    let sent = json!([
        {"type": "reasoning", "id": "rs_2", "summary": [], "content": text},
        {"role": "user", "content": "llmpool.blocks.1: in a text"},
    ]);
    for is_raw in [false, true] {
        let script = plain("completed");
        let target = target(script.clone(), 0);
        let report = if is_raw {
            let body = request.to_string();
            target.raw_chat(body.into()).await.unwrap().report
        } else {
            let model = OpenAiResponsesCompatible::from_model(&target).unwrap();
            let request = serde_json::from_value(request.clone()).unwrap();
            model.create_response(&request).await.unwrap().report
        };
        assert_eq!(report.dropped, ["input[0]", "input[1].encrypted_content"]);
        assert_eq!(script.received.lock().unwrap()[0].body["input"], sent);
    }
}

#[tokio::test(start_paused = true)]
async fn target_parameters_complete_options_of_native_requests() {
    let params = json!({"reasoning": {"effort": "low", "summary": "auto", "mode": "pro"}, "text": {"verbosity": "low", "x": 1}});
    let params = params.as_object().unwrap().iter();
    let params = params.map(|(name, value)| (name.clone(), Json::of(value).unwrap()));
    let settings = TargetSettings {
        api: ApiFormat::Responses,
        api_params: params.collect(),
        ..TargetSettings::default()
    };
    let script = plain("completed");
    let pool = ApiKeyPool::new("p", ["a"]).unwrap();
    let target = OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(script.clone())
        .build_responses()
        .unwrap();
    let request = json!({"input": "x", "reasoning": {"effort": "high", "mode": "std"}});
    let request: ResponsesRequest = serde_json::from_value(request).unwrap();
    target.create_response(&request).await.unwrap();
    let received = script.received.lock().unwrap();
    assert_eq!(
        received[0].body,
        json!({"model": "m", "input": "x", "text": {"verbosity": "low", "x": 1},
            "reasoning": {"effort": "high", "summary": "auto", "mode": "std"}})
    );
}

// U14
#[tokio::test(start_paused = true)]
async fn assembled_stream_equals_the_plain_response() {
    let plain_answer = target(plain("completed"), 0).chat(&request()).await.unwrap();
    for done in [true, false] {
        let script =
            ScriptedProvider::new(move |_, _| Action::Send(encode_stream(&stream("completed"), done)));
        let stream = target(script, 0).chat_stream(&request()).await.unwrap();
        let streamed = stream.into_response().await.unwrap();
        assert_eq!(streamed.text(), plain_answer.text());
        assert_eq!(streamed.tool_calls(), plain_answer.tool_calls());
        assert_eq!(streamed.finish_reason(), plain_answer.finish_reason());
        assert_eq!(streamed.completion.usage, plain_answer.completion.usage);
        assert_eq!(streamed.report.usage, plain_answer.report.usage);
    }
}

// O09, L76, L53
#[tokio::test(start_paused = true)]
async fn incomplete_response_has_finish_reason_length() {
    let plain_answer = target(plain("incomplete"), 0).chat(&request()).await.unwrap();
    assert_eq!(plain_answer.finish_reason(), Some(&FinishReason::Length));
    let script = ScriptedProvider::new(|_, _| Action::Send(encode_stream(&stream("incomplete"), false)));
    let stream = target(script, 0).chat_stream(&request()).await.unwrap();
    assert_eq!(
        stream.into_response().await.unwrap().finish_reason(),
        Some(&FinishReason::Length)
    );
}

// L56, U15
#[tokio::test(start_paused = true)]
async fn failed_response_is_retried_and_never_returned() {
    let failed_stream = || {
        let mut events = stream("failed");
        events.drain(2..8);
        encode_stream(&events, false)
    };
    for streamed in [false, true] {
        let bad = move |streamed: bool| {
            if streamed {
                failed_stream()
            } else {
                answer(200, "", &response("failed").to_string())
            }
        };
        let script = ScriptedProvider::new(move |number, _| {
            Action::Send(match (number, streamed) {
                (0, streamed) => bad(streamed),
                (_, true) => encode_stream(&stream("completed"), true),
                (_, false) => answer(200, "", &response("completed").to_string()),
            })
        });
        let target = target(script.clone(), 1);
        let answer = if streamed {
            target
                .chat_stream(&request())
                .await
                .unwrap()
                .into_response()
                .await
                .unwrap()
        } else {
            target.chat(&request()).await.unwrap()
        };
        assert_eq!((&*answer.text(), script.requests()), ("Hello", 2));
    }
    let error = target(plain("failed"), 0).chat(&request()).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Attempt(FailureKind::ServerError)),
        "{error:?}"
    );
    assert!(!error.to_string().contains("words of the provider"));
}

// U15, O09, O19
#[tokio::test(start_paused = true)]
async fn stream_failing_after_content_is_an_error_without_retry() {
    let mut failing = stream("failed");
    failing.drain(5..8);
    let mut cut = stream("completed");
    cut.truncate(6);
    for (events, kind) in [(failing, FailureKind::ServerError), (cut, FailureKind::Truncated)] {
        let script = ScriptedProvider::new(move |_, _| Action::Send(encode_stream(&events, false)));
        let stream = target(script.clone(), 3).chat_stream(&request()).await.unwrap();
        let error = stream.into_response().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempt(kind));
        assert_eq!(error.partial().unwrap().text(), "Hello");
        assert_eq!(script.requests(), 1, "no retry after content");
    }
}

// L56
#[tokio::test(start_paused = true)]
async fn long_echo_of_the_request_is_not_content() {
    let long = "x".repeat(700_000);
    let echo = json!({"id": "resp_1", "status": "in_progress", "instructions": long, "output": []});
    let start = |kind: &str| json!({"type": kind, "response": echo});
    let failed = json!({"type": "response.failed", "response": response("failed")});
    let broken = ["created", "queued", "in_progress"].map(|kind| start(&format!("response.{kind}")));
    let broken = [&broken[..], &[failed]].concat();
    let whole = stream("completed");
    let script = ScriptedProvider::new(move |number, _| {
        Action::Send(encode_stream(if number == 0 { &broken } else { &whole }, false))
    });
    let request = ChatRequest::new([Message::system(long), Message::user("hi")]);
    let stream = target(script.clone(), 1).chat_stream(&request).await;
    assert_eq!(stream.unwrap().into_response().await.unwrap().text(), "Hello");
    assert_eq!(script.requests(), 2);
}

// L77
#[tokio::test(start_paused = true)]
async fn unknown_events_do_not_end_a_stream() {
    let mut events = stream("completed");
    events.insert(
        4,
        json!({"type": "acme:progress", "message": {"text": "x"}, "code": 5}),
    );
    events.insert(
        5,
        json!({"type": "response.output_text.delta", "output_index": 0, "delta": "", "logprobs": {}}),
    );
    let script = ScriptedProvider::new(move |_, _| Action::Send(encode_stream(&events, false)));
    let answer = target(script.clone(), 0).chat_stream(&request()).await;
    assert_eq!(answer.unwrap().into_response().await.unwrap().text(), "Hello");
    let native = OpenAiResponsesCompatible::from_model(&target(script, 0)).unwrap();
    let mut events = native
        .create_response_stream(&ResponsesRequest::user("x"))
        .await
        .unwrap();
    let mut count = 0;
    while let Some(event) = events.next().await {
        event.unwrap();
        count += 1;
    }
    assert_eq!(count, stream("completed").len() + 2);
}

// L10
#[tokio::test(start_paused = true)]
async fn encrypted_item_of_a_truncated_stream_keeps_its_affinity() {
    let broken = vec![
        json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}}),
    ];
    let script = ScriptedProvider::new(move |number, _| {
        Action::Send(if number == 0 {
            encode_stream(&broken, false)
        } else {
            answer(200, "", &response("completed").to_string())
        })
    });
    let model = OpenAiResponsesCompatible::from_model(&target(script, 0)).unwrap();
    let mut events = model
        .create_response_stream(&ResponsesRequest::user("x"))
        .await
        .unwrap();
    while let Some(Ok(_)) = events.next().await {}
    let request =
        json!({"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}]});
    let request: ResponsesRequest = serde_json::from_value(request).unwrap();
    model.create_response(&request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn unfinished_response_is_an_invalid_response() {
    for status in ["queued", "in_progress"] {
        let error = target(plain(status), 0).chat(&request()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidResponse));
    }
}

// O21
#[tokio::test(start_paused = true)]
async fn field_without_equivalent_is_rejected_before_sending() {
    let script = plain("completed");
    let request = ChatRequest {
        stop: Some(Stop::One("x".to_owned())),
        ..request()
    };
    let error = target(script.clone(), 3).chat(&request).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::Unsendable, Some("stop"))
    );
    assert!(
        error
            .to_string()
            .contains("stop: the Responses API has no stop sequences"),
        "{error}"
    );
    assert_eq!(script.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn native_responses_calls_return_responses_and_events() {
    let request = ResponsesRequest {
        store: Some(true),
        ..ResponsesRequest::user("hi")
    };
    let script = plain("incomplete");
    let native = OpenAiResponsesCompatible::from_model(&target(script.clone(), 0)).unwrap();
    let answer = native.create_response(&request).await.unwrap();
    assert_eq!(
        (answer.text().as_str(), answer.response.status.clone()),
        ("Hello", Some(ResponseStatus::Incomplete))
    );
    assert_eq!(answer.report.usage.as_ref().unwrap().total_tokens(), Some(5));
    assert_eq!(
        script.received.lock().unwrap()[0].body,
        json!({"model": "m", "input": "hi", "store": true})
    );
    let script = ScriptedProvider::new(|_, _| Action::Send(encode_stream(&stream("completed"), true)));
    let native = OpenAiResponsesCompatible::from_model(&target(script.clone(), 0)).unwrap();
    let mut stream = native.create_response_stream(&request).await.unwrap();
    let mut kinds: Vec<EventKind> = Vec::new();
    while let Some(event) = stream.next().await {
        let event: ResponseEvent = event.unwrap();
        assert_eq!(event.sequence_number(), Some(kinds.len() as u64));
        kinds.push(event.kind);
    }
    assert_eq!((kinds.len(), kinds.last()), (9, Some(&EventKind::Completed)));
    assert_eq!(stream.report().usage.as_ref().unwrap().total_tokens(), Some(5));
    assert_eq!(script.received.lock().unwrap()[0].body["stream"], true);
}

#[test]
fn provider_file_selects_the_api_format_of_a_model() {
    let file = r#"{"p": [
        {"model_name": "a", "api_keys": ["k"], "base_url": "http://h/v1", "api": "responses", "rate_limit_capacity": null},
        {"model_name": "b", "api_keys": ["k"], "base_url": "http://h/v1", "rate_limit_capacity": null}
    ]}"#;
    let folder = std::env::temp_dir().join(format!("llmpool-responses-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("provider.json");
    std::fs::write(&path, file).unwrap();
    let is_responses = |providers: &Providers| {
        ["p/a", "p/b"]
            .map(|id| OpenAiResponsesCompatible::from_model(&providers.model(id).unwrap()).is_some())
    };
    assert_eq!(is_responses(&Providers::from_file(&path).unwrap()), [true, false]);
    assert_eq!(
        is_responses(&OpenAiResponsesCompatible::load_from_json_file(&path).unwrap()),
        [true, true]
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
