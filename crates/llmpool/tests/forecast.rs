//! Forecasts compared with the same calls made for real, in paused time.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::forecast::{Arrivals, Forecast, RecordedCall, Traffic};
use llmpool::{
    ApiKeyPool, KeyLimits, LimitKind, Limits, LlmInterface, OpenAiCompatible, RateLimit, TargetSettings,
    WaitReason,
};
use support::{Action, COMPLETION, ScriptedProvider, answer, completion};

const LATENCY: Duration = Duration::from_millis(900);
/// How long a call without a timeout of its own waits for admission.
const PATIENCE: Duration = Duration::from_secs(30);

/// Steady calls at about 80 % of the limit, with a burst every 20 s.
fn calls() -> Vec<RecordedCall> {
    let steady = (0..400_u64).map(|call| Duration::from_millis(call * 250 + call * call % 170));
    let bursts = (1..5_u64).flat_map(|burst| (0..150).map(move |_| Duration::from_secs(burst * 20)));
    let call = |at| RecordedCall {
        at,
        ..RecordedCall::default()
    };
    let mut calls: Vec<_> = steady.chain(bursts).map(call).collect();
    calls.sort_by_key(|call| call.at);
    calls
}

fn target(script: Arc<ScriptedProvider>, key_limits: Limits, settings: TargetSettings) -> OpenAiCompatible {
    let limits = KeyLimits {
        limits: key_limits,
        ..KeyLimits::default()
    };
    let pool = ApiKeyPool::with_limits("p", ["a", "b"].map(|key| (key.into(), limits))).unwrap();
    OpenAiCompatible::builder(&pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(script)
        .build()
        .unwrap()
}

fn forecast(target: &OpenAiCompatible, calls: Vec<RecordedCall>, tokens: (u32, u32)) -> Forecast {
    let traffic = Traffic {
        span: calls.iter().map(|call| call.at).max().unwrap() + Duration::from_secs(1),
        arrivals: Arrivals::Recorded(calls),
        burst: None,
        latency: LATENCY.into(),
        prompt_tokens: tokens.0.into(),
        output_tokens: tokens.1.into(),
        expected_output: None,
        patience: PATIENCE,
        seed: 1,
    };
    target.forecast(&traffic).unwrap()
}

/// Makes the calls. Returns the waits of the admitted calls in ascending order.
async fn measure_waits(target: &OpenAiCompatible, calls: Vec<RecordedCall>) -> Vec<Duration> {
    let started = tokio::time::Instant::now();
    let tasks: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let target = target.clone();
            tokio::spawn(async move {
                tokio::time::sleep_until(started + call.at).await;
                let answer = target.chat(&ChatRequest::user("hi")).await;
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

fn assert_same(forecast: &Forecast, waits: &[Duration]) {
    assert!(
        forecast.admitted.abs_diff(waits.len() as u64) <= 2,
        "{} of {} calls admitted, forecast {}",
        waits.len(),
        forecast.offered,
        forecast.admitted
    );
    for quantile in [0.1, 0.5, 0.9, 0.99] {
        let measured = waits[(waits.len() as f64 * quantile) as usize].as_secs_f64();
        let forecast = forecast.wait_quantile(quantile).as_secs_f64();
        assert!(
            (forecast - measured).abs() < 0.02,
            "p{:.0}: measured {measured:.3} s, forecast {forecast:.3} s",
            quantile * 100.0
        );
    }
}

#[tokio::test(start_paused = true)]
async fn waits_match_the_forecast() {
    let script = ScriptedProvider::new(|_, _| Action::SendAfter(LATENCY, completion("ok")));
    let key_limits = Limits {
        rate_limit: Some(RateLimit::new(5, 10.0).unwrap()),
        rpm: Some(150),
        max_concurrency: Some(2),
        ..Limits::default()
    };
    let settings = TargetSettings {
        limits: Limits {
            rate_limit: Some(RateLimit::new(8, 5.0).unwrap()),
            ..Limits::default()
        },
        ..TargetSettings::default()
    };
    let target = target(script, key_limits, settings);
    let forecast = forecast(&target, calls(), (1, 1));
    assert!(forecast.rejected.too_late > 20, "{:?}", forecast.rejected);
    assert_same(&forecast, &measure_waits(&target, calls()).await);
}

// Calls reserve more tokens than they use; the difference is released when the usage is known.
// L33
#[tokio::test(start_paused = true)]
async fn token_settlement_matches_the_forecast() {
    const OUTPUT: u32 = 40;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let prompt = llmpool_core::estimate::tokens(body.as_bytes());
    let all = prompt + OUTPUT;
    let usage = format!(r#"{{"prompt_tokens":{prompt},"completion_tokens":{OUTPUT},"total_tokens":{all}}}"#);
    let usage_of_completion = r#""usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}"#;
    let body = COMPLETION.replace(usage_of_completion, &format!(r#""usage":{usage}"#));
    let script = ScriptedProvider::new(move |_, _| Action::SendAfter(LATENCY, answer(200, "", &body)));
    let key_limits = Limits {
        tpm: Some(6000),
        ..Limits::default()
    };
    let target = target(script, key_limits, TargetSettings::default());
    let forecast = forecast(&target, calls(), (prompt, OUTPUT));
    assert_eq!(
        forecast.wait_reasons[0].0,
        WaitReason::KeyLimits(LimitKind::Tokens)
    );
    assert_same(&forecast, &measure_waits(&target, calls()).await);
}
