//! Many concurrent calls on several threads: no wake-up is lost, even if waiters are cancelled at any time.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::Duration;

use llmpool::KeyEntry;
use llmpool::chat::ChatRequest;
use llmpool::{CallOptions, KeyLimits, Limits, LlmInterface, ModelEntry, Providers, TokenBucket};
use support::{Action, Server, completion, recorded, stream_of};

/// Each release wakes the next waiter, so one lost wake-up blocks its queue until a deadline passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_thousand_calls_on_few_slots_all_complete() {
    let server = Server::start(|number, received| match received.body.get("stream") {
        Some(_) => Action::Send(stream_of(&recorded())),
        None => Action::SendAfter(Duration::from_micros(number as u64 % 7 * 100), completion("ok")),
    })
    .await;
    let keys = |names: &[&str]| -> Vec<_> {
        let limits = KeyLimits {
            limits: Limits {
                max_concurrency: Some(2),
                ..Limits::default()
            },
            ..KeyLimits::default()
        };
        let entry = |name: &&str| KeyEntry {
            limits,
            ..KeyEntry::from(*name)
        };
        names.iter().map(entry).collect()
    };
    let providers = Providers::builder()
        .model("p", ModelEntry::new("one", &server.url, keys(&["a", "b"])))
        .model("p", ModelEntry::new("two", &server.url, keys(&["b", "c"])))
        .build()
        .unwrap();
    let models = ["p/one", "p/two"].map(|id| providers.model(id).unwrap());
    let calls: Vec<_> = (0..2000_u64)
        .map(|number| {
            let model = models[number as usize % 2].clone();
            tokio::spawn(async move {
                let (request, options) = (ChatRequest::user("hi"), CallOptions::default());
                let call = async {
                    if number % 3 == 0 {
                        let stream = model.chat_stream_with(&request, &options).await.unwrap();
                        assert_eq!(stream.into_response().await.unwrap().text(), "Hello world");
                    } else {
                        assert_eq!(model.chat_with(&request, &options).await.unwrap().text(), "ok");
                    }
                };
                match number % 5 {
                    0 => drop(tokio::time::timeout(Duration::from_micros(number * 131 % 90_000), call).await),
                    _ => call.await,
                }
            })
        })
        .collect();
    let all = async {
        for call in calls {
            call.await.unwrap();
        }
    };
    // Waiting fails after 30 s by default; the calls take a second or two.
    tokio::time::timeout(Duration::from_secs(25), all).await.unwrap();
    for model in &models {
        assert!(model.key_status().iter().all(|key| key.in_flight == 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bucket_serves_waiters_of_many_threads_in_time() {
    let bucket = TokenBucket::new(10, 4000.0).unwrap();
    let started = std::time::Instant::now();
    let waiters: Vec<_> = (0..2000_u64)
        .map(|number| {
            let bucket = bucket.clone();
            tokio::spawn(async move {
                if number % 4 == 0 {
                    let timeout = Duration::from_micros(number * 37 % 60_000);
                    return tokio::time::timeout(timeout, bucket.acquire(1, None))
                        .await
                        .is_ok();
                }
                bucket.acquire(1, None).await.is_ok()
            })
        })
        .collect();
    let mut served = 0;
    for waiter in waiters {
        served += u32::from(waiter.await.unwrap());
    }
    let (most, took) = (10.0 + 4000.0 * started.elapsed().as_secs_f64(), started.elapsed());
    assert!(
        served >= 1500 && f64::from(served) <= most,
        "{served} in {took:?}"
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(bucket.rate_limit_status().waiting, 0);
}
