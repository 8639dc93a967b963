use std::time::Duration;

use super::super::cooldown::CooldownReason;
use super::super::cooldown::RefusalWait;
use super::super::key::{KeyId, KeyLimits};
use super::super::limiter::ProvisionalCooldown;
use super::super::limits::{LimitKind, Limits};
use super::super::rate_limit::RateLimit;
use super::super::target::TargetLimits;
use super::*;

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

fn request(ticket: u64, constraint: KeyConstraint) -> AcquireRequest {
    AcquireRequest {
        ticket: Ticket(ticket),
        caller: Caller::default(),
        demand: Demand::ONE,
        constraint,
        deadline: NOW + Duration::from_secs(60),
        wait_for_keys: true,
    }
}

fn granted(outcome: AdmissionOutcome) -> Grant {
    match outcome {
        AdmissionOutcome::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

fn slots(limit: u32) -> Limits {
    Limits {
        max_concurrency: Some(limit),
        ..Limits::default()
    }
}

/// A slot of a target and one of a key are freed together, while a younger call of another target already waits for the key.
#[test]
fn waiter_for_its_target_is_not_overtaken_on_a_key() {
    let mut limiter = Limiter::new();
    let limits = KeyLimits {
        limits: slots(1),
        ..KeyLimits::default()
    };
    let keys = [limiter.add_key(limits)];
    let narrow = limiter.add_target(&keys, slots(1), NOW);
    let wide = limiter.add_target(&keys, None, NOW);
    let mut admission: Admission<u64> = Admission::over(limiter);
    let mut wakes = Vec::new();
    let mut held = granted(admission.acquire(narrow, &request(0, KeyConstraint::Any), &0, NOW, &mut wakes));
    for (ticket, target, constraint) in [
        (1, narrow, KeyConstraint::Key(keys[0])),
        (2, narrow, KeyConstraint::Any),
        (3, wide, KeyConstraint::Any),
    ] {
        let outcome = admission.acquire(target, &request(ticket, constraint), &ticket, NOW, &mut wakes);
        assert!(matches!(outcome, AdmissionOutcome::Wait), "{outcome:?}");
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        wakes.clear();
        admission.change(NOW, &mut wakes, |limiter| limiter.release(&mut held, true, NOW));
        let next = [
            (1, narrow, KeyConstraint::Key(keys[0])),
            (2, narrow, KeyConstraint::Any),
            (3, wide, KeyConstraint::Any),
        ];
        let mut next = next
            .into_iter()
            .filter(|(ticket, _, _)| admission.uncollected.keys().any(|(_, own)| own.0 == *ticket));
        let (ticket, target, constraint) = next.next().expect("no waiter was granted");
        order.push(ticket);
        held = granted(admission.poll(target, &request(ticket, constraint), &ticket, NOW, &mut wakes));
    }
    assert_eq!(order, [1, 2, 3]);
}

/// A model that was refused, that waited, and whose call was cancelled, beside a model that waits for the same key.
// reproduction 16
#[test]
fn removed_target_leaves_nothing_to_the_target_with_its_id() {
    let mut admission: Admission<u64> = Admission::default();
    let limits = KeyLimits {
        limits: slots(1),
        ..KeyLimits::default()
    };
    let mut wakes = Vec::new();
    let keys = [admission.change(NOW, &mut wakes, |limiter| limiter.add_key(limits))];
    let other = admission.change(NOW, &mut wakes, |limiter| limiter.add_target(&keys, None, NOW));
    let removed = admission.change(NOW, &mut wakes, |limiter| {
        limiter.add_target(&keys, slots(1), NOW)
    });
    let any = |ticket| request(ticket, KeyConstraint::Any);
    let mut held = granted(admission.acquire(removed, &any(0), &0, NOW, &mut wakes));
    for (ticket, target) in [(1, removed), (2, other)] {
        let outcome = admission.acquire(target, &any(ticket), &ticket, NOW, &mut wakes);
        assert!(matches!(outcome, AdmissionOutcome::Wait), "{outcome:?}");
    }
    let pause = Some(Duration::from_secs(30));
    admission.change(NOW, &mut wakes, |limiter| {
        limiter.record_refusal(&held, CooldownReason::Throttled, pause, NOW)
    });
    admission.change(NOW, &mut wakes, |limiter| {
        limiter.record_refusal(&held, CooldownReason::Forbidden, None, NOW)
    });
    admission.cancel(removed, &any(1), NOW, &mut wakes);
    admission.change(NOW, &mut wakes, |limiter| limiter.release(&mut held, true, NOW));
    admission.change(NOW, &mut wakes, |limiter| limiter.remove_target(removed));
    assert_eq!(wakes, [2]);

    let added = admission.change(NOW, &mut wakes, |limiter| limiter.add_target(&keys, None, NOW));
    assert_eq!(added, removed);
    assert_eq!(*admission.limiter.target_limits(added), Limits::default());
    let mut held = granted(admission.poll(other, &any(2), &2, NOW, &mut wakes));
    let outcome = admission.acquire(added, &any(3), &3, NOW, &mut wakes);
    assert!(matches!(outcome, AdmissionOutcome::Wait), "{outcome:?}");
    admission.change(NOW, &mut wakes, |limiter| limiter.release(&mut held, true, NOW));
    assert_eq!(wakes, [2, 3]);
    let mut held = granted(admission.poll(added, &any(3), &3, NOW, &mut wakes));
    admission.change(NOW, &mut wakes, |limiter| limiter.release(&mut held, true, NOW));
    assert!(admission.is_idle());
    admission.change(NOW, &mut wakes, |limiter| limiter.remove_target(added));
    for _ in 0..1000 {
        let target = admission.change(NOW, &mut wakes, |limiter| limiter.add_target(&keys, None, NOW));
        admission.change(NOW, &mut wakes, |limiter| limiter.remove_target(target));
    }
    assert_eq!(admission.queues.len(), 2);
}

fn request_with_tokens(ticket: u64, tokens: u32) -> AcquireRequest {
    AcquireRequest {
        demand: Demand { requests: 1, tokens },
        deadline: NOW + Duration::from_secs(10),
        ..request(ticket, KeyConstraint::Any)
    }
}

fn with_tpm_10_000(of_key: bool) -> (Admission<u64>, TargetId) {
    let mut limiter = Limiter::new();
    let tokens = Limits {
        tpm: Some(10_000),
        ..Limits::default()
    };
    let (of_key, of_target) = if of_key {
        (tokens, Limits::default())
    } else {
        (Limits::default(), tokens)
    };
    let limits = KeyLimits {
        limits: of_key,
        ..KeyLimits::default()
    };
    let key = limiter.add_key(limits);
    let target = limiter.add_target(&[key], of_target, NOW);
    (Admission::over(limiter), target)
}

// L36
#[test]
fn request_is_not_rejected_for_tokens_that_may_be_returned() {
    for of_key in [false, true] {
        let (mut admission, target) = with_tpm_10_000(of_key);
        let mut wakes = Vec::new();
        let mut held = Vec::new();
        for ticket in 0..20 {
            match admission.acquire(
                target,
                &request_with_tokens(ticket, 4096),
                &ticket,
                NOW,
                &mut wakes,
            ) {
                AdmissionOutcome::Granted(grant) => held.push(grant),
                AdmissionOutcome::Wait => {}
                rejected @ AdmissionOutcome::Rejected(_) => panic!("{rejected:?}"),
            }
        }
        assert_eq!(held.len(), 2);
        let mut next = 2;
        while let Some(mut grant) = held.pop() {
            admission.change(NOW, &mut wakes, |limiter| limiter.settle(&mut grant, 5, NOW));
            admission.change(NOW, &mut wakes, |limiter| limiter.release(&mut grant, true, NOW));
            while next < 20
                && let AdmissionOutcome::Granted(grant) =
                    admission.poll(target, &request_with_tokens(next, 4096), &next, NOW, &mut wakes)
            {
                held.push(grant);
                next += 1;
            }
        }
        assert_eq!(next, 20, "of key: {of_key}");
    }
}

// O14
#[test]
fn waiter_is_woken_when_tokens_turn_out_to_be_used() {
    for of_key in [false, true] {
        let (mut admission, target) = with_tpm_10_000(of_key);
        let mut wakes = Vec::new();
        let first = request_with_tokens(0, 9000);
        let mut grant = granted(admission.acquire(target, &first, &0, NOW, &mut wakes));
        let second = request_with_tokens(1, 2000);
        let outcome = admission.acquire(target, &second, &1, NOW, &mut wakes);
        assert!(matches!(outcome, AdmissionOutcome::Wait), "{outcome:?}");
        admission.change(NOW, &mut wakes, |limiter| limiter.settle(&mut grant, 9000, NOW));
        admission.change(NOW, &mut wakes, |limiter| limiter.release(&mut grant, true, NOW));
        assert!(wakes.contains(&1), "of key: {of_key}");
        for outcome in [
            admission.poll(target, &second, &1, NOW, &mut wakes),
            admission.acquire(target, &request_with_tokens(2, 2000), &2, NOW, &mut wakes),
        ] {
            let too_late = matches!(outcome, AdmissionOutcome::Rejected(Rejection::TooLate { ready_at: Some(at), .. })
                if at > NOW + Duration::from_secs(50));
            assert!(too_late, "of key: {of_key}: {outcome:?}");
        }
    }
}

/// A target with keys of its own, and another one that no change of the first concerns.
struct Fixture {
    admission: Admission<u64>,
    keys: Vec<KeyId>,
    target: TargetId,
    other: TargetId,
    wakes: Vec<u64>,
}

impl Fixture {
    fn new(keys: usize, of_key: Limits, of_target: Limits) -> Self {
        let mut limiter = Limiter::new();
        let limits = KeyLimits {
            limits: of_key,
            ..KeyLimits::default()
        };
        let keys: Vec<_> = (0..keys).map(|_| limiter.add_key(limits)).collect();
        let target = TargetLimits {
            limits: of_target,
            breaker: Some(1),
            ..TargetLimits::default()
        };
        let target = limiter.add_target(&keys, target, NOW);
        let other = limiter.add_key(limits);
        let other = limiter.add_target(&[other], Limits::default(), NOW);
        Self {
            admission: Admission::over(limiter),
            keys,
            target,
            other,
            wakes: Vec::new(),
        }
    }

    fn acquire(&mut self, ticket: u64, constraint: KeyConstraint) -> AdmissionOutcome {
        let request = patient(ticket, constraint);
        self.admission
            .acquire(self.target, &request, &ticket, NOW, &mut self.wakes)
    }

    fn grant(&mut self, ticket: u64) -> Grant {
        granted(self.acquire(ticket, KeyConstraint::Any))
    }

    fn wait(&mut self, ticket: u64, constraint: KeyConstraint) {
        let outcome = self.acquire(ticket, constraint);
        assert!(matches!(outcome, AdmissionOutcome::Wait), "{ticket}: {outcome:?}");
    }

    /// Queues a request for a key of another target that is disabled; no change of this fixture concerns it.
    fn wait_elsewhere(&mut self) {
        let request = patient(99, KeyConstraint::Any);
        let key = self.admission.limiter().keys_of(self.other)[0];
        self.admission.change(NOW, &mut self.wakes, |limiter| {
            limiter.set_enabled(key, false, NOW);
        });
        let outcome = self
            .admission
            .acquire(self.other, &request, &99, NOW, &mut self.wakes);
        assert!(matches!(outcome, AdmissionOutcome::Wait), "{outcome:?}");
        self.wakes.clear();
    }

    /// Changes the limiter, and returns the requests that this wakes.
    fn change<T>(&mut self, change: impl FnOnce(&mut Limiter) -> T) -> Vec<u64> {
        self.change_at(NOW, change)
    }

    fn change_at<T>(&mut self, now: Timestamp, change: impl FnOnce(&mut Limiter) -> T) -> Vec<u64> {
        self.wakes.clear();
        self.admission.change(now, &mut self.wakes, change);
        std::mem::take(&mut self.wakes)
    }

    /// Lets the only key cool down, and queues ticket 1 behind it.
    fn cool_down(&mut self, reason: CooldownReason, seconds: u64) -> (Grant, Option<ProvisionalCooldown>) {
        let grant = self.grant(0);
        let wait = RefusalWait::Provisional(Some(Duration::from_secs(seconds)));
        let cooldown = self.admission.change(NOW, &mut self.wakes, |limiter| {
            limiter.record_refusal(&grant, reason, wait, NOW)
        });
        self.wait(1, KeyConstraint::Any);
        self.wait_elsewhere();
        (grant, cooldown)
    }
}

fn patient(ticket: u64, constraint: KeyConstraint) -> AcquireRequest {
    AcquireRequest {
        deadline: Timestamp::MAX,
        ..request(ticket, constraint)
    }
}

fn unlimited() -> Fixture {
    Fixture::new(1, Limits::default(), Limits::default())
}

#[test]
fn release_wakes_the_waiter_for_the_slot() {
    for (of_key, of_target) in [(slots(1), Limits::default()), (Limits::default(), slots(1))] {
        for used in [true, false] {
            let mut fixture = Fixture::new(1, of_key, of_target);
            let mut grant = fixture.grant(0);
            fixture.wait(1, KeyConstraint::Any);
            fixture.wait(2, KeyConstraint::Any);
            fixture.wait_elsewhere();
            let wakes = fixture.change(|limiter| limiter.release(&mut grant, used, NOW));
            assert_eq!(wakes, [1]);
        }
    }
}

#[test]
fn complete_wakes_the_waiter_for_the_slot() {
    let mut fixture = Fixture::new(1, slots(1), Limits::default());
    let mut grant = fixture.grant(0);
    fixture.wait(1, KeyConstraint::Any);
    fixture.wait_elsewhere();
    let wakes = fixture.change(|limiter| limiter.complete(&mut grant, NOW));
    assert_eq!(wakes, [1]);
}

#[test]
fn cancel_of_a_granted_waiter_wakes_the_next_one() {
    let mut fixture = Fixture::new(1, slots(1), Limits::default());
    let mut grant = fixture.grant(0);
    fixture.wait(1, KeyConstraint::Any);
    fixture.wait(2, KeyConstraint::Any);
    fixture.wait_elsewhere();
    fixture.change(|limiter| limiter.release(&mut grant, true, NOW));
    let target = fixture.target;
    let granted = patient(1, KeyConstraint::Any);
    fixture
        .admission
        .cancel(target, &granted, NOW, &mut fixture.wakes);
    assert_eq!(fixture.wakes, [2]);
}

#[test]
fn settle_wakes_the_waiter_for_tokens() {
    for of_key in [false, true] {
        let (mut admission, target) = with_tpm_10_000(of_key);
        let mut wakes = Vec::new();
        let first = request_with_tokens(0, 9000);
        let mut grant = granted(admission.acquire(target, &first, &0, NOW, &mut wakes));
        let outcome = admission.acquire(target, &request_with_tokens(1, 2000), &1, NOW, &mut wakes);
        assert!(matches!(outcome, AdmissionOutcome::Wait), "{outcome:?}");
        wakes.clear();
        admission.change(NOW, &mut wakes, |limiter| limiter.settle(&mut grant, 5, NOW));
        assert_eq!(wakes, [1], "of key: {of_key}");
    }
}

// reproduction 14
#[test]
fn success_of_a_probe_wakes_the_waiter() {
    let mut fixture = unlimited();
    let mut refused = fixture.grant(0);
    let second = Some(Duration::from_secs(1));
    let before = Timestamp::from_nanos(NOW.as_nanos() - 1_000_000_000);
    fixture.change_at(before, |limiter| {
        limiter.record_refusal(&refused, CooldownReason::Invalid, second, before)
    });
    fixture.change(|limiter| limiter.release(&mut refused, true, NOW));
    let probe = fixture.grant(1);
    fixture.wait(2, KeyConstraint::Any);
    fixture.wait_elsewhere();
    let wakes = fixture.change(|limiter| limiter.record_success(&probe, NOW));
    assert_eq!(wakes, [2]);
}

#[test]
fn success_of_a_target_probe_wakes_the_waiter() {
    let mut fixture = unlimited();
    let mut failed = fixture.grant(0);
    let duration = Some(Duration::ZERO);
    fixture.change(|limiter| limiter.record_target_failure(&failed, duration, NOW));
    fixture.change(|limiter| limiter.release(&mut failed, true, NOW));
    let probe = fixture.grant(1);
    fixture.wait(2, KeyConstraint::Any);
    fixture.wait_elsewhere();
    let wakes = fixture.change(|limiter| limiter.record_success(&probe, NOW));
    assert_eq!(wakes, [2]);
}

/// A waiter whose time has come is granted by `advance`, not by the success of another attempt.
#[test]
fn success_without_a_change_serves_no_queue() {
    let rate_limit = RateLimit::new(1, 1.0).ok();
    let mut fixture = Fixture::new(1, Limits::default(), rate_limit.into());
    let grant = fixture.grant(0);
    fixture.wait(1, KeyConstraint::Any);
    let later = NOW + Duration::from_secs(2);
    let wakes = fixture.change_at(later, |limiter| limiter.record_success(&grant, later));
    assert!(wakes.is_empty(), "{wakes:?}");
}

/// The wait of the head changes from a slot to the end of the cooldown.
#[test]
fn refusal_schedules_the_retry_of_the_waiter_for_the_key() {
    for reason in [CooldownReason::Invalid, CooldownReason::Unclear] {
        let mut fixture = Fixture::new(1, slots(1), Limits::default());
        let grant = fixture.grant(0);
        fixture.wait(1, KeyConstraint::Any);
        fixture.wait_elsewhere();
        let duration = Some(Duration::from_secs(10));
        let wakes = fixture.change(|limiter| limiter.record_refusal(&grant, reason, duration, NOW));
        assert!(wakes.is_empty(), "{reason:?}");
        assert_eq!(
            fixture.admission.next_event(),
            Some(NOW + Duration::from_secs(10))
        );
    }
}

#[test]
fn target_failure_schedules_the_retry_of_its_waiter() {
    let mut fixture = Fixture::new(1, Limits::default(), slots(1));
    let grant = fixture.grant(0);
    fixture.wait(1, KeyConstraint::Any);
    fixture.wait_elsewhere();
    let duration = Some(Duration::from_secs(10));
    let wakes = fixture.change(|limiter| limiter.record_target_failure(&grant, duration, NOW));
    assert!(wakes.is_empty());
    assert_eq!(
        fixture.admission.next_event(),
        Some(NOW + Duration::from_secs(10))
    );
}

/// The waiter no longer waits for the outcome of the probe, which takes longer than the next pause.
#[test]
fn failure_of_a_probe_moves_the_retry_of_the_waiter() {
    for constraint in 0..2 {
        let mut fixture = unlimited();
        let constraint = [KeyConstraint::Any, KeyConstraint::Key(fixture.keys[0])][constraint];
        let grant = fixture.grant(0);
        let target = fixture.target;
        fixture.change(|limiter| {
            // Without a breaker.
            limiter.set_target_limits(target, Limits::default(), NOW);
            limiter.record_refusal(&grant, CooldownReason::Throttled, None, NOW);
        });
        fixture.wait(1, KeyConstraint::Any);
        let later = NOW + Duration::from_secs(1);
        fixture.admission.advance(later, &mut fixture.wakes);
        let outcome = fixture.admission.poll(
            target,
            &patient(1, KeyConstraint::Any),
            &1,
            later,
            &mut fixture.wakes,
        );
        let probe = granted(outcome);
        fixture.change_at(later, |limiter| limiter.await_probe(&probe, false, later));
        let waiting = patient(2, constraint);
        fixture
            .admission
            .acquire(target, &waiting, &2, later, &mut fixture.wakes);
        assert_eq!(
            fixture.admission.next_event(),
            Some(later + Duration::from_millis(5250))
        );
        let wakes = fixture.change_at(later, |limiter| {
            limiter.record_target_failure(&probe, None, later);
        });
        assert!(wakes.is_empty());
        let next = fixture.admission.next_event();
        assert_eq!(next, Some(later + Duration::from_secs(1)), "{constraint:?}");
        fixture.wakes.clear();
        fixture.admission.advance(next.unwrap(), &mut fixture.wakes);
        assert_eq!(fixture.wakes, [2], "{constraint:?}");
    }
}

#[test]
fn restore_wakes_the_waiter_for_the_key() {
    let mut fixture = unlimited();
    let (_, cooldown) = fixture.cool_down(CooldownReason::Throttled, 10);
    let wakes = fixture.change(|limiter| limiter.restore(cooldown.unwrap(), NOW));
    assert_eq!(wakes, [1]);
}

#[test]
fn enabled_key_wakes_its_waiter() {
    let mut fixture = unlimited();
    let key = fixture.keys[0];
    fixture.change(|limiter| limiter.set_enabled(key, false, NOW));
    fixture.wait(1, KeyConstraint::Any);
    fixture.wait_elsewhere();
    let wakes = fixture.change(|limiter| limiter.set_enabled(key, true, NOW));
    assert_eq!(wakes, [1]);
}

#[test]
fn longer_cooldown_moves_the_retry_of_the_waiter() {
    let mut fixture = unlimited();
    fixture.cool_down(CooldownReason::Throttled, 10);
    let (key, until) = (fixture.keys[0], NOW + Duration::from_secs(20));
    let wakes = fixture.change(|limiter| limiter.set_cooldown(key, CooldownReason::Throttled, until, NOW));
    assert!(wakes.is_empty());
    assert_eq!(fixture.admission.next_event(), Some(until));
}

/// Returns an admission with two keys of one quota group, each with its own target. The second key is added
/// after the first target.
fn two_targets_of_one_group(of_group: Limits) -> (Admission<u64>, [TargetId; 2]) {
    let mut limiter = Limiter::new();
    let group = limiter.add_group(of_group, false);
    let targets = [0; 2].map(|_| {
        let key = limiter.add_key_to_group(group, KeyLimits::default());
        limiter.add_target(&[key], None, NOW)
    });
    (Admission::over(limiter), targets)
}

#[test]
fn released_slot_of_a_group_wakes_the_waiter_for_any_key_of_the_group() {
    for (holder, waiter) in [(0, 1), (1, 0)] {
        let (mut admission, targets) = two_targets_of_one_group(slots(1));
        let mut wakes = Vec::new();
        let mut acquire = |target: usize, ticket| {
            let request = patient(ticket, KeyConstraint::Any);
            admission.acquire(targets[target], &request, &ticket, NOW, &mut wakes)
        };
        let mut held = granted(acquire(holder, 0));
        assert!(matches!(acquire(waiter, 1), AdmissionOutcome::Wait));
        wakes.clear();
        admission.change(NOW, &mut wakes, |limiter| limiter.release(&mut held, true, NOW));
        assert_eq!(wakes, [1], "slot of target {holder}");
    }
}

#[test]
fn cooldown_of_a_group_schedules_the_retry_of_its_waiters() {
    for (holder, waiter) in [(0, 1), (1, 0)] {
        let (mut admission, targets) = two_targets_of_one_group(slots(1));
        let mut wakes = Vec::new();
        let mut acquire = |target: usize, ticket| {
            let request = patient(ticket, KeyConstraint::Any);
            admission.acquire(targets[target], &request, &ticket, NOW, &mut wakes)
        };
        let held = granted(acquire(holder, 0));
        assert!(matches!(acquire(waiter, 1), AdmissionOutcome::Wait));
        wakes.clear();
        let duration = Some(Duration::from_secs(10));
        admission.change(NOW, &mut wakes, |limiter| {
            limiter.record_refusal(&held, CooldownReason::NoQuota, duration, NOW)
        });
        assert!(wakes.is_empty());
        let retry_at = Some(NOW + Duration::from_secs(10));
        assert_eq!(admission.next_event(), retry_at, "cooldown by target {holder}");
    }
}

#[test]
fn reset_wakes_the_waiter_for_the_rate() {
    let rate_limit = RateLimit::new(1, 0.05).ok();
    let mut fixture = Fixture::new(1, Limits::default(), rate_limit.into());
    fixture.grant(0);
    fixture.wait(1, KeyConstraint::Any);
    fixture.wait_elsewhere();
    let target = fixture.target;
    let wakes = fixture.change(|limiter| limiter.reset(target));
    assert_eq!(wakes, [1]);
}

#[test]
fn looser_limit_wakes_the_waiter_for_the_target() {
    let mut fixture = Fixture::new(1, Limits::default(), slots(1));
    fixture.grant(0);
    fixture.wait(1, KeyConstraint::Any);
    fixture.wait_elsewhere();
    let target = fixture.target;
    let wakes = fixture.change(|limiter| limiter.set_target_limits(target, slots(2), NOW));
    assert_eq!(wakes, [1]);
}

/// A request for a healthy key waits for a key that only another request may test.
#[test]
fn waiter_for_a_healthy_key_keeps_no_key_that_must_be_tested() {
    for is_queued in [true, false] {
        let mut fixture = unlimited();
        let (mut refused, _) = fixture.cool_down(CooldownReason::Throttled, 10);
        fixture.change(|limiter| limiter.release(&mut refused, true, NOW));
        let target = fixture.target;
        let any = patient(1, KeyConstraint::Any);
        fixture.admission.cancel(target, &any, NOW, &mut Vec::new());
        fixture.wait(2, KeyConstraint::Healthy);
        let later = NOW + Duration::from_secs(10);
        let (admission, wakes) = (&mut fixture.admission, &mut fixture.wakes);
        let third = patient(3, KeyConstraint::Any);
        let probe = if is_queued {
            granted(admission.acquire(target, &third, &3, later, wakes))
        } else {
            admission
                .try_acquire(target, &third, later, wakes)
                .expect("the key was not granted")
        };
        assert!(probe.is_probe());
        // The probe's outcome ends the wait, although no event of the limiter reports it.
        let retry_at = fixture
            .admission
            .next_event()
            .expect("the waiter has no retry time");
        fixture.wakes.clear();
        fixture.admission.advance(retry_at, &mut fixture.wakes);
        assert_eq!(fixture.wakes, [2], "queued: {is_queued}");
    }
}

/// A grant by another target moves the first caller behind the second. The event of the new head does not end with
/// the previous one.
#[test]
fn cancel_of_a_replaced_head_keeps_the_retry_of_the_new_head() {
    let rate_limit = RateLimit::new(1, 2.0).ok();
    let mut fixture = Fixture::new(1, Limits::default(), rate_limit.into());
    let (target, other) = (fixture.target, fixture.other);
    let of = |caller, ticket| AcquireRequest {
        caller: Caller::new(caller),
        ..patient(ticket, KeyConstraint::Any)
    };
    let mut held = fixture.grant(0);
    let acquire = |fixture: &mut Fixture, target, request: AcquireRequest| {
        let ticket = request.ticket.0;
        fixture
            .admission
            .acquire(target, &request, &ticket, NOW, &mut fixture.wakes)
    };
    assert_eq!(acquire(&mut fixture, target, of(1, 1)), AdmissionOutcome::Wait);
    assert_eq!(acquire(&mut fixture, target, of(2, 2)), AdmissionOutcome::Wait);
    granted(acquire(&mut fixture, other, of(1, 3)));
    granted(acquire(&mut fixture, other, of(1, 4)));
    held.demand.tokens = 1;
    fixture.change(|limiter| limiter.release(&mut held, true, NOW));
    fixture
        .admission
        .cancel(target, &of(1, 1), NOW, &mut fixture.wakes);
    let retry_at = NOW + Duration::from_millis(500);
    assert_eq!(fixture.admission.next_event(), Some(retry_at));
}

/// The older head may use both keys. Its grant leaves the other key to the younger head of another target.
#[test]
fn grant_of_an_older_head_serves_the_younger_one_that_waited_behind_it() {
    let mut limiter = Limiter::new();
    let tokens = KeyLimits {
        limits: Limits {
            tpm: Some(50),
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    let slot = KeyLimits {
        limits: slots(1),
        ..KeyLimits::default()
    };
    let keys = [limiter.add_key(tokens), limiter.add_key(slot)];
    let both = limiter.add_target(&keys, None, NOW);
    let first = limiter.add_target(&keys[..1], None, NOW);
    let mut admission = Admission::over(limiter);
    let mut wakes = Vec::new();
    let mut acquire = |target, ticket, tokens, constraint| {
        let mut request = patient(ticket, constraint);
        request.demand.tokens = tokens;
        admission.acquire(target, &request, &ticket, NOW, &mut wakes)
    };
    let mut held = granted(acquire(both, 0, 0, KeyConstraint::Key(keys[1])));
    assert_eq!(acquire(both, 1, 51, KeyConstraint::Any), AdmissionOutcome::Wait);
    assert_eq!(acquire(first, 2, 0, KeyConstraint::Any), AdmissionOutcome::Wait);
    wakes.clear();
    admission.change(NOW, &mut wakes, |limiter| {
        limiter.release(&mut held, true, NOW);
    });
    assert_eq!(wakes, [1, 2]);
}

#[test]
fn change_of_several_keys_wakes_the_waiters_for_each() {
    let mut fixture = unlimited();
    let keys = [
        fixture.keys[0],
        fixture.admission.limiter().keys_of(fixture.other)[0],
    ];
    fixture.change(|limiter| keys.map(|key| limiter.set_enabled(key, false, NOW)));
    fixture.wait(1, KeyConstraint::Any);
    fixture.wait_elsewhere();
    let mut wakes = fixture.change(|limiter| keys.map(|key| limiter.set_enabled(key, true, NOW)));
    wakes.sort_unstable();
    assert_eq!(wakes, [1, 99]);
}

#[test]
fn rejected_head_leaves_its_retry_to_the_request_that_waits_for_keys() {
    let mut fixture = Fixture::new(1, slots(1), Limits::default());
    let grant = fixture.grant(0);
    let hasty = AcquireRequest {
        wait_for_keys: false,
        ..patient(1, KeyConstraint::Any)
    };
    let outcome = fixture
        .admission
        .acquire(fixture.target, &hasty, &1, NOW, &mut fixture.wakes);
    assert_eq!(outcome, AdmissionOutcome::Wait);
    fixture.wait(2, KeyConstraint::Any);
    let pause = Some(Duration::from_secs(10));
    let refuse = |limiter: &mut Limiter| limiter.record_refusal(&grant, CooldownReason::Invalid, pause, NOW);
    assert_eq!(fixture.change(refuse), [1]);
    let retry_at = NOW + Duration::from_secs(10);
    assert_eq!(fixture.admission.next_event(), Some(retry_at));
}

#[test]
fn callers_alternate_whichever_target_serves_them() {
    let mut limiter = Limiter::new();
    let limits = KeyLimits {
        limits: slots(1),
        ..KeyLimits::default()
    };
    let keys = [limiter.add_key(limits)];
    let targets = [0; 2].map(|_| limiter.add_target(&keys, None, NOW));
    let mut admission: Admission<u64> = Admission::over(limiter);
    let mut wakes = Vec::new();
    // The caller and the target of each request, by ticket.
    let requests = [(0, 0), (1, 0), (1, 0), (1, 1), (1, 1), (2, 0), (2, 1)];
    let request = |ticket: u64| {
        let (caller, target) = requests[ticket as usize];
        let caller = Caller::new(caller);
        let request = AcquireRequest {
            caller,
            ..patient(ticket, KeyConstraint::Any)
        };
        (targets[target], request)
    };
    let mut acquire = |ticket: u64| {
        let (target, request) = request(ticket);
        admission.acquire(target, &request, &ticket, NOW, &mut wakes)
    };
    let mut held = granted(acquire(0));
    for ticket in 1..=6 {
        assert_eq!(acquire(ticket), AdmissionOutcome::Wait);
    }
    let mut order = Vec::new();
    for _ in 1..=6 {
        wakes.clear();
        admission.change(NOW, &mut wakes, |limiter| limiter.release(&mut held, true, NOW));
        let [ticket] = wakes[..] else { panic!("{wakes:?}") };
        order.push(ticket);
        let (target, request) = request(ticket);
        held = granted(admission.poll(target, &request, &ticket, NOW, &mut wakes));
    }
    assert_eq!(order, [1, 5, 2, 6, 3, 4]);
}

/// The older request waits for the only key. The younger one may be granted before its deadline all the same.
#[test]
fn request_behind_an_older_one_of_another_target_waits() {
    let mut limiter = Limiter::new();
    let limits = KeyLimits {
        limits: slots(1),
        ..KeyLimits::default()
    };
    let keys = [limiter.add_key(limits)];
    let targets = [0; 2].map(|_| limiter.add_target(&keys, None, NOW));
    let mut admission: Admission<u64> = Admission::over(limiter);
    let mut wakes = Vec::new();
    let mut acquire = |target: usize, ticket| {
        let request = request(ticket, KeyConstraint::Any);
        admission.acquire(targets[target], &request, &ticket, NOW, &mut wakes)
    };
    granted(acquire(0, 0));
    assert_eq!(acquire(0, 1), AdmissionOutcome::Wait);
    assert_eq!(acquire(1, 2), AdmissionOutcome::Wait);
    assert!(wakes.is_empty());
}

/// Three calls wait for a target with one request per second; a fourth could be granted after them.
#[test]
fn earliest_time_and_reason_take_the_queue_into_account() {
    let rate_limit = RateLimit::new(1, 1.0).ok();
    let mut fixture = Fixture::new(1, Limits::default(), rate_limit.into());
    let target = fixture.target;
    assert_eq!(fixture.admission.wait_reason(target, NOW), None);
    fixture.grant(0);
    let seconds = Duration::from_secs;
    assert_eq!(fixture.admission.earliest(target, NOW), NOW + seconds(1));
    for ticket in 1..4 {
        fixture.wait(ticket, KeyConstraint::Any);
    }
    assert_eq!(fixture.admission.earliest(target, NOW), NOW + seconds(4));
    let why = Some(WaitReason::Target(LimitKind::Requests));
    assert_eq!(fixture.admission.wait_reason(target, NOW), why);
    let last = request(3, KeyConstraint::Any);
    assert_eq!(fixture.admission.wait_reason_of(target, &last, NOW), why);
    assert_eq!(fixture.admission.next_key(target, KeyConstraint::Any, NOW), None);
    // By then the limit admits the call, and only the older ones delay it.
    let later = NOW + seconds(1);
    assert_eq!(fixture.admission.wait_reason_of(target, &last, later), None);
    assert_eq!(
        fixture.admission.next_key(target, KeyConstraint::Any, later),
        Some(fixture.keys[0])
    );

    let impatient = AcquireRequest {
        deadline: NOW + seconds(3),
        ..request(4, KeyConstraint::Any)
    };
    let outcome = fixture
        .admission
        .acquire(target, &impatient, &4, NOW, &mut Vec::new());
    let rejection = Rejection::TooLate {
        ready_at: Some(NOW + seconds(4)),
        why: WaitReason::Target(LimitKind::Requests),
    };
    assert_eq!(outcome, AdmissionOutcome::Rejected(rejection));
    assert_eq!(
        fixture.admission.waiting(target),
        3,
        "the rejected call is not queued"
    );
}
