//! The provider over pipes in memory, where hours pass in no time.

use std::time::Duration;

use llmpool_simulator::{Offline, Phase, Scenario, Simulator};
use serde_json::json;
use tokio::io::DuplexStream;

use crate::client::{Client, End, PATIENCE, Reply, stream};

fn offline(scenario: &str) -> Offline {
    Simulator::offline(Scenario::from_json(scenario).unwrap()).unwrap()
}

fn connect(provider: &Offline) -> Client<DuplexStream> {
    let (client, server) = tokio::io::duplex(64 * 1024);
    tokio::spawn(provider.serve(server));
    Client::over(client)
}

async fn ask(provider: &Offline, key: &str) -> Result<Reply, End> {
    let mut client = connect(provider);
    client.chat(key, &json!({})).await;
    client.reply().await
}

async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_day_of_limits_passes_in_no_time() {
    let provider = offline(
        r#"{"keys": [{"key": "k", "limits": {"requests": 1, "requests_per_day": 3, "window": "sliding"}}]}"#,
    );
    let mut statuses = Vec::new();
    for wait in [0.0, 59.0, 1.0, 60.0, 60.0, 86_400.0 - 180.0] {
        pass(wait).await;
        statuses.push(ask(&provider, "k").await.unwrap().status);
    }
    assert_eq!(statuses, [200, 429, 200, 200, 429, 200]);
    let arrivals: Vec<f64> = provider
        .stats()
        .arrivals_of(0)
        .map(|at| at.as_secs_f64())
        .collect();
    let expected = [0.0, 59.0, 60.0, 120.0, 180.0, 86_400.0];
    for (arrival, expected) in arrivals.iter().zip(expected) {
        // The clock of a paused runtime goes by milliseconds.
        assert!((arrival - expected).abs() < 0.1, "{arrivals:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn dates_follow_the_paused_clock() {
    let provider = offline("{}");
    let date = async || {
        let reply = ask(&provider, "k").await.unwrap();
        httpdate::parse_http_date(reply.header("date").unwrap()).unwrap()
    };
    let before = date().await;
    pass(7200.0).await;
    let passed = date().await.duration_since(before).unwrap();
    assert!((7200..7202).contains(&passed.as_secs()), "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_and_its_end_are_the_same_as_on_a_socket() {
    let provider = offline(r#"{"answer": "a b", "first_chunk_delay": 5, "chunk_delay": 5}"#);
    let start = tokio::time::Instant::now();
    let mut client = connect(&provider);
    client.chat("k", &stream()).await;
    let reply = client.reply().await.unwrap();
    assert_eq!((reply.end, reply.pieces.len()), (End::Complete, 5));
    assert!(
        start.elapsed() >= Duration::from_secs(25),
        "{:?}",
        start.elapsed()
    );

    let provider =
        offline(r#"{"answer": "a b", "behaviours": [{"cut": {"after_events": 2}, "reset": true}]}"#);
    let mut client = connect(&provider);
    client.chat("k", &stream()).await;
    let reply = client.reply().await.unwrap();
    assert_eq!(
        (reply.end, reply.pieces.len()),
        (End::Cut, 2),
        "pipes have no reset"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_and_a_connection_that_is_dropped_are_noticed() {
    let provider = offline(r#"{"behaviours": [{"stall": "before_head"}]}"#);
    let mut client = connect(&provider);
    client.chat("k", &json!({})).await;
    provider
        .wait_for(|stats| stats.in_flight == 1, PATIENCE)
        .await
        .unwrap();
    drop(client);
    let stats = provider
        .wait_for(|stats| stats.connections_open == 0, PATIENCE)
        .await
        .unwrap();
    assert_eq!((stats.in_flight, stats.aborts[0].phase), (0, Phase::BeforeHead));

    let (_client, server) = tokio::io::duplex(64);
    let connection = provider.serve(server);
    assert_eq!(
        provider.stats().connections_open,
        1,
        "it is open before it is polled"
    );
    drop(connection);
    assert_eq!(provider.stats().connections_open, 0);
}

#[tokio::test]
async fn a_scenario_that_cannot_be_played_is_refused() {
    let scenario = Scenario {
        words_per_chunk: 0,
        ..Scenario::default()
    };
    assert!(
        Simulator::offline(scenario)
            .unwrap_err()
            .to_string()
            .contains("words_per_chunk")
    );
}

#[tokio::test(start_paused = true)]
async fn a_used_up_quota_refuses_everything_until_it_is_reset() {
    let provider = offline(
        r#"{"dialect": "glm", "accounts": [{"name": "a", "limits": {"quota": {"requests": 1, "resets_after": 3600}}}],
            "keys": [{"key": "k", "account": "a"}, {"key": "other"}]}"#,
    );
    assert_eq!(ask(&provider, "k").await.unwrap().status, 200);
    pass(3599.0).await;
    let refused = ask(&provider, "k").await.unwrap();
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (429, &json!("1308"))
    );
    assert_eq!(ask(&provider, "other").await.unwrap().status, 200);
    let stats = provider.stats();
    assert_eq!((stats.keys[0].out_of_quota, stats.keys[0].rate_limited), (1, 0));
    assert_eq!(stats.accounts[0].out_of_quota, 1);
    pass(1.0).await;
    assert_eq!(ask(&provider, "k").await.unwrap().status, 200);
}

/// A script is for requests that pass.
#[tokio::test(start_paused = true)]
async fn what_the_limits_refuse_uses_up_no_script() {
    let provider = offline(
        r#"{"keys": [{"key": "k", "limits": {"requests": 1, "window": "sliding"},
                      "script": [{"ok": true}, {"status": 418}]}]}"#,
    );
    let mut statuses = Vec::new();
    for wait in [0.0, 1.0, 59.0] {
        pass(wait).await;
        statuses.push(ask(&provider, "k").await.unwrap().status);
    }
    assert_eq!(statuses, [200, 429, 418]);
}
