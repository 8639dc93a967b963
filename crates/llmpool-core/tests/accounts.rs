//! Keys that turn out to be one account while they are at work: what was known of them stays known.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool_core::limits::{
    AcquireOutcome, CooldownReason, Demand, Grant, KeyAvailability, KeyConstraint, KeyId, KeyLimits,
    LimitSnapshot, LimitSnapshots, Limiter, Limits, QuotaGroupId, TargetId,
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

fn take(
    limiter: &mut Limiter,
    target: TargetId,
    demand: Demand,
    key: KeyId,
    now: Timestamp,
) -> Option<Grant> {
    match limiter.acquire(target, demand, KeyConstraint::Key(key), now) {
        AcquireOutcome::Granted(grant) => Some(grant),
        _ => None,
    }
}

fn refuse(limiter: &mut Limiter, mut grant: Grant, why: CooldownReason, pause: u64, now: Timestamp) {
    limiter.record_refusal(&grant, why, Some(Duration::from_secs(pause)), now);
    limiter.release(&mut grant, true, now);
}

// L07
#[test]
fn an_account_that_grows_keeps_its_rest() {
    let (mut limiter, keys, target) = limiter(3);
    join(&mut limiter, &keys[..2], Limits::default(), START);
    let grant = take(&mut limiter, target, Demand::ONE, keys[0], START).unwrap();
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
fn what_a_key_was_told_before_concerns_its_account() {
    let (mut limiter, keys, target) = limiter(3);
    for (key, why, pause) in [
        (0, CooldownReason::Throttled, 60),
        (1, CooldownReason::Throttled, 20),
        (2, CooldownReason::Invalid, 90),
    ] {
        let grant = take(&mut limiter, target, Demand::ONE, keys[key], START).unwrap();
        refuse(&mut limiter, grant, why, pause, START);
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
    // That a key is not valid says nothing of the others.
    assert_eq!(
        limiter.key_availability(keys[2]),
        KeyAvailability::Invalid(seconds(90))
    );
    assert!(take(&mut limiter, target, Demand::ONE, keys[1], seconds(59)).is_none());
    assert!(take(&mut limiter, target, Demand::ONE, keys[1], seconds(60)).is_some());
}

// L07
#[test]
fn an_answer_from_before_the_account_was_known_lets_all_of_it_rest() {
    let (mut limiter, keys, target) = limiter(2);
    let grant = take(&mut limiter, target, Demand::ONE, keys[0], START).unwrap();
    join(&mut limiter, &keys, Limits::default(), START);
    refuse(&mut limiter, grant, CooldownReason::Throttled, 60, seconds(1));
    assert_eq!(
        limiter.key_availability(keys[1]),
        KeyAvailability::Throttled(seconds(61))
    );
}

// L08
#[test]
fn an_account_that_grows_has_not_more_tokens_and_not_more_of_a_day() {
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
        let mut grant = take(&mut limiter, target, demand, keys[key], START).unwrap();
        limiter.release(&mut grant, true, START);
    }
    join(&mut limiter, &keys, limits, seconds(1));
    for key in &keys {
        assert!(
            take(&mut limiter, target, demand, *key, seconds(1)).is_none(),
            "two of 400 are gone"
        );
    }
    for minute in 1..3 {
        assert!(take(&mut limiter, target, demand, keys[1], seconds(minute * 61)).is_some());
    }
    assert!(
        take(&mut limiter, target, demand, keys[3], seconds(300)).is_none(),
        "four a day"
    );
}

#[test]
fn attempts_under_way_take_slots_of_an_account_that_is_found_out_meanwhile() {
    let (mut limiter, keys, target) = limiter(3);
    let two_at_once = Limits {
        max_concurrency: Some(2),
        ..Limits::default()
    };
    let mut held: Vec<_> = keys[..2]
        .iter()
        .map(|key| take(&mut limiter, target, Demand::ONE, *key, START).unwrap())
        .collect();
    join(&mut limiter, &keys, two_at_once, START);
    assert!(take(&mut limiter, target, Demand::ONE, keys[2], START).is_none());
    limiter.release(&mut held[0], true, START);
    held[0] = take(&mut limiter, target, Demand::ONE, keys[2], START).unwrap();
    assert!(take(&mut limiter, target, Demand::ONE, keys[0], START).is_none());
    for grant in &mut held {
        limiter.record_success(grant, START);
        limiter.release(grant, true, START);
    }
    for _ in 0..2 {
        assert!(take(&mut limiter, target, Demand::ONE, keys[2], START).is_some());
    }
}

#[test]
fn an_account_is_known_by_its_old_name_when_it_turns_out_to_be_another() {
    let (mut limiter, keys, target) = limiter(4);
    let one = join(&mut limiter, &keys[..2], Limits::default(), START);
    let other = join(&mut limiter, &keys[2..], Limits::default(), START);
    let both = join(&mut limiter, &keys[1..3], Limits::default(), START);
    for group in [one, other, both] {
        assert_eq!(limiter.members(group), keys);
        let answer = limiter.acquire(target, Demand::ONE, KeyConstraint::Group(group), START);
        assert!(matches!(answer, AcquireOutcome::Granted(_)), "{answer:?}");
    }
}

/// A window of its own that a key was told of once must not bind it for good when later answers reach only its account.
#[test]
fn what_a_key_learned_moves_to_its_account_and_ends_with_it() {
    let (mut limiter, keys, target) = limiter(2);
    let told = |limit, remaining, reset| LimitSnapshots {
        requests: LimitSnapshot {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: Some(Duration::from_secs(reset)),
        },
        ..LimitSnapshots::default()
    };
    let mut grant = take(&mut limiter, target, Demand::ONE, keys[0], START).unwrap();
    limiter.record_limits(&grant, &told(60, 0, 30), START);
    limiter.release(&mut grant, true, START);
    join(&mut limiter, &keys, Limits::default(), START);
    for key in &keys {
        assert!(take(&mut limiter, target, Demand::ONE, *key, seconds(29)).is_none());
    }
    let mut grant = take(&mut limiter, target, Demand::ONE, keys[0], seconds(31)).unwrap();
    limiter.record_limits(&grant, &told(6000, 4000, 30), seconds(31));
    limiter.release(&mut grant, true, seconds(31));
    for _ in 0..2000 {
        assert!(take(&mut limiter, target, Demand::ONE, keys[0], seconds(31)).is_some());
    }
}

#[derive(Clone, Debug)]
enum Do {
    Acquire(usize, u32),
    PutBack(prop::sample::Index, bool),
    Settle(prop::sample::Index, u32),
    Refuse(prop::sample::Index, bool, u64),
    Succeed(prop::sample::Index),
    Join(usize, usize),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Do>> {
    let held = any::<prop::sample::Index>;
    let step = prop_oneof![
        6 => (0..5_usize, 1..300_u32).prop_map(|(key, tokens)| Do::Acquire(key, tokens)),
        3 => (held(), any::<bool>()).prop_map(|(which, used)| Do::PutBack(which, used)),
        2 => (held(), 0..600_u32).prop_map(|(which, tokens)| Do::Settle(which, tokens)),
        1 => (held(), any::<bool>(), 1..90_u64).prop_map(|(which, of_account, pause)| Do::Refuse(which, of_account, pause)),
        2 => held().prop_map(Do::Succeed),
        1 => (0..5_usize, 0..5_usize).prop_map(|(one, other)| Do::Join(one, other)),
        2 => (1..20_000_u64).prop_map(Do::Pass),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    /// Whatever happens meanwhile: slots of an account are its keys' slots, no rest ends earlier by a join, and in no minute does an
    /// account get more tokens than it has.
    // L07
    #[test]
    fn accounts_that_are_found_out_at_work_count_right(steps in steps()) {
        let limits = Limits { tpm: Some(1000), max_concurrency: Some(4), ..Limits::default() };
        let (mut limiter, keys, target) = limiter(5);
        for key in &keys {
            join(&mut limiter, &[*key], limits, START);
        }
        let mut now = START;
        let mut held: Vec<(Grant, usize)> = Vec::new();
        // Of each account, by its first key: when each was sent and what for, as its limit saw it.
        let mut sent: Vec<(Timestamp, usize, u64)> = Vec::new();
        for step in steps {
            match step {
                Do::Acquire(key, tokens) => {
                    let group = limiter.group_of(keys[key]).unwrap();
                    let members = limiter.members(group).to_vec();
                    let under_way: u32 = members.iter().map(|id| limiter.in_flight(*id)).sum();
                    let grant = take(&mut limiter, target, Demand { requests: 1, tokens }, keys[key], now);
                    if let Some(grant) = grant {
                        prop_assert!(under_way < 4, "{} under way", under_way);
                        let recent = sent.iter().filter(|(at, key, _)| now.since(*at) < Duration::from_secs(60) && members.contains(&keys[*key]));
                        let used: u64 = recent.map(|(_, _, tokens)| tokens).sum();
                        prop_assert!(used + u64::from(tokens) <= 1000, "{} used, {} taken", used, tokens);
                        sent.push((now, key, tokens.into()));
                        held.push((grant, sent.len() - 1));
                    }
                }
                Do::PutBack(which, used) if !held.is_empty() => {
                    let (mut grant, at) = held.swap_remove(which.index(held.len()));
                    limiter.release(&mut grant, used, now);
                    if !used {
                        sent[at].2 = 0;
                    }
                }
                Do::Settle(which, tokens) if !held.is_empty() => {
                    let at = which.index(held.len());
                    let (grant, at) = &mut held[at];
                    limiter.settle(grant, tokens, now);
                    sent[*at].2 = tokens.into();
                }
                Do::Refuse(which, of_account, pause) if !held.is_empty() => {
                    let (grant, _) = &held[which.index(held.len())];
                    let why = if of_account { CooldownReason::Throttled } else { CooldownReason::Invalid };
                    limiter.record_refusal(grant, why, Some(Duration::from_secs(pause)), now);
                }
                Do::Succeed(which) if !held.is_empty() => {
                    let (grant, _) = &held[which.index(held.len())];
                    limiter.record_success(grant, now);
                }
                Do::Join(one, other) => {
                    let before: Vec<_> = keys.iter().map(|key| limiter.key_availability(*key)).collect();
                    join(&mut limiter, &[keys[one], keys[other]], limits, now);
                    for (key, before) in keys.iter().zip(before) {
                        let after = limiter.key_availability(*key);
                        prop_assert!(after.until() >= before.until(), "{:?} after {:?}", after, before);
                    }
                }
                Do::Pass(millis) => now = now + Duration::from_millis(millis),
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
        // One after another, since refusals may have taught an account to send one at a time.
        let mut later = now + Duration::from_secs(86_400);
        for key in &keys {
            later = later + Duration::from_secs(100);
            let grant = take(&mut limiter, target, Demand::ONE, *key, later);
            prop_assert!(grant.is_some(), "{:?}", limiter.key_availability(*key));
            let mut grant = grant.unwrap();
            limiter.record_success(&grant, later);
            limiter.release(&mut grant, true, later);
        }
    }
}
