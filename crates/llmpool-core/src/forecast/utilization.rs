//! The utilization of limits, and the usage of keys, in a forecast.

use std::time::Duration;

use crate::limits::{KeyId, LimitKind, Limiter, Limits, TargetId, WaitReason};

/// The usage of a key by the calls of all models, in the span of the forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyUsage {
    /// The id of the key.
    pub key: KeyId,
    /// The number of calls that were admitted with this key.
    pub calls: u64,
    /// The total number of prompt and output tokens of these calls.
    pub tokens: u64,
    /// The utilization of the most used limit among the limits of the key and of its account; `None` if neither has a limit.
    pub most_used: Option<Utilization>,
}

/// The utilization of one limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utilization {
    /// The limit, named by the reason for which calls wait for it.
    pub limit: WaitReason,
    /// The used amount, divided by the amount that the limit allows in the span of the forecast. The share exceeds 1 if calls used more
    /// tokens than they reserved, or if the last window of the limit ends after the span.
    pub share: f64,
}

/// The usage of a key or a model in the span of the forecast.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UsageTotals {
    pub(super) calls: u64,
    pub(super) tokens: u64,
    /// The sum of the latencies of all calls in seconds. The part of a latency that exceeds the span is not counted.
    pub(super) busy_seconds: f64,
}

impl UsageTotals {
    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.tokens += other.tokens;
        self.busy_seconds += other.busy_seconds;
    }
}

/// Returns the utilization of the most used limit among the model's own limits, which do not include the limits of its keys. Returns `None`
/// if the model has no limits of its own.
pub(super) fn model_utilization(
    limiter: &Limiter,
    target: TargetId,
    totals: &UsageTotals,
    span: Duration,
) -> Option<Utilization> {
    let used = used_shares(limiter.target_limits(target), totals, span).map(|(kind, share)| Utilization {
        limit: kind.map_or(WaitReason::TargetConcurrency, WaitReason::Target),
        share,
    });
    used.reduce(higher)
}

/// Returns the usage of a key. `totals` contains the usage of all keys of the limiter, by the index of the key.
pub(super) fn key_usage(limiter: &Limiter, key: KeyId, totals: &[UsageTotals], span: Duration) -> KeyUsage {
    let key_totals = &totals[key.index()];
    let (own_limits, account_limits) = limiter.configured_limits(key);
    let account_totals = limiter.group_of(key).map(|group| {
        let mut sum = UsageTotals::default();
        let members = limiter.members(group).iter();
        members.for_each(|member| sum.add(&totals[member.index()]));
        sum
    });
    let of_account = account_limits
        .zip(account_totals)
        .map(|(limits, totals)| used_shares(&limits, &totals, span).collect::<Vec<_>>());
    let used = used_shares(&own_limits, key_totals, span).chain(of_account.into_iter().flatten());
    let used = used.map(|(kind, share)| Utilization {
        limit: kind.map_or(WaitReason::KeyConcurrency, WaitReason::KeyLimits),
        share,
    });
    KeyUsage {
        key,
        calls: key_totals.calls,
        tokens: key_totals.tokens,
        most_used: used.reduce(higher),
    }
}

/// Returns the kind and the used share of each limit that is set. The kind of the concurrency limit is `None`.
fn used_shares(
    limits: &Limits,
    totals: &UsageTotals,
    span: Duration,
) -> impl Iterator<Item = (Option<LimitKind>, f64)> {
    let seconds = span.as_secs_f64();
    let rates = limits.rate_limits();
    let rates = rates.map(|rate| f64::from(rate.capacity()) + rate.per_second() * seconds);
    let allowed = |max: u32, window: f64| f64::from(max) * (seconds / window).max(1.0);
    let (calls, tokens) = (totals.calls as f64, totals.tokens as f64);
    let requests = rates
        .reduce(f64::min)
        .map(|max| (Some(LimitKind::Requests), calls / max));
    let minute = limits
        .tpm
        .map(|max| (Some(LimitKind::Tokens), tokens / allowed(max, 60.0)));
    let day = limits
        .rpd
        .map(|max| (Some(LimitKind::Day), calls / allowed(max, 86_400.0)));
    let slots = limits.max_concurrency;
    let slots = slots.map(|max| (None, totals.busy_seconds / (f64::from(max) * seconds)));
    [requests, minute, day, slots].into_iter().flatten()
}

fn higher(a: Utilization, b: Utilization) -> Utilization {
    if b.share > a.share { b } else { a }
}
