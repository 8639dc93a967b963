use super::super::super::cooldown::CooldownReason;
use super::super::super::demand::Demand;
use super::super::super::denial::{Unsatisfiable, WaitReason};
use super::super::super::fairness::Caller;
use super::super::super::grant::Grant;
use super::super::super::key::{KeyAvailability, KeyId, KeyLimits};
use super::super::super::key_constraint::KeyConstraint;
use super::super::super::limiter::Limiter;
use super::super::super::limits::Limits;
use super::super::super::rate_limit::RateLimit;
use super::super::super::target::TargetLimits;
use super::super::outcome::Rejection;
use super::*;

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

fn after(seconds: f64) -> Timestamp {
    NOW + Duration::from_secs_f64(seconds)
}

fn request(ticket: u64) -> AcquireRequest {
    AcquireRequest {
        ticket: Ticket(ticket),
        caller: Caller::default(),
        demand: Demand::ONE,
        constraint: KeyConstraint::Any,
        deadline: Timestamp::MAX,
        wait_for_keys: true,
    }
}

/// A target with keys. The waker of a request is its ticket.
struct Fixture {
    admission: Admission<u64>,
    keys: Vec<KeyId>,
    target: TargetId,
    now: Timestamp,
    wakes: Vec<u64>,
}

impl Fixture {
    fn new(keys: usize, limits: impl Into<TargetLimits>) -> Self {
        let mut limiter = Limiter::new();
        let keys: Vec<_> = (0..keys).map(|_| limiter.add_key(KeyLimits::default())).collect();
        let target = limiter.add_target(&keys, limits, NOW);
        Self {
            admission: Admission::over(limiter),
            keys,
            target,
            now: NOW,
            wakes: Vec::new(),
        }
    }

    fn acquire(&mut self, request: &AcquireRequest) -> AdmissionOutcome {
        let ticket = request.ticket.0;
        self.admission
            .acquire(self.target, request, &ticket, self.now, &mut self.wakes)
    }

    fn poll(&mut self, request: &AcquireRequest) -> AdmissionOutcome {
        let ticket = request.ticket.0;
        self.admission
            .poll(self.target, request, &ticket, self.now, &mut self.wakes)
    }

    fn grant(&mut self, ticket: u64) -> Grant {
        match self.acquire(&request(ticket)) {
            AdmissionOutcome::Granted(grant) => grant,
            other => panic!("{other:?}"),
        }
    }

    fn wait(&mut self, request: &AcquireRequest) {
        assert_eq!(self.acquire(request), AdmissionOutcome::Wait);
    }

    fn release(&mut self, mut grant: Grant) {
        self.admission.change(self.now, &mut self.wakes, |limiter| {
            limiter.release(&mut grant, true, self.now);
        });
    }

    /// Handles all events until `until`. Returns the woken requests, each with the time.
    fn run(&mut self, until: Timestamp) -> Vec<(Timestamp, u64)> {
        let mut woken = Vec::new();
        self.wakes.clear();
        while let Some(at) = self.admission.next_event().filter(|at| *at <= until) {
            assert!(at >= self.now);
            self.now = at;
            self.admission.advance(at, &mut self.wakes);
            woken.extend(self.wakes.drain(..).map(|ticket| (at, ticket)));
        }
        self.now = until;
        woken
    }
}

fn one_slot() -> Limits {
    max_slots(1)
}

fn max_slots(slots: u32) -> Limits {
    Limits {
        max_concurrency: Some(slots),
        ..Limits::default()
    }
}

fn per_second(rate: f64) -> Limits {
    RateLimit::new(1, rate).ok().into()
}

// reproduction 8
#[test]
fn heads_are_served_in_time_without_being_polled() {
    let mut fixture = Fixture::new(1, per_second(1.0));
    fixture.grant(0);
    (1..=3).for_each(|ticket| fixture.wait(&request(ticket)));
    assert_eq!(
        fixture.run(after(3.0)),
        [(after(1.0), 1), (after(2.0), 2), (after(3.0), 3)]
    );
}

// reproduction 8
#[test]
fn uncollected_grant_is_returned_after_a_second() {
    for limits in [one_slot(), per_second(0.001)] {
        let mut fixture = Fixture::new(1, limits);
        let held = fixture.grant(0);
        (1..=3).for_each(|ticket| fixture.wait(&request(ticket)));
        fixture.wakes.clear();
        if limits == one_slot() {
            fixture.release(held);
        } else {
            let target = fixture.target;
            fixture
                .admission
                .change(NOW, &mut fixture.wakes, |limiter| limiter.reset(target));
        }
        assert_eq!(fixture.wakes, [1]);
        assert_eq!(fixture.run(after(1.0)), [(after(1.0), 2)]);
        let AdmissionOutcome::Granted(second) = fixture.poll(&request(2)) else {
            panic!("the grant of the unpolled head was not passed on")
        };
        // The first request is older than the third, also after it has lost its grant.
        assert_eq!(fixture.poll(&request(1)), AdmissionOutcome::Wait);
        fixture.wakes.clear();
        if limits == one_slot() {
            fixture.release(second);
        } else {
            let target = fixture.target;
            fixture
                .admission
                .change(fixture.now, &mut fixture.wakes, |limiter| limiter.reset(target));
        }
        // Its owner was slow, so it is only woken.
        assert_eq!(fixture.wakes, [1, 3]);
        assert!(matches!(fixture.poll(&request(3)), AdmissionOutcome::Granted(_)));
    }
}

/// An unpolled head delays the others once, not each time that the slot becomes free.
// reproduction 8
#[test]
fn unpolled_head_is_granted_once() {
    let mut fixture = Fixture::new(1, one_slot());
    let held = fixture.grant(0);
    (1..=20).for_each(|ticket| fixture.wait(&request(ticket)));
    fixture.release(held);
    assert_eq!(fixture.run(after(1.0)), [(after(1.0), 2)]);
    for ticket in 2..=20 {
        let AdmissionOutcome::Granted(grant) = fixture.poll(&request(ticket)) else {
            panic!("{ticket} was not served")
        };
        fixture.run(fixture.now + Duration::from_millis(500));
        fixture.release(grant);
    }
    assert_eq!(fixture.admission.waiting(fixture.target), 0);
    assert!(fixture.admission.is_idle());
    assert!(matches!(fixture.poll(&request(1)), AdmissionOutcome::Granted(_)));
}

#[test]
fn waiter_is_rejected_at_its_deadline_without_being_polled() {
    let mut fixture = Fixture::new(1, one_slot());
    fixture.grant(0);
    let early = AcquireRequest {
        deadline: after(2.0),
        ..request(1)
    };
    let late = AcquireRequest {
        deadline: after(3.0),
        ..request(2)
    };
    fixture.wait(&late);
    fixture.wait(&early);
    assert_eq!(fixture.run(after(10.0)), [(after(2.0), 1), (after(3.0), 2)]);
    assert_eq!(fixture.admission.waiting(fixture.target), 0);
    assert!(fixture.admission.is_idle());
    for request in [early, late] {
        let AdmissionOutcome::Rejected(Rejection::TooLate { ready_at, why }) = fixture.poll(&request) else {
            panic!("not rejected")
        };
        assert_eq!((ready_at, why), (None, WaitReason::TargetConcurrency));
    }
}

/// The head needs two tokens until its deadline; the next request needs one.
#[test]
fn deadline_of_the_head_serves_the_next_request() {
    let mut fixture = Fixture::new(0, Limits::from(RateLimit::new(2, 1.0).ok()));
    for ticket in 0..2 {
        fixture.grant(ticket);
    }
    let mut head = AcquireRequest {
        deadline: after(2.0),
        ..request(1)
    };
    head.demand.requests = 2;
    fixture.wait(&head);
    fixture.wait(&request(3));
    assert_eq!(fixture.run(after(1.9)), []);
    // At its deadline the head has its tokens, too late.
    assert_eq!(fixture.run(after(2.0)), [(after(2.0), 1), (after(2.0), 3)]);
}

/// A head whose wait grows past its deadline does not stay until then.
#[test]
fn hopeless_head_is_rejected_at_once() {
    let mut fixture = Fixture::new(1, per_second(1.0));
    let grant = fixture.grant(0);
    let head = AcquireRequest {
        deadline: after(5.0),
        ..request(1)
    };
    fixture.wait(&head);
    fixture.wait(&request(2));
    fixture.wakes.clear();
    let (target, duration) = (grant.target(), Some(Duration::from_secs(30)));
    fixture.admission.change(NOW, &mut fixture.wakes, |limiter| {
        limiter.record_target_failure(&grant, duration, NOW);
    });
    assert_eq!(fixture.wakes, [1]);
    assert_eq!(fixture.admission.waiting(target), 1);
    assert!(matches!(
        fixture.poll(&head),
        AdmissionOutcome::Rejected(Rejection::TooLate { ready_at: Some(at), .. }) if at == after(30.0)
    ));
}

/// A head that a lowered limit can never admit does not hold up the others until its deadline.
#[test]
fn head_that_a_lowered_limit_can_never_admit_is_rejected_at_once() {
    let mut fixture = Fixture::new(1, Limits::from(RateLimit::new(4, 1.0).ok()));
    let target = fixture.target;
    for ticket in 0..4 {
        fixture.grant(ticket);
    }
    let mut large = request(5);
    large.demand.requests = 3;
    fixture.wait(&large);
    fixture.wait(&request(6));
    fixture.wakes.clear();
    let now = after(1.0);
    fixture.admission.change(now, &mut fixture.wakes, |limiter| {
        limiter.set_target_limits(target, Limits::from(RateLimit::new(2, 1.0).ok()), now);
    });
    assert_eq!(fixture.wakes, [5, 6]);
    let unsatisfiable = Rejection::Unsatisfiable(Unsatisfiable::MoreThanCapacity { capacity: 2 });
    assert_eq!(fixture.poll(&large), AdmissionOutcome::Rejected(unsatisfiable));
}

/// `advance` is called late, or an arrival comes before it.
#[test]
fn arrival_serves_what_is_due() {
    let mut fixture = Fixture::new(1, Limits::from(RateLimit::new(3, 1.0).ok()));
    for ticket in 0..3 {
        fixture.grant(ticket);
    }
    let expired = AcquireRequest {
        deadline: after(5.0),
        ..request(4)
    };
    for request in [request(3), expired, request(5)] {
        fixture.wait(&request);
    }
    fixture.wakes.clear();
    fixture.now = after(60.0);
    assert_eq!(fixture.acquire(&request(6)), AdmissionOutcome::Wait);
    fixture.wakes.sort_unstable();
    assert_eq!(fixture.wakes, [3, 4, 5]);
}

#[test]
fn cancel_leaves_nothing_behind_in_any_state() {
    let mut fixture = Fixture::new(1, one_slot());
    let held = fixture.grant(0);
    let rejected = AcquireRequest {
        deadline: after(0.5),
        ..request(3)
    };
    for request in [request(1), request(2), rejected, request(4)] {
        fixture.wait(&request);
    }
    fixture.release(held);
    assert_eq!(fixture.run(after(1.5)), [(after(0.5), 3), (after(1.0), 2)]);
    // Now 1 has lost its grant, 2 has a grant, 3 is rejected, and 4 waits.
    fixture.wakes.clear();
    for request in [request(1), rejected, request(4), request(2)] {
        let (target, now) = (fixture.target, fixture.now);
        fixture
            .admission
            .cancel(target, &request, now, &mut fixture.wakes);
    }
    assert!(fixture.wakes.is_empty());
    assert!(fixture.admission.is_idle() && fixture.admission.uncollected.is_empty());
    assert!(fixture.admission.events.is_empty());
    assert_eq!(fixture.admission.limiter().in_flight(fixture.keys[0]), 0);
}

#[test]
fn collected_grants_leave_no_event() {
    let mut fixture = Fixture::new(1, per_second(1.0));
    fixture.grant(0);
    let waiting = AcquireRequest {
        deadline: after(60.0),
        ..request(1)
    };
    fixture.wait(&waiting);
    assert_eq!(fixture.run(after(1.0)), [(after(1.0), 1)]);
    assert!(!fixture.admission.is_idle(), "a grant waits for its owner");
    assert!(matches!(fixture.poll(&waiting), AdmissionOutcome::Granted(_)));
    assert!(fixture.admission.is_idle());
}

/// A request that becomes the head by its older ticket takes over, and the previous head has no retry of its own.
#[test]
fn older_request_takes_over_the_retry() {
    let mut fixture = Fixture::new(1, per_second(1.0));
    fixture.grant(0);
    fixture.wait(&request(5));
    fixture.wait(&request(3));
    assert_eq!(fixture.admission.events.len(), 1);
    assert_eq!(fixture.run(after(2.0)), [(after(1.0), 3), (after(2.0), 5)]);
}

fn lost(fixture: &mut Fixture, request: &AcquireRequest) -> Option<KeyAvailability> {
    match fixture.poll(request) {
        AdmissionOutcome::Rejected(Rejection::TooLate {
            why: WaitReason::KeysUnavailable(first),
            ..
        }) => Some(first),
        AdmissionOutcome::Wait => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn loss_of_the_last_key_rejects_all_that_do_not_wait_for_keys() {
    let mut fixture = Fixture::new(
        2,
        Limits {
            max_concurrency: Some(2),
            ..Limits::default()
        },
    );
    let grants = [fixture.grant(0), fixture.grant(1)];
    let hasty = |ticket| AcquireRequest {
        wait_for_keys: false,
        ..request(ticket)
    };
    let bound = AcquireRequest {
        constraint: KeyConstraint::Key(grants[0].key().unwrap()),
        ..hasty(5)
    };
    for request in [request(2), hasty(3), hasty(4), bound] {
        fixture.wait(&request);
    }
    let duration = Some(Duration::from_secs(30));
    let refuse = |fixture: &mut Fixture, grant: usize, reason| {
        fixture.wakes.clear();
        let (grant, now) = (&grants[grant], fixture.now);
        fixture.admission.change(now, &mut fixture.wakes, |limiter| {
            limiter.record_refusal(grant, reason, duration, now)
        });
        fixture.wakes.sort_unstable();
        std::mem::take(&mut fixture.wakes)
    };
    assert_eq!(refuse(&mut fixture, 0, CooldownReason::Invalid), [5]);
    assert_eq!(lost(&mut fixture, &hasty(3)), None);
    // A throttled key is usable.
    assert!(refuse(&mut fixture, 1, CooldownReason::Throttled).is_empty());
    assert_eq!(refuse(&mut fixture, 1, CooldownReason::NoQuota), [3, 4]);
    assert_eq!(lost(&mut fixture, &request(2)), None);
    for ticket in [3, 4] {
        let first = lost(&mut fixture, &hasty(ticket));
        assert_eq!(first, Some(KeyAvailability::Invalid(after(30.0))));
    }
    // The same on arrival.
    let rejected = fixture.acquire(&hasty(6));
    assert!(matches!(rejected, AdmissionOutcome::Rejected(_)), "{rejected:?}");
}

/// Returns a hasty request that waits until `deadline`.
fn hasty_until(ticket: u64, deadline: Timestamp) -> AcquireRequest {
    AcquireRequest {
        deadline,
        wait_for_keys: false,
        ..request(ticket)
    }
}

#[test]
fn named_end_of_missing_quota_rejects_only_the_deadlines_before_it() {
    let mut fixture = Fixture::new(2, one_slot());
    let grants = [fixture.grant(0)];
    let broke = fixture.keys[1];
    fixture.admission.change(NOW, &mut Vec::new(), |limiter| {
        limiter.set_cooldown(broke, CooldownReason::NoQuota, after(30.0), NOW);
    });
    let waiting = [
        request(1),
        hasty_until(2, after(60.0)),
        hasty_until(3, after(19.0)),
        hasty_until(4, after(40.0)),
    ];
    waiting.iter().for_each(|request| fixture.wait(request));
    fixture.wakes.clear();
    let named = Some(Duration::from_secs(20));
    let [mut grant] = grants;
    fixture.admission.change(NOW, &mut fixture.wakes, |limiter| {
        limiter.record_refusal(&grant, CooldownReason::NoQuotaUntil, named, NOW)
    });
    assert_eq!(fixture.wakes, [3]);
    let first = lost(&mut fixture, &waiting[2]);
    assert_eq!(first, Some(KeyAvailability::NoQuota(after(20.0))));
    fixture.admission.change(NOW, &mut fixture.wakes, |limiter| {
        limiter.release(&mut grant, true, NOW);
    });
    // The same on arrival.
    let late = fixture.acquire(&hasty_until(5, after(19.0)));
    let expected = Rejection::TooLate {
        ready_at: Some(after(20.0)),
        why: WaitReason::KeysUnavailable(KeyAvailability::NoQuota(after(20.0))),
    };
    assert_eq!(late, AdmissionOutcome::Rejected(expected));
    fixture.wait(&hasty_until(6, after(60.0)));
    assert_eq!(fixture.run(after(20.0)), [(after(20.0), 1)], "one probe");
    let AdmissionOutcome::Granted(probe) = fixture.poll(&waiting[0]) else {
        panic!("no probe")
    };
    // The refused probe leaves no key with a known end.
    let now = fixture.now;
    fixture.admission.change(now, &mut fixture.wakes, |limiter| {
        limiter.record_refusal(&probe, CooldownReason::NoQuota, None, now)
    });
    fixture.wakes.sort_unstable();
    assert_eq!(fixture.wakes, [2, 4, 6]);
}

/// Returns a fixture with a key that admits `burst` requests and then one in 100 s, and a key without quota that is
/// tested after 30 s.
fn limited_beside_a_lost_key(burst: u32, slots: u32) -> Fixture {
    let mut fixture = Fixture::new(0, Limits::default());
    let limited = KeyLimits {
        limits: RateLimit::new(burst, 0.01).ok().into(),
        ..KeyLimits::default()
    };
    fixture.target = fixture.admission.change(NOW, &mut Vec::new(), |limiter| {
        let keys = [limiter.add_key(limited), limiter.add_key(KeyLimits::default())];
        limiter.set_cooldown(keys[1], CooldownReason::NoQuota, after(30.0), NOW);
        limiter.add_target(&keys, max_slots(slots), NOW)
    });
    fixture
}

fn is_too_late(outcome: AdmissionOutcome, at: Timestamp) -> bool {
    let ready = Some(at);
    matches!(outcome, AdmissionOutcome::Rejected(Rejection::TooLate { ready_at, .. }) if ready_at == ready)
}

#[test]
fn key_at_a_limit_beyond_the_deadline_is_not_waited_for_beside_a_lost_key() {
    let mut fixture = limited_beside_a_lost_key(1, 1);
    let grant = fixture.grant(0);
    fixture.wait(&hasty_until(1, after(200.0)));
    let late = fixture.acquire(&hasty_until(2, after(60.0)));
    assert!(is_too_late(late, after(100.0)), "{late:?}");
    fixture.wakes.clear();
    fixture.release(grant);
    assert!(fixture.wakes.is_empty(), "{:?}", fixture.wakes);
    assert_eq!(
        fixture.run(after(30.0)),
        [(after(30.0), 1)],
        "the lost key is tested"
    );
}

#[test]
fn head_stops_waiting_when_the_request_before_it_takes_the_last_of_a_limit() {
    let mut fixture = limited_beside_a_lost_key(2, 1);
    fixture.grant(0);
    let (first, second) = (hasty_until(1, after(200.0)), hasty_until(2, after(60.0)));
    fixture.wait(&first);
    fixture.wait(&second);
    fixture.wakes.clear();
    let target = fixture.target;
    fixture.admission.change(NOW, &mut fixture.wakes, |limiter| {
        limiter.set_target_limits(target, max_slots(4), NOW);
    });
    assert_eq!(fixture.wakes, [1, 2]);
    assert!(matches!(fixture.poll(&first), AdmissionOutcome::Granted(_)));
    let late = fixture.poll(&second);
    assert!(is_too_late(late, after(100.0)), "{late:?}");
}

#[test]
fn disabled_last_key_rejects_the_waiters_behind_a_limit() {
    let mut fixture = Fixture::new(1, per_second(0.01));
    fixture.grant(0);
    let hasty = AcquireRequest {
        wait_for_keys: false,
        ..request(1)
    };
    fixture.wait(&hasty);
    fixture.wakes.clear();
    let key = fixture.keys[0];
    fixture.admission.change(NOW, &mut fixture.wakes, |limiter| {
        limiter.set_enabled(key, false, NOW);
    });
    assert_eq!(fixture.wakes, [1]);
    assert_eq!(lost(&mut fixture, &hasty), Some(KeyAvailability::Disabled));
}

#[test]
fn model_denial_rejects_only_the_waiters_for_the_model() {
    let mut fixture = Fixture::new(1, one_slot());
    let grant = fixture.grant(0);
    let keys = fixture.keys.clone();
    let other = fixture.admission.change(NOW, &mut Vec::new(), |limiter| {
        limiter.add_target(&keys, one_slot(), NOW)
    });
    let hasty = |ticket| AcquireRequest {
        wait_for_keys: false,
        ..request(ticket)
    };
    let mut wakes = Vec::new();
    for ticket in [1, 2] {
        let outcome = fixture
            .admission
            .acquire(other, &hasty(ticket), &ticket, NOW, &mut wakes);
        assert_eq!(matches!(outcome, AdmissionOutcome::Wait), ticket == 2);
    }
    fixture.wait(&hasty(3));
    fixture.wakes.clear();
    fixture.admission.change(NOW, &mut fixture.wakes, |limiter| {
        limiter.record_refusal(&grant, CooldownReason::Forbidden, None, NOW)
    });
    assert_eq!(fixture.wakes, [3]);
}

/// Two owners that poll 1.5 s after they are woken would hold the slot in turns.
#[test]
fn slow_owners_do_not_hold_the_slot_in_turns() {
    let mut fixture = Fixture::new(1, one_slot());
    let held = fixture.grant(0);
    (1..=3).for_each(|ticket| fixture.wait(&request(ticket)));
    fixture.release(held);
    assert_eq!(fixture.run(after(1.5)), [(after(1.0), 2)]);
    assert_eq!(fixture.poll(&request(1)), AdmissionOutcome::Wait);
    // The slot comes back to the first owner, who is only woken: the prompt owner has it at once.
    let prompt = fixture.run(after(2.0));
    assert_eq!(prompt, [(after(2.0), 1), (after(2.0), 3)]);
    let AdmissionOutcome::Granted(grant) = fixture.poll(&request(3)) else {
        panic!("the prompt owner was not served")
    };
    // An owner that polls in time is granted the next slot again.
    assert_eq!(fixture.poll(&request(1)), AdmissionOutcome::Wait);
    fixture.release(grant);
    assert!(matches!(fixture.poll(&request(1)), AdmissionOutcome::Granted(_)));
}
