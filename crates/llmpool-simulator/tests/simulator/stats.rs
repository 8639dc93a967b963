//! Statistics, in particular when clients disconnect.

use std::time::{Duration, Instant};

use llmpool_simulator::{AbortPhase, RequestKind, Simulator, Stats};
use serde_json::json;
use tokio::task::JoinSet;

use crate::client::{Client, TIMEOUT, chat, chat_body, request, stream};
use crate::simulate;

#[tokio::test]
async fn requests_are_counted_and_logged_in_order() {
    let provider = simulate(
        r#"{"keys": [{"key": "a", "label": "first", "script": [{"status": 500}]}, {"key": "b"}], "models": ["m"]}"#,
    )
    .await;
    for key in ["a", "b", "a", "c"] {
        chat(provider.addr(), key, json!({})).await.unwrap();
    }
    request(provider.addr(), "GET", "/v1/models", "b").await;
    let stats = provider.stats();
    assert_eq!(
        (stats.requests, stats.requests_with_bytes, stats.max_in_flight),
        (5, 5, 1)
    );
    assert_eq!(
        stats.statuses.into_iter().collect::<Vec<_>>(),
        [(200, 3), (401, 1), (500, 1)]
    );
    let first = &stats.keys[0];
    assert_eq!(
        (
            first.label.as_str(),
            first.requests,
            first.in_flight,
            first.max_in_flight
        ),
        ("first", 2, 0, 1)
    );
    assert_eq!(
        first.statuses.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>(),
        [(200, 1), (500, 1)]
    );
    assert_eq!(stats.keys[1].label, "key-1");
    let log: Vec<_> = stats
        .log
        .iter()
        .map(|entry| (entry.key, entry.status, entry.connection, entry.kind))
        .collect();
    let chat = RequestKind::Chat;
    assert_eq!(
        log,
        [
            (Some(0), Some(500), 0, chat),
            (Some(1), Some(200), 1, chat),
            (Some(0), Some(200), 2, chat),
            (None, Some(401), 3, chat),
            (Some(1), Some(200), 4, RequestKind::Models),
        ]
    );
    assert!(stats.log.is_sorted_by(|a, b| a.at_ms <= b.at_ms));
    assert!(stats.log.iter().all(|entry| entry.ended_ms >= Some(entry.at_ms)));
}

#[tokio::test]
async fn stats_endpoint_excludes_itself_and_secrets() {
    let provider = simulate(r#"{"keys": [{"key": "KEY-CANARY"}], "echo": true}"#).await;
    chat(provider.addr(), "KEY-CANARY", stream()).await.unwrap();
    let mut client = Client::connect(provider.addr()).await;
    client.send("GET", "/stats", "", "").await;
    let page = client.reply().await.unwrap();
    assert!(!page.text().contains("CANARY"), "a key or a prompt in the stats");
    assert_eq!(
        (&page.json()["requests"], &page.json()["requests_with_bytes"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(page.json()["keys"][0]["statuses"], json!({"200": 1}));

    client.send("POST", "/stats/reset", "", "{}").await;
    assert_eq!(client.reply().await.unwrap().status, 200);
    client.chat("KEY-CANARY", &json!({})).await;
    client.reply().await.unwrap();
    let stats = provider.stats();
    assert_eq!(
        (stats.requests, stats.requests_with_bytes, stats.log.len()),
        (1, 1, 1)
    );
}

/// A disconnect is noticed within 200 ms, also while nothing is sent.
// L45
#[tokio::test]
async fn disconnect_is_recorded_in_every_phase() {
    for (behaviour, body, phase) in [
        (r#"{"stall": "before_head"}"#, json!({}), AbortPhase::BeforeHead),
        (
            r#"{"ok": true, "head_delay": 60}"#,
            json!({}),
            AbortPhase::BeforeHead,
        ),
        (r#"{"stall": "after_head"}"#, json!({}), AbortPhase::MidStream),
        (r#"{"stall": "after_head"}"#, stream(), AbortPhase::MidStream),
        (
            r#"{"stall": {"after_events": 2}}"#,
            stream(),
            AbortPhase::MidStream,
        ),
        (
            r#"{"stall": {"after_bytes": 9}}"#,
            json!({}),
            AbortPhase::MidStream,
        ),
        (
            r#"{"ok": true, "first_chunk_delay": 60}"#,
            stream(),
            AbortPhase::MidStream,
        ),
    ] {
        let provider = simulate(&format!(
            r#"{{"keys": [{{"key": "k", "behaviours": [{behaviour}]}}]}}"#
        ))
        .await;
        let mut client = Client::connect(provider.addr()).await;
        client.chat("k", &body).await;
        if phase == AbortPhase::MidStream {
            assert_eq!(client.head().await.unwrap().0, 200);
        } else {
            provider
                .wait_for(|stats| stats.in_flight == 1, TIMEOUT)
                .await
                .unwrap();
        }
        assert_abort_recorded(&provider, client, phase, Some(0)).await;
    }
}

#[tokio::test]
async fn disconnect_while_sending_is_recorded() {
    let whole = chat_body(&json!({}));
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: s\r\ncontent-length: {}\r\n\r\n",
        whole.len()
    );
    for (sent, requests) in [
        ("POST /v1/ch".to_owned(), 0),
        (format!("{head}{}", &whole[..9]), 1),
    ] {
        let provider = simulate("{}").await;
        let mut client = Client::connect(provider.addr()).await;
        client.write(sent.as_bytes()).await;
        let arrived = |stats: &Stats| stats.bytes_received == sent.len() as u64;
        provider
            .wait_for(|stats| arrived(stats) && stats.requests == requests, TIMEOUT)
            .await
            .unwrap();
        assert_abort_recorded(&provider, client, AbortPhase::Reading, None).await;
        assert_eq!(provider.stats().requests_with_bytes, 1);
    }
}

async fn assert_abort_recorded(provider: &Simulator, client: Client, phase: AbortPhase, key: Option<usize>) {
    let disconnected = Instant::now();
    drop(client);
    let is_recorded = |stats: &Stats| stats.aborts.len() == 1 && stats.connections_open == 0;
    let stats = provider.wait_for(is_recorded, TIMEOUT).await.unwrap();
    assert!(
        disconnected.elapsed() < Duration::from_millis(200),
        "{:?}",
        disconnected.elapsed()
    );
    assert_eq!((stats.aborts[0].phase, stats.aborts[0].key), (phase, key));
    assert_eq!(stats.in_flight, 0);
    assert!(stats.keys.iter().all(|key| key.in_flight == 0));
}

// L41
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_flight_is_0_after_1000_mixed_requests() {
    let provider = simulate(
        r#"{"keys": [{"key": "a"}, {"key": "b"}], "chunk_delay": 0.001, "answer": "a b c", "behaviours": [
            {"status": 500, "probability": 0.1},
            {"cut": "before_head", "probability": 0.1},
            {"cut": {"after_events": 3}, "reset": true, "probability": 0.1},
            {"stall": "before_head", "probability": 0.1},
            {"stall": {"after_events": 1}, "probability": 0.1},
            {"ok": true, "after_response": "drop_idle", "probability": 0.1}]}"#,
    )
    .await;
    let addr = provider.addr();
    let mut clients = JoinSet::new();
    for number in 0..1000u64 {
        clients.spawn(async move {
            let key = if number % 2 == 0 { "a" } else { "b" };
            let timeout = Duration::from_millis(1 + number % 40);
            // Most clients disconnect before the end, which is intended.
            let _ = tokio::time::timeout(timeout, chat(addr, key, stream())).await;
        });
        if clients.len() >= 100 {
            clients.join_next().await.unwrap().unwrap();
        }
    }
    while clients.join_next().await.is_some() {}
    let is_idle = |stats: &Stats| stats.connections_open == 0 && stats.in_flight == 0;
    let stats = provider.wait_for(is_idle, TIMEOUT).await.unwrap();
    assert!(
        stats
            .keys
            .iter()
            .all(|key| key.in_flight == 0 && key.requests > 0)
    );
    assert!(!stats.aborts.is_empty() && stats.log.iter().all(|entry| entry.ended_ms.is_some()));
}

#[tokio::test]
async fn concurrent_400_requests_are_in_flight() {
    let provider = simulate(
        r#"{"answer": "a b", "keys": [{"key": "k"}], "behaviours": [{"stall": {"after_events": 1}}]}"#,
    )
    .await;
    let addr = provider.addr();
    let mut clients = JoinSet::new();
    for _ in 0..400 {
        clients.spawn(async move {
            let mut client = Client::connect(addr).await;
            client.chat("k", &stream()).await;
            assert_eq!(client.head().await.unwrap().0, 200);
            client
        });
    }
    let clients = clients.join_all().await;
    let stats = provider
        .wait_for(|stats| stats.in_flight == 400, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(
        (
            stats.keys[0].in_flight,
            stats.connections_opened,
            stats.aborts.len()
        ),
        (400, 400, 0)
    );
    drop(clients);
    let stats = provider
        .wait_for(|stats| stats.aborts.len() == 400, TIMEOUT)
        .await
        .unwrap();
    assert_eq!((stats.in_flight, stats.keys[0].max_in_flight), (0, 400));
}

// L44
#[tokio::test]
async fn request_is_in_flight_until_body_end() {
    let provider = simulate(r#"{"answer": "a b", "chunk_delay": 0.02}"#).await;
    let mut client = Client::connect(provider.addr()).await;
    client.chat("k", &stream()).await;
    client.head().await.unwrap();
    client.chunk().await.unwrap();
    assert_eq!(provider.stats().in_flight, 1);
    let mut last = Vec::new();
    while let Some(chunk) = client.chunk().await.unwrap() {
        last = chunk;
    }
    assert_eq!(last, b"data: [DONE]\n\n");
    assert_eq!(provider.stats().in_flight, 0);
}

/// A client may disconnect as soon as it has read `[DONE]`.
#[tokio::test]
async fn disconnect_after_done_is_not_an_abort() {
    let provider = simulate(r#"{"answer": "a b"}"#).await;
    for _ in 0..50 {
        let mut client = Client::connect(provider.addr()).await;
        client.chat("k", &stream()).await;
        client.head().await.unwrap();
        while client.chunk().await.unwrap().unwrap() != b"data: [DONE]\n\n" {}
    }
    let stats = provider
        .wait_for(|stats| stats.connections_open == 0, TIMEOUT)
        .await
        .unwrap();
    assert_eq!((stats.requests, stats.aborts.len()), (50, 0));
}

#[tokio::test]
async fn wait_timeout_contains_the_stats() {
    let provider = simulate("{}").await;
    chat(provider.addr(), "k", json!({})).await.unwrap();
    let missed = provider
        .wait_for(|stats| stats.requests == 2, Duration::from_millis(5))
        .await
        .unwrap_err();
    assert_eq!(missed.0.requests, 1);
    assert!(missed.to_string().contains("requests: 1"));
}
