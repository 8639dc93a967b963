//! What was foretold, against the same calls in earnest, in paused time.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::forecast::{Arrivals, Recorded, Traffic};
use llmpool::{
    ApiKeyPool, CallOptions, KeyLimits, Limits, LlmInterface, OpenAiCompatible, Quota, TargetSettings,
};
use support::{Play, Scripted, completion};

const LATENCY: Duration = Duration::from_millis(900);
/// How long a call that names no time of its own waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// Steady calls at about eight tenths of the limit, with a crowd every now and then.
fn calls() -> Vec<Recorded> {
    let steady = (0..400_u64).map(|call| Duration::from_millis(call * 250 + call * call % 170));
    let crowds = (1..5_u64).flat_map(|crowd| (0..150).map(move |_| Duration::from_secs(crowd * 20)));
    let call = |at| Recorded {
        at,
        prompt_tokens: 1,
        answer_tokens: 1,
        latency: LATENCY,
        caller: 0,
    };
    let mut calls: Vec<_> = steady.chain(crowds).map(call).collect();
    calls.sort_by_key(|call| call.at);
    calls
}

fn target() -> OpenAiCompatible {
    let script = Scripted::new(|_, _| Play::SendAfter(LATENCY, completion("ok")));
    let limits = KeyLimits {
        limits: Limits {
            minute: Some(Quota::per_minute(150, 5).unwrap()),
            max_concurrency: Some(2),
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    let pool = ApiKeyPool::with_limits("p", ["a", "b"].map(|key| (key.into(), limits))).unwrap();
    let settings = TargetSettings {
        rate_limit: Some((8, 5.0)),
        ..TargetSettings::default()
    };
    OpenAiCompatible::with_connector(&pool, "m", "http://scripted/v1", settings, script).unwrap()
}

#[tokio::test(start_paused = true)]
async fn calls_wait_as_long_as_was_foretold() {
    let target = target();
    let calls = calls();
    let told = target.forecast(&Traffic {
        arrivals: Arrivals::Recorded(calls.clone()),
        burst: None,
        span: Duration::from_secs(101),
        latency: LATENCY,
        prompt_tokens: 1,
        answer_tokens: 1,
        expected_answer: None,
        patience: PATIENCE,
        seed: 1,
    });
    let begun = tokio::time::Instant::now();
    let tasks: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let target = target.clone();
            tokio::spawn(async move {
                tokio::time::sleep_until(begun + call.at).await;
                let (ask, options) = (ChatRequest::user("hi"), CallOptions::default());
                let answer = target.chat(&ask, &options).await;
                answer.ok().map(|answer| answer.report.waited)
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await.unwrap());
    }
    waits.sort_unstable();
    println!(
        "{} of {} answered in earnest; foretold: {}",
        waits.len(),
        told.offered,
        told.served
    );
    assert!(told.shed.too_late > 20, "{:?}", told.shed);
    assert!(told.served.abs_diff(waits.len() as u64) <= 2);
    for part in [0.1, 0.5, 0.9, 0.99] {
        let really = waits[(waits.len() as f64 * part) as usize].as_secs_f64();
        let foretold = told.wait(part).as_secs_f64();
        println!("p{:.0}: {really:.3}s, foretold {foretold:.3}s", part * 100.0);
        assert!((foretold - really).abs() < 0.02);
    }
}
