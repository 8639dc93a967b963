//! A key pool against the simulator: load balancing, and many calls over invalid, throttled and unreliable keys.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    ApiKeyPool, CallOptions, KeyLimits, Limits, LlmInterface, OpenAiCompatible, RateLimit, TargetSettings,
};
use llmpool_simulator::{Scenario, Simulator};

async fn simulator(scenario: &str) -> Simulator {
    Simulator::start(Scenario::from_json(scenario).unwrap())
        .await
        .unwrap()
}

fn target(simulator: &Simulator, keys: &[&str], max_concurrency: Option<u32>) -> OpenAiCompatible {
    let limits = KeyLimits {
        limits: Limits {
            max_concurrency,
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    let pool = ApiKeyPool::with_limits("sim", keys.iter().map(|key| ((*key).into(), limits))).unwrap();
    let settings = TargetSettings {
        retry_delay: Duration::from_millis(20),
        ..TargetSettings::default()
    };
    OpenAiCompatible::builder(&pool, "m", simulator.url())
        .settings(settings)
        .build()
        .unwrap()
}

/// Runs `calls` calls, `workers` at a time. Returns the sum of the attempts that they report.
async fn run(target: &OpenAiCompatible, calls: usize, workers: usize) -> usize {
    let slots = Arc::new(tokio::sync::Semaphore::new(workers));
    let tasks: Vec<_> = (0..calls)
        .map(|_| {
            let (target, slots) = (target.clone(), slots.clone());
            tokio::spawn(async move {
                let _slot = slots.acquire().await.unwrap();
                let answer = target.chat(&ChatRequest::user("hi")).await;
                answer
                    .unwrap_or_else(|error| panic!("{error}"))
                    .report
                    .upstream_requests()
            })
        })
        .collect();
    let mut attempts = 0;
    for task in tasks {
        attempts += task.await.unwrap();
    }
    attempts
}

fn per_key(simulator: &Simulator) -> Vec<u64> {
    simulator.stats().keys.iter().map(|key| key.requests).collect()
}

const FOUR: &str = r#"{"keys":[{"key":"a"},{"key":"b"},{"key":"c"},{"key":"d"}],"head_delay":0.2}"#;
const FAST: &str = r#"{"keys":[{"key":"a"},{"key":"b"},{"key":"c"},{"key":"d"}]}"#;
const KEYS: [&str; 4] = ["a", "b", "c", "d"];

// U02, O07
#[tokio::test]
async fn concurrent_calls_spread_evenly_over_keys() {
    let simulator = simulator(FOUR).await;
    run(&target(&simulator, &KEYS, None), 100, 100).await;
    assert!(
        per_key(&simulator).iter().all(|count| (24..=26).contains(count)),
        "{:?}",
        per_key(&simulator)
    );
}

#[tokio::test]
async fn consecutive_calls_spread_evenly_over_keys() {
    let simulator = simulator(FAST).await;
    run(&target(&simulator, &KEYS, None), 40, 1).await;
    assert_eq!(per_key(&simulator), [10, 10, 10, 10]);
}

// U04, O01, O12
#[tokio::test]
async fn four_workers_open_at_most_four_connections() {
    let simulator = simulator(FAST).await;
    run(&target(&simulator, &KEYS, None), 40, 4).await;
    assert!(
        simulator.stats().connections_opened <= 4,
        "{}",
        simulator.stats().connections_opened
    );
}

// O12
#[tokio::test]
async fn consecutive_calls_over_several_keys_reuse_one_connection() {
    let simulator = simulator(FAST).await;
    run(&target(&simulator, &KEYS[..3], None), 30, 1).await;
    assert_eq!(simulator.stats().connections_opened, 1);
}

// L01, O04
#[tokio::test]
async fn calls_succeed_with_invalid_throttled_and_unreliable_keys() {
    let simulator = simulator(
        r#"{"head_delay":0.2,"seed":7,"keys":[
            {"key":"dead","behaviours":[{"status":401}]},
            {"key":"slow","behaviours":[{"status":429,"retry_after":2}]},
            {"key":"a","behaviours":[{"status":500,"probability":0.05}]},
            {"key":"b","behaviours":[{"status":500,"probability":0.05}]}]}"#,
    )
    .await;
    let target = target(&simulator, &["dead", "slow", "a", "b"], Some(8));
    let attempts = run(&target, 400, 400).await;
    let stats = simulator.stats();
    assert_eq!(attempts as u64, stats.requests);
    assert!(stats.keys.iter().all(|key| key.max_in_flight <= 8));

    let dead: Vec<_> = stats.requests_of(0).collect();
    let rejected_at = dead
        .iter()
        .filter_map(|entry| entry.ended_ms)
        .fold(f64::MAX, f64::min);
    assert!(dead.len() <= 8 && dead.iter().all(|entry| entry.at_ms <= rejected_at + 5.0));

    let mut rest = stats.requests_of(1).peekable();
    let mut batches = 0;
    while let Some(first) = rest.next() {
        batches += 1;
        let throttled = first.ended_ms.unwrap();
        let mut in_flight = 1;
        while let Some(next) = rest.next_if(|next| next.at_ms < throttled + 1990.0) {
            assert!(
                next.at_ms <= throttled + 5.0,
                "a request {} ms after its 429",
                next.at_ms - throttled
            );
            in_flight += 1;
        }
        assert!(in_flight <= 8);
    }
    assert!(batches >= 2, "the throttled key is used again after its cooldown");
    assert!(target.key_status().iter().all(|key| key.in_flight == 0));
}

#[tokio::test]
async fn stale_connection_is_replaced_without_using_a_retry() {
    let simulator = simulator(r#"{"keys":[{"key":"a"}],"after_response":"drop_on_reuse"}"#).await;
    let pool = ApiKeyPool::new("sim", ["a"]).unwrap();
    let settings = TargetSettings {
        max_retries: 0,
        limits: Limits {
            rate_limit: Some(RateLimit::new(1000, 0.001).unwrap()),
            ..Limits::default()
        },
        ..TargetSettings::default()
    };
    let target = OpenAiCompatible::builder(&pool, "m", simulator.url())
        .settings(settings)
        .build()
        .unwrap();
    let (request, options) = (ChatRequest::user("hi"), CallOptions::default());
    target.chat_with(&request, &options).await.unwrap();
    for _ in 0..3 {
        let report = target.chat_with(&request, &options).await.unwrap().report;
        let dead: Vec<_> = report
            .attempts
            .iter()
            .map(|attempt| attempt.dead_connection)
            .collect();
        assert_eq!(
            (dead.as_slice(), report.upstream_requests()),
            ([true, false].as_slice(), 1)
        );
    }
    assert_eq!(simulator.stats().requests, 4);
    let spent = 1000 - target.rate_limit_status().unwrap().available_tokens;
    assert_eq!(
        u64::from(spent),
        simulator.stats().requests_with_bytes,
        "attempts over stale connections take from the limit too"
    );
    assert_eq!(target.key_status()[0].in_flight, 0);
}
