//! The admission against a plain model: all grants are logged, and what may be granted is computed from the log each time.
//!
//! Two targets of one provider share three keys: one with few slots, one with a rate limit, and one that may share an account with the second.
//! Requests arrive and are cancelled; attempts succeed, fail, are never sent, are settled; limits change; time passes, and timers fire.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::time::Duration;

use llmpool_core::limits::{
    AcquireRequest, Admission, AdmissionOutcome, Caller, CooldownReason, Demand, Grant, KeyAvailability,
    KeyConstraint, KeyId, KeyLimits, Limiter, Limits, RateLimit, Rejection, TargetId, Ticket,
};
use llmpool_core::time::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;

const START: Timestamp = Timestamp::from_nanos(3_600_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);
/// Segments of a minute window, and its guard.
const GUARD: Duration = Duration::from_millis(750);

#[derive(Clone, Debug)]
enum Action {
    Acquire {
        target: usize,
        caller: u64,
        constrained_to: Option<usize>,
        patience: u16,
        tokens: u8,
    },
    Cancel(Index),
    End {
        which: Index,
        used: bool,
        outcome: u8,
        tokens: u8,
    },
    Advance(u16),
    Reload(u8),
}

/// A token bucket computed from a log: the missing tokens are the charges that have not refilled since.
#[derive(Clone, Debug)]
struct PlainBucket {
    capacity: u64,
    period: u64,
    /// Time, amount and ticket of each charge; a refund removes its entry.
    log: Vec<(Timestamp, u64, u64)>,
}

/// Ticket of what a cooldown may have taken from a bucket. Counted only by strict checks.
const COOLDOWN: u64 = u64::MAX;

impl PlainBucket {
    fn missing(&self, now: Timestamp, strict: bool) -> u64 {
        let (mut missing, mut at) = (0_u64, Timestamp::ZERO);
        for (taken_at, amount, _) in self.log.iter().filter(|(_, _, by)| strict || *by != COOLDOWN) {
            missing = missing.saturating_sub(taken_at.since(at).as_nanos() as u64) + amount * self.period;
            at = *taken_at;
        }
        missing.saturating_sub(now.since(at).as_nanos() as u64)
    }

    fn has_one(&self, now: Timestamp, strict: bool) -> bool {
        self.missing(now, strict) + self.period <= self.capacity * self.period
    }

    /// A cooldown leaves at most one token.
    fn cap_at_one(&mut self, now: Timestamp) {
        let available = (self.capacity * self.period).saturating_sub(self.missing(now, true)) / self.period;
        if available > 1 {
            self.log.push((now, available - 1, COOLDOWN));
        }
    }
}

#[derive(Debug)]
struct Attempt {
    grant: Grant,
    ticket: u64,
    target: usize,
    key: usize,
}

struct Model {
    admission: Admission<u64>,
    keys: Vec<KeyId>,
    targets: Vec<TargetId>,
    slots: [Option<u32>; 3],
    target_slots: u32,
    rates: BTreeMap<usize, PlainBucket>,
    rate: PlainBucket,
    /// Tokens charged to the second target: time, ticket and amount.
    tokens: Vec<(Timestamp, u64, u32)>,
    tpm: u32,
    now: Timestamp,
    next_ticket: u64,
    waiting: BTreeMap<u64, (usize, AcquireRequest)>,
    attempts: Vec<Attempt>,
    woken: Vec<u64>,
    /// Whether a key was ever refused, so that cooldowns may have ended.
    refused: bool,
    /// Granted since all wake-ups were last processed.
    new_grants: Vec<(u64, usize, AcquireRequest, [bool; 2])>,
    /// Availability of the keys when all wake-ups were last processed.
    availability: Vec<[KeyAvailability; 2]>,
}

fn rate_limit(capacity: u64, period_ms: u64) -> RateLimit {
    RateLimit::new(capacity as u32, 1000.0 / period_ms as f64).unwrap()
}

impl Model {
    fn new(shared: bool) -> Self {
        let mut limiter = Limiter::new();
        let slots = [Some(2), None, None];
        let limits = |max_concurrency, rate_limit| KeyLimits {
            limits: Limits {
                max_concurrency,
                rate_limit,
                ..Limits::default()
            },
            learn: false,
            ..KeyLimits::default()
        };
        // If `shared`, the last two keys belong to an account with a rate limit of its own.
        let account = Limits {
            rate_limit: Some(rate_limit(3, 250)),
            ..Limits::default()
        };
        let group = shared.then(|| limiter.add_group(account, false));
        let mut add_grouped = |limits| match group {
            Some(group) => limiter.add_key_to_group(group, limits),
            None => limiter.add_key(limits),
        };
        let grouped = [
            add_grouped(limits(None, Some(rate_limit(2, 500)))),
            add_grouped(limits(None, None)),
        ];
        let keys = vec![limiter.add_key(limits(slots[0], None)), grouped[0], grouped[1]];
        let bucket = |capacity, period_ms: u64| PlainBucket {
            capacity,
            period: period_ms * 1_000_000,
            log: Vec::new(),
        };
        let mut rates = BTreeMap::from([(1, bucket(2, 500))]);
        if shared {
            rates.insert(9, bucket(3, 250));
        }
        let (tpm, target_slots) = (200, 3);
        let targets = vec![
            limiter.add_target(&keys, Some(rate_limit(4, 200)), START),
            limiter.add_target(
                &keys[..],
                Limits {
                    tpm: Some(tpm),
                    max_concurrency: Some(target_slots),
                    ..Limits::default()
                },
                START,
            ),
        ];
        Self {
            admission: Admission::over(limiter),
            keys,
            targets,
            slots,
            target_slots,
            rates,
            rate: bucket(4, 200),
            tokens: Vec::new(),
            tpm,
            now: START,
            next_ticket: 0,
            waiting: BTreeMap::new(),
            attempts: Vec::new(),
            woken: Vec::new(),
            refused: false,
            new_grants: Vec::new(),
            availability: vec![[KeyAvailability::Healthy; 2]; 3],
        }
    }

    fn buckets_of(&self, key: usize) -> Vec<usize> {
        let own = (key == 1).then_some(1);
        let account = (key >= 1 && self.rates.contains_key(&9)).then_some(9);
        own.into_iter().chain(account).collect()
    }

    fn in_flight(&self, key: usize) -> u32 {
        self.attempts.iter().filter(|attempt| attempt.key == key).count() as u32
    }

    /// Returns whether the target can use the key now, computed from the log.
    fn key_is_free(&self, target: usize, key: usize) -> bool {
        let state = self.availability_of(target, key);
        let usable = match state {
            KeyAvailability::Healthy => true,
            KeyAvailability::Probing | KeyAvailability::Disabled => false,
            availability => availability.until().is_some_and(|until| until <= self.now),
        };
        let slots = self.slots[key].is_none_or(|most| self.in_flight(key) < most);
        let rate = self
            .buckets_of(key)
            .iter()
            .all(|bucket| self.rates[bucket].has_one(self.now, true));
        usable && slots && rate
    }

    fn tokens_within(&self, span: Duration, now: Timestamp) -> u32 {
        let counted = self.tokens.iter().filter(|(at, _, _)| now.since(*at) <= span);
        counted.map(|(_, _, tokens)| tokens).sum()
    }

    /// Returns whether the target itself admits `demand` now. `strict`: also counts what may no longer count.
    fn target_admits(&self, target: usize, demand: Demand, strict: bool) -> bool {
        if target == 0 {
            return self.rate.has_one(self.now, strict);
        }
        let busy = self.attempts.iter().filter(|attempt| attempt.target == 1).count() as u32;
        let span = if strict { MINUTE + GUARD } else { MINUTE };
        busy < self.target_slots && self.tokens_within(span, self.now) + demand.tokens <= self.tpm
    }

    fn granted(
        &mut self,
        ticket: u64,
        target: usize,
        request: &AcquireRequest,
        grant: Grant,
    ) -> Result<(), TestCaseError> {
        let key = self.keys.iter().position(|id| Some(*id) == grant.key()).unwrap();
        // Whether each target could have used the key.
        let usable = self.availability[key].map(|state| match state {
            KeyAvailability::Healthy => true,
            KeyAvailability::Probing | KeyAvailability::Disabled => false,
            state => state.until().is_some_and(|until| until <= self.now),
        });
        self.new_grants.push((ticket, target, *request, usable));
        if let KeyConstraint::Key(id) = request.constraint {
            prop_assert_eq!(Some(id), grant.key());
        }
        let cools_down = self.availability[key][target]
            .until()
            .is_some_and(|until| until > self.now);
        prop_assert!(
            !cools_down,
            "key {} cools down: {:?}",
            key,
            self.availability[key]
        );
        let slots = self.slots[key].is_none_or(|most| self.in_flight(key) < most);
        prop_assert!(slots, "key {} has no slot", key);
        prop_assert!(
            self.target_admits(target, request.demand, false),
            "target {} admits nothing",
            target
        );
        let buckets = self.buckets_of(key);
        for bucket in &buckets {
            prop_assert!(
                self.rates[bucket].has_one(self.now, false),
                "rate limit {} is used up",
                bucket
            );
        }
        for bucket in buckets {
            let rate = self.rates.get_mut(&bucket).unwrap();
            if self.refused {
                rate.cap_at_one(self.now);
            }
            rate.log.push((self.now, 1, ticket));
        }
        if target == 0 {
            self.rate.log.push((self.now, 1, ticket));
        } else {
            self.tokens.push((self.now, ticket, request.demand.tokens));
        }
        self.attempts.push(Attempt {
            grant,
            ticket,
            target,
            key,
        });
        Ok(())
    }

    fn availability_of(&self, target: usize, key: usize) -> KeyAvailability {
        let limiter = self.admission.limiter();
        limiter.key_availability_at(self.targets[target], self.keys[key], self.now)
    }

    fn current_availability(&self) -> Vec<[KeyAvailability; 2]> {
        let of_key = |key| [0, 1].map(|target| self.availability_of(target, key));
        (0..self.keys.len()).map(of_key).collect()
    }

    fn record_outcome(
        &mut self,
        ticket: u64,
        target: usize,
        request: AcquireRequest,
        result: AdmissionOutcome,
    ) -> Result<(), TestCaseError> {
        match result {
            AdmissionOutcome::Granted(grant) => {
                self.waiting.remove(&ticket);
                self.granted(ticket, target, &request, grant)?;
            }
            AdmissionOutcome::Wait => {
                self.waiting.insert(ticket, (target, request));
            }
            AdmissionOutcome::Rejected(rejection) => {
                self.waiting.remove(&ticket);
                match rejection {
                    Rejection::TooLate { ready_at, .. } => {
                        let late = ready_at.is_some_and(|at| at > request.deadline);
                        prop_assert!(late || self.now >= request.deadline, "{rejection:?}");
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
        Ok(())
    }

    /// The callers that wait, without repetitions in a row.
    fn callers(&self) -> Vec<u64> {
        let callers = self.waiting.values().map(|(_, request)| request.caller.id);
        let mut callers: Vec<_> = callers.collect();
        callers.dedup();
        callers
    }

    /// The oldest waiter of each queue.
    fn firsts(&self) -> Vec<u64> {
        let mut queues = Vec::new();
        let mut firsts = Vec::new();
        for (ticket, (target, request)) in &self.waiting {
            let queue = (*target, request.constraint);
            if !queues.contains(&queue) {
                queues.push(queue);
                firsts.push(*ticket);
            }
        }
        firsts
    }

    /// Polls all woken waiters until none is woken.
    fn process_wakes(&mut self) -> Result<(), TestCaseError> {
        // A waiter that leaves meanwhile has held up the ones behind it.
        let before = self.callers();
        let firsts = self.firsts();
        while let Some(ticket) = self.woken.pop() {
            let Some(&(target, request)) = self.waiting.get(&ticket) else {
                continue;
            };
            let mut wakes = std::mem::take(&mut self.woken);
            let result = self
                .admission
                .poll(self.targets[target], &request, &ticket, self.now, &mut wakes);
            self.woken = wakes;
            self.record_outcome(ticket, target, request, result)?;
        }
        self.availability = self.current_availability();
        let callers = self.callers();
        let is_alone = |caller| before == [caller] && callers == [caller];
        // No older request of the same caller still waits for the same target, nor at the other target for a key that it could use.
        for (ticket, target, request, usable) in std::mem::take(&mut self.new_grants) {
            for (older, (of, theirs)) in self.waiting.range(..ticket) {
                let same = theirs.caller == request.caller && theirs.constraint == request.constraint;
                // Only the head of a queue is granted: it holds up those behind it whatever they demand.
                let is_first = firsts.contains(older);
                let any = is_alone(request.caller.id) && request.constraint == KeyConstraint::Any && is_first;
                let could_use = usable[*of] && self.target_admits(*of, theirs.demand, true);
                let same = same && (*of == target || any && could_use);
                prop_assert!(!same, "{older} was overtaken by {ticket}");
            }
        }
        Ok(())
    }

    /// Advances the time; every event is handled when it is due.
    fn advance(&mut self, until: Timestamp) -> Result<(), TestCaseError> {
        while let Some(at) = self.admission.next_event().filter(|at| *at <= until) {
            prop_assert!(at >= self.now, "an event was not handled");
            self.now = at;
            self.admission.advance(self.now, &mut self.woken);
            self.process_wakes()?;
        }
        self.now = until;
        Ok(())
    }

    /// Checks that no head waits that could be granted according to the log.
    fn check(&self) -> Result<(), TestCaseError> {
        for (key, id) in self.keys.iter().enumerate() {
            prop_assert_eq!(self.admission.limiter().in_flight(*id), self.in_flight(key));
        }
        for target in 0..2 {
            let waiting = self.waiting.values().filter(|(of, _)| *of == target).count();
            prop_assert_eq!(self.admission.waiting(self.targets[target]), waiting);
        }
        prop_assert!(
            self.waiting
                .values()
                .all(|(_, request)| request.deadline > self.now)
        );
        // A waiter for any key is forgotten if its target admits it and a key is free.
        let heads: Vec<_> = self
            .waiting
            .values()
            .filter(|(_, request)| request.constraint == KeyConstraint::Any)
            .collect();
        let admitted = |target: usize| {
            let mut here = heads.iter().filter(|(of, _)| *of == target);
            // With several callers, the first request of any of them may be the head.
            here.clone().count() > 0
                && here.all(|(_, request)| self.target_admits(target, request.demand, true))
        };
        let free = |target: usize| (0..3).any(|key| self.key_is_free(target, key));
        let forgotten = (0..2).any(|target| free(target) && admitted(target));
        let free = [0, 1].map(|target| {
            let keys = 0..3;
            keys.filter(|key| self.key_is_free(target, *key))
                .collect::<Vec<_>>()
        });
        prop_assert!(
            !forgotten,
            "at {:?} of {:?} {free:?} are free: {:?}",
            self.now,
            self.current_availability(),
            self.waiting
        );
        Ok(())
    }

    fn apply(&mut self, step: Action) -> Result<(), TestCaseError> {
        let mut wakes = Vec::new();
        match step {
            Action::Advance(millis) => {
                let until = self.now + Duration::from_millis(u64::from(millis));
                // The time stops at each event, so that the model sees when cooldowns end.
                self.advance(until)?;
            }
            Action::Acquire {
                target,
                caller,
                constrained_to,
                patience,
                tokens,
            } => {
                let ticket = self.next_ticket;
                self.next_ticket += 1;
                let request = AcquireRequest {
                    ticket: Ticket(ticket),
                    caller: Caller::new(caller),
                    demand: Demand {
                        requests: 1,
                        tokens: if target == 1 { u32::from(tokens) + 1 } else { 0 },
                    },
                    constraint: constrained_to
                        .map_or(KeyConstraint::Any, |key| KeyConstraint::Key(self.keys[key])),
                    deadline: self.now + Duration::from_millis(u64::from(patience) * 10 + 1),
                    wait_for_keys: true,
                };
                let result =
                    self.admission
                        .acquire(self.targets[target], &request, &ticket, self.now, &mut wakes);
                self.woken.extend(wakes);
                self.record_outcome(ticket, target, request, result)?;
            }
            Action::Cancel(which) if !self.waiting.is_empty() => {
                let ticket = *self.waiting.keys().nth(which.index(self.waiting.len())).unwrap();
                let (target, request) = self.waiting.remove(&ticket).unwrap();
                self.admission
                    .cancel(self.targets[target], &request, self.now, &mut wakes);
                self.woken.extend(wakes);
            }
            Action::End {
                which,
                used,
                outcome,
                tokens,
            } if !self.attempts.is_empty() => {
                let index = which.index(self.attempts.len());
                let grant = self.attempts[index].grant;
                let now = self.now;
                self.refused |= matches!(outcome, 1 | 2);
                // An attempt whose success is recorded together with its release.
                let completes = used && outcome == 3;
                let (admission, grant) = (&mut self.admission, &grant);
                match outcome {
                    0 => admission.change(now, &mut wakes, |limiter| limiter.record_success(grant, now)),
                    1 => {
                        let duration = Some(Duration::from_millis(1500));
                        admission.change(now, &mut wakes, |limiter| {
                            limiter.record_refusal(grant, CooldownReason::Throttled, duration, now)
                        });
                    }
                    2 => {
                        admission.change(now, &mut wakes, |limiter| {
                            limiter.record_refusal(grant, CooldownReason::Invalid, None, now)
                        });
                    }
                    _ => {}
                }
                // A change of health may grant other requests before this attempt is settled and released.
                self.availability = self.current_availability();
                self.woken.append(&mut wakes);
                self.process_wakes()?;
                self.check()?;
                let mut attempt = self.attempts.swap_remove(index);
                if used && attempt.target == 1 {
                    self.admission.change(now, &mut wakes, |limiter| {
                        limiter.settle(&mut attempt.grant, u32::from(tokens), now);
                    });
                    let entry = self
                        .tokens
                        .iter_mut()
                        .find(|(_, ticket, _)| *ticket == attempt.ticket);
                    entry.unwrap().2 = u32::from(tokens);
                }
                if !used {
                    let ticket = attempt.ticket;
                    self.rate.log.retain(|(_, _, by)| *by != ticket);
                    self.rates
                        .values_mut()
                        .for_each(|rate| rate.log.retain(|(_, _, by)| *by != ticket));
                    self.tokens.retain(|(_, by, _)| *by != ticket);
                }
                if completes {
                    self.admission.change(now, &mut wakes, |limiter| {
                        limiter.complete(&mut attempt.grant, now);
                    });
                } else {
                    self.admission.change(now, &mut wakes, |limiter| {
                        limiter.release(&mut attempt.grant, used, now);
                    });
                }
                self.woken.extend(wakes);
            }
            Action::Reload(most) => {
                // A configuration reload with fewer or more slots for the second target.
                self.target_slots = u32::from(most) + 1;
                let limits = Limits {
                    tpm: Some(self.tpm),
                    max_concurrency: Some(self.target_slots),
                    ..Limits::default()
                };
                let target = self.targets[1];
                self.admission.change(self.now, &mut wakes, |limiter| {
                    limiter.set_target_limits(target, limits, self.now);
                });
                self.woken.extend(wakes);
            }
            Action::Cancel(_) | Action::End { .. } => {}
        }
        self.process_wakes()?;
        self.check()
    }
}

fn steps() -> impl Strategy<Value = Vec<Action>> {
    let acquire = (
        0_usize..2,
        0_u64..3,
        prop::option::weighted(0.2, 0_usize..3),
        0_u16..400,
        0_u8..60,
    );
    let acquire = acquire.prop_map(
        |(target, caller, constrained_to, patience, tokens)| Action::Acquire {
            target,
            caller,
            constrained_to,
            patience,
            tokens,
        },
    );
    let end = (any::<Index>(), prop::bool::weighted(0.8), 0_u8..8, 0_u8..80);
    let end = end.prop_map(|(which, used, outcome, tokens)| Action::End {
        which,
        used,
        outcome,
        tokens,
    });
    let step = prop_oneof![
        6 => acquire,
        1 => any::<Index>().prop_map(Action::Cancel),
        4 => end,
        4 => (0_u16..3000).prop_map(Action::Advance),
        1 => (10_000_u16..65_000).prop_map(Action::Advance),
        1 => (0_u8..4).prop_map(Action::Reload),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), ..ProptestConfig::default() })]

    #[test]
    fn admission_matches_the_model(steps in steps(), shared in any::<bool>()) {
        let mut model = Model::new(shared);
        for step in steps {
            model.apply(step)?;
        }
        // Finally all waiters are served or rejected, and all grants are released.
        let deadline = model.now + Duration::from_secs(3600);
        model.advance(deadline)?;
        prop_assert!(model.waiting.is_empty());
        let mut wakes = Vec::new();
        for mut attempt in std::mem::take(&mut model.attempts) {
            model.admission.change(model.now, &mut wakes, |limiter| limiter.release(&mut attempt.grant, true, model.now));
        }
        prop_assert!(model.keys.iter().all(|key| model.admission.limiter().in_flight(*key) == 0));
    }
}
