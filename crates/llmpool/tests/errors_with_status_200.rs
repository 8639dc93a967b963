//! Errors, and members that only look like errors, in answers with status 200. Time is paused.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;

use llmpool::chat::ChatRequest;
use llmpool::{ApiKeyPool, Error, LlmInterface, OpenAiCompatible, TargetSettings};
use serde_json::{Value, json};
use support::{Action, ReceivedRequest, ScriptedProvider, answer, stream_of};

fn target(script: &Arc<ScriptedProvider>, keys: &[&str]) -> OpenAiCompatible {
    let settings = TargetSettings {
        max_retries: 2,
        ..TargetSettings::default()
    };
    OpenAiCompatible::builder(
        &ApiKeyPool::new("p", keys.iter().copied()).unwrap(),
        "m",
        "http://scripted/v1",
    )
    .settings(settings)
    .connector(script.clone())
    .build()
    .unwrap()
}

/// Returns the text of a plain or streamed call.
async fn text(target: &OpenAiCompatible, stream: bool) -> Result<String, Error> {
    let request = ChatRequest::user("hi");
    if !stream {
        return Ok(target.chat(&request).await?.text());
    }
    Ok(target.chat_stream(&request).await?.into_response().await?.text())
}

fn document(members: &Value) -> Vec<u8> {
    let mut body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m"});
    let members = members.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    answer(200, "content-type: application/json\r\n", &body.to_string())
}

#[tokio::test(start_paused = true)]
async fn empty_error_beside_an_answer_does_not_hide_it() {
    for error in [
        json!({"message": "", "type": "", "param": "", "code": null}),
        json!({"code": 0, "message": "success"}),
        json!(0),
        json!("None"),
    ] {
        let choice = |name: &str, reason: Value| json!([{"index": 0, name: {"role": "assistant", "content": "ab"}, "finish_reason": reason}]);
        let plain = document(&json!({"choices": choice("message", json!("stop")), "error": error}));
        let chunk = json!({"choices": choice("delta", Value::Null), "error": error}).to_string();
        let last = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "error": error});
        let events = stream_of(&[chunk, last.to_string(), "[DONE]".to_owned()]);
        for bytes in [plain, events] {
            for stream in [false, true] {
                let bytes = bytes.clone();
                let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
                let text = text(&target(&script, &["k"]), stream).await;
                assert_eq!(text.unwrap(), "ab", "{error} {stream}");
                assert_eq!(script.requests(), 1, "{error} {stream}");
            }
        }
    }
}

/// The key that is refused is not used again; another key serves the call.
#[tokio::test(start_paused = true)]
async fn refusal_of_a_key_with_status_200_leads_to_another_key() {
    for refusal in [
        json!({"base_resp": {"status_code": 1004, "status_msg": "REASON"}}),
        json!({"base_resp": {"status_code": 1008, "status_msg": "REASON: insufficient balance"}, "choices": null}),
        json!({"code": 401, "msg": "REASON", "data": null}),
        json!({"choices": [], "code": "invalid_api_key", "message": "REASON"}),
    ] {
        let body = answer(200, "content-type: application/json\r\n", &refusal.to_string());
        let event = stream_of(&[refusal.to_string(), "[DONE]".to_owned()]);
        for bytes in [body, event] {
            for stream in [false, true] {
                let refused = bytes.clone();
                let script = ScriptedProvider::new(move |_, received| {
                    Action::Send(if received.key == "bad" {
                        refused.clone()
                    } else {
                        support::completion("ab")
                    })
                });
                let good = target(&script, &["bad", "good"]);
                for _ in 0..3 {
                    assert_eq!(text(&good, stream).await.unwrap(), "ab", "{refusal} {stream}");
                }
                let is_refused = |request: &ReceivedRequest| request.key == "bad";
                let refusals = script
                    .received
                    .lock()
                    .unwrap()
                    .iter()
                    .filter(|request| is_refused(request))
                    .count();
                assert_eq!(refusals, 1, "{refusal} {stream}");

                let error = text(&target(&script, &["bad"]), stream).await.unwrap_err();
                let message = error.provider_message().unwrap_or_default();
                assert!(message.contains("REASON"), "{refusal} {stream}: {error:?}");
            }
        }
    }
}

/// Nothing says that a key is refused, and the answer may be one in an unknown format: it is not requested again.
#[tokio::test(start_paused = true)]
async fn message_in_place_of_an_answer_is_shown() {
    for body in [
        json!({"detail": "REASON"}),
        json!({"message": "REASON"}),
        json!({"success": true, "message": "REASON"}),
    ] {
        for stream in [false, true] {
            let bytes = answer(200, "content-type: application/json\r\n", &body.to_string());
            let script = ScriptedProvider::new(move |_, _| Action::Send(bytes.clone()));
            let error = text(&target(&script, &["k"]), stream).await.unwrap_err();
            assert_eq!(error.provider_message(), Some("REASON"), "{body} {stream}");
            assert_eq!(script.requests(), 1, "{body} {stream}");
        }
    }
}

/// What an upstream that failed leaves of a stream shows no tokens, so nothing was paid for.
#[tokio::test(start_paused = true)]
async fn stream_with_a_usage_of_zeros_alone_is_requested_again() {
    let nothing =
        json!({"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}});
    let nothing = stream_of(&[nothing.to_string(), "[DONE]".to_owned()]);
    for stream in [false, true] {
        let nothing = nothing.clone();
        let script = ScriptedProvider::new(move |number, _| {
            Action::Send(if number == 0 {
                nothing.clone()
            } else {
                support::completion("ab")
            })
        });
        assert_eq!(
            text(&target(&script, &["k"]), stream).await.unwrap(),
            "ab",
            "{stream}"
        );
        assert_eq!(script.requests(), 2, "{stream}");
    }
}
