//! Outages of the provider: retries, backoff and the circuit breaker.

use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{CallOptions, ErrorKind, FailureKind, Limits, LlmInterface, TargetSettings, Timeouts};
use tokio::time::Instant;

use crate::support;
use crate::support::{Action, ScriptedProvider, completion, error};
use crate::{no_retries, pool, run_at_rate, target, timeout_of};

/// A minute in which the provider only returns 503, under a steady load.
// L12, L15
#[tokio::test(start_paused = true)]
async fn outage_and_recovery_cause_no_retry_storm() {
    let started = Instant::now();
    let (from, to) = (Duration::from_secs(30), Duration::from_secs(90));
    let script = ScriptedProvider::new(move |_, received| {
        let at = received.at - started;
        if at >= from && at < to {
            Action::Send(error(503, "", "overloaded"))
        } else {
            Action::SendAfter(Duration::from_millis(500), completion("ok"))
        }
    });
    let pool = pool(&["a", "b"], Limits::default());
    let target = target(&script, &pool, TargetSettings::default());
    let (_, errors) = run_at_rate(&target, 50.0, 150, timeout_of(60.0)).await;
    let received: Vec<Duration> = script
        .received
        .lock()
        .unwrap()
        .iter()
        .map(|received| received.at - started)
        .collect();
    let count = |from: Duration, to: Duration| received.iter().filter(|at| **at >= from && **at < to).count();
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
    let script = ScriptedProvider::new(move |_, received| {
        if received.at - started < Duration::from_secs(12) {
            Action::Send(error(500, "", "broken"))
        } else {
            Action::SendAfter(Duration::from_millis(100), completion("ok"))
        }
    });
    let settings = TargetSettings {
        breaker: Some(5),
        ..no_retries()
    };
    let target = target(&script, &pool(&["a", "b"], Limits::default()), settings);
    for _ in 0..5 {
        target
            .chat_with(&ChatRequest::user("0"), &timeout_of(1.0))
            .await
            .unwrap_err();
    }
    let refused = target
        .chat_with(&ChatRequest::user("0"), &timeout_of(1.0))
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
    let (answered, _) = run_at_rate(&target, 10.0, 30, timeout_of(1.0)).await;
    // Probes after 5 s and another 10 s; all calls pass once the second probe succeeded.
    assert!((140..=160).contains(&answered), "{answered}");
    let failed = script.requests() - answered;
    // Calls queued behind the second probe have little time left: probes may end without a response before
    // one succeeds.
    assert!((6..=10).contains(&failed), "five plus probes: {failed}");
}

// L21
#[tokio::test(start_paused = true)]
async fn only_the_retry_loop_retries() {
    let script = ScriptedProvider::new(|_, _| Action::Send(error(500, "", "broken")));
    let settings = TargetSettings {
        max_retries: 2,
        ..TargetSettings::default()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let error = target
        .chat_with(&ChatRequest::user("0"), &timeout_of(60.0))
        .await
        .unwrap_err();
    assert_eq!((script.requests(), error.report().attempts.len()), (3, 3));
}

// L26
#[tokio::test(start_paused = true)]
async fn backoff_beyond_the_deadline_fails_at_once() {
    let script =
        ScriptedProvider::new(|_, _| Action::Send(error(503, "retry-after: 3600\r\n", "overloaded")));
    let target = target(
        &script,
        &pool(&["a"], Limits::default()),
        TargetSettings::default(),
    );
    let started = Instant::now();
    let error = target
        .chat_with(&ChatRequest::user("0"), &timeout_of(10.0))
        .await
        .unwrap_err();
    assert_eq!((started.elapsed(), script.requests()), (Duration::ZERO, 1));
    assert_eq!(error.retry_in(), Some(Duration::from_secs(3600)));
    assert_eq!(error.report().attempts.len(), 1);
}

// L27
#[tokio::test(start_paused = true)]
async fn stream_cut_after_content_is_not_retried() {
    let script = ScriptedProvider::new(|_, _| {
        let mut bytes = support::STREAM_HEAD.as_bytes().to_vec();
        bytes.extend(support::events(&[&support::chunk_json(
            r#"{"content":"Hello"}"#,
            "null",
        )]));
        Action::SendAndClose(bytes)
    });
    let target = target(
        &script,
        &pool(&["a", "b"], Limits::default()),
        TargetSettings::default(),
    );
    let stream = target
        .chat_stream_with(&ChatRequest::user("0"), &timeout_of(60.0))
        .await
        .unwrap();
    stream.into_response().await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(script.requests(), 1);
}

// reproduction 13
#[tokio::test(start_paused = true)]
async fn retries_without_a_delay_respect_the_budget() {
    let script = ScriptedProvider::new(|_, _| Action::Send(error(500, "", "broken")));
    let settings = TargetSettings {
        retry_delay: Duration::ZERO,
        ..TargetSettings::default()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let (answered, errors) = run_at_rate(&target, 400.0, 1, timeout_of(60.0)).await;
    assert_eq!((answered, errors.len()), (0, 400));
    // Ten retries in reserve, a fifth of a retry for each call, half a retry for each second.
    let most = 400 + 10 + 80 + 1;
    assert!(script.requests() <= most, "{} requests", script.requests());
}

// reproduction 13
#[tokio::test(start_paused = true)]
async fn retry_after_of_zero_means_the_backoff() {
    for wait in [
        "retry-after: 0\r\n",
        "retry-after: -5\r\n",
        "date: Fri, 02 Jan 2026 03:04:10 GMT\r\nretry-after: Fri, 02 Jan 2026 03:04:05 GMT\r\n",
    ] {
        for (status, code) in [(429, "rate_limit_exceeded"), (503, "overloaded")] {
            let started = Instant::now();
            let script = ScriptedProvider::new(move |_, received| {
                if received.at < started + Duration::from_millis(900) {
                    Action::Send(error(status, wait, code))
                } else {
                    Action::Send(completion("ok"))
                }
            });
            let settings = TargetSettings {
                max_retries: 9,
                ..TargetSettings::default()
            };
            let target = target(&script, &pool(&["a"], Limits::default()), settings);
            target.chat(&ChatRequest::user("0")).await.unwrap();
            assert!(script.requests() <= 6, "{status} {wait:?}: {}", script.requests());
        }
    }
}

// reproduction 14
#[tokio::test(start_paused = true)]
async fn month_of_retry_after_fails_at_once_even_without_a_deadline() {
    let month = Duration::from_secs(30 * 86_400);
    for (status, code) in [(429, "rate_limit_exceeded"), (503, "overloaded")] {
        let script =
            ScriptedProvider::new(move |_, _| Action::Send(error(status, "retry-after: 2592000\r\n", code)));
        let settings = TargetSettings {
            timeouts: Timeouts {
                total: None,
                ..Timeouts::default()
            },
            ..TargetSettings::default()
        };
        let target = target(&script, &pool(&["a"], Limits::default()), settings);
        let started = Instant::now();
        for _ in 0..2 {
            let error = target.chat(&ChatRequest::user("0")).await.unwrap_err();
            assert_eq!(error.retry_in(), Some(month), "{status}");
        }
        assert_eq!(
            (started.elapsed(), script.requests()),
            (Duration::ZERO, 1),
            "{status}"
        );
    }
}

// reproduction 14
#[tokio::test(start_paused = true)]
async fn operator_ends_a_pause_of_a_year() {
    for (status, code) in [(429, "rate_limit_exceeded"), (503, "overloaded")] {
        let script = ScriptedProvider::new(move |number, _| match number {
            0 => Action::Send(error(status, "retry-after: 31536000\r\n", code)),
            _ => Action::Send(completion("ok")),
        });
        let target = target(&script, &pool(&["a"], Limits::default()), no_retries());
        for _ in 0..2 {
            target.chat(&ChatRequest::user("0")).await.unwrap_err();
        }
        assert_eq!(script.requests(), 1, "{status}");
        if status == 429 {
            assert!(target.set_key_enabled(&target.key_status()[0].label, true));
        } else {
            target.reset_rate_limit();
        }
        target.chat(&ChatRequest::user("0")).await.unwrap();
    }
}

// reproduction 7
#[tokio::test(start_paused = true)]
async fn rate_headers_of_a_server_error_do_not_pause_the_target() {
    let headers = "x-ratelimit-limit-requests: 200\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 6h0m0s\r\n";
    let script = ScriptedProvider::new(move |_, received| match &*received.key {
        "a" => Action::Send(error(500, headers, "broken")),
        _ => Action::Send(completion("ok")),
    });
    let pool = pool(&["a", "b", "c", "d"], Limits::default());
    let target = target(&script, &pool, TargetSettings::default());
    for _ in 0..2 {
        target.chat(&ChatRequest::user("0")).await.unwrap();
    }
    assert_eq!(script.requests(), 3);
}

/// Calls of the given duration to a target that never answers. Returns the number of requests that were sent.
async fn requests_to_a_hanging_target(calls: usize, seconds: f64) -> usize {
    let script = ScriptedProvider::new(|_, _| Action::SendAndHang(Vec::new()));
    let settings = TargetSettings {
        breaker: Some(3),
        timeouts: Timeouts {
            first_content: Some(Duration::from_secs(40)),
            ..Timeouts::default()
        },
        ..TargetSettings::default()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let mut calls: Vec<_> = (0..calls)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move {
                target
                    .chat_with(&ChatRequest::user("0"), &timeout_of(seconds))
                    .await
                    .unwrap_err()
            })
        })
        .collect();
    for call in calls.drain(..) {
        call.await.unwrap();
    }
    let refused = target
        .chat_with(&ChatRequest::user("0"), &timeout_of(1.0))
        .await
        .unwrap_err();
    assert!(refused.is_temporary());
    script.requests()
}

// reproduction 14
#[tokio::test(start_paused = true)]
async fn breaker_opens_for_plain_calls_that_hang() {
    assert_eq!(
        requests_to_a_hanging_target(3, 40.0).await,
        3,
        "the breaker is open"
    );
    assert_eq!(
        requests_to_a_hanging_target(2, 40.0).await,
        3,
        "one failure too few"
    );
    assert_eq!(
        requests_to_a_hanging_target(9, 39.9).await,
        10,
        "an impatient caller says nothing about the target"
    );
}

/// A provider without a limit that refuses all requests for a time. Ten calls per second.
// reproduction 1
#[tokio::test(start_paused = true)]
async fn seconds_of_429_cost_no_throughput_afterwards() {
    for (keys, outage) in [(["a", "b", "c", "d"].as_slice(), 30), (&["a"], 15)] {
        let started = Instant::now();
        let (from, to) = (Duration::from_secs(60), Duration::from_secs(60 + outage));
        let script = ScriptedProvider::new(move |_, received| {
            if (from..to).contains(&(received.at - started)) {
                Action::Send(error(429, "", "rate_limit_exceeded"))
            } else {
                Action::Send(completion("ok"))
            }
        });
        let target = target(&script, &pool(keys, Limits::default()), TargetSettings::default());
        let end = to + Duration::from_secs(600);
        run_at_rate(&target, 10.0, end.as_secs(), CallOptions::default()).await;
        let received = script.received.lock().unwrap();
        let times = received.iter().map(|received| received.at - started);
        let served = times.filter(|at| (to..end).contains(at)).count();
        assert!(
            served >= 5820,
            "{keys:?}: {served} of 6000 after {outage} s of 429"
        );
        let paces = target.key_status();
        let paces = paces.iter().filter_map(|key| key.observed_per_minute);
        let slowest = paces.fold(f64::INFINITY, f64::min);
        assert!(
            slowest >= 600.0 / keys.len() as f64,
            "{slowest} per minute at the end"
        );
    }
}

/// One of a hundred requests is refused, whatever the rate. Ten calls per second.
// reproduction 1
#[tokio::test(start_paused = true)]
async fn stray_refusals_do_not_slow_a_key_down() {
    for wait in ["", "retry-after-ms: 500\r\n"] {
        let script = ScriptedProvider::new(move |number, _| match number % 100 {
            99 => Action::Send(error(429, wait, "rate_limit_exceeded")),
            _ => Action::Send(completion("ok")),
        });
        let target = target(
            &script,
            &pool(&["a"], Limits::default()),
            TargetSettings::default(),
        );
        let (answered, _) = run_at_rate(&target, 10.0, 600, CallOptions::default()).await;
        assert!(answered >= 5760, "{wait:?}: {answered} of 6000");
    }
}

/// One refusal with a pause of a second, then answers that take 45 s. Returns the number of answers to twenty
/// calls that wait up to 30 s each.
async fn answered_after_one_refusal(status: u16, keys: &[&str], streamed: bool) -> usize {
    let script = ScriptedProvider::new(move |number, _| {
        let slow = Duration::from_secs(45);
        match (number, streamed) {
            (0, _) => Action::Send(error(status, "retry-after: 1\r\n", "rate_limit_exceeded")),
            (_, false) => Action::SendAfter(slow, completion("ok")),
            (_, true) => {
                let hello = support::events(&[&support::chunk_json(r#"{"content":"Hello"}"#, "null")]);
                let end = support::events(&[&support::chunk_json("{}", r#""stop""#), "[DONE]"]);
                Action::SendInTwo(
                    [support::STREAM_HEAD.as_bytes(), &hello].concat(),
                    slow,
                    [&end[..], b"0\r\n\r\n"].concat(),
                )
            }
        }
    });
    let target = target(&script, &pool(keys, Limits::default()), TargetSettings::default());
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..21 {
        let target = target.clone();
        calls.spawn(async move {
            tokio::time::sleep(Duration::from_millis(number)).await;
            if streamed {
                target
                    .chat_stream(&ChatRequest::user("0"))
                    .await?
                    .into_response()
                    .await
            } else {
                target.chat(&ChatRequest::user("0")).await
            }
        });
    }
    let ended = calls.join_all().await;
    ended.iter().filter(|call| call.is_ok()).count()
}

// reproduction 6
#[tokio::test(start_paused = true)]
async fn slow_answer_after_one_refusal_delays_no_other_call() {
    for keys in [["a"].as_slice(), &["a", "b", "c", "d"]] {
        for (status, streamed) in [(429, false), (429, true), (503, true)] {
            let answered = answered_after_one_refusal(status, keys, streamed).await;
            assert_eq!(answered, 21, "{keys:?}, {status}, streamed {streamed}");
        }
    }
}

// L16
// reproduction 6
#[tokio::test(start_paused = true)]
async fn hanging_probe_keeps_other_calls_waiting_for_five_seconds() {
    for (status, headers, pause) in [(503, "retry-after: 1\r\n", 1), (401, "", 60)] {
        let script = ScriptedProvider::new(move |number, _| match number {
            0 => Action::Send(error(status, headers, "invalid_api_key")),
            1 => Action::SendAndHang(Vec::new()),
            _ => Action::Send(completion("ok")),
        });
        let target = target(&script, &pool(&["a"], Limits::default()), no_retries());
        target
            .chat_with(&ChatRequest::user("0"), &timeout_of(0.5))
            .await
            .unwrap_err();
        tokio::time::sleep(Duration::from_secs(pause)).await;
        let options = CallOptions {
            wait_for_keys: true,
            ..timeout_of(300.0)
        };
        let started = Instant::now();
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (target, options) = (target.clone(), options.clone());
            calls.spawn(async move { target.chat_with(&ChatRequest::user("1"), &options).await });
        }
        for _ in 0..9 {
            calls.join_next().await.unwrap().unwrap().unwrap();
        }
        let waited = started.elapsed();
        assert!((5..6).contains(&waited.as_secs()), "{status}: {waited:?}");
    }
}

/// The head of a plain answer arrives with its body, so the provider is silent for 45 s.
// reproduction 6
#[tokio::test(start_paused = true)]
async fn silent_answer_after_a_503_fails_no_other_call() {
    for keys in [["a"].as_slice(), &["a", "b", "c", "d"]] {
        assert_eq!(answered_after_one_refusal(503, keys, false).await, 21, "{keys:?}");
    }
}
