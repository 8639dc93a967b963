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
    ] {
        let body = json!({"id": "c", "choices": choices}).to_string();
        for stream in [false, true] {
            let error = failure_of(ApiFormat::ChatCompletions, stream, answer(200, "", &body)).await;
            assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidResponse));
            assert!(stream || error.to_string().contains(detail), "{error}");
        }
        let bytes = answer(200, "", &body);
        let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
        let request = Bytes::from_static(br#"{"model":"m"}"#);
        let raw = target(&script, ApiFormat::ChatCompletions)
            .raw_chat(request)
            .await;
        assert!(raw.unwrap_err().to_string().contains("without output"), "{body}");
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
