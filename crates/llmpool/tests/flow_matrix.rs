//! Cells of the flow-control matrix that have to reach their bars, and the evaluation of the matrix.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "only a part of the matrix runs here, and a failed unwrap is a failed test"
)]

#[path = "../benches/flow_matrix/cell.rs"]
mod cell;
#[path = "../benches/flow_matrix/load.rs"]
mod load;
#[path = "../benches/flow_matrix/metric.rs"]
mod metric;
#[path = "support/rate_limited_provider.rs"]
mod rate_limited_provider;
#[path = "../benches/flow_matrix/setting.rs"]
mod setting;

use std::time::Duration;

use cell::{Cell, Enforced, whole_windows};
use load::Record;
use metric::{Bar, Metric, Unit};
use rate_limited_provider::{Arrival, Disclosure, RequestLimit, Window};
use setting::Configured;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Runs a cell with one seed and asserts its bars.
async fn assert_reaches_bars(cell: Cell) {
    let sample = cell.run(1).await;
    let results = cell.metrics().into_iter().zip(&sample.values);
    let missed: Vec<String> = results
        .filter_map(|(metric, value)| metric.missed(metric.result(std::iter::once(*value))))
        .collect();
    assert!(missed.is_empty(), "{cell:?}: {missed:?}, {sample:?}");
}

/// Asserts the bars of a provider that discloses nothing, with `rpm` at its true rate.
async fn assert_rpm_is_used(enforced: Enforced) {
    assert_reaches_bars(Cell {
        enforced,
        disclosure: Disclosure::Nothing,
        configured: Configured::Rpm,
        counts_refused: false,
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn configured_rpm_is_fully_used_in_short_windows() {
    assert_rpm_is_used(Enforced::Bucket).await;
    assert_rpm_is_used(Enforced::Fixed5).await;
    assert_rpm_is_used(Enforced::Sliding5).await;
}

#[tokio::test(start_paused = true)]
async fn configured_rpm_is_fully_used_in_long_windows() {
    assert_rpm_is_used(Enforced::Fixed60).await;
    assert_rpm_is_used(Enforced::Sliding60).await;
}

async fn assert_is_learned(enforced: Enforced, disclosure: Disclosure, counts_refused: bool) {
    assert_reaches_bars(Cell {
        enforced,
        disclosure,
        configured: Configured::Nothing,
        counts_refused,
    })
    .await;
}

// L28
// reproduction 1
#[tokio::test(start_paused = true)]
async fn undisclosed_limits_are_learned_in_short_windows() {
    for counts_refused in [false, true] {
        assert_is_learned(Enforced::Bucket, Disclosure::Nothing, counts_refused).await;
        assert_is_learned(Enforced::Fixed5, Disclosure::Nothing, counts_refused).await;
        assert_is_learned(Enforced::Sliding5, Disclosure::Nothing, counts_refused).await;
    }
}

// L28
// reproduction 1
#[tokio::test(start_paused = true)]
async fn undisclosed_limits_are_learned_in_long_windows() {
    for counts_refused in [false, true] {
        assert_is_learned(Enforced::Fixed60, Disclosure::Nothing, counts_refused).await;
        assert_is_learned(Enforced::Sliding60, Disclosure::Nothing, counts_refused).await;
    }
}

/// The provider says nothing but the status 429. Whether a few calls use up their retries depends on their random
/// backoffs, so the bars are lower than in the matrix.
#[tokio::test(start_paused = true)]
async fn limits_are_learned_from_refusals_without_a_readable_cause() {
    for (enforced, counts_refused) in [
        (Enforced::Bucket, false),
        (Enforced::Sliding5, false),
        (Enforced::Sliding60, false),
        (Enforced::Fixed60, true),
    ] {
        let cell = Cell {
            enforced,
            disclosure: Disclosure::BareText,
            configured: Configured::Nothing,
            counts_refused,
        };
        let sample = cell.run(1).await;
        let [served, refused, failed, _] = sample.values[..] else {
            panic!("{sample:?}")
        };
        assert!(
            served >= 0.85 && refused <= 0.08 && failed <= 20.0,
            "{cell:?}: {sample:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn reset_times_of_both_meanings_are_told_apart() {
    for disclosure in [
        Disclosure::ResetToNext,
        Disclosure::ResetToWhole,
        Disclosure::LimitPerMinute,
    ] {
        assert_is_learned(Enforced::Sliding5, disclosure, false).await;
        assert_is_learned(Enforced::Fixed5, disclosure, false).await;
    }
    assert_is_learned(Enforced::Sliding5, Disclosure::RetryAfterSeconds, false).await;
}

#[test]
fn counted_windows_are_whole() {
    let seconds = |range: std::ops::Range<Duration>| (range.start.as_secs_f64(), range.end.as_secs_f64());
    let limit = |window| RequestLimit {
        requests: 25,
        span: ms(5000),
        window,
        phase: ms(2000),
        counts_refused: false,
    };
    let range = whole_windows(&limit(Window::Fixed), ms(30_000), ms(200_000));
    assert_eq!(seconds(range), (33.0, 198.0));
    let range = whole_windows(&limit(Window::Sliding), ms(30_000), ms(201_000));
    assert_eq!(seconds(range), (30.0, 200.0));
}

#[test]
fn bars_judge_the_mean_or_the_worst_run() {
    let missed = |bar: Bar, values: &[f64]| {
        let metric = Metric::new("value", Unit::Percent, bar);
        metric.missed(metric.result(values.iter().copied()))
    };
    assert_eq!(missed(Bar::at_least(0.9), &[0.86, 0.95]), None);
    assert_eq!(
        missed(Bar::at_least(0.9), &[0.8, 0.95]),
        Some("value ≥ 90 %".to_owned())
    );
    assert_eq!(
        missed(Bar::at_least(0.9).in_each_run(), &[0.86, 0.95]),
        Some("value ≥ 90 %".to_owned())
    );
    assert_eq!(missed(Bar::at_most(0.001), &[0.002, 0.0]), None);
    assert_eq!(
        missed(Bar::at_most(0.001).in_each_run(), &[0.002, 0.0]),
        Some("value ≤ 0.1 %".to_owned())
    );
    assert_eq!(missed(Bar::LOW, &[1.0]), None);
}

#[test]
fn records_are_evaluated_within_the_counted_times() {
    let arrival = |at, status| Arrival { at: ms(at), status };
    let record = Record {
        arrivals: vec![
            arrival(500, 200),
            arrival(1000, 200),
            arrival(1400, 429),
            arrival(1999, 200),
            arrival(2000, 200),
            arrival(2200, 503),
        ],
        answers: vec![vec![ms(1000), ms(1500)], vec![ms(1700)], vec![ms(500), ms(2000)]],
        failures: Vec::new(),
    };
    let counted = ms(1000)..ms(2000);
    assert_eq!(record.served(counted.clone()), 2);
    assert!((record.refused_share(counted.clone()) - 1.0 / 3.0).abs() < 1e-9);
    // Answers of the callers: 2, 1 and 0.
    assert!((record.jain(counted) - 9.0 / 15.0).abs() < 1e-9);
    // The last second begins at 1.4 s.
    assert_eq!(record.peak_per_second(ms(1000)), 4);
    assert_eq!(record.peak_per_second(ms(1500)), 3);
}
