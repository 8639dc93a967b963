//! Keys that are joined into a quota group while they are in use: what was known of them stays known.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool_core::limits::{
    CooldownReason, Demand, Grant, KeyAvailability, KeyConstraint, KeyId, KeyLimits, LimitSnapshot,
    LimitSnapshots, Limiter, Limits, QuotaGroupId, TargetId,
};
use llmpool_core::time::Timestamp;
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_nanos(600_000_000_000);

fn seconds(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn limiter(keys: usize) -> (Limiter, Vec<KeyId>, TargetId) {
    let mut limiter = Limiter::new();
    let keys: Vec<_> = (0..keys).map(|_| limiter.add_key(KeyLimits::default())).collect();
    let target = limiter.add_target(&keys, Limits::default(), START);
    (limiter, keys, target)
}

fn join(limiter: &mut Limiter, keys: &[KeyId], limits: Limits, now: Timestamp) -> QuotaGroupId {
    limiter.join_keys(keys, limits, true, now)
}

fn acquire(
    limiter: &mut Limiter,
    target: TargetId,
    demand: Demand,
    key: KeyId,
    now: Timestamp,
) -> Option<Grant> {
    limiter.acquire(target, demand, KeyConstraint::Key(key), now).ok()
}

fn refuse(limiter: &mut Limiter, mut grant: Grant, reason: CooldownReason, cooldown: u64, now: Timestamp) {
    limiter.record_refusal(&grant, reason, Some(Duration::from_secs(cooldown)), now);
    limiter.release(&mut grant, true, now);
}

// L07
#[test]
fn growing_group_keeps_its_cooldown() {
    let (mut limiter, keys, target) = limiter(3);
    join(&mut limiter, &keys[..2], Limits::default(), START);
    let grant = acquire(&mut limiter, target, Demand::ONE, keys[0], START).unwrap();
    refuse(&mut limiter, grant, CooldownReason::NoQuota, 3600, START);
    join(&mut limiter, &keys, Limits::default(), seconds(1));
    for key in keys {
        assert_eq!(
            limiter.key_availability(key),
            KeyAvailability::NoQuota(seconds(3600))
        );
    }
}

// L07
#[test]
fn cooldown_of_a_key_moves_to_its_group() {
    let (mut limiter, keys, target) = limiter(3);
    for (key, reason, cooldown) in [
        (0, CooldownReason::Throttled, 60),
        (1, CooldownReason::Throttled, 20),
        (2, CooldownReason::Invalid, 90),
    ] {
        let grant = acquire(&mut limiter, target, Demand::ONE, keys[key], START).unwrap();
        refuse(&mut limiter, grant, reason, cooldown, START);
    }
    join(&mut limiter, &keys, Limits::default(), seconds(1));
    assert_eq!(
        limiter.key_availability(keys[0]),
        KeyAvailability::Throttled(seconds(60))
    );
    assert_eq!(
        limiter.key_availability(keys[1]),
        KeyAvailability::Throttled(seconds(60))
    );
    // An invalid key does not concern the other keys.
    assert_eq!(
        limiter.key_availability(keys[2]),
        KeyAvailability::Invalid(seconds(90))
    );
    assert!(acquire(&mut limiter, target, Demand::ONE, keys[1], seconds(59)).is_none());
    assert!(acquire(&mut limiter, target, Demand::ONE, keys[1], seconds(60)).is_some());
}

// L07
#[test]
fn late_refusal_cools_down_the_whole_group() {
    let (mut limiter, keys, target) = limiter(2);
    let grant = acquire(&mut limiter, target, Demand::ONE, keys[0], START).unwrap();
    join(&mut limiter, &keys, Limits::default(), START);
    refuse(&mut limiter, grant, CooldownReason::Throttled, 60, seconds(1));
    assert_eq!(
        limiter.key_availability(keys[1]),
        KeyAvailability::Throttled(seconds(61))
    );
}

// L08
#[test]
fn growing_group_gets_no_additional_tokens_or_requests() {
    let (mut limiter, keys, target) = limiter(4);
    let limits = Limits {
        tpm: Some(1000),
        rpd: Some(4),
        ..Limits::default()
    };
    let demand = Demand {
        requests: 1,
        tokens: 400,
    };
    join(&mut limiter, &keys[..2], limits, START);
    join(&mut limiter, &keys[2..], limits, START);
    for key in [0, 2] {
        let mut grant = acquire(&mut limiter, target, demand, keys[key], START).unwrap();
        limiter.release(&mut grant, true, START);
    }
    join(&mut limiter, &keys, limits, seconds(1));
    for key in &keys {
        assert!(
            acquire(&mut limiter, target, demand, *key, seconds(1)).is_none(),
            "two of 400 tokens are used"
        );
    }
    for minute in 1..3 {
        assert!(acquire(&mut limiter, target, demand, keys[1], seconds(minute * 61)).is_some());
    }
    assert!(
        acquire(&mut limiter, target, demand, keys[3], seconds(300)).is_none(),
        "four per day"
    );
}

#[test]
fn attempts_in_flight_use_slots_of_a_new_group() {
    let (mut limiter, keys, target) = limiter(3);
    let two_at_once = Limits {
        max_concurrency: Some(2),
        ..Limits::default()
    };
    let mut held: Vec<_> = keys[..2]
        .iter()
        .map(|key| acquire(&mut limiter, target, Demand::ONE, *key, START).unwrap())
        .collect();
    join(&mut limiter, &keys, two_at_once, START);
    assert!(acquire(&mut limiter, target, Demand::ONE, keys[2], START).is_none());
    limiter.release(&mut held[0], true, START);
    held[0] = acquire(&mut limiter, target, Demand::ONE, keys[2], START).unwrap();
    assert!(acquire(&mut limiter, target, Demand::ONE, keys[0], START).is_none());
    for grant in &mut held {
        limiter.record_success(grant, START);
        limiter.release(grant, true, START);
    }
    for _ in 0..2 {
        assert!(acquire(&mut limiter, target, Demand::ONE, keys[2], START).is_some());
    }
}

#[test]
fn merged_group_is_found_by_its_old_id() {
    let (mut limiter, keys, target) = limiter(4);
    let one = join(&mut limiter, &keys[..2], Limits::default(), START);
    let other = join(&mut limiter, &keys[2..], Limits::default(), START);
    let both = join(&mut limiter, &keys[1..3], Limits::default(), START);
    for group in [one, other, both] {
        assert_eq!(limiter.members(group), keys);
        let outcome = limiter.acquire(target, Demand::ONE, KeyConstraint::Group(group), START);
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}

/// A window that was reported for a key must not limit it forever when later reports reach only its group.
#[test]
fn observed_limit_of_a_key_moves_to_its_group() {
    let (mut limiter, keys, target) = limiter(2);
    let snapshot = |limit, remaining, reset| LimitSnapshots {
        requests: LimitSnapshot {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: Some(Duration::from_secs(reset)),
        },
        ..LimitSnapshots::default()
    };
    let mut grant = acquire(&mut limiter, target, Demand::ONE, keys[0], START).unwrap();
    limiter.record_limits(&grant, &snapshot(60, 0, 30), START);
    limiter.release(&mut grant, true, START);
    join(&mut limiter, &keys, Limits::default(), START);
    for key in &keys {
        assert!(acquire(&mut limiter, target, Demand::ONE, *key, seconds(29)).is_none());
    }
    let mut grant = acquire(&mut limiter, target, Demand::ONE, keys[0], seconds(31)).unwrap();
    limiter.record_limits(&grant, &snapshot(6000, 4000, 30), seconds(31));
    limiter.release(&mut grant, true, seconds(31));
    for _ in 0..2000 {
        assert!(acquire(&mut limiter, target, Demand::ONE, keys[0], seconds(31)).is_some());
    }
}

#[derive(Clone, Debug)]
enum Action {
    Acquire(usize, u32),
    Release(prop::sample::Index, bool),
    Settle(prop::sample::Index, u32),
    Refuse(prop::sample::Index, bool, u64),
    Succeed(prop::sample::Index),
    Join(usize, usize),
    Advance(u64),
}

fn steps() -> impl Strategy<Value = Vec<Action>> {
    let held = any::<prop::sample::Index>;
    let step = prop_oneof![
        6 => (0..5_usize, 1..300_u32).prop_map(|(key, tokens)| Action::Acquire(key, tokens)),
        3 => (held(), any::<bool>()).prop_map(|(which, used)| Action::Release(which, used)),
        2 => (held(), 0..600_u32).prop_map(|(which, tokens)| Action::Settle(which, tokens)),
        1 => (held(), any::<bool>(), 1..90_u64).prop_map(|(which, of_group, cooldown)| Action::Refuse(which, of_group, cooldown)),
        2 => held().prop_map(Action::Succeed),
        1 => (0..5_usize, 0..5_usize).prop_map(|(one, other)| Action::Join(one, other)),
        2 => (1..20_000_u64).prop_map(Action::Advance),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    /// For any sequence: the slots of a group are those of its keys, a join ends no cooldown earlier, and no group exceeds its tokens in any
    /// minute.
    // L07
    #[test]
    fn joined_groups_keep_the_limiter_invariants(steps in steps()) {
        let limits = Limits { tpm: Some(1000), max_concurrency: Some(4), ..Limits::default() };
        let (mut limiter, keys, target) = limiter(5);
        for key in &keys {
            join(&mut limiter, &[*key], limits, START);
        }
        let mut now = START;
        let mut held: Vec<(Grant, usize)> = Vec::new();
        // Time, key and charged tokens of every request.
        let mut sent: Vec<(Timestamp, usize, u64)> = Vec::new();
        for step in steps {
            match step {
                Action::Acquire(key, tokens) => {
                    let group = limiter.group_of(keys[key]).unwrap();
                    let members = limiter.members(group).to_vec();
                    let in_flight: u32 = members.iter().map(|id| limiter.in_flight(*id)).sum();
                    let grant = acquire(&mut limiter, target, Demand { requests: 1, tokens }, keys[key], now);
                    if let Some(grant) = grant {
                        prop_assert!(in_flight < 4, "{} in flight", in_flight);
                        let recent = sent.iter().filter(|(at, key, _)| now.since(*at) < Duration::from_secs(60) && members.contains(&keys[*key]));
                        let used: u64 = recent.map(|(_, _, tokens)| tokens).sum();
                        prop_assert!(used + u64::from(tokens) <= 1000, "{} used, {} charged", used, tokens);
                        sent.push((now, key, tokens.into()));
                        held.push((grant, sent.len() - 1));
                    }
                }
                Action::Release(which, used) if !held.is_empty() => {
                    let (mut grant, at) = held.swap_remove(which.index(held.len()));
                    limiter.release(&mut grant, used, now);
                    if !used {
                        sent[at].2 = 0;
                    }
                }
                Action::Settle(which, tokens) if !held.is_empty() => {
                    let at = which.index(held.len());
                    let (grant, at) = &mut held[at];
                    limiter.settle(grant, tokens, now);
                    sent[*at].2 = tokens.into();
                }
                Action::Refuse(which, of_group, cooldown) if !held.is_empty() => {
                    let (grant, _) = &held[which.index(held.len())];
                    let reason = if of_group { CooldownReason::Throttled } else { CooldownReason::Invalid };
                    limiter.record_refusal(grant, reason, Some(Duration::from_secs(cooldown)), now);
                }
                Action::Succeed(which) if !held.is_empty() => {
                    let (grant, _) = &held[which.index(held.len())];
                    limiter.record_success(grant, now);
                }
                Action::Join(one, other) => {
                    let before: Vec<_> = keys.iter().map(|key| limiter.key_availability(*key)).collect();
                    join(&mut limiter, &[keys[one], keys[other]], limits, now);
                    for (key, before) in keys.iter().zip(before) {
                        let after = limiter.key_availability(*key);
                        prop_assert!(after.until() >= before.until(), "{:?} after {:?}", after, before);
                    }
                }
                Action::Advance(millis) => now = now + Duration::from_millis(millis),
                _ => {}
            }
            for (at, key) in keys.iter().enumerate() {
                let own = held.iter().filter(|(_, place)| sent[*place].1 == at).count();
                prop_assert_eq!(limiter.in_flight(*key) as usize, own);
            }
        }
        for (mut grant, _) in held {
            limiter.release(&mut grant, true, now);
        }
        // One by one, since refusals may have led to an inferred rate.
        let mut later = now + Duration::from_secs(86_400);
        for key in &keys {
            later = later + Duration::from_secs(100);
            let grant = acquire(&mut limiter, target, Demand::ONE, *key, later);
            prop_assert!(grant.is_some(), "{:?}", limiter.key_availability(*key));
            let mut grant = grant.unwrap();
            limiter.record_success(&grant, later);
            limiter.release(&mut grant, true, later);
        }
    }
}
