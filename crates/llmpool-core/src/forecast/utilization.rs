//! How much of each limit the calls of a forecast use, and how many calls use each key.

use std::time::Duration;

use crate::limits::{KeyId, LimitKind, Limiter, Limits, TargetId, WaitReason};

/// The usage of one API key by the calls of all models, during the span of a forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyUsage {
    /// The id of the key in its limiter.
    pub key: KeyId,
    /// The number of calls that were admitted with this key.
    pub calls: u64,
    /// The total number of prompt and output tokens of the calls that were admitted with this key.
    pub tokens: u64,
    /// The utilization of the most used limit among those of the key and those of its account. `None` if
    /// neither the key nor the account has limits.
    pub most_used: Option<Utilization>,
}

/// The share of one limit that was used during the span of a forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utilization {
    /// The limit, represented by the [`WaitReason`] of calls that wait for this limit.
    pub limit: WaitReason,
    /// The used amount, divided by the amount that the limit allows during the span of the forecast: 1 means
    /// that the limit was used completely. Can exceed 1 if calls used more tokens than they had reserved, or
    /// if a time window of the limit extends past the end of the span.
    pub share: f64,
}

/// The usage of one key or model during the span of a forecast.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct UsageTotals {
    pub(super) calls: u64,
    pub(super) tokens: u64,
    /// The total time for which calls were in flight during the span, in seconds. Calls in flight at the same
    /// time are counted separately.
    pub(super) busy_seconds: f64,
}

impl UsageTotals {
    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.tokens += other.tokens;
        self.busy_seconds += other.busy_seconds;
    }
}

/// Returns the utilization of the model's most used limit. Limits of keys are not considered. Returns `None`
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

/// Returns the usage of one key. `totals` holds the usage of all keys of the limiter, indexed by key.
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

/// Returns the kind and the used share of each limit that is configured. The kind of a concurrency limit is
/// given as `None`.
fn used_shares(
    limits: &Limits,
    totals: &UsageTotals,
    span: Duration,
) -> impl Iterator<Item = (Option<LimitKind>, f64)> {
    let seconds = span.as_secs_f64();
    let allowed = |max: u32, window: f64| f64::from(max) * (seconds / window).max(1.0);
    let (calls, tokens) = (totals.calls as f64, totals.tokens as f64);
    let rate = limits
        .rate_limit
        .map(|rate| f64::from(rate.capacity()) + rate.per_second() * seconds);
    let requests = rate.into_iter().chain(limits.rpm.map(|max| allowed(max, 60.0)));
    let requests = requests
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
