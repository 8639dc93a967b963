//! Limits against a provider that enforces its own, in paused time: never exceeded, and fully used.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fairness;
mod key_states;
mod missing_credit;
mod outages;
mod restarts;
mod shared_accounts;
#[path = "../support/mod.rs"]
mod support;
mod token_limits;
mod utilization;

use std::sync::Arc;
use std::time::Duration;

use llmpool::chat::ChatRequest;
use llmpool::{
    ApiKeyPool, CallOptions, Error, KeyLimits, Limits, LlmInterface, OpenAiCompatible, TargetSettings,
};
use llmpool_simulator::WindowKind;
use tokio::time::Instant;

use support::ScriptedProvider;

const WINDOWS: [WindowKind; 3] = [WindowKind::Bucket, WindowKind::Fixed, WindowKind::Sliding];

fn rpm(requests: u32) -> Limits {
    Limits {
        rpm: Some(requests),
        ..Limits::default()
    }
}

fn pool(keys: &[&str], limits: Limits) -> ApiKeyPool {
    let limits = KeyLimits {
        limits,
        ..KeyLimits::default()
    };
    ApiKeyPool::with_limits("p", keys.iter().map(|key| ((*key).into(), limits))).unwrap()
}

fn target(script: &Arc<ScriptedProvider>, pool: &ApiKeyPool, settings: TargetSettings) -> OpenAiCompatible {
    OpenAiCompatible::builder(pool, "m", "http://scripted/v1")
        .settings(settings)
        .connector(script.clone())
        .build()
        .unwrap()
}

fn no_retries() -> TargetSettings {
    TargetSettings {
        max_retries: 0,
        ..TargetSettings::default()
    }
}

fn timeout_of(seconds: f64) -> CallOptions {
    CallOptions {
        timeout: Some(Duration::from_secs_f64(seconds)),
        ..CallOptions::default()
    }
}

/// Starts numbered calls at a constant rate. Returns the number of successes, and the errors.
async fn run_at_rate(
    target: &OpenAiCompatible,
    per_second: f64,
    seconds: u64,
    options: CallOptions,
) -> (usize, Vec<Error>) {
    let started = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..(per_second * seconds as f64) as usize {
        tokio::time::sleep_until(started + Duration::from_secs_f64(number as f64 / per_second)).await;
        let (target, options) = (target.clone(), options.clone());
        calls.spawn(async move {
            target
                .chat_with(&ChatRequest::user(number.to_string()), &options)
                .await
        });
    }
    let (mut answered, mut errors) = (0, Vec::new());
    while let Some(call) = calls.join_next().await {
        match call.unwrap() {
            Ok(_) => answered += 1,
            Err(error) => errors.push(error),
        }
    }
    (answered, errors)
}
