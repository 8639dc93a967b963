//! The limiter against counts that are computed separately.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool_core::limits::{
    CooldownReason, Demand, Denial, Grant, KeyAvailability, KeyConstraint, KeyId, KeyLimits, LimitKind,
    Limiter, Limits, RateLimit, RefusalWait, TargetId, TargetLimits, Unsatisfiable, Wait, WaitReason,
};
use llmpool_core::time::Timestamp;
use proptest::prelude::*;

const PROVISIONAL: RefusalWait = RefusalWait::Provisional(Some(Duration::from_secs(10)));
const START: Timestamp = Timestamp::from_nanos(1_000_000_000);

fn seconds(seconds: f64) -> Timestamp {
    START + Duration::from_secs_f64(seconds)
}

fn limiter(
    keys: usize,
    max_concurrency: Option<u32>,
    rate_limit: Option<(u32, f64)>,
) -> (Limiter, Vec<KeyId>, TargetId) {
    let mut limiter = Limiter::new();
    let limits = KeyLimits {
        limits: Limits {
            max_concurrency,
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    let keys: Vec<_> = (0..keys).map(|_| limiter.add_key(limits)).collect();
    let rate_limit = rate_limit.map(|(capacity, rate)| RateLimit::new(capacity, rate).unwrap());
    let target = limiter.add_target(&keys, rate_limit, START);
    (limiter, keys, target)
}

fn acquire(limiter: &mut Limiter, target: TargetId, now: Timestamp) -> Result<Grant, Wait> {
    match limiter.acquire(target, Demand::ONE, KeyConstraint::Any, now) {
        Ok(grant) => Ok(grant),
        Err(Denial::Wait(wait)) => Err(wait),
        Err(Denial::Unsatisfiable(reason)) => panic!("{reason:?}"),
    }
}

// L17
#[test]
fn unanswered_probes_double_for_the_next_round() {
    let (mut limiter, _, target) = limiter(1, None, None);
    let mut refused = acquire(&mut limiter, target, START).unwrap();
    limiter.record_refusal(&refused, CooldownReason::Invalid, None, START);
    limiter.release(&mut refused, true, START);
    let now = seconds(100.0);
    for expected in [1, 2, 4, 8] {
        let mut probes: Vec<Grant> = Vec::new();
        while let Ok(probe) = acquire(&mut limiter, target, now) {
            probes.push(probe);
        }
        assert_eq!(probes.len(), expected);
        for probe in &mut probes {
            limiter.release(probe, true, now);
        }
    }
}

/// A limiter whose key, quota group or target was refused an attempt for `reason`, for 60 s.
fn refused_for(reason: CooldownReason) -> (Limiter, TargetId) {
    let mut limiter = Limiter::new();
    let group = limiter.add_group(Limits::default(), false);
    let key = limiter.add_key_to_group(group, KeyLimits::default());
    let limits = TargetLimits {
        breaker: Some(1).filter(|_| reason == CooldownReason::Broken),
        ..TargetLimits::default()
    };
    let target = limiter.add_target(&[key], limits, START);
    let mut grant = acquire(&mut limiter, target, START).unwrap();
    let pause = Some(Duration::from_secs(60));
    match reason {
        CooldownReason::Overloaded => limiter.record_target_failure(&grant, pause, START),
        CooldownReason::Broken => limiter.record_target_failure(&grant, None, START),
        _ => drop(limiter.record_refusal(&grant, reason, pause, START)),
    }
    limiter.release(&mut grant, true, START);
    (limiter, target)
}

// L16
// reproduction 6
#[test]
fn silent_probe_keeps_others_waiting_for_five_seconds() {
    use CooldownReason::{Broken, Forbidden, Invalid, NoQuota};
    for reason in [Invalid, NoQuota, Forbidden, Broken] {
        let (mut limiter, target) = refused_for(reason);
        assert!(acquire(&mut limiter, target, seconds(1.0)).is_err(), "{reason:?}");
        for round in [60.0, 65.0, 70.0] {
            assert!(
                acquire(&mut limiter, target, seconds(round)).is_ok(),
                "{reason:?}"
            );
            let wait = acquire(&mut limiter, target, seconds(round + 4.9)).unwrap_err();
            assert_eq!(
                (wait.until, wait.slot),
                (seconds(round + 5.0), true),
                "{reason:?}"
            );
        }
    }
}

// reproduction 6
#[test]
fn silent_probe_after_an_overload_delays_each_call_once() {
    let (mut limiter, target) = refused_for(CooldownReason::Overloaded);
    let probe = acquire(&mut limiter, target, seconds(60.0)).unwrap();
    let wait = acquire(&mut limiter, target, seconds(64.9)).unwrap_err();
    assert_eq!((wait.until, wait.slot), (seconds(65.0), true));
    for _ in 0..20 {
        assert!(acquire(&mut limiter, target, seconds(65.0)).is_ok());
    }
    limiter.record_target_failure(&probe, Some(Duration::from_secs(10)), seconds(66.0));
    let wait = acquire(&mut limiter, target, seconds(66.0)).unwrap_err();
    assert_eq!((wait.until, wait.slot), (seconds(76.0), false));
}

#[test]
fn outcome_of_a_silent_probe_still_counts() {
    for is_refused in [false, true] {
        let (mut limiter, target) = refused_for(CooldownReason::Invalid);
        let probe = acquire(&mut limiter, target, seconds(60.0)).unwrap();
        let mut second = acquire(&mut limiter, target, seconds(65.0)).unwrap();
        if is_refused {
            limiter.record_refusal(&probe, CooldownReason::Invalid, None, seconds(66.0));
            assert!(acquire(&mut limiter, target, seconds(70.0)).is_err());
        } else {
            limiter.release(&mut second, true, seconds(65.5));
            limiter.record_success(&probe, seconds(66.0));
            assert!(acquire(&mut limiter, target, seconds(66.0)).is_ok());
            assert!(acquire(&mut limiter, target, seconds(66.0)).is_ok());
        }
    }
}

#[test]
fn wait_for_a_probe_is_not_hidden_by_a_cooldown() {
    let (mut limiter, keys, target) = limiter(2, None, None);
    limiter.set_cooldown(keys[0], CooldownReason::Invalid, seconds(1.0), START);
    limiter.set_cooldown(keys[1], CooldownReason::Invalid, seconds(3.0), START);
    let probe = acquire(&mut limiter, target, seconds(1.0)).unwrap();
    assert_eq!(probe.key(), Some(keys[0]));
    for constraint in [KeyConstraint::Any, KeyConstraint::Key(keys[0])] {
        let denied = limiter.acquire(target, Demand::ONE, constraint, seconds(1.0));
        let Err(Denial::Wait(wait)) = denied else {
            panic!("{denied:?}")
        };
        assert!(wait.slot, "{constraint:?}");
        let earliest = limiter.earliest(target, Demand::ONE, 0, constraint, seconds(1.0));
        assert_eq!(earliest, seconds(1.0), "{constraint:?}");
    }
}

/// Attempts that began before the denial reveal nothing about it, however they end.
// L17
#[test]
fn forbidden_key_is_probed_by_one_attempt_only() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let mut before: Vec<Grant> = (0..4)
        .map(|_| acquire(&mut limiter, target, START).unwrap())
        .collect();
    limiter.record_refusal(&before[0], CooldownReason::Forbidden, None, START);
    let KeyAvailability::Forbidden(until) = limiter.key_availability_at(target, keys[0], START) else {
        panic!("{:?}", limiter.key_availability_at(target, keys[0], START));
    };
    limiter.record_refusal(&before[1], CooldownReason::Forbidden, None, START);
    let state = limiter.key_availability_at(target, keys[0], START);
    assert_eq!(state, KeyAvailability::Forbidden(until), "a burst counts once");
    let longer = until.since(START) + Duration::from_secs(5);
    limiter.record_refusal(&before[1], CooldownReason::Forbidden, Some(longer), START);
    let until = START + longer;
    let state = limiter.key_availability_at(target, keys[0], START);
    assert_eq!(
        state,
        KeyAvailability::Forbidden(until),
        "a longer duration that was named"
    );

    let probe = acquire(&mut limiter, target, until).unwrap();
    for grant in &mut before[..3] {
        limiter.release(grant, true, until);
    }
    assert!(acquire(&mut limiter, target, until).is_err(), "a single probe");
    limiter.record_success(&before[3], until);
    limiter.release(&mut before[3], true, until);
    assert_eq!(
        limiter.key_availability_at(target, keys[0], until),
        KeyAvailability::Probing
    );
    limiter.record_success(&probe, until);
    assert_eq!(
        limiter.key_availability_at(target, keys[0], until),
        KeyAvailability::Healthy
    );
}

// L11
#[test]
fn restored_cooldown_never_ends_earlier_but_enabling_clears_it() {
    let mut limiter = Limiter::new();
    let group = limiter.add_group(Limits::default(), true);
    let keys = [0; 2].map(|_| limiter.add_key_to_group(group, KeyLimits::default()));
    limiter.set_cooldown(keys[0], CooldownReason::NoQuota, seconds(5000.0), START);
    limiter.set_cooldown(keys[1], CooldownReason::Throttled, seconds(5.0), START);
    for key in &keys {
        assert_eq!(
            limiter.key_availability(*key, START),
            KeyAvailability::NoQuota(seconds(5000.0))
        );
    }
    limiter.set_enabled(keys[1], true, START);
    for key in &keys {
        assert_eq!(limiter.key_availability(*key, START), KeyAvailability::Healthy);
    }
}

// L15
#[test]
fn target_without_breaker_cools_down_only_for_named_durations() {
    let (mut limiter, _, target) = limiter(1, None, None);
    let mut grant = acquire(&mut limiter, target, START).unwrap();
    limiter.record_target_failure(&grant, Some(Duration::from_secs(1)), START);
    limiter.release(&mut grant, true, START);
    assert!(
        acquire(&mut limiter, target, START).is_err(),
        "for the named duration"
    );
    for second in 1..6 {
        let now = seconds(f64::from(second));
        let mut grant = acquire(&mut limiter, target, now).unwrap();
        limiter.record_target_failure(&grant, None, now);
        limiter.release(&mut grant, true, now);
        let mut next = acquire(&mut limiter, target, now).unwrap();
        limiter.release(&mut next, true, now);
    }
}

// L93
#[test]
fn unclear_refusal_infers_no_rate() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    for second in 0..200 {
        let now = seconds(f64::from(second));
        let mut grant = acquire(&mut limiter, target, now).unwrap();
        let cooldown = limiter
            .record_refusal(&grant, CooldownReason::Unclear, PROVISIONAL, now)
            .unwrap();
        limiter.release(&mut grant, true, now);
        assert!(
            acquire(&mut limiter, target, now).is_err(),
            "cools down until the cause is known"
        );
        limiter.restore(cooldown, now);
    }
    assert_eq!(limiter.observed_per_minute(keys[0]), None);
}

// reproduction 2
#[test]
fn only_refusals_of_several_calls_show_that_a_key_refuses_others() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let other_model = limiter.add_target(&keys, None, START);
    let mut refuse = |target, is_first, second: u32| {
        let now = seconds(f64::from(second));
        let mut grant = acquire(&mut limiter, target, now).unwrap();
        let refuses_others = limiter.refuses_other_calls(&grant, is_first, now);
        limiter.release(&mut grant, true, now);
        refuses_others
    };
    assert!(!refuse(target, true, 0) && !refuse(target, false, 1));
    assert!(!refuse(other_model, true, 2), "each model has its own limit");
    assert!(refuse(target, true, 3) && refuse(target, false, 4));
    let mut grant = acquire(&mut limiter, target, seconds(5.0)).unwrap();
    limiter.record_success(&grant, seconds(6.0));
    limiter.release(&mut grant, true, seconds(6.0));
    let grant = acquire(&mut limiter, target, seconds(7.0)).unwrap();
    assert!(!limiter.refuses_other_calls(&grant, true, seconds(7.0)));
    let keyless = limiter.add_target(&[], None, START);
    let grant = acquire(&mut limiter, keyless, START).unwrap();
    assert!(
        !limiter.refuses_other_calls(&grant, true, START)
            && !limiter.refuses_other_calls(&grant, true, START)
    );
}

// L11
#[test]
fn end_of_a_cooldown_only_moves_later() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let grants: Vec<_> = (0..3)
        .map(|_| acquire(&mut limiter, target, START).unwrap())
        .collect();
    for (mut grant, pause) in grants.into_iter().zip([10, 60, 1]) {
        limiter.record_refusal(
            &grant,
            CooldownReason::Throttled,
            Some(Duration::from_secs(pause)),
            START,
        );
        limiter.release(&mut grant, true, START);
    }
    assert_eq!(
        limiter.key_availability(keys[0], START),
        KeyAvailability::Throttled(seconds(60.0))
    );
    let wait = acquire(&mut limiter, target, seconds(59.0)).unwrap_err();
    assert_eq!((wait.until, wait.slot), (seconds(60.0), false));
    assert!(acquire(&mut limiter, target, seconds(60.0)).is_ok());
}

// L17
#[test]
fn response_of_an_earlier_epoch_changes_nothing() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let (slow, refused) = (
        acquire(&mut limiter, target, START).unwrap(),
        acquire(&mut limiter, target, START).unwrap(),
    );
    limiter.record_refusal(&refused, CooldownReason::Invalid, None, START);
    limiter.record_success(&slow, START);
    assert_eq!(
        limiter.key_availability(keys[0], START),
        KeyAvailability::Invalid(seconds(60.0))
    );
    let probe = acquire(&mut limiter, target, seconds(60.0)).unwrap();
    limiter.record_success(&slow, seconds(60.0));
    assert_eq!(
        limiter.key_availability(keys[0], seconds(60.0)),
        KeyAvailability::Probing
    );
    assert!(
        acquire(&mut limiter, target, seconds(61.0)).is_err(),
        "one probe at a time"
    );
    limiter.record_success(&probe, seconds(61.0));
    assert_eq!(
        limiter.key_availability(keys[0], seconds(61.0)),
        KeyAvailability::Healthy
    );
}

#[test]
fn default_cooldown_doubles_to_an_hour_until_a_success() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let mut now = START;
    let mut refuse = |limiter: &mut Limiter| {
        let mut grant = acquire(limiter, target, now).unwrap();
        limiter.record_refusal(&grant, CooldownReason::Invalid, None, now);
        limiter.release(&mut grant, true, now);
        let KeyAvailability::Invalid(until) = limiter.key_availability(keys[0], now) else {
            panic!()
        };
        let pause = until.since(now).as_secs();
        now = until;
        pause
    };
    let pauses: Vec<_> = (0..8).map(|_| refuse(&mut limiter)).collect();
    assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
    let grant = acquire(&mut limiter, target, now).unwrap();
    limiter.record_success(&grant, now);
    assert_eq!(limiter.key_availability(keys[0], now), KeyAvailability::Healthy);
}

// reproduction 9
#[test]
fn restored_refusal_keeps_what_changed_since() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let grant = acquire(&mut limiter, target, START).unwrap();
    let cooldown = limiter
        .record_refusal(&grant, CooldownReason::Throttled, PROVISIONAL, START)
        .unwrap();
    limiter.restore(cooldown, START);
    assert_eq!(limiter.key_availability(keys[0], START), KeyAvailability::Healthy);
    let grant = acquire(&mut limiter, target, START).unwrap();
    let cooldown = limiter
        .record_refusal(&grant, CooldownReason::Throttled, PROVISIONAL, START)
        .unwrap();
    let later = acquire(&mut limiter, target, seconds(10.0)).unwrap();
    limiter.record_refusal(&later, CooldownReason::Invalid, None, seconds(10.0));
    limiter.restore(cooldown, seconds(10.0));
    assert_eq!(
        limiter.key_availability(keys[0], seconds(10.0)),
        KeyAvailability::Invalid(seconds(70.0))
    );
}

#[test]
fn restored_probe_refusal_leaves_no_probe_in_flight() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let mut grant = acquire(&mut limiter, target, START).unwrap();
    limiter.record_refusal(&grant, CooldownReason::Invalid, None, START);
    limiter.release(&mut grant, true, START);
    let mut probe = acquire(&mut limiter, target, seconds(60.0)).unwrap();
    let cooldown = limiter
        .record_refusal(&probe, CooldownReason::Throttled, PROVISIONAL, seconds(60.0))
        .unwrap();
    limiter.release(&mut probe, true, seconds(60.0));
    limiter.restore(cooldown, seconds(61.0));
    assert_eq!(
        limiter.key_availability(keys[0], seconds(61.0)),
        KeyAvailability::Invalid(seconds(60.0))
    );
    assert!(
        acquire(&mut limiter, target, seconds(61.0)).is_ok(),
        "the next one probes again"
    );
}

// L11
#[test]
fn late_refusal_of_a_healthy_key_starts_a_cooldown() {
    let mut limiter = Limiter::new();
    let limits = Limits {
        rate_limit: Some(RateLimit::new(9, 9.0).unwrap()),
        ..Limits::default()
    };
    let keys = [limiter.add_key(KeyLimits {
        limits,
        ..KeyLimits::default()
    })];
    let target = limiter.add_target(&keys, None, START);
    let [slow, dead, quick] = [0; 3].map(|_| acquire(&mut limiter, target, START).unwrap());
    limiter.record_refusal(
        &quick,
        CooldownReason::Throttled,
        Some(Duration::from_secs(1)),
        START,
    );
    let probe = acquire(&mut limiter, target, seconds(1.0)).unwrap();
    limiter.record_success(&probe, seconds(1.05));
    assert_eq!(
        limiter.key_availability(keys[0], seconds(1.05)),
        KeyAvailability::Healthy
    );
    let cooldown = limiter
        .record_refusal(
            &slow,
            CooldownReason::Throttled,
            Some(Duration::from_secs(60)),
            seconds(1.1),
        )
        .unwrap();
    assert_eq!(
        limiter.key_availability(keys[0], seconds(1.1)),
        KeyAvailability::Throttled(seconds(61.1))
    );
    limiter.restore(cooldown, seconds(1.2));
    limiter.record_refusal(&dead, CooldownReason::Invalid, None, seconds(1.3));
    assert_eq!(
        limiter.key_availability(keys[0], seconds(1.3)),
        KeyAvailability::Invalid(seconds(61.3))
    );
}

// L16
#[test]
fn throttled_key_is_probed_after_its_pause() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let [refused, late] = [0; 2].map(|_| acquire(&mut limiter, target, START).unwrap());
    limiter.record_refusal(
        &refused,
        CooldownReason::Throttled,
        Some(Duration::from_secs(1)),
        START,
    );
    let probe = acquire(&mut limiter, target, seconds(1.0)).unwrap();
    for _ in 0..1000 {
        let wait = acquire(&mut limiter, target, seconds(1.0)).unwrap_err();
        assert_eq!((wait.until, wait.slot), (seconds(1.25), true));
    }
    limiter.record_refusal(
        &late,
        CooldownReason::Throttled,
        Some(Duration::from_secs(60)),
        seconds(1.1),
    );
    assert_eq!(
        limiter.key_availability(keys[0], seconds(1.3)),
        KeyAvailability::Throttled(seconds(61.1))
    );
    limiter.record_success(&probe, seconds(2.0));
    assert_eq!(
        limiter.key_availability(keys[0], seconds(2.0)),
        KeyAvailability::Throttled(seconds(61.1))
    );
}

// L34
#[test]
fn denied_request_charges_nothing() {
    let (mut limiter, keys, target) = limiter(1, Some(1), Some((5, 0.001)));
    let mut first = acquire(&mut limiter, target, START).unwrap();
    for _ in 0..3 {
        let wait = acquire(&mut limiter, target, START).unwrap_err();
        assert_eq!((wait.why, wait.slot), (WaitReason::KeyConcurrency, true));
    }
    assert_eq!(limiter.bucket(target).unwrap().available(START), 4);
    limiter.release(&mut first, true, START);
    let grants: Vec<_> = (0..4)
        .map(|_| {
            let mut grant = acquire(&mut limiter, target, START).unwrap();
            limiter.release(&mut grant, true, START);
            grant
        })
        .collect();
    assert_eq!(grants.len(), 4);
    assert_eq!(
        acquire(&mut limiter, target, START).unwrap_err().why,
        WaitReason::Target(LimitKind::Requests)
    );
    assert_eq!(limiter.in_flight(keys[0]), 0);
}

#[test]
fn unsatisfiable_request_is_rejected_at_once() {
    let (mut limiter, keys, target) = limiter(1, None, Some((2, 1.0)));
    let other = limiter.add_target(&[], None, START);
    let big = Demand {
        requests: 3,
        tokens: 0,
    };
    assert_eq!(
        limiter.acquire(target, big, KeyConstraint::Any, START),
        Err(Denial::Unsatisfiable(Unsatisfiable::MoreThanCapacity {
            capacity: 2
        }))
    );
    assert_eq!(
        limiter.acquire(other, Demand::ONE, KeyConstraint::Key(keys[0]), START),
        Err(Denial::Unsatisfiable(Unsatisfiable::UnknownKey))
    );
}

fn max_in_a_minute(at: &[Timestamp]) -> usize {
    let minute = Duration::from_secs(60);
    let windows = at.iter().enumerate();
    let counts = windows.map(|(first, from)| {
        at[first..]
            .iter()
            .take_while(|to| to.since(*from) <= minute)
            .count()
    });
    counts.max().unwrap_or(0)
}

#[test]
fn limit_of_zero_is_unsatisfiable() {
    for (rpm, rpd) in [(Some(0), None), (None, Some(0))] {
        let mut limiter = Limiter::new();
        let none = Limits {
            rpm,
            rpd,
            ..Limits::default()
        };
        let key = limiter.add_key(KeyLimits {
            limits: none,
            ..KeyLimits::default()
        });
        for target in [
            limiter.add_target(&[key], None, START),
            limiter.add_target(&[], none, START),
        ] {
            let granted = limiter.acquire(target, Demand::ONE, KeyConstraint::Any, START);
            assert!(granted.is_err());
            assert_eq!(
                limiter.unsatisfiable(target, Demand::ONE, KeyConstraint::Any),
                Some(Unsatisfiable::MoreThanCapacity { capacity: 0 })
            );
        }
    }
}

// L28
#[test]
fn four_keys_at_60_rpm_serve_240_and_never_more_each() {
    let mut limiter = Limiter::new();
    let limits = KeyLimits {
        limits: Limits {
            rpm: Some(60),
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    let keys: Vec<_> = (0..4).map(|_| limiter.add_key(limits)).collect();
    let target = limiter.add_target(&keys, None, START);
    let (mut now, end) = (START, seconds(600.0));
    let mut used: Vec<Vec<Timestamp>> = vec![Vec::new(); keys.len()];
    while now < end {
        match acquire(&mut limiter, target, now) {
            Ok(mut grant) => {
                used[grant.key().unwrap().index()].push(now);
                limiter.release(&mut grant, true, now);
            }
            Err(wait) => {
                assert_eq!(
                    (wait.why, wait.slot),
                    (WaitReason::KeyLimits(LimitKind::Requests), false)
                );
                assert_eq!(
                    limiter.earliest(target, Demand::ONE, 0, KeyConstraint::Any, now),
                    wait.until
                );
                now = wait.until;
            }
        }
    }
    for used in &used {
        assert!(max_in_a_minute(used) <= 60, "{}", max_in_a_minute(used));
    }
    let sum: usize = used.iter().map(Vec::len).sum();
    assert!(sum as f64 >= 0.99 * 2400.0, "{sum} of 2400");
}

#[test]
fn used_up_key_returns_with_time_or_a_refund() {
    let (mut limiter, ..) = limiter(0, None, None);
    let limits = KeyLimits {
        limits: Limits {
            rate_limit: Some(RateLimit::new(2, 1.0).unwrap()),
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    let key = limiter.add_key(limits);
    let target = limiter.add_target(&[key], None, START);
    let mut grants = [0, 1].map(|_| acquire(&mut limiter, target, START).unwrap());
    let wait = acquire(&mut limiter, target, START).unwrap_err();
    assert_eq!(
        (wait.until, wait.slot, wait.why),
        (seconds(1.0), false, WaitReason::KeyLimits(LimitKind::Requests))
    );
    assert_eq!(
        limiter.key_availability(key, seconds(1.0)),
        KeyAvailability::Healthy
    );
    limiter.release(&mut grants[0], false, START);
    let again = acquire(&mut limiter, target, START).unwrap();
    assert!(acquire(&mut limiter, target, seconds(0.999)).is_err());
    limiter.record_refusal(
        &again,
        CooldownReason::Throttled,
        Some(Duration::from_millis(500)),
        START,
    );
    assert_eq!(
        acquire(&mut limiter, target, seconds(0.6)).unwrap_err().until,
        seconds(1.0)
    );
    assert!(acquire(&mut limiter, target, seconds(1.0)).is_ok());
}

#[derive(Clone, Debug)]
enum Action {
    Acquire {
        target: usize,
    },
    Release {
        which: prop::sample::Index,
        used: bool,
        outcome: u8,
    },
    Advance {
        millis: u16,
    },
}

fn steps() -> impl Strategy<Value = Vec<Action>> {
    let step = prop_oneof![
        4 => (0_usize..2).prop_map(|target| Action::Acquire { target }),
        4 => (any::<prop::sample::Index>(), any::<bool>(), 0_u8..6)
            .prop_map(|(which, used, outcome)| Action::Release { which, used, outcome }),
        2 => (0_u16..3000).prop_map(|millis| Action::Advance { millis }),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    /// In-flight counts equal the grants that are held, no key exceeds its slots, the rate limit holds for used grants, and the time of a denial
    /// is exact if nothing else happens.
    #[test]
    fn any_sequence_keeps_the_limiter_invariants(steps in steps(), limit in prop::option::of(1_u32..4), capacity in 1_u32..6) {
        let mut limiter = Limiter::new();
        let slots = Limits { max_concurrency: limit, ..Limits::default() };
        let limits = KeyLimits { limits: slots, learn: false, ..KeyLimits::default() };
        let rate_limited = KeyLimits { limits: Limits { rate_limit: Some(RateLimit::new(2, 1.5).unwrap()), ..slots }, ..limits };
        let keys = [limits, rate_limited, limits].map(|limits| limiter.add_key(limits));
        let rate = 2.0;
        let rate_limit = RateLimit::new(capacity, rate).unwrap();
        let targets = [
            limiter.add_target(&keys, Some(rate_limit), START),
            limiter.add_target(&keys[1..], None, START),
        ];
        let mut now = START;
        let mut held: Vec<(Grant, Timestamp)> = Vec::new();
        let mut used_at: Vec<Timestamp> = Vec::new();
        for step in steps {
            match step {
                Action::Advance { millis } => now = now + Duration::from_millis(u64::from(millis)),
                Action::Acquire { target } => match limiter.acquire(targets[target], Demand::ONE, KeyConstraint::Any, now) {
                    Ok(grant) => held.push((grant, now)),
                    Err(Denial::Wait(wait)) => {
                        prop_assert!(wait.until > now);
                        let mut later = limiter.clone();
                        if !wait.slot {
                            let early = wait.until - Duration::from_nanos(1);
                            prop_assert!(matches!(later.acquire(targets[target], Demand::ONE, KeyConstraint::Any, early.max(now)), Err(Denial::Wait(_))));
                        }
                        if !wait.slot {
                            let then = later.acquire(targets[target], Demand::ONE, KeyConstraint::Any, wait.until);
                            // Another limit may deny the request then.
                            let next = matches!(then, Err(Denial::Wait(next)) if next.why != wait.why);
                            prop_assert!(then.is_ok() || next, "{wait:?} {then:?}");
                        }
                    }
                    Err(Denial::Unsatisfiable(reason)) => prop_assert!(false, "{reason:?}"),
                },
                Action::Release { which, used, outcome } if !held.is_empty() => {
                    let (mut grant, acquired_at) = held.swap_remove(which.index(held.len()));
                    match outcome {
                        0 => { limiter.record_success(&grant, now); }
                        1 => { limiter.record_refusal(&grant, CooldownReason::Throttled, Some(Duration::from_millis(1500)), now); }
                        2 => { limiter.record_refusal(&grant, CooldownReason::Invalid, None, now); }
                        3 => { limiter.record_refusal(&grant, CooldownReason::NoQuota, None, now); }
                        _ => {}
                    }
                    limiter.release(&mut grant, used, now);
                    if used && grant.target() == targets[0] {
                        used_at.push(acquired_at);
                    }
                }
                Action::Release { .. } => {}
            }
            for key in &keys {
                let expected = held.iter().filter(|(grant, _)| grant.key() == Some(*key)).count();
                prop_assert_eq!(limiter.in_flight(*key) as usize, expected);
                prop_assert!(limit.is_none_or(|limit| limiter.in_flight(*key) <= limit));
            }
        }
        used_at.extend(held.iter().filter(|(grant, _)| grant.target() == targets[0]).map(|(_, acquired_at)| *acquired_at));
        used_at.sort_unstable();
        for (first, from) in used_at.iter().enumerate() {
            for (last, to) in used_at.iter().enumerate().skip(first) {
                let allowed = f64::from(capacity) + rate * to.since(*from).as_secs_f64();
                prop_assert!((last - first + 1) as f64 <= allowed + 1e-6);
            }
        }
        for (mut grant, _) in held.drain(..) {
            limiter.release(&mut grant, true, now);
        }
        prop_assert!(keys.iter().all(|key| limiter.in_flight(*key) == 0));
    }
}

fn one_key(limits: Limits) -> (Limiter, TargetId) {
    let mut limiter = Limiter::new();
    let limits = KeyLimits {
        limits,
        ..KeyLimits::default()
    };
    let keys = [limiter.add_key(limits)];
    let target = limiter.add_target(&keys, None, seconds(0.0));
    (limiter, target)
}

/// A larger request has found too few tokens.
#[test]
fn small_request_is_possible_at_once_on_a_key_that_was_set_aside() {
    let (mut limiter, target) = one_key(Limits {
        tpm: Some(10_000),
        ..Limits::default()
    });
    let demand = |tokens| Demand { requests: 1, tokens };
    let any = KeyConstraint::Any;
    let mut grant = limiter.acquire(target, demand(6000), any, seconds(0.0)).unwrap();
    limiter.settle(&mut grant, 6000, seconds(0.0));
    limiter.release(&mut grant, true, seconds(0.0));
    assert!(limiter.acquire(target, demand(5000), any, seconds(1.0)).is_err());
    let now = seconds(2.0);
    assert!(limiter.earliest(target, demand(5000), 0, any, now) > seconds(60.0));
    assert_eq!(limiter.earliest(target, demand(100), 0, any, now), now);
}

/// Each of two keys admits two requests at once, and 1 000 tokens per minute.
#[test]
fn several_requests_at_once_use_a_key_with_room_for_all() {
    let mut limiter = Limiter::new();
    let limits = KeyLimits {
        limits: Limits {
            tpm: Some(1000),
            rate_limit: RateLimit::new(2, 1.0).ok(),
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    let keys = [(); 2].map(|()| limiter.add_key(limits));
    let target = limiter.add_target(&keys, None, START);
    let demand = |requests, tokens| Demand { requests, tokens };
    let acquire = |limiter: &mut Limiter, requests, tokens, now| {
        limiter.acquire(target, demand(requests, tokens), KeyConstraint::Any, now)
    };
    for _ in 0..2 {
        assert!(acquire(&mut limiter, 1, 0, START).is_ok());
    }
    for tokens in [0, 10] {
        let denied = acquire(&mut limiter, 2, tokens, START);
        let Err(Denial::Wait(wait)) = denied else {
            panic!("{denied:?}")
        };
        assert_eq!((wait.until, wait.slot), (seconds(1.0), false));
    }
    assert!(acquire(&mut limiter, 1, 10, START).is_ok());
    let grant = acquire(&mut limiter, 2, 10, seconds(1.0)).unwrap();
    assert_eq!(grant.key(), Some(keys[1]));
}

#[test]
fn key_whose_rejection_has_ended_before_its_pause_is_not_lost() {
    let (mut limiter, target) = one_key(Limits::default());
    let mut grants = [0; 2].map(|_| acquire(&mut limiter, target, seconds(0.0)).unwrap());
    let wait = |seconds| Some(Duration::from_secs(seconds));
    limiter.record_refusal(&grants[0], CooldownReason::Invalid, wait(60), seconds(0.0));
    limiter.record_refusal(&grants[1], CooldownReason::Throttled, wait(120), seconds(1.0));
    for grant in &mut grants {
        limiter.release(grant, true, seconds(1.0));
    }
    let any = KeyConstraint::Any;
    let lost = limiter.lost_keys(target, any, seconds(2.0));
    let first = lost.map(|lost| lost.first);
    assert!(matches!(first, Some(KeyAvailability::Invalid(_))), "{lost:?}");
    assert_eq!(limiter.lost_keys(target, any, seconds(100.0)), None);
}

/// The key is rejected for all models while a probe for a model that it may not use is in flight.
#[test]
fn probe_of_a_denied_model_does_not_hide_that_the_key_is_rejected() {
    let (mut limiter, keys, denied) = limiter(1, None, None);
    let other = limiter.add_target(&keys, None, START);
    let mut refused = acquire(&mut limiter, denied, START).unwrap();
    limiter.record_refusal(&refused, CooldownReason::Forbidden, None, START);
    limiter.release(&mut refused, true, START);
    acquire(&mut limiter, denied, seconds(60.0)).unwrap();
    let of_other = acquire(&mut limiter, other, seconds(61.0)).unwrap();
    limiter.record_refusal(&of_other, CooldownReason::Invalid, None, seconds(61.0));
    let invalid = KeyAvailability::Invalid(seconds(121.0));
    let now = seconds(62.0);
    assert_eq!(limiter.key_availability_at(denied, keys[0], now), invalid);
    let lost = limiter.lost_keys(denied, KeyConstraint::Any, now);
    assert_eq!(lost.map(|lost| lost.first), Some(invalid));
}
