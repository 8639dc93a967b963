//! Checks of keys against scripted responses.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use llmpool::check::{Inconclusive, KeyCheckOutcome, StreamUsage};
use llmpool::{ApiKeyPool, FailureKind, OpenAiCompatible};
use support::{Action, ScriptedProvider, answer, recorded, stream_of};

const TIMEOUT: Duration = Duration::from_secs(5);

fn target(script: &Arc<ScriptedProvider>) -> OpenAiCompatible {
    OpenAiCompatible::builder(&ApiKeyPool::new("p", ["k"]).unwrap(), "m", "http://scripted/v1")
        .connector(script.clone())
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn key_check_reports_the_status_of_the_response() {
    for status in [200, 203] {
        let script = ScriptedProvider::new(move |_, _| {
            Action::Send(answer(
                status,
                "",
                r#"{"object":"list","data":[{"id":"m","object":"model"}]}"#,
            ))
        });
        let check = target(&script).check_keys(TIMEOUT).await;
        assert_eq!(check.keys[0].status, Some(status));
        assert_eq!(check.keys[0].lists("m"), Some(true));
    }
}

#[tokio::test(start_paused = true)]
async fn key_check_reads_model_lists_of_every_shape() {
    for (body, listed) in [
        (r#"{"models":[{"name":"m","size":1}]}"#, true),
        (r#"{"data":[{"id":"models/m"},{"object":"model"}]}"#, true),
        (r#"["other"]"#, false),
    ] {
        let script = ScriptedProvider::new(move |_, received| {
            let is_valid = received.key == "k";
            Action::Send(if is_valid {
                answer(200, "", body)
            } else {
                answer(401, "", "{}")
            })
        });
        let check = target(&script).check_keys(TIMEOUT).await;
        assert_eq!(check.keys[0].outcome, KeyCheckOutcome::Accepted, "{body}");
        assert_eq!(check.keys[0].lists("m"), Some(listed), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn key_check_reads_a_refusal_with_status_200() {
    let refused = KeyCheckOutcome::Rejected(FailureKind::InvalidKey);
    let unclear = KeyCheckOutcome::Inconclusive(Inconclusive::UnexpectedResponse);
    for (body, expected) in [
        (r#"{"error":{"message":"m","code":"invalid_api_key"}}"#, refused),
        (r#"{"code":401,"msg":"token expired","data":null}"#, refused),
        (r#"{"message":"hello"}"#, unclear),
    ] {
        let script = ScriptedProvider::new(move |_, _| Action::Send(answer(200, "", body)));
        let check = target(&script).check_keys(TIMEOUT).await;
        assert_eq!(check.keys[0].outcome, expected, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn call_check_tells_ignored_and_rejected_stream_options_apart() {
    let without_usage: Vec<String> = recorded()
        .into_iter()
        .filter(|event| !event.contains("prompt_tokens"))
        .collect();
    let refusal = answer(
        400,
        "",
        r#"{"error":{"message":"unknown field","param":"stream_options"}}"#,
    );
    let stream = stream_of(&without_usage);
    let ignores = ScriptedProvider::new({
        let stream = stream.clone();
        move |_, _| Action::Send(stream.clone())
    });
    let rejects = ScriptedProvider::new(move |_, received| {
        if received.body.get("stream_options").is_some() {
            Action::Send(refusal.clone())
        } else {
            Action::Send(stream.clone())
        }
    });
    for (script, expected) in [(ignores, StreamUsage::Ignored), (rejects, StreamUsage::Rejected)] {
        let target = target(&script);
        let label = target.key_status()[0].label.clone();
        // The second check knows of the rejection before it sends its request.
        for _ in 0..2 {
            let check = target.check_call(&label, TIMEOUT).await.unwrap();
            assert_eq!((check.failure, check.stream_usage), (None, expected));
        }
    }
}
