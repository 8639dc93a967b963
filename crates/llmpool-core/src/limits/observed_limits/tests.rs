use super::super::limit_snapshot::LimitSnapshot;
use super::*;

impl ObservedLimits {
    fn enabled() -> Self {
        Self {
            enabled: true,
            ..Self::default()
        }
    }
}

const START: Timestamp = Timestamp::from_nanos(600_000_000_000);

fn snapshots(limit: u32, remaining: u32, reset: f64) -> LimitSnapshots {
    LimitSnapshots {
        requests: LimitSnapshot {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: Some(Duration::from_secs_f64(reset)),
        },
        ..LimitSnapshots::default()
    }
}

fn after(seconds: f64) -> Timestamp {
    START + Duration::from_secs_f64(seconds)
}

#[test]
fn used_up_window_is_waited_for() {
    let mut observed = ObservedLimits::enabled();
    observed.record_snapshots(&snapshots(60, 0, 20.0), 0, START);
    assert_eq!(observed.ready_at(Demand::ONE, START), after(20.0));
    assert_eq!(observed.ready_at(Demand::ONE, after(20.0)), after(20.0));
    observed.record_snapshots(&snapshots(60, 2, 20.0), 1, START);
    assert_eq!(
        observed.ready_at(Demand::ONE, START),
        after(20.0),
        "a late response returns nothing"
    );
    let mut observed = ObservedLimits::enabled();
    observed.record_snapshots(&snapshots(60, 2, 20.0), 1, START);
    assert_eq!(observed.ready_at(Demand::ONE, START), START);
    observed.charge(Demand::ONE, START);
    assert_eq!(
        observed.ready_at(Demand::ONE, START),
        after(20.0),
        "the other attempt in flight used the second one"
    );
}

#[test]
fn refilling_limit_is_waited_for_one_by_one() {
    let mut observed = ObservedLimits::enabled();
    observed.record_snapshots(&snapshots(60, 0, 60.0), 0, START);
    assert_eq!(observed.ready_at(Demand::ONE, START), after(1.0));
    observed.charge(Demand::ONE, after(1.0));
    assert_eq!(observed.ready_at(Demand::ONE, after(1.0)), after(2.0));
    assert_eq!(observed.per_minute().map(f64::round), Some(60.0));
}

#[test]
fn limit_without_new_snapshots_is_removed() {
    for first in [snapshots(60, 0, 60.0), snapshots(10, 2, 1.0)] {
        let mut observed = ObservedLimits::enabled();
        observed.record_snapshots(&first, 0, START);
        assert!(observed.is_paced());
        let mut now = START;
        while now < after(121.0) {
            now = observed
                .ready_at(Demand::ONE, now)
                .max(now + Duration::from_millis(10));
            observed.charge(Demand::ONE, now);
        }
        assert!(observed.bounds.is_none(), "{first:?}");
        assert_eq!(observed.ready_at(Demand::ONE, now), now);
    }
}

#[test]
fn limit_with_new_snapshots_stays() {
    let mut observed = ObservedLimits::enabled();
    for second in 0..600 {
        let now = after(f64::from(second));
        observed.record_snapshots(&snapshots(60, 0, 60.0), 0, now);
        assert_eq!(observed.ready_at(Demand::ONE, now), now + Duration::from_secs(1));
        observed.charge(Demand::ONE, now);
    }
}

#[test]
fn window_with_a_moving_end_is_not_waited_out() {
    let mut observed = ObservedLimits::enabled();
    for (at, remaining) in [(0.0, 40), (1.0, 38), (2.5, 36)] {
        observed.record_snapshots(&snapshots(60, remaining, 60.0), 0, after(at));
    }
    observed.record_snapshots(&snapshots(60, 0, 59.0), 0, after(5.0));
    assert_eq!(
        observed.ready_at(Demand::ONE, after(5.0)),
        after(6.0),
        "requests return one at a time"
    );
    let mut fixed = ObservedLimits::enabled();
    for (at, remaining) in [(0.0, 40), (1.0, 38), (2.5, 36), (5.0, 0)] {
        fixed.record_snapshots(&snapshots(60, remaining, 50.0 - at), 0, after(at));
    }
    assert_eq!(fixed.ready_at(Demand::ONE, after(5.0)), after(50.0));
}

#[test]
fn refusal_tightens_at_once_and_relaxes_slowly() {
    let mut observed = ObservedLimits::enabled();
    for at in 0..100 {
        observed.charge(Demand::ONE, after(f64::from(at) * 0.5));
    }
    observed.record_refusal(after(50.0));
    let tightened = observed.per_minute().unwrap();
    assert!((80.0..90.0).contains(&tightened), "{tightened}");
    let mut now = after(50.0);
    for _ in 0..tightened as usize * 3 {
        now = observed.ready_at(Demand::ONE, now);
        observed.charge(Demand::ONE, now);
    }
    let relaxed = observed.per_minute().unwrap() / tightened;
    assert!((1.05..1.16).contains(&relaxed), "{relaxed}");
    observed.record_refusal(now);
    assert!(observed.per_minute().unwrap() < tightened);
}

#[test]
fn window_of_seconds_is_spread_evenly() {
    let mut observed = ObservedLimits::enabled();
    observed.record_snapshots(&snapshots(5, 0, 0.9), 0, START);
    assert_eq!(
        observed.ready_at(Demand::ONE, START),
        after(0.2),
        "five per second"
    );
    observed.record_snapshots(&snapshots(5, 0, 1.8), 0, START);
    assert_eq!(
        observed.per_minute().map(f64::round),
        Some(167.0),
        "the window is longer than assumed"
    );
    observed.record_refusal(after(1.0));
    assert_eq!(
        observed.per_minute().map(f64::round),
        Some(83.0),
        "and longer still"
    );
    observed.record_snapshots(&snapshots(5, 0, 40.0), 0, after(2.0));
    assert_eq!(
        observed.ready_at(Demand::ONE, after(2.0)),
        after(42.0),
        "the end of a long window"
    );
}

#[test]
fn second_refusal_infers_the_rate_since_the_first() {
    let mut observed = ObservedLimits::enabled();
    let mut now = START;
    for _ in 0..2 {
        for _ in 0..10 {
            observed.charge(Demand::ONE, now);
        }
        observed.record_refusal(now);
        observed.record_refusal(now + Duration::from_millis(300));
        now = now + Duration::from_secs(2);
    }
    assert_eq!(observed.per_minute().map(f64::round), Some(300.0));
}

#[test]
fn disabled_observation_records_nothing() {
    let mut observed = ObservedLimits::default();
    observed.record_snapshots(&snapshots(60, 0, 20.0), 0, START);
    observed.record_refusal(START);
    assert_eq!(
        (observed.ready_at(Demand::ONE, START), observed.per_minute()),
        (START, None)
    );
}
