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
        can_adapt: false,
        keeps_key: false,
        refuses_others: false,
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
fn request_and_lasting_failures_are_not_retried() {
    for kind in [
        FailureKind::InvalidRequest,
        FailureKind::ContextLength,
        FailureKind::TooLarge,
        FailureKind::ContentFilter,
        FailureKind::ModelNotFound,
        FailureKind::ResponseFormatRefused,
        FailureKind::DeadlineExceeded,
        FailureKind::UnusableAnswer,
        FailureKind::WrongEndpoint,
        FailureKind::Certificate,
        FailureKind::ProxyRefused,
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
    assert!(call.try_use_key(keys[8], || true) && call.retries_spent == 0);
    assert!(
        !call.try_use_key(keys[0], || true),
        "a tried key costs a retry, and none is left"
    );
}

#[test]
fn retry_after_a_failure_of_the_target_may_use_a_refused_key() {
    let key = keys(1)[0];
    let mut call = call(2, 1);
    for kind in [FailureKind::InvalidKey, FailureKind::ServerError] {
        call.record_failure(&failure(kind), attempt(key, false), |_| true, NOW);
    }
    assert!(matches!(call.next(NOW), NextAction::Retry(_)));
    assert!(call.try_use_key(key, || unreachable!("the budget was asked before")));
    assert_eq!(call.retries_spent, 1);
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
    assert_eq!(call.retries_spent, 0);
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
        assert_eq!((call.next(NOW), call.retries_spent), (NextAction::Admit, 0));
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
    assert_eq!(call.retries_spent, 2);
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

#[test]
fn refused_response_format_is_repeated_twice_if_it_can_be_adapted() {
    let key = keys(1)[0];
    let refused = failure(FailureKind::ResponseFormatRefused);
    for (can_adapt, max_retries, repeats) in [(true, 0, 2), (true, 5, 2), (false, 0, 0), (false, 5, 0)] {
        let mut call = call(max_retries, 1);
        let failed = FailedAttempt {
            can_adapt,
            ..attempt(key, false)
        };
        for repeat in 0..=repeats {
            let outcome = call.record_failure(&refused, failed, |_| true, NOW);
            let next = if repeat < repeats {
                NextAction::Admit
            } else {
                NextAction::GiveUp
            };
            assert_eq!(
                (outcome, call.next(NOW)),
                (KeyOutcome::Unchanged, next),
                "{repeat}"
            );
            assert_eq!(call.retries_spent, 0);
        }
    }
}

/// The bound of the module: with every free repeat taken, and every key and retry used.
#[test]
fn attempts_are_at_most_those_of_the_invariant() {
    let (retries, key_count) = (3, 4);
    let keys = keys(key_count);
    let mut call = call(retries, key_count);
    let mut attempts = 0;
    let free = [
        FailureKind::DeadConnection,
        FailureKind::StreamOptionsRefused,
        FailureKind::ResponseFormatRefused,
        FailureKind::ResponseFormatRefused,
    ];
    let kinds = free.into_iter().chain([FailureKind::InvalidKey; 32]);
    for (kind, key) in kinds.zip([keys[0]; 4].into_iter().chain(keys.into_iter().cycle())) {
        let is_admitted = match call.next(NOW) {
            NextAction::Admit => call.try_use_key(key, || true),
            _ => false,
        };
        if !is_admitted {
            break;
        }
        attempts += 1;
        let failed = FailedAttempt {
            can_adapt: true,
            ..attempt(key, true)
        };
        call.record_failure(&failure(kind), failed, |_| true, NOW);
    }
    assert_eq!(attempts, 4 + key_count + retries as usize);
}

// L93
#[test]
fn same_ambiguous_failure_of_two_keys_blames_the_request() {
    let keys = keys(4);
    for kind in [FailureKind::PermissionDenied, FailureKind::ModelNotFound] {
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
fn same_unclear_rate_refusal_of_two_keys_spends_retries() {
    let keys = keys(2);
    let mut call = call(2, 2);
    let unclear = ambiguous(FailureKind::RateLimited);
    let refuse = |call: &mut Attempts, key| call.record_failure(&unclear, attempt(key, false), |_| true, NOW);
    assert_eq!(refuse(&mut call, keys[0]), KeyOutcome::ProvisionalCooldown);
    assert_eq!((call.next(NOW), call.retries_spent), (NextAction::Admit, 0));
    for (retry, key) in [(1, keys[1]), (2, keys[0])] {
        assert_eq!(refuse(&mut call, key), KeyOutcome::RestoreAll);
        assert_eq!(call.retries_spent, retry);
        let until = NOW + Duration::from_secs(1 << (retry - 1));
        let next = call.next(NOW);
        assert!(
            matches!(next, NextAction::Yield(at) if at > NOW && at <= until),
            "{next:?}"
        );
        assert_eq!(call.next(NOW), NextAction::Admit);
    }
    assert_eq!(refuse(&mut call, keys[1]), KeyOutcome::RestoreAll);
    assert_eq!(call.next(NOW), NextAction::GiveUp);
}

#[test]
fn unclear_rate_refusal_of_a_key_that_refuses_others_makes_way_and_spends_no_retry() {
    let keys = keys(2);
    let mut call = call(1, 2);
    let unclear = ambiguous(FailureKind::RateLimited);
    let mut longest = Duration::ZERO;
    for refusal in 0..6 {
        let failed = FailedAttempt {
            refuses_others: true,
            ..attempt(keys[refusal % 2], false)
        };
        let outcome = call.record_failure(&unclear, failed, |_| true, NOW);
        assert_eq!(outcome, KeyOutcome::Cooldown);
        let NextAction::Yield(until) = call.next(NOW) else {
            panic!("makes no way after refusal {refusal}")
        };
        assert!(until <= NOW + Duration::from_secs(1 << refusal));
        longest = longest.max(until.since(NOW));
        assert_eq!((call.next(NOW), call.retries_spent), (NextAction::Admit, 0));
        assert!(call.try_use_key(keys[0], || false));
    }
    assert!(longest > Duration::from_secs(4), "{longest:?}");
    // Such a refusal does not make that of another key a second one alike.
    let outcome = call.record_failure(&unclear, attempt(keys[0], false), |_| true, NOW);
    assert_eq!(outcome, KeyOutcome::ProvisionalCooldown);
}

#[test]
fn call_without_retries_never_makes_way() {
    let keys = keys(2);
    let mut call = call(0, 2);
    for (key, next) in [(keys[0], NextAction::Admit), (keys[1], NextAction::GiveUp)] {
        let failed = FailedAttempt {
            refuses_others: true,
            ..attempt(key, false)
        };
        call.record_failure(&ambiguous(FailureKind::RateLimited), failed, |_| true, NOW);
        assert_eq!(call.next(NOW), next);
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
        call.try_use_key(keys[0], || true) && call.is_rejected_by(keys[1]) && !call.is_rejected_by(keys[0])
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
    assert!(limited.try_use_key(key, || false) && limited.retries_spent == 0);
}

// L93
#[test]
fn ambiguous_failures_of_one_key_do_not_blame_the_request() {
    let keys = keys(3);
    let mut call = call(5, 3);
    let mut record = |failure: Failure, key| {
        let outcome = call.record_failure(&failure, attempt(key, false), |_| true, NOW);
        (outcome, call.next(NOW))
    };
    let refused_key = (KeyOutcome::Cooldown, NextAction::Admit);
    let provisional = (KeyOutcome::ProvisionalCooldown, NextAction::Admit);
    let invalid = failure(FailureKind::InvalidKey);
    let throttled = ambiguous(FailureKind::RateLimited);
    // Another key refused for another reason, or for the same reason with certainty.
    assert_eq!(record(invalid, keys[0]), refused_key);
    assert_eq!(record(failure(FailureKind::RateLimited), keys[2]), refused_key);
    assert_eq!(record(throttled.clone(), keys[1]), provisional);
    assert_eq!(record(throttled.clone(), keys[1]), provisional);
    let (outcome, next) = record(throttled, keys[2]);
    assert_eq!(outcome, KeyOutcome::RestoreAll);
    assert!(matches!(next, NextAction::Yield(_)), "{next:?}");
}

// L93
#[test]
fn ambiguous_failures_of_different_kinds_blame_no_request() {
    let keys = keys(2);
    let mut call = call(5, 2);
    let mut record = |kind, key| call.record_failure(&ambiguous(kind), attempt(key, false), |_| true, NOW);
    let provisional = KeyOutcome::ProvisionalCooldown;
    assert_eq!(record(FailureKind::PermissionDenied, keys[0]), provisional);
    assert_eq!(record(FailureKind::RateLimited, keys[1]), provisional);
    // A failure of another kind in between does not hide that both keys failed alike.
    assert_eq!(
        record(FailureKind::PermissionDenied, keys[1]),
        KeyOutcome::RestoreAll
    );
}

#[test]
fn failure_of_the_target_does_not_clear_a_refusal_of_the_key() {
    let key = keys(1)[0];
    let mut call = call(5, 2);
    assert!(!call.is_rejected_by(key));
    call.record_failure(
        &failure(FailureKind::InvalidKey),
        attempt(key, false),
        |_| true,
        NOW,
    );
    call.record_failure(
        &failure(FailureKind::ServerError),
        attempt(key, false),
        |_| true,
        NOW,
    );
    assert!(call.is_rejected_by(key));
}
