//! The built-in scenarios do what the README says.

use std::collections::BTreeMap;
use std::time::Duration;

use llmpool_simulator::{OfflineSimulator, Scenario, Simulator};
use serde_json::json;

use crate::client::{End, stream};
use crate::offline::{advance, ask, connect};

fn built_in(name: &str) -> OfflineSimulator {
    Simulator::offline(Scenario::built_in(name).unwrap()).unwrap()
}

/// Returns the number of successive requests that pass.
async fn passed(provider: &OfflineSimulator, key: &str) -> usize {
    let mut count = 0;
    while count < 100 && ask(provider, key).await.unwrap().status == 200 {
        count += 1;
    }
    count
}

#[tokio::test(start_paused = true)]
async fn rate_limited_limits_each_key_separately() {
    let provider = built_in("rate-limited");
    for key in ["sk-sim-a", "sk-sim-b", "sk-sim-c"] {
        assert_eq!(passed(&provider, key).await, 10, "{key}");
    }
    advance(60.0).await;
    assert_eq!(passed(&provider, "sk-sim-b").await, 10);
}

#[tokio::test(start_paused = true)]
async fn one_account_limits_all_keys_together() {
    let provider = built_in("one-account");
    assert_eq!(passed(&provider, "sk-sim-a").await, 30);
    for key in ["sk-sim-b", "sk-sim-c"] {
        let refused = ask(&provider, key).await.unwrap();
        assert_eq!(
            (refused.status, refused.header("openai-organization")),
            (429, Some("org-sim-team"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn dying_keys_fail_at_their_times() {
    let provider = built_in("dying-keys");
    let mut counts = BTreeMap::new();
    for key in ["invalid", "poor", "daily", "revoked", "alive"] {
        counts.insert(key, passed(&provider, &format!("sk-sim-{key}")).await);
    }
    let expected = [
        ("invalid", 0),
        ("poor", 5),
        ("daily", 10),
        ("revoked", 100),
        ("alive", 100),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
    advance(60.0).await;
    for (key, count) in [("poor", 0), ("daily", 10), ("revoked", 0), ("alive", 100)] {
        assert_eq!(passed(&provider, &format!("sk-sim-{key}")).await, count, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn outage_lasts_one_minute() {
    let provider = built_in("outage");
    let mut results = Vec::new();
    for _ in 0..4 {
        results.push(ask(&provider, "k").await.map(|reply| reply.status));
        advance(30.0).await;
    }
    assert_eq!(results, [Ok(200), Ok(503), Err(End::Cut), Ok(200)]);
}

#[tokio::test(start_paused = true)]
async fn flaky_fails_one_request_in_five() {
    let provider = built_in("flaky");
    let (mut ok, mut cut, mut stalled) = (0, 0, 0);
    for _ in 0..300 {
        let mut client = connect(&provider);
        client.chat("k", &stream()).await;
        match tokio::time::timeout(Duration::from_secs(5), client.reply()).await {
            Ok(Ok(reply)) if reply.end == End::Cut => cut += 1,
            Ok(Ok(reply)) => ok += usize::from(reply.status == 200),
            Ok(Err(_)) => cut += 1,
            Err(_) => stalled += 1,
        }
    }
    let statuses = provider.stats().statuses;
    assert!((210..285).contains(&ok), "{ok} of 300");
    assert!(cut > 0 && stalled > 0, "{cut} {stalled}");
    assert!(
        [500, 503, 529].iter().all(|status| statuses.contains_key(status)),
        "{statuses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn slow_delays_the_first_token() {
    let start = tokio::time::Instant::now();
    let provider = built_in("slow");
    let mut client = connect(&provider);
    client.chat("k", &json!({"stream": true, "max_tokens": 2})).await;
    client.head().await.unwrap();
    client.chunk().await.unwrap();
    assert!(
        start.elapsed() >= Duration::from_millis(4300),
        "{:?}",
        start.elapsed()
    );
}
