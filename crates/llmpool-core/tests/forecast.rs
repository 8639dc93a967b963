//! What is foretold, against what anybody can count or look up.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool_core::forecast::{
    Arrivals, Burst, Forecast, LogNormal, ModelSetup, Recorded, TooManyCalls, Traffic, forecast,
};
use llmpool_core::limits::key::KeyLimits;
use llmpool_core::limits::limiter::{Limiter, TargetId, WaitReason};
use llmpool_core::limits::rate_limit::RateLimit;
use llmpool_core::limits::{LimitKind, Limits};
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
        latency: LogNormal::fixed(latency),
        prompt_tokens: 0.into(),
        answer_tokens: 1.into(),
        expected_answer: None,
        patience: seconds(1e6),
        seed: 7,
    }
}

fn keys(count: usize, limits: Limits) -> (Limiter, TargetId) {
    over(count, limits, Limits::default())
}

fn over(count: usize, limits: Limits, of_target: Limits) -> (Limiter, TargetId) {
    let mut ledger = Limiter::new();
    let limits = KeyLimits {
        limits,
        ..KeyLimits::default()
    };
    let keys: Vec<_> = (0..count).map(|_| ledger.add_key(limits)).collect();
    let target = ledger.add_target(&keys, of_target, START);
    (ledger, target)
}

fn model(ledger: usize, target: TargetId) -> ModelSetup {
    ModelSetup {
        limiter: ledger,
        target,
        share: 1.0,
        expected_answer: None,
    }
}

fn run(of: (Limiter, TargetId), traffic: &Traffic) -> Forecast {
    let models = [model(0, of.1)];
    let told = forecast(vec![of.0], &models, traffic, START).unwrap();
    told.into_iter().next().unwrap()
}

fn slots(most: u32) -> Limits {
    Limits {
        max_concurrency: Some(most),
        ..Limits::default()
    }
}

fn a_minute(requests: u32) -> Limits {
    Limits {
        rpm: Some(requests),
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

// L28
#[test]
fn a_crowd_gets_what_four_keys_may() {
    let told = run(keys(4, a_minute(300)), &traffic(Arrivals::Callers(64), 60.0, 0.3));
    assert!((1190..=1204).contains(&told.answered), "{}", told.answered);
    // Each of 64 waits for the 60 or so before him, at 20 a second.
    let longest = told.wait(0.99).as_secs_f64();
    assert!((2.8..3.2).contains(&longest), "{longest}");
    assert!(
        told.keys.iter().all(|key| (298..=301).contains(&key.calls)),
        "{:?}",
        told.keys
    );
    assert_eq!(told.waited_for[0].0, WaitReason::KeyLimits(LimitKind::Requests));
}

#[test]
fn what_binds_is_named() {
    let rate = Limits::from(Some(RateLimit::new(1, 1.0).unwrap()));
    let tokens = Limits {
        tpm: Some(6000),
        ..Limits::default()
    };
    let even = Arrivals::Even { per_second: 2.0 };
    for (of, why) in [
        (over(4, slots(9), rate), WaitReason::Target(LimitKind::Requests)),
        (over(4, slots(9), slots(1)), WaitReason::TargetConcurrency),
        (over(1, slots(1), Limits::default()), WaitReason::Concurrency),
        (
            over(1, tokens, Limits::default()),
            WaitReason::KeyLimits(LimitKind::Tokens),
        ),
    ] {
        let mut calls = traffic(even.clone(), 200.0, 1.0);
        calls.prompt_tokens = 90.into();
        calls.answer_tokens = 10.into();
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
        latency: Some(seconds(latency)),
        caller,
        ..Recorded::default()
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

/// The model has a burst of fifty, its key five slots: the crowd first waits for slots, and then for the rate.
#[test]
fn what_binds_is_what_binds_while_they_wait() {
    let rate = Limits::from(Some(RateLimit::new(50, 0.5).unwrap()));
    let mut calls = traffic(Arrivals::Callers(0), 150.0, 1.0);
    calls.burst = Some(Burst {
        calls: 60,
        every: seconds(100.0),
    });
    let told = run(over(1, slots(5), rate), &calls);
    // 55 wait for the first second, 50 for the next, and after ten of them the last five for the rate, two seconds each.
    let slots = (2..=11).map(|five| 5 * five).sum::<u64>();
    assert_eq!(
        told.waited_for,
        [
            (WaitReason::Concurrency, Duration::from_secs(slots)),
            (
                WaitReason::Target(LimitKind::Requests),
                Duration::from_secs(2 + 4 + 6 + 8 + 10)
            ),
        ]
    );
    assert_eq!(told.binding_limit(), Some(WaitReason::Concurrency));
}

#[test]
fn what_turned_calls_away_binds_where_nobody_waits() {
    let mut calls = traffic(Arrivals::Even { per_second: 10.0 }, 60.0, 1.0);
    calls.patience = Duration::ZERO;
    let told = run(keys(1, a_minute(60)), &calls);
    assert!(
        told.waited_for.is_empty() && told.shed.too_late > 500,
        "{:?}",
        told.shed
    );
    let why = WaitReason::KeyLimits(LimitKind::Requests);
    assert_eq!(told.turned_away_for, [(why, told.shed.too_late)]);
    assert_eq!(told.binding_limit(), Some(why));
}

#[test]
fn models_of_one_ledger_share_its_keys() {
    let (mut ledger, first) = keys(2, a_minute(60));
    let second = ledger.add_target(&ledger.key_ids(), slots(9), START);
    let models = [
        model(0, first),
        ModelSetup {
            share: 3.0,
            ..model(0, second)
        },
    ];
    let calls = traffic(Arrivals::Random { per_second: 20.0 }, 120.0, 1.0);
    let told = forecast(vec![ledger], &models, &calls, START).unwrap();
    let [one, three] = [told[0].offered as f64, told[1].offered as f64];
    assert!((three / one - 3.0).abs() < 0.4, "{one} and {three}");
    assert_eq!(told[0].keys, told[1].keys, "a key is one key");
    let picked: u64 = told[0].keys.iter().map(|key| key.calls).sum();
    assert_eq!(picked, told[0].answered + told[1].answered);
    assert!((238..=242).contains(&picked), "{picked}");
    let used = told[0].keys[0].most_used.unwrap();
    assert_eq!(used.limit, WaitReason::KeyLimits(LimitKind::Requests));
    assert!((0.98..=1.0).contains(&used.share), "{used:?}");
    assert_eq!(told[0].own, None);
    assert_eq!(told[1].own.unwrap().limit, WaitReason::TargetConcurrency);
}

// L07
#[test]
fn keys_of_one_account_use_its_limit_together() {
    let (mut ledger, target) = keys(3, Limits::default());
    ledger.join_keys(&ledger.key_ids(), a_minute(120), true, START);
    ledger.set_target_limits(target, Limits::default(), START);
    let told = run(
        (ledger, target),
        &traffic(Arrivals::Even { per_second: 1.0 }, 120.0, 1.0),
    );
    assert_eq!(told.keys.iter().map(|key| key.calls).sum::<u64>(), 120);
    for key in &told.keys {
        let used = key.most_used.unwrap();
        assert!((used.share - 0.5).abs() < 0.01, "{used:?}");
    }
}

#[test]
fn answers_differ_in_length_and_time_as_they_are_said_to() {
    let mut calls = traffic(Arrivals::Even { per_second: 10.0 }, 1000.0, 1.0);
    calls.latency = LogNormal::tailed(2.0, 6.0).unwrap();
    calls.answer_tokens = LogNormal::tailed(300.0, 900.0).unwrap();
    calls.prompt_tokens = 100.into();
    let told = run(keys(1, slots(1000)), &calls);
    let tokens = told.tokens as f64 / told.answered as f64;
    assert!((tokens / 400.0 - 1.0).abs() < 0.05, "{tokens}");
    // Twenty are under way at once on average.
    let busy = told.keys[0].most_used.unwrap().share * 1000.0;
    assert!((busy / 20.0 - 1.0).abs() < 0.05, "{busy}");
}

#[test]
fn calls_without_end_are_refused_and_not_counted_for_ever() {
    let callers = traffic(Arrivals::Callers(1000), 1e9, 0.001);
    let (ledger, target) = keys(1, Limits::default());
    let told = forecast(vec![ledger], &[model(0, target)], &callers, START);
    assert_eq!(told, Err(TooManyCalls));
}

#[test]
fn a_request_that_no_limit_admits_is_turned_away_and_a_full_room_too() {
    let tokens = Limits {
        tpm: Some(50),
        ..Limits::default()
    };
    let mut calls = traffic(Arrivals::Even { per_second: 1.0 }, 10.0, 1.0);
    calls.prompt_tokens = 41.into();
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
    /// What is let through in any minute is no more than the keys may have, and no more than the model may.
    #[test]
    fn no_minute_has_more_than_its_limit(
        per_second in 0.5_f64..8.0,
        count in 1_usize..4,
        rpm in 1_u32..90,
        own in 1_u32..180,
        crowd in 1_u32..300,
        seed: u64,
    ) {
        let mut calls = traffic(Arrivals::Random { per_second }, 240.0, 0.5);
        calls.burst = Some(Burst { calls: crowd, every: seconds(70.0) });
        calls.patience = seconds(30.0);
        calls.seed = seed;
        let told = run(over(count, a_minute(rpm), a_minute(own)), &calls);
        prop_assert_eq!(told.pieces.len(), 240, "a second each");
        let most = u64::from(own).min(count as u64 * u64::from(rpm));
        for minute in told.pieces.windows(60) {
            let served: u64 = minute.iter().map(|piece| piece.served).sum();
            prop_assert!(served <= most, "{} of {}", served, most);
        }
    }

    /// While nobody gives up, what calls waited is what they waited for something.
    #[test]
    fn every_wait_is_for_something(per_second in 0.5_f64..4.0, rpm in 30_u32..200, most in 1_u32..4, seed: u64) {
        let mut calls = traffic(Arrivals::Random { per_second }, 60.0, 0.7);
        calls.seed = seed;
        let told = run(over(2, slots(most), a_minute(rpm)), &calls);
        prop_assert_eq!(told.shed.total(), 0);
        let waits: Duration = told.waits.iter().sum();
        let reasons: Duration = told.waited_for.iter().map(|(_, waited)| *waited).sum();
        prop_assert_eq!(waits, reasons);
    }

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
