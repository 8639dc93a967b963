//! Random liveness: waiters that are not polled delay the others by at most a second each, and take nothing.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::time::Duration;

use llmpool_core::limits::{
    AcquireRequest, Admission, AdmissionOutcome, COLLECT_WITHIN, Caller, Demand, Grant, KeyConstraint,
    KeyLimits, Limiter, Limits, TargetId, Ticket,
};
use llmpool_core::time::Timestamp;
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_nanos(1_000_000_000);
/// How long an attempt holds its slot.
const ATTEMPT: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Owner {
    /// Polls at once when it is woken.
    Polls,
    /// Polls this many milliseconds after it is woken.
    Late(u16),
    /// Never polls again.
    Idle,
    /// Drops its request this many milliseconds after it arrived.
    Cancels(u16),
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    pause: u16,
    target: usize,
    caller: u64,
    owner: Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    End(u64),
    Poll(u64),
    Cancel(u64),
    Arrive(usize),
}

struct Run {
    admission: Admission<u64>,
    targets: Vec<TargetId>,
    now: Timestamp,
    steps: BTreeMap<(Timestamp, Step), ()>,
    waiting: BTreeMap<u64, (AcquireRequest, usize, Owner, Timestamp)>,
    attempts: BTreeMap<u64, Grant>,
    wakes: Vec<u64>,
    longest: Duration,
}

impl Run {
    fn outcome(&mut self, ticket: u64, outcome: AdmissionOutcome) {
        match outcome {
            AdmissionOutcome::Wait => {}
            AdmissionOutcome::Granted(grant) => {
                let (_, _, owner, arrived) = self.waiting.remove(&ticket).unwrap();
                if owner == Owner::Polls {
                    self.longest = self.longest.max(self.now.since(arrived));
                }
                self.attempts.insert(ticket, grant);
                self.steps.insert((self.now + ATTEMPT, Step::End(ticket)), ());
            }
            AdmissionOutcome::Rejected(rejection) => panic!("{rejection:?}"),
        }
    }

    fn step(&mut self, step: Step, arrivals: &[Arrival]) {
        match step {
            Step::End(ticket) => {
                let mut grant = self.attempts.remove(&ticket).unwrap();
                self.admission.change(self.now, &mut self.wakes, |limiter| {
                    limiter.complete(&mut grant, self.now);
                });
            }
            Step::Poll(ticket) => {
                if let Some((request, target, ..)) = self.waiting.get(&ticket) {
                    let (request, target) = (*request, self.targets[*target]);
                    let outcome = self
                        .admission
                        .poll(target, &request, &ticket, self.now, &mut self.wakes);
                    self.outcome(ticket, outcome);
                }
            }
            Step::Cancel(ticket) => {
                if let Some((request, target, ..)) = self.waiting.remove(&ticket) {
                    let target = self.targets[target];
                    self.admission.cancel(target, &request, self.now, &mut self.wakes);
                }
            }
            Step::Arrive(index) => {
                let (arrival, ticket) = (arrivals[index], index as u64);
                let request = AcquireRequest {
                    ticket: Ticket(ticket),
                    caller: Caller::new(arrival.caller),
                    demand: Demand::ONE,
                    constraint: KeyConstraint::Any,
                    deadline: Timestamp::MAX,
                    wait_for_keys: false,
                };
                self.waiting
                    .insert(ticket, (request, arrival.target, arrival.owner, self.now));
                if let Owner::Cancels(after) = arrival.owner {
                    let at = self.now + Duration::from_millis(after.into());
                    self.steps.insert((at, Step::Cancel(ticket)), ());
                }
                let target = self.targets[arrival.target];
                let outcome = self
                    .admission
                    .acquire(target, &request, &ticket, self.now, &mut self.wakes);
                self.outcome(ticket, outcome);
            }
        }
    }

    /// Lets the owners of the woken requests poll them.
    fn wake(&mut self) {
        while let Some(ticket) = self.wakes.pop() {
            let delay = match self.waiting.get(&ticket) {
                Some((_, _, Owner::Polls, _)) => 0,
                Some((_, _, Owner::Late(delay), _)) => *delay,
                _ => continue,
            };
            let at = self.now + Duration::from_millis(delay.into());
            self.steps.insert((at, Step::Poll(ticket)), ());
        }
    }
}

/// Runs the arrivals until all requests that are polled have been served.
fn run(arrivals: &[Arrival], slots: u32) -> Run {
    let mut limiter = Limiter::new();
    let limits = Limits {
        max_concurrency: Some(slots),
        ..Limits::default()
    };
    let limits = KeyLimits {
        limits,
        ..KeyLimits::default()
    };
    let key = limiter.add_key(limits);
    let targets = [0; 2].map(|_| limiter.add_target(&[key], None, START));
    let mut at = START;
    let arrivals_at = arrivals.iter().enumerate().map(|(index, arrival)| {
        at = at + Duration::from_millis(arrival.pause.into());
        ((at, Step::Arrive(index)), ())
    });
    let mut run = Run {
        steps: arrivals_at.collect(),
        admission: Admission::over(limiter),
        targets: targets.into(),
        now: START,
        waiting: BTreeMap::new(),
        attempts: BTreeMap::new(),
        wakes: Vec::new(),
        longest: Duration::ZERO,
    };
    for _ in 0..100_000 {
        let step = run.steps.keys().next().copied();
        match (step, run.admission.next_event()) {
            (step, Some(event)) if step.is_none_or(|(at, _)| event <= at) => {
                run.now = event;
                run.admission.advance(event, &mut run.wakes);
            }
            (Some((at, step)), _) => {
                run.steps.remove(&(at, step));
                run.now = at;
                run.step(step, arrivals);
            }
            (None, _) => return run,
        }
        run.wake();
    }
    panic!("waiters were woken for ever")
}

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        6 => Just(Owner::Polls),
        2 => (0_u16..4000).prop_map(Owner::Late),
        1 => Just(Owner::Idle),
        2 => (0_u16..3000).prop_map(Owner::Cancels),
    ]
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (0_u16..100, 0_usize..2, 0_u64..3, owner());
    let arrival = arrival.prop_map(|(pause, target, caller, owner)| Arrival {
        pause,
        target,
        caller,
        owner,
    });
    prop::collection::vec(arrival, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), ..ProptestConfig::default() })]

    // reproduction 8
    #[test]
    fn every_polled_waiter_is_served_and_nothing_is_kept(arrivals in arrivals(), slots in 1_u32..3) {
        let run = run(&arrivals, slots);
        for (ticket, (_, _, owner, _)) in &run.waiting {
            prop_assert!(*owner == Owner::Idle, "{} ({:?}) was not served", ticket, owner);
        }
        prop_assert!(run.admission.is_idle());
        let keys = run.admission.limiter().key_ids();
        prop_assert_eq!(run.admission.limiter().in_flight(keys[0]), 0);
        // A late owner delays the others by one uncollected grant.
        let late = arrivals.iter().filter(|arrival| !matches!(arrival.owner, Owner::Polls)).count() as u32;
        let most = COLLECT_WITHIN * late + ATTEMPT * arrivals.len() as u32;
        prop_assert!(run.longest <= most, "{:?} of {:?}", run.longest, most);
    }
}
