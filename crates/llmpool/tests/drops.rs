//! Calls and streams that are dropped after each possible number of polls: slots and tokens are returned, and the provider sees the abort.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{ApiKeyPool, CallOptions, Limits, LlmInterface, OpenAiCompatible, RateLimit, TargetSettings};
use llmpool_simulator::{Scenario, Simulator};

const CAPACITY: u32 = 1000;

/// The effects of one call that was polled a number of times and then dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    finished: bool,
    /// Tokens taken from the rate limit and not refunded.
    spent: u32,
    /// Requests of which the provider received at least one byte.
    received: u64,
}

/// Polls a call `polls` times, with a millisecond for the network after each poll, and drops it.
async fn drop_after(polls: usize, streamed: bool) -> Outcome {
    let scenario = r#"{"keys":[{"key":"k"}],"answer":"one two three","head_delay":0.03,"chunk_delay":0.002}"#;
    let simulator = Simulator::start(Scenario::from_json(scenario).unwrap())
        .await
        .unwrap();
    let pool = ApiKeyPool::new("p", ["k"]).unwrap();
    let settings = TargetSettings {
        limits: Limits {
            rate_limit: Some(RateLimit::new(CAPACITY, 0.001).unwrap()),
            ..Limits::default()
        },
        ..TargetSettings::default()
    };
    let target = OpenAiCompatible::builder(&pool, "m", simulator.url())
        .settings(settings)
        .build()
        .unwrap();
    let (request, options) = (ChatRequest::user("hi"), CallOptions::default());
    let mut call: Pin<Box<dyn Future<Output = ()> + '_>> = if streamed {
        Box::pin(async {
            let mut stream = target.chat_stream_with(&request, &options).await.unwrap();
            while let Some(chunk) = stream.next().await {
                chunk.unwrap();
            }
        })
    } else {
        Box::pin(async { drop(target.chat_with(&request, &options).await.unwrap()) })
    };
    let mut finished = false;
    for _ in 0..polls {
        if finished {
            break;
        }
        finished = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(call);
    assert_eq!(target.key_status()[0].in_flight, 0, "after {polls} polls");
    let spent = CAPACITY - target.rate_limit_status().unwrap().available_tokens;
    let received = simulator.stats().requests_with_bytes;
    if !finished {
        let aborted = simulator
            .wait_for(
                |stats| stats.connections_open == 0 && stats.in_flight == 0,
                Duration::from_millis(200),
            )
            .await;
        if aborted.is_err() {
            // The answer was already complete, so that the connection is kept for the next call.
            assert!(streamed, "the provider saw no abort after {polls} polls");
            target.chat_with(&request, &options).await.unwrap();
            assert_eq!(simulator.stats().connections_opened, 1, "after {polls} polls");
        }
    }
    Outcome {
        finished,
        spent,
        received,
    }
}

async fn drop_after_each_number_of_polls(streamed: bool) {
    let mut outcomes = Vec::new();
    for polls in 0..500 {
        let outcome = drop_after(polls, streamed).await;
        assert!(
            outcome.spent <= 1,
            "one call, one token: {outcome:?} after {polls} polls"
        );
        assert!(
            u64::from(outcome.spent) >= outcome.received,
            "a request received by the provider costs a token: {outcome:?} after {polls} polls"
        );
        outcomes.push(outcome);
        if outcome.finished {
            break;
        }
    }
    let last = outcomes.last().unwrap();
    assert!(last.finished && last.spent == 1, "{last:?}");
    let count =
        |predicate: fn(&Outcome) -> bool| outcomes[1..].iter().filter(|outcome| predicate(outcome)).count();
    assert!(
        count(|outcome| outcome.spent == 0) > 0,
        "dropped before the request was sent: {outcomes:?}"
    );
    assert!(
        count(|outcome| !outcome.finished && outcome.spent == 1 && outcome.received == 1) > 0,
        "dropped during the response: {outcomes:?}"
    );
}

// U03, O05, O16
#[tokio::test]
async fn call_dropped_after_any_number_of_polls_leaks_nothing() {
    drop_after_each_number_of_polls(false).await;
}

// U03, O05, O16
#[tokio::test]
async fn stream_dropped_after_any_number_of_polls_leaks_nothing() {
    drop_after_each_number_of_polls(true).await;
}
