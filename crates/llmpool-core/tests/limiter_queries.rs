//! What the limiter answers about its keys and targets, and what the end of an attempt changes for later ones.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool_core::limits::{
    CooldownReason, Demand, Denial, Grant, KeyAvailability, KeyConstraint, KeyId, KeyLimits, LimitKind,
    Limiter, Limits, RateLimit, TargetId, WaitReason,
};
use llmpool_core::time::Timestamp;

const ANY: KeyConstraint = KeyConstraint::Any;
const START: Timestamp = Timestamp::from_nanos(1_000_000_000);

fn after(seconds: f64) -> Timestamp {
    START + Duration::from_secs_f64(seconds)
}

fn with_limits(limits: Limits) -> KeyLimits {
    KeyLimits {
        limits,
        ..KeyLimits::default()
    }
}

fn tpm(tokens: u32) -> Limits {
    Limits {
        tpm: Some(tokens),
        ..Limits::default()
    }
}

fn without_limits(limiter: &mut Limiter, count: usize) -> (Vec<KeyId>, TargetId) {
    let keys: Vec<_> = (0..count)
        .map(|_| limiter.add_key(KeyLimits::default()))
        .collect();
    let target = limiter.add_target(&keys, None, START);
    (keys, target)
}

fn acquire(limiter: &mut Limiter, target: TargetId, now: Timestamp) -> Grant {
    limiter.acquire(target, Demand::ONE, ANY, now).unwrap()
}

/// Sends a request that is refused at once.
fn refuse(limiter: &mut Limiter, target: TargetId, reason: CooldownReason, wait: u64, now: Timestamp) {
    let mut grant = acquire(limiter, target, now);
    limiter.record_refusal(&grant, reason, Some(Duration::from_secs(wait)), now);
    limiter.release(&mut grant, true, now);
}

#[test]
fn configured_limits_are_returned() {
    let mut limiter = Limiter::new();
    let group = limiter.add_group(tpm(1), true);
    let member = limiter.add_key_to_group(group, with_limits(tpm(2)));
    let single = limiter.add_key(with_limits(tpm(3)));
    let target = limiter.add_target(&[member], tpm(4), START);
    assert_eq!(limiter.configured_limits(member), (tpm(2), Some(tpm(1))));
    assert_eq!(limiter.configured_limits(single), (tpm(3), None));
    assert_eq!(*limiter.target_limits(target), tpm(4));
}

#[test]
fn tokens_are_counted_if_target_key_or_group_limits_them() {
    let none = Limits {
        rpm: Some(5),
        ..Limits::default()
    };
    for (of_target, of_key, of_group, counts) in [
        (none, none, none, false),
        (tpm(9), none, none, true),
        (none, tpm(9), none, true),
        (none, none, tpm(9), true),
    ] {
        let mut limiter = Limiter::new();
        let group = limiter.add_group(of_group, true);
        let key = limiter.add_key_to_group(group, with_limits(of_key));
        let target = limiter.add_target(&[key], of_target, START);
        assert_eq!(limiter.counts_tokens(target), counts);
    }
}

#[test]
fn constraint_allows_its_own_keys_only() {
    let mut limiter = Limiter::new();
    let group = limiter.add_group(Limits::default(), true);
    let member = limiter.add_key_to_group(group, KeyLimits::default());
    let other = limiter.add_key(KeyLimits::default());
    for (constraint, allowed) in [
        (ANY, [true, true]),
        (KeyConstraint::Key(other), [false, true]),
        (KeyConstraint::Group(group), [true, false]),
    ] {
        let allows = [member, other].map(|key| limiter.allows(constraint, key));
        assert_eq!(allows, allowed, "{constraint:?}");
    }
}

#[test]
fn other_key_counts_if_it_is_healthy_and_not_excluded() {
    let mut limiter = Limiter::new();
    let (keys, target) = without_limits(&mut limiter, 2);
    let has_other = |limiter: &Limiter| limiter.has_other_key(target, |key| key == keys[0], START);
    assert!(has_other(&limiter));
    assert!(!limiter.has_other_key(target, |_| true, START));
    limiter.set_enabled(keys[1], false, START);
    assert!(!has_other(&limiter));
}

#[test]
fn later_one_of_pause_and_cooldown_is_known() {
    let mut limiter = Limiter::new();
    let (keys, target) = without_limits(&mut limiter, 1);
    assert_eq!(limiter.known_cooldown(keys[0], START), None);
    let mut grants = [(); 2].map(|()| acquire(&mut limiter, target, START));
    for (grant, reason, seconds) in [
        (&grants[0], CooldownReason::Throttled, 30),
        (&grants[1], CooldownReason::NoQuota, 60),
    ] {
        limiter.record_refusal(grant, reason, Some(Duration::from_secs(seconds)), START);
        let expected = (after(seconds as f64), reason);
        assert_eq!(limiter.known_cooldown(keys[0], START), Some(expected));
    }
    for grant in &mut grants {
        limiter.release(grant, true, START);
    }
}

#[test]
fn earliest_time_follows_from_the_rates_of_all_keys_together() {
    let mut limiter = Limiter::new();
    let keys = [1.0, 0.5].map(|per_second| {
        limiter.add_key(with_limits(Limits {
            rate_limit: RateLimit::new(2, per_second).ok(),
            ..Limits::default()
        }))
    });
    let target = limiter.add_target(&keys, None, START);
    let demand = Demand {
        requests: 2,
        tokens: 0,
    };
    // Of eight requests, the bursts admit four at once. The other four take 4 / 1.5 s.
    let earliest = limiter.earliest(target, demand, 6, ANY, START);
    let exact = after(4.0 / 1.5);
    assert!(
        earliest <= exact && exact.since(earliest) < Duration::from_millis(1),
        "{earliest:?}"
    );
    assert_eq!(limiter.earliest(target, demand, 2, ANY, START), START);
    let of_one = KeyConstraint::Key(keys[0]);
    assert_eq!(limiter.earliest(target, demand, 6, of_one, START), START);
}

#[test]
fn request_waits_for_the_key_of_a_group_that_recovers_first() {
    let mut limiter = Limiter::new();
    let group = limiter.add_group(Limits::default(), true);
    let keys = [(); 3].map(|()| limiter.add_key_to_group(group, KeyLimits::default()));
    let target = limiter.add_target(&keys, None, START);
    for wait in [90, 30, 60] {
        refuse(&mut limiter, target, CooldownReason::Invalid, wait, START);
    }
    let reason = limiter.wait_reason(target, Demand::ONE, ANY, START);
    let first = KeyAvailability::Invalid(after(30.0));
    assert_eq!(reason, WaitReason::KeysUnavailable(first));
}

#[test]
fn request_waits_for_a_learned_pace_as_for_a_limit() {
    let mut limiter = Limiter::new();
    let (_, target) = without_limits(&mut limiter, 1);
    for second in 0..20 {
        let mut grant = acquire(&mut limiter, target, after(f64::from(second)));
        limiter.complete(&mut grant, after(f64::from(second)));
    }
    refuse(&mut limiter, target, CooldownReason::Throttled, 1, after(20.0));
    let mut probe = acquire(&mut limiter, target, after(21.0));
    limiter.complete(&mut probe, after(21.0));
    let denial = (0..10).find_map(|_| limiter.acquire(target, Demand::ONE, ANY, after(21.0)).err());
    let Some(Denial::Wait(wait)) = denial else {
        panic!("{denial:?}");
    };
    assert_eq!(wait.why, WaitReason::KeyLimits(LimitKind::Requests));
}

#[test]
fn usage_that_is_known_after_the_release_replaces_the_estimate() {
    for (used, left) in [(true, 940), (false, 940)] {
        let mut limiter = Limiter::new();
        let target = limiter.add_target(&[], tpm(1000), START);
        let demand = |tokens| Demand { requests: 1, tokens };
        let mut grant = limiter.acquire(target, demand(100), ANY, START).unwrap();
        limiter.release(&mut grant, used, START);
        limiter.settle(&mut grant, 60, START);
        assert!(
            limiter.acquire(target, demand(left + 1), ANY, START).is_err(),
            "used: {used}"
        );
        assert!(
            limiter.acquire(target, demand(left), ANY, START).is_ok(),
            "used: {used}"
        );
    }
}

#[test]
fn success_ends_a_pause_and_a_model_denial_at_once() {
    let mut limiter = Limiter::new();
    let (keys, target) = without_limits(&mut limiter, 1);
    let mut grants = [(); 2].map(|()| acquire(&mut limiter, target, START));
    for (grant, reason) in grants
        .iter()
        .zip([CooldownReason::Throttled, CooldownReason::Forbidden])
    {
        limiter.record_refusal(grant, reason, Some(Duration::from_secs(10)), START);
    }
    for grant in &mut grants {
        limiter.release(grant, true, START);
    }
    let now = after(10.0);
    let probe = acquire(&mut limiter, target, now);
    assert!(limiter.acquire(target, Demand::ONE, ANY, now).is_err());
    limiter.record_success(&probe, now);
    assert_eq!(
        limiter.key_availability_at(target, keys[0], now),
        KeyAvailability::Healthy
    );
    acquire(&mut limiter, target, now);
}

#[test]
fn probe_is_awaited_longer_while_its_connection_may_be_opening() {
    for (is_sent, seconds) in [(true, 0.25), (false, 5.25)] {
        let mut limiter = Limiter::new();
        let (_, target) = without_limits(&mut limiter, 1);
        refuse(&mut limiter, target, CooldownReason::Throttled, 10, START);
        let probe = acquire(&mut limiter, target, after(10.0));
        limiter.await_probe(&probe, is_sent, after(10.0));
        let denied = limiter.acquire(target, Demand::ONE, ANY, after(10.0));
        let Err(Denial::Wait(wait)) = denied else {
            panic!("{denied:?}");
        };
        assert_eq!(wait.until, after(10.0 + seconds), "sent: {is_sent}");
    }
}

#[test]
fn keys_of_a_removed_target_still_serve_the_others() {
    let mut limiter = Limiter::new();
    let key = limiter.add_key(with_limits(Limits {
        max_concurrency: Some(1),
        ..Limits::default()
    }));
    let [removed, kept] = [(); 2].map(|()| limiter.add_target(&[key], None, START));
    limiter.remove_target(removed);
    for _ in 0..2 {
        let mut grant = acquire(&mut limiter, kept, START);
        assert!(limiter.acquire(kept, Demand::ONE, ANY, START).is_err());
        limiter.release(&mut grant, true, START);
    }
}

#[test]
fn retries_are_denied_when_the_budget_is_spent() {
    let mut limiter = Limiter::new();
    let (_, target) = without_limits(&mut limiter, 1);
    assert!((0..10).all(|_| limiter.try_spend_retry(target, START)));
    assert!(!limiter.try_spend_retry(target, START));
}
