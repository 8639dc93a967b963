use std::time::Duration;

use super::super::key::KeyLimits;
use super::super::limits::Limits;
use super::*;

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

fn request(ticket: u64, constraint: KeyConstraint) -> AcquireRequest {
    AcquireRequest {
        ticket: Ticket(ticket),
        caller: Caller::default(),
        demand: Demand::ONE,
        constraint,
        deadline: NOW + Duration::from_secs(60),
    }
}

fn granted(answer: AdmissionOutcome) -> Grant {
    match answer {
        AdmissionOutcome::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

fn slots(most: u32) -> Limits {
    Limits {
        max_concurrency: Some(most),
        ..Limits::default()
    }
}

/// A slot of a target and one of a key come back together; a younger call of another target waits for the key already.
#[test]
fn a_line_that_waited_for_its_target_is_not_overtaken_on_a_key() {
    let mut admission: Admission<u64> = Admission::default();
    let limits = KeyLimits {
        limits: slots(1),
        ..KeyLimits::default()
    };
    let keys = [admission.limiter_mut().add_key(limits)];
    let narrow = admission.add_target(&keys, slots(1), NOW);
    let wide = admission.add_target(&keys, None, NOW);
    let mut told = Vec::new();
    let mut held =
        granted(admission.acquire(narrow, &request(0, KeyConstraint::Any), &0, NOW, &mut told));
    for (ticket, target, constraint) in [
        (1, narrow, KeyConstraint::Key(keys[0])),
        (2, narrow, KeyConstraint::Any),
        (3, wide, KeyConstraint::Any),
    ] {
        let answer = admission.acquire(target, &request(ticket, constraint), &ticket, NOW, &mut told);
        assert!(matches!(answer, AdmissionOutcome::Wait(_)), "{answer:?}");
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        told.clear();
        admission.release(&mut held, true, NOW, &mut told);
        let next = [
            (1, narrow, KeyConstraint::Key(keys[0])),
            (2, narrow, KeyConstraint::Any),
            (3, wide, KeyConstraint::Any),
        ];
        let mut next = next
            .into_iter()
            .filter(|(ticket, _, _)| admission.granted.keys().any(|(_, own)| own.0 == *ticket));
        let (ticket, target, constraint) = next.next().expect("somebody is next");
        order.push(ticket);
        held = granted(admission.poll(target, &request(ticket, constraint), &ticket, NOW, &mut told));
    }
    assert_eq!(order, [1, 2, 3]);
}

fn with_tokens(ticket: u64, tokens: u32) -> AcquireRequest {
    AcquireRequest {
        demand: Demand { requests: 1, tokens },
        deadline: NOW + Duration::from_secs(10),
        ..request(ticket, KeyConstraint::Any)
    }
}

fn ten_thousand_a_minute(of_key: bool) -> (Admission<u64>, TargetId) {
    let mut admission: Admission<u64> = Admission::default();
    let tokens = Limits {
        tpm: Some(10_000),
        ..Limits::default()
    };
    let (of_key, of_target) = if of_key {
        (tokens, Limits::default())
    } else {
        (Limits::default(), tokens)
    };
    let limits = KeyLimits {
        limits: of_key,
        ..KeyLimits::default()
    };
    let key = admission.limiter_mut().add_key(limits);
    let target = admission.add_target(&[key], of_target, NOW);
    (admission, target)
}

// L36
#[test]
fn nobody_is_turned_away_for_tokens_that_others_may_turn_out_not_to_use() {
    for of_key in [false, true] {
        let (mut admission, target) = ten_thousand_a_minute(of_key);
        let mut told = Vec::new();
        let mut held = Vec::new();
        for ticket in 0..20 {
            match admission.acquire(target, &with_tokens(ticket, 4096), &ticket, NOW, &mut told) {
                AdmissionOutcome::Granted(grant) => held.push(grant),
                AdmissionOutcome::Wait(_) => {}
                refused @ AdmissionOutcome::Refused(_) => panic!("{refused:?}"),
            }
        }
        assert_eq!(held.len(), 2);
        let mut next = 2;
        while let Some(mut grant) = held.pop() {
            admission.settle(&mut grant, 5, NOW, &mut told);
            admission.release(&mut grant, true, NOW, &mut told);
            while next < 20
                && let AdmissionOutcome::Granted(grant) =
                    admission.poll(target, &with_tokens(next, 4096), &next, NOW, &mut told)
            {
                held.push(grant);
                next += 1;
            }
        }
        assert_eq!(next, 20, "of key: {of_key}");
    }
}

// O14
#[test]
fn who_waits_for_tokens_that_were_used_after_all_is_told_at_once() {
    for of_key in [false, true] {
        let (mut admission, target) = ten_thousand_a_minute(of_key);
        let mut told = Vec::new();
        let first = with_tokens(0, 9000);
        let mut grant = granted(admission.acquire(target, &first, &0, NOW, &mut told));
        let second = with_tokens(1, 2000);
        let answer = admission.acquire(target, &second, &1, NOW, &mut told);
        assert!(matches!(answer, AdmissionOutcome::Wait(_)), "{answer:?}");
        admission.settle(&mut grant, 9000, NOW, &mut told);
        admission.release(&mut grant, true, NOW, &mut told);
        assert!(told.contains(&1), "of key: {of_key}");
        for answer in [
            admission.poll(target, &second, &1, NOW, &mut told),
            admission.acquire(target, &with_tokens(2, 2000), &2, NOW, &mut told),
        ] {
            let too_late = matches!(answer, AdmissionOutcome::Refused(Rejection::TooLate { ready_at: Some(at), .. })
                if at > NOW + Duration::from_secs(50));
            assert!(too_late, "of key: {of_key}: {answer:?}");
        }
    }
}
