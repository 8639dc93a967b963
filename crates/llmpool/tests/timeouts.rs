//! Four timeouts, each for what it is for, and the error says which one it was. Time is paused.
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
use support::{Play, STREAM_HEAD, Scripted, events, piece};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// All different, so that it shows which one it was.
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
    OpenAiCompatible::with_connector(&pool, "m", "http://scripted/v1", settings, connector).unwrap()
}

async fn ended(target: &OpenAiCompatible, stream: bool) -> (ErrorKind, Duration) {
    let (began, request, options) = (Instant::now(), ChatRequest::user("hi"), CallOptions::default());
    let ended = if stream {
        match target.chat_stream_with(&request, &options).await {
            Ok(stream) => stream.assemble().await,
            Err(error) => Err(error),
        }
    } else {
        target.chat_with(&request, &options).await
    };
    (ended.unwrap_err().kind(), began.elapsed())
}

struct Unreachable;

impl Connect for Unreachable {
    fn connect(&self, _: &http::Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        Box::pin(std::future::pending())
    }
}

fn begun(more: &[&str]) -> Vec<u8> {
    [STREAM_HEAD.as_bytes(), &events(more)].concat()
}

// L61
#[tokio::test(start_paused = true)]
async fn no_connection_is_the_connect_timeout() {
    let (kind, after) = ended(&target(Arc::new(Unreachable)), true).await;
    assert_eq!(kind, ErrorKind::Attempt(FailureKind::ConnectTimeout));
    assert_eq!(after.as_secs(), 2);
}

// L61
#[tokio::test(start_paused = true)]
async fn a_stream_without_content_is_the_first_content_timeout_whatever_else_comes() {
    let role = piece(r#"{"role":"assistant","content":""}"#, "null");
    for head in [Vec::new(), begun(&[]), begun(&[&role])] {
        let script = Scripted::new(move |_, _| Play::SendAndHang(head.clone()));
        let (kind, after) = ended(&target(script), true).await;
        assert_eq!(kind, ErrorKind::Attempt(FailureKind::FirstContentTimeout));
        assert_eq!(after.as_secs(), 30);
    }
}

// L61
#[tokio::test(start_paused = true)]
async fn silence_after_content_is_the_idle_timeout() {
    let word = piece(r#"{"content":"x"}"#, "null");
    let script = Scripted::new(move |_, _| Play::SendInTwo(begun(&[&word]), 6 * SECOND, events(&[&word])));
    let (kind, after) = ended(&target(script), true).await;
    assert_eq!(kind, ErrorKind::Attempt(FailureKind::IdleTimeout));
    assert_eq!(after.as_secs(), 6 + 7, "a byte begins it anew");
}

// L61
#[tokio::test(start_paused = true)]
async fn a_stream_that_never_rests_ends_with_the_total_and_not_before() {
    let script = Scripted::new(|_, _| {
        Play::Drip(
            begun(&[]),
            5 * SECOND,
            events(&[&piece(r#"{"content":"x"}"#, "null")]),
        )
    });
    let (kind, after) = ended(&target(script), true).await;
    assert_eq!(kind, ErrorKind::Attempt(FailureKind::DeadlineExceeded));
    assert_eq!(after.as_secs(), 100);
}

// L62
#[tokio::test(start_paused = true)]
async fn a_plain_answer_that_stops_in_its_body_is_the_idle_timeout() {
    let part =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"id\":".to_vec();
    let script = Scripted::new(move |_, _| Play::SendAndHang(part.clone()));
    let (kind, after) = ended(&target(script), false).await;
    assert_eq!(kind, ErrorKind::Attempt(FailureKind::IdleTimeout));
    assert_eq!(after.as_secs(), 7);
}

// L61
#[tokio::test(start_paused = true)]
async fn a_plain_answer_may_take_its_time_up_to_the_total() {
    let script = Scripted::new(|_, _| Play::SendAndHang(Vec::new()));
    let (kind, after) = ended(&target(script), false).await;
    assert_eq!(kind, ErrorKind::Attempt(FailureKind::DeadlineExceeded));
    assert_eq!(after.as_secs(), 100);
}
