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
//! Every retry that a call spends is also taken from the retry budget of the target.
//!
//! The module reads no clock, so that tests can list attempts, retries and deadlines in tables.
//!
//! Invariant: a call with `keys` usable keys and at most `retries` retries makes at most
//! `1 + retries + keys + 2` attempts, in addition to those that a rate limit refused. The 2 stands for two
//! attempts that spend no retry: one after a stale connection, and one after the provider rejected
//! `stream_options`.

use std::collections::BTreeSet;

use crate::failure::{Blame, Certainty, Failure, FailureKind};
use crate::limits::KeyId;
use crate::seeded_rng::SeededRng;
use crate::time::Timestamp;

use super::retry::RetryPolicy;

/// The next step in a call's retry loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAction {
    /// Acquire a permit from the limiter, and make an attempt with it.
    Admit,
    /// Take one retry from the target's retry budget, and give up if none is left. Then wait until the given
    /// time, which may have passed, without a place in the wait queue.
    Retry(Timestamp),
    /// Give up, and return the last failure to the caller.
    GiveUp,
}

/// The effect of a failed attempt on the key of this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOutcome {
    /// The key is not to blame. Its state does not change.
    Unchanged,
    /// The key is to blame, and starts a cooldown: a period in which it is not used.
    Cooldown,
    /// The key may be to blame, and starts a cooldown. If a second key fails in the same way, this cooldown
    /// is revoked.
    ProvisionalCooldown,
    /// The request is to blame, because two keys failed in the same ambiguous way. All provisional cooldowns
    /// that this call started are revoked.
    RestoreAll,
}

/// An attempt that failed, as far as the next step of the call depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The key of the attempt.
    pub key: KeyId,
    /// Whether this library, not the caller, added `stream_options` to the request.
    pub added_stream_options: bool,
    /// Whether the configuration keeps the key in use after this failure, so that no cooldown follows.
    pub keeps_key: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    AttemptNow,
    /// An attempt with another key at once. Spends a retry if the call has already tried that key.
    AttemptWithOtherKey,
    RetryAt(Timestamp),
    Stop,
}

/// The attempts and retries that a call has made so far, which determine the next step of the call.
#[derive(Clone, Debug)]
pub struct Attempts {
    policy: RetryPolicy,
    deadline: Timestamp,
    key_count: usize,
    rng: SeededRng,
    retries_spent: u32,
    tried_keys: BTreeSet<KeyId>,
    /// The keys that are, or may be, to blame for a failed attempt of this call.
    rejecting_keys: BTreeSet<KeyId>,
    decision: Decision,
    has_retried_dead_connection: bool,
    has_retried_stream_options: bool,
    ambiguous: Option<FailureKind>,
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
            tried_keys: BTreeSet::new(),
            rejecting_keys: BTreeSet::new(),
            decision: Decision::AttemptNow,
            has_retried_dead_connection: false,
            has_retried_stream_options: false,
            ambiguous: None,
        }
    }

    /// Returns the next step of the call at the time `now`. Always returns [`NextAction::GiveUp`] once the
    /// deadline has passed. Returns [`NextAction::Retry`] once for each retry.
    pub fn next(&mut self, now: Timestamp) -> NextAction {
        match self.decision {
            Decision::Stop => NextAction::GiveUp,
            _ if now >= self.deadline => NextAction::GiveUp,
            Decision::RetryAt(until) => {
                self.decision = Decision::AttemptNow;
                NextAction::Retry(until)
            }
            Decision::AttemptNow => NextAction::Admit,
            Decision::AttemptWithOtherKey if self.has_retry() || self.has_untried_key() => NextAction::Admit,
            Decision::AttemptWithOtherKey => NextAction::GiveUp,
        }
    }

    /// Returns whether the next attempt may use `key`. If the last failure was blamed on a key for another
    /// reason than a rate limit and the call has already tried `key`, this spends a retry, or returns false
    /// if no retry is left. Otherwise returns true.
    ///
    /// `try_spend` takes one retry from the target's retry budget, and returns false if the budget is used
    /// up. It is called only if the attempt spends a retry.
    pub fn try_use_key(&mut self, key: KeyId, try_spend: impl FnOnce() -> bool) -> bool {
        if self.decision != Decision::AttemptWithOtherKey || !self.tried_keys.contains(&key) {
            return true;
        }
        self.try_spend_retry() && try_spend()
    }

    /// Returns whether an attempt with `key` failed and `key` is, or may be, to blame for the failure.
    pub fn is_rejected_by(&self, key: KeyId) -> bool {
        self.rejecting_keys.contains(&key)
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
        let key = attempt.key;
        self.tried_keys.insert(key);
        let blame = failure.blame();
        let is_ambiguous = failure.certainty == Certainty::Ambiguous;
        if is_ambiguous || blame == Blame::Key {
            self.rejecting_keys.insert(key);
        }
        if failure.kind == FailureKind::RateLimited && attempt.keeps_key {
            // No cooldown paces the attempts, so the backoff has to.
            self.decision = if self.has_untried_key() {
                Decision::AttemptWithOtherKey
            } else {
                self.back_off(failure, now)
            };
            return KeyOutcome::Unchanged;
        }
        if is_ambiguous {
            return self.record_ambiguous(failure.kind, has_other_key);
        }
        self.decision = match blame {
            Blame::Request
                if failure.kind == FailureKind::StreamOptionsRefused
                    && attempt.added_stream_options
                    && !self.has_retried_stream_options =>
            {
                self.has_retried_stream_options = true;
                Decision::AttemptNow
            }
            Blame::Request => Decision::Stop,
            Blame::Key if failure.kind == FailureKind::RateLimited => self.after_rate_refusal(),
            Blame::Key => Decision::AttemptWithOtherKey,
            Blame::Network
                if failure.kind == FailureKind::DeadConnection && !self.has_retried_dead_connection =>
            {
                self.has_retried_dead_connection = true;
                Decision::AttemptNow
            }
            Blame::Target | Blame::Network => self.back_off(failure, now),
        };
        if blame == Blame::Key {
            KeyOutcome::Cooldown
        } else {
            KeyOutcome::Unchanged
        }
    }

    /// Returns the number of retries that the call has spent so far.
    pub fn retries_spent(&self) -> u32 {
        self.retries_spent
    }

    fn record_ambiguous(
        &mut self,
        kind: FailureKind,
        has_other_key: impl FnOnce(&Self) -> bool,
    ) -> KeyOutcome {
        if self.ambiguous == Some(kind) && self.rejecting_keys.len() > 1 {
            self.decision = Decision::Stop;
            return KeyOutcome::RestoreAll;
        }
        self.ambiguous = Some(kind);
        let is_rate = kind == FailureKind::RateLimited;
        // Without another usable key, the cause remains unknown, and a cooldown of this key would leave no
        // key in use.
        let is_free = is_rate && self.policy.max_retries > 0;
        if (is_free || self.has_untried_key() || self.has_retry()) && has_other_key(self) {
            self.decision = if is_rate {
                self.after_rate_refusal()
            } else {
                Decision::AttemptWithOtherKey
            };
            return KeyOutcome::ProvisionalCooldown;
        }
        // A rate limit recovers with time. Any other rejection would only repeat.
        if is_rate {
            self.decision = self.after_rate_refusal();
            return KeyOutcome::Cooldown;
        }
        self.decision = Decision::Stop;
        KeyOutcome::Unchanged
    }

    fn after_rate_refusal(&self) -> Decision {
        if self.policy.max_retries > 0 {
            Decision::AttemptNow
        } else {
            Decision::AttemptWithOtherKey
        }
    }

    fn back_off(&mut self, failure: &Failure, now: Timestamp) -> Decision {
        let retry = self.retries_spent;
        if !self.try_spend_retry() {
            return Decision::Stop;
        }
        let backoff = self.policy.backoff(retry, &mut self.rng);
        let until = now + backoff.max(failure.retry_after.unwrap_or_default());
        if until >= self.deadline {
            Decision::Stop
        } else {
            Decision::RetryAt(until)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::KeyLimits;
    use crate::limits::Limiter;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

    fn keys(count: usize) -> Vec<KeyId> {
        let mut limiter = Limiter::new();
        (0..count)
            .map(|_| limiter.add_key(KeyLimits::default()))
            .collect()
    }

    fn call(max_retries: u32, key_count: usize) -> Attempts {
        let policy = RetryPolicy {
            max_retries,
            base: Duration::from_secs(1),
        };
        Attempts::new(policy, key_count, NOW + Duration::from_secs(600), 1)
    }

    fn failure(kind: FailureKind) -> Failure {
        Failure::new(kind)
    }

    fn attempt(key: KeyId, added_stream_options: bool) -> FailedAttempt {
        FailedAttempt {
            key,
            added_stream_options,
            keeps_key: false,
        }
    }

    fn ambiguous(kind: FailureKind) -> Failure {
        Failure {
            certainty: Certainty::Ambiguous,
            ..Failure::new(kind)
        }
    }

    // U06, O08
    #[test]
    fn request_failure_is_not_retried() {
        for kind in [
            FailureKind::InvalidRequest,
            FailureKind::ContextLength,
            FailureKind::TooLarge,
            FailureKind::ContentFilter,
            FailureKind::ModelNotFound,
            FailureKind::DeadlineExceeded,
        ] {
            let mut call = call(5, 4);
            assert_eq!(call.next(NOW), NextAction::Admit);
            assert_eq!(
                call.record_failure(&failure(kind), attempt(keys(1)[0], false), |_| true, NOW),
                KeyOutcome::Unchanged
            );
            assert_eq!(call.next(NOW), NextAction::GiveUp, "{kind:?}");
        }
    }

    // U12, O25
    #[test]
    fn zero_retries_means_one_attempt() {
        let key = keys(1)[0];
        for kind in [
            FailureKind::ServerError,
            FailureKind::ConnectionLost,
            FailureKind::InvalidKey,
            FailureKind::RateLimited,
        ] {
            let mut call = call(0, 1);
            assert_eq!(call.next(NOW), NextAction::Admit);
            assert!(call.try_use_key(key, || true));
            call.record_failure(&failure(kind), attempt(key, false), |_| true, NOW);
            assert_eq!(call.next(NOW), NextAction::GiveUp, "{kind:?}");
        }
    }

    // L01
    #[test]
    fn key_failure_moves_to_untried_keys_without_retries() {
        let keys = keys(9);
        let mut call = call(0, 9);
        for key in &keys[..8] {
            assert_eq!(call.next(NOW), NextAction::Admit);
            assert!(call.try_use_key(*key, || true));
            assert_eq!(
                call.record_failure(
                    &failure(FailureKind::InvalidKey),
                    attempt(*key, false),
                    |_| true,
                    NOW
                ),
                KeyOutcome::Cooldown
            );
        }
        assert_eq!(call.next(NOW), NextAction::Admit);
        assert!(call.try_use_key(keys[8], || true) && call.retries_spent() == 0);
        assert!(
            !call.try_use_key(keys[0], || true),
            "a tried key costs a retry, and none is left"
        );
    }

    // reproduction 13
    #[test]
    fn retry_without_a_delay_still_asks_the_budget() {
        let key = keys(1)[0];
        let policy = RetryPolicy {
            max_retries: 2,
            base: Duration::ZERO,
        };
        let mut call = Attempts::new(policy, 1, NOW + Duration::from_secs(600), 1);
        for _ in 0..2 {
            call.record_failure(
                &failure(FailureKind::ServerError),
                attempt(key, false),
                |_| true,
                NOW,
            );
            assert_eq!(call.next(NOW), NextAction::Retry(NOW));
            assert_eq!(call.next(NOW), NextAction::Admit, "the budget is asked once");
        }
    }

    #[test]
    fn repeat_with_a_tried_key_asks_the_budget() {
        let keys = keys(2);
        let mut call = call(5, 2);
        call.record_failure(
            &failure(FailureKind::InvalidKey),
            attempt(keys[0], false),
            |_| true,
            NOW,
        );
        assert!(call.try_use_key(keys[1], || unreachable!("an untried key spends no retry")));
        assert!(!call.try_use_key(keys[0], || false), "the budget is used up");
        assert!(call.try_use_key(keys[0], || true));
    }

    #[test]
    fn rate_refusals_spend_no_retry_until_the_deadline() {
        let key = keys(1)[0];
        let mut call = call(1, 1);
        for refusal in [
            failure(FailureKind::RateLimited),
            ambiguous(FailureKind::RateLimited),
        ] {
            for _ in 0..20 {
                let outcome = call.record_failure(&refusal, attempt(key, false), |_| false, NOW);
                assert_eq!(
                    (outcome, call.next(NOW)),
                    (KeyOutcome::Cooldown, NextAction::Admit)
                );
                assert!(call.try_use_key(key, || unreachable!("the budget is not asked")));
            }
        }
        assert_eq!(call.retries_spent(), 0);
        assert_eq!(call.next(NOW + Duration::from_secs(600)), NextAction::GiveUp);
    }

    // U12
    #[test]
    fn rate_refusal_is_not_repeated_without_retries() {
        for refusal in [
            failure(FailureKind::RateLimited),
            ambiguous(FailureKind::RateLimited),
        ] {
            let keys = keys(2);
            let mut call = call(0, 2);
            call.record_failure(&refusal, attempt(keys[0], false), |_| false, NOW);
            assert_eq!(call.next(NOW), NextAction::Admit);
            assert!(!call.try_use_key(keys[0], || true) && call.try_use_key(keys[1], || true));
            call.record_failure(&refusal, attempt(keys[1], false), |_| false, NOW);
            assert_eq!(call.next(NOW), NextAction::GiveUp);
        }
    }

    #[test]
    fn rate_refusal_of_a_key_that_stays_in_use_backs_off() {
        let keys = keys(2);
        let kept = |key| FailedAttempt {
            keeps_key: true,
            ..attempt(key, false)
        };
        for refusal in [
            failure(FailureKind::RateLimited),
            ambiguous(FailureKind::RateLimited),
        ] {
            let mut call = call(1, 2);
            call.record_failure(&refusal, kept(keys[0]), |_| true, NOW);
            assert_eq!((call.next(NOW), call.retries_spent()), (NextAction::Admit, 0));
            let outcome = call.record_failure(&refusal, kept(keys[1]), |_| true, NOW);
            assert_eq!(outcome, KeyOutcome::Unchanged);
            assert!(matches!(call.next(NOW), NextAction::Retry(_)));
            call.record_failure(&refusal, kept(keys[0]), |_| true, NOW);
            assert_eq!(call.next(NOW), NextAction::GiveUp);
        }
    }

    #[test]
    fn target_failure_spends_a_retry_despite_untried_keys() {
        let keys = keys(4);
        let mut call = call(2, 4);
        for key in &keys[..2] {
            call.record_failure(
                &failure(FailureKind::ServerError),
                attempt(*key, false),
                |_| true,
                NOW,
            );
            assert!(matches!(call.next(NOW), NextAction::Retry(_)));
        }
        call.record_failure(
            &failure(FailureKind::ServerError),
            attempt(keys[2], false),
            |_| true,
            NOW,
        );
        assert_eq!(call.next(NOW), NextAction::GiveUp);
        assert_eq!(call.retries_spent(), 2);
    }

    // L18
    #[test]
    fn backoff_is_at_least_retry_after() {
        let mut call = call(5, 1);
        let retry_after = Duration::from_secs(7);
        let overloaded = Failure {
            retry_after: Some(retry_after),
            ..failure(FailureKind::Overloaded)
        };
        call.record_failure(&overloaded, attempt(keys(1)[0], false), |_| true, NOW);
        let NextAction::Retry(until) = call.next(NOW) else {
            panic!("expected a backoff")
        };
        assert!(until >= NOW + retry_after);
        assert_eq!(call.next(until), NextAction::Admit);
    }

    // U11
    #[test]
    fn backoff_past_the_deadline_gives_up() {
        let mut call = call(5, 1);
        let retry_after = Some(Duration::from_secs(3600));
        let overloaded = Failure {
            retry_after,
            ..failure(FailureKind::Overloaded)
        };
        call.record_failure(&overloaded, attempt(keys(1)[0], false), |_| true, NOW);
        assert_eq!(call.next(NOW), NextAction::GiveUp);
    }

    #[test]
    fn dead_connection_is_retried_once_without_a_retry() {
        let key = keys(1)[0];
        let mut call = call(0, 1);
        call.record_failure(
            &failure(FailureKind::DeadConnection),
            attempt(key, false),
            |_| true,
            NOW,
        );
        assert_eq!(call.next(NOW), NextAction::Admit);
        assert!(call.try_use_key(key, || true));
        call.record_failure(
            &failure(FailureKind::DeadConnection),
            attempt(key, false),
            |_| true,
            NOW,
        );
        assert_eq!(call.next(NOW), NextAction::GiveUp);
    }

    // U18
    #[test]
    fn rejected_stream_options_is_retried_once_if_added_by_us() {
        let key = keys(1)[0];
        let refused = failure(FailureKind::StreamOptionsRefused);
        let mut added_by_us = call(0, 1);
        added_by_us.record_failure(&refused, attempt(key, true), |_| true, NOW);
        assert_eq!(added_by_us.next(NOW), NextAction::Admit);
        added_by_us.record_failure(&refused, attempt(key, true), |_| true, NOW);
        assert_eq!(added_by_us.next(NOW), NextAction::GiveUp);
        let mut set_by_caller = call(5, 1);
        set_by_caller.record_failure(&refused, attempt(key, false), |_| true, NOW);
        assert_eq!(set_by_caller.next(NOW), NextAction::GiveUp);
    }

    // L93
    #[test]
    fn same_ambiguous_failure_of_two_keys_blames_the_request() {
        let keys = keys(4);
        for kind in [
            FailureKind::PermissionDenied,
            FailureKind::ModelNotFound,
            FailureKind::RateLimited,
        ] {
            let mut call = call(5, 4);
            assert_eq!(
                call.record_failure(&ambiguous(kind), attempt(keys[0], false), |_| true, NOW),
                KeyOutcome::ProvisionalCooldown
            );
            assert_eq!(call.next(NOW), NextAction::Admit);
            assert_eq!(
                call.record_failure(&ambiguous(kind), attempt(keys[1], false), |_| true, NOW),
                KeyOutcome::RestoreAll
            );
            assert_eq!(call.next(NOW), NextAction::GiveUp);
        }
    }

    // L93
    #[test]
    fn key_without_rejection_may_be_used_again_for_a_retry() {
        let keys = keys(2);
        let mut call = call(2, 2);
        call.record_failure(
            &failure(FailureKind::ServerError),
            attempt(keys[0], false),
            |_| true,
            NOW,
        );
        let outcome = call.record_failure(
            &ambiguous(FailureKind::PermissionDenied),
            attempt(keys[1], false),
            |_| true,
            NOW,
        );
        assert_eq!(
            (outcome, call.next(NOW)),
            (KeyOutcome::ProvisionalCooldown, NextAction::Admit)
        );
        assert!(
            call.try_use_key(keys[0], || true)
                && call.is_rejected_by(keys[1])
                && !call.is_rejected_by(keys[0])
        );
        let second = call.record_failure(
            &ambiguous(FailureKind::PermissionDenied),
            attempt(keys[0], false),
            |_| false,
            NOW,
        );
        assert_eq!(
            (second, call.next(NOW)),
            (KeyOutcome::RestoreAll, NextAction::GiveUp)
        );
    }

    // L93
    #[test]
    fn ambiguous_failure_without_other_key_keeps_the_key() {
        let keys = keys(2);
        let mut call = call(2, 2);
        let outcome = call.record_failure(
            &ambiguous(FailureKind::PermissionDenied),
            attempt(keys[0], false),
            |_| false,
            NOW,
        );
        assert_eq!(
            (outcome, call.next(NOW)),
            (KeyOutcome::Unchanged, NextAction::GiveUp)
        );
    }

    #[test]
    fn ambiguous_failure_of_the_only_key_cools_down_only_a_rate() {
        let key = keys(1)[0];
        let mut forbidden = call(5, 1);
        assert_eq!(
            forbidden.record_failure(
                &ambiguous(FailureKind::PermissionDenied),
                attempt(key, false),
                |_| false,
                NOW
            ),
            KeyOutcome::Unchanged
        );
        assert_eq!(forbidden.next(NOW), NextAction::GiveUp);
        let mut limited = call(5, 1);
        assert_eq!(
            limited.record_failure(
                &ambiguous(FailureKind::RateLimited),
                attempt(key, false),
                |_| false,
                NOW
            ),
            KeyOutcome::Cooldown
        );
        assert_eq!(limited.next(NOW), NextAction::Admit);
        assert!(limited.try_use_key(key, || false) && limited.retries_spent() == 0);
    }
}
