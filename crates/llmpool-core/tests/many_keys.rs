//! The cost of one call over thousands of keys, without its requests.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::disallowed_methods, reason = "the test measures real time")]

use std::time::{Duration, Instant};

use llmpool_core::failure::{Failure, FailureKind};
use llmpool_core::limits::{
    AcquireRequest, Admission, AdmissionOutcome, Caller, CooldownReason, Demand, KeyConstraint, KeyLimits,
    Limiter, Limits, Ticket,
};
use llmpool_core::routing::attempts::{Attempts, FailedAttempt, KeyOutcome, NextAction};
use llmpool_core::routing::retry::RetryPolicy;
use llmpool_core::time::Timestamp;

const KEYS: usize = 5000;
const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

// reproduction 15
#[test]
fn call_that_every_one_of_5000_keys_refuses_is_cheap() {
    let mut limiter = Limiter::new();
    let keys: Vec<_> = (0..KEYS).map(|_| limiter.add_key(KeyLimits::default())).collect();
    let target = limiter.add_target(&keys, Limits::default(), NOW);
    let mut admission = Admission::<()>::over(limiter);
    let deadline = NOW + Duration::from_secs(30);
    let mut attempts = Attempts::new(RetryPolicy::default(), KEYS, deadline, 1);
    let request = AcquireRequest {
        ticket: Ticket(0),
        caller: Caller::default(),
        demand: Demand::ONE,
        constraint: KeyConstraint::Any,
        deadline,
        wait_for_keys: false,
    };
    let (mut sent, mut wakes) = (0, Vec::new());
    let started = Instant::now();
    while attempts.next(NOW) == NextAction::Admit
        && let AdmissionOutcome::Granted(mut grant) =
            admission.acquire(target, &request, &(), NOW, &mut wakes)
    {
        let key = grant.key().unwrap();
        assert!(attempts.try_use_key(key, || false));
        sent += 1;
        let attempt = FailedAttempt {
            key,
            added_stream_options: false,
            can_adapt: false,
            keeps_key: false,
            refuses_others: false,
        };
        let has_other_key = |attempts: &Attempts| {
            let is_excluded = |other| other == key || attempts.is_rejected_by(other);
            admission.limiter().has_other_key(target, is_excluded, NOW)
        };
        let failure = Failure::new(FailureKind::InvalidKey);
        let outcome = attempts.record_failure(&failure, attempt, has_other_key, NOW);
        assert_eq!(outcome, KeyOutcome::Cooldown);
        admission.change(NOW, &mut wakes, |limiter| {
            limiter.record_refusal(&grant, CooldownReason::Invalid, None, NOW)
        });
        admission.change(NOW, &mut wakes, |limiter| limiter.release(&mut grant, true, NOW));
    }
    assert_eq!(sent, KEYS);
    let most = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 50 });
    let elapsed = started.elapsed();
    assert!(elapsed < most, "{elapsed:?}");
}
