//! Requests per minute: bursts, sustained use, and never more than the limit in any 60 s.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool_core::limits::{
    CooldownReason, Demand, Denial, Grant, KeyConstraint, KeyId, KeyLimits, Limiter, Limits, RateLimit,
    RefusalWait, TargetId, Unsatisfiable, Wait,
};
use llmpool_core::time::Timestamp;
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_nanos(5_100_000_000);
const MINUTE: Duration = Duration::from_secs(60);
/// How much later than others a request may arrive at the provider without exceeding the limit there.
const JITTER: Duration = Duration::from_millis(250);
/// How long bursts are limited to one request after a refusal.
const NO_BURSTS: Duration = Duration::from_secs(600);

/// Where a limit is configured.
#[derive(Clone, Copy, Debug)]
enum Place {
    Key,
    Group,
    Target,
}

const PLACES: [Place; 3] = [Place::Key, Place::Group, Place::Target];

fn rpm(requests: u32) -> Limits {
    Limits {
        rpm: Some(requests),
        ..Limits::default()
    }
}

/// A target with one key, whose limits are configured in one place. Nothing is learned from refusals.
fn limiter(place: Place, limits: Limits) -> (Limiter, TargetId, KeyId) {
    let mut limiter = Limiter::new();
    let none = Limits::default();
    let (of_key, of_target) = match place {
        Place::Key => (limits, none),
        Place::Group => (none, none),
        Place::Target => (none, limits),
    };
    let of_key = KeyLimits {
        limits: of_key,
        learn: false,
        ..KeyLimits::default()
    };
    let key = if let Place::Group = place {
        let group = limiter.add_group(limits, false);
        limiter.add_key_to_group(group, of_key)
    } else {
        limiter.add_key(of_key)
    };
    let target = limiter.add_target(&[key], of_target, START);
    (limiter, target, key)
}

fn try_acquire(limiter: &mut Limiter, target: TargetId, now: Timestamp) -> Result<Grant, Wait> {
    match limiter.acquire(target, Demand::ONE, KeyConstraint::Any, now) {
        Ok(grant) => Ok(grant),
        Err(Denial::Wait(wait)) => Err(wait),
        Err(other) => panic!("{other:?}"),
    }
}

/// Sends as many requests as are admitted at once. Returns their number.
fn send_burst(limiter: &mut Limiter, target: TargetId, now: Timestamp) -> u32 {
    let mut sent = 0;
    while let Ok(mut grant) = try_acquire(limiter, target, now) {
        limiter.release(&mut grant, true, now);
        sent += 1;
    }
    sent
}

/// Sends a request whenever one is admitted. Returns when they were sent.
fn send_continuously(
    limiter: &mut Limiter,
    target: TargetId,
    from: Timestamp,
    end: Timestamp,
) -> Vec<Timestamp> {
    let (mut now, mut sent) = (from, Vec::new());
    while now < end {
        match try_acquire(limiter, target, now) {
            Ok(mut grant) => {
                limiter.release(&mut grant, true, now);
                sent.push(now);
            }
            Err(wait) => {
                assert!(wait.until > now && !wait.slot, "{wait:?}");
                now = wait.until;
            }
        }
    }
    sent
}

/// Sends a request that the provider refuses, and ends the pause of the key.
fn refuse(limiter: &mut Limiter, target: TargetId, now: Timestamp) -> Timestamp {
    let pause = Duration::from_secs(1);
    let mut grant = try_acquire(limiter, target, now).unwrap();
    limiter.record_refusal(&grant, CooldownReason::Throttled, Some(pause), now);
    limiter.release(&mut grant, true, now);
    limiter.set_enabled(grant.key().unwrap(), true, now);
    now + pause
}

/// Returns the maximum number of times within any span of 60 s. Both ends count.
fn max_in_a_minute(times: &[Timestamp]) -> usize {
    let mut first = 0;
    let counts = times.iter().enumerate().map(|(last, time)| {
        while time.since(times[first]) > MINUTE {
            first += 1;
        }
        last - first + 1
    });
    counts.max().unwrap_or(0)
}

#[test]
fn idle_limit_admits_a_burst_of_a_twentieth() {
    for place in PLACES {
        for (limit, burst) in [
            (1, 1),
            (2, 2),
            (3, 3),
            (60, 3),
            (61, 3),
            (80, 4),
            (300, 15),
            (3000, 150),
        ] {
            let (mut limiter, target, _) = limiter(place, rpm(limit));
            assert_eq!(
                send_burst(&mut limiter, target, START),
                burst,
                "{place:?}, {limit}"
            );
            // After two minutes without requests, the burst is available again, even if it used up the minute.
            let later = START + MINUTE * 2;
            assert_eq!(
                send_burst(&mut limiter, target, later),
                burst,
                "{place:?}, {limit}"
            );
        }
    }
}

#[test]
fn burst_of_the_rate_limit_is_allowed_within_the_minute() {
    let limits = Limits {
        rate_limit: Some(RateLimit::new(20, 100.0).unwrap()),
        ..rpm(30)
    };
    let (mut limiter, target, _) = limiter(Place::Key, limits);
    assert_eq!(send_burst(&mut limiter, target, START), 20);
    let sent = send_continuously(&mut limiter, target, START, START + MINUTE);
    assert_eq!(sent.len(), 10, "30 in the first minute");
}

#[test]
fn sustained_load_is_paced_evenly_after_the_first_minute() {
    for (limit, burst) in [(3, 3), (60, 3), (300, 15), (300, 300)] {
        let limits = Limits {
            rate_limit: Some(RateLimit::new(burst, 1000.0).unwrap()),
            ..rpm(limit)
        };
        let (mut limiter, target, _) = limiter(Place::Key, limits);
        let sent = send_continuously(&mut limiter, target, START, START + MINUTE * 10);
        let later = sent.iter().filter(|at| at.since(START) > MINUTE);
        let later: Vec<_> = later.copied().collect();
        let period = MINUTE / limit;
        let gaps = later.windows(2).map(|pair| pair[1].since(pair[0]));
        let longest = gaps.max().unwrap();
        assert!(
            longest <= period + Duration::from_secs(1),
            "{limit}, {burst}: {longest:?}"
        );
        let at_once = later
            .iter()
            .map(|at| later.iter().filter(|other| *other == at).count());
        assert!(at_once.max().unwrap() <= 3, "{limit}, {burst}");
    }
}

// L28
#[test]
fn constant_demand_uses_97_percent_of_any_limit() {
    for limit in [1, 2, 3, 7, 20, 60, 61, 300, 3000] {
        for rate_limit in [None, Some(RateLimit::new(limit, 50.0).unwrap())] {
            for refused in [false, true] {
                let limits = Limits {
                    rate_limit,
                    ..rpm(limit)
                };
                let (mut limiter, target, _) = limiter(Place::Key, limits);
                let mut from = START;
                if refused {
                    from = refuse(&mut limiter, target, START) + MINUTE;
                }
                // Longer than the time without bursts, and without a full minute at the end.
                let end = from + MINUTE * 30;
                let sent = send_continuously(&mut limiter, target, from, end);
                let case = format!("{limit} rpm, {rate_limit:?}, refused {refused}: {}", sent.len());
                assert!(sent.len() as f64 >= 0.97 * 30.0 * f64::from(limit), "{case}");
                assert!(max_in_a_minute(&sent) <= limit as usize, "{case}");
            }
        }
    }
}

#[test]
fn refusal_limits_bursts_to_one_for_ten_minutes() {
    for place in PLACES {
        let (mut limiter, target, _) = limiter(place, rpm(300));
        refuse(&mut limiter, target, START);
        let end = START + NO_BURSTS;
        let mut now = START + MINUTE;
        while now < end {
            assert_eq!(send_burst(&mut limiter, target, now), 1, "{place:?} at {now:?}");
            let next = try_acquire(&mut limiter, target, now).unwrap_err().until;
            assert_eq!(
                next,
                now + Duration::from_millis(200),
                "{place:?}: one at a time, evenly"
            );
            now = now + Duration::from_secs(30);
        }
        let before_end = end - Duration::from_nanos(1);
        assert_eq!(send_burst(&mut limiter, target, before_end), 1, "{place:?}");
        assert_eq!(send_burst(&mut limiter, target, end), 14, "{place:?}");
    }
}

// A refusal must not count the burst of the past minute as missing.
#[test]
fn refusal_under_sustained_load_stops_no_requests() {
    let limits = Limits {
        rate_limit: Some(RateLimit::new(100, 50.0).unwrap()),
        ..rpm(100)
    };
    let (mut limiter, target, _) = limiter(Place::Key, limits);
    let sent = send_continuously(&mut limiter, target, START, START + MINUTE * 3);
    let wait = try_acquire(&mut limiter, target, START + MINUTE * 3).unwrap_err();
    let from = refuse(&mut limiter, target, wait.until);
    let after = send_continuously(&mut limiter, target, from, from + MINUTE);
    assert!(after.len() >= 98, "{} {}", sent.len(), after.len());
}

#[test]
fn each_refusal_restarts_the_ten_minutes_and_reset_ends_them() {
    let (mut limiter, target, _) = limiter(Place::Target, rpm(300));
    refuse(&mut limiter, target, START);
    let second = START + NO_BURSTS - Duration::from_secs(1);
    refuse(&mut limiter, target, second);
    let later = second + NO_BURSTS - Duration::from_nanos(1);
    assert_eq!(send_burst(&mut limiter, target, later), 1);
    limiter.reset(target);
    assert_eq!(send_burst(&mut limiter, target, later), 15);
}

#[test]
fn only_rate_refusals_limit_bursts() {
    for reason in [
        CooldownReason::Invalid,
        CooldownReason::NoQuota,
        CooldownReason::Unclear,
    ] {
        let (mut limiter, target, key) = limiter(Place::Target, rpm(300));
        let mut grant = try_acquire(&mut limiter, target, START).unwrap();
        limiter.record_refusal(&grant, reason, None, START);
        limiter.release(&mut grant, true, START);
        limiter.set_enabled(key, true, START);
        assert_eq!(send_burst(&mut limiter, target, START + MINUTE), 15, "{reason:?}");
    }
}

#[test]
fn refusal_that_may_be_the_fault_of_the_request_limits_no_bursts() {
    let (mut limiter, target, _) = limiter(Place::Target, rpm(300));
    let mut grant = try_acquire(&mut limiter, target, START).unwrap();
    let wait = RefusalWait::Provisional(None);
    limiter.record_refusal(&grant, CooldownReason::Throttled, wait, START);
    limiter.release(&mut grant, true, START);
    let mut probe = try_acquire(&mut limiter, target, START + MINUTE).unwrap();
    limiter.record_success(&probe, START + MINUTE);
    limiter.release(&mut probe, true, START + MINUTE);
    assert_eq!(send_burst(&mut limiter, target, START + 2 * MINUTE), 15);
}

#[test]
fn cooldown_leaves_a_burst_of_one() {
    let bucket = Limits::from(Some(RateLimit::new(15, 5.0).unwrap()));
    for limits in [rpm(300), bucket] {
        let (mut limiter, target, _) = limiter(Place::Target, limits);
        let mut grant = try_acquire(&mut limiter, target, START).unwrap();
        limiter.record_target_failure(&grant, Some(MINUTE), START);
        limiter.release(&mut grant, true, START);
        assert_eq!(send_burst(&mut limiter, target, START + MINUTE), 1, "{limits:?}");
    }
}

#[test]
fn refund_makes_room_in_the_minute() {
    for place in PLACES {
        let (mut limiter, target, _) = limiter(place, rpm(3));
        let mut grants = [0; 3].map(|_| try_acquire(&mut limiter, target, START).unwrap());
        assert!(try_acquire(&mut limiter, target, START).is_err());
        limiter.release(&mut grants[1], false, START);
        assert_eq!(send_burst(&mut limiter, target, START), 1, "{place:?}");
        assert!(try_acquire(&mut limiter, target, START + MINUTE).is_err());
    }
}

#[test]
fn refund_in_a_full_minute_keeps_the_next_burst() {
    for (used, burst) in [(true, 1), (false, 3)] {
        let (mut limiter, target, _) = limiter(Place::Key, rpm(3));
        for _ in 0..2 {
            let mut grant = try_acquire(&mut limiter, target, START).unwrap();
            limiter.release(&mut grant, true, START);
        }
        let mut last = try_acquire(&mut limiter, target, START).unwrap();
        limiter.release(&mut last, used, START);
        let later = START + Duration::from_secs(61);
        assert_eq!(send_burst(&mut limiter, target, later), burst, "used: {used}");
    }
}

#[test]
fn reset_empties_the_minute_and_ignores_earlier_grants() {
    let (mut limiter, target, _) = limiter(Place::Target, rpm(3));
    let mut grants = [0; 3].map(|_| try_acquire(&mut limiter, target, START).unwrap());
    limiter.reset(target);
    assert_eq!(send_burst(&mut limiter, target, START), 3);
    limiter.release(&mut grants[0], false, START);
    assert_eq!(send_burst(&mut limiter, target, START), 0);
    limiter.reset(target);
    let later = START + Duration::from_secs(66);
    assert_eq!(send_burst(&mut limiter, target, later), 3);
}

#[test]
fn end_of_the_time_without_bursts_makes_room() {
    // Three requests of which two would wait for 20 s each while requests are admitted one at a time.
    let (mut limiter, target, _) = limiter(Place::Target, rpm(3));
    refuse(&mut limiter, target, START);
    // The first attempt after a cooldown starts with one token in any case.
    let early = START + MINUTE * 2;
    assert_eq!(send_burst(&mut limiter, target, early), 1);
    let end = START + NO_BURSTS;
    let now = end - Duration::from_secs(5);
    assert_eq!(send_burst(&mut limiter, target, now), 1);
    assert_eq!(try_acquire(&mut limiter, target, now).unwrap_err().until, end);
    let earliest = limiter.earliest(target, Demand::ONE, 1, KeyConstraint::Any, now);
    assert!(earliest <= granted_after(limiter.clone(), target, 1, now));
    assert_eq!(send_burst(&mut limiter, target, end), 2);
}

#[test]
fn refund_during_the_time_without_bursts_makes_room() {
    let (mut limiter, target, _) = limiter(Place::Target, rpm(60));
    refuse(&mut limiter, target, START);
    let now = START + MINUTE;
    let mut grant = try_acquire(&mut limiter, target, now).unwrap();
    assert!(try_acquire(&mut limiter, target, now).is_err());
    limiter.release(&mut grant, false, now);
    assert_eq!(send_burst(&mut limiter, target, now), 1);
}

#[test]
fn reload_changes_the_rate_during_the_time_without_bursts() {
    let (mut limiter, target, _) = limiter(Place::Target, rpm(60));
    refuse(&mut limiter, target, START);
    let now = START + MINUTE;
    limiter.set_target_limits(target, rpm(600), now);
    for tenth in 0..5 {
        let at = now + Duration::from_millis(100 * tenth);
        assert_eq!(send_burst(&mut limiter, target, at), 1, "{tenth}");
    }
}

#[test]
fn demand_above_the_burst_is_unsatisfiable() {
    let (limiter, target, _) = limiter(Place::Target, rpm(60));
    for (requests, reason) in [
        (3, None),
        (4, Some(Unsatisfiable::MoreThanCapacity { capacity: 3 })),
    ] {
        let demand = Demand {
            requests,
            ..Demand::ONE
        };
        assert_eq!(limiter.unsatisfiable(target, demand, KeyConstraint::Any), reason);
    }
}

// L35, L38
#[test]
fn reload_keeps_the_requests_of_the_last_minute() {
    let (mut limiter, target, _) = limiter(Place::Target, rpm(60));
    let sent = send_continuously(&mut limiter, target, START, START + Duration::from_secs(20));
    let now = START + Duration::from_secs(20);
    assert_eq!(sent.len(), 22, "a burst of three, then one a second");
    limiter.set_target_limits(target, rpm(20), now);
    // Two of the 22 exceed the new limit, so the next request waits for the first three to leave the minute.
    let wait = try_acquire(&mut limiter, target, now).unwrap_err();
    assert!(wait.until > START + MINUTE, "{wait:?}");
    limiter.set_target_limits(target, rpm(600), now);
    assert!(
        send_burst(&mut limiter, target, now) <= 1,
        "a higher limit adds no burst"
    );
}

#[test]
fn grants_from_before_a_limit_was_set_again_give_nothing_back() {
    let (mut limiter, target, _) = limiter(Place::Target, rpm(3));
    let mut grants = [0; 3].map(|_| try_acquire(&mut limiter, target, START).unwrap());
    limiter.set_target_limits(target, Limits::default(), START);
    limiter.set_target_limits(target, rpm(3), START);
    assert_eq!(send_burst(&mut limiter, target, START), 3);
    for grant in &mut grants {
        limiter.release(grant, false, START);
    }
    assert_eq!(send_burst(&mut limiter, target, START + MINUTE), 0);
}

#[derive(Clone, Debug)]
enum Action {
    Wait { millis: u64 },
    Send { most: u8 },
    Refund { which: prop::sample::Index },
    Refuse { which: prop::sample::Index },
    Reload { limit: u32 },
    Unlimited,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let which = any::<prop::sample::Index>;
    let action = prop_oneof![
        4 => prop_oneof![0_u64..3000, 50_000_u64..70_000].prop_map(|millis| Action::Wait { millis }),
        6 => (1_u8..40).prop_map(|most| Action::Send { most }),
        3 => which().prop_map(|which| Action::Refund { which }),
        1 => which().prop_map(|which| Action::Refuse { which }),
        1 => (1_u32..100).prop_map(|limit| Action::Reload { limit }),
        1 => Just(Action::Unlimited),
    ];
    prop::collection::vec(action, 1..150)
}

/// Returns when the next request would be granted if `ahead` others were granted as early as possible before.
fn granted_after(mut limiter: Limiter, target: TargetId, ahead: u64, mut now: Timestamp) -> Timestamp {
    let mut granted = 0;
    loop {
        match try_acquire(&mut limiter, target, now) {
            Ok(_) if granted == ahead => return now,
            Ok(_) => granted += 1,
            Err(wait) => now = wait.until,
        }
    }
}

proptest! {
    /// Invariant: in any 60.25 s, the requests that were not refunded are at most the limit, whatever is refunded, refused or reloaded. A
    /// denial's time is exact, and `earliest` is a lower bound.
    #[test]
    fn no_minute_has_more_requests_than_the_limit(
        place in prop::sample::select(&PLACES[..]),
        limit in 1_u32..100,
        burst in prop::option::of(1_u32..100),
        actions in actions(),
    ) {
        let with_burst = |limit| Limits {
            rate_limit: burst.map(|burst| RateLimit::new(burst, 20.0).unwrap()),
            ..rpm(limit)
        };
        let (mut limiter, target, _) = limiter(place, with_burst(limit));
        let (mut limit, mut now, mut number) = (limit, START, 0);
        // Both with their numbers: the grants in flight, and the times of all requests since the limit was introduced, but those refunded.
        let mut held: Vec<(Grant, u32)> = Vec::new();
        let mut sent: Vec<(Timestamp, u32)> = Vec::new();
        for action in actions {
            match action {
                Action::Wait { millis } => now = now + Duration::from_millis(millis),
                Action::Send { most } => {
                    for _ in 0..most {
                        match try_acquire(&mut limiter, target, now) {
                            Ok(grant) => {
                                number += 1;
                                held.push((grant, number));
                                sent.push((now, number));
                                let recent = sent.iter().filter(|(at, _)| now.since(*at) <= MINUTE + JITTER);
                                prop_assert!(recent.count() <= limit as usize, "{:?}", sent);
                            }
                            Err(wait) => {
                                let early = wait.until - Duration::from_nanos(1);
                                prop_assert!(wait.until > now);
                                prop_assert!(try_acquire(&mut limiter.clone(), target, early).is_err());
                                for ahead in [0, 1, 5, 150] {
                                    let bound = limiter.earliest(target, Demand::ONE, ahead, KeyConstraint::Any, now);
                                    let granted = granted_after(limiter.clone(), target, ahead, now);
                                    prop_assert!(bound <= granted, "{} ahead: {:?} > {:?}", ahead, bound, granted);
                                }
                                break;
                            }
                        }
                    }
                }
                Action::Refund { which } if !held.is_empty() => {
                    let (mut grant, number) = held.swap_remove(which.index(held.len()));
                    limiter.release(&mut grant, false, now);
                    sent.retain(|(_, sent)| *sent != number);
                }
                Action::Refuse { which } if !held.is_empty() => {
                    let (mut grant, _) = held.swap_remove(which.index(held.len()));
                    limiter.record_refusal(&grant, CooldownReason::Throttled, Some(Duration::from_millis(300)), now);
                    limiter.release(&mut grant, true, now);
                }
                Action::Reload { limit: other } if matches!(place, Place::Target) => {
                    limit = other;
                    limiter.set_target_limits(target, with_burst(limit), now);
                }
                Action::Unlimited if matches!(place, Place::Target) => {
                    limiter.set_target_limits(target, Limits::default(), now);
                    limiter.set_target_limits(target, with_burst(limit), now);
                    sent.clear();
                }
                _ => {}
            }
        }
    }
}
