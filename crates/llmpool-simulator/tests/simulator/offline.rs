//! The simulator over in-memory pipes with paused time.

use std::time::Duration;

use llmpool_simulator::{AbortPhase, OfflineSimulator, Scenario, Simulator};
use serde_json::json;
use tokio::io::DuplexStream;

use crate::client::{Client, End, Reply, TIMEOUT, stream};

fn offline(scenario: &str) -> OfflineSimulator {
    Simulator::offline(Scenario::from_json(scenario).unwrap()).unwrap()
}

pub(crate) fn connect(provider: &OfflineSimulator) -> Client<DuplexStream> {
    let (client, server) = tokio::io::duplex(64 * 1024);
    tokio::spawn(provider.serve(server));
    Client::over(client)
}

pub(crate) async fn ask(provider: &OfflineSimulator, key: &str) -> Result<Reply, End> {
    let mut client = connect(provider);
    client.chat(key, &json!({})).await;
    client.reply().await
}

pub(crate) async fn advance(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn daily_limit_follows_paused_time() {
    let provider = offline(
        r#"{"keys": [{"key": "k", "limits": {"requests": 1, "requests_per_day": 3, "window": "sliding"}}]}"#,
    );
    let mut statuses = Vec::new();
    for wait in [0.0, 59.0, 1.0, 60.0, 60.0, 86_400.0 - 180.0] {
        advance(wait).await;
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
        // A paused runtime advances in whole milliseconds.
        assert!((arrival - expected).abs() < 0.1, "{arrivals:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn date_header_follows_paused_time() {
    let provider = offline("{}");
    let date = async || {
        let reply = ask(&provider, "k").await.unwrap();
        httpdate::parse_http_date(reply.header("date").unwrap()).unwrap()
    };
    let before = date().await;
    advance(7200.0).await;
    let passed = date().await.duration_since(before).unwrap();
    assert!((7200..7202).contains(&passed.as_secs()), "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn clock_skew_shifts_dates_and_no_durations() {
    let seconds_of = |reply: &Reply, header: &str| {
        let date = httpdate::parse_http_date(reply.header(header).unwrap()).unwrap();
        date.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
    };
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64;
    for skew in [-300, 300] {
        let provider = offline(&format!(
            r#"{{"clock_skew": {skew}, "dialect": "anthropic",
                "keys": [{{"key": "k", "limits": {{"requests": 1, "window": "sliding"}},
                          "script": [{{"status": 503, "retry_after": 5, "retry_after_form": "date"}}]}}]}}"#
        ));
        let down = ask(&provider, "k").await.unwrap();
        let date = seconds_of(&down, "date");
        assert!((date - now - skew).abs() <= 2, "{skew}: {}", date - now);
        assert!(
            (5..=6).contains(&(seconds_of(&down, "retry-after") - date)),
            "{skew}"
        );
        let denied = ask(&provider, "k").await.unwrap();
        assert_eq!(denied.header("retry-after"), Some("60"));
        let reset = denied.header("anthropic-ratelimit-requests-reset").unwrap();
        let expected = (now + skew + 60) / 60 % 60;
        let minute: i64 = reset[14..16].parse().unwrap();
        assert!((minute - expected).rem_euclid(60) <= 1, "{skew}: {reset}");
    }
}

#[tokio::test(start_paused = true)]
async fn outage_before_limits_counts_towards_no_limit() {
    let provider = offline(
        r#"{"keys": [{"key": "k", "limits": {"requests": 2, "per": 1000, "window": "sliding"}}],
            "behaviours": [{"status": 503, "on": "any", "before_limits": true, "from": 10, "until": 40},
                           {"cut": "before_head", "reset": true, "before_limits": true, "from": 40, "until": 70}]}"#,
    );
    let mut results = Vec::new();
    for wait in [0.0, 10.0, 29.0, 1.0, 29.0, 1.0, 1.0] {
        advance(wait).await;
        results.push(ask(&provider, "k").await.map(|reply| reply.status));
    }
    let cut = Err(End::Cut);
    assert_eq!(results, [Ok(200), Ok(503), Ok(503), cut, cut, Ok(200), Ok(429)]);
}

#[tokio::test(start_paused = true)]
async fn request_failed_by_a_rule_counts_towards_limits() {
    let provider =
        offline(r#"{"keys": [{"key": "k", "limits": {"requests": 1}}], "behaviours": [{"status": 500}]}"#);
    let failed = ask(&provider, "k").await.unwrap();
    assert_eq!(
        (failed.status, failed.header("x-ratelimit-remaining-requests")),
        (500, Some("0"))
    );
    assert_eq!(ask(&provider, "k").await.unwrap().status, 429);
}

#[tokio::test(start_paused = true)]
async fn stream_over_pipe_equals_stream_over_socket() {
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
        "a pipe has no reset"
    );
}

#[tokio::test(start_paused = true)]
async fn disconnect_and_dropped_connection_are_recorded() {
    let provider = offline(r#"{"behaviours": [{"stall": "before_head"}]}"#);
    let mut client = connect(&provider);
    client.chat("k", &json!({})).await;
    provider
        .wait_for(|stats| stats.in_flight == 1, TIMEOUT)
        .await
        .unwrap();
    drop(client);
    let stats = provider
        .wait_for(|stats| stats.connections_open == 0, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(
        (stats.in_flight, stats.aborts[0].phase),
        (0, AbortPhase::BeforeHead)
    );

    let (_client, server) = tokio::io::duplex(64);
    let connection = provider.serve(server);
    assert_eq!(
        provider.stats().connections_open,
        1,
        "the connection is not open before it is polled"
    );
    drop(connection);
    assert_eq!(provider.stats().connections_open, 0);
}

#[tokio::test]
async fn invalid_scenario_is_rejected() {
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
async fn used_up_quota_denies_until_its_reset() {
    let provider = offline(
        r#"{"dialect": "glm", "accounts": [{"name": "a", "limits": {"quota": {"requests": 1, "resets_after": 3600}}}],
            "keys": [{"key": "k", "account": "a"}, {"key": "other"}]}"#,
    );
    assert_eq!(ask(&provider, "k").await.unwrap().status, 200);
    advance(3599.0).await;
    let refused = ask(&provider, "k").await.unwrap();
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (429, &json!("1308"))
    );
    assert_eq!(ask(&provider, "other").await.unwrap().status, 200);
    let stats = provider.stats();
    assert_eq!((stats.keys[0].out_of_quota, stats.keys[0].rate_limited), (1, 0));
    assert_eq!(stats.accounts[0].out_of_quota, 1);
    advance(1.0).await;
    assert_eq!(ask(&provider, "k").await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn denied_request_uses_no_script_entry() {
    let provider = offline(
        r#"{"keys": [{"key": "k", "limits": {"requests": 1, "window": "sliding"},
                      "script": [{"ok": true}, {"status": 418}]}]}"#,
    );
    let mut statuses = Vec::new();
    for wait in [0.0, 1.0, 59.0] {
        advance(wait).await;
        statuses.push(ask(&provider, "k").await.unwrap().status);
    }
    assert_eq!(statuses, [200, 429, 418]);
}
