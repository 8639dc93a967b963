//! Order and accounting of admission, in paused time.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_core::future::BoxFuture;
use llmpool::KeyEntry;
use llmpool::chat::ChatRequest;
use llmpool::transport::{Connect, ConnectError, Connected};
use llmpool::{
    ApiKeyPool, CallOptions, ErrorKind, FailureKind, KeyLimits, KeyState, Limits, LlmInterface, ModelEntry,
    OpenAiCompatible, Providers, RateLimit, TargetSettings, TokenBucket,
};
use support::{Action, ScriptedProvider, completion, error};
use tokio::time::Instant;

fn pool(keys: &[&str], max_concurrency: Option<u32>) -> ApiKeyPool {
    let limits = KeyLimits {
        limits: Limits {
            max_concurrency,
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    ApiKeyPool::with_limits("p", keys.iter().map(|key| ((*key).into(), limits))).unwrap()
}

fn key(name: &str, max_concurrency: Option<u32>) -> KeyEntry {
    let limits = KeyLimits {
        limits: Limits {
            max_concurrency,
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    KeyEntry {
        limits,
        ..KeyEntry::from(name)
    }
}

fn target(script: &Arc<ScriptedProvider>, pool: &ApiKeyPool, settings: TargetSettings) -> OpenAiCompatible {
    OpenAiCompatible::builder(pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(script.clone())
        .build()
        .unwrap()
}

fn limited(capacity: u32, per_second: f64) -> TargetSettings {
    TargetSettings {
        limits: Limits {
            rate_limit: Some(RateLimit::new(capacity, per_second).unwrap()),
            ..Limits::default()
        },
        ..TargetSettings::default()
    }
}

fn timeout_of(seconds: f64) -> CallOptions {
    CallOptions {
        timeout: Some(Duration::from_secs_f64(seconds)),
        ..CallOptions::default()
    }
}

fn in_flight(target: &OpenAiCompatible) -> Vec<u32> {
    target.key_status().iter().map(|key| key.in_flight).collect()
}

/// Starts a call in a task of its own and runs it until it waits for time to pass.
async fn start(
    target: &OpenAiCompatible,
    options: CallOptions,
) -> tokio::task::JoinHandle<Result<llmpool::ChatResponse, llmpool::Error>> {
    let target = target.clone();
    let call = tokio::spawn(async move { target.chat_with(&ChatRequest::user("hi"), &options).await });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    call
}

// U09, O13
#[tokio::test(start_paused = true)]
async fn two_hundred_calls_are_sent_in_order_within_the_limit() {
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
    let target = target(&script, &pool(&["a", "b"], None), limited(5, 10.0));
    let calls: Vec<_> = (0..200)
        .map(|number| {
            let target = target.clone();
            tokio::spawn(async move {
                let request = ChatRequest::user(number.to_string());
                target.chat(&request).await.unwrap();
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let received = script.received.lock().unwrap();
    let tickets: Vec<u32> = received
        .iter()
        .map(|received| {
            received.body["messages"][0]["content"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    let pairs = (0..200).flat_map(|a| (a + 1..200).map(move |b| (a, b)));
    assert_eq!(pairs.clone().count(), 19_900);
    assert_eq!(pairs.filter(|(a, b)| tickets[*a] > tickets[*b]).count(), 0);
    for (first, from) in received.iter().enumerate() {
        for (last, to) in received.iter().enumerate().skip(first) {
            // Tokio's clock advances in whole milliseconds.
            let allowed = 5.0 + 10.0 * ((to.at - from.at).as_secs_f64() + 0.001);
            assert!((last - first + 1) as f64 <= allowed, "requests {first} to {last}");
        }
    }
    let all = received.last().unwrap().at - received[0].at;
    assert!(
        all >= Duration::from_millis(19_490) && all <= Duration::from_millis(19_900),
        "{all:?}"
    );
}

// O14
#[tokio::test(start_paused = true)]
async fn hopeless_call_is_rejected_at_once_with_the_earliest_time() {
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
    let target = target(&script, &pool(&["a"], None), limited(5, 10.0));
    let mut waiting = Vec::new();
    for _ in 0..25 {
        waiting.push(start(&target, CallOptions::default()).await);
    }
    let before = Instant::now();
    let refused = target
        .chat_with(&ChatRequest::user("hi"), &timeout_of(2.0))
        .await
        .unwrap_err();
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(refused.kind(), ErrorKind::LimitReached);
    // 5 were sent and 20 wait before it: the 21st token refills after 2.1 s.
    assert_eq!(refused.retry_in().unwrap().as_millis().div_ceil(10), 210);
    assert!(refused.to_string().contains("next slot in 2.1 s"), "{refused}");
    let admitted = target
        .chat_with(&ChatRequest::user("hi"), &timeout_of(2.2))
        .await
        .unwrap();
    assert_eq!(admitted.report.waited.as_millis().div_ceil(10), 210);
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    assert_eq!(script.requests(), 26);
}

// U01, O06
#[tokio::test(start_paused = true)]
async fn wait_without_a_grant_changes_no_count() {
    let script = ScriptedProvider::new(|_, _| Action::SendAfter(Duration::from_secs(20), completion("ok")));
    let target = target(&script, &pool(&["a", "b"], Some(1)), TargetSettings::default());
    let busy = [
        start(&target, CallOptions::default()).await,
        start(&target, CallOptions::default()).await,
    ];
    let before = Instant::now();
    for _ in 0..3 {
        let late = target
            .chat_with(&ChatRequest::user("hi"), &timeout_of(1.0))
            .await
            .unwrap_err();
        assert_eq!(late.kind(), ErrorKind::LimitReached);
        assert!(late.attempts().is_empty());
        assert_eq!(in_flight(&target), [1, 1]);
    }
    assert_eq!(before.elapsed().as_millis().div_ceil(10), 300);
    for call in busy {
        call.await.unwrap().unwrap();
    }
    assert_eq!(in_flight(&target), [0, 0]);
}

// U11, O16
#[tokio::test(start_paused = true)]
async fn wait_ends_once_and_is_no_attempt() {
    let script = ScriptedProvider::new(|_, _| Action::SendAfter(Duration::from_secs(100), completion("ok")));
    let target = target(&script, &pool(&["a"], Some(1)), TargetSettings::default());
    let busy = start(&target, CallOptions::default()).await;
    let before = Instant::now();
    let late = target.chat(&ChatRequest::user("hi")).await.unwrap_err();
    assert_eq!(
        before.elapsed().as_secs(),
        30,
        "one wait, even with five retries left"
    );
    assert_eq!((late.kind(), late.attempts().len()), (ErrorKind::LimitReached, 0));
    busy.await.unwrap().unwrap();
}

// O16
#[tokio::test(start_paused = true)]
async fn cancelled_waiter_takes_no_quota() {
    let script = ScriptedProvider::new(|_, _| Action::SendAfter(Duration::from_secs(5), completion("ok")));
    let target = target(&script, &pool(&["a"], Some(1)), limited(3, 0.001));
    let busy = start(&target, CallOptions::default()).await;
    let (leaving, staying) = (
        start(&target, CallOptions::default()).await,
        start(&target, CallOptions::default()).await,
    );
    assert_eq!(target.rate_limit_status().unwrap().available_tokens, 2);
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    assert_eq!(target.rate_limit_status().unwrap().available_tokens, 2);
    busy.await.unwrap().unwrap();
    staying.await.unwrap().unwrap();
    assert_eq!(target.rate_limit_status().unwrap().available_tokens, 1);
    assert_eq!(in_flight(&target), [0]);
}

#[tokio::test(start_paused = true)]
async fn call_that_is_dropped_after_it_was_sent_keeps_its_quota() {
    let script = ScriptedProvider::new(|_, _| Action::SendAfter(Duration::from_secs(5), completion("ok")));
    let target = target(&script, &pool(&["a"], Some(1)), limited(3, 0.001));
    let sent = start(&target, CallOptions::default()).await;
    assert_eq!((script.requests(), in_flight(&target)), (1, vec![1]));
    sent.abort();
    assert!(sent.await.unwrap_err().is_cancelled());
    assert_eq!(in_flight(&target), [0]);
    assert_eq!(target.rate_limit_status().unwrap().available_tokens, 2);
}

/// Never connects.
struct Unreachable;

impl Connect for Unreachable {
    fn connect(&self, _: &http::Uri) -> BoxFuture<'static, Result<Connected, ConnectError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn call_that_is_dropped_before_it_is_sent_returns_its_quota() {
    let target = OpenAiCompatible::builder(&pool(&["a"], Some(1)), "m", "http://unreachable/v1")
        .settings(limited(3, 0.001))
        .connector(Arc::new(Unreachable))
        .build()
        .unwrap();
    let connecting = start(&target, CallOptions::default()).await;
    assert_eq!(in_flight(&target), [1]);
    assert_eq!(target.rate_limit_status().unwrap().available_tokens, 2);
    connecting.abort();
    assert!(connecting.await.unwrap_err().is_cancelled());
    assert_eq!(in_flight(&target), [0]);
    assert_eq!(target.rate_limit_status().unwrap().available_tokens, 3);
}

/// The estimate of the first call leaves no room for a second one, its usage does.
#[tokio::test(start_paused = true)]
async fn completed_call_returns_the_tokens_it_did_not_use() {
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
    let settings = TargetSettings {
        limits: Limits {
            tpm: Some(6000),
            ..Limits::default()
        },
        expected_output_tokens: Some(5000),
        ..TargetSettings::default()
    };
    let target = target(&script, &pool(&["a"], None), settings);
    for _ in 0..2 {
        target
            .chat_with(&ChatRequest::user("hi"), &timeout_of(1.0))
            .await
            .unwrap();
    }
}

// U06, O08, L13
#[tokio::test(start_paused = true)]
async fn call_waits_for_the_first_key_to_return() {
    let script = ScriptedProvider::new(|number, received| match (number, &*received.key) {
        (0..2, "a") => Action::Send(error(429, "retry-after: 7\r\n", "rate_limit_exceeded")),
        (0..2, _) => Action::Send(error(429, "retry-after: 3\r\n", "rate_limit_exceeded")),
        _ => Action::Send(completion("ok")),
    });
    let target = target(&script, &pool(&["a", "b"], None), TargetSettings::default());
    let before = Instant::now();
    let answer = target.chat(&ChatRequest::user("hi")).await.unwrap();
    assert_eq!(before.elapsed().as_millis().div_ceil(10), 300);
    assert_eq!(answer.report.attempts.len(), 3);
    assert_eq!(script.received.lock().unwrap()[2].key, "b");
    let too_short = {
        let script = ScriptedProvider::new(|_, _| {
            Action::Send(error(429, "retry-after: 7\r\n", "rate_limit_exceeded"))
        });
        let target = self::target(&script, &pool(&["a"], None), TargetSettings::default());
        let before = Instant::now();
        let error = target
            .chat_with(&ChatRequest::user("hi"), &timeout_of(5.0))
            .await
            .unwrap_err();
        assert_eq!(before.elapsed(), Duration::ZERO);
        error
    };
    assert_eq!(too_short.kind(), ErrorKind::Attempt(FailureKind::RateLimited));
    assert_eq!(too_short.retry_in().unwrap().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn refused_key_is_probed_once_after_its_cooldown() {
    let script = ScriptedProvider::new(|number, _| match number {
        0 => Action::Send(error(401, "", "invalid_api_key")),
        1 => Action::SendAfter(Duration::from_secs(1), error(401, "", "invalid_api_key")),
        _ => Action::SendAfter(Duration::from_secs(1), completion("ok")),
    });
    let target = target(&script, &pool(&["a"], None), TargetSettings::default());
    let first = target
        .chat_with(&ChatRequest::user("hi"), &timeout_of(1.0))
        .await
        .unwrap_err();
    assert_eq!(first.kind(), ErrorKind::Attempt(FailureKind::InvalidKey));
    assert_eq!(first.retry_in().unwrap().as_secs(), 60);
    tokio::time::sleep(Duration::from_millis(59_990)).await;
    assert_eq!(script.requests(), 1);
    let mut crowd = Vec::new();
    for _ in 0..20 {
        let options = CallOptions {
            wait_for_keys: true,
            ..timeout_of(3.0)
        };
        crowd.push(start(&target, options).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(script.requests(), 2, "a single probe");
    for call in crowd {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Attempt(FailureKind::InvalidKey),
            "{error}"
        );
        assert_eq!(
            error.retry_in().unwrap().as_secs().div_ceil(10),
            12,
            "the cooldown has doubled"
        );
    }
    tokio::time::sleep(Duration::from_secs(121)).await;
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move { target.chat_with(&ChatRequest::user("hi"), &timeout_of(5.0)).await })
        })
        .collect();
    for call in crowd {
        call.await.unwrap().unwrap();
    }
    assert_eq!(target.key_status()[0].state, KeyState::Healthy);
    assert_eq!(in_flight(&target), [0]);
}

// L17
#[tokio::test(start_paused = true)]
async fn abandoned_probe_is_followed_by_another() {
    let script = ScriptedProvider::new(|number, _| match number {
        0 => Action::Send(error(401, "", "invalid_api_key")),
        1 => Action::SendAndHang(Vec::new()),
        _ => Action::Send(completion("ok")),
    });
    let target = target(&script, &pool(&["a"], None), TargetSettings::default());
    target
        .chat_with(&ChatRequest::user("hi"), &timeout_of(1.0))
        .await
        .unwrap_err();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let probe = start(&target, CallOptions::default()).await;
    let next = start(&target, CallOptions::default()).await;
    assert_eq!(
        (script.requests(), target.key_status()[0].state),
        (2, KeyState::Probing)
    );
    probe.abort();
    next.await.unwrap().unwrap();
    assert_eq!(target.key_status()[0].state, KeyState::Healthy);
}

// U10, O10, O11
#[tokio::test(start_paused = true)]
async fn new_pools_share_nothing_by_name() {
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
    let first = target(&script, &pool(&["a"], None), limited(3, 0.001));
    let second = target(&script, &pool(&["b"], None), limited(50, 0.001));
    for _ in 0..3 {
        first.chat(&ChatRequest::user("hi")).await.unwrap();
    }
    assert_eq!(first.id(), second.id());
    assert_eq!(first.rate_limit_status().unwrap().available_tokens, 0);
    assert_eq!(second.rate_limit_status().unwrap().available_tokens, 50);
    drop(first);
    let again = target(&script, &pool(&["c"], None), limited(7, 0.001));
    assert_eq!(again.rate_limit_status().unwrap().available_tokens, 7);
    again.chat(&ChatRequest::user("hi")).await.unwrap();
    assert_eq!(script.received.lock().unwrap().last().unwrap().key, "c");
    let bucket = TokenBucket::new(5, 1.0).unwrap();
    assert!(bucket.try_acquire(5));
    drop(bucket);
    assert!(TokenBucket::new(50, 1.0).unwrap().try_acquire(50));
}

// O29
#[tokio::test(start_paused = true)]
async fn key_has_one_load_across_the_models_of_its_provider() {
    let script = ScriptedProvider::new(|_, _| Action::SendAfter(Duration::from_secs(5), completion("ok")));
    let url = "http://scripted/v1";
    let settings = TargetSettings::default;
    let providers = Providers::builder()
        .connector(script.clone())
        .model(
            "p",
            ModelEntry::new("one", url, ["a", "b"]).with_settings(settings()),
        )
        .model(
            "p",
            ModelEntry::new("two", url, ["b", "c", "a"]).with_settings(settings()),
        )
        .model("q", ModelEntry::new("one", url, ["a"]).with_settings(settings()))
        .build()
        .unwrap();
    let model = |id: &str| providers.model(id).unwrap();
    let mut calls = Vec::new();
    for number in 0..30 {
        let id = if number % 3 == 0 { "p/one" } else { "p/two" };
        calls.push(start(&model(id), CallOptions::default()).await);
    }
    assert_eq!(
        in_flight(&model("p/one")),
        [10, 10],
        "a and b, as both models use them"
    );
    assert_eq!(in_flight(&model("p/two")), [10, 10, 10]);
    assert_eq!(
        in_flight(&model("q/one")),
        [0],
        "a separate key for each provider"
    );
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(script.connections.load(Ordering::SeqCst), 30);
    for id in ["p/one", "p/two", "q/one"] {
        model(id).chat(&ChatRequest::user("hi")).await.unwrap();
    }
    assert_eq!(
        script.connections.load(Ordering::SeqCst),
        30,
        "one set of connections for a base URL"
    );
}

/// Calls of two models that wait for the same key are served in ticket order, whichever polls first when the key returns.
#[tokio::test(start_paused = true)]
async fn call_is_not_overtaken_by_another_model_on_a_shared_key() {
    for second_keys in [["a"].as_slice(), &["a", "dead"]] {
        let script = ScriptedProvider::new(|_, received| {
            match (&*received.key, received.body["messages"][0]["content"].as_str()) {
                ("dead", _) => Action::Send(error(401, "", "invalid_api_key")),
                (_, Some("first")) => Action::Send(error(429, "retry-after: 5\r\n", "rate_limit_exceeded")),
                _ => Action::SendAfter(Duration::from_secs(1), completion("ok")),
            }
        });
        let keys = |names: &[&str]| -> Vec<_> { names.iter().map(|name| key(name, Some(2))).collect() };
        let settings = || TargetSettings {
            max_retries: 0,
            ..TargetSettings::default()
        };
        let providers = Providers::builder()
            .connector(script.clone())
            .model(
                "p",
                ModelEntry::new("one", "http://scripted/v1", keys(&["a"])).with_settings(settings()),
            )
            .model(
                "p",
                ModelEntry::new("two", "http://scripted/v1", keys(second_keys)).with_settings(settings()),
            )
            .build()
            .unwrap();
        let models = ["p/one", "p/two"].map(|id| providers.model(id).unwrap());
        for model in models.iter().rev() {
            model
                .chat_with(&ChatRequest::user("first"), &timeout_of(1.0))
                .await
                .unwrap_err();
        }
        let mut calls = Vec::new();
        for number in [1, 0, 0, 1, 1, 0, 1, 1] {
            let model = models[number].clone();
            let ticket = calls.len().to_string();
            calls.push(tokio::spawn(async move {
                model.chat(&ChatRequest::user(ticket)).await.unwrap();
            }));
            tokio::task::yield_now().await;
        }
        for call in calls {
            call.await.unwrap();
        }
        let received = script.received.lock().unwrap();
        let order: Vec<_> = received
            .iter()
            .filter_map(|received| {
                received.body["messages"][0]["content"]
                    .as_str()?
                    .parse::<u32>()
                    .ok()
            })
            .collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7], "{second_keys:?}");
    }
}

// L28
#[tokio::test(start_paused = true)]
async fn rpm_of_each_key_holds_without_refusals() {
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
    let limits = KeyLimits {
        limits: Limits {
            rpm: Some(60),
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    let keys = ["a", "b", "c", "d"].map(|key| (key.into(), limits));
    let pool = ApiKeyPool::with_limits("p", keys).unwrap();
    let target = target(&script, &pool, TargetSettings::default());
    let started = Instant::now();
    let workers: Vec<_> = (0..16)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move {
                while started.elapsed() < Duration::from_secs(300) {
                    target.chat(&ChatRequest::user("hi")).await.unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let received = script.received.lock().unwrap();
    for key in ["a", "b", "c", "d"] {
        let at: Vec<_> = received
            .iter()
            .filter(|received| received.key == key)
            .map(|received| received.at)
            .collect();
        let minute = Duration::from_secs(60);
        let most = at.iter().enumerate();
        let most =
            most.map(|(first, from)| at[first..].iter().take_while(|to| **to - *from <= minute).count());
        assert!(most.max().unwrap() <= 60);
        assert!(at.len() as f64 >= 0.99 * 300.0, "{} of 300", at.len());
    }
}

/// Successes, refusals, broken connections, deadlines, cancellations and panics in any mix leave every count at 0, and reports match the
/// requests sent.
// U03, O05
#[tokio::test(start_paused = true)]
async fn any_mix_of_outcomes_leaves_nothing_in_flight() {
    for seed in 0..40_usize {
        let script = ScriptedProvider::new(move |number, _| match (number * 7 + seed) % 9 {
            0 => Action::Send(error(500, "", "server_error")),
            1 => Action::Send(error(429, "retry-after: 1\r\n", "rate_limit_exceeded")),
            2 => Action::SendAndClose(Vec::new()),
            3 => Action::SendAndHang(b"HTTP/1.1 200 OK\r\n".to_vec()),
            4 => Action::Send(error(400, "", "bad")),
            _ => Action::SendAfter(Duration::from_millis(40), completion("ok")),
        });
        let keys = |names: [&str; 2]| names.map(|name| key(name, Some(2)));
        let providers = Providers::builder()
            .connector(script.clone())
            .model(
                "p",
                ModelEntry::new("one", "http://scripted/v1", keys(["a", "b"]))
                    .with_settings(limited(1000, 1000.0)),
            )
            .model(
                "p",
                ModelEntry::new("two", "http://scripted/v1", keys(["b", "c"]))
                    .with_settings(limited(1000, 1000.0)),
            )
            .build()
            .unwrap();
        let models = ["p/one", "p/two"].map(|id| providers.model(id).unwrap());
        let calls: Vec<_> = (0..30)
            .map(|number| {
                let target = models[number as usize * 3 % 7 % 2].clone();
                tokio::spawn(async move {
                    let call = async {
                        let outcome = target.chat_with(&ChatRequest::user("hi"), &timeout_of(8.0)).await;
                        assert!(number % 5 != 0, "panic after a call ended");
                        match outcome {
                            Ok(answer) => answer.report.attempts.len(),
                            Err(error) => error.attempts().len(),
                        }
                    };
                    match number % 3 {
                        0 => tokio::time::timeout(Duration::from_millis(number * 13), call)
                            .await
                            .ok(),
                        _ => Some(call.await),
                    }
                })
            })
            .collect();
        let (mut attempts, mut all_reported) = (0, true);
        for call in calls {
            match call.await {
                Ok(Some(made)) => attempts += made,
                _ => all_reported = false,
            }
        }
        assert_eq!(models.each_ref().map(in_flight), [[0, 0], [0, 0]], "seed {seed}");
        assert!(attempts <= script.requests() && !all_reported, "seed {seed}");
        let status = models.each_ref().map(|model| model.rate_limit_status().unwrap());
        let spent: u32 = status.iter().map(|status| 1000 - status.available_tokens).sum();
        assert!(spent as usize <= script.requests(), "seed {seed}");
        assert!(status.iter().all(|status| status.waiting == 0), "seed {seed}");
    }
}

/// A waiter that is not served when a key returns does not poll for that time again.
#[tokio::test(start_paused = true)]
async fn passed_time_is_not_waited_for_again() {
    let script = ScriptedProvider::new(|number, _| match number {
        0 => Action::Send(completion("ok")),
        1 => Action::Send(error(429, "retry-after: 5\r\n", "rate_limit_exceeded")),
        _ => Action::SendAfter(Duration::from_secs(3), completion("ok")),
    });
    let none = || TargetSettings {
        max_retries: 0,
        ..TargetSettings::default()
    };
    let slow = TargetSettings {
        limits: Limits {
            rate_limit: Some(RateLimit::new(2, 1.0).unwrap()),
            ..Limits::default()
        },
        ..none()
    };
    let url = "http://scripted/v1";
    let providers = Providers::builder()
        .connector(script.clone())
        .model(
            "p",
            ModelEntry::new("free", url, [key("a", Some(1))]).with_settings(none()),
        )
        .model(
            "p",
            ModelEntry::new("slow", url, [key("a", Some(1))]).with_settings(slow),
        )
        .build()
        .unwrap();
    let (free, slow) = (
        providers.model("p/free").unwrap(),
        providers.model("p/slow").unwrap(),
    );
    slow.chat_with(&ChatRequest::user("hi"), &timeout_of(1.0))
        .await
        .unwrap();
    slow.chat_with(&ChatRequest::user("hi"), &timeout_of(1.0))
        .await
        .unwrap_err();
    let mut calls = Vec::new();
    for model in [&slow, &slow, &free] {
        calls.push(start(model, CallOptions::default()).await);
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    // Paused time advances only when all tasks are idle, so a busy loop would stop it.
    assert_eq!(script.requests(), 5);
}

// reproduction 16
#[test]
fn waiting_call_takes_two_kilobytes_at_most() {
    /// Of the wait queue for each call: a budget of `scripts/bench`.
    const QUEUED: usize = 200;
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
    let target = target(&script, &pool(&["a"], None), TargetSettings::default());
    let request = ChatRequest::user("hi");
    let timer = size_of::<tokio::time::Sleep>();
    for call in [
        size_of_val(&*target.chat(&request)),
        size_of_val(&*target.chat_stream(&request)),
    ] {
        assert!(call + timer + QUEUED <= 2048, "{call} + {timer} + {QUEUED}");
    }
}
