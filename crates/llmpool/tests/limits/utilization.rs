//! Limits of the provider are fully used, with almost no refusals.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    ApiKeyPool, CallOptions, ErrorKind, KeyLimits, KeyState, Limits, LlmInterface, OpenAiCompatible,
    RateLimit, TargetSettings,
};
use llmpool_simulator::WindowKind;
use tokio::time::Instant;

use crate::support;
use crate::support::honest::Honest;
use crate::support::{
    Action, COMPLETION, STREAM_HEAD, ScriptedProvider, answer, chunk_json, completion, error, events,
};
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

/// A limit of 200 requests per day that refills continuously, one request every 432 s. The headers report the
/// time until the whole limit remains, which is a day when none remains. `names_wait`: whether refusals name
/// the time until the next request.
fn daily_bucket(names_wait: bool) -> Arc<ScriptedProvider> {
    const LIMIT: f64 = 200.0;
    const REFILL: f64 = 86_400.0 / LIMIT;
    let state = Mutex::new((LIMIT, Instant::now()));
    ScriptedProvider::new(move |_, received| {
        let mut state = state.lock().unwrap();
        let (level, updated) = &mut *state;
        *level = LIMIT.min(*level + (received.at - *updated).as_secs_f64() / REFILL);
        *updated = received.at;
        let is_admitted = *level >= 1.0;
        if is_admitted {
            *level -= 1.0;
        }
        let mut headers = format!(
            "x-ratelimit-limit-requests: {LIMIT}\r\nx-ratelimit-remaining-requests: {}\r\n\
             x-ratelimit-reset-requests: {:.3}s\r\n",
            level.floor(),
            (LIMIT - *level) * REFILL
        );
        if is_admitted {
            return Action::Send(answer(200, &headers, COMPLETION));
        }
        if names_wait {
            headers += &format!("retry-after: {}\r\n", ((1.0 - *level) * REFILL).ceil());
        }
        Action::Send(error(429, &headers, "rate_limit_exceeded"))
    })
}

// reproduction 4
#[tokio::test(start_paused = true)]
async fn daily_limit_that_refills_continuously_is_used_all_day() {
    for names_wait in [true, false] {
        let script = daily_bucket(names_wait);
        let target = target(
            &script,
            &pool(&["a"], Limits::default()),
            TargetSettings::default(),
        );
        let started = Instant::now();
        let day = Duration::from_secs(86_400);
        let (mut answered, mut longest, mut last) = (0, Duration::ZERO, started);
        while started.elapsed() < day {
            let call = target
                .chat_with(&ChatRequest::user("0"), &timeout_of(3600.0))
                .await;
            if call.is_ok() {
                answered += 1;
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let case = format!("names the wait: {names_wait}, {answered} of 400, longest wait {longest:?}");
        assert!(answered >= 380, "{case}");
        assert!(longest <= Duration::from_secs(2 * 432), "{case}");
    }
}

/// 60 streams may begin in each minute, and each lasts 50 s. A call starts every 1.01 s.
// reproduction 5
#[tokio::test(start_paused = true)]
async fn long_streams_use_the_whole_limit() {
    for reports in [false, true] {
        let started = Instant::now();
        let begun = Mutex::new((0, 0));
        let script = ScriptedProvider::new(move |_, received| {
            let at = (received.at - started).as_secs_f64();
            let reset = 60.0 - at % 60.0;
            let mut begun = begun.lock().unwrap();
            let (minute, count) = &mut *begun;
            if *minute != at as u64 / 60 {
                (*minute, *count) = (at as u64 / 60, 0);
            }
            if *count >= 60 {
                let wait = format!("retry-after: {reset}\r\n");
                return Action::Send(error(429, &wait, "rate_limit_exceeded"));
            }
            *count += 1;
            let mut head = STREAM_HEAD.to_owned();
            if reports {
                let headers = format!(
                    "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: {}\r\n\
                     x-ratelimit-reset-requests: {reset:.2}s\r\n\r\n",
                    60 - *count
                );
                head = format!("{}{headers}", head.trim_end_matches("\r\n").to_owned() + "\r\n");
            }
            let first = events(&[&chunk_json(r#"{"content":"x"}"#, "null")]);
            let last = events(&[&chunk_json("{}", r#""stop""#), "[DONE]"]);
            Action::SendInTwo(
                [head.as_bytes(), &first].concat(),
                Duration::from_secs(50),
                [&last[..], b"0\r\n\r\n"].concat(),
            )
        });
        let target = target(&script, &pool(&["a"], Limits::default()), no_retries());
        let mut calls = tokio::task::JoinSet::new();
        for number in 0..594 {
            tokio::time::sleep_until(started + Duration::from_millis(1010) * number).await;
            let target = target.clone();
            calls.spawn(async move {
                let stream = target.chat_stream(&ChatRequest::user("hi")).await?;
                stream.into_response().await
            });
        }
        let ended = calls.join_all().await;
        let answered = ended.iter().filter(|call| call.is_ok()).count();
        assert!(answered >= 580, "headers {reports}: {answered} of 594");
    }
}

/// Headers that only look as if nothing was left: a limit of 0 at a gateway without limits, the limit of
/// another model, and the remaining requests of a month.
// reproduction 12, reproduction 13, reproduction 14
#[tokio::test(start_paused = true)]
async fn rate_limit_headers_of_successes_delay_no_call() {
    for (limit, remaining, reset) in [(0, 0, "60s"), (3, 0, "50s"), (100, 0, "2592000"), (60, 1, "50s")] {
        let headers = format!(
            "x-ratelimit-limit-requests: {limit}\r\nx-ratelimit-remaining-requests: {remaining}\r\n\
             x-ratelimit-reset-requests: {reset}\r\n"
        );
        let script = ScriptedProvider::new(move |_, received| {
            let headers = if received.body["model"] == "big" {
                &*headers
            } else {
                ""
            };
            Action::Send(answer(200, headers, COMPLETION))
        });
        let pool = pool(&["a"], Limits::default());
        let model = |name| {
            OpenAiCompatible::builder(&pool, name, "http://scripted/v1")
                .connector(script.clone())
                .build()
                .unwrap()
        };
        let (big, small) = (model("big"), model("small"));
        let started = Instant::now();
        for _ in 0..20 {
            for model in [&big, &small] {
                model
                    .chat_with(&ChatRequest::user("0"), &timeout_of(1.0))
                    .await
                    .unwrap();
            }
        }
        assert_eq!(started.elapsed(), Duration::ZERO, "{limit} {remaining} {reset}");
    }
}
