//! Behaviours and limits on the Responses endpoint.

use std::time::{Duration, Instant};

use llmpool_simulator::RequestKind;
use serde_json::{Value, json};

use crate::behaviours::always;
use crate::client::{Client, End, chat, post, stream};
use crate::response_events::{events, types};
use crate::responses::{ask, body};
use crate::simulate;

#[tokio::test]
async fn rules_apply_to_both_formats() {
    let provider = simulate(
        r#"{"script": [{"status": 503, "retry_after": 2}, {"ok": true}, {"status": 418, "on": "chat_completions"}],
            "behaviours": [{"limit": 2, "per": 60}]}"#,
    )
    .await;
    let refused = ask(provider.addr(), "k", stream()).await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(ask(provider.addr(), "k", json!({})).await.unwrap().status);
        statuses.push(chat(provider.addr(), "k", json!({})).await.unwrap().status);
    }
    assert_eq!(statuses, [200, 418, 200, 200, 429, 429]);
}

#[tokio::test]
async fn limits_count_responses_like_chat() {
    let provider = simulate(
        r#"{"keys": [{"key": "k", "limits": {"requests": 3, "tokens": 1000, "window": "sliding"}}]}"#,
    )
    .await;
    assert_eq!(
        chat(provider.addr(), "k", json!({"max_tokens": 100}))
            .await
            .unwrap()
            .status,
        200
    );
    let second = ask(provider.addr(), "k", json!({"max_output_tokens": 100}))
        .await
        .unwrap();
    assert_eq!(second.header("x-ratelimit-remaining-requests"), Some("1"));
    let used = 2 * (100 + "PROMPT-CANARY".len().div_ceil(4));
    let left = (1000 - used).to_string();
    assert_eq!(second.header("x-ratelimit-remaining-tokens"), Some(left.as_str()));
    let denied = ask(provider.addr(), "k", json!({"max_output_tokens": 2000}))
        .await
        .unwrap();
    assert_eq!(
        (denied.status, &denied.json()["error"]["type"]),
        (429, &json!("tokens"))
    );
    assert_eq!(
        ask(provider.addr(), "k", json!({"input": []}))
            .await
            .unwrap()
            .status,
        400
    );

    let stats = provider.stats();
    assert_eq!(
        (stats.keys[0].rate_limited, stats.log[1].kind),
        (1, RequestKind::Responses)
    );
    assert_eq!(stats.arrivals_of(0).count(), 4);
}

#[tokio::test]
async fn stream_can_be_cut_reset_or_stalled() {
    for count in 0..13 {
        let provider = always(&format!(r#"{{"cut": {{"after_events": {count}}}}}"#)).await;
        let reply = ask(provider.addr(), "k", stream()).await.unwrap();
        assert_eq!((reply.end, reply.pieces.len()), (End::Cut, count.min(12)));
    }
    let provider = always(r#"{"cut": {"after_bytes": 100}}"#).await;
    for extra in [json!({}), stream()] {
        let reply = ask(provider.addr(), "k", extra).await.unwrap();
        assert_eq!((reply.end, reply.body().len()), (End::Cut, 100));
    }
    let provider = always(r#"{"cut": "before_head", "reset": true}"#).await;
    assert_eq!(ask(provider.addr(), "k", stream()).await.unwrap_err(), End::Reset);

    let provider = always(r#"{"stall": {"after_events": 3}}"#).await;
    let mut client = Client::connect(provider.addr()).await;
    client
        .send("POST", "/v1/responses", "k", &body(&stream()).to_string())
        .await;
    assert_eq!(client.head().await.unwrap().0, 200);
    for _ in 0..3 {
        assert!(client.chunk().await.unwrap().is_some());
    }
    assert!(client.is_silent().await);
    assert_eq!(provider.stats().in_flight, 1);
}

#[tokio::test]
async fn head_and_first_event_can_be_delayed() {
    let provider = always(r#"{"ok": true, "head_delay": 0.04, "first_chunk_delay": 0.05}"#).await;
    let mut client = Client::connect(provider.addr()).await;
    let start = Instant::now();
    client
        .send("POST", "/v1/responses", "k", &body(&stream()).to_string())
        .await;
    client.head().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(40));
    client.chunk().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(90));
}

#[tokio::test]
async fn error_in_200_is_a_body_or_two_events() {
    let provider = always(r#"{"error_in_200": "plain"}"#).await;
    for extra in [json!({}), stream()] {
        let reply = ask(provider.addr(), "k", extra).await.unwrap();
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("application/json"))
        );
        assert_eq!(reply.json()["error"]["type"], "server_error");
    }
    for (place, before, output) in [
        (r#""first_event""#, 0, 0),
        (r#"{"after_events": 5}"#, 5, 0),
        // created, in_progress, and the eight events of the message
        (r#"{"after_events": 10}"#, 10, 1),
        (r#"{"after_events": 99}"#, 10, 1),
    ] {
        let provider = always(&format!(r#"{{"error_in_200": {place}}}"#)).await;
        let reply = ask(provider.addr(), "k", stream()).await.unwrap();
        assert_eq!((reply.status, reply.end), (200, End::Complete));
        let (events, done) = events(&reply);
        assert!(done);
        assert_eq!(events.len(), before + 2, "{place}");
        assert_eq!(types(&events)[before..], ["error", "response.failed"]);
        let (error, failed) = (&events[before], &events[before + 1]["response"]);
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!("server_error"), &Value::Null)
        );
        assert!(error["message"].is_string() && error.get("error").is_none());
        assert_eq!(
            (&failed["status"], &failed["error"]["code"]),
            (&json!("failed"), &json!("server_error"))
        );
        assert_eq!(failed["output"].as_array().unwrap().len(), output, "{place}");
        let plain = ask(provider.addr(), "k", json!({})).await.unwrap();
        assert_eq!(
            (plain.status, &plain.json()["error"]["type"]),
            (200, &json!("server_error"))
        );
    }
}

#[tokio::test]
async fn only_complete_responses_can_be_continued() {
    let provider =
        simulate(r#"{"answer": "a b", "script": [{"error_in_200": {"after_events": 9}}, {"ok": true}]}"#)
            .await;
    for status in [400, 200] {
        let reply = ask(provider.addr(), "k", stream()).await.unwrap();
        let id = events(&reply).0[0]["response"]["id"].clone();
        let next = body(&json!({"previous_response_id": id}));
        assert_eq!(
            post(provider.addr(), "/v1/responses", "k", &next)
                .await
                .unwrap()
                .status,
            status
        );
    }
}
