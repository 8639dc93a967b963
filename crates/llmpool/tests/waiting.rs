//! Waiting calls, in paused time: no call depends on another one being polled, and no call on the runtime of another one.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    ApiKeyPool, CallOptions, ErrorKind, FailureKind, Limits, LlmInterface, OpenAiCompatible, RateLimit,
    TargetSettings, TokenBucket,
};
use support::{Action, ScriptedProvider, completion, error};
use tokio::time::Instant;

fn target(script: &Arc<ScriptedProvider>, keys: &[&str], limits: Limits) -> OpenAiCompatible {
    let pool = ApiKeyPool::new("p", keys.iter().copied()).unwrap();
    let settings = TargetSettings {
        limits,
        ..TargetSettings::default()
    };
    OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(script.clone())
        .build()
        .unwrap()
}

fn rate(capacity: u32, per_second: f64) -> Limits {
    Limits {
        rate_limit: Some(RateLimit::new(capacity, per_second).unwrap()),
        ..Limits::default()
    }
}

fn slots(limit: u32) -> Limits {
    Limits {
        max_concurrency: Some(limit),
        ..Limits::default()
    }
}

fn timeout_of(seconds: u64) -> CallOptions {
    CallOptions {
        timeout: Some(Duration::from_secs(seconds)),
        ..CallOptions::default()
    }
}

async fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    let mut future = Some(future);
    poll_fn(|cx| Poll::Ready(future.take().unwrap().poll(cx))).await
}

// reproduction 8
#[tokio::test(start_paused = true)]
async fn unpolled_head_delays_a_token_bucket_by_one_second() {
    let bucket = TokenBucket::new(1, 10.0).unwrap();
    assert!(bucket.try_acquire(1));
    let mut idle = pin!(bucket.acquire(1, Some(Duration::from_secs(5))));
    assert!(poll_once(idle.as_mut()).await.is_pending());
    let started = Instant::now();
    let others: Vec<_> = (0..5)
        .map(|seconds| {
            let bucket = bucket.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                let arrived = Instant::now();
                bucket.acquire(1, Some(Duration::from_secs(60))).await.unwrap();
                arrived.elapsed()
            })
        })
        .collect();
    for other in others {
        let waited = other.await.unwrap();
        assert!(waited <= Duration::from_millis(1200), "{waited:?}");
    }
    assert!(
        started.elapsed() < Duration::from_millis(4200),
        "{:?}",
        started.elapsed()
    );
    // The head keeps its place, and is served when it is polled again.
    idle.await.unwrap();
}

// reproduction 8
#[tokio::test(start_paused = true)]
async fn unpolled_call_delays_other_calls_by_one_second() {
    let script = ScriptedProvider::new(|_, _| Action::Send(completion("ok")));
    let target = target(&script, &["a"], rate(1, 1.0));
    let request = ChatRequest::user("hi");
    target.chat(&request).await.unwrap();
    let mut idle = pin!(target.chat(&request));
    assert!(poll_once(idle.as_mut()).await.is_pending());
    let started = Instant::now();
    let others: Vec<_> = (0..10)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move { target.chat(&ChatRequest::user("hi")).await.map(|_| ()) })
        })
        .collect();
    for other in others {
        other.await.unwrap().unwrap();
    }
    let elapsed = started.elapsed();
    assert!(elapsed <= Duration::from_millis(11_100), "{elapsed:?}");
}

/// A head that is polled every 3 s, while the slot becomes free every 100 ms.
// reproduction 8
#[tokio::test(start_paused = true)]
async fn slowly_polled_head_is_served_without_stopping_the_others() {
    let script =
        ScriptedProvider::new(|_, _| Action::SendAfter(Duration::from_millis(100), completion("ok")));
    let target = target(&script, &["a"], slots(1));
    let held = tokio::spawn({
        let target = target.clone();
        async move { target.chat(&ChatRequest::user("hi")).await }
    });
    tokio::task::yield_now().await;
    let slow = ChatRequest::user("slow");
    let mut slow = pin!(target.chat(&slow));
    assert!(poll_once(slow.as_mut()).await.is_pending());
    let others: Vec<_> = (0..10)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move { target.chat(&ChatRequest::user("hi")).await.map(|_| ()) })
        })
        .collect();
    let started = Instant::now();
    for other in others {
        other.await.unwrap().unwrap();
    }
    let elapsed = started.elapsed();
    assert!(elapsed <= Duration::from_millis(2200), "{elapsed:?}");
    held.await.unwrap().unwrap();
    slow.await.unwrap();
}

// reproduction 8
#[tokio::test(start_paused = true)]
async fn dropped_head_delays_nobody() {
    let bucket = TokenBucket::new(1, 1.0).unwrap();
    assert!(bucket.try_acquire(1));
    let mut head = Box::pin(bucket.acquire(1, None));
    assert!(poll_once(head.as_mut()).await.is_pending());
    let started = Instant::now();
    let next = tokio::spawn({
        let bucket = bucket.clone();
        async move { bucket.acquire(1, None).await }
    });
    // The head is granted after a second, and dropped before it collects the grant.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    drop(head);
    next.await.unwrap().unwrap();
    assert!(
        started.elapsed() <= Duration::from_millis(1510),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn waiter_is_rejected_at_its_deadline() {
    let script = ScriptedProvider::new(|_, _| Action::SendAndHang(Vec::new()));
    let target = target(&script, &["a"], slots(1));
    let held = tokio::spawn({
        let target = target.clone();
        async move { target.chat(&ChatRequest::user("hi")).await.map(|_| ()) }
    });
    tokio::task::yield_now().await;
    let started = Instant::now();
    let calls: Vec<_> = [7, 3, 5]
        .map(|seconds| {
            let target = target.clone();
            tokio::spawn(async move {
                let result = target
                    .chat_with(&ChatRequest::user("hi"), &timeout_of(seconds))
                    .await;
                (seconds, result.unwrap_err().kind(), started.elapsed())
            })
        })
        .into();
    for call in calls {
        let (seconds, kind, elapsed) = call.await.unwrap();
        assert_eq!(kind, ErrorKind::LimitReached);
        assert_eq!(elapsed.as_millis(), u128::from(seconds) * 1000);
    }
    held.abort();
}

/// The runtime of the first waiter is never polled again, or shut down, while a waiter on another runtime waits.
#[test]
fn waiter_outlives_the_runtime_of_another_waiter() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    for shut_down in [false, true] {
        let bucket = TokenBucket::new(1, 10.0).unwrap();
        assert!(bucket.try_acquire(1));
        let (first, second) = (runtime(), runtime());
        let mut stays = Box::pin(bucket.acquire(1, None));
        first.block_on(async { assert!(poll_once(stays.as_mut()).await.is_pending()) });
        let _kept = if shut_down {
            drop(first);
            None
        } else {
            Some(first)
        };
        second.block_on(async {
            let waiter = tokio::time::timeout(Duration::from_secs(20), bucket.acquire(1, None));
            waiter.await.expect("the waiter was forgotten").unwrap();
        });
        // The waiter of the first runtime can move to the second.
        second.block_on(stays).unwrap();
    }
}

/// A slot that becomes free outside of every runtime.
#[test]
fn slot_freed_outside_a_runtime_serves_the_waiter() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let bucket = TokenBucket::new(2, 5.0).unwrap();
    assert!(bucket.try_acquire(2));
    let mut big = Box::pin({
        let bucket = bucket.clone();
        async move { bucket.acquire(2, None).await }
    });
    runtime.block_on(async { assert!(poll_once(big.as_mut()).await.is_pending()) });
    let small = runtime.spawn(async move { bucket.acquire(1, None).await });
    std::thread::yield_now();
    drop(big);
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(20), small).await })
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn lost_keys_reject_calls_behind_a_head_that_waits_for_keys() {
    let script = ScriptedProvider::new(|_, received| {
        let refuse = received.body["messages"][0]["content"] == "first";
        let answer = if refuse {
            error(401, "", "invalid_api_key")
        } else {
            completion("ok")
        };
        Action::SendAfter(Duration::from_secs(1), answer)
    });
    let target = target(&script, &["a"], slots(1));
    let call = |text: &'static str, wait_for_keys| {
        let target = target.clone();
        let options = CallOptions {
            wait_for_keys,
            ..timeout_of(300)
        };
        tokio::spawn(async move {
            target
                .chat_with(&ChatRequest::user(text), &options)
                .await
                .map(|_| ())
        })
    };
    let started = Instant::now();
    let refused = call("first", false);
    tokio::task::yield_now().await;
    let patient = call("patient", true);
    tokio::task::yield_now().await;
    let others = [call("other", false), call("other", false)];
    refused.await.unwrap().unwrap_err();
    for other in others {
        let error = other.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Attempt(FailureKind::InvalidKey));
        assert_eq!(started.elapsed().as_secs(), 1);
    }
    patient.await.unwrap().unwrap();
}

/// A dropped provider leaves no task behind.
#[tokio::test(start_paused = true)]
async fn no_task_remains_when_nothing_waits() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let bucket = TokenBucket::new(1, 1.0).unwrap();
    assert!(bucket.try_acquire(1));
    let before = tasks();
    bucket.acquire(1, None).await.unwrap();
    let mut waiter = Box::pin(bucket.acquire(1, None));
    assert!(poll_once(waiter.as_mut()).await.is_pending());
    assert_eq!(tasks(), before + 1, "one timer for all waiters");
    drop(waiter);
    drop(bucket);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), before);
}
