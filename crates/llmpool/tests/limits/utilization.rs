//! Limits of the provider are fully used, with almost no refusals.

use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    ApiKeyPool, CallOptions, ErrorKind, KeyLimits, KeyState, Limits, LlmInterface, RateLimit, TargetSettings,
};
use llmpool_simulator::WindowKind;
use tokio::time::Instant;

use crate::support;
use crate::support::honest::Honest;
use crate::support::{Action, ScriptedProvider, completion};
use crate::{WINDOWS, no_retries, pool, rpm, run_at_rate, target, timeout_of};

fn call_number(received: &support::ReceivedRequest) -> usize {
    received.body["messages"][0]["content"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
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
            let (answered, errors) = run_at_rate(&target, 12.0, 600, CallOptions::default()).await;
            let received = provider.script.received.lock().unwrap();
            let in_time = received
                .iter()
                .filter(|received| received.at <= started + Duration::from_secs(600))
                .count();
            let (_, refused) = provider.counts(started);
            assert_eq!(refused, 0, "{window:?}");
            assert!(
                in_time - 4 >= 2376,
                "{window:?}, reports {reports}: {in_time} of 2400"
            );
            assert!(received.is_sorted_by_key(call_number), "in ticket order");
            assert_eq!(answered, received.len());
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
    let limits = rpm(300);
    for (span, limit) in [(1, 5), (10, 50), (20, 100)] {
        for window in WINDOWS {
            for reports in [false, true] {
                let span = Duration::from_secs(span);
                let provider = Honest::per(span, window, limit, reports, str::to_owned);
                let pool = pool(&["a", "b", "c", "d"], limits);
                let target = target(&provider.script, &pool, TargetSettings::default());
                let started = Instant::now();
                run_at_rate(&target, 40.0, 120, CallOptions::default()).await;
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
    run_at_rate(&target, 40.0, 60, CallOptions::default()).await;
    let (passed, refused) = provider.counts(started);
    let late = provider.counts(started + Duration::from_secs(60)).0;
    println!("{} of 1200, {refused} refused", passed - late);
    assert!(
        passed - late >= 900,
        "{} of 1200, {refused} refused",
        passed - late
    );
}

// L08
#[tokio::test(start_paused = true)]
async fn key_above_its_daily_limit_is_not_used() {
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
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
            .chat_with(&ChatRequest::user("0"), &timeout_of(1.0))
            .await
            .unwrap();
    }
    let received = script.received.lock().unwrap();
    assert_eq!(received.iter().filter(|received| received.key == "a").count(), 3);
}

// L14
#[tokio::test(start_paused = true)]
async fn configured_limit_is_reported_with_a_retry_time() {
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
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
        .chat_with(&ChatRequest::user("0"), &timeout_of(1.0))
        .await
        .unwrap();
    for _ in 0..20 {
        let error = target
            .chat_with(&ChatRequest::user("0"), &timeout_of(1.0))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitReached);
        assert_eq!(error.retry_in().unwrap().as_secs_f64().round(), 10.0);
    }
    assert_eq!(target.key_status()[0].state, KeyState::Healthy);
    target
        .chat_with(&ChatRequest::user("0"), &timeout_of(11.0))
        .await
        .unwrap();
}
