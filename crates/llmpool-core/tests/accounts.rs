//! Keys of one quota group share its limits and cooldowns. Keys of different accounts never affect each
//! other.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool_core::limits::{
    CooldownReason, Demand, Grant, KeyAvailability, KeyConstraint, KeyId, KeyLimits, Limiter, Limits,
    QuotaGroupId, TargetId,
};
use llmpool_core::time::Timestamp;
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_nanos(600_000_000_000);

fn seconds(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

/// A limiter with one target that may use all keys.
struct Accounts {
    limiter: Limiter,
    target: TargetId,
    keys: Vec<KeyId>,
    groups: Vec<QuotaGroupId>,
}

impl Accounts {
    /// Adds one key for each item of `group_of`: the index of the key's quota group, or `None` for a key
    /// without a group. Each group has the limits `limits`.
    fn new(group_of: &[Option<usize>], limits: Limits) -> Self {
        let mut limiter = Limiter::new();
        let count = group_of.iter().flatten().max().map_or(0, |last| last + 1);
        let groups: Vec<_> = (0..count).map(|_| limiter.add_group(limits, true)).collect();
        let key = |group: &Option<usize>| match group {
            Some(group) => limiter.add_key_to_group(groups[*group], KeyLimits::default()),
            None => limiter.add_key(KeyLimits::default()),
        };
        let keys: Vec<_> = group_of.iter().map(key).collect();
        let target = limiter.add_target(&keys, Limits::default(), START);
        let mut accounts = Self {
            limiter,
            target,
            keys,
            groups,
        };
        // Of equally loaded keys, the one that was used least recently is chosen. This gives all keys a
        // defined order.
        for key in 0..accounts.keys.len() {
            let mut unused = accounts.acquire(key, Demand::ONE, START).unwrap();
            accounts.limiter.release(&mut unused, false, START);
        }
        accounts
    }

    fn acquire(&mut self, key: usize, demand: Demand, now: Timestamp) -> Option<Grant> {
        let constraint = KeyConstraint::Key(self.keys[key]);
        self.limiter.acquire(self.target, demand, constraint, now).ok()
    }

    fn refuse(&mut self, key: usize, reason: CooldownReason, cooldown: u64) {
        let mut grant = self.acquire(key, Demand::ONE, START).unwrap();
        let cooldown = Some(Duration::from_secs(cooldown));
        self.limiter.record_refusal(&grant, reason, cooldown, START);
        self.limiter.release(&mut grant, true, START);
    }

    fn availability(&self, now: Timestamp) -> Vec<KeyAvailability> {
        let keys = self.keys.iter();
        keys.map(|key| self.limiter.key_availability(*key, now)).collect()
    }

    /// Returns the positions of all keys that share an account with the key at `key`, including the key
    /// itself.
    fn account_of(&self, key: usize) -> Vec<usize> {
        match self.limiter.group_of(self.keys[key]) {
            Some(group) => self.limiter.members(group).iter().map(|id| id.index()).collect(),
            None => vec![key],
        }
    }
}

// L07
#[test]
fn cooldown_of_an_account_applies_to_its_group_only() {
    let mut accounts = Accounts::new(&[Some(0), Some(1), Some(0), None], Limits::default());
    accounts.refuse(2, CooldownReason::Throttled, 60);
    accounts.refuse(1, CooldownReason::NoQuota, 90);
    assert_eq!(
        accounts.availability(START),
        [
            KeyAvailability::Throttled(seconds(60)),
            KeyAvailability::NoQuota(seconds(90)),
            KeyAvailability::Throttled(seconds(60)),
            KeyAvailability::Healthy,
        ]
    );
    assert!(accounts.acquire(0, Demand::ONE, seconds(59)).is_none());
    assert!(accounts.acquire(0, Demand::ONE, seconds(60)).is_some());
}

// L07
#[test]
fn invalid_key_does_not_affect_its_group() {
    let mut accounts = Accounts::new(&[Some(0), Some(0)], Limits::default());
    accounts.refuse(0, CooldownReason::Invalid, 90);
    let expected = [KeyAvailability::Invalid(seconds(90)), KeyAvailability::Healthy];
    assert_eq!(accounts.availability(seconds(90)), expected);
}

// L07
#[test]
fn late_refusal_cools_down_the_whole_group() {
    let mut accounts = Accounts::new(&[Some(0), Some(0)], Limits::default());
    let mut late = accounts.acquire(0, Demand::ONE, START).unwrap();
    accounts.refuse(1, CooldownReason::Throttled, 10);
    let cooldown = Some(Duration::from_secs(60));
    accounts
        .limiter
        .record_refusal(&late, CooldownReason::Throttled, cooldown, seconds(1));
    accounts.limiter.release(&mut late, true, seconds(1));
    assert_eq!(
        accounts.availability(seconds(1)),
        [KeyAvailability::Throttled(seconds(61)); 2]
    );
}

// L07
#[test]
fn probe_with_one_key_decides_about_the_whole_group() {
    for succeeds in [true, false] {
        let mut accounts = Accounts::new(&[Some(0), Some(0)], Limits::default());
        accounts.refuse(0, CooldownReason::NoQuota, 60);
        let probe = accounts.acquire(1, Demand::ONE, seconds(60)).unwrap();
        assert_eq!(accounts.availability(seconds(60)), [KeyAvailability::Probing; 2]);
        if succeeds {
            accounts.limiter.record_success(&probe, seconds(61));
            assert_eq!(accounts.availability(seconds(61)), [KeyAvailability::Healthy; 2]);
        } else {
            let cooldown =
                accounts
                    .limiter
                    .record_refusal(&probe, CooldownReason::NoQuota, None, seconds(61));
            assert!(cooldown.is_some());
            for availability in accounts.availability(seconds(61)) {
                assert!(availability.until() > Some(seconds(61)), "{availability:?}");
            }
        }
    }
}

// L08
#[test]
fn group_shares_tokens_and_requests_per_day() {
    let limits = Limits {
        tpm: Some(1000),
        rpd: Some(4),
        ..Limits::default()
    };
    let demand = Demand {
        requests: 1,
        tokens: 400,
    };
    let mut accounts = Accounts::new(&[Some(0), Some(1), Some(0), Some(1)], limits);
    for key in [0, 2] {
        let mut grant = accounts.acquire(key, demand, START).unwrap();
        accounts.limiter.release(&mut grant, true, START);
    }
    for key in [0, 2] {
        assert!(
            accounts.acquire(key, demand, seconds(1)).is_none(),
            "two of 400 tokens are used"
        );
    }
    assert!(
        accounts.acquire(1, demand, seconds(1)).is_some(),
        "the other account"
    );
    for minute in 1..3 {
        assert!(accounts.acquire(2, demand, seconds(minute * 61)).is_some());
    }
    assert!(
        accounts.acquire(0, demand, seconds(300)).is_none(),
        "four per day"
    );
}

#[test]
fn group_shares_slots() {
    let limits = Limits {
        max_concurrency: Some(2),
        ..Limits::default()
    };
    let mut accounts = Accounts::new(&[Some(0); 3], limits);
    let mut held = [0, 1].map(|key| accounts.acquire(key, Demand::ONE, START).unwrap());
    assert!(accounts.acquire(2, Demand::ONE, START).is_none());
    accounts.limiter.release(&mut held[0], true, START);
    assert!(accounts.acquire(2, Demand::ONE, START).is_some());
    assert!(accounts.acquire(0, Demand::ONE, START).is_none());
}

#[test]
fn constraint_to_a_group_uses_its_keys_only() {
    let mut accounts = Accounts::new(&[Some(0), Some(1), Some(0)], Limits::default());
    let constraint = KeyConstraint::Group(accounts.groups[0]);
    let mut used: Vec<_> = (0..4)
        .map(|_| {
            let grant = accounts
                .limiter
                .acquire(accounts.target, Demand::ONE, constraint, START);
            grant.unwrap().key().unwrap().index()
        })
        .collect();
    used.sort_unstable();
    assert_eq!(used, [0, 0, 2, 2]);
}

#[test]
fn refusal_pauses_the_group_of_its_key() {
    let mut accounts = Accounts::new(&[Some(0), Some(0), Some(1)], Limits::default());
    accounts.refuse(0, CooldownReason::Throttled, 30);
    for key in 0..2 {
        assert!(accounts.acquire(key, Demand::ONE, seconds(29)).is_none());
    }
    assert!(accounts.acquire(2, Demand::ONE, seconds(29)).is_some());
    let probe = accounts.acquire(1, Demand::ONE, seconds(30)).unwrap();
    assert!(accounts.acquire(0, Demand::ONE, seconds(30)).is_none());
    accounts.limiter.record_success(&probe, seconds(30));
    for _ in 0..2000 {
        assert!(accounts.acquire(0, Demand::ONE, seconds(30)).is_some());
    }
}

#[derive(Clone, Debug)]
enum Action {
    Acquire(usize, u32),
    AcquireOfGroup(usize),
    Release(prop::sample::Index, bool),
    Settle(prop::sample::Index, u32),
    Refuse(prop::sample::Index, bool, Option<u64>),
    Succeed(prop::sample::Index),
    Enable(usize, bool),
    Advance(u64),
}

fn steps() -> impl Strategy<Value = Vec<Action>> {
    let held = any::<prop::sample::Index>;
    let cooldown = || prop::option::of(1..90_u64);
    let step = prop_oneof![
        6 => (0..8_usize, 1..300_u32).prop_map(|(key, tokens)| Action::Acquire(key, tokens)),
        2 => (0..8_usize).prop_map(Action::AcquireOfGroup),
        3 => (held(), any::<bool>()).prop_map(|(which, used)| Action::Release(which, used)),
        2 => (held(), 0..600_u32).prop_map(|(which, tokens)| Action::Settle(which, tokens)),
        1 => (held(), any::<bool>(), cooldown()).prop_map(|(which, of_group, cooldown)| Action::Refuse(which, of_group, cooldown)),
        2 => held().prop_map(Action::Succeed),
        1 => (0..8_usize, any::<bool>()).prop_map(|(key, enabled)| Action::Enable(key, enabled)),
        2 => (1..20_000_u64).prop_map(Action::Advance),
    ];
    prop::collection::vec(step, 1..120)
}

fn reason(of_group: bool) -> CooldownReason {
    if of_group {
        CooldownReason::Throttled
    } else {
        CooldownReason::Invalid
    }
}

/// The quota groups of 2 to 8 keys.
fn groups() -> impl Strategy<Value = Vec<Option<usize>>> {
    prop::collection::vec(prop::option::weighted(0.8, 0..3_usize), 2..9)
}

const LIMITS: Limits = Limits {
    rate_limit: None,
    rpm: None,
    tpm: Some(1000),
    rpd: None,
    max_concurrency: Some(4),
};

proptest! {
    /// For any sequence: the slots of a group are those of its keys, no cooldown ends earlier than before,
    /// and no group exceeds its tokens in any minute.
    // L07
    #[test]
    fn groups_keep_the_limiter_invariants(group_of in prop::collection::vec((0..3_usize).prop_map(Some), 8), steps in steps()) {
        let mut accounts = Accounts::new(&group_of, LIMITS);
        let (mut now, mut held) = (START, Vec::<(Grant, usize)>::new());
        // Time, key and charged tokens of every request.
        let mut sent: Vec<(Timestamp, usize, u64)> = Vec::new();
        for step in steps {
            match step {
                Action::Acquire(key, tokens) => {
                    let members = accounts.account_of(key);
                    let in_flight: u32 = members.iter().map(|member| accounts.limiter.in_flight(accounts.keys[*member])).sum();
                    if let Some(grant) = accounts.acquire(key, Demand { requests: 1, tokens }, now) {
                        prop_assert!(in_flight < 4, "{} in flight", in_flight);
                        let recent = sent.iter().filter(|(at, key, _)| now.since(*at) < Duration::from_secs(60) && members.contains(key));
                        let used: u64 = recent.map(|(_, _, tokens)| tokens).sum();
                        prop_assert!(used + u64::from(tokens) <= 1000, "{} used, {} charged", used, tokens);
                        sent.push((now, key, tokens.into()));
                        held.push((grant, sent.len() - 1));
                    }
                }
                Action::Release(which, used) if !held.is_empty() => {
                    let (mut grant, at) = held.swap_remove(which.index(held.len()));
                    accounts.limiter.release(&mut grant, used, now);
                    if !used {
                        sent[at].2 = 0;
                    }
                }
                Action::Settle(which, tokens) if !held.is_empty() => {
                    let at = which.index(held.len());
                    let (grant, at) = &mut held[at];
                    accounts.limiter.settle(grant, tokens, now);
                    sent[*at].2 = tokens.into();
                }
                Action::Refuse(which, of_group, cooldown) if !held.is_empty() => {
                    let (grant, _) = &held[which.index(held.len())];
                    let before = accounts.availability(now);
                    accounts.limiter.record_refusal(grant, reason(of_group), cooldown.map(Duration::from_secs), now);
                    for (before, after) in before.into_iter().zip(accounts.availability(now)) {
                        prop_assert!(after.until() >= before.until(), "{:?} after {:?}", after, before);
                    }
                }
                Action::Succeed(which) if !held.is_empty() => {
                    let (grant, _) = &held[which.index(held.len())];
                    accounts.limiter.record_success(grant, now);
                }
                Action::Advance(millis) => now = now + Duration::from_millis(millis),
                _ => {}
            }
            for (at, key) in accounts.keys.iter().enumerate() {
                let own = held.iter().filter(|(_, place)| sent[*place].1 == at).count();
                prop_assert_eq!(accounts.limiter.in_flight(*key) as usize, own);
            }
        }
        for (mut grant, _) in held {
            accounts.limiter.release(&mut grant, true, now);
        }
        // One by one, since refusals may have led to an inferred rate.
        let mut later = now + Duration::from_secs(86_400);
        for key in 0..accounts.keys.len() {
            later = later + Duration::from_secs(100);
            let grant = accounts.acquire(key, Demand::ONE, later);
            prop_assert!(grant.is_some(), "{:?}", accounts.availability(later));
            let mut grant = grant.unwrap();
            accounts.limiter.record_success(&grant, later);
            accounts.limiter.release(&mut grant, true, later);
        }
    }

    /// For any sequence, each account behaves as if its keys were the only keys of the provider: a limiter of
    /// all accounts gives the same answers as a separate limiter for each account.
    // L07
    #[test]
    fn accounts_do_not_affect_each_other(group_of in groups(), steps in steps()) {
        let mut all = Accounts::new(&group_of, LIMITS);
        let members: Vec<Vec<usize>> = (0..group_of.len()).map(|key| all.account_of(key)).collect();
        // The separate limiter of each account, at the position of the account's first key.
        let separate = members.iter().map(|members| Accounts::new(&vec![group_of[members[0]].map(|_| 0); members.len()], LIMITS));
        let mut separate: Vec<_> = separate.collect();
        // Each key's account, and the key's position in it.
        let place: Vec<(usize, usize)> = members.iter().enumerate().map(|(key, members)| (members[0], members.iter().position(|member| *member == key).unwrap())).collect();
        let (mut now, mut held) = (START, Vec::<(Grant, Grant, usize)>::new());
        for step in steps {
            let which = match &step {
                Action::Release(which, _) | Action::Settle(which, _) | Action::Refuse(which, _, _) | Action::Succeed(which) => {
                    if held.is_empty() {
                        continue;
                    }
                    which.index(held.len())
                }
                _ => 0,
            };
            match step {
                Action::Acquire(key, _) | Action::AcquireOfGroup(key) | Action::Enable(key, _) if key >= group_of.len() => {}
                Action::Acquire(..) | Action::AcquireOfGroup(_) => {
                    let (key, tokens, of_group) = match step {
                        Action::Acquire(key, tokens) => (key, tokens, false),
                        Action::AcquireOfGroup(key) => (key, 0, group_of[key].is_some()),
                        _ => unreachable!(),
                    };
                    let (account, position) = place[key];
                    let demand = Demand { requests: 1, tokens };
                    let of_account = &mut separate[account];
                    let (in_all, alone) = if of_group {
                        (KeyConstraint::Group(all.groups[group_of[key].unwrap()]), KeyConstraint::Group(of_account.groups[0]))
                    } else {
                        (KeyConstraint::Key(all.keys[key]), KeyConstraint::Key(of_account.keys[position]))
                    };
                    let in_all = all.limiter.acquire(all.target, demand, in_all, now);
                    let alone = of_account.limiter.acquire(of_account.target, demand, alone, now);
                    match (in_all, alone) {
                        (Ok(in_all), Ok(alone)) => {
                            let used = (in_all.key().unwrap().index(), alone.key().unwrap().index());
                            prop_assert_eq!(place[used.0], (account, used.1));
                            held.push((in_all, alone, account));
                        }
                        (in_all, alone) => prop_assert_eq!(in_all.err(), alone.err()),
                    }
                }
                Action::Release(_, used) => {
                    let (mut in_all, mut alone, account) = held.swap_remove(which);
                    all.limiter.release(&mut in_all, used, now);
                    separate[account].limiter.release(&mut alone, used, now);
                }
                Action::Settle(_, tokens) => {
                    let (in_all, alone, account) = &mut held[which];
                    all.limiter.settle(in_all, tokens, now);
                    separate[*account].limiter.settle(alone, tokens, now);
                }
                Action::Refuse(_, of_group, cooldown) => {
                    let (in_all, alone, account) = &held[which];
                    let cooldown = cooldown.map(Duration::from_secs);
                    let in_all = all.limiter.record_refusal(in_all, reason(of_group), cooldown, now);
                    let alone = separate[*account].limiter.record_refusal(alone, reason(of_group), cooldown, now);
                    prop_assert_eq!(in_all.is_some(), alone.is_some());
                }
                Action::Succeed(_) => {
                    let (in_all, alone, account) = &held[which];
                    all.limiter.record_success(in_all, now);
                    separate[*account].limiter.record_success(alone, now);
                }
                Action::Enable(key, enabled) => {
                    let (account, position) = place[key];
                    all.limiter.set_enabled(all.keys[key], enabled, now);
                    let of_account = &mut separate[account];
                    of_account.limiter.set_enabled(of_account.keys[position], enabled, now);
                }
                Action::Advance(millis) => now = now + Duration::from_millis(millis),
            }
            for (key, availability) in all.availability(now).into_iter().enumerate() {
                let (account, position) = place[key];
                let of_account = &separate[account];
                prop_assert_eq!(availability, of_account.availability(now)[position]);
                let id = of_account.keys[position];
                prop_assert_eq!(all.limiter.in_flight(all.keys[key]), of_account.limiter.in_flight(id));
                prop_assert_eq!(all.limiter.observed_per_minute(all.keys[key]), of_account.limiter.observed_per_minute(id));
            }
        }
    }
}
