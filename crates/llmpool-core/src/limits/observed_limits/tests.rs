use std::time::Duration;

use super::*;

const START: Timestamp = Timestamp::from_nanos(600_000_000_000);

fn at(millis: u64) -> Timestamp {
    START + Duration::from_millis(millis)
}

fn enabled() -> ObservedLimits {
    ObservedLimits {
        enabled: true,
        ..ObservedLimits::default()
    }
}

fn refuse(observed: &mut ObservedLimits, infers: bool, millis: u64) -> Option<SavedPace> {
    observed.charge(at(millis));
    observed.record_refusal(at(millis), RefusalWait::Unknown, infers, at(millis))
}

#[test]
fn requests_without_refusals_are_not_delayed() {
    let mut observed = enabled();
    for second in 0..100 {
        let now = START + Duration::from_secs(second);
        assert_eq!(observed.obstacle(now), None);
        observed.charge(now);
        assert!(!observed.record_success(now, now));
    }
    assert_eq!(observed.per_minute(), None);
    assert_eq!(observed.paused_until(at(0)), None);
    assert!(!observed.is_probing(at(0)));
}

#[test]
fn pace_is_inferred_only_if_enabled_and_certain() {
    for (enabled, infers) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut observed = ObservedLimits {
            enabled,
            ..ObservedLimits::default()
        };
        // A pause, after which requests are counted in any case.
        refuse(&mut observed, false, 0);
        for millis in (2_000..12_000).step_by(100) {
            observed.charge(at(millis));
            observed.record_success(at(millis), at(millis));
        }
        assert!(refuse(&mut observed, infers, 12_000).is_some());
        assert_eq!(observed.per_minute().is_some(), enabled && infers);
        assert!(observed.paused_until(at(12_000)).is_some());
    }
}

#[test]
fn disabled_limits_store_nothing_without_a_refusal() {
    let mut observed = ObservedLimits::default();
    observed.charge(at(0));
    observed.refund(at(0));
    observed.record_failure(at(0), at(0));
    assert!(!observed.record_success(at(0), at(0)));
    assert!(observed.obstacle(at(0)).is_none() && !observed.await_probe(at(0), at(0)));
    assert!(observed.pace.is_none());
    let mut observed = enabled();
    observed.charge(at(0));
    assert!(observed.pace.is_some());
}

#[test]
fn pace_is_reported_per_minute_and_delays_requests() {
    let mut observed = enabled();
    for millis in (0..10_000).step_by(100) {
        observed.charge(at(millis));
    }
    refuse(&mut observed, true, 10_000);
    assert_eq!(observed.per_minute(), Some(600.0));
    assert_eq!(observed.paused_until(at(10_000)), Some(at(10_100)));
    observed.charge(at(10_100));
    assert!(
        observed.is_probing(at(10_100))
            && observed
                .obstacle(at(10_100))
                .is_some_and(|obstacle| obstacle.may_end_early)
    );
    assert!(observed.await_probe(at(10_100), at(15_000)));
    assert_eq!(observed.paused_until(at(10_100)), Some(at(15_000)));
    observed.refund(at(10_100));
    assert!(!observed.is_probing(at(10_100)));
    observed.charge(at(10_100));
    observed.record_failure(at(10_100), at(10_110));
    assert_eq!(observed.paused_until(at(10_110)), Some(at(10_210)));
    observed.charge(at(10_210));
    assert!(observed.record_success(at(10_210), at(10_220)));
    assert_eq!(observed.paused_until(at(10_220)), None);
    observed.charge(at(10_220));
    observed.charge(at(10_220));
    assert!(observed.obstacle(at(10_220)).is_some());
    observed.reset();
    assert_eq!(observed.obstacle(at(10_220)), None);
    assert_eq!(observed.per_minute(), None);
}

#[test]
fn restore_and_pause_until_reach_the_pace() {
    let mut observed = ObservedLimits::default();
    observed.charge(at(0));
    let wait = RefusalWait::Provisional(None);
    let saved = observed.record_refusal(at(0), wait, true, at(0)).unwrap();
    assert_eq!(observed.paused_until(at(0)), Some(at(1_000)));
    observed.restore(saved);
    assert_eq!(observed.paused_until(at(0)), None);
    observed.pause_until(at(5_000), at(0));
    assert_eq!(observed.paused_until(at(0)), Some(at(5_000)));
}
