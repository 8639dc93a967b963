//! Token limits: reservation, settlement and rejection.

use std::sync::Arc;
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{CallOptions, ErrorKind, Limits, LlmInterface, OpenAiCompatible, RateLimit, TargetSettings};
use tokio::time::Instant;

use crate::support::{
    Action, STREAM_HEAD, ScriptedProvider, answer, chunk_json, error, events, recorded, stream_of,
};
use crate::{no_retries, pool, rpm, run_at_rate, target, timeout_of};

fn used(tokens: u32) -> Vec<u8> {
    let body = format!(
        r#"{{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"ok"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":10,"completion_tokens":{},"total_tokens":{tokens}}}}}"#,
        tokens - 10
    );
    answer(200, "", &body)
}

// L33, L36
#[tokio::test(start_paused = true)]
async fn tokens_are_reserved_and_settled_separately_from_requests() {
    let script = ScriptedProvider::new(|_, _| Action::SendAfter(Duration::from_millis(500), used(100)));
    let settings = TargetSettings {
        limits: Limits {
            tpm: Some(6000),
            rate_limit: Some(RateLimit::new(1000, 1000.0).unwrap()),
            ..Limits::default()
        },
        expected_output_tokens: Some(120),
        ..no_retries()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let started = Instant::now();
    run_at_rate(&target, 10.0, 300, CallOptions::default()).await;
    let received: Vec<Instant> = script
        .received
        .lock()
        .unwrap()
        .iter()
        .map(|received| received.at)
        .collect();
    for (first, from) in received.iter().enumerate() {
        let count = received[first..]
            .iter()
            .take_while(|at| **at - *from <= Duration::from_secs(60))
            .count();
        assert!(count <= 60, "{count} answers of 100 tokens in a minute of 6000");
    }
    let in_time = received
        .iter()
        .filter(|at| **at - started <= Duration::from_secs(300))
        .count();
    assert!(in_time >= 285, "{in_time} of 300");
}

#[tokio::test(start_paused = true)]
async fn call_above_tpm_is_rejected() {
    let script = ScriptedProvider::new(|_, _| Action::Send(used(100)));
    let settings = TargetSettings {
        limits: Limits {
            tpm: Some(1000),
            ..Limits::default()
        },
        ..no_retries()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let request = ChatRequest {
        max_tokens: Some(5000),
        ..ChatRequest::user("hi")
    };
    let error = target.chat_with(&request, &timeout_of(10.0)).await.unwrap_err();
    assert_eq!((error.kind(), script.requests()), (ErrorKind::Unsendable, 0));
    assert!(error.to_string().contains("limit is 1000 per minute"), "{error}");
}

// L36
#[tokio::test(start_paused = true)]
async fn tokens_are_not_estimated_without_tpm() {
    let script = ScriptedProvider::new(|_, _| Action::Send(used(100)));
    let target = target(&script, &pool(&["a"], rpm(600)), no_retries());
    let huge = ChatRequest {
        max_tokens: Some(u64::from(u32::MAX)),
        ..ChatRequest::user("hi")
    };
    target.chat_with(&huge, &timeout_of(10.0)).await.unwrap();
}

/// Returns a target with 1000 tokens per minute, whose calls reserve slightly more than `reserved` tokens.
fn metered_target(script: &Arc<ScriptedProvider>, reserved: u32) -> OpenAiCompatible {
    let settings = TargetSettings {
        limits: Limits {
            tpm: Some(1000),
            ..Limits::default()
        },
        expected_output_tokens: Some(reserved),
        ..no_retries()
    };
    target(script, &pool(&["a"], Limits::default()), settings)
}

fn streamed(tokens: u32) -> Vec<u8> {
    let completion = tokens - 10;
    let usage = format!(
        r#"{{"id":"c","object":"chat.completion.chunk","choices":[],"usage":{{"prompt_tokens":10,"completion_tokens":{completion},"total_tokens":{tokens}}}}}"#
    );
    stream_of(&[
        chunk_json(r#"{"content":"ok"}"#, r#""stop""#),
        usage,
        "[DONE]".to_owned(),
    ])
}

async fn read_stream(target: &OpenAiCompatible) {
    let request = ChatRequest::user("hi");
    let mut stream = target
        .chat_stream_with(&request, &timeout_of(10.0))
        .await
        .unwrap();
    while let Some(chunk) = stream.next().await {
        chunk.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn stream_usage_below_the_estimate_is_refunded() {
    let script = ScriptedProvider::new(|_, _| Action::Send(streamed(100)));
    let target = metered_target(&script, 700);
    for _ in 0..3 {
        read_stream(&target).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stream_usage_above_the_estimate_delays_the_next_call() {
    let script = ScriptedProvider::new(|_, _| Action::Send(streamed(900)));
    let target = metered_target(&script, 200);
    read_stream(&target).await;
    let next = target
        .chat_with(&ChatRequest::user("hi"), &timeout_of(10.0))
        .await;
    assert_eq!(next.unwrap_err().kind(), ErrorKind::LimitReached);
}

#[tokio::test(start_paused = true)]
async fn tokens_of_a_rejected_request_are_refunded() {
    let script = ScriptedProvider::new(|_, _| Action::Send(error(400, "", "invalid_request_error")));
    let target = metered_target(&script, 700);
    for _ in 0..3 {
        let call = target
            .chat_with(&ChatRequest::user("hi"), &timeout_of(10.0))
            .await;
        assert_eq!(call.unwrap_err().status(), Some(400));
    }
}

/// Starts six streams one after another, reads each with `read` and drops it. Returns the number of streams
/// that started within 20 s each. Each stream reserves 4000 of 10 000 tokens per minute.
async fn streams_started(recorded: Vec<String>, read: impl AsyncFn(&mut llmpool::ChatStream)) -> usize {
    let script = ScriptedProvider::new(move |_, _| Action::Send(stream_of(&recorded)));
    let settings = TargetSettings {
        limits: Limits {
            tpm: Some(10_000),
            ..Limits::default()
        },
        expected_output_tokens: Some(4000),
        ..no_retries()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let mut started = 0;
    for _ in 0..6 {
        let (request, options) = (ChatRequest::user("hi"), timeout_of(20.0));
        let Ok(mut stream) = target.chat_stream_with(&request, &options).await else {
            continue;
        };
        started += 1;
        read(&mut stream).await;
    }
    started
}

// reproduction 14
#[tokio::test(start_paused = true)]
async fn stream_dropped_after_its_usage_is_settled_with_it() {
    // A usage without a total settles nothing, so the stream is settled with an estimate.
    for usage in [
        r#"{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#,
        r#"{"prompt_tokens":3}"#,
    ] {
        let mut events = recorded();
        events[4] = format!(
            r#"{{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{usage}}}"#
        );
        let until_usage = async |stream: &mut llmpool::ChatStream| {
            while stream.next().await.unwrap().unwrap().usage.is_none() {}
        };
        assert_eq!(streams_started(events, until_usage).await, 6, "{usage}");
    }
}

/// A stream of which only the first word arrives. Returns the number of streams that started within 20 s
/// each, of six that are dropped at the first word, or before it.
async fn cut_streams_started(is_content: bool) -> usize {
    let delta = if is_content {
        r#"{"content":"Hello"}"#
    } else {
        r#"{"role":"assistant"}"#
    };
    let start = [STREAM_HEAD.as_bytes(), &events(&[&chunk_json(delta, "null")])].concat();
    let script = ScriptedProvider::new(move |_, _| Action::SendAndHang(start.clone()));
    let settings = TargetSettings {
        limits: Limits {
            tpm: Some(10_000),
            ..Limits::default()
        },
        expected_output_tokens: Some(4000),
        ..no_retries()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    for _ in 0..6 {
        let (request, options) = (ChatRequest::user("hi"), timeout_of(20.0));
        let stream = target.chat_stream_with(&request, &options);
        // If no content arrives, this drops the call.
        let _ = tokio::time::timeout(Duration::from_secs(1), stream).await;
    }
    script.requests()
}

// reproduction 14
#[tokio::test(start_paused = true)]
async fn stream_dropped_before_its_usage_is_settled_with_an_estimate() {
    assert_eq!(cut_streams_started(true).await, 6);
    assert_eq!(
        cut_streams_started(false).await,
        2,
        "nothing is known of the answer"
    );
}
