//! A minute over real sockets: how much of four keys' limits many callers use, against a provider that enforces them, compared with the forecast.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use llmpool::chat::ChatRequest;
use llmpool::forecast::{Arrivals, Traffic};
use llmpool::{ApiKeyPool, KeyLimits, Limits, LlmInterface, OpenAiCompatible};
use llmpool_simulator::{Scenario, Simulator};

const CALLERS: usize = 64;
const SPAN: Duration = Duration::from_secs(60);
/// Time per response, by which the last responses arrive after the span.
const LATENCY: Duration = Duration::from_millis(300);

/// Four keys, 300 requests in any 60 s each, announced in headers.
const SCENARIO: &str = r#"{
  "head_delay": 0.3,
  "keys": [
    {"key": "a", "behaviours": [{"limit": 300, "per": 60, "rate_headers": true}]},
    {"key": "b", "behaviours": [{"limit": 300, "per": 60, "rate_headers": true}]},
    {"key": "c", "behaviours": [{"limit": 300, "per": 60, "rate_headers": true}]},
    {"key": "d", "behaviours": [{"limit": 300, "per": 60, "rate_headers": true}]}
  ]
}"#;

fn jain(served: &[u64]) -> f64 {
    let (sum, squares) = served.iter().fold((0.0, 0.0), |(sum, squares), served| {
        let served = *served as f64;
        (sum + served, squares + served * served)
    });
    sum * sum / (served.len() as f64 * squares)
}

// L28
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_use_four_keys_fully_without_refusals() {
    let simulator = Simulator::start(Scenario::from_json(SCENARIO).unwrap())
        .await
        .unwrap();
    let limits = KeyLimits {
        limits: Limits {
            rpm: Some(300),
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    let pool = ApiKeyPool::with_limits("sim", ["a", "b", "c", "d"].map(|key| (key.into(), limits))).unwrap();
    let target = OpenAiCompatible::builder(&pool, "m", simulator.url())
        .build()
        .unwrap();
    let prediction = target
        .forecast(&Traffic {
            arrivals: Arrivals::Callers(CALLERS as u32),
            burst: None,
            span: SPAN,
            latency: LATENCY.into(),
            prompt_tokens: 1.into(),
            output_tokens: 1.into(),
            expected_output: None,
            patience: Duration::from_secs(30),
            seed: 1,
        })
        .unwrap();
    let waits: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let served: Arc<[AtomicU64; CALLERS]> = Arc::new([const { AtomicU64::new(0) }; CALLERS]);
    let started = Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (target, served, waits) = (target.clone(), served.clone(), waits.clone());
            tokio::spawn(async move {
                while started.elapsed() < SPAN {
                    let answer = target.chat(&ChatRequest::user("hi")).await;
                    let answer = answer.unwrap_or_else(|error| panic!("{error}"));
                    waits.lock().unwrap().push(answer.report.waited);
                    if started.elapsed() <= SPAN + LATENCY {
                        served[caller].fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let served: Vec<u64> = served
        .iter()
        .map(|served| served.load(Ordering::Relaxed))
        .collect();
    let answered: u64 = served.iter().sum();
    let stats = simulator.stats();
    let refused: u64 = stats.keys.iter().filter_map(|key| key.statuses.get(&429)).sum();
    println!(
        "{answered} of 1200 answered, {refused} of {} refused, Jain {:.4}",
        stats.requests,
        jain(&served)
    );
    assert!(answered - 4 >= 1182, "{answered} of 1200");
    assert!(
        refused * 1000 <= stats.requests,
        "{refused} of {}",
        stats.requests
    );
    assert!(jain(&served) >= 0.99, "{served:?}");
    let mut waits = std::mem::take(&mut *waits.lock().unwrap());
    waits.sort_unstable();
    let longest = waits[waits.len() * 99 / 100].as_secs_f64();
    let forecast = prediction.wait_quantile(0.99).as_secs_f64();
    println!(
        "forecast: {} responses, p99 wait {forecast:.3}s; measured {longest:.3}s",
        prediction.answered
    );
    assert!((prediction.answered as f64 / answered as f64 - 1.0).abs() <= 0.05);
    assert!((forecast / longest - 1.0).abs() <= 0.05);
}
