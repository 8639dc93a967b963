//! How much of what limits allow was used.

use std::time::Duration;

use crate::limits::key::KeyId;
use crate::limits::limiter::{Limiter, TargetId, WaitReason};
use crate::limits::{LimitKind, Limits};

/// What a key did within the span, for all models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyUse {
    /// Which one.
    pub key: KeyId,
    /// Calls that it was picked for.
    pub calls: u64,
    /// What they used, prompts and answers together.
    pub tokens: u64,
    /// Which of its limits, or of those that it shares with its account, was used most, where it has one.
    pub most_used: Option<Utilization>,
}

/// A limit, and how much of it was used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utilization {
    /// Which one.
    pub limit: WaitReason,
    /// The part of what it allows in the span: 1 is all.
    pub share: f64,
}

/// What was done within the span, by a key or for a model.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) tokens: u64,
    /// For how long attempts were under way, all of them together, in seconds.
    pub(super) busy: f64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.tokens += other.tokens;
        self.busy += other.busy;
    }
}

/// Of the limits of a model itself.
pub(super) fn of_model(
    limiter: &Limiter,
    target: TargetId,
    tally: &Tally,
    span: Duration,
) -> Option<Utilization> {
    let used = used(limiter.target_limits(target), tally, span).map(|(what, share)| Utilization {
        limit: what.map_or(WaitReason::TargetConcurrency, WaitReason::Target),
        share,
    });
    used.reduce(more)
}

/// Of the limits of a key and its account. `tallies` are those of all keys, in order.
pub(super) fn of_key(limiter: &Limiter, key: KeyId, tallies: &[Tally], span: Duration) -> KeyUse {
    let tally = &tallies[key.index()];
    let (own, account) = limiter.configured(key);
    let together = limiter.group_of(key).map(|group| {
        let mut all = Tally::default();
        let members = limiter.members(group).iter();
        members.for_each(|member| all.add(&tallies[member.index()]));
        all
    });
    let accounts = account
        .zip(together)
        .map(|(limits, all)| used(&limits, &all, span).collect::<Vec<_>>());
    let all = used(&own, tally, span).chain(accounts.into_iter().flatten());
    let all = all.map(|(what, share)| Utilization {
        limit: what.map_or(WaitReason::Concurrency, WaitReason::KeyLimits),
        share,
    });
    KeyUse {
        key,
        calls: tally.calls,
        tokens: tally.tokens,
        most_used: all.reduce(more),
    }
}

/// The share of each limit that there is; `None` stands for concurrency.
fn used(limits: &Limits, tally: &Tally, span: Duration) -> impl Iterator<Item = (Option<LimitKind>, f64)> {
    let seconds = span.as_secs_f64();
    let quotas = limits.rate_limits();
    let quotas = quotas.map(|quota| f64::from(quota.capacity()) + quota.per_second() * seconds);
    let windows = |most: u32, length: f64| f64::from(most) * (seconds / length).max(1.0);
    let (calls, tokens) = (tally.calls as f64, tally.tokens as f64);
    let requests = quotas
        .reduce(f64::min)
        .map(|most| (Some(LimitKind::Requests), calls / most));
    let minute = limits
        .tpm
        .map(|most| (Some(LimitKind::Tokens), tokens / windows(most, 60.0)));
    let day = limits
        .rpd
        .map(|most| (Some(LimitKind::Day), calls / windows(most, 86_400.0)));
    let slots = limits.max_concurrency;
    let slots = slots.map(|most| (None, tally.busy / (f64::from(most) * seconds)));
    [requests, minute, day, slots].into_iter().flatten()
}

fn more(a: Utilization, b: Utilization) -> Utilization {
    if b.share > a.share { b } else { a }
}
