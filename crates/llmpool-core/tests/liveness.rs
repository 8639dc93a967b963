//! Random liveness: at any moment, what could be granted has been granted.
//!
//! Several targets share keys. Requests arrive, are cancelled, and are polled at once, late or never. Attempts
//! succeed, fail and are refused; keys are disabled, limits are reloaded, targets are added and removed. After
//! each of these steps and each event, a copy of the limiter is asked whether it would grant a request that waits.
//!
//! `PROPTEST_CASES` sets the number of runs.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use llmpool_core::limits::{
    AcquireRequest, Admission, AdmissionOutcome, Caller, CooldownReason, Demand, Grant, KeyAvailability,
    KeyConstraint, KeyId, KeyLimits, LimitScope, Limiter, Limits, ProvisionalCooldown, QuotaGroupId,
    RateLimit, RefusalWait, TargetId, TargetLimits, Ticket,
};
use llmpool_core::time::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;

const START: Timestamp = Timestamp::from_nanos(3_600_000_000_000);
const KEYS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Owner {
    /// Polls at once when it is woken.
    Polls,
    /// Polls this many milliseconds after it is woken.
    Late(u16),
    /// Never polls again.
    Idle,
}

#[derive(Clone, Debug)]
enum Action {
    Acquire {
        target: Index,
        caller: u64,
        constraint: u8,
        tokens: u32,
        /// In milliseconds. `None`: no deadline.
        patience: Option<u16>,
        wait_for_keys: bool,
        owner: Owner,
    },
    Cancel(Index),
    Report(Index, Outcome),
    Settle(Index, u32),
    Release(Index, bool),
    Complete(Index),
    AwaitProbe(Index, bool),
    Restore(Index),
    SetEnabled(usize, bool),
    SetCooldown(usize, u8, u16),
    SetLimits(Index, LimitChoice),
    Reset(Index),
    AddTarget(u8, LimitChoice, bool),
    RemoveTarget(Index),
    Advance(u32),
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Success,
    Refusal(u8, Option<u16>),
    Failure(Option<u16>),
}

/// Which limit applies.
#[derive(Clone, Copy, Debug)]
enum LimitChoice {
    None,
    Slots(u32),
    Rate(u32),
    PerMinute(u32),
    Tokens(u32),
}

impl From<LimitChoice> for Limits {
    fn from(choice: LimitChoice) -> Self {
        let mut limits = Self::default();
        match choice {
            LimitChoice::None => {}
            LimitChoice::Slots(slots) => limits.max_concurrency = Some(slots),
            LimitChoice::Rate(capacity) => limits.rate_limit = RateLimit::new(capacity, 2.0).ok(),
            LimitChoice::PerMinute(rpm) => limits.rpm = Some(rpm),
            LimitChoice::Tokens(tpm) => limits.tpm = Some(tpm),
        }
        limits
    }
}

#[derive(Clone, Debug)]
struct Setup {
    keys: [LimitChoice; KEYS],
    /// The limits of a quota group of the first two keys. `None`: each key is on its own.
    group: Option<LimitChoice>,
    targets: Vec<(u8, LimitChoice, bool)>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    request: AcquireRequest,
    target: TargetId,
    owner: Owner,
    /// Whether the request has been woken since it was last polled, so that it waits in no queue.
    is_woken: bool,
}

struct Run {
    admission: Admission<u64>,
    keys: Vec<KeyId>,
    group: Option<QuotaGroupId>,
    targets: Vec<TargetId>,
    now: Timestamp,
    /// Requests without a final outcome, by ticket.
    waiting: BTreeMap<u64, Waiting>,
    polls: BTreeSet<(Timestamp, u64)>,
    attempts: Vec<Grant>,
    cooldowns: Vec<ProvisionalCooldown>,
    wakes: Vec<u64>,
    next_ticket: u64,
}

fn target_limits(limits: LimitChoice, is_of_model: bool) -> TargetLimits {
    TargetLimits {
        limits: limits.into(),
        breaker: Some(2),
        limit_scope: if is_of_model {
            LimitScope::Model
        } else {
            LimitScope::Key
        },
    }
}

/// Returns the keys of which the bit is set.
fn subset(keys: &[KeyId], bits: u8) -> Vec<KeyId> {
    let chosen = keys.iter().enumerate();
    let chosen = chosen.filter(|(index, _)| bits & (1 << index) != 0);
    chosen.map(|(_, key)| *key).collect()
}

fn reason(choice: u8) -> CooldownReason {
    match choice % 6 {
        0 => CooldownReason::Throttled,
        1 => CooldownReason::Unclear,
        2 => CooldownReason::Invalid,
        3 => CooldownReason::NoQuota,
        4 => CooldownReason::NoQuotaUntil,
        _ => CooldownReason::Forbidden,
    }
}

fn millis(time: u16) -> Duration {
    Duration::from_millis(time.into())
}

impl Run {
    fn new(setup: &Setup) -> Self {
        let mut limiter = Limiter::new();
        let group = setup.group.map(|limits| limiter.add_group(limits.into(), true));
        let add_key = |(index, limits): (usize, LimitChoice)| {
            let limits = KeyLimits {
                limits: limits.into(),
                ..KeyLimits::default()
            };
            match group.filter(|_| index < 2) {
                Some(group) => limiter.add_key_to_group(group, limits),
                None => limiter.add_key(limits),
            }
        };
        let keys: Vec<_> = setup.keys.into_iter().enumerate().map(add_key).collect();
        let targets = setup.targets.iter().map(|(bits, limits, is_of_model)| {
            limiter.add_target(&subset(&keys, *bits), target_limits(*limits, *is_of_model), START)
        });
        Self {
            targets: targets.collect(),
            admission: Admission::over(limiter),
            keys,
            group,
            now: START,
            waiting: BTreeMap::new(),
            polls: BTreeSet::new(),
            attempts: Vec::new(),
            cooldowns: Vec::new(),
            wakes: Vec::new(),
            next_ticket: 0,
        }
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Limiter, Timestamp) -> T) -> T {
        let now = self.now;
        self.admission
            .change(now, &mut self.wakes, |limiter| change(limiter, now))
    }

    fn outcome(&mut self, ticket: u64, outcome: AdmissionOutcome) {
        match outcome {
            AdmissionOutcome::Wait => self.waiting.get_mut(&ticket).unwrap().is_woken = false,
            AdmissionOutcome::Granted(grant) => {
                self.waiting.remove(&ticket);
                self.attempts.push(grant);
            }
            AdmissionOutcome::Rejected(_) => {
                self.waiting.remove(&ticket);
            }
        }
    }

    fn poll(&mut self, ticket: u64) {
        if let Some(Waiting { request, target, .. }) = self.waiting.get(&ticket).copied() {
            let outcome = self
                .admission
                .poll(target, &request, &ticket, self.now, &mut self.wakes);
            self.outcome(ticket, outcome);
        }
    }

    /// Lets the owners of the woken requests poll them.
    fn wake(&mut self) {
        while let Some(ticket) = self.wakes.pop() {
            let Some(waiting) = self.waiting.get_mut(&ticket) else {
                continue;
            };
            assert!(!waiting.is_woken, "{ticket} was woken twice");
            waiting.is_woken = true;
            match waiting.owner {
                Owner::Polls => self.poll(ticket),
                Owner::Late(delay) => {
                    self.polls.insert((self.now + millis(delay), ticket));
                }
                Owner::Idle => {}
            }
        }
    }

    fn apply(&mut self, action: &Action) -> Result<(), TestCaseError> {
        let pick = |index: &Index, of: usize| index.index(of.max(1));
        match action {
            Action::Acquire {
                target,
                caller,
                constraint,
                tokens,
                patience,
                wait_for_keys,
                owner,
            } => {
                let target = self.targets[target.index(self.targets.len())];
                let (ticket, key) = (self.next_ticket, self.keys[usize::from(*constraint) % KEYS]);
                self.next_ticket += 1;
                let request = AcquireRequest {
                    ticket: Ticket(ticket),
                    caller: Caller::new(*caller),
                    demand: Demand {
                        requests: 1,
                        tokens: *tokens,
                    },
                    constraint: match (constraint, self.group) {
                        (0..KEYS_U8, _) => KeyConstraint::Key(key),
                        (4, Some(group)) => KeyConstraint::Group(group),
                        (5, _) => KeyConstraint::Healthy,
                        _ => KeyConstraint::Any,
                    },
                    deadline: patience.map_or(Timestamp::MAX, |patience| self.now + millis(patience)),
                    wait_for_keys: *wait_for_keys,
                };
                let waiting = Waiting {
                    request,
                    target,
                    owner: *owner,
                    is_woken: true,
                };
                self.waiting.insert(ticket, waiting);
                let outcome = self
                    .admission
                    .acquire(target, &request, &ticket, self.now, &mut self.wakes);
                self.outcome(ticket, outcome);
            }
            Action::Cancel(index) => {
                let ticket = self.waiting.keys().nth(pick(index, self.waiting.len())).copied();
                if let Some(Waiting { request, target, .. }) =
                    ticket.and_then(|ticket| self.waiting.remove(&ticket))
                {
                    self.admission.cancel(target, &request, self.now, &mut self.wakes);
                }
            }
            Action::Report(index, outcome) => {
                if let Some(grant) = self.attempts.get(pick(index, self.attempts.len())).copied() {
                    let cooldown = self.change(|limiter, now| match outcome {
                        Outcome::Success => {
                            limiter.record_success(&grant, now);
                            None
                        }
                        Outcome::Refusal(choice, wait) => {
                            let wait = RefusalWait::new(wait.map(millis), choice % 3 == 0);
                            limiter.record_refusal(&grant, reason(*choice), wait, now)
                        }
                        Outcome::Failure(pause) => {
                            limiter.record_target_failure(&grant, pause.map(millis), now);
                            None
                        }
                    });
                    self.cooldowns.extend(cooldown);
                }
            }
            Action::Settle(index, tokens) => {
                let index = pick(index, self.attempts.len());
                if let Some(mut grant) = self.attempts.get(index).copied() {
                    self.change(|limiter, now| limiter.settle(&mut grant, *tokens, now));
                    self.attempts[index] = grant;
                }
            }
            Action::Release(index, used) => {
                let index = pick(index, self.attempts.len());
                if index < self.attempts.len() {
                    let mut grant = self.attempts.swap_remove(index);
                    self.change(|limiter, now| limiter.release(&mut grant, *used, now));
                }
            }
            Action::Complete(index) => {
                let index = pick(index, self.attempts.len());
                if index < self.attempts.len() {
                    let mut grant = self.attempts.swap_remove(index);
                    self.change(|limiter, now| limiter.complete(&mut grant, now));
                }
            }
            Action::AwaitProbe(index, is_sent) => {
                if let Some(grant) = self.attempts.get(pick(index, self.attempts.len())).copied() {
                    self.change(|limiter, now| limiter.await_probe(&grant, *is_sent, now));
                }
            }
            Action::Restore(index) => {
                let index = pick(index, self.cooldowns.len());
                if index < self.cooldowns.len() {
                    let cooldowns = self.cooldowns.split_off(index);
                    self.change(|limiter, now| {
                        let cooldowns = cooldowns.into_iter().rev();
                        cooldowns.for_each(|cooldown| limiter.restore(cooldown, now));
                    });
                }
            }
            Action::SetEnabled(key, enabled) => {
                let key = self.keys[*key];
                self.change(|limiter, now| limiter.set_enabled(key, *enabled, now));
            }
            Action::SetCooldown(key, choice, pause) => {
                let key = self.keys[*key];
                let until = self.now + millis(*pause);
                self.change(|limiter, now| limiter.set_cooldown(key, reason(choice % 5), until, now));
            }
            Action::SetLimits(index, limits) => {
                let target = self.targets[index.index(self.targets.len())];
                let limits = target_limits(*limits, true);
                self.change(|limiter, now| limiter.set_target_limits(target, limits, now));
            }
            Action::Reset(index) => {
                let target = self.targets[index.index(self.targets.len())];
                self.change(|limiter, _| limiter.reset(target));
            }
            Action::AddTarget(bits, limits, is_of_model) => {
                if self.targets.len() < 4 {
                    let (keys, limits) = (subset(&self.keys, *bits), target_limits(*limits, *is_of_model));
                    let target = self.change(|limiter, now| limiter.add_target(&keys, limits, now));
                    self.targets.push(target);
                }
            }
            Action::RemoveTarget(index) => {
                let index = index.index(self.targets.len());
                let target = self.targets[index];
                let is_used = self.waiting.values().any(|waiting| waiting.target == target)
                    || self.attempts.iter().any(|grant| grant.target() == target);
                if !is_used && self.targets.len() > 1 {
                    self.targets.swap_remove(index);
                    self.cooldowns.clear();
                    self.change(|limiter, _| limiter.remove_target(target));
                }
            }
            Action::Advance(millis) => self.advance(self.now + Duration::from_millis(u64::from(*millis)))?,
        }
        self.wake();
        self.check()
    }

    /// Advances the time; every event is handled and every poll is made when it is due.
    fn advance(&mut self, until: Timestamp) -> Result<(), TestCaseError> {
        loop {
            let event = self.admission.next_event().filter(|at| *at <= until);
            let poll = self.polls.first().copied().filter(|(at, _)| *at <= until);
            match (event, poll) {
                (Some(at), poll) if poll.is_none_or(|(poll, _)| at <= poll) => {
                    prop_assert!(at >= self.now, "an event was not handled");
                    self.now = at;
                    self.admission.advance(at, &mut self.wakes);
                }
                (_, Some((at, ticket))) => {
                    self.polls.pop_first();
                    self.now = at;
                    self.poll(ticket);
                }
                _ => break,
            }
            self.wake();
            self.check()?;
        }
        self.now = until;
        Ok(())
    }

    /// Checks that no queue waits whose head could be granted, except for older requests that wait for the same
    /// keys.
    fn check(&self) -> Result<(), TestCaseError> {
        // For each queue, the first request of each caller. Any of them may be the head.
        let mut queues: BTreeMap<(TargetId, KeyConstraint), BTreeMap<u64, AcquireRequest>> = BTreeMap::new();
        for waiting in self.waiting.values().filter(|waiting| !waiting.is_woken) {
            let request = waiting.request;
            prop_assert!(request.deadline > self.now, "{request:?} waits past its deadline");
            prop_assert!(!self.waits_in_vain(waiting), "{request:?} waits for lost keys");
            let queue = queues.entry((waiting.target, request.constraint)).or_default();
            queue.entry(request.caller.id).or_insert(request);
        }
        let mut limiter = self.admission.limiter().clone();
        for (&(target, constraint), heads) in &queues {
            // The keys that every possible head could use. `None`: without a key.
            let usable = |limiter: &mut Limiter| {
                let keys = limiter.keys_of(target).to_vec();
                let keys = keys
                    .into_iter()
                    .filter(|key| limiter.allows(constraint, *key))
                    .map(Some);
                let candidates: Vec<_> = match limiter.keys_of(target) {
                    [] => vec![None],
                    _ => keys.collect(),
                };
                let mut fits = |key: Option<KeyId>| {
                    let on_key = key.map_or(constraint, KeyConstraint::Key);
                    heads.values().all(|head| {
                        let mut granted = |constraint| {
                            let grant = limiter.acquire(target, head.demand, constraint, self.now);
                            let mut grant = grant.ok()?;
                            limiter.release(&mut grant, false, self.now);
                            Some(grant.key())
                        };
                        let first = granted(constraint);
                        // Only the limiter knows which keys are healthy.
                        let suits = constraint != KeyConstraint::Healthy || first == Some(key);
                        first.is_some() && suits && granted(on_key).is_some()
                    })
                };
                candidates
                    .into_iter()
                    .filter(|key| fits(*key))
                    .collect::<Vec<_>>()
            };
            let mut free = usable(&mut limiter);
            free.retain(|key| !key.is_some_and(|key| self.is_kept(key, target, constraint, &queues)));
            prop_assert!(
                free.is_empty(),
                "{free:?} could serve {constraint:?} of {target:?} at {:?}: {heads:?}\nin {queues:#?}",
                self.now,
            );
        }
        Ok(())
    }

    /// Returns whether a request that does not wait for keys waits although all keys are lost beyond its deadline.
    fn waits_in_vain(&self, waiting: &Waiting) -> bool {
        let Waiting { request, target, .. } = waiting;
        let mut limiter = self.admission.limiter().clone();
        let keys = limiter.keys_of(*target).iter();
        let are_all_lost = keys
            .filter(|key| limiter.allows(request.constraint, **key))
            .all(|key| match limiter.key_availability_at(*target, *key, self.now) {
                KeyAvailability::Disabled => true,
                KeyAvailability::NoQuota(until)
                | KeyAvailability::Invalid(until)
                | KeyAvailability::Forbidden(until) => until > self.now,
                _ => false,
            });
        let lost = limiter.lost_keys(*target, request.constraint, self.now);
        !request.wait_for_keys && are_all_lost && lost.is_some_and(|lost| !lost.return_by(request.deadline))
    }

    /// Returns whether the head of another queue waits for tokens of the key, or might.
    fn is_kept(
        &self,
        key: KeyId,
        target: TargetId,
        constraint: KeyConstraint,
        queues: &BTreeMap<(TargetId, KeyConstraint), BTreeMap<u64, AcquireRequest>>,
    ) -> bool {
        let limiter = self.admission.limiter();
        // Without the limits of the target, which another of its queues may have used up.
        let is_granted = |of, demand| {
            let mut limiter = limiter.clone();
            limiter.set_target_limits(of, LimitChoice::None, self.now);
            limiter.reset(of);
            let grant = limiter.acquire(of, demand, KeyConstraint::Key(key), self.now);
            grant.is_ok()
        };
        let mut others = queues.iter().filter(|(queue, _)| **queue != (target, constraint));
        others.any(|(&(of, other), heads)| {
            let shares = limiter.allows(other, key) && limiter.keys_of(of).contains(&key);
            let mut heads = heads.values().map(|head| head.demand);
            shares && heads.any(|demand| !is_granted(of, demand) && is_granted(of, Demand::ONE))
        })
    }

    /// Ends all attempts and removes all limits. Afterwards every request that is polled is served.
    fn finish(&mut self) -> Result<(), TestCaseError> {
        self.cooldowns.clear();
        for key in self.keys.clone() {
            self.change(|limiter, now| limiter.set_enabled(key, true, now));
        }
        for target in self.targets.clone() {
            self.change(|limiter, now| {
                limiter.set_target_limits(target, LimitChoice::None, now);
                limiter.reset(target);
            });
        }
        self.wake();
        self.check()?;
        for _ in 0..2000 {
            while let Some(mut grant) = self.attempts.pop() {
                self.change(|limiter, now| {
                    limiter.settle(&mut grant, 0, now);
                    limiter.complete(&mut grant, now);
                });
                self.wake();
                self.check()?;
            }
            let Some(next) = self
                .admission
                .next_event()
                .or(self.polls.first().map(|(at, _)| *at))
            else {
                break;
            };
            self.advance(next)?;
        }
        for (ticket, waiting) in &self.waiting {
            prop_assert!(
                waiting.owner == Owner::Idle,
                "{ticket} was not served: {waiting:?}"
            );
        }
        prop_assert!(self.admission.is_idle());
        let limiter = self.admission.limiter();
        prop_assert!(self.keys.iter().all(|key| limiter.in_flight(*key) == 0));
        Ok(())
    }
}

const KEYS_U8: u8 = KEYS as u8;

impl From<LimitChoice> for TargetLimits {
    fn from(limits: LimitChoice) -> Self {
        target_limits(limits, true)
    }
}

fn limit_choice() -> impl Strategy<Value = LimitChoice> {
    prop_oneof![
        2 => Just(LimitChoice::None),
        3 => (1_u32..3).prop_map(LimitChoice::Slots),
        2 => (1_u32..3).prop_map(LimitChoice::Rate),
        1 => (3_u32..8).prop_map(LimitChoice::PerMinute),
        2 => (50_u32..200).prop_map(LimitChoice::Tokens),
    ]
}

fn target_choice() -> impl Strategy<Value = (u8, LimitChoice, bool)> {
    (
        prop_oneof![12 => 1_u8..16, 1 => Just(0)],
        limit_choice(),
        any::<bool>(),
    )
}

fn setup() -> impl Strategy<Value = Setup> {
    let keys = [limit_choice(), limit_choice(), limit_choice(), limit_choice()];
    let targets = prop::collection::vec(target_choice(), 2..=4);
    let setup = (keys, prop::option::of(limit_choice()), targets);
    setup.prop_map(|(keys, group, targets)| Setup { keys, group, targets })
}

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        6 => Just(Owner::Polls),
        2 => (0_u16..3000).prop_map(Owner::Late),
        1 => Just(Owner::Idle),
    ]
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let tokens = prop_oneof![2 => Just(0_u32), 2 => 1_u32..90];
    let patience = prop::option::of(0_u16..8000);
    let constraint = prop_oneof![6 => Just(6_u8), 3 => 0_u8..6];
    let acquire = (
        any::<Index>(),
        0_u64..3,
        constraint,
        tokens,
        patience,
        any::<bool>(),
        owner(),
    );
    let acquire = acquire.prop_map(
        |(target, caller, constraint, tokens, patience, wait_for_keys, owner)| Action::Acquire {
            target,
            caller,
            constraint,
            tokens,
            patience,
            wait_for_keys,
            owner,
        },
    );
    let outcome = prop_oneof![
        2 => Just(Outcome::Success),
        3 => (any::<u8>(), prop::option::of(0_u16..4000)).prop_map(|(choice, wait)| Outcome::Refusal(choice, wait)),
        1 => prop::option::of(0_u16..2000).prop_map(Outcome::Failure),
    ];
    let action = prop_oneof![
        20 => acquire,
        3 => any::<Index>().prop_map(Action::Cancel),
        6 => (any::<Index>(), outcome).prop_map(|(index, outcome)| Action::Report(index, outcome)),
        2 => (any::<Index>(), 0_u32..120).prop_map(|(index, tokens)| Action::Settle(index, tokens)),
        4 => (any::<Index>(), any::<bool>()).prop_map(|(index, used)| Action::Release(index, used)),
        4 => any::<Index>().prop_map(Action::Complete),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(index, sent)| Action::AwaitProbe(index, sent)),
        1 => any::<Index>().prop_map(Action::Restore),
        1 => (0..KEYS, any::<bool>()).prop_map(|(key, enabled)| Action::SetEnabled(key, enabled)),
        1 => (0..KEYS, any::<u8>(), 0_u16..5000).prop_map(|(key, choice, pause)| Action::SetCooldown(key, choice, pause)),
        1 => (any::<Index>(), limit_choice()).prop_map(|(index, limits)| Action::SetLimits(index, limits)),
        1 => any::<Index>().prop_map(Action::Reset),
        1 => target_choice().prop_map(|(bits, limits, of_model)| Action::AddTarget(bits, limits, of_model)),
        1 => any::<Index>().prop_map(Action::RemoveTarget),
        8 => (0_u32..3000).prop_map(Action::Advance),
        1 => (5000_u32..90_000).prop_map(Action::Advance),
    ];
    prop::collection::vec(action, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(300), ..ProptestConfig::default() })]

    // reproductions 3, 8
    #[test]
    fn what_can_be_granted_is_granted_at_once(setup in setup(), actions in actions()) {
        let mut run = Run::new(&setup);
        for action in &actions {
            run.apply(action)?;
        }
        run.finish()?;
    }
}
