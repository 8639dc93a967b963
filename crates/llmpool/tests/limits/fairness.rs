//! No caller slows down another one, and no call starves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    ApiKeyPool, CallOptions, Caller, Limits, LlmInterface, OpenAiCompatible, RateLimit, TargetSettings,
};
use tokio::time::Instant;

use crate::support::{Action, ScriptedProvider, answer, completion};
use crate::{no_retries, pool, target, timeout_of};

#[tokio::test(start_paused = true)]
async fn callers_share_fairly_and_single_call_waits_for_one_of_each() {
    let script = ScriptedProvider::new(|_, _| Action::SendAfter(Duration::from_millis(50), completion("ok")));
    let settings = TargetSettings {
        limits: Limits {
            rate_limit: Some(RateLimit::new(1, 16.0).unwrap()),
            ..Limits::default()
        },
        ..no_retries()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let served: Arc<Mutex<[usize; 8]>> = Arc::default();
    let started = Instant::now();
    let mut workers = Vec::new();
    for caller in 0..8_u64 {
        // One caller has ten times the workers.
        for _ in 0..if caller == 0 { 40 } else { 4 } {
            let (target, served) = (target.clone(), served.clone());
            workers.push(tokio::spawn(async move {
                let options = CallOptions {
                    caller: Caller::new(caller),
                    ..timeout_of(100.0)
                };
                while started.elapsed() < Duration::from_secs(120) {
                    target.chat_with(&ChatRequest::user("0"), &options).await.unwrap();
                    served.lock().unwrap()[caller as usize] += 1;
                }
            }));
        }
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let single = CallOptions {
        caller: Caller::new(99),
        ..timeout_of(100.0)
    };
    let before = script.requests();
    target.chat_with(&ChatRequest::user("0"), &single).await.unwrap();
    let passed = script.requests() - before;
    assert!(passed <= 8 + 2, "{passed}");
    for worker in workers {
        worker.await.unwrap();
    }
    let served = served.lock().unwrap().map(|served| served as f64);
    let (sum, squares) = (
        served.iter().sum::<f64>(),
        served.iter().map(|served| served * served).sum::<f64>(),
    );
    let jain = sum * sum / (8.0 * squares);
    assert!(jain >= 0.98, "{jain}: {served:?}");
}

/// Strict order: small calls do not pass a large one at the head, which waits no longer than its own tokens take.
// L40
#[tokio::test(start_paused = true)]
async fn large_call_is_not_starved_by_small_ones() {
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
    let settings = TargetSettings {
        limits: Limits {
            tpm: Some(1000),
            ..Limits::default()
        },
        learn_limits: false,
        ..no_retries()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let request = |name: &str, tokens| ChatRequest {
        max_tokens: Some(tokens),
        ..ChatRequest::user(name)
    };
    let started = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..400 {
        let (name, tokens) = if number == 20 {
            ("large", 900)
        } else {
            ("small", 80)
        };
        let (target, request) = (target.clone(), request(name, tokens));
        calls.spawn(async move { target.chat_with(&request, &timeout_of(600.0)).await.is_ok() });
        tokio::task::yield_now().await;
    }
    calls.join_all().await;
    let received = script.received.lock().unwrap();
    let position = received
        .iter()
        .position(|received| received.body["messages"][0]["content"] == "large");
    assert_eq!(position, Some(20), "no call passed it");
    assert!(
        received[20].at - started <= Duration::from_secs(125),
        "{:?}",
        received[20].at - started
    );
}

/// Prompts that are refused without a clear reason do not slow down other callers.
// L93
#[tokio::test(start_paused = true)]
async fn bad_prompts_of_one_caller_do_not_slow_down_others() {
    let script = ScriptedProvider::new(|_, received| {
        if received.body["messages"][0]["content"] == "bad" {
            Action::Send(answer(403, "", r#"{"error":{"message":"flagged"}}"#))
        } else {
            Action::SendAfter(Duration::from_millis(200), completion("ok"))
        }
    });
    let pool = ApiKeyPool::new("p", ["a", "b"]).unwrap();
    let target = OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
        .connector(script)
        .build()
        .unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..960_u64 {
        let target = target.clone();
        calls.spawn(async move {
            tokio::time::sleep(Duration::from_millis(number * 250)).await;
            let bad = number % 24 == 23;
            let text = if bad { "bad" } else { "hi" };
            let answered = target.chat(&ChatRequest::user(text)).await.is_ok();
            (bad, answered)
        });
    }
    while let Some(ended) = calls.join_next().await {
        let (bad, answered) = ended.unwrap();
        assert_eq!(answered, !bad);
    }
    assert!(
        target
            .key_status()
            .iter()
            .all(|key| key.observed_per_minute.is_none())
    );
}
