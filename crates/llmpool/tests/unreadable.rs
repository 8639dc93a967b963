//! Answers in which nothing can be read: always an error that says why, never an empty success. Time is paused.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use llmpool::chat::ChatRequest;
use llmpool::responses::ResponsesRequest;
use llmpool::{
    ApiFormat, ApiKeyPool, Error, ErrorKind, FailureKind, LlmInterface, OpenAiCompatible,
    OpenAiResponsesCompatible, TargetSettings,
};
use serde_json::{Value, json};
use support::{Action, ScriptedProvider, answer, stream_of};

fn target(script: &Arc<ScriptedProvider>, api: ApiFormat) -> OpenAiCompatible {
    let settings = TargetSettings {
        api,
        max_retries: 1,
        ..TargetSettings::default()
    };
    OpenAiCompatible::builder(&ApiKeyPool::new("p", ["k"]).unwrap(), "m", "http://scripted/v1")
        .settings(settings)
        .connector(script.clone())
        .build()
        .unwrap()
}

/// Makes a plain or a streamed call that is answered with `bytes`, and which fails.
async fn failure_of(api: ApiFormat, stream: bool, bytes: Vec<u8>) -> Error {
    let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
    let (target, request) = (target(&script, api), ChatRequest::user("hi"));
    if !stream {
        return target.chat(&request).await.unwrap_err();
    }
    match target.chat_stream(&request).await {
        Ok(stream) => stream.into_response().await.unwrap_err(),
        Err(error) => error,
    }
}

fn response(output: &Value) -> Value {
    json!({"id": "r", "object": "response", "status": "completed", "output": output, "usage": {"total_tokens": 5}})
}

fn completed(output: &Value) -> String {
    json!({"type": "response.completed", "response": response(output)}).to_string()
}

#[tokio::test(start_paused = true)]
async fn response_without_output_is_an_error() {
    let approval = json!([{"type": "mcp_approval_request", "id": "a", "arguments": "{}", "name": "n", "server_label": "s"}]);
    for output in [
        json!([]),
        Value::Null,
        json!([{"type": "message", "content": 5}]),
        approval.clone(),
    ] {
        let plain = answer(200, "", &response(&output).to_string());
        let error = failure_of(ApiFormat::Responses, false, plain.clone()).await;
        assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidResponse));
        assert!(error.to_string().contains("without output"), "{error}");
        let bytes = plain.clone();
        let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
        let request = Bytes::from_static(br#"{"model":"m"}"#);
        let raw = target(&script, ApiFormat::Responses).raw_chat(request).await;
        assert_eq!(raw.is_ok(), output == approval, "{output}");
        let stream = stream_of(&[completed(&output)]);
        let error = failure_of(ApiFormat::Responses, true, stream.clone()).await;
        assert_eq!(
            error.kind(),
            ErrorKind::Attempt(FailureKind::InvalidResponse),
            "{output}"
        );
        assert!(error.to_string().contains("without"), "{error}");

        let script = ScriptedProvider::new(move |number, _| {
            Action::Send(if number == 0 {
                plain.clone()
            } else {
                stream.clone()
            })
        });
        let native = OpenAiResponsesCompatible::from_model(&target(&script, ApiFormat::Responses)).unwrap();
        let request = ResponsesRequest::user("hi");
        let is_native = native.create_response(&request).await.is_ok();
        assert_eq!(is_native, output == approval, "a native client can read any item");
    }
}

#[tokio::test(start_paused = true)]
async fn failure_of_an_upstream_is_an_error() {
    for (reason, native) in [
        (json!("stop"), "error"),
        (Value::Null, "error"),
        (json!("stop"), "MALFORMED_FUNCTION_CALL"),
        (json!("stop"), "UNEXPECTED_TOOL_CALL"),
        (json!("TOO_MANY_TOOL_CALLS"), "x"),
        (json!("ERROR"), "x"),
        (json!("stop"), "NETWORK_ERROR"),
        (json!("MALFORMED_FUNCTION_CALL"), "x"),
    ] {
        let choice = |name: &str| {
            let choice = json!({"index": 0, name: {"role": "assistant", "content": "par"}, "finish_reason": reason, "native_finish_reason": native});
            json!({"id": "c", "choices": [choice]}).to_string()
        };
        let plain = answer(200, "", &choice("message"));
        let stream = stream_of(&[choice("delta"), "[DONE]".to_owned()]);
        for (streamed, bytes) in [(false, plain), (true, stream)] {
            let error = failure_of(ApiFormat::ChatCompletions, streamed, bytes).await;
            assert_eq!(
                error.kind(),
                ErrorKind::Attempt(FailureKind::ServerError),
                "{native}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn completion_without_a_message_is_an_error() {
    let empty = |content: Value| json!({"index": 0, "message": {"role": "assistant", "content": content}});
    for (choices, detail) in [
        (json!([]), "a completion without choices"),
        (json!([{"index": 0}]), "a completion without a message"),
        (
            json!([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]),
            "a completion without a message",
        ),
        (
            json!([{"index": 0, "message": null, "finish_reason": null}]),
            "a completion without a message",
        ),
        (json!([empty(Value::Null)]), "a completion without a message"),
        (
            json!([empty(json!("")), empty(json!([]))]),
            "a completion without a message",
        ),
        (json!([{"finish_reason": ""}]), "a completion without a message"),
        (
            json!([{"finish_reason": "None"}]),
            "a completion without a message",
        ),
    ] {
        let body = json!({"id": "c", "choices": choices}).to_string();
        for stream in [false, true] {
            let error = failure_of(ApiFormat::ChatCompletions, stream, answer(200, "", &body)).await;
            assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidResponse));
            assert!(error.to_string().contains(detail), "{error}");
        }
        let bytes = answer(200, "", &body);
        let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
        let request = Bytes::from_static(br#"{"model":"m"}"#);
        let raw = target(&script, ApiFormat::ChatCompletions)
            .raw_chat(request)
            .await;
        assert!(raw.unwrap_err().to_string().contains(detail), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn stream_without_output_in_place_of_a_document_is_an_error() {
    let role = json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]});
    let bytes = stream_of(&[role.to_string(), "[DONE]".to_owned()]);
    for stream in [false, true] {
        let error = failure_of(ApiFormat::ChatCompletions, stream, bytes.clone()).await;
        assert!(error.to_string().contains("ended without content"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn empty_choice_beside_a_readable_one_loses_nothing() {
    let good =
        json!({"index": 0, "message": {"role": "assistant", "content": "good"}, "finish_reason": "stop"});
    let body = json!({"id": "c", "choices": [good, {"index": 1}]}).to_string();
    let bytes = answer(200, "", &body);
    let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
    let target = target(&script, ApiFormat::ChatCompletions);
    assert_eq!(
        target.chat(&ChatRequest::user("hi")).await.unwrap().text(),
        "good"
    );
}

#[tokio::test(start_paused = true)]
async fn message_without_text_is_an_answer_if_it_has_ended() {
    let body = json!({"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": null}, "finish_reason": "stop"}]});
    let bytes = answer(200, "", &body.to_string());
    let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
    let target = target(&script, ApiFormat::ChatCompletions);
    assert_eq!(target.chat(&ChatRequest::user("hi")).await.unwrap().text(), "");
}

/// Returns the errors of a plain and a streamed call that are answered with `bytes`, typed and raw, and the number of
/// requests of all four.
async fn failures(api: ApiFormat, bytes: &[u8]) -> (Vec<Error>, usize) {
    let bytes = bytes.to_vec();
    let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
    let (target, request) = (target(&script, api), ChatRequest::user("hi"));
    let body = |text: &'static str| Bytes::from_static(text.as_bytes());
    let errors = vec![
        target.chat(&request).await.unwrap_err(),
        target.chat_stream(&request).await.unwrap_err(),
        target.raw_chat(body(r#"{"model":"m"}"#)).await.unwrap_err(),
        target
            .raw_chat_stream(body(r#"{"model":"m","stream":true}"#))
            .await
            .unwrap_err(),
    ];
    (errors, script.requests())
}

#[tokio::test(start_paused = true)]
async fn billed_answer_without_output_is_bought_once() {
    use ApiFormat::{ChatCompletions, Responses};
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3});
    let empty = json!({"id": "c", "object": "chat.completion", "choices": [], "usage": usage}).to_string();
    let chunk = json!({"choices": [], "usage": usage}).to_string();
    let role = json!({"choices": [{"index": 0, "delta": {"role": "assistant"}}]}).to_string();
    let done = || "[DONE]".to_owned();
    for (api, bytes, detail) in [
        (
            ChatCompletions,
            answer(200, "", &empty),
            "a completion without choices",
        ),
        (
            ChatCompletions,
            answer(200, "", r#"{"choices":[{}]}"#),
            "a completion without a message",
        ),
        (
            ChatCompletions,
            answer(200, "", "{}"),
            "a completion without choices",
        ),
        (Responses, support::completion("ok"), "a response without output"),
        (
            Responses,
            answer(200, "", r#"{"output_text":"ok"}"#),
            "a response without output",
        ),
        (
            Responses,
            answer(200, "", &response(&json!([])).to_string()),
            "a response without output",
        ),
        (
            ChatCompletions,
            stream_of(&[chunk.clone(), done()]),
            "a completion without choices",
        ),
        (
            ChatCompletions,
            stream_of(&[role, chunk, done()]),
            "a completion without a message",
        ),
        (
            Responses,
            stream_of(&[completed(&json!([]))]),
            "a response without output",
        ),
    ] {
        let (errors, requests) = failures(api, &bytes).await;
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        for error in &errors {
            assert_eq!(
                error.kind(),
                ErrorKind::Attempt(FailureKind::InvalidResponse),
                "{error}"
            );
        }
        assert!(
            texts.iter().all(|text| text.contains(detail)),
            "{detail}: {texts:#?}"
        );
        assert_eq!(requests, 4, "one for each call: {texts:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn prompt_that_a_filter_blocked_is_named() {
    let filter = |filtered: bool| json!([{"prompt_index": 0, "content_filter_results": {"violence": {"filtered": filtered, "severity": "high"}}}]);
    for (filtered, kind) in [
        (true, FailureKind::ContentFilter),
        (false, FailureKind::InvalidResponse),
    ] {
        let body =
            json!({"choices": [], "prompt_filter_results": filter(filtered), "usage": {"total_tokens": 3}})
                .to_string();
        for bytes in [
            answer(200, "", &body),
            stream_of(&[body.clone(), "[DONE]".to_owned()]),
        ] {
            let (errors, requests) = failures(ApiFormat::ChatCompletions, &bytes).await;
            for error in &errors {
                assert_eq!(error.kind(), ErrorKind::Attempt(kind), "{error}");
                assert_eq!(
                    error.to_string().contains("blocked by content filter"),
                    filtered,
                    "{error}"
                );
            }
            assert_eq!(requests, 4);
        }
    }
}

/// A raw call for a response that runs in the background returns it.
#[tokio::test(start_paused = true)]
async fn response_that_is_not_finished_is_requested_once() {
    for status in ["queued", "in_progress"] {
        let body = json!({"id": "r", "object": "response", "status": status, "output": []}).to_string();
        for stream in [false, true] {
            let bytes = answer(200, "", &body);
            let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
            let (target, request) = (target(&script, ApiFormat::Responses), ChatRequest::user("hi"));
            let error = if stream {
                target.chat_stream(&request).await.unwrap_err()
            } else {
                target.chat(&request).await.unwrap_err()
            };
            assert!(
                error.to_string().contains("the response is not finished"),
                "{error}"
            );
            assert_eq!(script.requests(), 1);
        }
    }
}

/// A stream that no usage says is paid for may be repeated.
#[tokio::test(start_paused = true)]
async fn empty_stream_without_usage_is_requested_again() {
    for sent in [
        &["[DONE]"][..],
        &[r#"{"choices":[]}"#, "[DONE]"],
        &[r#"{"choices":[]}"#],
    ] {
        let sent: Vec<String> = sent.iter().map(|data| (*data).to_owned()).collect();
        let (_, requests) = failures(ApiFormat::ChatCompletions, &stream_of(&sent)).await;
        assert_eq!(requests, 8, "{sent:?}");
    }
}
