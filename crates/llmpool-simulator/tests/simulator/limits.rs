//! Limits of keys and accounts over HTTP.

use std::time::Duration;

use llmpool_simulator::{ProviderLimitKind, ProviderLimits, Simulator, WindowKind};
use serde_json::json;

use crate::client::{Client, End, Reply, TIMEOUT, chat, request, stream};
use crate::simulate;

async fn ask(provider: &Simulator, key: &str) -> Reply {
    chat(provider.addr(), key, json!({})).await.unwrap()
}

/// Starts a simulator with a key `k` in an account with these limits.
async fn limited(dialect: &str, limits: &str) -> Simulator {
    simulate(&format!(
        r#"{{"dialect": "{dialect}", "answer": "a b",
            "accounts": [{{"name": "team", "limits": {limits}, "organization": "org-team"}}],
            "keys": [{{"key": "k", "account": "team"}}, {{"key": "other"}}]}}"#
    ))
    .await
}

#[tokio::test]
async fn responses_of_limited_keys_have_rate_headers() {
    let provider = limited(
        "openai",
        r#"{"requests": 2, "tokens": 1000, "window": "sliding"}"#,
    )
    .await;
    for (status, requests, tokens) in [(200, "1", "994"), (200, "0", "988"), (429, "0", "988")] {
        let reply = ask(&provider, "k").await;
        assert_eq!(
            (
                reply.status,
                reply.header("x-ratelimit-limit-requests"),
                reply.header("x-ratelimit-remaining-requests"),
                // 13 characters of the prompt count as 4 tokens, the 2 words of the answer as 2.
                reply.header("x-ratelimit-remaining-tokens"),
            ),
            (status, Some("2"), Some(requests), Some(tokens))
        );
        assert_eq!(reply.header("openai-organization"), Some("org-team"));
        assert_eq!(reply.header("retry-after").is_some(), status == 429);
    }
    let free = ask(&provider, "other").await;
    assert!(
        !free
            .headers
            .iter()
            .any(|(name, _)| name.contains("ratelimit") || name.starts_with("openai"))
    );
}

#[tokio::test]
async fn request_passes_after_wait_in_each_window() {
    for window in ["bucket", "fixed", "sliding"] {
        let limits = format!(r#"{{"requests": 2, "per": 0.3, "window": "{window}"}}"#);
        let provider = limited("openai", &limits).await;
        let mut reply = ask(&provider, "k").await;
        // On a slow machine more than two requests may pass before one is denied.
        for _ in 0..50 {
            if reply.status == 429 {
                break;
            }
            reply = ask(&provider, "k").await;
        }
        let wait = reply
            .header("retry-after-ms")
            .expect("a denied request")
            .parse()
            .unwrap();
        assert!((1..=300).contains(&wait), "{window}: {wait} ms");
        tokio::time::sleep(Duration::from_millis(wait)).await;
        assert_eq!(ask(&provider, "k").await.status, 200, "{window}");
    }
}

#[tokio::test]
async fn max_tokens_counts_towards_token_limit() {
    let provider = limited("openai", r#"{"tokens": 1000, "window": "sliding"}"#).await;
    let reply = chat(provider.addr(), "k", json!({"max_tokens": 100, "n": 2}))
        .await
        .unwrap();
    assert_eq!(reply.header("x-ratelimit-remaining-tokens"), Some("796"));
    let refused = chat(provider.addr(), "k", json!({"max_completion_tokens": 5000}))
        .await
        .unwrap();
    assert_eq!(
        (
            refused.status,
            refused.header("retry-after"),
            &refused.json()["error"]["type"]
        ),
        (429, None, &json!("tokens")),
        "retry-after for a request that never fits"
    );
}

#[tokio::test]
async fn account_limit_applies_to_all_its_keys() {
    let provider = simulate(
        r#"{"accounts": [{"name": "one", "limits": {"requests": 3, "window": "sliding"}}],
            "keys": [{"key": "a", "account": "one"}, {"key": "b", "account": "one"}, {"key": "c"}]}"#,
    )
    .await;
    let mut statuses = Vec::new();
    for key in ["a", "b", "a", "b", "a", "c"] {
        statuses.push(ask(&provider, key).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429, 200]);
    let stats = provider.stats();
    let limited: Vec<u64> = stats.keys.iter().map(|key| key.rate_limited).collect();
    assert_eq!(limited, [1, 1, 0]);
    let account = stats.account("one").unwrap();
    assert_eq!(
        (account.requests, account.rate_limited, account.out_of_quota),
        (5, 2, 0)
    );
    assert_eq!((account.in_flight, account.max_in_flight), (0, 1));
    let denied: Vec<_> = stats.log.iter().map(|entry| entry.denied).collect();
    let requests = Some(ProviderLimitKind::Requests);
    assert_eq!(denied, [None, None, None, requests, requests, None]);

    let page = request(provider.addr(), "GET", "/stats", "").await.json();
    assert_eq!(page["accounts"][0]["rate_limited"], 2);
    assert_eq!(page["log"][3]["denied"], "requests");
    provider.reset_stats();
    let fresh = provider.stats();
    assert_eq!(
        (fresh.accounts[0].name.as_str(), fresh.accounts[0].rate_limited),
        ("one", 0)
    );
}

#[tokio::test]
async fn recorded_arrivals_can_be_checked_against_limits() {
    let provider = simulate(r#"{"keys": [{"key": "k"}]}"#).await;
    for _ in 0..4 {
        ask(&provider, "k").await;
    }
    request(provider.addr(), "GET", "/v1/models", "k").await;
    let limits = ProviderLimits {
        requests: std::num::NonZeroU32::new(3),
        window: WindowKind::Sliding,
        ..ProviderLimits::default()
    };
    let arrivals: Vec<Duration> = provider.stats().arrivals_of(0).collect();
    assert_eq!(arrivals.len(), 4, "a model request was counted");
    let denials = limits.denials(arrivals);
    assert_eq!((denials.len(), denials[0].0), (1, 3));
}

#[tokio::test]
async fn concurrency_slot_is_held_until_body_end() {
    let provider = simulate(
        r#"{"answer": "a b c", "keys": [{"key": "k", "limits": {"concurrency": 1}, "script": [
            {"stall": {"after_events": 1}}, {"ok": true, "chunk_delay": 0.01}]}]}"#,
    )
    .await;
    let mut stalled = Client::connect(provider.addr()).await;
    stalled.chat("k", &stream()).await;
    stalled.head().await.unwrap();
    let refused = ask(&provider, "k").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, None));
    drop(stalled);
    provider
        .wait_for(|stats| stats.in_flight == 0, TIMEOUT)
        .await
        .unwrap();

    let mut slow = Client::connect(provider.addr()).await;
    slow.chat("k", &stream()).await;
    slow.head().await.unwrap();
    assert_eq!(ask(&provider, "k").await.status, 429);
    while slow.chunk().await.unwrap().is_some() {}
    assert_eq!(ask(&provider, "k").await.status, 200);
    assert_eq!(
        provider.stats().log[1].denied,
        Some(ProviderLimitKind::Concurrency)
    );
}

#[tokio::test]
async fn each_dialect_sends_its_rate_error() {
    for (dialect, status, header) in [
        ("openai", 429, Some("x-ratelimit-reset-requests")),
        ("groq", 429, Some("x-ratelimit-reset-requests")),
        ("anthropic", 429, Some("anthropic-ratelimit-requests-reset")),
        ("moonshot", 429, Some("x-ratelimit-reset")),
        ("qianfan", 200, Some("x-ratelimit-remaining-requests")),
        ("deepseek", 429, None),
        ("dashscope", 429, None),
        ("glm", 429, None),
    ] {
        let provider = limited(dialect, r#"{"requests": 1}"#).await;
        assert_eq!(ask(&provider, "k").await.status, 200);
        // An error is never streamed.
        let refused = chat(provider.addr(), "k", stream()).await.unwrap();
        assert_eq!(
            (refused.status, refused.header("content-type"), refused.end),
            (status, Some("application/json"), End::Complete),
            "{dialect}"
        );
        assert!(refused.json().get("choices").is_none(), "{dialect}");
        let limits = refused
            .headers
            .iter()
            .filter(|(name, _)| name.contains("ratelimit"));
        assert_eq!(limits.count() > 0, header.is_some(), "{dialect}");
        assert!(
            header.is_none_or(|name| refused.header(name).is_some()),
            "{dialect}"
        );
        assert_eq!(provider.stats().keys[0].rate_limited, 1, "{dialect}");
    }
}
