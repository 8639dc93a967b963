//! Calls over a loopback socket: results, retries, key states and connections.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::{Duration, Instant};

use llmpool::chat::ChatRequest;
use llmpool::{
    ApiKeyPool, CallOptions, ErrorKind, FailureKind, KeyState, LlmInterface, OpenAiCompatible,
    TargetSettings, UsageSource,
};
use support::{Action, Server, answer, chunk_json, completion, error, events, recorded, stream_of};

fn target(server: &Server, keys: &[&str], max_retries: u32) -> OpenAiCompatible {
    let pool = ApiKeyPool::new("p", keys.iter().copied()).unwrap();
    let settings = TargetSettings {
        max_retries,
        retry_delay: Duration::from_millis(5),
        ..TargetSettings::default()
    };
    OpenAiCompatible::builder(&pool, "m", &server.url)
        .settings(settings)
        .build()
        .unwrap()
}

fn hello() -> ChatRequest {
    ChatRequest::user("hi")
}

fn all_idle(target: &OpenAiCompatible) -> bool {
    target.key_status().iter().all(|key| key.in_flight == 0)
}

// O26
#[tokio::test]
async fn chat_returns_text_usage_and_report() {
    let server = Server::start(|_, _| Action::Send(completion("Hello"))).await;
    let target = target(&server, &["k"], 0);
    let answer = target.chat(&hello()).await.unwrap();
    assert_eq!(answer.text(), "Hello");
    assert_eq!(answer.report.usage.as_ref().unwrap().total_tokens(), Some(5));
    assert_eq!(answer.report.usage_source, UsageSource::Provider);
    assert_eq!((answer.report.attempts.len(), &*answer.report.target), (1, "p/m"));
    assert_eq!(answer.report.attempts[0].request_id.as_deref(), Some("req-1"));
    let received = server.received.lock().unwrap()[0].clone();
    assert_eq!(
        received.body,
        serde_json::json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    );
    assert!(all_idle(&target));
}

// U14
#[tokio::test]
async fn assembled_stream_has_text_and_usage() {
    let server = Server::start(|_, _| Action::Send(stream_of(&recorded()))).await;
    let target = target(&server, &["k"], 0);
    for _ in 0..3 {
        let stream = target.chat_stream(&hello()).await.unwrap();
        let answer = stream.into_response().await.unwrap();
        assert_eq!(answer.text(), "Hello world");
        assert_eq!(answer.report.usage.as_ref().unwrap().total_tokens(), Some(5));
        assert!(answer.report.first_content.is_some() && all_idle(&target));
    }
    assert_eq!(
        server.connections.load(std::sync::atomic::Ordering::SeqCst),
        1,
        "streams reuse the connection"
    );
    assert_eq!(
        server.received.lock().unwrap()[0].body["stream_options"]["include_usage"],
        true
    );
}

#[tokio::test]
async fn usage_with_a_price_alone_is_estimated() {
    let price = r#""usage":{"cost":0.5}"#;
    let server = Server::start(move |number, _| {
        let last = format!(r#"{{"id":"c1","choices":[],{price}}}"#);
        let document =
            format!(r#"{{"choices":[{{"message":{{"content":"Hello"}},"finish_reason":"stop"}}],{price}}}"#);
        Action::Send(match number {
            0 => answer(200, "", &document),
            _ => stream_of(&[&recorded()[..4], &[last, "[DONE]".to_owned()]].concat()),
        })
    })
    .await;
    let target = target(&server, &["k"], 0);
    let plain = target.chat(&hello()).await.unwrap();
    let stream = target.chat_stream(&hello()).await.unwrap();
    for answer in [plain, stream.into_response().await.unwrap()] {
        assert_eq!(answer.report.usage_source, UsageSource::Estimated);
        assert!(answer.report.usage.as_ref().unwrap().completion_tokens() > Some(0));
        let usage = answer.completion.usage.as_ref().unwrap();
        assert_eq!(usage.extra.get("cost").unwrap().get(), "0.5");
    }
}

// U14, O17, L68, L71
#[tokio::test]
async fn late_usage_is_recorded_and_missing_usage_is_estimated() {
    let call =
        r#"{"tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
    let server = Server::start(move |number, _| match number {
        0 => Action::Send(answer(200, "", r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":4,"completion_tokens":1,"total_tokens":5}}"#)),
        1 => Action::SendInTwo(
            stream_of(&[chunk_json(call, "null"), chunk_json("{}", r#""tool_calls""#)])[..].strip_suffix(b"0\r\n\r\n").unwrap().to_vec(),
            Duration::from_millis(1500),
            [events(&[r#"{"choices":[],"usage":{"total_tokens":9}}"#, "[DONE]"]), b"0\r\n\r\n".to_vec()].concat(),
        ),
        _ => Action::Send(stream_of(&[chunk_json(call, "null"), chunk_json("{}", r#""tool_calls""#), "[DONE]".to_owned()])),
    })
    .await;
    let target = target(&server, &["k"], 0);
    let options = CallOptions::default();
    let plain = target.chat_with(&hello(), &options).await.unwrap();
    assert_eq!(plain.report.usage.as_ref().unwrap().total_tokens(), Some(5));
    let late = target
        .chat_stream_with(&hello(), &options)
        .await
        .unwrap()
        .into_response()
        .await
        .unwrap();
    assert_eq!(late.tool_calls().len(), 1);
    assert_eq!(late.report.usage.as_ref().unwrap().total_tokens(), Some(9));
    let none = target
        .chat_stream_with(&hello(), &options)
        .await
        .unwrap()
        .into_response()
        .await
        .unwrap();
    assert_eq!(none.report.usage_source, UsageSource::Estimated);
    let usage = none.report.usage.unwrap();
    assert!(
        usage.prompt_tokens() > Some(0) && usage.completion_tokens() > Some(0),
        "{usage:?}"
    );
}

// U06, U07, O08
#[tokio::test]
async fn number_of_requests_depends_on_the_status() {
    for (status, code, requests) in [
        (400, "x", 1),
        (422, "x", 1),
        (413, "x", 1),
        (404, "model_not_found", 1),
        (500, "x", 3),
        (503, "x", 3),
    ] {
        let server = Server::start(move |_, _| Action::Send(error(status, "", code))).await;
        let target = target(&server, &["k"], 2);
        let error = target.chat(&hello()).await.unwrap_err();
        assert_eq!(server.requests(), requests, "{status}");
        assert_eq!(error.attempts().len(), requests, "{status}");
        assert_eq!(error.report().upstream_requests(), requests);
        assert_eq!(error.status(), Some(status));
        assert_eq!(error.provider_message(), Some("words of the provider"));
        assert!(!format!("{error} {error:?}").contains("words of"));
        assert!(all_idle(&target));
    }
}

// U12, O25
#[tokio::test]
async fn failure_without_retries_is_an_error_after_one_attempt() {
    let server = Server::start(|_, _| Action::Send(error(500, "", "x"))).await;
    let error = target(&server, &["k"], 0).chat(&hello()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::ServerError));
    assert_eq!(server.requests(), 1);
}

// L01, O04
#[tokio::test]
async fn refused_keys_are_replaced_at_once_and_not_used_again() {
    let server = Server::start(|_, received| match received.key.as_str() {
        "good" => Action::Send(completion("ok")),
        "poor" => Action::Send(error(402, "", "x")),
        _ => Action::Send(error(401, "", "invalid_api_key")),
    })
    .await;
    let target = target(&server, &["bad1", "bad2", "poor", "good"], 0);
    for _ in 0..20 {
        target.chat(&hello()).await.unwrap();
    }
    assert_eq!(server.requests(), 23);
    let states: Vec<_> = target.key_status().iter().map(|key| key.state.as_str()).collect();
    assert_eq!(states, ["invalid", "invalid", "no quota", "healthy"]);
}

// U06
#[tokio::test]
async fn rate_limited_key_cools_down_for_the_retry_after_time() {
    let server = Server::start(|number, _| match number {
        0 => Action::Send(error(429, "retry-after-ms: 300\r\n", "rate_limit_exceeded")),
        _ => Action::Send(completion("ok")),
    })
    .await;
    let target = target(&server, &["k"], 1);
    let start = Instant::now();
    let answer = target.chat(&hello()).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(answer.report.attempts.len(), 2);
    assert_eq!(target.key_status()[0].state, KeyState::Healthy);
}

// L04
#[tokio::test]
async fn call_without_quota_fails_at_once_with_a_retry_time() {
    let server =
        Server::start(|_, _| Action::Send(error(429, "retry-after: 3000\r\n", "insufficient_quota"))).await;
    let target = target(&server, &["a", "b"], 5);
    target.chat(&hello()).await.unwrap_err();
    let start = Instant::now();
    let error = target.chat(&hello()).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(50));
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::NoQuota));
    let wait = error.retry_in().unwrap().as_secs();
    assert!((2990..=3000).contains(&wait), "{wait}");
    assert_eq!(server.requests(), 2);
}

// L93
#[tokio::test]
async fn unclear_refusal_by_two_keys_blames_the_request() {
    let server = Server::start(
        |_, received| match received.body["messages"][0]["content"].as_str() {
            Some("poison") => Action::Send(error(403, "", "some_moderation_word")),
            _ => Action::Send(completion("ok")),
        },
    )
    .await;
    let target = target(&server, &["a", "b", "c"], 5);
    let error = target.chat(&ChatRequest::user("poison")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::PermissionDenied));
    assert_eq!(server.requests(), 2);
    assert!(
        target
            .key_status()
            .iter()
            .all(|key| key.state == KeyState::Healthy)
    );
}

// U18
#[tokio::test]
async fn rejected_stream_options_are_learned_once() {
    let refusal =
        r#"{"error":{"message":"x","type":"invalid_request_error","param":"stream_options","code":null}}"#;
    let server = Server::start(move |_, received| {
        if received.body.get("stream_options").is_some() {
            Action::Send(answer(400, "", refusal))
        } else {
            Action::Send(stream_of(&recorded()))
        }
    })
    .await;
    let target = target(&server, &["k"], 0);
    for _ in 0..3 {
        let stream = target.chat_stream(&hello()).await.unwrap();
        assert_eq!(stream.into_response().await.unwrap().text(), "Hello world");
    }
    assert_eq!(server.requests(), 4);
}

#[tokio::test]
async fn closed_idle_connection_is_replaced_within_the_attempt() {
    // The server closes the connection after its first response without `connection: close`; the client may notice only after sending.
    let server = Server::start(|number, _| match number {
        0 => Action::SendAndClose(completion("one")),
        _ => Action::Send(completion("more")),
    })
    .await;
    let target = target(&server, &["k"], 0);
    target.chat(&hello()).await.unwrap();
    server.wait_closed(1).await;
    let answer = target.chat(&hello()).await.unwrap();
    assert_eq!(answer.text(), "more");
    assert_eq!(answer.report.upstream_requests(), 1);
    assert_eq!(server.requests(), 2);
}

// O12, O01
#[tokio::test]
async fn one_connection_is_reused_by_all_keys() {
    let server = Server::start(|_, _| Action::Send(completion("ok"))).await;
    let target = target(&server, &["a", "b", "c"], 0);
    for _ in 0..30 {
        target.chat(&hello()).await.unwrap();
    }
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
    let received = server.received.lock().unwrap();
    for key in ["a", "b", "c"] {
        assert_eq!(received.iter().filter(|received| received.key == key).count(), 10);
    }
}

// U03, U05, O02, L57
#[tokio::test]
async fn stream_cut_at_any_byte_is_retried_or_fails() {
    let whole = stream_of(&recorded());
    let body_from = support::STREAM_HEAD.len();
    let content = String::from_utf8_lossy(&whole).find("Hello").unwrap();
    let finish = String::from_utf8_lossy(&whole).find("\"stop\"").unwrap();
    let done = String::from_utf8_lossy(&whole).find("[DONE]").unwrap();
    for cut in 0..whole.len() {
        let (first, rest) = (whole[..cut].to_vec(), whole.clone());
        let server = Server::start(move |number, _| match number {
            0 => Action::SendAndClose(first.clone()),
            _ => Action::Send(rest.clone()),
        })
        .await;
        let target = target(&server, &["a", "b"], 1);
        let outcome = match target.chat_stream(&hello()).await {
            Ok(stream) => stream.into_response().await,
            Err(error) => Err(error),
        };
        let retried = server.requests() == 2;
        match outcome {
            Ok(answer) => {
                assert_eq!(answer.text(), "Hello world", "cut at {cut}");
                assert!(
                    retried || cut > finish,
                    "cut at {cut}: the finish reason was not received"
                );
                if !retried && cut < done - 20 {
                    let usage = answer.report.usage.and_then(|usage| usage.total_tokens());
                    let reported = answer.report.usage_source == UsageSource::Provider;
                    assert_eq!(reported, usage == Some(5), "cut at {cut}: {usage:?}");
                }
            }
            Err(error) => {
                assert!(!retried && cut > content, "cut at {cut}: {error}");
                let partial = error.partial().map(|partial| partial.text()).unwrap_or_default();
                assert!(
                    "Hello world".starts_with(&partial) && !partial.is_empty(),
                    "cut at {cut}: {partial:?}"
                );
            }
        }
        assert!(
            cut > body_from || retried,
            "cut at {cut}, in the response head, is retried"
        );
        assert!(all_idle(&target), "cut at {cut}");
    }
}

// L56
#[tokio::test]
async fn error_in_a_200_response_is_retried_with_another_key() {
    let server = Server::start(
        |number, received| match (number, received.body.get("stream").is_some()) {
            (0, false) => Action::Send(answer(
                200,
                "",
                r#"{"error":{"message":"x","code":"rate_limit_exceeded"}}"#,
            )),
            (2, true) => {
                let mut bytes = support::STREAM_HEAD.as_bytes().to_vec();
                bytes.extend(events(&[r#"{"error":{"message":"x","code":500}}"#]));
                bytes.extend(b"0\r\n\r\n");
                Action::Send(bytes)
            }
            (_, true) => Action::Send(stream_of(&recorded())),
            (_, false) => Action::Send(completion("ok")),
        },
    )
    .await;
    let target = target(&server, &["a", "b", "c"], 1);
    assert_eq!(target.chat(&hello()).await.unwrap().text(), "ok");
    let stream = target.chat_stream(&hello()).await.unwrap();
    assert_eq!(stream.into_response().await.unwrap().text(), "Hello world");
    assert_eq!(server.requests(), 4);
}

/// A partial response is never returned as complete, whatever form the provider's error has.
// L56
#[tokio::test]
async fn provider_error_after_content_is_never_a_complete_response() {
    let half = r#"{"content":"half"}"#;
    for error in [
        r#"{"object":"error","message":"x","type":"server_error","param":null,"code":500}"#,
        r#"{"code":"50505","msg":"model service overloaded"}"#,
        r#"{"error_code":336501,"error_msg":"Rate limit"}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
    ] {
        let broken = [chunk_json(half, "null"), error.to_owned(), "[DONE]".to_owned()];
        let server = Server::start(move |_, _| Action::Send(stream_of(&broken))).await;
        let stream = target(&server, &["a"], 0).chat_stream(&hello()).await.unwrap();
        let broken = stream.into_response().await.unwrap_err();
        assert_eq!(broken.partial().unwrap().text(), "half", "{error}");

        // Before any content the error is an ordinary failure, not a truncated stream.
        let first = [error.to_owned()];
        let server = Server::start(move |_, _| Action::Send(stream_of(&first))).await;
        let refused = target(&server, &["a"], 0)
            .chat_stream(&hello())
            .await
            .map(|_| ())
            .unwrap_err();
        assert_ne!(
            refused.kind(),
            ErrorKind::Attempt(FailureKind::Truncated),
            "{error}"
        );
    }
    let body = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"half"},"finish_reason":"insufficient_system_resource"}]}"#;
    let server = Server::start(move |_, _| Action::Send(answer(200, "", body))).await;
    let plain = target(&server, &["a"], 0).chat(&hello()).await;
    assert!(matches!(plain.unwrap_err().kind(), ErrorKind::Attempt(_)));
}

// U12, L56
#[tokio::test]
async fn success_without_choices_is_an_invalid_response() {
    let server = Server::start(
        |number, received| match (number, received.body.get("stream").is_some()) {
            (0, true) => Action::Send(stream_of(&["[DONE]".to_owned()])),
            (1, true) => Action::Send(stream_of(&[
                chunk_json(r#"{"role":"assistant"}"#, "null"),
                "[DONE]".to_owned(),
            ])),
            (_, true) => Action::Send(stream_of(&recorded())),
            (_, false) => Action::Send(answer(200, "", r#"{"id":"c","usage":{"total_tokens":1}}"#)),
        },
    )
    .await;
    let target = target(&server, &["k"], 2);
    let stream = target.chat_stream(&hello()).await.unwrap();
    let report = stream.report();
    assert_eq!(stream.into_response().await.unwrap().text(), "Hello world");
    assert_eq!(report.attempts[1].failure, Some(FailureKind::InvalidResponse));
    let error = target.chat(&hello()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidResponse));
}

// U11
#[tokio::test]
async fn timeout_covers_all_attempts() {
    let server = Server::start(|_, _| Action::SendAndHang(Vec::new())).await;
    let target = target(&server, &["k"], 5);
    let options = CallOptions {
        timeout: Some(Duration::from_millis(150)),
        ..CallOptions::default()
    };
    let start = Instant::now();
    let error = target.chat_with(&hello(), &options).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(1000));
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::DeadlineExceeded));
    assert!(all_idle(&target));
}
