//! What one call does next: try, pause, or give up.
//!
//! Who is to blame decides. The request: stop. The key: take another key at once, free of charge as long as this call has
//! not tried it yet. The target or the network: pause and spend a retry. Pure, so that order, budget and deadline are
//! tested as tables.
//!
//! Always true: attempts ≤ 1 + retries + keys + 2 (a dead connection and a refused `stream_options` may be repeated once
//! each without spending a retry).

use crate::failure::{Blame, Certainty, Failure, FailureKind};
use crate::limits::key::KeyId;
use crate::time::Timestamp;

use super::retry::{RetryPolicy, SeededRng};

/// What the loop does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAction {
    /// Wait for a permit and make an attempt.
    Admit,
    /// Stand in no line until then.
    Backoff(Timestamp),
    /// The last failure is the call's answer.
    GiveUp,
}

/// What a failure says about the key it happened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOutcome {
    /// Nothing.
    Innocent,
    /// It rests.
    Rests,
    /// It rests for now: the next key's answer will tell whether it was the key at all.
    RestsForNow,
    /// Two keys said the same unclear thing, so the call is to blame: whatever rests for now because of it is restored.
    RestoreAll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Now,
    /// Free with a key that was not tried yet, else a retry.
    OtherKey,
    Pause(Timestamp),
    Stop,
}

/// The history of one call, as far as it decides what comes next.
#[derive(Clone, Debug)]
pub struct Attempts {
    policy: RetryPolicy,
    deadline: Timestamp,
    key_count: usize,
    chance: SeededRng,
    retries_spent: u32,
    tried: Vec<KeyId>,
    /// Keys that answered with a refusal of theirs, or with one that may be.
    asked: Vec<KeyId>,
    next: Next,
    dead_connection_repeated: bool,
    stream_options_repeated: bool,
    unclear: Option<FailureKind>,
}

impl Attempts {
    /// A call that has not tried anything: `key_count` keys could serve it, and it ends at `deadline`.
    pub fn new(policy: RetryPolicy, key_count: usize, deadline: Timestamp, seed: u64) -> Self {
        Self {
            policy,
            deadline,
            key_count,
            chance: SeededRng::new(seed),
            retries_spent: 0,
            tried: Vec::new(),
            asked: Vec::new(),
            next: Next::Now,
            dead_connection_repeated: false,
            stream_options_repeated: false,
            unclear: None,
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Timestamp) -> NextAction {
        match self.next {
            Next::Stop => NextAction::GiveUp,
            _ if now >= self.deadline => NextAction::GiveUp,
            Next::Pause(until) if until > now => NextAction::Backoff(until),
            Next::Now | Next::Pause(_) => NextAction::Admit,
            Next::OtherKey if self.has_retry() || self.tried.len() < self.key_count => NextAction::Admit,
            Next::OtherKey => NextAction::GiveUp,
        }
    }

    /// Whether the granted key may be used: going back to one that was already tried spends a retry, and there may be
    /// none left.
    pub fn admitted(&mut self, key: KeyId) -> bool {
        if self.next != Next::OtherKey || !self.tried.contains(&key) {
            return true;
        }
        self.spend_retry()
    }

    /// Whether this key has told the call what it thinks of it.
    pub fn has_asked(&self, key: KeyId) -> bool {
        self.asked.contains(&key)
    }

    /// Takes note of a failed attempt. `added_stream_options` says that the refused member was ours, not the caller's;
    /// `other_key` that a key is in use which was not [asked](Self::has_asked) yet.
    pub fn failed(
        &mut self,
        failure: &Failure,
        key: KeyId,
        added_stream_options: bool,
        other_key: bool,
        now: Timestamp,
    ) -> KeyOutcome {
        if !self.tried.contains(&key) {
            self.tried.push(key);
        }
        let unclear = failure.certainty == Certainty::Unclear;
        if (unclear || failure.blame() == Blame::Key) && !self.asked.contains(&key) {
            self.asked.push(key);
        }
        if unclear {
            return self.unclear_refusal(failure.kind, other_key);
        }
        self.next = match failure.blame() {
            Blame::Request if failure.kind == FailureKind::StreamOptionsRefused => {
                self.without_stream_options(added_stream_options)
            }
            Blame::Request => Next::Stop,
            Blame::Key => Next::OtherKey,
            Blame::Network
                if failure.kind == FailureKind::DeadConnection && !self.dead_connection_repeated =>
            {
                self.dead_connection_repeated = true;
                Next::Now
            }
            Blame::Target | Blame::Network => self.pause(failure, now),
        };
        if failure.blame() == Blame::Key {
            KeyOutcome::Rests
        } else {
            KeyOutcome::Innocent
        }
    }

    /// Retries spent so far.
    pub fn retries_spent(&self) -> u32 {
        self.retries_spent
    }

    fn unclear_refusal(&mut self, kind: FailureKind, other_key: bool) -> KeyOutcome {
        if self.unclear == Some(kind) && self.asked.len() > 1 {
            self.next = Next::Stop;
            return KeyOutcome::RestoreAll;
        }
        self.unclear = Some(kind);
        // A key that rests already cannot tell, and resting this one too would leave none to tell anything.
        if other_key && (self.tried.len() < self.key_count || self.has_retry()) {
            self.next = Next::OtherKey;
            return KeyOutcome::RestsForNow;
        }
        // No other key can tell. A rate passes; anything else would only be refused again.
        if kind == FailureKind::RateLimited {
            self.next = Next::OtherKey;
            return KeyOutcome::Rests;
        }
        self.next = Next::Stop;
        KeyOutcome::Innocent
    }

    fn without_stream_options(&mut self, ours: bool) -> Next {
        if !ours || self.stream_options_repeated {
            return Next::Stop;
        }
        self.stream_options_repeated = true;
        Next::Now
    }

    fn pause(&mut self, failure: &Failure, now: Timestamp) -> Next {
        let retry = self.retries_spent;
        if !self.spend_retry() {
            return Next::Stop;
        }
        let backoff = self.policy.backoff(retry, &mut self.chance);
        let until = now + backoff.max(failure.retry_after.unwrap_or_default());
        if until >= self.deadline {
            Next::Stop
        } else {
            Next::Pause(until)
        }
    }

    fn has_retry(&self) -> bool {
        self.retries_spent < self.policy.max_retries
    }

    fn spend_retry(&mut self) -> bool {
        let left = self.has_retry();
        self.retries_spent += u32::from(left);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::key::KeyLimits;
    use crate::limits::limiter::Limiter;
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

    fn unclear(kind: FailureKind) -> Failure {
        Failure {
            certainty: Certainty::Unclear,
            ..Failure::new(kind)
        }
    }

    // U06, O08
    #[test]
    fn the_requests_fault_is_tried_exactly_once() {
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
                call.failed(&failure(kind), keys(1)[0], false, true, NOW),
                KeyOutcome::Innocent
            );
            assert_eq!(call.next(NOW), NextAction::GiveUp, "{kind:?}");
        }
    }

    // U12, O25
    #[test]
    fn no_retries_means_one_attempt() {
        let key = keys(1)[0];
        for kind in [
            FailureKind::ServerError,
            FailureKind::ConnectionLost,
            FailureKind::InvalidKey,
        ] {
            let mut call = call(0, 1);
            assert_eq!(call.next(NOW), NextAction::Admit);
            assert!(call.admitted(key));
            call.failed(&failure(kind), key, false, true, NOW);
            assert_eq!(call.next(NOW), NextAction::GiveUp, "{kind:?}");
        }
    }

    // L01
    #[test]
    fn every_other_key_is_free_after_a_failure_that_blames_the_key() {
        let keys = keys(9);
        let mut call = call(0, 9);
        for key in &keys[..8] {
            assert_eq!(call.next(NOW), NextAction::Admit);
            assert!(call.admitted(*key));
            assert_eq!(
                call.failed(&failure(FailureKind::InvalidKey), *key, false, true, NOW),
                KeyOutcome::Rests
            );
        }
        assert_eq!(call.next(NOW), NextAction::Admit);
        assert!(call.admitted(keys[8]) && call.retries_spent() == 0);
        assert!(
            !call.admitted(keys[0]),
            "a key that was tried costs a retry, and there is none"
        );
    }

    #[test]
    fn a_target_failure_spends_a_retry_even_where_keys_are_left() {
        let keys = keys(4);
        let mut call = call(2, 4);
        for key in &keys[..2] {
            call.failed(&failure(FailureKind::ServerError), *key, false, true, NOW);
            assert!(matches!(
                call.next(NOW),
                NextAction::Backoff(_) | NextAction::Admit
            ));
        }
        call.failed(&failure(FailureKind::ServerError), keys[2], false, true, NOW);
        assert_eq!(call.next(NOW), NextAction::GiveUp);
        assert_eq!(call.retries_spent(), 2);
    }

    // L18
    #[test]
    fn the_pause_is_never_shorter_than_the_provider_asked() {
        let mut call = call(5, 1);
        let asked = Duration::from_secs(7);
        let busy = Failure {
            retry_after: Some(asked),
            ..failure(FailureKind::Overloaded)
        };
        call.failed(&busy, keys(1)[0], false, true, NOW);
        let NextAction::Backoff(until) = call.next(NOW) else {
            panic!("it has to pause")
        };
        assert!(until >= NOW + asked);
        assert_eq!(call.next(until), NextAction::Admit);
    }

    // U11
    #[test]
    fn a_pause_that_ends_after_the_deadline_is_not_slept() {
        let mut call = call(5, 1);
        let asked = Some(Duration::from_secs(3600));
        call.failed(
            &Failure {
                retry_after: asked,
                ..failure(FailureKind::Overloaded)
            },
            keys(1)[0],
            false,
            true,
            NOW,
        );
        assert_eq!(call.next(NOW), NextAction::GiveUp);
    }

    #[test]
    fn a_dead_connection_is_repeated_once_for_free() {
        let key = keys(1)[0];
        let mut call = call(0, 1);
        call.failed(&failure(FailureKind::DeadConnection), key, false, true, NOW);
        assert_eq!(call.next(NOW), NextAction::Admit);
        assert!(call.admitted(key));
        call.failed(&failure(FailureKind::DeadConnection), key, false, true, NOW);
        assert_eq!(call.next(NOW), NextAction::GiveUp);
    }

    // U18
    #[test]
    fn a_refused_stream_options_is_repeated_once_and_only_if_it_was_ours() {
        let key = keys(1)[0];
        let refused = failure(FailureKind::StreamOptionsRefused);
        let mut ours = call(0, 1);
        ours.failed(&refused, key, true, true, NOW);
        assert_eq!(ours.next(NOW), NextAction::Admit);
        ours.failed(&refused, key, true, true, NOW);
        assert_eq!(ours.next(NOW), NextAction::GiveUp);
        let mut theirs = call(5, 1);
        theirs.failed(&refused, key, false, true, NOW);
        assert_eq!(theirs.next(NOW), NextAction::GiveUp);
    }

    // L93
    #[test]
    fn the_same_unclear_refusal_from_a_second_key_blames_the_call() {
        let keys = keys(4);
        for kind in [
            FailureKind::PermissionDenied,
            FailureKind::ModelNotFound,
            FailureKind::RateLimited,
        ] {
            let mut call = call(5, 4);
            assert_eq!(
                call.failed(&unclear(kind), keys[0], false, true, NOW),
                KeyOutcome::RestsForNow
            );
            assert_eq!(call.next(NOW), NextAction::Admit);
            assert_eq!(
                call.failed(&unclear(kind), keys[1], false, true, NOW),
                KeyOutcome::RestoreAll
            );
            assert_eq!(call.next(NOW), NextAction::GiveUp);
        }
    }

    // L93
    #[test]
    fn a_key_that_told_nothing_of_the_kind_may_be_asked_while_retries_are_left() {
        let keys = keys(2);
        let mut call = call(2, 2);
        call.failed(&failure(FailureKind::ServerError), keys[0], false, true, NOW);
        let verdict = call.failed(&unclear(FailureKind::PermissionDenied), keys[1], false, true, NOW);
        assert_eq!(
            (verdict, call.next(NOW)),
            (KeyOutcome::RestsForNow, NextAction::Admit)
        );
        assert!(call.admitted(keys[0]) && call.has_asked(keys[1]) && !call.has_asked(keys[0]));
        let again = call.failed(
            &unclear(FailureKind::PermissionDenied),
            keys[0],
            false,
            false,
            NOW,
        );
        assert_eq!(
            (again, call.next(NOW)),
            (KeyOutcome::RestoreAll, NextAction::GiveUp)
        );
    }

    // L93
    #[test]
    fn where_every_other_key_rests_nobody_could_tell_and_this_one_goes_on() {
        let keys = keys(2);
        let mut call = call(2, 2);
        let verdict = call.failed(
            &unclear(FailureKind::PermissionDenied),
            keys[0],
            false,
            false,
            NOW,
        );
        assert_eq!(
            (verdict, call.next(NOW)),
            (KeyOutcome::Innocent, NextAction::GiveUp)
        );
    }

    #[test]
    fn an_unclear_refusal_of_the_only_key_rests_it_only_when_it_is_a_rate() {
        let key = keys(1)[0];
        let mut moderated = call(5, 1);
        assert_eq!(
            moderated.failed(&unclear(FailureKind::PermissionDenied), key, false, false, NOW),
            KeyOutcome::Innocent
        );
        assert_eq!(moderated.next(NOW), NextAction::GiveUp);
        let mut limited = call(5, 1);
        assert_eq!(
            limited.failed(&unclear(FailureKind::RateLimited), key, false, false, NOW),
            KeyOutcome::Rests
        );
        assert_eq!(limited.next(NOW), NextAction::Admit);
        assert!(limited.admitted(key) && limited.retries_spent() == 1);
    }
}
