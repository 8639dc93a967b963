//! Decides what a call does next: make an attempt, back off, or give up.
//!
//! The decision depends on which party is to blame for the last failure (see [`Blame`]):
//!
//! - Request: the call gives up.
//! - Key: the call uses another key at once. This spends a retry only if the call has already tried that key.
//! - Key, because of a rate limit: the call waits in admission for any key, the same key included, until its
//!   deadline. This spends no retry, because the key's cooldown already paces the attempts. A call that must
//!   not retry (at most 0 retries) only moves on to untried keys.
//! - Target or network: the call backs off and spends a retry.
//!
//! A rate refusal without a readable cause blames the key if the key refuses other calls as well. Then the call backs
//! off without spending a retry, so that others probe the key: it might be refused whatever the state of the key.
//! Otherwise such a refusal is ambiguous, and the same from two keys makes the call back off and spend a retry.
//!
//! Every retry that a call spends is also taken from the retry budget of the target.
//!
//! The module reads no clock, so that tests can list attempts, retries and deadlines in tables.
//!
//! Invariant: a call with `keys` usable keys and at most `retries` retries makes at most
//! `1 + retries + keys + 4` attempts, in addition to those that a rate limit refused. The 4 stands for four
//! attempts that spend no retry: one after a stale connection, one after the provider rejected
//! `stream_options`, and two after it rejected the response format (`json_schema`, then `json_object`).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::failure::{Blame, Certainty, Failure, FailureKind};
use crate::limits::KeyId;
use crate::seeded_rng::SeededRng;
use crate::time::Timestamp;

use super::retry::RetryPolicy;

/// Number of times that a call sends its request in a weaker response format: one for each weaker format.
const MAX_ADAPTATIONS: usize = 2;

/// The next step in a call's retry loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAction {
    /// Acquire a permit from the limiter, and make an attempt with it.
    Admit,
    /// Take one retry from the target's retry budget, and give up if none is left. Then wait until the given
    /// time, which may have passed, without a place in the wait queue.
    Retry(Timestamp),
    /// Wait like that, but take no retry from the budget of the target, and lose the place in the order of arrival, so
    /// that other calls probe the keys first.
    Yield(Timestamp),
    /// Give up, and return the last failure to the caller.
    GiveUp,
}

/// The effect of a failed attempt on the key of this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOutcome {
    /// The key is not to blame. Its state does not change.
    Unchanged,
    /// The key is to blame, or no other key can show at the moment that it is not. The key starts a cooldown: a
    /// period in which it is not used.
    Cooldown,
    /// The key may be to blame, and starts a cooldown until another key shows whether it is.
    ProvisionalCooldown,
    /// The request may be to blame, because two keys failed in the same ambiguous way. All cooldowns that this call
    /// started for ambiguous failures are revoked.
    RestoreAll,
}

/// An attempt that failed, as far as the next step of the call depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The key of the attempt.
    pub key: KeyId,
    /// Whether this library, not the caller, added `stream_options` to the request.
    pub added_stream_options: bool,
    /// Whether this library can ask for the same answer in a weaker response format.
    pub can_adapt: bool,
    /// Whether the configuration keeps the key in use after this failure, so that no cooldown follows.
    pub keeps_key: bool,
    /// Whether the key refuses other calls as well, so that an ambiguous rate refusal is not the fault of the request.
    pub refuses_others: bool,
}

/// The attempts and retries that a call has made so far, which determine the next step of the call.
#[derive(Clone, Debug)]
pub struct Attempts {
    policy: RetryPolicy,
    deadline: Timestamp,
    key_count: usize,
    rng: SeededRng,
    retries_spent: u32,
    /// Number of times that the call made way for others after a rate refusal without a readable cause.
    yields: u32,
    /// The keys that the call has tried, each with its latest refusal: a failure for which the key is, or may be,
    /// to blame, and whether the request may be to blame.
    tried_keys: BTreeMap<KeyId, Option<(FailureKind, bool)>>,
    /// The step after the last failure.
    next: NextAction,
    /// Whether the next attempt spends a retry if the call has already tried its key.
    same_key_costs_retry: bool,
    /// The kinds of failures after which the call has made an attempt without spending a retry, once for each attempt.
    repeated: Vec<FailureKind>,
}

impl Attempts {
    /// Creates the state of a new call. The call can use `key_count` keys, and ends at `deadline` at the
    /// latest. `seed` determines the random part of the backoffs.
    pub fn new(policy: RetryPolicy, key_count: usize, deadline: Timestamp, seed: u64) -> Self {
        Self {
            policy,
            deadline,
            key_count,
            rng: SeededRng::new(seed),
            retries_spent: 0,
            yields: 0,
            tried_keys: BTreeMap::new(),
            next: NextAction::Admit,
            same_key_costs_retry: false,
            repeated: Vec::new(),
        }
    }

    /// Returns the next step of the call at the time `now`. Always returns [`NextAction::GiveUp`] once the
    /// deadline has passed. Returns [`NextAction::Retry`] once for each retry.
    pub fn next(&mut self, now: Timestamp) -> NextAction {
        if now >= self.deadline {
            return NextAction::GiveUp;
        }
        let next = self.next;
        if next != NextAction::GiveUp {
            self.next = NextAction::Admit;
        }
        next
    }

    /// Returns whether the next attempt may use `key`. If the last failure was blamed on a key for another
    /// reason than a rate limit and the call has already tried `key`, this spends a retry, or returns false
    /// if no retry is left. Otherwise returns true.
    ///
    /// `try_spend` takes one retry from the target's retry budget, and returns false if the budget is used
    /// up. It is called only if the attempt spends a retry.
    pub fn try_use_key(&mut self, key: KeyId, try_spend: impl FnOnce() -> bool) -> bool {
        if !self.same_key_costs_retry || !self.tried_keys.contains_key(&key) {
            return true;
        }
        self.try_spend_retry() && try_spend()
    }

    /// Returns whether an attempt with `key` failed and `key` is, or may be, to blame for the failure.
    pub fn is_rejected_by(&self, key: KeyId) -> bool {
        matches!(self.tried_keys.get(&key), Some(Some(_)))
    }

    /// Records a failed attempt, and returns the effect of the failure on the attempt's key.
    ///
    /// `has_other_key` returns whether there is another usable key that has not
    /// [rejected](Self::is_rejected_by) the call. It is called only if the answer matters, because it may
    /// have to visit every key.
    pub fn record_failure(
        &mut self,
        failure: &Failure,
        attempt: FailedAttempt,
        has_other_key: impl FnOnce(&Self) -> bool,
        now: Timestamp,
    ) -> KeyOutcome {
        let blame = failure.blame();
        let is_rate = failure.kind == FailureKind::RateLimited;
        let is_ambiguous = failure.certainty == Certainty::Ambiguous && !attempt.refuses_others;
        let tried = self.tried_keys.entry(attempt.key).or_default();
        if is_ambiguous || blame == Blame::Key {
            *tried = Some((failure.kind, is_ambiguous));
        }
        self.same_key_costs_retry = false;
        if is_rate && attempt.keeps_key {
            // No cooldown paces the attempts, so the backoff has to.
            self.next = if self.has_untried_key() {
                self.try_key(false)
            } else {
                self.back_off(failure, now)
            };
            return KeyOutcome::Unchanged;
        }
        if is_ambiguous {
            return self.record_ambiguous(failure, attempt.key, has_other_key, now);
        }
        self.next = match blame {
            _ if self.take_free_repeat(failure.kind, attempt) => NextAction::Admit,
            Blame::Request => NextAction::GiveUp,
            // Bad requests that are older than other calls would otherwise probe the key for ever.
            Blame::Key if attempt.refuses_others && self.policy.max_retries > 0 => {
                let backoff = self.policy.backoff(self.yields, &mut self.rng);
                self.yields += 1;
                NextAction::Yield(now + backoff)
            }
            Blame::Key => self.try_key(is_rate),
            Blame::Target | Blame::Network if failure.kind.is_lasting() => NextAction::GiveUp,
            Blame::Target | Blame::Network => self.back_off(failure, now),
        };
        if blame == Blame::Key {
            KeyOutcome::Cooldown
        } else {
            KeyOutcome::Unchanged
        }
    }

    /// Returns whether the call makes another attempt after this failure without spending a retry, which it does
    /// once for each kind, and twice for the response format.
    fn take_free_repeat(&mut self, kind: FailureKind, attempt: FailedAttempt) -> bool {
        let allowed = match kind {
            FailureKind::StreamOptionsRefused => usize::from(attempt.added_stream_options),
            FailureKind::ResponseFormatRefused if attempt.can_adapt => MAX_ADAPTATIONS,
            FailureKind::DeadConnection => 1,
            _ => 0,
        };
        let repeated = self.repeated.iter().filter(|known| **known == kind);
        let is_repeated = repeated.count() < allowed;
        self.repeated.extend(is_repeated.then_some(kind));
        is_repeated
    }

    fn record_ambiguous(
        &mut self,
        failure: &Failure,
        key: KeyId,
        has_other_key: impl FnOnce(&Self) -> bool,
        now: Timestamp,
    ) -> KeyOutcome {
        let is_rate = failure.kind == FailureKind::RateLimited;
        let alike = Some((failure.kind, true));
        let mut tried = self.tried_keys.iter();
        if tried.any(|(other, refusal)| *other != key && *refusal == alike) {
            // A provider that limits all keys refuses like that, too. Refusals of other calls may show it. Until then,
            // the call spends a retry, but none of the target's budget, which many calls at once would use up.
            self.next = match self.back_off(failure, now) {
                NextAction::Retry(until) if is_rate => NextAction::Yield(until),
                _ => NextAction::GiveUp,
            };
            return KeyOutcome::RestoreAll;
        }
        self.next = self.try_key(is_rate);
        if self.next == NextAction::Admit && has_other_key(self) {
            return KeyOutcome::ProvisionalCooldown;
        }
        // Without another usable key, the cause remains unknown, and a cooldown of this key would leave no key
        // in use. A rate limit recovers with time. Any other rejection would only repeat.
        if is_rate {
            return KeyOutcome::Cooldown;
        }
        self.next = NextAction::GiveUp;
        KeyOutcome::Unchanged
    }

    /// Makes the next attempt with another key, or, if a retry is left, with a key that the call has already tried.
    /// If `same_is_free`, the attempt spends no retry whatever its key, unless the call must not retry.
    fn try_key(&mut self, same_is_free: bool) -> NextAction {
        self.same_key_costs_retry = !same_is_free || self.policy.max_retries == 0;
        if !self.same_key_costs_retry || self.has_retry() || self.has_untried_key() {
            NextAction::Admit
        } else {
            NextAction::GiveUp
        }
    }

    fn back_off(&mut self, failure: &Failure, now: Timestamp) -> NextAction {
        let retry = self.retries_spent;
        if !self.try_spend_retry() {
            return NextAction::GiveUp;
        }
        let backoff = self.policy.backoff(retry, &mut self.rng);
        let until = now + backoff.max(failure.retry_after.unwrap_or_default());
        if until >= self.deadline {
            NextAction::GiveUp
        } else {
            NextAction::Retry(until)
        }
    }

    fn has_untried_key(&self) -> bool {
        self.tried_keys.len() < self.key_count
    }

    fn has_retry(&self) -> bool {
        self.retries_spent < self.policy.max_retries
    }

    fn try_spend_retry(&mut self) -> bool {
        let is_left = self.has_retry();
        self.retries_spent += u32::from(is_left);
        is_left
    }
}
