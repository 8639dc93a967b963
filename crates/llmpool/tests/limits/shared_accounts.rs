//! Keys of one account share its limits, whether configured or detected.

use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{ApiKeyPool, CallOptions, KeyEntry, KeyLimits, LlmInterface, OpenAiCompatible, TargetSettings};
use llmpool_simulator::WindowKind;
use tokio::time::Instant;

use crate::support::honest::Honest;
use crate::support::{Action, ScriptedProvider, completion, error};
use crate::{WINDOWS, no_retries, pool, rpm, run_at_rate, target, timeout_of};

// L07
#[tokio::test(start_paused = true)]
async fn shared_account_of_three_keys_is_detected_and_fully_used() {
    for window in WINDOWS {
        let provider = Honest::new(window, 60, true, |_| "one".to_owned());
        let pool = pool(&["a", "b", "c"], rpm(60));
        let target = target(&provider.script, &pool, TargetSettings::default());
        let started = Instant::now();
        run_at_rate(&target, 9.0, 660, CallOptions::default()).await;
        // The first minute is for the detection.
        let (passed, refused) = provider.counts(started + Duration::from_secs(60));
        let passed = passed - provider.counts(started + Duration::from_secs(660)).0;
        assert!(passed >= 594, "{window:?}: {passed} of 600");
        assert!(refused <= 3, "{window:?}: {refused}");
        for key in target.key_status() {
            assert_eq!(key.shares_with.len(), 2, "{window:?}: {key:?}");
        }
    }
}

/// Runs a number of callers that call continuously, so that responses overtake each other.
async fn call_continuously(target: &OpenAiCompatible, callers: usize, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let target = target.clone();
        running.spawn(async move {
            let (request, options) = (ChatRequest::user("hi"), CallOptions::default());
            while Instant::now() < end {
                if target.chat_with(&request, &options).await.is_err() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        });
    }
    while running.join_next().await.is_some() {}
}

// L07
#[tokio::test(start_paused = true)]
async fn separate_accounts_stay_separate_with_reordered_responses() {
    for window in WINDOWS {
        for (from, to, callers, limit) in [(0.3, 3.0, 24, 60), (0.5, 1.5, 24, 300), (1.0, 20.0, 100, 300)] {
            let provider = Honest::new(window, limit, true, str::to_owned).with_latency(from, to);
            let pool = pool(&["a", "b", "c"], rpm(limit));
            let target = target(&provider.script, &pool, TargetSettings::default());
            call_continuously(&target, callers, 300).await;
            for key in target.key_status() {
                let case = format!("{window:?}, {from} to {to} s, {callers} callers, {limit}");
                assert!(key.shares_with.is_empty(), "{case}: {key:?}");
            }
        }
    }
}

// L07
#[tokio::test(start_paused = true)]
async fn shared_account_is_detected_with_reordered_responses() {
    for window in [WindowKind::Fixed, WindowKind::Sliding] {
        for (from, to, callers, limit) in [(0.3, 3.0, 24, 60), (0.5, 1.5, 24, 300), (1.0, 6.0, 60, 300)] {
            let provider = Honest::new(window, limit, true, |_| "one".to_owned()).with_latency(from, to);
            let pool = pool(&["a", "b", "c"], rpm(limit));
            let target = target(&provider.script, &pool, TargetSettings::default());
            call_continuously(&target, callers, 600).await;
            for key in target.key_status() {
                let case = format!("{window:?}, {from} to {to} s, {callers} callers, {limit}");
                assert_eq!(key.shares_with.len(), 2, "{case}: {key:?}");
            }
        }
    }
}

// L07
#[tokio::test(start_paused = true)]
async fn declared_account_shares_limit_and_cooldown() {
    let provider = Honest::new(WindowKind::Sliding, 60, false, |_| "one".to_owned());
    let entry = |key: &str| KeyEntry {
        secret: key.into(),
        limits: KeyLimits {
            limits: rpm(60),
            ..KeyLimits::default()
        },
        quota_group: Some("org-1".to_owned()),
    };
    let pool = ApiKeyPool::from_entries("p", ["a", "b", "c"].map(entry)).unwrap();
    let target = target(&provider.script, &pool, no_retries());
    let started = Instant::now();
    run_at_rate(&target, 3.0, 600, CallOptions::default()).await;
    let (passed, refused) = provider.counts(started);
    assert_eq!(refused, 0);
    assert!(passed >= 594, "{passed}");

    let script = ScriptedProvider::new(|number, _| {
        if number == 0 {
            Action::Send(error(429, "retry-after: 20\r\n", "rate_limit_exceeded"))
        } else {
            Action::Send(completion("ok"))
        }
    });
    let pool = ApiKeyPool::from_entries("p", ["a", "b", "c"].map(entry)).unwrap();
    let target = crate::target(&script, &pool, TargetSettings::default());
    let started = Instant::now();
    target
        .chat_with(&ChatRequest::user("hi"), &timeout_of(60.0))
        .await
        .unwrap();
    assert!(
        started.elapsed() >= Duration::from_secs(20),
        "the whole account cools down"
    );
    assert_eq!(script.requests(), 2);
}
