//! Names of limits, and numbers with units, in the output of a plan.

use std::time::Duration;

use llmpool::forecast::Forecast;
use llmpool::{LimitKind, WaitReason};

/// Returns the reasons for waiting, each with its share of the total time waited.
pub(super) fn wait_shares(forecast: &Forecast) -> impl Iterator<Item = (WaitReason, f64)> {
    let reasons = forecast.wait_reasons.iter();
    let reasons = reasons.map(|(reason, waited)| (*reason, waited.as_secs_f64()));
    let total: f64 = reasons.clone().map(|(_, waited)| waited).sum();
    reasons.map(move |(reason, waited)| (reason, waited / total))
}

/// Returns the name of a limit with its owner.
pub(super) fn limit(reason: WaitReason) -> String {
    let owner = match reason {
        WaitReason::Target(_) | WaitReason::TargetConcurrency => "the model's ",
        WaitReason::KeyLimits(_) | WaitReason::KeyConcurrency => "the keys' ",
        WaitReason::TargetCooldown | WaitReason::KeysUnavailable(_) => "",
    };
    format!("{owner}{}", limit_kind(reason))
}

/// Returns the name of a limit without its owner.
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

/// Returns the name of a limit in JSON output. The names are stable.
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

/// Formats a duration with three significant digits below 10 s, and in whole seconds above.
pub(super) fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        short if short < 9.995 => format!("{short:.2} s"),
        long => format!("{long:.0} s"),
    }
}
