//! What was foretold, against the same calls in earnest, in paused time.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::forecast::{Arrivals, Forecast, Recorded, Traffic};
use llmpool::{
    ApiKeyPool, CallOptions, KeyLimits, LimitKind, Limits, LlmInterface, OpenAiCompatible, RateLimit,
    TargetSettings, WaitReason,
};
use support::{COMPLETION, Play, Scripted, answer, completion};

const LATENCY: Duration = Duration::from_millis(900);
/// How long a call that names no time of its own waits for its turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// Steady calls at about eight tenths of the limit, with a crowd every now and then.
fn calls() -> Vec<Recorded> {
    let steady = (0..400_u64).map(|call| Duration::from_millis(call * 250 + call * call % 170));
    let crowds = (1..5_u64).flat_map(|crowd| (0..150).map(move |_| Duration::from_secs(crowd * 20)));
    let call = |at| Recorded {
        at,
        ..Recorded::default()
    };
    let mut calls: Vec<_> = steady.chain(crowds).map(call).collect();
    calls.sort_by_key(|call| call.at);
    calls
}

fn target(script: Arc<Scripted>, of_key: Limits, settings: TargetSettings) -> OpenAiCompatible {
    let limits = KeyLimits {
        limits: of_key,
        ..KeyLimits::default()
    };
    let pool = ApiKeyPool::with_limits("p", ["a", "b"].map(|key| (key.into(), limits))).unwrap();
    OpenAiCompatible::with_connector(&pool, "m", "http://scripted/v1", settings, script).unwrap()
}

fn foretold(target: &OpenAiCompatible, calls: Vec<Recorded>, tokens: (u32, u32)) -> Forecast {
    let traffic = Traffic {
        span: calls.iter().map(|call| call.at).max().unwrap() + Duration::from_secs(1),
        arrivals: Arrivals::Recorded(calls),
        burst: None,
        latency: LATENCY.into(),
        prompt_tokens: tokens.0.into(),
        answer_tokens: tokens.1.into(),
        expected_answer: None,
        patience: PATIENCE,
        seed: 1,
    };
    target.forecast(&traffic).unwrap()
}

/// Makes the calls. Answers how long those waited that got through, the shortest first.
async fn really(target: &OpenAiCompatible, calls: Vec<Recorded>) -> Vec<Duration> {
    let begun = tokio::time::Instant::now();
    let tasks: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let target = target.clone();
            tokio::spawn(async move {
                tokio::time::sleep_until(begun + call.at).await;
                let (ask, options) = (ChatRequest::user("hi"), CallOptions::default());
                let answer = target.chat_with(&ask, &options).await;
                answer.ok().map(|answer| answer.report.waited)
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await.unwrap());
    }
    waits.sort_unstable();
    waits
}

fn assert_same(told: &Forecast, waits: &[Duration]) {
    assert!(
        told.served.abs_diff(waits.len() as u64) <= 2,
        "{} of {} answered; foretold: {}",
        waits.len(),
        told.offered,
        told.served
    );
    for part in [0.1, 0.5, 0.9, 0.99] {
        let really = waits[(waits.len() as f64 * part) as usize].as_secs_f64();
        let foretold = told.wait(part).as_secs_f64();
        assert!(
            (foretold - really).abs() < 0.02,
            "p{:.0}: {really:.3} s, foretold {foretold:.3} s",
            part * 100.0
        );
    }
}

#[tokio::test(start_paused = true)]
async fn calls_wait_as_long_as_was_foretold() {
    let script = Scripted::new(|_, _| Play::SendAfter(LATENCY, completion("ok")));
    let of_key = Limits {
        minute: Some(RateLimit::per_minute(150, 5).unwrap()),
        max_concurrency: Some(2),
        ..Limits::default()
    };
    let settings = TargetSettings {
        rate_limit: Some((8, 5.0)),
        ..TargetSettings::default()
    };
    let target = target(script, of_key, settings);
    let told = foretold(&target, calls(), (1, 1));
    assert!(told.shed.too_late > 20, "{:?}", told.shed);
    assert_same(&told, &really(&target, calls()).await);
}

/// What calls reserve is more than what they use, and what is left over is given to others once it is known.
// L33
#[tokio::test(start_paused = true)]
async fn tokens_are_reserved_and_settled_as_was_foretold() {
    const ANSWER: u32 = 40;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let prompt = llmpool_core::estimate::tokens(body.as_bytes());
    let all = prompt + ANSWER;
    let usage = format!(r#"{{"prompt_tokens":{prompt},"completion_tokens":{ANSWER},"total_tokens":{all}}}"#);
    let said = r#""usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#;
    let body = COMPLETION.replace(said, &format!(r#""usage":{usage}"#));
    let script = Scripted::new(move |_, _| Play::SendAfter(LATENCY, answer(200, "", &body)));
    let of_key = Limits {
        tokens: Some(6000),
        ..Limits::default()
    };
    let target = target(script, of_key, TargetSettings::default());
    let told = foretold(&target, calls(), (prompt, ANSWER));
    assert_eq!(told.waited_for[0].0, WaitReason::KeyLimits(LimitKind::Tokens));
    assert_same(&told, &really(&target, calls()).await);
}
