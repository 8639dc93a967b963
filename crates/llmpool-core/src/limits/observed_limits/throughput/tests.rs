use super::*;

const START: Timestamp = Timestamp::from_nanos(600_000_000_000);

fn at(millis: u64) -> Timestamp {
    START + Duration::from_millis(millis)
}

fn counted(sent: &[u64]) -> Throughput {
    let mut throughput = Throughput::default();
    for millis in sent {
        throughput.add(at(*millis));
    }
    throughput
}

fn count(throughput: &Throughput, seconds: u64, millis: u64) -> u32 {
    throughput.in_last(Duration::from_secs(seconds), at(millis)).0
}

#[test]
fn throughput_counts_by_whole_seconds() {
    let throughput = counted(&[0, 400, 999, 1_000, 2_500]);
    let cases = [
        (1, 2_500, 1),
        (2, 2_500, 2),
        (3, 2_500, 5),
        (60, 2_500, 5),
        (3, 3_000, 2),
        (2, 4_000, 0),
        (60, 59_999, 5),
        (60, 60_000, 2),
        (60, 61_000, 1),
        (60, 62_000, 0),
        (60, 10_000_000, 0),
    ];
    for (seconds, millis, expected) in cases {
        assert_eq!(
            count(&throughput, seconds, millis),
            expected,
            "{seconds} s at {millis}"
        );
    }
}

#[test]
fn throughput_divides_by_the_active_time() {
    // (span in seconds, time, number per second)
    let cases = [
        (20, 300, 4.0),
        (20, 1_000, 4.0),
        (20, 2_500, 4.0 / 2.5),
        (20, 19_999, 4.0 / 19.999),
        (20, 20_000, 0.0),
        (60, 30_000, 4.0 / 30.0),
        (60, 90_000, 0.0),
    ];
    for (seconds, millis, expected) in cases {
        let throughput = counted(&[0, 100, 200, 300]);
        let (_, rate) = throughput.in_last(Duration::from_secs(seconds), at(millis));
        assert_eq!(rate, expected, "{seconds} s at {millis}");
    }
    let throughput = counted(&[0, 50_000, 90_000]);
    for (seconds, expected) in [(60, 2.0 / 60.0), (20, 1.0 / 20.0)] {
        let (_, rate) = throughput.in_last(Duration::from_secs(seconds), at(90_000));
        assert_eq!(rate, expected, "{seconds} s");
    }
}

#[test]
fn throughput_starts_afresh_after_an_idle_minute() {
    for (idle, expected) in [
        (59_000, (3, 3.0 / 59.0)),
        (60_000, (1, 1.0)),
        (61_000, (1, 1.0)),
        (600_000, (1, 1.0)),
    ] {
        let mut throughput = counted(&[0, 0]);
        throughput.add(at(idle));
        assert_eq!(throughput.in_last(MINUTE, at(idle)), expected, "idle for {idle}");
    }
}

#[test]
fn throughput_is_zero_before_the_first_request() {
    let mut throughput = Throughput::default();
    throughput.remove(at(0));
    assert_eq!(throughput.in_last(MINUTE, at(0)), (0, 0.0));
    assert_eq!(throughput.burst(1.0, at(0)), 0.0);
    // The first count begins the active time, even in the first minute of the clock.
    let now = Timestamp::from_nanos(500_000_000);
    throughput.add(now);
    assert_eq!(throughput.in_last(MINUTE, now), (1, 1.0));
}

#[test]
fn throughput_removes_from_the_second_of_sending() {
    let mut throughput = counted(&[0, 1_500, 1_600, 2_000]);
    throughput.remove(at(1_999));
    assert_eq!(count(&throughput, 60, 2_000), 3);
    assert_eq!(count(&throughput, 2, 2_000), 2);
    for _ in 0..3 {
        throughput.remove(at(1_000));
    }
    assert_eq!(count(&throughput, 60, 2_000), 2);
    throughput.remove(at(0));
    assert_eq!(count(&throughput, 60, 2_000), 1);
}

#[test]
fn throughput_ignores_removals_outside_its_time() {
    let mut throughput = counted(&[0, 30_000, 63_000, 64_000]);
    assert_eq!(count(&throughput, 60, 64_000), 3);
    // The second 64 has replaced the second 0.
    throughput.remove(at(0));
    throughput.remove(at(127_000));
    throughput.remove(at(128_000));
    assert_eq!(count(&throughput, 60, 64_000), 3);
}

#[test]
fn throughput_removes_from_the_oldest_second() {
    let mut throughput = counted(&[5_000, 30_000, 68_000]);
    throughput.remove(at(5_000));
    assert_eq!(throughput.counts.iter().sum::<u32>(), 2);
}

#[test]
fn throughput_forgets_seconds_that_pass_without_requests() {
    let mut throughput = counted(&[0, 1_000, 2_000, 50_000]);
    throughput.add(at(66_500));
    assert_eq!(count(&throughput, 60, 66_500), 2);
    assert_eq!(throughput.counts.iter().sum::<u32>(), 2);
}

#[test]
fn throughput_reads_no_second_that_was_replaced() {
    let throughput = counted(&[0, 30_000]);
    let seconds = Duration::from_secs(1_000);
    assert_eq!(throughput.in_last(seconds, at(30_000)).0, 2);
}

#[test]
fn throughput_counts_high_rates_exactly() {
    let mut throughput = counted(&[0]);
    for _ in 0..100_000 {
        throughput.add(at(0));
    }
    for _ in 0..40_000 {
        throughput.remove(at(0));
    }
    assert_eq!(throughput.in_last(MINUTE, at(500)), (60_001, 60_001.0));
}

#[test]
fn throughput_accepts_a_clock_that_goes_backwards() {
    let mut throughput = counted(&[10_000]);
    throughput.add(at(3_000));
    throughput.remove(at(20_000));
    assert_eq!(throughput.in_last(MINUTE, at(3_000)), (2, 2.0));
    assert_eq!(throughput.in_last(MINUTE, at(10_000)), (2, 2.0));
    throughput.add(Timestamp::MAX);
    assert_eq!(throughput.in_last(MINUTE, Timestamp::MAX).0, 1);
}

#[test]
fn throughput_measures_the_excess_over_a_rate() {
    // (times, rate, excess)
    let cases: [(&[u64], f64, f64); 6] = [
        (&[0], 1.0, 0.0),
        (&[0, 0, 0, 0], 1.0, 3.0),
        (&[0, 0, 0, 1_000, 1_000, 1_000], 1.0, 4.0),
        (&[0, 0, 0, 9_000, 9_000], 1.0, 2.0),
        (&[0, 0, 9_000, 9_000, 9_000], 0.5, 2.5),
        (&[0, 0, 0, 0, 62_000], 1.0, 0.0),
    ];
    for (sent, rate, excess) in cases {
        let latest = at(*sent.last().unwrap());
        assert_eq!(counted(sent).burst(rate, latest), excess, "{sent:?} {rate}");
    }
}
