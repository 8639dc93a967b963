//! Limits and amounts in words.

use std::time::Duration;

use llmpool::forecast::Forecast;
use llmpool::{LimitKind, WaitReason};

/// What calls waited for, and which share of all waiting that was.
pub(super) fn shares(forecast: &Forecast) -> impl Iterator<Item = (WaitReason, f64)> {
    let waited_for = forecast.wait_reasons.iter();
    let waited_for = waited_for.map(|(why, waited)| (*why, waited.as_secs_f64()));
    let all: f64 = waited_for.clone().map(|(_, waited)| waited).sum();
    waited_for.map(move |(why, waited)| (why, waited / all))
}

/// Whose limit it is, and of what.
pub(super) fn limit(why: WaitReason) -> &'static str {
    match why {
        WaitReason::Target(LimitKind::Requests) => "the model's rate of requests",
        WaitReason::Target(LimitKind::Tokens) => "the model's tokens a minute",
        WaitReason::Target(LimitKind::Day) => "the model's requests a day",
        WaitReason::TargetConcurrency => "the model's max_concurrency",
        WaitReason::KeyLimits(LimitKind::Requests) => "its keys' rates of requests",
        WaitReason::KeyLimits(LimitKind::Tokens) => "its keys' tokens a minute",
        WaitReason::KeyLimits(LimitKind::Day) => "its keys' requests a day",
        WaitReason::KeyConcurrency => "its keys' max_concurrency",
        WaitReason::TargetCooldown | WaitReason::KeysUnavailable(_) => "pauses",
    }
}

/// Of what it is, where it is plain whose.
pub(super) fn own_limit(why: WaitReason) -> &'static str {
    match why {
        WaitReason::Target(counts) | WaitReason::KeyLimits(counts) => match counts {
            LimitKind::Requests => "rate of requests",
            LimitKind::Tokens => "tokens a minute",
            LimitKind::Day => "requests a day",
        },
        WaitReason::TargetConcurrency | WaitReason::KeyConcurrency => "max_concurrency",
        WaitReason::TargetCooldown | WaitReason::KeysUnavailable(_) => "pauses",
    }
}

/// As programs know it.
pub(super) fn name(why: WaitReason) -> &'static str {
    match why {
        WaitReason::Target(LimitKind::Requests) => "model_requests",
        WaitReason::Target(LimitKind::Tokens) => "model_tokens",
        WaitReason::Target(LimitKind::Day) => "model_requests_a_day",
        WaitReason::TargetConcurrency => "model_concurrency",
        WaitReason::KeyLimits(LimitKind::Requests) => "key_requests",
        WaitReason::KeyLimits(LimitKind::Tokens) => "key_tokens",
        WaitReason::KeyLimits(LimitKind::Day) => "key_requests_a_day",
        WaitReason::KeyConcurrency => "key_concurrency",
        WaitReason::TargetCooldown | WaitReason::KeysUnavailable(_) => "pauses",
    }
}

pub(super) fn keys(count: usize) -> String {
    match count {
        1 => "1 key".to_owned(),
        several => format!("{several} keys"),
    }
}

pub(super) fn a_second(rate: f64) -> String {
    format!("{rate:.1} a second")
}

pub(super) fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

pub(super) fn seconds(span: Duration) -> String {
    match span.as_secs_f64() {
        short if short < 9.995 => format!("{short:.2} s"),
        long => format!("{long:.0} s"),
    }
}
