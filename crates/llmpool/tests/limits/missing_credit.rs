//! Calls whose keys have no credit left: they fail at once, unless the provider has named a time before their
//! deadline. Time is paused.

use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    CallOptions, Error, ErrorKind, FailureKind, KeyAction, KeyScope, Limits, LlmInterface, ModelEntry,
    OpenAiCompatible, Providers, TargetSettings,
};
use tokio::time::Instant;

use crate::support::{Action, ScriptedProvider, completion, error};
use crate::{no_retries, pool, target, timeout_of};

const HELP: &str =
    "add credit at the provider, or add a key of another account; llmpool status shows each key";

async fn call(target: &OpenAiCompatible, seconds: f64) -> Result<String, Error> {
    let answer = target
        .chat_with(&ChatRequest::user("hi"), &timeout_of(seconds))
        .await?;
    Ok(answer.text())
}

#[tokio::test(start_paused = true)]
async fn call_without_credit_on_any_key_fails_at_once_and_says_what_to_do() {
    for (status, code) in [
        (402, "payment_required"),
        (429, "insufficient_quota"),
        (429, "insufficient_user_quota"),
        (400, "Arrearage"),
        (200, "insufficient_quota"),
    ] {
        for options in [CallOptions::default(), timeout_of(600.0)] {
            let script = ScriptedProvider::new(move |_, _| Action::Send(error(status, "", code)));
            let pool = pool(&["a", "b", "c"], Limits::default());
            let target = target(&script, &pool, TargetSettings::default());
            let started = Instant::now();
            let mut texts = Vec::new();
            for _ in 0..2 {
                let failed = target.chat_with(&ChatRequest::user("hi"), &options).await;
                let error = failed.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::NoQuota), "{status}");
                assert_eq!(error.help(), Some(HELP), "{status}");
                assert_eq!(error.retry_in(), None, "{status}: {error}");
                texts.push(error.to_string());
            }
            assert!(
                texts[0].starts_with("p/m: no credit left after 3 attempts in 0.0 s: key-1 ("),
                "{status}: {}",
                texts[0]
            );
            assert!(!texts[0].contains("retry in"), "{}", texts[0]);
            assert_eq!(texts[1], "p/m: no key has credit left");
            assert!(started.elapsed() <= Duration::from_millis(50), "{status}");
            assert_eq!(script.requests(), 3, "{status}: each key once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn call_that_must_not_retry_says_the_same() {
    let script = ScriptedProvider::new(|_, _| Action::Send(error(402, "", "payment_required")));
    let target = target(&script, &pool(&["a"], Limits::default()), no_retries());
    let error = call(&target, 600.0).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("p/m: no credit left after 1 attempt "), "{text}");
    assert!(text.ends_with(" quota exhausted (402)"), "{text}");
    assert_eq!((error.help(), error.retry_in()), (Some(HELP), None));
}

#[tokio::test(start_paused = true)]
async fn named_end_before_the_deadline_is_waited_for_and_probed_once() {
    let script = ScriptedProvider::new(|number, _| match number {
        0 => Action::Send(error(429, "retry-after: 5\r\n", "insufficient_quota")),
        _ => Action::SendAfter(Duration::from_secs(1), completion("ok")),
    });
    let target = target(
        &script,
        &pool(&["a"], Limits::default()),
        TargetSettings::default(),
    );
    let started = Instant::now();
    let first = tokio::spawn({
        let target = target.clone();
        async move { (call(&target, 20.0).await, started.elapsed()) }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let others: Vec<_> = (0..20)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move { call(&target, 20.0).await })
        })
        .collect();
    let impatient = call(&target, 3.0).await.unwrap_err();
    assert_eq!(started.elapsed(), Duration::from_secs(1));
    assert_eq!(
        impatient.to_string(),
        "p/m: every key is out of quota; retry in 4.0 s"
    );
    tokio::time::sleep(Duration::from_millis(4500)).await;
    assert_eq!(script.requests(), 2, "the refused request and one probe");
    let (answer, after) = first.await.unwrap();
    assert_eq!(answer.unwrap(), "ok");
    assert_eq!(after, Duration::from_secs(6));
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(script.requests(), 22);
}

#[tokio::test(start_paused = true)]
async fn named_end_behind_the_deadline_fails_at_once_with_its_time() {
    let script =
        ScriptedProvider::new(|_, _| Action::Send(error(402, "retry-after: 7200\r\n", "payment_required")));
    let pool = pool(&["a", "b"], Limits::default());
    let target = target(&script, &pool, TargetSettings::default());
    let started = Instant::now();
    let first = call(&target, 600.0).await.unwrap_err();
    let text = first.to_string();
    assert!(
        text.starts_with("p/m: quota exhausted after 2 attempts "),
        "{text}"
    );
    assert!(text.ends_with("; retry in 7200.0 s"), "{text}");
    let second = call(&target, 600.0).await.unwrap_err();
    assert_eq!(
        second.to_string(),
        "p/m: every key is out of quota; retry in 7200.0 s"
    );
    assert_eq!((first.help(), second.help()), (Some(HELP), Some(HELP)));
    assert!(started.elapsed() <= Duration::from_millis(50));
    assert_eq!(script.requests(), 2);
}

/// The second key, and how long a call with a deadline of 20 s waits for it, or the error.
#[tokio::test(start_paused = true)]
async fn time_of_another_key_counts_beside_a_key_without_a_known_end() {
    let (quota, rate) = ("insufficient_quota", "rate_limit_exceeded");
    for (wait, code, expected) in [
        (5, quota, Ok(5)),
        (15, rate, Ok(15)),
        (7200, quota, Err(FailureKind::NoQuota)),
        (7200, rate, Err(FailureKind::RateLimited)),
    ] {
        let script = ScriptedProvider::new(move |number, received| match &*received.key {
            "broke" => Action::Send(error(402, "", "payment_required")),
            _ if number < 2 => {
                let headers = format!("retry-after: {wait}\r\n");
                Action::Send(error(429, &headers, code))
            }
            _ => Action::Send(completion("ok")),
        });
        let pool = pool(&["broke", "named"], Limits::default());
        let target = target(&script, &pool, TargetSettings::default());
        let started = Instant::now();
        let outcome = call(&target, 40.0).await;
        match expected {
            Ok(seconds) => {
                outcome.unwrap();
                assert_eq!(started.elapsed().as_secs(), seconds, "{code}");
            }
            Err(kind) => {
                for error in [outcome.unwrap_err(), call(&target, 40.0).await.unwrap_err()] {
                    assert_eq!(error.kind(), ErrorKind::Attempt(kind), "{error}");
                    let retry_in = error.retry_in().unwrap();
                    assert_eq!(retry_in.as_secs(), 7200, "{error}");
                }
                assert_eq!(started.elapsed(), Duration::ZERO, "{code}");
                assert_eq!(script.requests(), 2);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn probe_that_is_refused_without_a_known_end_fails_the_call() {
    let script = ScriptedProvider::new(|number, _| {
        let headers = if number == 0 { "retry-after: 5\r\n" } else { "" };
        Action::Send(error(429, headers, "insufficient_quota"))
    });
    let pool = pool(&["a"], Limits::default());
    let target = target(&script, &pool, TargetSettings::default());
    let started = Instant::now();
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move { call(&target, 600.0).await })
        })
        .collect();
    for call in calls {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(error.retry_in(), None, "{error}");
        assert_eq!(error.help(), Some(HELP), "{error}");
        assert_eq!(started.elapsed(), Duration::from_secs(5));
    }
}

/// The pause of `on_status` is a time to test the key, not the end of missing credit.
#[tokio::test(start_paused = true)]
async fn configured_pause_is_no_known_end() {
    let script = ScriptedProvider::new(|_, _| Action::Send(error(402, "", "payment_required")));
    let park = KeyAction::Park {
        pause: Duration::from_secs(10),
        scope: KeyScope::Key,
    };
    let settings = TargetSettings {
        on_status: [(402, park)].into_iter().collect(),
        ..TargetSettings::default()
    };
    let target = target(&script, &pool(&["a"], Limits::default()), settings);
    let started = Instant::now();
    let error = call(&target, 600.0).await.unwrap_err();
    assert_eq!(
        (started.elapsed(), error.retry_in()),
        (Duration::ZERO, None),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn known_end_survives_a_restart() {
    let path = std::env::temp_dir().join(format!("llmpool-credit-{}.json", std::process::id()));
    for (headers, is_known) in [("retry-after: 10\r\n", true), ("", false)] {
        let script = ScriptedProvider::new(move |number, _| match number {
            0 => Action::Send(error(402, headers, "payment_required")),
            _ => Action::Send(completion("ok")),
        });
        let load = || {
            let model = ModelEntry::new("m", "http://scripted/v1", ["a"]).with_settings(no_retries());
            let providers = Providers::builder().connector(script.clone());
            providers.model("p", model).build().unwrap()
        };
        let first = load();
        call(&first.model("p/m").unwrap(), 5.0).await.unwrap_err();
        first.save_key_states(&path).unwrap();
        let started = Instant::now();
        let after_restart = || {
            let next = load();
            assert_eq!(next.load_key_states(&path).unwrap(), 1);
            let key = &next.saved_status(&path).unwrap().keys[0];
            assert_eq!(key.state.as_str(), "no quota");
            next.model("p/m").unwrap()
        };
        let outcome = call(&after_restart(), 20.0).await;
        if is_known {
            outcome.unwrap();
            assert!(started.elapsed() > Duration::from_secs(9));
            let earlier = call(&after_restart(), 5.0).await.unwrap_err();
            assert!(earlier.retry_in().is_some(), "{earlier}");
        } else {
            let error = outcome.unwrap_err();
            assert_eq!(error.to_string(), "p/m: no key has credit left");
            assert_eq!(started.elapsed(), Duration::ZERO);
        }
        // A file of an earlier release does not say whether the end is known.
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("no_quota_until", "no_quota")).unwrap();
        let error = call(&after_restart(), 20.0).await.unwrap_err();
        assert_eq!(error.retry_in(), None, "{error}");
    }
    std::fs::remove_file(&path).unwrap();
}
