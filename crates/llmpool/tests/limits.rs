//! Limits against a provider that enforces its own, in paused time: never exceeded, and fully used.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use llmpool::KeyEntry;
use llmpool::chat::ChatRequest;
use llmpool::{
    ApiKeyPool, CallOptions, Caller, Error, ErrorKind, FailureKind, KeyLimits, KeyState, Limits,
    LlmInterface, ModelEntry, OpenAiCompatible, Providers, RateLimit, TargetSettings,
};
use llmpool_simulator::WindowKind;
use support::honest::Honest;
use support::{Play, Scripted, answer, completion, error};
use tokio::time::Instant;

const WINDOWS: [WindowKind; 3] = [WindowKind::Bucket, WindowKind::Fixed, WindowKind::Sliding];

fn rpm(requests: u32) -> Limits {
    Limits {
        rpm: Some(requests),
        ..Limits::default()
    }
}

fn pool(keys: &[&str], limits: Limits) -> ApiKeyPool {
    let limits = KeyLimits {
        limits,
        ..KeyLimits::default()
    };
    ApiKeyPool::with_limits("p", keys.iter().map(|key| ((*key).into(), limits))).unwrap()
}

fn target(script: &Arc<Scripted>, pool: &ApiKeyPool, settings: TargetSettings) -> OpenAiCompatible {
    OpenAiCompatible::builder(pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(script.clone())
        .build()
        .unwrap()
}

fn no_retries() -> TargetSettings {
    TargetSettings {
        max_retries: 0,
        ..TargetSettings::default()
    }
}

fn within(seconds: f64) -> CallOptions {
    CallOptions {
        timeout: Some(Duration::from_secs_f64(seconds)),
        ..CallOptions::default()
    }
}

fn number_of(seen: &support::Seen) -> usize {
    seen.body["messages"][0]["content"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// Starts numbered calls at a steady rate, whatever their outcome. Returns how many succeeded.
async fn offer(
    target: &OpenAiCompatible,
    per_second: f64,
    seconds: u64,
    options: CallOptions,
) -> (usize, Vec<Error>) {
    let started = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..(per_second * seconds as f64) as usize {
        tokio::time::sleep_until(started + Duration::from_secs_f64(number as f64 / per_second)).await;
        let (target, options) = (target.clone(), options.clone());
        calls.spawn(async move {
            target
                .chat_with(&ChatRequest::user(number.to_string()), &options)
                .await
        });
    }
    let (mut answered, mut errors) = (0, Vec::new());
    while let Some(call) = calls.join_next().await {
        match call.unwrap() {
            Ok(_) => answered += 1,
            Err(error) => errors.push(error),
        }
    }
    (answered, errors)
}

/// Four keys at 60 rpm, under three times that load for ten minutes.
// L28
#[tokio::test(start_paused = true)]
async fn limits_are_fully_used_and_never_exceeded() {
    for window in WINDOWS {
        for reports in [false, true] {
            let provider = Honest::new(window, 60, reports, str::to_owned);
            let pool = pool(&["a", "b", "c", "d"], rpm(60));
            let target = target(&provider.script, &pool, no_retries());
            let started = Instant::now();
            let (answered, errors) = offer(&target, 12.0, 600, CallOptions::default()).await;
            let within = provider.script.seen.lock().unwrap();
            let in_time = within
                .iter()
                .filter(|seen| seen.at <= started + Duration::from_secs(600))
                .count();
            let (_, refused) = provider.counts(started);
            assert_eq!(refused, 0, "{window:?}");
            assert!(
                in_time - 4 >= 2376,
                "{window:?}, reports {reports}: {in_time} of 2400"
            );
            assert!(within.is_sorted_by_key(number_of), "in ticket order");
            assert_eq!(answered, within.len());
            assert!(
                errors.iter().all(|error| error.kind() == ErrorKind::LimitReached),
                "{:?}",
                errors.first()
            );
        }
    }
}

/// Windows of 1 s or 10 s, reported in headers or not, at a rate within them: the reports must not reduce throughput much.
// L28
#[tokio::test(start_paused = true)]
async fn short_windows_are_not_waited_out() {
    for (span, limit) in [(1, 5), (10, 50), (20, 100)] {
        for window in WINDOWS {
            for reports in [false, true] {
                let span = Duration::from_secs(span);
                let provider = Honest::per(span, window, limit, reports, str::to_owned);
                let pool = pool(&["a", "b", "c", "d"], rpm(300));
                let target = target(&provider.script, &pool, TargetSettings::default());
                let started = Instant::now();
                offer(&target, 40.0, 120, CallOptions::default()).await;
                let (passed, refused) = provider.counts(started);
                let late = provider.counts(started + Duration::from_secs(120)).0;
                let case = format!(
                    "{limit} in {span:?}, {window:?}, reported {reports}: {} of 2400, {refused} refused",
                    passed - late
                );
                println!("{case}");
                assert!(passed - late >= 2328, "{case}");
                assert!(refused <= 4, "{case}");
            }
        }
    }
}

/// A rate slightly above a window of 1 s that no header reports.
// L28
#[tokio::test(start_paused = true)]
async fn early_refusals_infer_no_rate_for_minutes() {
    let provider = Honest::per(
        Duration::from_secs(1),
        WindowKind::Sliding,
        5,
        false,
        str::to_owned,
    );
    let too_high = Limits {
        rate_limit: Some(RateLimit::new(5, 5.0).unwrap()),
        ..Limits::default()
    };
    let target = target(
        &provider.script,
        &pool(&["a", "b", "c", "d"], too_high),
        TargetSettings::default(),
    );
    let started = Instant::now();
    offer(&target, 40.0, 60, CallOptions::default()).await;
    let (passed, refused) = provider.counts(started);
    let late = provider.counts(started + Duration::from_secs(60)).0;
    println!("{} of 1200, {refused} refused", passed - late);
    assert!(
        passed - late >= 900,
        "{} of 1200, {refused} refused",
        passed - late
    );
}

// L07
#[tokio::test(start_paused = true)]
async fn shared_account_of_three_keys_is_detected_and_fully_used() {
    for window in WINDOWS {
        let provider = Honest::new(window, 60, true, |_| "one".to_owned());
        let pool = pool(&["a", "b", "c"], rpm(60));
        let target = target(&provider.script, &pool, TargetSettings::default());
        let started = Instant::now();
        offer(&target, 9.0, 660, CallOptions::default()).await;
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
    offer(&target, 3.0, 600, CallOptions::default()).await;
    let (passed, refused) = provider.counts(started);
    assert_eq!(refused, 0);
    assert!(passed >= 594, "{passed}");

    let script = Scripted::new(|number, _| {
        if number == 0 {
            Play::Send(error(429, "retry-after: 20\r\n", "rate_limit_exceeded"))
        } else {
            Play::Send(completion("ok"))
        }
    });
    let pool = ApiKeyPool::from_entries("p", ["a", "b", "c"].map(entry)).unwrap();
    let target = self::target(&script, &pool, TargetSettings::default());
    let started = Instant::now();
    target
        .chat_with(&ChatRequest::user("hi"), &within(60.0))
        .await
        .unwrap();
    assert!(
        started.elapsed() >= Duration::from_secs(20),
        "the whole account cools down"
    );
    assert_eq!(script.requests(), 2);
}

/// Every way in which a key can fail for good, each with its time until the next probe.
// L01, L06
#[tokio::test(start_paused = true)]
async fn one_healthy_key_of_eight_serves_every_call() {
    let script = Scripted::new(|_, seen| match &*seen.key {
        "revoked" => Play::Send(error(401, "", "invalid_api_key")),
        "unpaid" => Play::Send(error(402, "", "payment_required")),
        "forbidden" => Play::Send(error(403, "", "insufficient_permissions")),
        "banned" => Play::Send(answer(403, "", "<html>go away</html>")),
        "no-quota" => Play::Send(error(429, "", "insufficient_quota")),
        "until" => Play::Send(error(429, "retry-after: 120\r\n", "rate_limit_exceeded")),
        "vague" => Play::Send(answer(429, "", "slow down")),
        _ => Play::SendAfter(Duration::from_millis(200), completion("ok")),
    });
    let keys = [
        "revoked",
        "unpaid",
        "forbidden",
        "banned",
        "no-quota",
        "until",
        "vague",
        "alive",
    ];
    let pool = pool(&keys, Limits::default());
    let target = target(&script, &pool, no_retries());
    let (answered, errors) = offer(&target, 2.0, 300, within(20.0)).await;
    assert_eq!((answered, errors.len()), (600, 0), "{:?}", errors.first());
    let mut tries: BTreeMap<String, usize> = BTreeMap::new();
    for seen in script.seen.lock().unwrap().iter() {
        *tries.entry(seen.key.clone()).or_default() += 1;
    }
    // Cooldowns of 60, 120, 240 s; 30, 60, 120, 240 s; 120 s; and 10 s for each unclear refusal.
    let most = [
        ("revoked", 3),
        ("forbidden", 3),
        ("unpaid", 4),
        ("no-quota", 4),
        ("until", 3),
        ("banned", 31),
        ("vague", 31),
    ];
    for (key, most) in most {
        assert!((1..=most).contains(&tries[key]), "{key}: {tries:?}");
    }
}

// L16
#[tokio::test(start_paused = true)]
async fn a_thousand_waiters_at_the_end_of_a_cooldown_send_one_probe() {
    for (status, code, headers) in [
        (401, "invalid_api_key", ""),
        (429, "insufficient_quota", "retry-after: 60\r\n"),
        (429, "rate_limit_exceeded", "retry-after: 60\r\n"),
        (503, "overloaded", "retry-after: 60\r\n"),
    ] {
        let script = Scripted::new(move |number, _| {
            if number == 0 {
                Play::Send(error(status, headers, code))
            } else {
                Play::SendAfter(Duration::from_secs(3), completion("ok"))
            }
        });
        let pool = pool(&["a"], Limits::default());
        let target = target(&script, &pool, no_retries());
        target
            .chat_with(&ChatRequest::user("0"), &within(5.0))
            .await
            .unwrap_err();
        let started = Instant::now();
        let calls: Vec<_> = (0..1000)
            .map(|number| {
                let target = target.clone();
                tokio::spawn(async move {
                    target
                        .chat_with(&ChatRequest::user(number.to_string()), &within(120.0))
                        .await
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(62)).await;
        assert_eq!(script.requests(), 2, "{code}: the refused one and the probe");
        for call in calls {
            call.await.unwrap().unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(70));
        assert_eq!(script.requests(), 1001);
    }
}

// L17
#[tokio::test(start_paused = true)]
async fn dropped_probe_is_followed_by_another() {
    let script = Scripted::new(|number, _| match number {
        0 => Play::Send(error(401, "", "invalid_api_key")),
        1 => Play::SendAndHang(Vec::new()),
        _ => Play::Send(completion("ok")),
    });
    let pool = pool(&["a"], Limits::default());
    let target = target(&script, &pool, no_retries());
    target
        .chat_with(&ChatRequest::user("0"), &within(5.0))
        .await
        .unwrap_err();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (request, options) = (ChatRequest::user("1"), within(90.0));
    let probe = tokio::time::timeout(Duration::from_secs(1), target.chat_with(&request, &options));
    probe.await.unwrap_err();
    target
        .chat_with(&ChatRequest::user("2"), &within(5.0))
        .await
        .unwrap();
    assert_eq!(target.key_status()[0].state, KeyState::Healthy);
}

/// A minute in which the provider only returns 503, under a steady load.
// L12, L15
#[tokio::test(start_paused = true)]
async fn outage_and_recovery_cause_no_retry_storm() {
    let started = Instant::now();
    let (from, to) = (Duration::from_secs(30), Duration::from_secs(90));
    let script = Scripted::new(move |_, seen| {
        let at = seen.at - started;
        if at >= from && at < to {
            Play::Send(error(503, "", "overloaded"))
        } else {
            Play::SendAfter(Duration::from_millis(500), completion("ok"))
        }
    });
    let pool = pool(&["a", "b"], Limits::default());
    let target = target(&script, &pool, TargetSettings::default());
    let (_, errors) = offer(&target, 50.0, 150, within(60.0)).await;
    let seen: Vec<Duration> = script
        .seen
        .lock()
        .unwrap()
        .iter()
        .map(|seen| seen.at - started)
        .collect();
    let count = |from: Duration, to: Duration| seen.iter().filter(|at| **at >= from && **at < to).count();
    let during = count(from, to);
    assert!(
        (3000..=3000 + 10 + 600 + 700 + 30).contains(&during),
        "{during} requests for 3000 calls"
    );
    assert!(!errors.is_empty() && errors.len() <= 3000);
    for tenth in 0..600 {
        let at = to + Duration::from_millis(100) * tenth;
        let most = count(at, at + Duration::from_millis(100));
        assert!(
            most <= 10,
            "{most} requests in 100 ms, {:?} after the end",
            at - to
        );
    }
    let full = count(to + Duration::from_secs(5), to + Duration::from_secs(15));
    assert!(full >= 495, "{full} of 500");
}

// L12
#[tokio::test(start_paused = true)]
async fn configured_breaker_opens_after_five_failures_and_probes() {
    let started = Instant::now();
    let script = Scripted::new(move |_, seen| {
        if seen.at - started < Duration::from_secs(12) {
            Play::Send(error(500, "", "broken"))
        } else {
            Play::SendAfter(Duration::from_millis(100), completion("ok"))
        }
    });
    let settings = TargetSettings {
        breaker: Some(5),
        ..no_retries()
    };
    let target = target(&script, &pool(&["a", "b"], Limits::default()), settings);
    for _ in 0..5 {
        target
            .chat_with(&ChatRequest::user("0"), &within(1.0))
            .await
            .unwrap_err();
    }
    let refused = target
        .chat_with(&ChatRequest::user("0"), &within(1.0))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), script.requests()),
        (ErrorKind::Attempt(FailureKind::Overloaded), 5)
    );
    assert!(
        refused.retry_in().unwrap() > Duration::from_secs(4),
        "the error says when to retry"
    );
    let (answered, _) = offer(&target, 10.0, 30, within(1.0)).await;
    // Probes after 5 s and another 10 s; all calls pass once the second probe succeeded.
    assert!((140..=160).contains(&answered), "{answered}");
    let failed = script.requests() - answered;
    // Calls queued behind the second probe have little time left: probes may end without a response before one succeeds.
    assert!((6..=10).contains(&failed), "five plus probes: {failed}");
}

#[tokio::test(start_paused = true)]
async fn callers_share_fairly_and_single_call_waits_for_one_of_each() {
    let script = Scripted::new(|_, _| Play::SendAfter(Duration::from_millis(50), completion("ok")));
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
                    ..within(100.0)
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
        ..within(100.0)
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

// L08
#[tokio::test(start_paused = true)]
async fn key_above_its_daily_limit_is_not_used() {
    let script = Scripted::new(|_, _| Play::Send(completion("ok")));
    let limits = |rpd| KeyLimits {
        limits: Limits {
            rpd,
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    let keys = [("a".into(), limits(Some(3))), ("b".into(), limits(None))];
    let pool = ApiKeyPool::with_limits("p", keys).unwrap();
    let target = target(&script, &pool, no_retries());
    for _ in 0..10 {
        target
            .chat_with(&ChatRequest::user("0"), &within(1.0))
            .await
            .unwrap();
    }
    let seen = script.seen.lock().unwrap();
    assert_eq!(seen.iter().filter(|seen| seen.key == "a").count(), 3);
}

// L04
#[tokio::test(start_paused = true)]
async fn call_without_quota_fails_at_once_with_a_retry_time() {
    let script = Scripted::new(|_, _| Play::Send(error(429, "retry-after: 7200\r\n", "insufficient_quota")));
    let target = target(
        &script,
        &pool(&["a", "b"], Limits::default()),
        TargetSettings::default(),
    );
    target
        .chat_with(&ChatRequest::user("0"), &within(10.0))
        .await
        .unwrap_err();
    let started = Instant::now();
    let error = target
        .chat_with(&ChatRequest::user("0"), &within(10.0))
        .await
        .unwrap_err();
    assert!(started.elapsed() <= Duration::from_millis(50));
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::NoQuota));
    assert!(error.retry_in().unwrap() > Duration::from_secs(7000));
    assert_eq!(script.requests(), 2);
}

// L14
#[tokio::test(start_paused = true)]
async fn configured_limit_is_reported_with_a_retry_time() {
    let script = Scripted::new(|_, _| Play::Send(completion("ok")));
    let settings = TargetSettings {
        limits: Limits {
            rate_limit: Some(RateLimit::new(1, 0.1).unwrap()),
            ..Limits::default()
        },
        breaker: Some(1),
        ..no_retries()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    target
        .chat_with(&ChatRequest::user("0"), &within(1.0))
        .await
        .unwrap();
    for _ in 0..20 {
        let error = target
            .chat_with(&ChatRequest::user("0"), &within(1.0))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitReached);
        assert_eq!(error.retry_in().unwrap().as_secs_f64().round(), 10.0);
    }
    assert_eq!(target.key_status()[0].state, KeyState::Healthy);
    target
        .chat_with(&ChatRequest::user("0"), &within(11.0))
        .await
        .unwrap();
}

fn used(tokens: u32) -> Vec<u8> {
    let body = format!(
        r#"{{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"ok"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":10,"completion_tokens":{},"total_tokens":{tokens}}}}}"#,
        tokens - 10
    );
    answer(200, "", &body)
}

// L33, L36
#[tokio::test(start_paused = true)]
async fn tokens_are_reserved_and_settled_separately_from_requests() {
    let script = Scripted::new(|_, _| Play::SendAfter(Duration::from_millis(500), used(100)));
    let settings = TargetSettings {
        limits: Limits {
            tpm: Some(6000),
            rate_limit: Some(RateLimit::new(1000, 1000.0).unwrap()),
            ..Limits::default()
        },
        expected_output_tokens: Some(120),
        ..no_retries()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let started = Instant::now();
    offer(&target, 10.0, 300, CallOptions::default()).await;
    let seen: Vec<Instant> = script.seen.lock().unwrap().iter().map(|seen| seen.at).collect();
    for (first, from) in seen.iter().enumerate() {
        let within = seen[first..]
            .iter()
            .take_while(|at| **at - *from <= Duration::from_secs(60))
            .count();
        assert!(within <= 60, "{within} answers of 100 tokens in a minute of 6000");
    }
    let in_time = seen
        .iter()
        .filter(|at| **at - started <= Duration::from_secs(300))
        .count();
    assert!(in_time >= 285, "{in_time} of 300");
}

#[tokio::test(start_paused = true)]
async fn call_above_tpm_is_rejected() {
    let script = Scripted::new(|_, _| Play::Send(used(100)));
    let settings = TargetSettings {
        limits: Limits {
            tpm: Some(1000),
            ..Limits::default()
        },
        ..no_retries()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let request = ChatRequest {
        max_tokens: Some(5000),
        ..ChatRequest::user("hi")
    };
    let error = target.chat_with(&request, &within(10.0)).await.unwrap_err();
    assert_eq!((error.kind(), script.requests()), (ErrorKind::Unsendable, 0));
    assert!(error.to_string().contains("limit is 1000 per minute"), "{error}");
}

// L36
#[tokio::test(start_paused = true)]
async fn tokens_are_not_estimated_without_tpm() {
    let script = Scripted::new(|_, _| Play::Send(used(100)));
    let target = target(&script, &pool(&["a"], rpm(600)), no_retries());
    let huge = ChatRequest {
        max_tokens: Some(u64::from(u32::MAX)),
        ..ChatRequest::user("hi")
    };
    target.chat_with(&huge, &within(10.0)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn operator_disables_and_enables_a_key() {
    let script = Scripted::new(|_, seen| match &*seen.key {
        "dead" => Play::Send(error(401, "", "invalid_api_key")),
        _ => Play::Send(completion("ok")),
    });
    let target = target(&script, &pool(&["dead", "good"], Limits::default()), no_retries());
    let labels: Vec<_> = target.key_status().into_iter().map(|key| key.label).collect();
    assert!(target.set_key_enabled(&labels[1], false));
    let error = target
        .chat_with(&ChatRequest::user("0"), &within(10.0))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidKey));
    let waiting = tokio::spawn({
        let target = target.clone();
        async move { target.chat_with(&ChatRequest::user("0"), &within(100.0)).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    assert!(target.set_key_enabled(&labels[1], true));
    waiting.await.unwrap().unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO, "the waiter is woken");
    assert!(!target.set_key_enabled(&llmpool::Secret::from("other").label(1), true));
}

#[tokio::test(start_paused = true)]
async fn key_states_survive_a_restart() {
    let folder = std::env::temp_dir().join(format!("llmpool-states-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("states.json");
    let script = Scripted::new(|number, seen| match &*seen.key {
        "sk-canary-dead" if number > 8 => Play::SendAfter(Duration::from_secs(500), completion("late")),
        "sk-canary-dead" => Play::Send(error(401, "", "invalid_api_key")),
        "sk-canary-broke" => Play::Send(error(429, "retry-after: 3600\r\n", "insufficient_quota")),
        _ => Play::Send(completion("ok")),
    });
    let load = || {
        Providers::builder()
            .connector(script.clone())
            .model(
                "p",
                ModelEntry::new(
                    "m",
                    "http://scripted/v1",
                    [
                        "sk-canary-dead",
                        "sk-canary-broke",
                        "sk-canary-off",
                        "sk-canary-good",
                    ],
                )
                .with_settings(no_retries()),
            )
            .build()
            .unwrap()
    };
    let first = load();
    assert_eq!(
        first.load_key_states(&path).unwrap(),
        0,
        "the file does not exist yet"
    );
    let model = first.model("p/m").unwrap();
    for _ in 0..4 {
        model
            .chat_with(&ChatRequest::user("0"), &within(10.0))
            .await
            .unwrap();
    }
    assert!(model.set_key_enabled(&model.key_status()[2].label, false));
    first.save_key_states(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("canary") && text.contains("no_quota"), "{text}");
    let saved = load().saved_status(&path).unwrap();
    let saved_states: Vec<_> = saved
        .keys
        .iter()
        .map(|key| (key.state.as_str(), key.retry_in.is_some()))
        .collect();
    assert_eq!(
        saved_states,
        [
            ("invalid", true),
            ("no quota", true),
            ("disabled", false),
            ("healthy", false)
        ]
    );
    assert_eq!((saved.unknown_keys, saved.models.len()), (0, 1));

    let second = load();
    assert_eq!(second.load_key_states(&path).unwrap(), 3);
    let before = script.requests();
    let model = second.model("p/m").unwrap();
    for _ in 0..4 {
        model
            .chat_with(&ChatRequest::user("0"), &within(10.0))
            .await
            .unwrap();
    }
    assert_eq!(script.requests() - before, 4, "only the healthy key is used");
    let states: Vec<_> = model.key_status().iter().map(|key| key.state.as_str()).collect();
    assert_eq!(states, ["invalid", "no quota", "disabled", "healthy"]);

    // The invalid key is being probed while the states are saved again.
    tokio::time::sleep(Duration::from_secs(100)).await;
    let probing = tokio::spawn(async move {
        let (one, other) = (ChatRequest::user("0"), ChatRequest::user("1"));
        let options = within(600.0);
        tokio::join!(model.chat_with(&one, &options), model.chat_with(&other, &options))
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let states = || {
        let model = second.model("p/m").unwrap();
        model
            .key_status()
            .iter()
            .map(|key| key.state.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(states(), ["probing", "no quota", "disabled", "healthy"]);
    second.save_key_states(&path).unwrap();
    probing.abort();
    assert_eq!(
        load().load_key_states(&path).unwrap(),
        3,
        "it may still be invalid"
    );

    std::fs::write(&path, "{").unwrap();
    let error = second.load_key_states(&path).unwrap_err();
    assert!(
        error.to_string().contains("states.json") && error.help().unwrap().contains("remove the file"),
        "{error}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

// L94
#[tokio::test(start_paused = true)]
async fn returned_quota_is_used_after_the_first_success() {
    let again = Arc::new(AtomicBool::new(false));
    let tries = Arc::new(AtomicUsize::new(0));
    let (has_quota, counted) = (again.clone(), tries.clone());
    let script = Scripted::new(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        if has_quota.load(Ordering::SeqCst) {
            Play::Send(completion("ok"))
        } else {
            Play::Send(error(429, "", "exceeded_current_quota_error"))
        }
    });
    let target = target(&script, &pool(&["a"], Limits::default()), no_retries());
    target
        .chat_with(&ChatRequest::user("0"), &within(1.0))
        .await
        .unwrap_err();
    assert_eq!(target.key_status()[0].state.as_str(), "no quota");
    target
        .chat_with(&ChatRequest::user("0"), &within(40.0))
        .await
        .unwrap_err();
    assert_eq!(tries.load(Ordering::SeqCst), 2, "one probe after 30 s");
    again.store(true, Ordering::SeqCst);
    target
        .chat_with(&ChatRequest::user("0"), &within(70.0))
        .await
        .unwrap();
    assert_eq!(target.key_status()[0].state, KeyState::Healthy);
}

// L03
#[tokio::test(start_paused = true)]
async fn distant_reset_time_is_respected() {
    let started = Instant::now();
    let script = Scripted::new(|_, seen| match &*seen.key {
        "empty" => Play::Send(error(429, "retry-after: 10800\r\n", "insufficient_quota")),
        _ => Play::Send(completion("ok")),
    });
    let target = target(
        &script,
        &pool(&["empty", "good"], Limits::default()),
        no_retries(),
    );
    for _ in 0..18 {
        target
            .chat_with(&ChatRequest::user("0"), &within(5.0))
            .await
            .unwrap();
        target
            .chat_with(&ChatRequest::user("0"), &within(5.0))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(660)).await;
    }
    let seen = script.seen.lock().unwrap();
    let empty = seen
        .iter()
        .filter(|seen| seen.key == "empty")
        .map(|seen| seen.at - started);
    let empty: Vec<_> = empty.collect();
    assert_eq!(empty.len(), 2, "{empty:?}");
    assert!(empty[1] >= Duration::from_secs(10_800), "{empty:?}");
}

// L21
#[tokio::test(start_paused = true)]
async fn only_the_retry_loop_retries() {
    let script = Scripted::new(|_, _| Play::Send(error(500, "", "broken")));
    let settings = TargetSettings {
        max_retries: 2,
        ..TargetSettings::default()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let error = target
        .chat_with(&ChatRequest::user("0"), &within(60.0))
        .await
        .unwrap_err();
    assert_eq!((script.requests(), error.report().attempts.len()), (3, 3));
}

// L26
#[tokio::test(start_paused = true)]
async fn backoff_beyond_the_deadline_fails_at_once() {
    let script = Scripted::new(|_, _| Play::Send(error(503, "retry-after: 3600\r\n", "overloaded")));
    let target = target(
        &script,
        &pool(&["a"], Limits::default()),
        TargetSettings::default(),
    );
    let started = Instant::now();
    let error = target
        .chat_with(&ChatRequest::user("0"), &within(10.0))
        .await
        .unwrap_err();
    assert_eq!((started.elapsed(), script.requests()), (Duration::ZERO, 1));
    assert_eq!(error.retry_in(), Some(Duration::from_secs(3600)));
    assert_eq!(error.report().attempts.len(), 1);
}

// L27
#[tokio::test(start_paused = true)]
async fn stream_cut_after_content_is_not_retried() {
    let script = Scripted::new(|_, _| {
        let mut bytes = support::STREAM_HEAD.as_bytes().to_vec();
        bytes.extend(support::events(&[&support::piece(
            r#"{"content":"Hello"}"#,
            "null",
        )]));
        Play::SendAndClose(bytes)
    });
    let target = target(
        &script,
        &pool(&["a", "b"], Limits::default()),
        TargetSettings::default(),
    );
    let stream = target
        .chat_stream_with(&ChatRequest::user("0"), &within(60.0))
        .await
        .unwrap();
    stream.into_response().await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(script.requests(), 1);
}

/// Strict order: small calls do not pass a large one at the head, which waits no longer than its own tokens take.
// L40
#[tokio::test(start_paused = true)]
async fn large_call_is_not_starved_by_small_ones() {
    let script = Scripted::new(|_, _| Play::Send(completion("ok")));
    let settings = TargetSettings {
        limits: Limits {
            tpm: Some(1000),
            ..Limits::default()
        },
        learn_limits: false,
        ..no_retries()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let asking = |name: &str, tokens| ChatRequest {
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
        let (target, request) = (target.clone(), asking(name, tokens));
        calls.spawn(async move { target.chat_with(&request, &within(600.0)).await.is_ok() });
        tokio::task::yield_now().await;
    }
    calls.join_all().await;
    let seen = script.seen.lock().unwrap();
    let place = seen
        .iter()
        .position(|seen| seen.body["messages"][0]["content"] == "large");
    assert_eq!(place, Some(20), "no call passed it");
    assert!(
        seen[20].at - started <= Duration::from_secs(125),
        "{:?}",
        seen[20].at - started
    );
}

/// Prompts that are refused without a clear reason do not slow down other callers.
// L93
#[tokio::test(start_paused = true)]
async fn bad_prompts_of_one_caller_do_not_slow_down_others() {
    let script = Scripted::new(|_, seen| {
        if seen.body["messages"][0]["content"] == "bad" {
            Play::Send(answer(403, "", r#"{"error":{"message":"flagged"}}"#))
        } else {
            Play::SendAfter(Duration::from_millis(200), completion("ok"))
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

#[tokio::test(start_paused = true)]
async fn disabled_keys_are_reported_without_a_retry_time() {
    let script = Scripted::new(|_, _| Play::Send(completion("ok")));
    let pool = ApiKeyPool::new("p", ["a", "b"]).unwrap();
    let target = OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
        .connector(script)
        .build()
        .unwrap();
    for key in pool.status() {
        pool.set_enabled(&key.label, false);
    }
    let error = target.chat(&ChatRequest::user("hi")).await.unwrap_err();
    assert_eq!(error.to_string(), "p/m: every key is disabled");
    assert_eq!(error.help(), Some("enable a key"));
    assert_eq!(error.retry_in(), None);
}
