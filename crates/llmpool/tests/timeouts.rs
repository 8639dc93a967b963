//! The four timeouts: when each applies, and that the error names it. Time is paused.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use llmpool::chat::ChatRequest;
use llmpool::transport::{Connect, ConnectError, Connected};
use llmpool::{
    ApiKeyPool, CallOptions, ErrorKind, FailureKind, LlmInterface, OpenAiCompatible, TargetSettings, Timeouts,
};
use support::{Action, STREAM_HEAD, ScriptedProvider, chunk_json, completion, events};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Returns a target whose timeouts all differ, so that the elapsed time identifies the timeout.
fn target(connector: Arc<dyn Connect>) -> OpenAiCompatible {
    let pool = ApiKeyPool::new("p", ["k"]).unwrap();
    let settings = TargetSettings {
        max_retries: 0,
        timeouts: Timeouts {
            connect: Some(2 * SECOND),
            first_content: Some(30 * SECOND),
            idle: Some(7 * SECOND),
            total: Some(100 * SECOND),
        },
        ..TargetSettings::default()
    };
    OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(connector)
        .build()
        .unwrap()
}

/// Makes a call that fails. Returns the kind of its error and the elapsed time.
async fn failure_of(target: &OpenAiCompatible, stream: bool) -> (ErrorKind, Duration) {
    let (started, request, options) = (Instant::now(), ChatRequest::user("hi"), CallOptions::default());
    let result = if stream {
        match target.chat_stream_with(&request, &options).await {
            Ok(stream) => stream.into_response().await,
            Err(error) => Err(error),
        }
    } else {
        target.chat_with(&request, &options).await
    };
    (result.unwrap_err().kind(), started.elapsed())
}

struct Unreachable;

impl Connect for Unreachable {
    fn connect(&self, _: &http::Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        Box::pin(std::future::pending())
    }
}

/// Returns the head of a streamed response and some events.
fn stream_start(data: &[&str]) -> Vec<u8> {
    [STREAM_HEAD.as_bytes(), &events(data)].concat()
}

// L61
#[tokio::test(start_paused = true)]
async fn unreachable_server_fails_with_connect_timeout() {
    let (kind, after) = failure_of(&target(Arc::new(Unreachable)), true).await;
    assert_eq!(kind, ErrorKind::Attempt(FailureKind::ConnectTimeout));
    assert_eq!(after.as_secs(), 2);
}

// L61
#[tokio::test(start_paused = true)]
async fn stream_without_content_fails_with_first_content_timeout() {
    let role = chunk_json(r#"{"role":"assistant","content":""}"#, "null");
    for head in [Vec::new(), stream_start(&[]), stream_start(&[&role])] {
        let script = ScriptedProvider::new(move |_, _| Action::SendAndHang(head.clone()));
        let (kind, after) = failure_of(&target(script), true).await;
        assert_eq!(kind, ErrorKind::Attempt(FailureKind::FirstContentTimeout));
        assert_eq!(after.as_secs(), 30);
    }
}

// L61
#[tokio::test(start_paused = true)]
async fn stalled_stream_fails_with_idle_timeout() {
    let word = chunk_json(r#"{"content":"x"}"#, "null");
    let script = ScriptedProvider::new(move |_, _| {
        Action::SendInTwo(stream_start(&[&word]), 6 * SECOND, events(&[&word]))
    });
    let (kind, after) = failure_of(&target(script), true).await;
    assert_eq!(kind, ErrorKind::Attempt(FailureKind::IdleTimeout));
    assert_eq!(after.as_secs(), 6 + 7, "each read restarts the timeout");
}

// L61
#[tokio::test(start_paused = true)]
async fn endless_stream_fails_with_total_timeout() {
    let script = ScriptedProvider::new(|_, _| {
        Action::Drip(
            stream_start(&[]),
            5 * SECOND,
            events(&[&chunk_json(r#"{"content":"x"}"#, "null")]),
        )
    });
    let (kind, after) = failure_of(&target(script), true).await;
    assert_eq!(kind, ErrorKind::Attempt(FailureKind::DeadlineExceeded));
    assert_eq!(after.as_secs(), 100);
}

// L62
#[tokio::test(start_paused = true)]
async fn stalled_response_body_fails_with_idle_timeout() {
    let part =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"id\":".to_vec();
    let script = ScriptedProvider::new(move |_, _| Action::SendAndHang(part.clone()));
    let (kind, after) = failure_of(&target(script), false).await;
    assert_eq!(kind, ErrorKind::Attempt(FailureKind::IdleTimeout));
    assert_eq!(after.as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn call_without_timeouts_may_take_days() {
    let days = 3 * 86_400 * SECOND;
    let script = ScriptedProvider::new(move |_, _| Action::SendAfter(days, completion("ok")));
    let options = CallOptions {
        timeouts: Some(Timeouts {
            connect: None,
            first_content: None,
            idle: None,
            total: None,
        }),
        ..CallOptions::default()
    };
    let (target, request) = (target(script), ChatRequest::user("hi"));
    assert_eq!(target.chat_with(&request, &options).await.unwrap().text(), "ok");
}

// L61
#[tokio::test(start_paused = true)]
async fn response_without_stream_has_only_the_total_timeout_for_its_head() {
    let script = ScriptedProvider::new(|_, _| Action::SendAndHang(Vec::new()));
    let (kind, after) = failure_of(&target(script), false).await;
    assert_eq!(kind, ErrorKind::Attempt(FailureKind::DeadlineExceeded));
    assert_eq!(after.as_secs(), 100);
}
