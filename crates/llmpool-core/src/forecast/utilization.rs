//! How much of each limit was used.

use std::time::Duration;

use crate::limits::{KeyId, LimitKind, Limiter, Limits, TargetId, WaitReason};

/// The usage of a key over all models, in the time that the forecast covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyUsage {
    /// The key.
    pub key: KeyId,
    /// The number of calls that were admitted with this key.
    pub calls: u64,
    /// Prompt and output tokens of these calls.
    pub tokens: u64,
    /// The limit with the highest utilization among those of the key and of its account, if any is set.
    pub most_used: Option<Utilization>,
}

/// The utilization of one limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utilization {
    /// The limit.
    pub limit: WaitReason,
    /// Used amount divided by what the limit allows in the time that the forecast covers. Above 1 where calls used more tokens than they
    /// reserved, or where a window ends after the forecast.
    pub share: f64,
}

/// The usage of a key or a model in the time that the forecast covers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UsageTotals {
    pub(super) calls: u64,
    pub(super) tokens: u64,
    /// The sum of the durations of all attempts, in seconds.
    pub(super) busy_seconds: f64,
}

impl UsageTotals {
    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.tokens += other.tokens;
        self.busy_seconds += other.busy_seconds;
    }
}

/// Returns the limit of a model with the highest utilization, key limits aside.
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

/// Returns the usage of a key. `totals` holds the usage of all keys of the limiter, by index.
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

/// Returns the used share of each limit that is set; the kind `None` stands for concurrency.
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
