use std::time::Duration;

use super::*;

const START: Timestamp = Timestamp::from_nanos(600_000_000_000);

#[test]
fn requests_without_refusals_are_not_delayed() {
    let mut observed = ObservedLimits {
        enabled: true,
        ..ObservedLimits::default()
    };
    for second in 0..100 {
        let now = START + Duration::from_secs(second);
        assert_eq!(observed.ready_at(now), now);
        observed.charge(now);
        observed.record_success(now, now);
    }
    assert_eq!(observed.per_minute(), None);
}
