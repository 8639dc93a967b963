//! Each behaviour, checked byte for byte.

use std::time::{Duration, Instant};

use llmpool_simulator::Simulator;
use serde_json::{Value, json};

use crate::client::{Client, End, Reply, chat, stream};
use crate::simulate;

/// Starts a simulator that applies one behaviour to every request.
pub(crate) async fn always(behaviour: &str) -> Simulator {
    simulate(&format!(r#"{{"answer": "a b c", "behaviours": [{behaviour}]}}"#)).await
}

async fn statuses(provider: &Simulator, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(chat(provider.addr(), "k", json!({})).await.unwrap().status);
    }
    statuses
}

#[tokio::test]
async fn status_has_openai_body_by_default() {
    for (behaviour, status, code) in [
        (r#"{"status": 400}"#, 400, Value::Null),
        (r#"{"status": 401}"#, 401, json!("invalid_api_key")),
        (r#"{"status": 402}"#, 402, json!("insufficient_balance")),
        (r#"{"status": 403}"#, 403, json!("insufficient_permissions")),
        (r#"{"status": 429}"#, 429, json!("rate_limit_exceeded")),
        (
            r#"{"status": 429, "code": "insufficient_quota"}"#,
            429,
            json!("insufficient_quota"),
        ),
        (r#"{"status": 500}"#, 500, Value::Null),
        (r#"{"status": 503}"#, 503, json!("overloaded")),
        (r#"{"status": 529}"#, 529, json!("overloaded")),
    ] {
        let provider = always(behaviour).await;
        let reply = chat(provider.addr(), "k", stream()).await.unwrap();
        assert_eq!(
            (reply.status, &reply.json()["error"]["code"]),
            (status, &code),
            "{behaviour}"
        );
        assert_eq!(reply.header("retry-after"), None);
    }
}

#[tokio::test]
async fn status_fields_can_be_overridden() {
    let provider =
        always(r#"{"status": 503, "retry_after": 1.5, "headers": {"x-a": "b"}, "body": "<html>"}"#).await;
    let reply = chat(provider.addr(), "k", json!({})).await.unwrap();
    assert_eq!(
        (reply.header("retry-after"), reply.header("x-a")),
        (Some("1.500"), Some("b"))
    );
    assert_eq!(
        (reply.header("content-type"), reply.text().as_str()),
        (Some("text/plain; charset=utf-8"), "<html>")
    );

    let provider =
        always(r#"{"status": 429, "retry_after": 2, "retry_after_form": "ms", "body": {"detail": 1}}"#).await;
    let reply = chat(provider.addr(), "k", json!({})).await.unwrap();
    assert_eq!(
        (reply.header("retry-after"), reply.header("retry-after-ms")),
        (None, Some("2000"))
    );
    assert_eq!(reply.json(), json!({"detail": 1}));
}

#[tokio::test]
async fn status_204_has_no_body() {
    let provider = always(r#"{"status": 204}"#).await;
    let mut client = Client::connect(provider.addr()).await;
    client.chat("k", &json!({})).await;
    let (status, headers) = client.head().await.unwrap();
    assert_eq!(status, 204);
    assert!(!headers.iter().any(|(name, _)| name == "transfer-encoding"));
    let stats = provider.stats();
    assert_eq!((stats.in_flight, stats.aborts.len()), (0, 0));
}

#[tokio::test]
async fn key_script_is_used_once() {
    let provider = simulate(
        r#"{"keys": [{"key": "a", "script": [{"status": 500}, {"ok": true}, {"status": 429}]}, {"key": "b"}]}"#,
    )
    .await;
    for (key, status) in [("a", 500), ("b", 200), ("a", 200), ("a", 429), ("a", 200)] {
        assert_eq!(
            chat(provider.addr(), key, json!({})).await.unwrap().status,
            status
        );
    }
}

#[tokio::test]
async fn same_seed_fails_the_same_requests() {
    let scenario =
        |seed| format!(r#"{{"seed": {seed}, "behaviours": [{{"status": 500, "probability": 0.5}}]}}"#);
    let first = statuses(&simulate(&scenario(7)).await, 32).await;
    assert_eq!(first, statuses(&simulate(&scenario(7)).await, 32).await);
    assert_ne!(first, statuses(&simulate(&scenario(8)).await, 32).await);
}

#[tokio::test]
async fn limit_rejects_with_retry_after() {
    let provider = always(r#"{"limit": 2, "per": 60, "rate_headers": true}"#).await;
    let first = chat(provider.addr(), "k", json!({})).await.unwrap();
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("1"));
    assert_eq!(statuses(&provider, 1).await, [200]);
    let refused = chat(provider.addr(), "k", json!({})).await.unwrap();
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(refused.status == 429 && (1..=60).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn request_passes_after_retry_after() {
    let provider = always(r#"{"limit": 1, "per": 0.1, "retry_after_form": "ms"}"#).await;
    assert_eq!(statuses(&provider, 1).await, [200]);
    let refused = chat(provider.addr(), "k", json!({})).await.unwrap();
    let wait = refused.header("retry-after-ms").unwrap().parse().unwrap();
    tokio::time::sleep(Duration::from_millis(wait)).await;
    assert_eq!(statuses(&provider, 1).await, [200]);
}

#[tokio::test]
async fn stream_options_are_rejected_in_both_forms() {
    let body = json!({"stream": true, "stream_options": {"include_usage": true}});
    let provider = always(r#"{"refuse_stream_options": "openai"}"#).await;
    let refused = chat(provider.addr(), "k", body.clone()).await.unwrap();
    assert_eq!(
        (refused.status, &refused.json()["error"]["param"]),
        (400, &json!("stream_options"))
    );
    assert_eq!(chat(provider.addr(), "k", stream()).await.unwrap().status, 200);

    let provider = always(r#"{"refuse_stream_options": "fastapi"}"#).await;
    let refused = chat(provider.addr(), "k", body).await.unwrap();
    assert_eq!(
        (refused.status, &refused.json()["detail"][0]["loc"][1]),
        (422, &json!("stream_options"))
    );
}

#[tokio::test]
async fn cut_before_head_sends_nothing() {
    let provider = always(r#"{"cut": "before_head"}"#).await;
    assert_eq!(chat(provider.addr(), "k", json!({})).await.unwrap_err(), End::Cut);
    let provider = always(r#"{"cut": "before_head", "reset": true}"#).await;
    assert_eq!(
        chat(provider.addr(), "k", json!({})).await.unwrap_err(),
        End::Reset
    );
    assert_eq!(provider.stats().log[0].status, None);
}

#[tokio::test]
async fn cut_after_head_sends_no_body() {
    let provider = always(r#"{"cut": "after_head"}"#).await;
    for body in [json!({}), stream()] {
        let reply = chat(provider.addr(), "k", body).await.unwrap();
        assert_eq!((reply.status, reply.end, reply.body().len()), (200, End::Cut, 0));
    }
    let stats = provider.stats();
    assert_eq!(
        (stats.aborts.len(), stats.in_flight),
        (0, 0),
        "a cut counted as an abort"
    );
}

#[tokio::test]
async fn cut_after_events_is_exact() {
    for count in 0..8 {
        let provider = always(&format!(r#"{{"cut": {{"after_events": {count}}}}}"#)).await;
        let reply = chat(provider.addr(), "k", stream()).await.unwrap();
        assert_eq!((reply.end, reply.pieces.len()), (End::Cut, count.min(6)));
    }
    let provider = always(r#"{"cut": {"after_events": 1}}"#).await;
    let plain = chat(provider.addr(), "k", json!({})).await.unwrap();
    let announced: usize = plain.header("content-length").unwrap().parse().unwrap();
    assert_eq!((plain.end, plain.body().len()), (End::Cut, announced / 2));
}

/// A truncated answer differs from a complete one at every byte.
// L52
#[tokio::test]
async fn cut_after_bytes_is_exact() {
    for body in [json!({}), stream()] {
        let whole = chat(always_cut(usize::MAX).await.addr(), "k", body.clone())
            .await
            .unwrap()
            .body()
            .len();
        for count in [0, 1, 2, 7, whole / 2, whole - 1, whole, whole + 5] {
            let provider = always_cut(count).await;
            let reply = chat(provider.addr(), "k", body.clone()).await.unwrap();
            assert_eq!(reply.body().len(), count.min(whole), "{body}");
            let announced = reply.header("content-length").is_some();
            let complete = announced && count >= whole;
            assert_eq!(
                reply.end,
                if complete { End::Complete } else { End::Cut },
                "{count} of {whole}"
            );
        }
    }
}

async fn always_cut(count: usize) -> Simulator {
    simulate(&format!(
        r#"{{"answer": "a b", "behaviours": [{{"cut": {{"after_bytes": {count}}}}}]}}"#
    ))
    .await
}

#[tokio::test]
async fn cut_after_last_byte_closes_the_connection() {
    let provider = always_cut(usize::MAX).await;
    let mut client = Client::connect(provider.addr()).await;
    client.chat("k", &json!({})).await;
    assert_eq!(client.reply().await.unwrap().end, End::Complete);
    assert_eq!(client.end().await, End::Cut);
    assert_eq!(provider.stats().aborts, []);
}

#[tokio::test]
async fn reset_in_a_stream_reaches_the_client() {
    let provider = always(r#"{"cut": {"after_events": 2}, "reset": true}"#).await;
    let mut client = Client::connect(provider.addr()).await;
    client.chat("k", &stream()).await;
    client.head().await.unwrap();
    // A reset may discard bytes that the client has not read yet, so only the end is certain.
    let end = loop {
        match client.chunk().await {
            Ok(chunk) => assert!(chunk.is_some(), "the stream ended normally"),
            Err(end) => break end,
        }
    };
    assert_eq!(end, End::Reset);
}

#[tokio::test]
async fn stall_sends_nothing_after_its_point() {
    for (point, pieces) in [(r#""after_head""#, 0), (r#"{"after_events": 2}"#, 2)] {
        let provider = always(&format!(r#"{{"stall": {point}}}"#)).await;
        let mut client = Client::connect(provider.addr()).await;
        client.chat("k", &stream()).await;
        assert_eq!(client.head().await.unwrap().0, 200);
        for _ in 0..pieces {
            assert!(client.chunk().await.unwrap().is_some());
        }
        assert!(client.is_silent().await);
        assert_eq!(provider.stats().in_flight, 1);
    }
    let provider = always(r#"{"stall": "before_head"}"#).await;
    let mut client = Client::connect(provider.addr()).await;
    client.chat("k", &json!({})).await;
    assert!(client.is_silent().await);
}

#[tokio::test]
async fn recorded_body_is_sent_byte_for_byte() {
    let recorded = "data: {\"x\":\"世\"}\r\n\r\n: ping\n\ndata: [DONE]";
    let raw = json!({"raw": {"body": recorded, "writes": [13, 1]}});
    let provider = always(&raw.to_string()).await;
    let reply = chat(provider.addr(), "k", stream()).await.unwrap();
    assert_eq!(
        (reply.header("content-type"), reply.text().as_str()),
        (Some("text/event-stream"), recorded)
    );
    assert_eq!(
        reply.pieces.iter().map(Vec::len).collect::<Vec<_>>(),
        [13, 1, recorded.len() - 14]
    );

    let raw = json!({"raw": {"status": 418, "content_type": "text/html", "bytes": [0, 255], "writes": [1]}});
    let provider = always(&raw.to_string()).await;
    let reply = chat(provider.addr(), "k", json!({})).await.unwrap();
    assert_eq!(
        (reply.status, reply.header("content-length"), reply.body()),
        (418, Some("2"), vec![0, 255])
    );
}

// L56
#[tokio::test]
async fn error_in_200_is_sent_at_its_position() {
    let events = |reply: &Reply| reply.pieces.len();
    let error = |reply: &Reply| {
        let last = String::from_utf8(reply.pieces.last().unwrap().clone()).unwrap();
        let json = last.strip_prefix("data: ").unwrap_or(&last);
        serde_json::from_str::<Value>(json).unwrap()["error"]["type"].clone()
    };
    for (place, count, kind) in [
        (r#""plain""#, 1, "application/json"),
        (r#""first_event""#, 1, "text/event-stream; charset=utf-8"),
        (r#"{"after_events": 2}"#, 3, "text/event-stream; charset=utf-8"),
    ] {
        let provider = always(&format!(r#"{{"error_in_200": {place}}}"#)).await;
        let reply = chat(provider.addr(), "k", stream()).await.unwrap();
        assert_eq!(
            (reply.status, reply.end, events(&reply)),
            (200, End::Complete, count),
            "{place}"
        );
        assert_eq!(
            (reply.header("content-type"), error(&reply)),
            (Some(kind), json!("server_error"))
        );
        let plain = chat(provider.addr(), "k", json!({})).await.unwrap();
        assert_eq!((plain.status, error(&plain)), (200, json!("server_error")));
    }
}

#[tokio::test]
async fn delays_apply_to_head_and_events() {
    let provider = simulate(
        r#"{"answer": "a", "head_delay": 0.04, "first_chunk_delay": 0.05, "chunk_delay": 0.02,
            "script": [{"ok": true, "head_delay": 0, "first_chunk_delay": 0, "chunk_delay": 0}]}"#,
    )
    .await;
    let undelayed = chat(provider.addr(), "k", stream()).await.unwrap();
    assert_eq!(undelayed.pieces.len(), 4);

    let mut client = Client::connect(provider.addr()).await;
    let start = Instant::now();
    let passed = |millis| start.elapsed() >= Duration::from_millis(millis);
    client.chat("k", &stream()).await;
    client.head().await.unwrap();
    assert!(passed(40));
    client.chunk().await.unwrap();
    assert!(passed(40 + 50));
    while client.chunk().await.unwrap().is_some() {}
    assert!(passed(40 + 50 + 3 * 20));
}
