//! Forecasts compared with results that can be calculated or looked up.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use llmpool_core::forecast::{
    Arrivals, Burst, Forecast, LogNormal, ModelSetup, RecordedCall, TooManyCalls, Traffic, forecast,
};
use llmpool_core::limits::{KeyLimits, LimitKind, Limiter, Limits, RateLimit, TargetId, WaitReason};
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
        output_tokens: 1.into(),
        expected_output: None,
        patience: seconds(1e6),
        seed: 7,
    }
}

fn limiter_with_keys(count: usize, limits: Limits) -> (Limiter, TargetId) {
    limiter_with(count, limits, Limits::default())
}

fn limiter_with(count: usize, limits: Limits, target_limits: Limits) -> (Limiter, TargetId) {
    let mut limiter = Limiter::new();
    let limits = KeyLimits {
        limits,
        ..KeyLimits::default()
    };
    let keys: Vec<_> = (0..count).map(|_| limiter.add_key(limits)).collect();
    let target = limiter.add_target(&keys, target_limits, START);
    (limiter, target)
}

fn model(limiter: usize, target: TargetId) -> ModelSetup {
    ModelSetup {
        limiter,
        target,
        share: 1.0,
        expected_output: None,
    }
}

fn simulate((limiter, target): (Limiter, TargetId), traffic: &Traffic) -> Forecast {
    let models = [model(0, target)];
    let forecasts = forecast(vec![limiter], &models, traffic, START).unwrap();
    forecasts.into_iter().next().unwrap()
}

fn slots(count: u32) -> Limits {
    Limits {
        max_concurrency: Some(count),
        ..Limits::default()
    }
}

fn per_minute(requests: u32) -> Limits {
    Limits {
        rpm: Some(requests),
        ..Limits::default()
    }
}

#[test]
fn single_slot_behaves_like_an_m_d_1_queue() {
    // Poisson arrivals, one server, service of one second: the mean wait is rho / (2 (1 - rho)).
    for rho in [0.3, 0.6, 0.8] {
        let mut calls = traffic(Arrivals::Random { per_second: rho }, 150_000.0, 1.0);
        calls.patience = seconds(1e9);
        let forecast = simulate(limiter_with_keys(1, slots(1)), &calls);
        let mean =
            forecast.waits.iter().map(Duration::as_secs_f64).sum::<f64>() / forecast.waits.len() as f64;
        let expected = rho / (2.0 * (1.0 - rho));
        assert!(
            (mean / expected - 1.0).abs() < 0.05,
            "{mean} for {expected} at {rho}"
        );
    }
}

// L28
#[test]
fn closed_loop_uses_the_limits_of_all_keys() {
    let forecast = simulate(
        limiter_with_keys(4, per_minute(300)),
        &traffic(Arrivals::Callers(64), 60.0, 0.3),
    );
    assert!(
        (1190..=1204).contains(&forecast.answered),
        "{}",
        forecast.answered
    );
    // Each of the 64 callers waits for about 60 calls ahead of it, at 20 per second.
    let usual = forecast.wait_quantile(0.5).as_secs_f64();
    assert!((2.8..3.2).contains(&usual), "{usual}");
    // The first 60 calls are a burst, so the last ones wait for the end of the minute in addition.
    let longest = forecast.wait_quantile(1.0).as_secs_f64();
    assert!((6.0..6.6).contains(&longest), "{longest}");
    assert!(
        forecast.keys.iter().all(|key| (298..=301).contains(&key.calls)),
        "{:?}",
        forecast.keys
    );
    assert_eq!(
        forecast.wait_reasons[0].0,
        WaitReason::KeyLimits(LimitKind::Requests)
    );
}

#[test]
fn binding_limit_is_reported() {
    let rate = Limits::from(Some(RateLimit::new(1, 1.0).unwrap()));
    let tokens = Limits {
        tpm: Some(6000),
        ..Limits::default()
    };
    let even = Arrivals::Even { per_second: 2.0 };
    for (setup, why) in [
        (
            limiter_with(4, slots(9), rate),
            WaitReason::Target(LimitKind::Requests),
        ),
        (limiter_with(4, slots(9), slots(1)), WaitReason::TargetConcurrency),
        (
            limiter_with(1, slots(1), Limits::default()),
            WaitReason::KeyConcurrency,
        ),
        (
            limiter_with(1, tokens, Limits::default()),
            WaitReason::KeyLimits(LimitKind::Tokens),
        ),
    ] {
        let mut calls = traffic(even.clone(), 200.0, 1.0);
        calls.prompt_tokens = 90.into();
        calls.output_tokens = 10.into();
        calls.patience = seconds(20.0);
        let forecast = simulate(setup, &calls);
        assert_eq!(forecast.wait_reasons[0].0, why);
        assert!(forecast.rejected.too_late > 0 && forecast.rejected.total() == forecast.rejected.too_late);
    }
}

#[test]
fn recorded_calls_keep_their_times_and_bursts_are_added() {
    let call = |at: f64, latency: f64, caller| RecordedCall {
        at: seconds(at),
        latency: Some(seconds(latency)),
        caller,
        ..RecordedCall::default()
    };
    let recorded = vec![call(2.0, 3.0, 1), call(0.0, 4.0, 1), call(1.0, 1.0, 2)];
    let forecast = simulate(
        limiter_with_keys(1, slots(1)),
        &traffic(Arrivals::Recorded(recorded.clone()), 3.0, 0.0),
    );
    assert_eq!(forecast.waits, [0.0, 3.0, 3.0].map(seconds));
    let mut calls = traffic(Arrivals::Recorded(recorded), 10.0, 1.0);
    calls.burst = Some(Burst {
        calls: 5,
        every: seconds(4.0),
    });
    let forecast = simulate(limiter_with_keys(1, slots(100)), &calls);
    assert_eq!((forecast.offered, forecast.admitted), (3 + 2 * 5, 13));
    assert_eq!(forecast.bins.iter().map(|bin| bin.offered).max(), Some(5));
}

/// The model's rate limit has a capacity of 50, its key has five slots: a burst first waits for slots, then for the rate.
#[test]
fn wait_reason_follows_the_currently_binding_limit() {
    let rate = Limits::from(Some(RateLimit::new(50, 0.5).unwrap()));
    let mut calls = traffic(Arrivals::Callers(0), 150.0, 1.0);
    calls.burst = Some(Burst {
        calls: 60,
        every: seconds(100.0),
    });
    let forecast = simulate(limiter_with(1, slots(5), rate), &calls);
    // 55 calls wait during the first second, 50 during the next, and so on for ten seconds; the last five wait for the rate, two seconds each.
    let slots = (2..=11).map(|five| 5 * five).sum::<u64>();
    assert_eq!(
        forecast.wait_reasons,
        [
            (WaitReason::KeyConcurrency, Duration::from_secs(slots)),
            (
                WaitReason::Target(LimitKind::Requests),
                Duration::from_secs(2 + 4 + 6 + 8 + 10)
            ),
        ]
    );
    assert_eq!(forecast.binding_limit(), Some(WaitReason::KeyConcurrency));
}

#[test]
fn rejection_reason_binds_if_no_call_waits() {
    let mut calls = traffic(Arrivals::Even { per_second: 10.0 }, 60.0, 1.0);
    calls.patience = Duration::ZERO;
    let forecast = simulate(limiter_with_keys(1, per_minute(60)), &calls);
    assert!(
        forecast.wait_reasons.is_empty() && forecast.rejected.too_late > 500,
        "{:?}",
        forecast.rejected
    );
    let why = WaitReason::KeyLimits(LimitKind::Requests);
    assert_eq!(forecast.rejection_reasons, [(why, forecast.rejected.too_late)]);
    assert_eq!(forecast.binding_limit(), Some(why));
}

#[test]
fn models_of_one_limiter_share_its_keys() {
    let (mut limiter, first) = limiter_with_keys(2, per_minute(60));
    let second = limiter.add_target(&limiter.key_ids(), slots(9), START);
    let models = [
        model(0, first),
        ModelSetup {
            share: 3.0,
            ..model(0, second)
        },
    ];
    let calls = traffic(Arrivals::Random { per_second: 20.0 }, 120.0, 1.0);
    let forecasts = forecast(vec![limiter], &models, &calls, START).unwrap();
    let [first_offered, second_offered] = [forecasts[0].offered as f64, forecasts[1].offered as f64];
    assert!(
        (second_offered / first_offered - 3.0).abs() < 0.4,
        "{first_offered} and {second_offered}"
    );
    assert_eq!(
        forecasts[0].keys, forecasts[1].keys,
        "both models report the same keys"
    );
    let admitted: u64 = forecasts[0].keys.iter().map(|key| key.calls).sum();
    assert_eq!(admitted, forecasts[0].answered + forecasts[1].answered);
    assert!((238..=242).contains(&admitted), "{admitted}");
    let used = forecasts[0].keys[0].most_used.unwrap();
    assert_eq!(used.limit, WaitReason::KeyLimits(LimitKind::Requests));
    assert!((0.98..=1.0).contains(&used.share), "{used:?}");
    assert_eq!(forecasts[0].model_limit, None);
    assert_eq!(
        forecasts[1].model_limit.unwrap().limit,
        WaitReason::TargetConcurrency
    );
}

// L07
#[test]
fn keys_of_one_account_share_its_limit() {
    let mut limiter = Limiter::new();
    let group = limiter.add_group(per_minute(120), true);
    let keys = [0; 3].map(|_| limiter.add_key_to_group(group, KeyLimits::default()));
    let target = limiter.add_target(&keys, Limits::default(), START);
    let forecast = simulate(
        (limiter, target),
        &traffic(Arrivals::Even { per_second: 1.0 }, 120.0, 1.0),
    );
    assert_eq!(forecast.keys.iter().map(|key| key.calls).sum::<u64>(), 120);
    for key in &forecast.keys {
        let used = key.most_used.unwrap();
        assert!((used.share - 0.5).abs() < 0.01, "{used:?}");
    }
}

#[test]
fn latency_and_output_follow_their_distributions() {
    let mut calls = traffic(Arrivals::Even { per_second: 10.0 }, 1000.0, 1.0);
    calls.latency = LogNormal::with_p95(2.0, 6.0).unwrap();
    calls.output_tokens = LogNormal::with_p95(300.0, 900.0).unwrap();
    calls.prompt_tokens = 100.into();
    let forecast = simulate(limiter_with_keys(1, slots(1000)), &calls);
    let tokens = forecast.tokens as f64 / forecast.answered as f64;
    assert!((tokens / 400.0 - 1.0).abs() < 0.05, "{tokens}");
    // On average 20 calls are active at the same time.
    let busy = forecast.keys[0].most_used.unwrap().share * 1000.0;
    assert!((busy / 20.0 - 1.0).abs() < 0.05, "{busy}");
}

#[test]
fn unbounded_closed_loop_is_rejected() {
    let callers = traffic(Arrivals::Callers(1000), 1e9, 0.001);
    let (limiter, target) = limiter_with_keys(1, Limits::default());
    let forecasts = forecast(vec![limiter], &[model(0, target)], &callers, START);
    assert_eq!(forecasts, Err(TooManyCalls));
}

#[test]
fn unsatisfiable_and_queue_full_calls_are_rejected() {
    let tokens = Limits {
        tpm: Some(50),
        ..Limits::default()
    };
    let mut calls = traffic(Arrivals::Even { per_second: 1.0 }, 10.0, 1.0);
    calls.prompt_tokens = 41.into();
    calls.expected_output = Some(10);
    let forecast = simulate(limiter_with_keys(1, tokens), &calls);
    assert_eq!((forecast.rejected.unsatisfiable, forecast.admitted), (10, 0));
    let mut calls = traffic(Arrivals::Callers(0), 10.0, 1e6);
    calls.burst = Some(Burst {
        calls: 10_100,
        every: seconds(6.0),
    });
    let forecast = simulate(limiter_with_keys(1, slots(1)), &calls);
    assert_eq!((forecast.rejected.queue_full, forecast.offered), (99, 10_100));
}

proptest! {
    /// The calls admitted in any minute exceed neither the limits of the keys nor that of the model.
    #[test]
    fn no_minute_exceeds_the_limits(
        per_second in 0.5_f64..8.0,
        count in 1_usize..4,
        rpm in 1_u32..90,
        own in 1_u32..180,
        burst_size in 1_u32..300,
        seed: u64,
    ) {
        let mut calls = traffic(Arrivals::Random { per_second }, 240.0, 0.5);
        calls.burst = Some(Burst { calls: burst_size, every: seconds(70.0) });
        calls.patience = seconds(30.0);
        calls.seed = seed;
        let forecast = simulate(limiter_with(count, per_minute(rpm), per_minute(own)), &calls);
        prop_assert_eq!(forecast.bins.len(), 240, "one bin per second");
        let max = u64::from(own).min(count as u64 * u64::from(rpm));
        for minute in forecast.bins.windows(60) {
            let admitted: u64 = minute.iter().map(|bin| bin.admitted).sum();
            prop_assert!(admitted <= max, "{} of {}", admitted, max);
        }
    }

    /// If no call gives up, the waits of the calls add up to the waits by reason.
    #[test]
    fn waits_equal_the_sum_of_wait_reasons(per_second in 0.5_f64..4.0, rpm in 30_u32..200, slot_count in 1_u32..4, seed: u64) {
        let mut calls = traffic(Arrivals::Random { per_second }, 60.0, 0.7);
        calls.seed = seed;
        let forecast = simulate(limiter_with(2, slots(slot_count), per_minute(rpm)), &calls);
        prop_assert_eq!(forecast.rejected.total(), 0);
        let waits: Duration = forecast.waits.iter().sum();
        let reasons: Duration = forecast.wait_reasons.iter().map(|(_, waited)| *waited).sum();
        prop_assert_eq!(waits, reasons);
    }

    /// Every call is admitted or rejected, the forecast is deterministic, and twice the keys are never worse.
    #[test]
    fn every_call_is_counted_and_more_keys_never_hurt(
        per_second in 0.2_f64..20.0,
        count in 1_usize..5,
        slot_count in 1_u32..4,
        patience in prop_oneof![0.0..2.0, 10.0..1000.0],
        seed: u64,
    ) {
        let mut calls = traffic(Arrivals::Random { per_second }, 30.0, 0.5);
        calls.patience = seconds(patience);
        calls.seed = seed;
        let forecast = simulate(limiter_with_keys(count, slots(slot_count)), &calls);
        prop_assert_eq!(forecast.admitted + forecast.rejected.total(), forecast.offered);
        prop_assert_eq!(forecast.waits.len() as u64, forecast.admitted);
        prop_assert_eq!(&simulate(limiter_with_keys(count, slots(slot_count)), &calls), &forecast);
        let more = simulate(limiter_with_keys(count * 2, slots(slot_count)), &calls);
        prop_assert!(more.wait_quantile(0.99) <= forecast.wait_quantile(0.99) || more.admitted > forecast.admitted);
        prop_assert!(more.admitted >= forecast.admitted);
    }
}
