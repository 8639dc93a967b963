//! That the ready scenarios do what the README says of them.

use std::collections::BTreeMap;
use std::time::Duration;

use llmpool_simulator::{Offline, Scenario, Simulator};
use serde_json::json;

use crate::client::{End, stream};
use crate::offline::{ask, connect, pass};

fn ready(name: &str) -> Offline {
    Simulator::offline(Scenario::ready(name).unwrap()).unwrap()
}

/// How many requests in a row pass.
async fn passed(provider: &Offline, key: &str) -> usize {
    let mut count = 0;
    while count < 100 && ask(provider, key).await.unwrap().status == 200 {
        count += 1;
    }
    count
}

#[tokio::test(start_paused = true)]
async fn rate_limited_gives_each_key_its_own_limit() {
    let provider = ready("rate-limited");
    for key in ["sk-sim-a", "sk-sim-b", "sk-sim-c"] {
        assert_eq!(passed(&provider, key).await, 10, "{key}");
    }
    pass(60.0).await;
    assert_eq!(passed(&provider, "sk-sim-b").await, 10);
}

#[tokio::test(start_paused = true)]
async fn one_account_gives_all_keys_one_limit() {
    let provider = ready("one-account");
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
async fn dying_keys_die_each_in_its_own_way() {
    let provider = ready("dying-keys");
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
    pass(60.0).await;
    for (key, count) in [("poor", 0), ("daily", 10), ("revoked", 0), ("alive", 100)] {
        assert_eq!(passed(&provider, &format!("sk-sim-{key}")).await, count, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_over_after_a_minute() {
    let provider = ready("outage");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(ask(&provider, "k").await.map(|reply| reply.status));
        pass(30.0).await;
    }
    assert_eq!(seen, [Ok(200), Ok(503), Err(End::Cut), Ok(200)]);
}

#[tokio::test(start_paused = true)]
async fn flaky_fails_in_many_ways_and_mostly_does_not() {
    let provider = ready("flaky");
    let (mut well, mut cut, mut silent) = (0, 0, 0);
    for _ in 0..300 {
        let mut client = connect(&provider);
        client.chat("k", &stream()).await;
        match tokio::time::timeout(Duration::from_secs(5), client.reply()).await {
            Ok(Ok(reply)) if reply.end == End::Cut => cut += 1,
            Ok(Ok(reply)) => well += usize::from(reply.status == 200),
            Ok(Err(_)) => cut += 1,
            Err(_) => silent += 1,
        }
    }
    let statuses = provider.stats().statuses;
    assert!((210..285).contains(&well), "{well} of 300");
    assert!(cut > 0 && silent > 0, "{cut} {silent}");
    assert!(
        [500, 503, 529].iter().all(|status| statuses.contains_key(status)),
        "{statuses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn slow_makes_one_wait_for_the_first_token() {
    let start = tokio::time::Instant::now();
    let provider = ready("slow");
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
