//! Connections after a response and when the simulator stops.

use std::time::Duration;

use llmpool_simulator::{Scenario, Simulator};
use serde_json::json;

use crate::client::{Client, End, TIMEOUT, chat, stream};
use crate::simulate;

#[tokio::test]
async fn connection_is_reused_by_default() {
    let provider = simulate("{}").await;
    let mut client = Client::connect(provider.addr()).await;
    for body in [json!({}), stream(), json!({})] {
        client.chat("k", &body).await;
        assert_eq!(client.reply().await.unwrap().end, End::Complete);
    }
    let stats = provider.stats();
    assert_eq!(
        (
            stats.connections_opened,
            stats.connections[0].requests,
            stats.requests_with_bytes
        ),
        (1, 3, 3)
    );
}

#[tokio::test]
async fn close_is_announced_and_performed() {
    let provider = simulate(r#"{"after_response": "close"}"#).await;
    for body in [json!({}), stream()] {
        let mut client = Client::connect(provider.addr()).await;
        client.chat("k", &body).await;
        let reply = client.reply().await.unwrap();
        assert_eq!(
            (reply.end, reply.header("connection")),
            (End::Complete, Some("close"))
        );
        assert_eq!(client.end().await, End::Cut);
    }
}

#[tokio::test]
async fn drop_idle_closes_without_announcement() {
    let provider = simulate(r#"{"after_response": "drop_idle"}"#).await;
    for body in [json!({}), stream()] {
        let mut client = Client::connect(provider.addr()).await;
        client.chat("k", &body).await;
        let reply = client.reply().await.unwrap();
        assert_eq!((reply.end, reply.header("connection")), (End::Complete, None));
        assert_eq!(client.end().await, End::Cut);
    }
    assert_eq!(provider.stats().aborts, []);
}

#[tokio::test]
async fn drop_on_reuse_closes_on_the_next_request() {
    let provider = simulate(r#"{"script": [{"ok": true, "after_response": "drop_on_reuse"}]}"#).await;
    let mut client = Client::connect(provider.addr()).await;
    client.chat("k", &stream()).await;
    assert_eq!(client.reply().await.unwrap().end, End::Complete);
    assert!(
        client.is_silent().await,
        "the connection was closed before its reuse"
    );
    client.chat("k", &stream()).await;
    assert_eq!(client.reply().await.unwrap_err(), End::Cut);
    assert_eq!(chat(provider.addr(), "k", json!({})).await.unwrap().status, 200);
    let stats = provider
        .wait_for(|stats| stats.connections[0].closed_ms.is_some(), TIMEOUT)
        .await
        .unwrap();
    assert_eq!(
        (stats.requests, stats.requests_with_bytes),
        (2, 3),
        "the lost request must count only in requests_with_bytes"
    );
    assert_eq!(stats.aborts, []);
}

#[tokio::test]
async fn stop_closes_connections_and_frees_the_port() {
    let provider = simulate(r#"{"behaviours": [{"stall": "after_head"}]}"#).await;
    let addr = provider.addr();
    let mut client = Client::connect(addr).await;
    client.chat("k", &stream()).await;
    client.head().await.unwrap();
    provider.stop().await;
    assert_ne!(client.end().await, End::Complete);
    let stats = provider.stats();
    assert_eq!(
        (stats.in_flight, stats.connections_open, stats.aborts.len()),
        (0, 0, 0)
    );
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());

    let again = Simulator::start_on(addr, Scenario::default()).await.unwrap();
    assert_eq!(chat(again.addr(), "k", json!({})).await.unwrap().status, 200);
}

#[tokio::test]
async fn dropped_simulator_closes_connections() {
    let provider = simulate(r#"{"behaviours": [{"stall": "before_head"}]}"#).await;
    let mut client = Client::connect(provider.addr()).await;
    client.chat("k", &json!({})).await;
    provider
        .wait_for(|stats| stats.in_flight == 1, TIMEOUT)
        .await
        .unwrap();
    drop(provider);
    let ended = tokio::time::timeout(Duration::from_secs(1), client.end()).await;
    assert_ne!(ended.unwrap(), End::Complete);
}
