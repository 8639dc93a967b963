//! The desk against an obvious model: everything that was granted is written down, and what may be granted is counted from that anew.
//!
//! Two models of one provider share three keys: one with few slots, one with a rate, one that shares an account with it or not. Callers
//! come and go, attempts succeed, fail, are never sent, are settled; limits are changed; time passes, and timers fire when they should.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::time::Duration;

use llmpool_core::limits::admission::{Admission, AdmissionOutcome, Rejection};
use llmpool_core::limits::key::{KeyAvailability, KeyId, KeyLimits};
use llmpool_core::limits::limiter::{CooldownReason, Grant, KeyConstraint, TargetId};
use llmpool_core::limits::rate_limit::RateLimit;
use llmpool_core::limits::wait_queue::{AcquireRequest, Caller, Ticket};
use llmpool_core::limits::{Demand, Limits};
use llmpool_core::time::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;

const START: Timestamp = Timestamp::from_nanos(3_600_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);
/// The pieces in which a minute is counted, and its guard.
const GRAIN: Duration = Duration::from_millis(750);

#[derive(Clone, Debug)]
enum Do {
    Enter {
        target: usize,
        caller: u64,
        bound: Option<usize>,
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
    Pass(u16),
    Reload(u8),
}

/// A bucket as anybody would count it: what is missing is the sum of what was taken and has not come back since.
#[derive(Clone, Debug)]
struct PlainBucket {
    capacity: u64,
    period: u64,
    /// When what was taken by which ticket; refunds take their entry away.
    log: Vec<(Timestamp, u64, u64)>,
}

/// What a pause may have taken from a bucket: counted only where being careful is right.
const PAUSE: u64 = u64::MAX;

impl PlainBucket {
    fn missing(&self, now: Timestamp, careful: bool) -> u64 {
        let (mut missing, mut at) = (0_u64, Timestamp::ZERO);
        for (taken_at, amount, _) in self.log.iter().filter(|(_, _, by)| careful || *by != PAUSE) {
            missing = missing.saturating_sub(taken_at.since(at).as_nanos() as u64) + amount * self.period;
            at = *taken_at;
        }
        missing.saturating_sub(now.since(at).as_nanos() as u64)
    }

    fn has_one(&self, now: Timestamp, careful: bool) -> bool {
        self.missing(now, careful) + self.period <= self.capacity * self.period
    }

    /// After a pause there is one at most.
    fn leave_one(&mut self, now: Timestamp) {
        let there = (self.capacity * self.period).saturating_sub(self.missing(now, true)) / self.period;
        if there > 1 {
            self.log.push((now, there - 1, PAUSE));
        }
    }
}

#[derive(Debug)]
struct Out {
    grant: Grant,
    ticket: u64,
    target: usize,
    key: usize,
}

struct World {
    admission: Admission<u64>,
    keys: Vec<KeyId>,
    targets: Vec<TargetId>,
    slots: [Option<u32>; 3],
    target_slots: u32,
    rates: BTreeMap<usize, PlainBucket>,
    rate: PlainBucket,
    /// Reserved or used tokens of the second target: when, by which ticket, how many.
    tokens: Vec<(Timestamp, u64, u32)>,
    tpm: u32,
    now: Timestamp,
    next_ticket: u64,
    waiting: BTreeMap<u64, (usize, AcquireRequest, Timestamp)>,
    out: Vec<Out>,
    told: Vec<u64>,
    /// Whether any key was ever refused, so that pauses may have ended.
    refused: bool,
    /// Granted since everybody was last quiet.
    fresh: Vec<(u64, usize, AcquireRequest)>,
    /// The keys' states when last looked at.
    last: Vec<KeyAvailability>,
}

fn quota(capacity: u64, period_ms: u64) -> RateLimit {
    RateLimit::new(capacity as u32, 1000.0 / period_ms as f64).unwrap()
}

impl World {
    fn new(shared: bool) -> Self {
        let mut admission = Admission::default();
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
        let keys = vec![
            admission.limiter_mut().add_key(limits(slots[0], None)),
            admission.limiter_mut().add_key(limits(None, Some(quota(2, 500)))),
            admission.limiter_mut().add_key(limits(None, None)),
        ];
        let bucket = |capacity, period_ms: u64| PlainBucket {
            capacity,
            period: period_ms * 1_000_000,
            log: Vec::new(),
        };
        let mut rates = BTreeMap::from([(1, bucket(2, 500))]);
        if shared {
            // The account of the last two has a rate of its own.
            let account = Limits {
                rate_limit: Some(quota(3, 250)),
                ..Limits::default()
            };
            admission
                .limiter_mut()
                .join_keys(&keys[1..], account, false, START);
            rates.insert(9, bucket(3, 250));
        }
        let (tpm, target_slots) = (200, 3);
        let targets = vec![
            admission.add_target(&keys, Some(quota(4, 200)), START),
            admission.add_target(
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
            admission,
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
            out: Vec::new(),
            told: Vec::new(),
            refused: false,
            fresh: Vec::new(),
            last: vec![KeyAvailability::Healthy; 3],
        }
    }

    fn buckets_of(&self, key: usize) -> Vec<usize> {
        let own = (key == 1).then_some(1);
        let account = (key >= 1 && self.rates.contains_key(&9)).then_some(9);
        own.into_iter().chain(account).collect()
    }

    fn in_flight(&self, key: usize) -> u32 {
        self.out.iter().filter(|out| out.key == key).count() as u32
    }

    /// Whether the key could be used now, counted from what was written down.
    fn key_is_free(&self, key: usize) -> bool {
        let state = self.admission.limiter().key_state(self.keys[key]);
        let usable = match state {
            KeyAvailability::Healthy => true,
            KeyAvailability::Probing | KeyAvailability::Disabled => false,
            resting => resting.until().is_some_and(|until| until <= self.now),
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

    /// Whether the target itself admits it now; `careful`: with everything counted that may still count.
    fn target_admits(&self, target: usize, demand: Demand, careful: bool) -> bool {
        if target == 0 {
            return self.rate.has_one(self.now, careful);
        }
        let busy = self.out.iter().filter(|out| out.target == 1).count() as u32;
        let span = if careful { MINUTE + GRAIN } else { MINUTE };
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
        self.fresh.push((ticket, target, *request));
        if let KeyConstraint::Key(id) = request.constraint {
            prop_assert_eq!(Some(id), grant.key());
        }
        let rests = self.last[key].until().is_some_and(|until| until > self.now);
        prop_assert!(!rests, "key {} rests: {:?}", key, self.last[key]);
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
                "rate {} is used up",
                bucket
            );
        }
        for bucket in buckets {
            let rate = self.rates.get_mut(&bucket).unwrap();
            if self.refused {
                rate.leave_one(self.now);
            }
            rate.log.push((self.now, 1, ticket));
        }
        if target == 0 {
            self.rate.log.push((self.now, 1, ticket));
        } else {
            self.tokens.push((self.now, ticket, request.demand.tokens));
        }
        self.out.push(Out {
            grant,
            ticket,
            target,
            key,
        });
        Ok(())
    }

    fn states(&self) -> Vec<KeyAvailability> {
        self.keys
            .iter()
            .map(|id| self.admission.limiter().key_state(*id))
            .collect()
    }

    fn take_note(
        &mut self,
        ticket: u64,
        target: usize,
        request: AcquireRequest,
        answer: AdmissionOutcome,
    ) -> Result<(), TestCaseError> {
        match answer {
            AdmissionOutcome::Granted(grant) => {
                self.waiting.remove(&ticket);
                self.granted(ticket, target, &request, grant)?;
            }
            AdmissionOutcome::Wait(until) => {
                prop_assert!(until > self.now && until <= request.deadline);
                self.waiting.insert(ticket, (target, request, until));
            }
            AdmissionOutcome::Refused(refusal) => {
                self.waiting.remove(&ticket);
                match refusal {
                    Rejection::TooLate { ready_at, .. } => {
                        let late = ready_at.is_some_and(|at| at > request.deadline);
                        prop_assert!(late || self.now >= request.deadline, "{refusal:?}");
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
        Ok(())
    }

    /// Those who wait, each once for calls in a row.
    fn callers(&self) -> Vec<u64> {
        let callers = self.waiting.values().map(|(_, request, _)| request.caller.id);
        let mut callers: Vec<_> = callers.collect();
        callers.dedup();
        callers
    }

    /// Of each line the one who came first.
    fn firsts(&self) -> Vec<u64> {
        let mut lines = Vec::new();
        let mut firsts = Vec::new();
        for (ticket, (target, request, _)) in &self.waiting {
            let line = (*target, request.constraint);
            if !lines.contains(&line) {
                lines.push(line);
                firsts.push(*ticket);
            }
        }
        firsts
    }

    /// Lets everybody ask again who was told to, until nobody is.
    fn settle_down(&mut self) -> Result<(), TestCaseError> {
        // Whoever stood before somebody and went away meanwhile has held him up.
        let stood = self.callers();
        let firsts = self.firsts();
        while let Some(ticket) = self.told.pop() {
            let Some(&(target, request, _)) = self.waiting.get(&ticket) else {
                continue;
            };
            let mut told = std::mem::take(&mut self.told);
            let answer = self
                .admission
                .poll(self.targets[target], &request, &ticket, self.now, &mut told);
            self.told = told;
            self.take_note(ticket, target, request, answer)?;
        }
        self.last = self.states();
        let callers = self.callers();
        let alone = |caller| stood == [caller] && callers == [caller];
        // Nobody of the same caller who came before still waits for the same, nor at the other target for a key that would do.
        for (ticket, target, request) in std::mem::take(&mut self.fresh) {
            for (older, (of, theirs, _)) in self.waiting.range(..ticket) {
                let same = theirs.caller == request.caller && theirs.constraint == request.constraint;
                // Only the first of a line may go: he holds up those behind him whatever they need.
                let is_first = firsts.contains(older);
                let any = alone(request.caller.id) && request.constraint == KeyConstraint::Any && is_first;
                let same = same && (*of == target || any && self.target_admits(*of, theirs.demand, true));
                prop_assert!(!same, "{older} was overtaken by {ticket}");
            }
        }
        Ok(())
    }

    /// Time passes, and every timer fires at its instant.
    fn pass(&mut self, until: Timestamp) -> Result<(), TestCaseError> {
        loop {
            let next = self
                .waiting
                .iter()
                .map(|(ticket, (_, _, at))| (*at, *ticket))
                .min();
            match next {
                Some((at, ticket)) if at <= until => {
                    self.now = self.now.max(at);
                    self.told.push(ticket);
                    self.settle_down()?;
                }
                _ => break,
            }
        }
        self.now = until;
        Ok(())
    }

    /// Nobody is forgotten: whoever is first, and could go by what was written down, has gone.
    fn check(&self) -> Result<(), TestCaseError> {
        for (key, id) in self.keys.iter().enumerate() {
            prop_assert_eq!(self.admission.limiter().in_flight(*id), self.in_flight(key));
        }
        for target in 0..2 {
            let waiting = self.waiting.values().filter(|(of, _, _)| *of == target).count();
            prop_assert_eq!(self.admission.waiting(self.targets[target]), waiting);
        }
        prop_assert!(
            self.waiting
                .values()
                .all(|(_, request, _)| request.deadline > self.now)
        );
        // Somebody waits for any key at a target that admits him, and a key is free that nobody older could be waiting for.
        let heads: Vec<_> = self
            .waiting
            .values()
            .filter(|(_, request, _)| request.constraint == KeyConstraint::Any)
            .collect();
        let admitted = |target: usize| {
            let mut here = heads.iter().filter(|(of, _, _)| *of == target);
            // With several callers any of their first may be the head.
            here.clone().count() > 0
                && here.all(|(_, request, _)| self.target_admits(target, request.demand, true))
        };
        let free = (0..3).any(|key| self.key_is_free(key));
        let forgotten = free && (0..2).any(admitted);
        let free: Vec<_> = (0..3).filter(|key| self.key_is_free(*key)).collect();
        prop_assert!(
            !forgotten,
            "at {:?} of {:?} {free:?} are free: {:?}",
            self.now,
            self.states(),
            self.waiting
        );
        Ok(())
    }

    fn play(&mut self, step: Do) -> Result<(), TestCaseError> {
        let mut told = Vec::new();
        match step {
            Do::Pass(millis) => {
                let until = self.now + Duration::from_millis(u64::from(millis));
                // Each timer is an event of its own, so that pauses end where the model sees them.
                self.pass(until)?;
            }
            Do::Enter {
                target,
                caller,
                bound,
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
                    constraint: bound.map_or(KeyConstraint::Any, |key| KeyConstraint::Key(self.keys[key])),
                    deadline: self.now + Duration::from_millis(u64::from(patience) * 10 + 1),
                };
                let answer =
                    self.admission
                        .acquire(self.targets[target], &request, &ticket, self.now, &mut told);
                self.told.extend(told);
                self.take_note(ticket, target, request, answer)?;
            }
            Do::Cancel(which) if !self.waiting.is_empty() => {
                let ticket = *self.waiting.keys().nth(which.index(self.waiting.len())).unwrap();
                let (target, request, _) = self.waiting.remove(&ticket).unwrap();
                self.admission
                    .cancel(self.targets[target], &request, self.now, &mut told);
                self.told.extend(told);
            }
            Do::End {
                which,
                used,
                outcome,
                tokens,
            } if !self.out.is_empty() => {
                let mut out = self.out.swap_remove(which.index(self.out.len()));
                let now = self.now;
                self.refused |= matches!(outcome, 1 | 2);
                let limiter = self.admission.limiter_mut();
                match outcome {
                    0 => {
                        limiter.succeeded(&out.grant, now);
                    }
                    1 => {
                        limiter.refused(
                            &out.grant,
                            CooldownReason::Throttled,
                            Some(Duration::from_millis(1500)),
                            now,
                        );
                    }
                    2 => {
                        limiter.refused(&out.grant, CooldownReason::Invalid, None, now);
                    }
                    _ => {}
                }
                self.last = self.states();
                if used && out.target == 1 {
                    self.admission
                        .settle(&mut out.grant, u32::from(tokens), now, &mut told);
                    let entry = self
                        .tokens
                        .iter_mut()
                        .find(|(_, ticket, _)| *ticket == out.ticket);
                    entry.unwrap().2 = u32::from(tokens);
                }
                if !used {
                    let ticket = out.ticket;
                    self.rate.log.retain(|(_, _, by)| *by != ticket);
                    self.rates
                        .values_mut()
                        .for_each(|rate| rate.log.retain(|(_, _, by)| *by != ticket));
                    self.tokens.retain(|(_, by, _)| *by != ticket);
                }
                self.admission.release(&mut out.grant, used, now, &mut told);
                self.admission
                    .serve_target(self.targets[out.target], now, &mut told);
                self.told.extend(told);
            }
            Do::Reload(most) => {
                // A tighter or looser number of slots for the second target, as a reload brings it.
                self.target_slots = u32::from(most) + 1;
                let limits = Limits {
                    tpm: Some(self.tpm),
                    max_concurrency: Some(self.target_slots),
                    ..Limits::default()
                };
                let target = self.targets[1];
                self.admission
                    .limiter_mut()
                    .set_target_limits(target, limits, self.now);
                self.admission.serve_target(target, self.now, &mut told);
                self.told.extend(told);
            }
            Do::Cancel(_) | Do::End { .. } => {}
        }
        self.settle_down()?;
        self.check()
    }
}

fn steps() -> impl Strategy<Value = Vec<Do>> {
    let enter = (
        0_usize..2,
        0_u64..3,
        prop::option::weighted(0.2, 0_usize..3),
        0_u16..400,
        0_u8..60,
    );
    let enter = enter.prop_map(|(target, caller, bound, patience, tokens)| Do::Enter {
        target,
        caller,
        bound,
        patience,
        tokens,
    });
    let end = (any::<Index>(), prop::bool::weighted(0.8), 0_u8..8, 0_u8..80);
    let end = end.prop_map(|(which, used, outcome, tokens)| Do::End {
        which,
        used,
        outcome,
        tokens,
    });
    let step = prop_oneof![
        6 => enter,
        1 => any::<Index>().prop_map(Do::Cancel),
        4 => end,
        4 => (0_u16..3000).prop_map(Do::Pass),
        1 => (10_000_u16..65_000).prop_map(Do::Pass),
        1 => (0_u8..4).prop_map(Do::Reload),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), ..ProptestConfig::default() })]

    #[test]
    fn the_desk_does_what_anybody_would_count(steps in steps(), shared in any::<bool>()) {
        let mut world = World::new(shared);
        for step in steps {
            world.play(step)?;
        }
        // In the end everything comes back.
        let deadline = world.now + Duration::from_secs(3600);
        world.pass(deadline)?;
        prop_assert!(world.waiting.is_empty());
        let mut told = Vec::new();
        for mut out in std::mem::take(&mut world.out) {
            world.admission.release(&mut out.grant, true, world.now, &mut told);
        }
        prop_assert!(world.keys.iter().all(|key| world.admission.limiter().in_flight(*key) == 0));
    }
}
