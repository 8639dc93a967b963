//! Formats names of limits and numbers with units for the output of `llmpool plan`.

use std::time::Duration;

use llmpool::forecast::Forecast;
use llmpool::{LimitKind, WaitReason};

/// Returns the reasons why calls waited, each with its share of the total waiting time, from 0 to 1.
pub(super) fn wait_shares(forecast: &Forecast) -> impl Iterator<Item = (WaitReason, f64)> {
    let reasons = forecast.wait_reasons.iter();
    let reasons = reasons.map(|(reason, waited)| (*reason, waited.as_secs_f64()));
    let total: f64 = reasons.clone().map(|(_, waited)| waited).sum();
    reasons.map(move |(reason, waited)| (reason, waited / total))
}

/// Returns the name of the limit that calls waited for, with its owner, such as `the model's request rate`.
pub(super) fn limit(reason: WaitReason) -> String {
    let owner = match reason {
        WaitReason::Target(_) | WaitReason::TargetConcurrency => "the model's ",
        WaitReason::KeyLimits(_) | WaitReason::KeyConcurrency => "the keys' ",
        WaitReason::TargetCooldown | WaitReason::KeysUnavailable(_) => "",
    };
    format!("{owner}{}", limit_kind(reason))
}

/// Returns the name of the limit that calls waited for, without its owner, such as `request rate`.
pub(super) fn limit_kind(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::Target(kind) | WaitReason::KeyLimits(kind) => match kind {
            LimitKind::Requests => "request rate",
            LimitKind::Tokens => "tokens per minute",
            LimitKind::Day => "requests per day",
        },
        WaitReason::TargetConcurrency | WaitReason::KeyConcurrency => "max_concurrency",
        WaitReason::TargetCooldown | WaitReason::KeysUnavailable(_) => "cooldowns",
    }
}

/// Returns the JSON name of the limit that calls waited for, such as `model_requests`. The names are stable.
pub(super) fn json_name(reason: WaitReason) -> &'static str {
    match reason {
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

pub(super) fn per_second(rate: f64) -> String {
    format!("{rate:.1}/s")
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Formats a duration in seconds: with two decimals if it is shorter than 10 s, otherwise without decimals.
pub(super) fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        short if short < 9.995 => format!("{short:.2} s"),
        long => format!("{long:.0} s"),
    }
}
