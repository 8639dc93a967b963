//! The ledger against what anybody could count by hand.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool_core::limits::{
    AcquireOutcome, Bucket, CooldownReason, Demand, Grant, KeyAvailability, KeyConstraint, KeyId, KeyLimits,
    LimitKind, Limiter, Limits, RateLimit, TargetId, Unsatisfiable, Wait, WaitReason,
};
use llmpool_core::time::Timestamp;
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_nanos(1_000_000_000);

fn seconds(seconds: f64) -> Timestamp {
    START + Duration::from_secs_f64(seconds)
}

fn limiter(
    keys: usize,
    max_concurrency: Option<u32>,
    quota: Option<(u32, f64)>,
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
    let quota = quota.map(|(capacity, rate)| RateLimit::new(capacity, rate).unwrap());
    let target = limiter.add_target(&keys, quota, START);
    (limiter, keys, target)
}

fn take(limiter: &mut Limiter, target: TargetId, now: Timestamp) -> Result<Grant, Wait> {
    match limiter.acquire(target, Demand::ONE, KeyConstraint::Any, now) {
        AcquireOutcome::Granted(grant) => Ok(grant),
        AcquireOutcome::Wait(wait) => Err(wait),
        AcquireOutcome::Unsatisfiable(never) => panic!("{never:?}"),
    }
}

// L17
#[test]
fn probes_that_end_unanswered_let_two_try_and_then_four() {
    let (mut limiter, _, target) = limiter(1, None, None);
    let mut refused = take(&mut limiter, target, START).unwrap();
    limiter.record_refusal(&refused, CooldownReason::Invalid, None, START);
    limiter.release(&mut refused, true, START);
    let now = seconds(100.0);
    for expected in [1, 2, 4, 8] {
        let mut probes: Vec<Grant> = Vec::new();
        while let Ok(probe) = take(&mut limiter, target, now) {
            probes.push(probe);
        }
        assert_eq!(probes.len(), expected);
        for probe in &mut probes {
            limiter.release(probe, true, now);
        }
    }
}

/// Attempts from before, however they end, say nothing of a key that was forbidden meanwhile.
// L17
#[test]
fn one_tries_a_forbidden_key_and_only_its_answer_counts() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let mut before: Vec<Grant> = (0..4)
        .map(|_| take(&mut limiter, target, START).unwrap())
        .collect();
    limiter.record_refusal(&before[0], CooldownReason::Forbidden, None, START);
    let KeyAvailability::Forbidden(until) = limiter.key_availability_at(target, keys[0]) else {
        panic!("{:?}", limiter.key_availability_at(target, keys[0]));
    };
    limiter.record_refusal(&before[1], CooldownReason::Forbidden, None, START);
    let state = limiter.key_availability_at(target, keys[0]);
    assert_eq!(state, KeyAvailability::Forbidden(until), "a burst counts once");
    let longer = until.since(START) + Duration::from_secs(5);
    limiter.record_refusal(&before[1], CooldownReason::Forbidden, Some(longer), START);
    let until = START + longer;
    let state = limiter.key_availability_at(target, keys[0]);
    assert_eq!(
        state,
        KeyAvailability::Forbidden(until),
        "a longer time that was named"
    );

    let probe = take(&mut limiter, target, until).unwrap();
    for grant in &mut before[..3] {
        limiter.release(grant, true, until);
    }
    assert!(take(&mut limiter, target, until).is_err(), "one finds out");
    limiter.record_success(&before[3], until);
    limiter.release(&mut before[3], true, until);
    assert_eq!(
        limiter.key_availability_at(target, keys[0]),
        KeyAvailability::Probing
    );
    limiter.record_success(&probe, until);
    assert_eq!(
        limiter.key_availability_at(target, keys[0]),
        KeyAvailability::Healthy
    );
}

// L11
#[test]
fn what_is_known_from_elsewhere_never_ends_a_rest_earlier_and_an_operator_ends_it() {
    let (mut limiter, keys, _) = limiter(2, None, None);
    limiter.join_keys(&keys, Limits::default(), true, START);
    limiter.set_cooldown(keys[0], CooldownReason::NoQuota, seconds(5000.0), START);
    limiter.set_cooldown(keys[1], CooldownReason::Throttled, seconds(5.0), START);
    for key in &keys {
        assert_eq!(
            limiter.key_availability(*key),
            KeyAvailability::NoQuota(seconds(5000.0))
        );
    }
    limiter.set_enabled(keys[1], true, START);
    for key in &keys {
        assert_eq!(limiter.key_availability(*key), KeyAvailability::Healthy);
    }
}

// L15
#[test]
fn a_target_without_a_breaker_is_shut_by_named_times_only() {
    let (mut limiter, _, target) = limiter(1, None, None);
    let mut grant = take(&mut limiter, target, START).unwrap();
    limiter.record_target_failure(&grant, Some(Duration::from_secs(1)), START);
    limiter.release(&mut grant, true, START);
    assert!(take(&mut limiter, target, START).is_err(), "so long as was named");
    for second in 1..6 {
        let now = seconds(f64::from(second));
        let mut grant = take(&mut limiter, target, now).unwrap();
        limiter.record_target_failure(&grant, None, now);
        limiter.release(&mut grant, true, now);
        let mut next = take(&mut limiter, target, now).unwrap();
        limiter.release(&mut next, true, now);
    }
}

// L93
#[test]
fn a_refusal_that_may_be_the_calls_fault_teaches_nothing_of_a_rate() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    for second in 0..200 {
        let now = seconds(f64::from(second));
        let mut grant = take(&mut limiter, target, now).unwrap();
        let cooldown = limiter
            .record_unclear_refusal(&grant, Duration::from_secs(10), now)
            .unwrap();
        limiter.release(&mut grant, true, now);
        assert!(
            take(&mut limiter, target, now).is_err(),
            "it rests until that is known"
        );
        limiter.restore(cooldown, now);
    }
    assert_eq!(limiter.observed_per_minute(keys[0]), None);
}

// L11
#[test]
fn the_end_of_a_pause_only_moves_later() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let grants: Vec<_> = (0..3)
        .map(|_| take(&mut limiter, target, START).unwrap())
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
        limiter.key_availability(keys[0]),
        KeyAvailability::Throttled(seconds(60.0))
    );
    let wait = take(&mut limiter, target, seconds(59.0)).unwrap_err();
    assert_eq!((wait.until, wait.slot), (seconds(60.0), false));
    assert!(take(&mut limiter, target, seconds(60.0)).is_ok());
}

// L17
#[test]
fn news_of_an_earlier_time_changes_nothing() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let (slow, refused) = (
        take(&mut limiter, target, START).unwrap(),
        take(&mut limiter, target, START).unwrap(),
    );
    limiter.record_refusal(&refused, CooldownReason::Invalid, None, START);
    limiter.record_success(&slow, START);
    assert_eq!(
        limiter.key_availability(keys[0]),
        KeyAvailability::Invalid(seconds(60.0))
    );
    let probe = take(&mut limiter, target, seconds(60.0)).unwrap();
    limiter.record_success(&slow, seconds(60.0));
    assert_eq!(limiter.key_availability(keys[0]), KeyAvailability::Probing);
    assert!(
        take(&mut limiter, target, seconds(61.0)).is_err(),
        "one probe at a time"
    );
    limiter.record_success(&probe, seconds(61.0));
    assert_eq!(limiter.key_availability(keys[0]), KeyAvailability::Healthy);
}

#[test]
fn a_pause_without_a_known_end_doubles_to_an_hour_and_begins_anew_after_a_success() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let mut now = START;
    let mut refuse = |limiter: &mut Limiter| {
        let mut grant = take(limiter, target, now).unwrap();
        limiter.record_refusal(&grant, CooldownReason::Invalid, None, now);
        limiter.release(&mut grant, true, now);
        let KeyAvailability::Invalid(until) = limiter.key_availability(keys[0]) else {
            panic!()
        };
        let pause = until.since(now).as_secs();
        now = until;
        pause
    };
    let pauses: Vec<_> = (0..8).map(|_| refuse(&mut limiter)).collect();
    assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
    let grant = take(&mut limiter, target, now).unwrap();
    limiter.record_success(&grant, now);
    assert_eq!(limiter.key_availability(keys[0]), KeyAvailability::Healthy);
}

#[test]
fn a_refusal_that_was_the_calls_fault_is_taken_back_unless_more_is_known_by_now() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let grant = take(&mut limiter, target, START).unwrap();
    let cooldown = limiter
        .record_refusal(
            &grant,
            CooldownReason::Throttled,
            Some(Duration::from_secs(10)),
            START,
        )
        .unwrap();
    limiter.restore(cooldown, START);
    assert_eq!(limiter.key_availability(keys[0]), KeyAvailability::Healthy);
    let grant = take(&mut limiter, target, START).unwrap();
    let cooldown = limiter
        .record_refusal(
            &grant,
            CooldownReason::Throttled,
            Some(Duration::from_secs(10)),
            START,
        )
        .unwrap();
    let later = take(&mut limiter, target, seconds(10.0)).unwrap();
    limiter.record_refusal(&later, CooldownReason::Invalid, None, seconds(10.0));
    limiter.restore(cooldown, seconds(10.0));
    assert_eq!(
        limiter.key_availability(keys[0]),
        KeyAvailability::Invalid(seconds(70.0))
    );
}

#[test]
fn a_probe_that_was_refused_unclearly_and_acquitted_leaves_nobody_probing() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let mut grant = take(&mut limiter, target, START).unwrap();
    limiter.record_refusal(&grant, CooldownReason::Invalid, None, START);
    limiter.release(&mut grant, true, START);
    let mut probe = take(&mut limiter, target, seconds(60.0)).unwrap();
    let cooldown = limiter
        .record_refusal(
            &probe,
            CooldownReason::Throttled,
            Some(Duration::from_secs(10)),
            seconds(60.0),
        )
        .unwrap();
    limiter.release(&mut probe, true, seconds(60.0));
    limiter.restore(cooldown, seconds(61.0));
    assert_eq!(
        limiter.key_availability(keys[0]),
        KeyAvailability::Invalid(seconds(60.0))
    );
    assert!(
        take(&mut limiter, target, seconds(61.0)).is_ok(),
        "the next one probes again"
    );
}

// L11
#[test]
fn what_a_late_answer_says_of_a_key_in_use_again_is_believed() {
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
    let [slow, dead, quick] = [0; 3].map(|_| take(&mut limiter, target, START).unwrap());
    limiter.record_refusal(
        &quick,
        CooldownReason::Throttled,
        Some(Duration::from_secs(1)),
        START,
    );
    take(&mut limiter, target, seconds(1.0)).unwrap();
    assert_eq!(limiter.key_availability(keys[0]), KeyAvailability::Healthy);
    let cooldown = limiter
        .record_refusal(
            &slow,
            CooldownReason::Throttled,
            Some(Duration::from_secs(60)),
            seconds(1.1),
        )
        .unwrap();
    assert_eq!(
        limiter.key_availability(keys[0]),
        KeyAvailability::Throttled(seconds(61.1))
    );
    limiter.restore(cooldown, seconds(1.2));
    limiter.record_refusal(&dead, CooldownReason::Invalid, None, seconds(1.3));
    assert_eq!(
        limiter.key_availability(keys[0]),
        KeyAvailability::Invalid(seconds(61.3))
    );
}

// L16
#[test]
fn a_key_without_a_rate_is_tried_by_one_when_its_pause_is_over() {
    let (mut limiter, keys, target) = limiter(1, None, None);
    let [refused, late] = [0; 2].map(|_| take(&mut limiter, target, START).unwrap());
    limiter.record_refusal(
        &refused,
        CooldownReason::Throttled,
        Some(Duration::from_secs(1)),
        START,
    );
    let probe = take(&mut limiter, target, seconds(1.0)).unwrap();
    for _ in 0..1000 {
        let wait = take(&mut limiter, target, seconds(1.0)).unwrap_err();
        assert_eq!((wait.until, wait.slot), (Timestamp::MAX, true));
    }
    limiter.record_refusal(
        &late,
        CooldownReason::Throttled,
        Some(Duration::from_secs(60)),
        seconds(1.5),
    );
    assert_eq!(
        limiter.key_availability(keys[0]),
        KeyAvailability::Throttled(seconds(61.5))
    );
    limiter.record_success(&probe, seconds(2.0));
    assert_eq!(
        limiter.key_availability(keys[0]),
        KeyAvailability::Throttled(seconds(61.5))
    );
}

// L34
#[test]
fn a_denied_request_has_taken_nothing() {
    let (mut limiter, keys, target) = limiter(1, Some(1), Some((5, 0.001)));
    let mut first = take(&mut limiter, target, START).unwrap();
    for _ in 0..3 {
        let wait = take(&mut limiter, target, START).unwrap_err();
        assert_eq!((wait.why, wait.slot), (WaitReason::KeyConcurrency, true));
    }
    assert_eq!(limiter.bucket(target).unwrap().available(START), 4);
    limiter.release(&mut first, true, START);
    let grants: Vec<_> = (0..4)
        .map(|_| {
            let mut grant = take(&mut limiter, target, START).unwrap();
            limiter.release(&mut grant, true, START);
            grant
        })
        .collect();
    assert_eq!(grants.len(), 4);
    assert_eq!(
        take(&mut limiter, target, START).unwrap_err().why,
        WaitReason::Target(LimitKind::Requests)
    );
    assert_eq!(limiter.in_flight(keys[0]), 0);
}

#[test]
fn what_can_never_be_is_told_at_once() {
    let (mut limiter, keys, target) = limiter(1, None, Some((2, 1.0)));
    let other = limiter.add_target(&[], None, START);
    let big = Demand {
        requests: 3,
        tokens: 0,
    };
    assert_eq!(
        limiter.acquire(target, big, KeyConstraint::Any, START),
        AcquireOutcome::Unsatisfiable(Unsatisfiable::MoreThanCapacity { capacity: 2 })
    );
    assert_eq!(
        limiter.acquire(other, Demand::ONE, KeyConstraint::Key(keys[0]), START),
        AcquireOutcome::Unsatisfiable(Unsatisfiable::UnknownKey)
    );
}

fn most_in_a_minute(at: &[Timestamp]) -> usize {
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
fn rpm_of_zero_is_unsatisfiable() {
    let mut limiter = Limiter::new();
    let none = Limits {
        rpm: Some(0),
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
        take(&mut limiter, target, START).unwrap_err();
        assert_eq!(
            limiter.unsatisfiable(target, Demand::ONE, KeyConstraint::Any),
            Some(Unsatisfiable::MoreThanCapacity { capacity: 0 })
        );
    }
}

// L28
#[test]
fn four_keys_of_sixty_a_minute_give_two_hundred_and_forty_and_never_more_each() {
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
        match take(&mut limiter, target, now) {
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
        assert!(most_in_a_minute(used) <= 60, "{}", most_in_a_minute(used));
    }
    let sum: usize = used.iter().map(Vec::len).sum();
    assert!(sum as f64 >= 0.99 * 2400.0, "{sum} of 2400");
}

#[test]
fn a_key_whose_rate_is_used_up_comes_back_by_itself_and_a_refund_brings_it_back_at_once() {
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
    let mut grants = [0, 1].map(|_| take(&mut limiter, target, START).unwrap());
    let wait = take(&mut limiter, target, START).unwrap_err();
    assert_eq!(
        (wait.until, wait.slot, wait.why),
        (seconds(1.0), false, WaitReason::KeyLimits(LimitKind::Requests))
    );
    assert_eq!(limiter.key_availability(key), KeyAvailability::Healthy);
    limiter.release(&mut grants[0], false, START);
    let again = take(&mut limiter, target, START).unwrap();
    assert!(take(&mut limiter, target, seconds(0.999)).is_err());
    limiter.record_refusal(
        &again,
        CooldownReason::Throttled,
        Some(Duration::from_millis(500)),
        START,
    );
    assert_eq!(
        take(&mut limiter, target, seconds(0.6)).unwrap_err().until,
        seconds(1.0)
    );
    assert!(take(&mut limiter, target, seconds(1.0)).is_ok());
}

#[derive(Clone, Debug)]
enum Do {
    Acquire {
        target: usize,
    },
    Back {
        which: prop::sample::Index,
        used: bool,
        outcome: u8,
    },
    Pass {
        millis: u16,
    },
}

fn steps() -> impl Strategy<Value = Vec<Do>> {
    let step = prop_oneof![
        4 => (0_usize..2).prop_map(|target| Do::Acquire { target }),
        4 => (any::<prop::sample::Index>(), any::<bool>(), 0_u8..6)
            .prop_map(|(which, used, outcome)| Do::Back { which, used, outcome }),
        2 => (0_u16..3000).prop_map(|millis| Do::Pass { millis }),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    /// `per_minute` keeps its word whatever is asked when: in no 60 s more than so many.
    #[test]
    fn so_many_a_minute_and_no_more(
        most in 1_u32..80,
        burst in 1_u32..80,
        pauses in prop::collection::vec(prop_oneof![Just(0_u64), 0_u64..3_000_000_000, 50_000_000_000_u64..70_000_000_000], 50..300),
    ) {
        let mut bucket = Bucket::new(RateLimit::per_minute(most, burst).unwrap(), 0);
        let (mut now, mut used) = (START, Vec::new());
        for pause in pauses {
            now = now.saturating_add_nanos(pause);
            while bucket.try_charge(1, 0, now).is_ok() {
                used.push(now);
            }
        }
        prop_assert!(most_in_a_minute(&used) <= most as usize);
    }

    /// Counts are those of the grants that are out, no key has more than it may, a resting key is never handed out, the rate
    /// holds for what was used, and a denial names the instant at which the same request succeeds if nothing else happens.
    #[test]
    fn whatever_happens_the_ledger_counts_right(steps in steps(), most in prop::option::of(1_u32..4), capacity in 1_u32..6) {
        let mut limiter = Limiter::new();
        let slots = Limits { max_concurrency: most, ..Limits::default() };
        let limits = KeyLimits { limits: slots, learn: false, ..KeyLimits::default() };
        let metered = KeyLimits { limits: Limits { rate_limit: Some(RateLimit::new(2, 1.5).unwrap()), ..slots }, ..limits };
        let keys = [limits, metered, limits].map(|limits| limiter.add_key(limits));
        let rate = 2.0;
        let quota = RateLimit::new(capacity, rate).unwrap();
        let targets = [
            limiter.add_target(&keys, Some(quota), START),
            limiter.add_target(&keys[1..], None, START),
        ];
        let mut now = START;
        let mut out: Vec<(Grant, Timestamp)> = Vec::new();
        let mut used_at: Vec<Timestamp> = Vec::new();
        for step in steps {
            match step {
                Do::Pass { millis } => now = now + Duration::from_millis(u64::from(millis)),
                Do::Acquire { target } => match limiter.acquire(targets[target], Demand::ONE, KeyConstraint::Any, now) {
                    AcquireOutcome::Granted(grant) => out.push((grant, now)),
                    AcquireOutcome::Wait(wait) => {
                        prop_assert!(wait.until > now);
                        let mut later = limiter.clone();
                        if !wait.slot {
                            let early = wait.until - Duration::from_nanos(1);
                            prop_assert!(matches!(later.acquire(targets[target], Demand::ONE, KeyConstraint::Any, early.max(now)), AcquireOutcome::Wait(_)));
                        }
                        if !wait.slot {
                            let then = later.acquire(targets[target], Demand::ONE, KeyConstraint::Any, wait.until);
                            // When one thing has come back, another may be missing.
                            let next = matches!(then, AcquireOutcome::Wait(next) if next.why != wait.why);
                            prop_assert!(matches!(then, AcquireOutcome::Granted(_)) || next, "{wait:?} {then:?}");
                        }
                    }
                    AcquireOutcome::Unsatisfiable(never) => prop_assert!(false, "{never:?}"),
                },
                Do::Back { which, used, outcome } if !out.is_empty() => {
                    let (mut grant, taken) = out.swap_remove(which.index(out.len()));
                    match outcome {
                        0 => { limiter.record_success(&grant, now); }
                        1 => { limiter.record_refusal(&grant, CooldownReason::Throttled, Some(Duration::from_millis(1500)), now); }
                        2 => { limiter.record_refusal(&grant, CooldownReason::Invalid, None, now); }
                        3 => { limiter.record_refusal(&grant, CooldownReason::NoQuota, None, now); }
                        _ => {}
                    }
                    limiter.release(&mut grant, used, now);
                    if used && grant.target() == targets[0] {
                        used_at.push(taken);
                    }
                }
                Do::Back { .. } => {}
            }
            for key in &keys {
                let expected = out.iter().filter(|(grant, _)| grant.key() == Some(*key)).count();
                prop_assert_eq!(limiter.in_flight(*key) as usize, expected);
                prop_assert!(most.is_none_or(|most| limiter.in_flight(*key) <= most));
            }
        }
        used_at.extend(out.iter().filter(|(grant, _)| grant.target() == targets[0]).map(|(_, taken)| *taken));
        used_at.sort_unstable();
        for (first, from) in used_at.iter().enumerate() {
            for (last, to) in used_at.iter().enumerate().skip(first) {
                let allowed = f64::from(capacity) + rate * to.since(*from).as_secs_f64();
                prop_assert!((last - first + 1) as f64 <= allowed + 1e-6);
            }
        }
        for (mut grant, _) in out.drain(..) {
            limiter.release(&mut grant, true, now);
        }
        prop_assert!(keys.iter().all(|key| limiter.in_flight(*key) == 0));
    }
}
