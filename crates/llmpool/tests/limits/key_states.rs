//! Cooldowns, probes and disabled keys, also after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    ApiKeyPool, CallOptions, ErrorKind, FailureKind, KeyEntry, KeyState, LimitScope, Limits, LlmInterface,
    ModelEntry, OpenAiCompatible, Providers, TargetSettings,
};
use tokio::time::Instant;

use crate::support::{Action, ScriptedProvider, answer, completion, error};
use crate::{no_retries, pool, run_at_rate, target, timeout_of};

/// The options of a call that waits even if no key is usable.
fn patient(seconds: f64) -> CallOptions {
    CallOptions {
        wait_for_keys: true,
        ..timeout_of(seconds)
    }
}

/// One key for each kind of refusal, with its cooldown until the next probe.
// L01, L06
#[tokio::test(start_paused = true)]
async fn one_healthy_key_of_eight_serves_every_call() {
    let script = ScriptedProvider::new(|_, received| match &*received.key {
        "revoked" => Action::Send(error(401, "", "invalid_api_key")),
        "unpaid" => Action::Send(error(402, "", "payment_required")),
        "forbidden" => Action::Send(error(403, "", "insufficient_permissions")),
        "banned" => Action::Send(answer(403, "", "<html>go away</html>")),
        "no-quota" => Action::Send(error(429, "", "insufficient_quota")),
        "until" => Action::Send(error(429, "retry-after: 120\r\n", "rate_limit_exceeded")),
        "vague" => Action::Send(answer(429, "", "slow down")),
        _ => Action::SendAfter(Duration::from_millis(200), completion("ok")),
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
    let (answered, errors) = run_at_rate(&target, 2.0, 300, timeout_of(20.0)).await;
    assert_eq!((answered, errors.len()), (600, 0), "{:?}", errors.first());
    let mut tries: BTreeMap<String, usize> = BTreeMap::new();
    for received in script.received.lock().unwrap().iter() {
        *tries.entry(received.key.clone()).or_default() += 1;
    }
    // Cooldowns of 60, 120, 240 s; 30, 60, 120, 240 s; 120 s; 10 s for each unclear refusal; 3 s for what is a rate.
    let most = [
        ("revoked", 3),
        ("forbidden", 3),
        ("unpaid", 4),
        ("no-quota", 4),
        ("until", 3),
        ("banned", 31),
        ("vague", 102),
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
        let script = ScriptedProvider::new(move |number, _| {
            if number == 0 {
                Action::Send(error(status, headers, code))
            } else {
                Action::SendAfter(Duration::from_secs(3), completion("ok"))
            }
        });
        let pool = pool(&["a"], Limits::default());
        let target = target(&script, &pool, no_retries());
        target
            .chat_with(&ChatRequest::user("0"), &timeout_of(5.0))
            .await
            .unwrap_err();
        let started = Instant::now();
        let calls: Vec<_> = (0..1000)
            .map(|number| {
                let target = target.clone();
                tokio::spawn(async move {
                    target
                        .chat_with(&ChatRequest::user(number.to_string()), &patient(120.0))
                        .await
                })
            })
            .collect();
        // A probe of a rate limit that is not refused within a quarter of a second counts as admitted.
        let silent = if code == "rate_limit_exceeded" { 0.2 } else { 2.0 };
        tokio::time::sleep(Duration::from_secs_f64(60.0 + silent)).await;
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
    let script = ScriptedProvider::new(|number, _| match number {
        0 => Action::Send(error(401, "", "invalid_api_key")),
        1 => Action::SendAndHang(Vec::new()),
        _ => Action::Send(completion("ok")),
    });
    let pool = pool(&["a"], Limits::default());
    let target = target(&script, &pool, no_retries());
    target
        .chat_with(&ChatRequest::user("0"), &timeout_of(5.0))
        .await
        .unwrap_err();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (request, options) = (ChatRequest::user("1"), timeout_of(90.0));
    let probe = tokio::time::timeout(Duration::from_secs(1), target.chat_with(&request, &options));
    probe.await.unwrap_err();
    target
        .chat_with(&ChatRequest::user("2"), &timeout_of(5.0))
        .await
        .unwrap();
    assert_eq!(target.key_status()[0].state, KeyState::Healthy);
}

// L04
#[tokio::test(start_paused = true)]
async fn call_without_quota_fails_at_once_with_a_retry_time() {
    let script =
        ScriptedProvider::new(|_, _| Action::Send(error(429, "retry-after: 7200\r\n", "insufficient_quota")));
    let target = target(
        &script,
        &pool(&["a", "b"], Limits::default()),
        TargetSettings::default(),
    );
    target
        .chat_with(&ChatRequest::user("0"), &timeout_of(10.0))
        .await
        .unwrap_err();
    let started = Instant::now();
    let error = target
        .chat_with(&ChatRequest::user("0"), &timeout_of(10.0))
        .await
        .unwrap_err();
    assert!(started.elapsed() <= Duration::from_millis(50));
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::NoQuota));
    assert!(error.retry_in().unwrap() > Duration::from_secs(7000));
    assert_eq!(script.requests(), 2);
}

// L94
#[tokio::test(start_paused = true)]
async fn returned_quota_is_used_after_the_first_success() {
    let quota_restored = Arc::new(AtomicBool::new(false));
    let tries = Arc::new(AtomicUsize::new(0));
    let (has_quota, counted) = (quota_restored.clone(), tries.clone());
    let script = ScriptedProvider::new(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        if has_quota.load(Ordering::SeqCst) {
            Action::Send(completion("ok"))
        } else {
            Action::Send(error(429, "", "exceeded_current_quota_error"))
        }
    });
    let target = target(&script, &pool(&["a"], Limits::default()), no_retries());
    target
        .chat_with(&ChatRequest::user("0"), &timeout_of(1.0))
        .await
        .unwrap_err();
    assert_eq!(target.key_status()[0].state.as_str(), "no quota");
    target
        .chat_with(&ChatRequest::user("0"), &patient(40.0))
        .await
        .unwrap_err();
    assert_eq!(tries.load(Ordering::SeqCst), 2, "one probe after 30 s");
    quota_restored.store(true, Ordering::SeqCst);
    target
        .chat_with(&ChatRequest::user("0"), &patient(70.0))
        .await
        .unwrap();
    assert_eq!(target.key_status()[0].state, KeyState::Healthy);
}

// L03
#[tokio::test(start_paused = true)]
async fn distant_reset_time_is_respected() {
    let started = Instant::now();
    let script = ScriptedProvider::new(|_, received| match &*received.key {
        "empty" => Action::Send(error(429, "retry-after: 10800\r\n", "insufficient_quota")),
        _ => Action::Send(completion("ok")),
    });
    let target = target(
        &script,
        &pool(&["empty", "good"], Limits::default()),
        no_retries(),
    );
    for _ in 0..18 {
        target
            .chat_with(&ChatRequest::user("0"), &timeout_of(5.0))
            .await
            .unwrap();
        target
            .chat_with(&ChatRequest::user("0"), &timeout_of(5.0))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(660)).await;
    }
    let received = script.received.lock().unwrap();
    let empty = received
        .iter()
        .filter(|received| received.key == "empty")
        .map(|received| received.at - started);
    let empty: Vec<_> = empty.collect();
    assert_eq!(empty.len(), 2, "{empty:?}");
    assert!(empty[1] >= Duration::from_secs(10_800), "{empty:?}");
}

#[tokio::test(start_paused = true)]
async fn operator_disables_and_enables_a_key() {
    let script = ScriptedProvider::new(|_, received| match &*received.key {
        "dead" => Action::Send(error(401, "", "invalid_api_key")),
        _ => Action::Send(completion("ok")),
    });
    let target = target(&script, &pool(&["dead", "good"], Limits::default()), no_retries());
    let labels: Vec<_> = target.key_status().into_iter().map(|key| key.label).collect();
    assert!(target.set_key_enabled(&labels[1], false));
    let error = target
        .chat_with(&ChatRequest::user("0"), &timeout_of(10.0))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidKey));
    let waiting = tokio::spawn({
        let target = target.clone();
        async move { target.chat_with(&ChatRequest::user("0"), &patient(100.0)).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    assert!(target.set_key_enabled(&labels[1], true));
    waiting.await.unwrap().unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO, "the waiter is woken");
    assert!(!target.set_key_enabled(&llmpool::Secret::from("other").label(1), true));
}

#[tokio::test(start_paused = true)]
async fn disabled_keys_are_reported_without_a_retry_time() {
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
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

#[tokio::test(start_paused = true)]
async fn key_states_survive_a_restart() {
    let folder = std::env::temp_dir().join(format!("llmpool-states-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("states.json");
    let script = ScriptedProvider::new(|number, received| match &*received.key {
        "sk-canary-dead" if number > 8 => Action::SendAfter(Duration::from_secs(500), completion("late")),
        "sk-canary-dead" => Action::Send(error(401, "", "invalid_api_key")),
        "sk-canary-broke" => Action::Send(error(429, "retry-after: 3600\r\n", "insufficient_quota")),
        _ => Action::Send(completion("ok")),
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
            .chat_with(&ChatRequest::user("0"), &timeout_of(10.0))
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
            .chat_with(&ChatRequest::user("0"), &timeout_of(10.0))
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
        let options = timeout_of(600.0);
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
        error.to_string().contains("states.json") && error.help().unwrap().contains("remove the state file"),
        "{error}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

// L04
#[tokio::test(start_paused = true)]
async fn call_without_a_usable_key_fails_at_once_unless_told_to_wait() {
    for (status, code, kind, wait, is_named) in [
        (401, "invalid_api_key", FailureKind::InvalidKey, 60, true),
        // The time of the test says nothing about the time at which credit returns.
        (402, "payment_required", FailureKind::NoQuota, 30, false),
        (
            403,
            "insufficient_permissions",
            FailureKind::PermissionDenied,
            60,
            true,
        ),
    ] {
        let script = ScriptedProvider::new(move |number, _| match number {
            0 | 1 => Action::Send(error(status, "", code)),
            _ => Action::Send(completion("ok")),
        });
        let pool = pool(&["a", "b"], Limits::default());
        let target = target(&script, &pool, TargetSettings::default());
        let started = Instant::now();
        for _ in 0..3 {
            let error = target
                .chat_with(&ChatRequest::user("0"), &timeout_of(600.0))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Attempt(kind));
            let expected = is_named.then_some(Duration::from_secs(wait));
            assert_eq!(error.retry_in(), expected, "{status}");
        }
        assert_eq!(
            (started.elapsed(), script.requests()),
            (Duration::ZERO, 2),
            "{status}"
        );
        target
            .chat_with(&ChatRequest::user("0"), &patient(600.0))
            .await
            .unwrap();
        assert_eq!(started.elapsed(), Duration::from_secs(wait), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_key_is_waited_for_beside_an_invalid_one() {
    let script = ScriptedProvider::new(|number, received| match (number, &*received.key) {
        (_, "dead") => Action::Send(error(401, "", "invalid_api_key")),
        (0..4, _) => Action::Send(error(429, "retry-after: 15\r\n", "rate_limit_exceeded")),
        _ => Action::Send(completion("ok")),
    });
    let pool = pool(&["dead", "slow"], Limits::default());
    let settings = TargetSettings {
        max_retries: 1,
        ..TargetSettings::default()
    };
    let target = target(&script, &pool, settings);
    let started = Instant::now();
    target.chat(&ChatRequest::user("0")).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(45));
    assert_eq!(script.requests(), 5, "a rate refusal spends no retry");
}

#[tokio::test(start_paused = true)]
async fn waiting_calls_fail_once_the_last_key_is_lost() {
    let script = ScriptedProvider::new(|number, _| match number {
        0 => Action::SendAfter(Duration::from_secs(10), error(401, "", "invalid_api_key")),
        _ => Action::Send(completion("ok")),
    });
    let one_slot = Limits {
        max_concurrency: Some(1),
        ..Limits::default()
    };
    let target = target(&script, &pool(&["a"], one_slot), no_retries());
    let started = Instant::now();
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move {
                let error = target
                    .chat_with(&ChatRequest::user("0"), &timeout_of(600.0))
                    .await
                    .unwrap_err();
                (error.kind(), started.elapsed())
            })
        })
        .collect();
    for call in calls {
        let (kind, after) = call.await.unwrap();
        assert_eq!(kind, ErrorKind::Attempt(FailureKind::InvalidKey));
        assert_eq!(after, Duration::from_secs(10));
    }
    assert_eq!(script.requests(), 1);
}

// reproduction 3
#[tokio::test(start_paused = true)]
async fn forbidden_model_does_not_delay_other_models_of_its_keys() {
    let script = ScriptedProvider::new(|_, received| match received.body["model"].as_str() {
        Some("forbidden") => Action::Send(error(403, "", "insufficient_permissions")),
        _ => Action::SendAfter(Duration::from_millis(500), completion("ok")),
    });
    let pool = pool(&["a", "b"], Limits::default());
    let model = |name| {
        OpenAiCompatible::builder(&pool, name, "http://scripted/v1")
            .settings(no_retries())
            .connector(script.clone())
            .build()
            .unwrap()
    };
    let (forbidden, allowed) = (model("forbidden"), model("allowed"));
    let refused = tokio::spawn(async move { run_at_rate(&forbidden, 1.0, 60, timeout_of(600.0)).await });
    let (answered, errors) = run_at_rate(&allowed, 10.0, 60, timeout_of(5.0)).await;
    assert_eq!((answered, errors.len()), (600, 0), "{:?}", errors.first());
    assert_eq!(refused.await.unwrap().0, 0);
}

// L93
// reproduction 2
#[tokio::test(start_paused = true)]
async fn bad_request_delays_no_other_call() {
    for groups in [[None, None], [Some("team"); 2]] {
        let script = ScriptedProvider::new(move |_, request| {
            if request.body["messages"][0]["content"] == "bad" {
                Action::Send(error(404, "", "odd"))
            } else {
                Action::Send(completion("ok"))
            }
        });
        let entries = ["a", "b"].into_iter().zip(groups).map(|(key, group)| KeyEntry {
            quota_group: group.map(str::to_owned),
            ..KeyEntry::from(key)
        });
        let pool = ApiKeyPool::from_entries("p", entries).unwrap();
        let target = target(&script, &pool, TargetSettings::default());
        let started = Instant::now();
        target.chat(&ChatRequest::user("bad")).await.unwrap_err();
        for _ in 0..4 {
            target.chat(&ChatRequest::user("good")).await.unwrap();
        }
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{groups:?}: {:?}",
            started.elapsed()
        );
    }
}

/// A hundred bad requests per minute, each refused whatever the key, beside good ones.
// L93
// reproduction 2
#[tokio::test(start_paused = true)]
async fn repeated_bad_requests_slow_down_no_other_call() {
    let is_bad = |number: u32| number.is_multiple_of(10) && number < 300;
    let script = ScriptedProvider::new(move |_, received| {
        let number = received.body["messages"][0]["content"].as_str().unwrap();
        if is_bad(number.parse().unwrap()) {
            let body = r#"{"error":{"message":"we do not like it"}}"#;
            Action::SendAfter(Duration::from_millis(20), answer(429, "", body))
        } else {
            Action::SendAfter(Duration::from_millis(20), completion("ok"))
        }
    });
    let target = target(
        &script,
        &pool(&["a", "b"], Limits::default()),
        TargetSettings::default(),
    );
    let (answered, errors) = run_at_rate(&target, 10.0, 60, timeout_of(5.0)).await;
    assert_eq!((answered, errors.len()), (570, 30));
    for key in target.key_status() {
        assert_eq!((key.state, key.observed_per_minute), (KeyState::Healthy, None));
    }
}

/// Bad requests at the same time, each refused whatever the key, ahead of good ones that take as long as real ones.
// reproduction 2
#[tokio::test(start_paused = true)]
async fn simultaneous_bad_requests_end_and_other_calls_are_answered() {
    let script = ScriptedProvider::new(|_, received| {
        if received.body["messages"][0]["content"] == "bad" {
            Action::SendAfter(Duration::from_millis(20), answer(429, "", "odd"))
        } else {
            Action::SendAfter(Duration::from_secs(2), completion("ok"))
        }
    });
    let pool = pool(&["a", "b"], Limits::default());
    let target = target(&script, &pool, TargetSettings::default());
    let bad: Vec<_> = (0..4)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move { target.chat(&ChatRequest::user("bad")).await.unwrap_err() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let (answered, errors) = run_at_rate(&target, 10.0, 120, timeout_of(30.0)).await;
    assert_eq!((answered, errors.len()), (1200, 0), "{:?}", errors.first());
    for call in bad {
        let error = call.await.unwrap();
        assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::RateLimited));
    }
    for key in target.key_status() {
        assert_eq!(key.state, KeyState::Healthy);
    }
}

/// A provider that limits both keys for ten seconds and says nothing.
#[tokio::test(start_paused = true)]
async fn outage_of_refusals_without_a_readable_cause_fails_no_call() {
    for body in ["", "slow down", "<html>Too Many Requests</html>"] {
        let start = Instant::now();
        let script = ScriptedProvider::new(move |_, _| {
            let is_limited = (5.0..15.0).contains(&start.elapsed().as_secs_f64());
            let response = if is_limited {
                answer(429, "", body)
            } else {
                completion("ok")
            };
            Action::SendAfter(Duration::from_millis(50), response)
        });
        let pool = pool(&["a", "b"], Limits::default());
        let target = target(&script, &pool, TargetSettings::default());
        let (answered, errors) = run_at_rate(&target, 10.0, 40, timeout_of(60.0)).await;
        assert_eq!((answered, errors.len()), (400, 0), "{body}: {:?}", errors.first());
        assert!(script.requests() < 500, "{body}: {}", script.requests());
        let paces = target.key_status().into_iter().map(|key| key.observed_per_minute);
        assert_eq!(paces.flatten().count(), 2, "{body}");
    }
}

/// The call retries alone, so nothing but its own refusals tells it that the keys are limited.
#[tokio::test(start_paused = true)]
async fn single_call_backs_off_after_unclear_rate_refusals_of_two_keys() {
    let script = ScriptedProvider::new(|number, _| match number {
        0..4 => Action::Send(answer(429, "", "slow down")),
        _ => Action::Send(completion("ok")),
    });
    let pool = pool(&["a", "b"], Limits::default());
    let target = target(&script, &pool, TargetSettings::default());
    target.chat(&ChatRequest::user("0")).await.unwrap();
    assert_eq!(script.requests(), 5);
    let script = ScriptedProvider::new(|_, _| Action::Send(answer(429, "", "slow down")));
    let target = self::target(&script, &pool, TargetSettings::default());
    target.chat(&ChatRequest::user("0")).await.unwrap_err();
    assert_eq!(script.requests(), 7, "two keys and five retries");
}

/// An unclear refusal pauses a key. While another key is asked, a certain refusal of the first one arrives.
// reproduction 9
#[tokio::test(start_paused = true)]
async fn certain_refusal_outlasts_the_end_of_an_unclear_one() {
    for (status, code, wait, state) in [
        (429, "rate_limit_exceeded", 60, KeyState::Throttled),
        (402, "payment_required", 86_400, KeyState::NoQuota),
    ] {
        let script = ScriptedProvider::new(move |_, received| {
            let text = received.body["messages"][0]["content"].as_str().unwrap();
            let seconds = |seconds| Duration::from_secs(seconds);
            match (&*received.key, text) {
                ("a", "unclear") => Action::SendAfter(seconds(1), error(404, "", "odd")),
                ("b", "unclear") => Action::SendAfter(seconds(5), error(404, "", "odd")),
                ("a", "certain") => {
                    let wait = format!("retry-after: {wait}\r\n");
                    Action::SendAfter(seconds(2), error(status, &wait, code))
                }
                _ => Action::SendAfter(seconds(1), completion("ok")),
            }
        });
        let target = target(&script, &pool(&["a", "b"], Limits::default()), no_retries());
        // The second call takes key b, so that the third one shares key a with the first.
        let calls = ["unclear", "other", "certain"].map(|text| {
            let target = target.clone();
            tokio::spawn(async move {
                target
                    .chat_with(&ChatRequest::user(text), &timeout_of(30.0))
                    .await
            })
        });
        let [unclear, other, certain] = calls;
        assert_eq!(unclear.await.unwrap().unwrap_err().status(), Some(404));
        other.await.unwrap().unwrap();
        certain.await.unwrap().unwrap();
        let received = script.received.lock().unwrap();
        let keys: Vec<_> = received.iter().map(|received| &*received.key).collect();
        assert_eq!(keys, ["a", "b", "a", "b", "b"], "{status}");
        let key = &target.key_status()[0];
        let retry_in = key.retry_in.unwrap_or_default().as_secs_f64().round();
        assert_eq!((key.state, retry_in), (state, f64::from(wait) - 4.0), "{status}");
    }
}

// L93
// reproduction 2
#[tokio::test(start_paused = true)]
async fn bad_request_teaches_no_pace_while_the_other_key_is_paused() {
    let limited = AtomicBool::new(false);
    let script = ScriptedProvider::new(move |_, request| {
        match request.body["messages"][0]["content"].as_str().unwrap() {
            "bad" => Action::Send(answer(429, "", "slow down")),
            "much" if !limited.swap(true, Ordering::SeqCst) => {
                Action::Send(error(429, "retry-after: 2\r\n", "rate_limit_exceeded"))
            }
            _ => Action::Send(completion("ok")),
        }
    });
    let target = target(
        &script,
        &pool(&["a", "b"], Limits::default()),
        TargetSettings::default(),
    );
    let (answered, _) = run_at_rate(&target, 10.0, 10, timeout_of(5.0)).await;
    assert_eq!(answered, 100);
    target.chat(&ChatRequest::user("much")).await.unwrap();
    let paces = || {
        let status = target.key_status();
        status
            .iter()
            .map(|key| key.observed_per_minute)
            .collect::<Vec<_>>()
    };
    let known = paces();
    assert_eq!(known.iter().flatten().count(), 1, "{known:?}");
    let error = target.chat(&ChatRequest::user("bad")).await.unwrap_err();
    let refused = error.report().attempts.len();
    assert!(
        refused > 2,
        "the first key is probed while the other is paused: {refused}"
    );
    assert_eq!(paces(), known);
    let started = Instant::now();
    for _ in 0..4 {
        target.chat(&ChatRequest::user("good")).await.unwrap();
    }
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
}

/// The option `wait_for_keys` makes a call wait for a model that its keys are not permitted to use, while other
/// calls use the same keys with another model.
// reproduction 3
#[tokio::test(start_paused = true)]
async fn patient_call_to_a_forbidden_model_leaves_its_keys_to_other_models() {
    let script = ScriptedProvider::new(|_, received| match received.body["model"].as_str() {
        Some("forbidden") => Action::Send(error(403, "", "insufficient_permissions")),
        _ => Action::Send(completion("ok")),
    });
    let pool = pool(&["a", "b", "c", "d"], Limits::default());
    let model = |name| {
        OpenAiCompatible::builder(&pool, name, "http://scripted/v1")
            .connector(script.clone())
            .build()
            .unwrap()
    };
    let (forbidden, allowed) = (model("forbidden"), model("allowed"));
    let waiting = tokio::spawn(async move {
        forbidden
            .chat_with(&ChatRequest::user("0"), &patient(600.0))
            .await
    });
    let started = Instant::now();
    let (answered, errors) = run_at_rate(&allowed, 1.0, 600, timeout_of(30.0)).await;
    assert_eq!((answered, errors.len()), (600, 0), "{:?}", errors.first());
    assert_eq!(started.elapsed(), Duration::from_secs(599), "no call waited");
    waiting.await.unwrap().unwrap_err();
}

/// Sends one call per second for 60 s to a model that is refused, each time for 20 s, and ten calls per second to
/// another model. Returns the number of answers of the other model, and whether one of its calls waited.
async fn calls_beside_a_refused_model(url: &str, limit_scope: Option<LimitScope>) -> (usize, bool) {
    let script = ScriptedProvider::new(|_, received| match received.body["model"].as_str() {
        Some("busy") => Action::Send(error(429, "retry-after: 20\r\n", "rate_limit_exceeded")),
        _ => Action::Send(completion("ok")),
    });
    let pool = pool(&["a", "b", "c", "d"], Limits::default());
    let model = |name| {
        OpenAiCompatible::builder(&pool, name, url)
            .settings(TargetSettings {
                limit_scope,
                ..TargetSettings::default()
            })
            .connector(script.clone())
            .build()
            .unwrap()
    };
    let (busy, free) = (model("busy"), model("free"));
    let refused = tokio::spawn(async move { run_at_rate(&busy, 1.0, 60, timeout_of(5.0)).await });
    let started = Instant::now();
    let (answered, _) = run_at_rate(&free, 10.0, 60, timeout_of(5.0)).await;
    let has_waited = started.elapsed() >= Duration::from_secs(60);
    assert_eq!(refused.await.unwrap().0, 0);
    (answered, has_waited)
}

/// Most providers limit each model on its own.
// reproduction 12
#[tokio::test(start_paused = true)]
async fn refusals_of_one_model_delay_no_other_model() {
    for url in [
        "http://scripted/v1",
        "http://api.openai.com/v1",
        "http://api.groq.com/openai/v1",
    ] {
        let outcome = calls_beside_a_refused_model(url, None).await;
        assert_eq!(outcome, (600, false), "{url}");
    }
    let mistral = "http://api.mistral.ai/v1";
    let outcome = calls_beside_a_refused_model(mistral, Some(LimitScope::Model)).await;
    assert_eq!(outcome, (600, false));
}

#[tokio::test(start_paused = true)]
async fn refusals_with_the_scope_key_pause_all_models() {
    for (url, scope) in [
        ("http://openrouter.ai/api/v1", None),
        ("http://api.mistral.ai/v1", None),
        ("http://scripted/v1", Some(LimitScope::Key)),
    ] {
        let (answered, _) = calls_beside_a_refused_model(url, scope).await;
        assert!(answered < 400, "{url}: {answered}");
    }
}

#[tokio::test(start_paused = true)]
async fn pool_shows_a_pause_that_leaves_no_model_to_a_key() {
    for scope in [LimitScope::Model, LimitScope::Key] {
        let script = ScriptedProvider::new(|_, _| {
            Action::Send(error(429, "retry-after: 20\r\n", "rate_limit_exceeded"))
        });
        let pool = pool(&["a"], Limits::default());
        let model = |name| {
            OpenAiCompatible::builder(&pool, name, "http://scripted/v1")
                .settings(TargetSettings {
                    limit_scope: Some(scope),
                    ..no_retries()
                })
                .connector(script.clone())
                .build()
                .unwrap()
        };
        let models = [model("one"), model("two")];
        let mut states = Vec::new();
        for model in &models {
            model.chat(&ChatRequest::user("hi")).await.unwrap_err();
            states.push(pool.status()[0].state);
        }
        let first = match scope {
            LimitScope::Model => KeyState::Healthy,
            LimitScope::Key => KeyState::Throttled,
        };
        assert_eq!(states, [first, KeyState::Throttled], "{scope:?}");
        // A key that is paused for single models can be leased for another one.
        assert_eq!(pool.least_loaded_key().is_some(), scope == LimitScope::Model);
    }
}
