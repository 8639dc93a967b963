//! The choice of a key against a search over all keys.

use std::time::Duration;

use proptest::prelude::*;

use super::super::rate_limit::RateLimit;
use super::*;

const START: Timestamp = Timestamp::from_nanos(1_000_000_000);
const KEYS: usize = 6;

#[derive(Clone, Debug)]
enum Action {
    Acquire {
        target: usize,
        demand: Demand,
        /// A key, a quota group, or neither.
        constraint: u8,
    },
    Release {
        which: prop::sample::Index,
        used_tokens: u32,
        outcome: u8,
    },
    Advance(u64),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let tokens = prop_oneof![Just(0), 1_u32..20, 200_u32..600, 900_u32..1000];
    let requests = prop_oneof![9 => Just(1_u32), 1 => 1_u32..4];
    let acquire = (0_usize..2, requests, tokens, 0_u8..30);
    let release = (any::<prop::sample::Index>(), 0_u32..600, 0_u8..12);
    let action = prop_oneof![
        6 => acquire.prop_map(|(target, requests, tokens, constraint)| {
            Action::Acquire { target, demand: Demand { requests, tokens }, constraint }
        }),
        4 => release.prop_map(|(which, used_tokens, outcome)| Action::Release { which, used_tokens, outcome }),
        2 => prop_oneof![0_u64..3000, 20_000_u64..60_000].prop_map(Action::Advance),
    ];
    prop::collection::vec(action, 1..80)
}

/// Two accounts with three and two keys, and a key without an account. The second target uses four of the keys.
fn limiter() -> (Limiter, [TargetId; 2], Vec<QuotaGroupId>) {
    let mut limiter = Limiter::new();
    let limits = |tpm, burst, slots| Limits {
        tpm,
        rate_limit: RateLimit::new(burst, 1.0).ok(),
        max_concurrency: Some(slots),
        ..Limits::default()
    };
    let of_key = |tpm, burst| KeyLimits {
        limits: limits(tpm, burst, 4),
        ..KeyLimits::default()
    };
    let groups = [Some(2000), None].map(|tpm| limiter.add_group(limits(tpm, 6, 5), true));
    let mut keys = Vec::new();
    for (group, tpm) in [
        (0, None),
        (0, Some(1000)),
        (0, None),
        (1, Some(1000)),
        (1, Some(1500)),
    ] {
        keys.push(limiter.add_key_to_group(groups[group], of_key(tpm, 3)));
    }
    keys.push(limiter.add_key(of_key(Some(1000), 4)));
    let targets = [&keys[..], &keys[1..5]].map(|keys| limiter.add_target(keys, Limits::default(), START));
    (limiter, targets, groups.to_vec())
}

/// Returns the load of the least loaded key that admits the demand now.
fn least_load(
    limiter: &Limiter,
    target: TargetId,
    demand: Demand,
    constraint: KeyConstraint,
    now: Timestamp,
) -> Option<super::super::ready_index::Load> {
    let table = &limiter.key_table;
    let keys = limiter.keys_of(target).iter().filter(|id| {
        let (set, place) = limiter.place_of(target, **id).unwrap();
        table.allows(constraint, **id) && set.obstacle(place, demand, table, now).is_none()
    });
    keys.map(|id| table.keys[id.index()].load()).min()
}

proptest! {
    /// A request gets the least loaded key that has enough left for it, and is denied only if there is none. A denied
    /// request is granted in time if nothing else happens.
    #[test]
    fn acquire_finds_the_least_loaded_key_that_has_room(actions in actions()) {
        let (mut limiter, targets, groups) = limiter();
        let mut now = START;
        let mut held: Vec<Grant> = Vec::new();
        for action in actions {
            match action {
                Action::Advance(millis) => now = now + Duration::from_millis(millis),
                Action::Acquire { target, demand, constraint } => {
                    let target = targets[target];
                    let constraint = match usize::from(constraint) {
                        key if key < KEYS => KeyConstraint::Key(limiter.key_ids()[key]),
                        group if group < KEYS + groups.len() => KeyConstraint::Group(groups[group - KEYS]),
                        _ => KeyConstraint::Any,
                    };
                    let load = least_load(&limiter, target, demand, constraint, now);
                    let before = limiter.clone();
                    match limiter.acquire(target, demand, constraint, now) {
                        Ok(grant) => {
                            let key = &before.key_table.keys[grant.key().unwrap().index()];
                            prop_assert_eq!(Some(key.load()), load);
                            held.push(grant);
                        }
                        Err(denial) => {
                            prop_assert_eq!(load, None);
                            let mut later = limiter.clone();
                            let mut denial = denial;
                            for round in 0.. {
                                prop_assert!(round < 100);
                                let Denial::Wait(wait) = denial else { break };
                                if wait.until == Timestamp::MAX {
                                    break;
                                }
                                let bound = later.earliest(target, demand, 0, constraint, now);
                                match later.acquire(target, demand, constraint, wait.until) {
                                    Ok(_) => {
                                        prop_assert!(bound <= wait.until);
                                        break;
                                    }
                                    Err(next) => denial = next,
                                }
                            }
                        }
                    }
                }
                Action::Release { which, used_tokens, outcome } if !held.is_empty() => {
                    let mut grant = held.swap_remove(which.index(held.len()));
                    let wait = Some(Duration::from_secs(u64::from(outcome) * 5));
                    let reason = match outcome {
                        1 => Some(CooldownReason::Throttled),
                        2 => Some(CooldownReason::Invalid),
                        3 => Some(CooldownReason::NoQuota),
                        4 | 5 => Some(CooldownReason::Forbidden),
                        _ => None,
                    };
                    match reason {
                        Some(reason) => drop(limiter.record_refusal(&grant, reason, wait, now)),
                        None => limiter.record_success(&grant, now),
                    }
                    limiter.settle(&mut grant, used_tokens, now);
                    limiter.release(&mut grant, outcome != 6, now);
                }
                Action::Release { .. } => {}
            }
            for target in targets {
                let set = limiter.targets[target.index()].key_set.as_ref().unwrap();
                let mut keys = limiter.keys_of(target).iter();
                let is_barred = keys.any(|id| !set.suits(KeyConstraint::Any, *id, &limiter.key_table, now));
                prop_assert!(set.bars_any() || !is_barred);
            }
        }
    }
}
