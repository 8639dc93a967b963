//! What is foretold, against what anybody can count or look up.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool_core::forecast::{Arrivals, Burst, Forecast, Recorded, Traffic, forecast};
use llmpool_core::limits::key::KeyLimits;
use llmpool_core::limits::ledger::{Counts, Ledger, Limits, TargetId, WaitReason};
use llmpool_core::limits::quota::Quota;
use llmpool_core::time::Timestamp;
use proptest::prelude::*;

const START: Timestamp = Timestamp::from_nanos(5_000_000_000);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn traffic(arrivals: Arrivals, span: f64, latency: f64) -> Traffic {
    Traffic {
        arrivals,
        burst: None,
        span: seconds(span),
        latency: seconds(latency),
        prompt_tokens: 0,
        answer_tokens: 1,
        expected_answer: None,
        patience: seconds(1e6),
        seed: 7,
    }
}

fn keys(count: usize, limits: Limits) -> (Ledger, TargetId) {
    over(count, limits, Limits::default())
}

fn over(count: usize, limits: Limits, of_target: Limits) -> (Ledger, TargetId) {
    let mut ledger = Ledger::new();
    let limits = KeyLimits {
        limits,
        ..KeyLimits::default()
    };
    let keys: Vec<_> = (0..count).map(|_| ledger.add_key(limits)).collect();
    let target = ledger.add_target(&keys, of_target, START);
    (ledger, target)
}

fn run(of: (Ledger, TargetId), traffic: &Traffic) -> Forecast {
    forecast(of.0, of.1, traffic, START)
}

fn slots(most: u32) -> Limits {
    Limits {
        max_concurrency: Some(most),
        ..Limits::default()
    }
}

fn a_minute(requests: u32) -> Limits {
    Limits {
        minute: Some(Quota::per_minute(requests, 1).unwrap()),
        ..Limits::default()
    }
}

#[test]
fn a_single_slot_is_the_queue_of_the_textbooks() {
    // Poisson arrivals, one server, service of one second: the mean wait is rho / (2 (1 - rho)).
    for rho in [0.3, 0.6, 0.8] {
        let mut calls = traffic(Arrivals::Random { per_second: rho }, 150_000.0, 1.0);
        calls.patience = seconds(1e9);
        let told = run(keys(1, slots(1)), &calls);
        let mean = told.waits.iter().map(Duration::as_secs_f64).sum::<f64>() / told.waits.len() as f64;
        let expected = rho / (2.0 * (1.0 - rho));
        assert!(
            (mean / expected - 1.0).abs() < 0.05,
            "{mean} for {expected} at {rho}"
        );
    }
}

#[test]
fn l28_a_crowd_gets_what_four_keys_may() {
    let told = run(keys(4, a_minute(300)), &traffic(Arrivals::Callers(64), 60.0, 0.3));
    assert!((1190..=1204).contains(&told.answered), "{}", told.answered);
    // Each of 64 waits for the 60 or so before him, at 20 a second.
    let longest = told.wait(0.99).as_secs_f64();
    assert!((2.8..3.2).contains(&longest), "{longest}");
    assert!(
        told.keys.iter().all(|served| (298..=301).contains(served)),
        "{:?}",
        told.keys
    );
    assert_eq!(told.waited_for[0].0, WaitReason::KeyLimits(Counts::Requests));
}

#[test]
fn what_binds_is_named() {
    let rate = Limits::from(Some(Quota::new(1, 1.0).unwrap()));
    let tokens = Limits {
        tokens: Some(6000),
        ..Limits::default()
    };
    let even = Arrivals::Even { per_second: 2.0 };
    for (of, why) in [
        (over(4, slots(9), rate), WaitReason::Target(Counts::Requests)),
        (over(4, slots(9), slots(1)), WaitReason::TargetConcurrency),
        (over(1, slots(1), Limits::default()), WaitReason::Concurrency),
        (
            over(1, tokens, Limits::default()),
            WaitReason::KeyLimits(Counts::Tokens),
        ),
    ] {
        let mut calls = traffic(even.clone(), 200.0, 1.0);
        calls.prompt_tokens = 90;
        calls.answer_tokens = 10;
        calls.patience = seconds(20.0);
        let told = run(of, &calls);
        assert_eq!(told.waited_for[0].0, why);
        assert!(told.shed.too_late > 0 && told.shed.total() == told.shed.too_late);
    }
}

#[test]
fn what_is_recorded_comes_when_it_did_and_bursts_come_on_top() {
    let call = |at: f64, latency: f64, caller| Recorded {
        at: seconds(at),
        prompt_tokens: 0,
        answer_tokens: 1,
        latency: seconds(latency),
        caller,
    };
    let recorded = vec![call(2.0, 3.0, 1), call(0.0, 4.0, 1), call(1.0, 1.0, 2)];
    let told = run(
        keys(1, slots(1)),
        &traffic(Arrivals::Recorded(recorded.clone()), 3.0, 0.0),
    );
    assert_eq!(told.waits, [0.0, 3.0, 3.0].map(seconds));
    let mut calls = traffic(Arrivals::Recorded(recorded), 10.0, 1.0);
    calls.burst = Some(Burst {
        calls: 5,
        every: seconds(4.0),
    });
    let told = run(keys(1, slots(100)), &calls);
    assert_eq!((told.offered, told.served), (3 + 2 * 5, 13));
    assert_eq!(told.pieces.iter().map(|piece| piece.offered).max(), Some(5));
}

#[test]
fn a_request_that_no_limit_admits_is_turned_away_and_a_full_room_too() {
    let tokens = Limits {
        tokens: Some(50),
        ..Limits::default()
    };
    let mut calls = traffic(Arrivals::Even { per_second: 1.0 }, 10.0, 1.0);
    calls.prompt_tokens = 41;
    calls.expected_answer = Some(10);
    let told = run(keys(1, tokens), &calls);
    assert_eq!((told.shed.never, told.served), (10, 0));
    let mut calls = traffic(Arrivals::Callers(0), 10.0, 1e6);
    calls.burst = Some(Burst {
        calls: 10_100,
        every: seconds(6.0),
    });
    let told = run(keys(1, slots(1)), &calls);
    assert_eq!((told.shed.queue_full, told.offered), (99, 10_100));
}

proptest! {
    /// Whatever comes is answered or turned away; the same comes out the same; twice the keys are never worse.
    #[test]
    fn nobody_is_lost_and_keys_do_not_hurt(
        per_second in 0.2_f64..20.0,
        count in 1_usize..5,
        most in 1_u32..4,
        patience in prop_oneof![0.0..2.0, 10.0..1000.0],
        seed: u64,
    ) {
        let mut calls = traffic(Arrivals::Random { per_second }, 30.0, 0.5);
        calls.patience = seconds(patience);
        calls.seed = seed;
        let told = run(keys(count, slots(most)), &calls);
        prop_assert_eq!(told.served + told.shed.total(), told.offered);
        prop_assert_eq!(told.waits.len() as u64, told.served);
        prop_assert_eq!(&run(keys(count, slots(most)), &calls), &told);
        let more = run(keys(count * 2, slots(most)), &calls);
        prop_assert!(more.wait(0.99) <= told.wait(0.99) || more.served > told.served);
        prop_assert!(more.served >= told.served);
    }
}
