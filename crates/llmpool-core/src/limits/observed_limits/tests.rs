use proptest::prelude::*;

use super::*;
use crate::limits::saved_limits::LearnedPace;

const START: Timestamp = Timestamp::from_nanos(600_000_000_000);
const UNKNOWN: RefusalWait = RefusalWait::Unknown;
const PROVISIONAL: RefusalWait = RefusalWait::Provisional(None);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Timestamp {
    START + ms(millis)
}

fn exact(millis: u64) -> RefusalWait {
    RefusalWait::Exact(ms(millis))
}

fn reset(millis: u64) -> RefusalWait {
    RefusalWait::Reset(ms(millis))
}

/// A pace, with times in milliseconds.
struct Key(ObservedLimits);

impl Key {
    fn new() -> Self {
        Self(ObservedLimits::new(true))
    }

    /// A key with a pace that was learned at `millis`.
    fn paced(rate: f64, millis: u64) -> Self {
        let mut key = Self::new();
        key.0.rate = Some(rate);
        (key.0.level, key.0.level_at) = (1.0, at(millis));
        key.0.confirmed_at = at(millis);
        key
    }

    /// Sends `count` requests, evenly spaced from `from` to `to`.
    fn send_evenly(&mut self, count: u64, from: u64, to: u64) {
        for index in 0..count {
            self.0.charge(at(from + (to - from) * index / count));
        }
    }

    fn send(&mut self, millis: u64) -> &mut Self {
        self.0.charge(at(millis));
        self
    }

    fn succeed(&mut self, sent: u64, millis: u64) -> bool {
        self.0.record_success(at(sent), at(millis))
    }

    fn fail(&mut self, sent: u64, millis: u64) {
        self.0.record_failure(at(sent), at(millis));
    }

    fn refuse(&mut self, sent: u64, wait: RefusalWait, millis: u64) -> Option<SavedPace> {
        self.0.record_refusal(at(sent), wait, true, at(millis))
    }

    /// Sends a request that is refused at once.
    fn send_refused(&mut self, wait: RefusalWait, millis: u64) -> Option<SavedPace> {
        self.send(millis).refuse(millis, wait, millis)
    }

    /// Sends a probe that succeeds at once.
    fn send_probe(&mut self, millis: u64) {
        assert!(self.send(millis).succeed(millis, millis));
    }

    fn rate(&self) -> f64 {
        self.0.rate.unwrap()
    }

    /// The time at which a request may be sent, in milliseconds, rounded up.
    fn ready(&self, millis: u64) -> u64 {
        let ready = ready(&self.0, at(millis));
        ready.since(START).as_nanos().div_ceil(1_000_000) as u64
    }

    fn paused_until(&self, millis: u64) -> Option<Timestamp> {
        self.0.paused_until(at(millis))
    }

    fn may_end_early(&self, millis: u64) -> bool {
        let obstacle = self.0.obstacle(at(millis));
        obstacle.is_some_and(|obstacle| obstacle.may_end_early())
    }

    /// Sends all requests that the pace allows at once, and returns their number.
    fn send_burst(&mut self, millis: u64) -> usize {
        let mut sent = 0;
        while self.ready(millis) == millis && sent < 1_000 {
            self.send(millis);
            sent += 1;
        }
        sent
    }
}

fn ready(observed: &ObservedLimits, now: Timestamp) -> Timestamp {
    observed.obstacle(now).map_or(now, |obstacle| obstacle.until)
}

#[track_caller]
fn assert_near(actual: f64, expected: f64) {
    assert!(
        (actual - expected).abs() < 1e-6 * expected.max(1.0),
        "{actual} instead of {expected}"
    );
}

#[test]
fn few_requests_cause_only_a_pause() {
    for (sent, rate, pause) in [
        (0, None, 1_000),
        (9, None, 1_000),
        (10, Some(10.0), 100),
        (20, Some(20.0), 50),
    ] {
        let mut key = Key::new();
        key.send_evenly(sent, 0, 1_000);
        assert!(key.send_refused(UNKNOWN, 1_000).is_some());
        assert_eq!(key.0.rate, rate, "{sent} requests");
        assert_eq!(
            key.paused_until(1_000),
            Some(at(1_000 + pause)),
            "{sent} requests"
        );
        assert_eq!(key.ready(1_000), 1_000 + pause);
        assert_eq!(key.paused_until(999 + pause), Some(at(1_000 + pause)));
        assert_eq!(key.paused_until(1_000 + pause), None);
        assert_eq!(key.ready(1_000 + pause), 1_000 + pause);
    }
}

#[test]
fn requests_of_more_than_a_minute_ago_are_no_evidence() {
    let mut key = Key::new();
    key.send_evenly(100, 0, 1_000);
    key.send_refused(UNKNOWN, 59_900);
    assert_near(key.rate(), 100.0 / 59.9);
    let mut key = Key::new();
    key.send_evenly(100, 0, 1_000);
    key.send(30_000).send_refused(UNKNOWN, 61_000);
    assert_eq!(key.0.rate, None);
}

#[test]
fn first_pace_is_the_higher_of_the_recent_rates() {
    // (requests in the first 40 s, in the next 20 s, pace)
    for (before, recent, rate) in [
        (80, 200, 10.0),
        (400, 20, 7.0),
        (0, 20, 1.0),
        (40, 0, 40.0 / 60.0),
    ] {
        let mut key = Key::new();
        key.send_evenly(before, 0, 40_000);
        key.send_evenly(recent, 40_000, 60_000);
        key.send_refused(UNKNOWN, 59_999);
        assert!(
            (key.rate() - rate).abs() < 0.001,
            "{} instead of {rate}",
            key.rate()
        );
    }
}

#[test]
fn refused_and_failed_requests_are_no_evidence() {
    let mut key = Key::new();
    key.send_evenly(10, 0, 1_000);
    key.fail(0, 500);
    key.send_refused(UNKNOWN, 1_000);
    assert_eq!(key.0.rate, None);
    let mut key = Key::new();
    key.send_evenly(10, 0, 1_000);
    key.0.refund(at(0));
    key.send_refused(UNKNOWN, 1_000);
    assert_eq!(key.0.rate, None);
}

#[test]
fn later_refusal_slows_but_not_below_the_recent_rate() {
    // (pace, requests in the last 20 s, pace after the refusal)
    for (rate, sent, slower) in [
        (10.0, 100, 9.3),
        (10.0, 190, 9.5),
        (10.0, 400, 10.0),
        (10.0, 0, 9.3),
    ] {
        let mut key = Key::paced(rate, 0);
        key.send_evenly(sent, 0, 20_000);
        key.0.rate = Some(rate);
        key.0.since_refusal = 5;
        key.send_refused(UNKNOWN, 19_999);
        assert!(
            (key.rate() - slower).abs() < 0.001,
            "{} instead of {slower}",
            key.rate()
        );
        assert_eq!(key.0.since_refusal, 0);
    }
}

#[test]
fn pace_has_a_minimum() {
    let mut key = Key::paced(10.0, 0);
    let mut now = 0;
    for _ in 0..1_000 {
        now += 200_000;
        key.send_refused(UNKNOWN, now);
        key.send_probe(key.ready(now));
    }
    assert_near(key.rate(), 1.0 / 60.0);
    now = key.ready(now);
    key.send(now).send(now);
    assert!(key.ready(now) <= now + 120_000);
}

#[test]
fn refusal_that_infers_nothing_only_pauses() {
    let mut key = Key::new();
    key.send_evenly(100, 0, 10_000);
    key.send(10_000);
    key.0.record_refusal(at(10_000), UNKNOWN, false, at(10_000));
    assert_eq!(key.0.rate, None);
    assert_eq!(key.ready(10_000), 11_000);
    let mut key = Key::paced(4.0, 0);
    key.0.since_refusal = 7;
    key.0.record_refusal(at(0), UNKNOWN, false, at(0));
    assert_near(key.rate(), 4.0);
    assert_eq!(key.0.since_refusal, 7);
    assert_eq!(key.ready(0), 250);
    key.send_probe(3_000);
    assert_near(key.rate(), 4.0);
}

#[test]
fn pace_is_inferred_only_if_enabled_and_certain() {
    for (enabled, infers) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut key = Key(ObservedLimits::new(enabled));
        key.send_evenly(100, 0, 10_000);
        assert_eq!((key.ready(10_000), key.0.per_minute()), (10_000, None));
        key.send(10_000);
        let saved = key.0.record_refusal(at(10_000), UNKNOWN, infers, at(10_000));
        assert!(saved.is_some());
        assert_eq!(key.0.per_minute(), (enabled && infers).then_some(600.0));
        assert!(key.paused_until(10_000).is_some());
    }
}

#[test]
fn reset_forgets_all_that_was_observed() {
    for enabled in [true, false] {
        let mut key = Key(ObservedLimits::new(enabled));
        for start in [0, 20_000] {
            key.send_evenly(100, start, start + 5_000);
            key.send_refused(UNKNOWN, start + 5_000);
            assert!(key.0.is_refused(at(start + 5_000)));
            assert_eq!(key.0.per_minute(), enabled.then_some(1_200.0));
            key.0.reset();
            assert_eq!(key.0.obstacle(at(start + 5_000)), None);
            assert_eq!(key.0.per_minute(), None);
        }
    }
}

#[test]
fn pace_without_a_pause_is_saved_and_refills_until_it_is_loaded() {
    let mut key = Key::paced(2.0, 0);
    key.0.level = -0.5;
    let saved = key.0.save(at(0)).unwrap();
    assert_eq!((saved.per_second, saved.paused_for_ms), (Some(2.0), None));
    assert_eq!(Key::new().0.save(at(0)), None);
    let mut loaded = Key::new();
    loaded.0.load(&saved, ms(250), at(1_000));
    assert_eq!(loaded.ready(1_000), 1_500, "at level 0 after 250 ms");
}

#[test]
fn loaded_pace_makes_a_known_one_no_faster() {
    // (saved: pace, pace that worked, idle time in ms; afterwards: pace, pace that worked, confirmed at)
    for (saved, rate, worked, confirmed_at) in [
        ((10.0, 20.0, 50_000), 5.0, 8.0, at(0)),
        ((2.0, 4.0, 1_000), 2.0, 4.0, at(29_000)),
    ] {
        let mut key = Key::paced(5.0, 0);
        key.0.worked = 8.0;
        let saved = LearnedPace {
            per_second: Some(saved.0),
            worked: saved.1,
            available: 0.5,
            idle_for_ms: saved.2,
            paused_for_ms: None,
        };
        key.0.load(&saved, Duration::ZERO, at(30_000));
        assert_eq!((key.rate(), key.0.worked, key.0.level), (rate, worked, 0.5));
        assert_eq!(key.0.confirmed_at, confirmed_at);
    }
}

#[test]
fn pause_lasts_one_interval_within_bounds() {
    for (rate, pause) in [
        (1_000.0, 50),
        (20.0, 50),
        (10.0, 100),
        (0.5, 2_000),
        (0.125, 8_000),
        (0.05, 8_000),
    ] {
        let mut key = Key::paced(rate, 0);
        key.0.record_refusal(at(0), UNKNOWN, false, at(0));
        assert_eq!(key.ready(0), pause, "{rate} per second");
    }
}

#[test]
fn pause_triples_with_each_refused_probe() {
    let mut key = Key::paced(10.0, 0);
    key.0.record_refusal(at(0), UNKNOWN, false, at(0));
    let mut now = 100;
    for pause in [300, 900, 2_700, 3_000, 3_000] {
        assert_eq!(key.ready(now - 1), now);
        key.send(now).refuse(now, UNKNOWN, now + 10);
        now += 10 + pause;
        assert_eq!(key.ready(now - 5), now);
    }
}

#[test]
fn pause_never_becomes_shorter() {
    let mut key = Key::paced(0.2, 0);
    key.0.record_refusal(at(0), UNKNOWN, false, at(0));
    for millis in [5_000, 10_000, 15_000] {
        assert_eq!(key.ready(millis - 1), millis);
        key.send_refused(UNKNOWN, millis);
    }
}

#[test]
fn pause_grows_to_five_minutes_after_ten_minutes() {
    let mut key = Key::new();
    key.send_refused(UNKNOWN, 0);
    let mut now = key.ready(0);
    while now <= 600_000 {
        key.send_refused(UNKNOWN, now);
        let next = key.ready(now);
        assert!(next > now && next <= now + 3_000);
        now = next;
    }
    for pause in [9, 27, 81, 243, 300, 300] {
        key.send_refused(UNKNOWN, now);
        assert_eq!(key.ready(now), now + pause * 1_000);
        now += pause * 1_000;
    }
    let mut key = Key::new();
    key.send_refused(exact(600_000), 0);
    for (millis, pause) in [(600_000, 3_000), (603_000, 9_000)] {
        key.send_refused(UNKNOWN, millis);
        assert_eq!(key.ready(millis), millis + pause);
    }
}

#[test]
fn named_times_are_kept_exactly() {
    for millis in [1, 40, 999, 7_777, 600_000, 40_000_000] {
        let mut key = Key::paced(10.0, 0);
        key.send_refused(exact(millis), 5);
        assert_eq!(key.ready(5), 5 + millis);
        let probe = 5 + millis;
        key.send(probe).refuse(probe, exact(millis), probe + 3);
        assert_eq!(key.ready(probe + 3), probe + 3 + millis);
    }
}

// reproduction 13
#[test]
fn named_time_of_zero_says_nothing() {
    for wait in [exact(0), reset(0)] {
        let mut key = Key::new();
        key.send_refused(wait, 0);
        assert_eq!(key.ready(0), 1_000);
        key.send_refused(wait, 1_000);
        assert_eq!(key.ready(1_000), 4_000);
        assert!(key.send(4_000).succeed(4_000, 4_050));
        assert_eq!(key.refuse(2_000, wait, 4_060), None);
        assert_eq!(key.paused_until(4_060), None);
    }
}

#[test]
fn one_probe_is_sent_at_a_time() {
    let mut key = Key::paced(10.0, 0);
    key.send_refused(UNKNOWN, 0);
    assert!(!key.0.is_probing(at(100)));
    key.send(100);
    assert!(key.0.is_probing(at(100)));
    assert!(key.0.is_probing(at(349)));
    assert!(!key.0.is_probing(at(350)));
    assert_eq!(key.ready(100), 350);
    assert_eq!(key.paused_until(349), Some(at(350)));
    assert_eq!(key.paused_until(350), None);
    assert_eq!(key.ready(350), 350);
}

#[test]
fn success_of_the_probe_ends_the_run() {
    let mut key = Key::paced(10.0, 0);
    key.send_refused(UNKNOWN, 0);
    assert!(!key.succeed(0, 90));
    assert!(!key.send(100).succeed(99, 105));
    assert!(key.0.is_probing(at(110)));
    assert!(key.succeed(100, 120));
    assert!(!key.0.is_probing(at(120)));
    assert_eq!(key.paused_until(120), None);
    assert!(!key.succeed(100, 130));
}

#[test]
fn run_ends_a_quarter_of_a_second_after_the_probe() {
    for event in 0..3 {
        let mut key = Key::paced(20.0, 0);
        key.send_refused(UNKNOWN, 0);
        key.send(100);
        // Idle time after the end of the run does not make the run long.
        match event {
            0 => drop(key.send(9_000)),
            1 => assert!(!key.succeed(100, 9_000)),
            _ => key.fail(100, 9_000),
        }
        assert!(key.0.run.is_none());
        assert_eq!(key.0.run_ended_at, at(350));
        assert_eq!(key.0.last_run.unwrap().probe, Some(at(100)));
    }
    let mut key = Key::paced(20.0, 0);
    key.send_refused(UNKNOWN, 0);
    key.send(100);
    key.0.release_if_admitted(at(349));
    assert!(key.0.run.is_some());
    key.0.release_if_admitted(at(350));
    assert!(key.0.run.is_none());
}

#[test]
fn late_refusal_of_the_probe_resumes_the_run() {
    let mut key = Key::paced(20.0, 0);
    key.send_refused(UNKNOWN, 0);
    key.send(100).send(400);
    assert!(key.0.run.is_none());
    assert_eq!(key.refuse(100, UNKNOWN, 500), None);
    assert_eq!(key.0.run.unwrap().began, at(0));
    assert_eq!(key.ready(500), 662);
    assert_near(key.rate(), 18.6);
    // Only the probe itself.
    let mut key = Key::paced(20.0, 0);
    key.send_refused(UNKNOWN, 0);
    key.send(100).send(400);
    assert!(key.refuse(400, UNKNOWN, 500).is_some());
    assert_eq!(key.0.run.unwrap().began, at(500));
    // Not after another run.
    let mut key = Key::paced(20.0, 0);
    key.send_refused(UNKNOWN, 0);
    key.send(100).send_refused(UNKNOWN, 400);
    key.send_probe(500);
    assert_eq!(key.refuse(100, UNKNOWN, 550), None);
    assert_eq!(key.paused_until(550), None);
    // Not after its success.
    let mut key = Key::paced(20.0, 0);
    key.send_refused(UNKNOWN, 0);
    key.send_probe(100);
    assert!(key.refuse(100, UNKNOWN, 200).is_some());
    assert_eq!(key.0.run.unwrap().began, at(200));
}

#[test]
fn late_refusal_extends_a_pause_only_by_a_named_time() {
    let mut key = Key::paced(1.0, 0);
    key.send(0).send_refused(UNKNOWN, 500);
    let pause = key.ready(500);
    assert_eq!(key.refuse(0, UNKNOWN, 600), None);
    assert_eq!(key.refuse(0, reset(60_000), 600), None);
    assert_eq!(key.refuse(0, exact(10), 600), None);
    assert_eq!(key.ready(600), pause);
    assert_eq!(key.refuse(0, exact(5_000), 700), None);
    assert_eq!(key.ready(700), 5_700);
    // The pause itself has not grown.
    key.0.run.as_mut().unwrap().pause = ms(500);
    key.send_refused(UNKNOWN, 5_700);
    assert_eq!(key.ready(5_700), 7_200);
}

#[test]
fn late_refusal_starts_no_run_unless_it_names_a_time() {
    let mut key = Key::paced(20.0, 0);
    key.send(0).send_refused(UNKNOWN, 0);
    key.send_probe(100);
    let rate = key.rate();
    assert_eq!(key.refuse(0, UNKNOWN, 150), None);
    assert_eq!(key.refuse(99, reset(5_000), 150), None);
    assert_eq!(key.paused_until(150), None);
    assert!(key.refuse(0, exact(2_000), 150).is_some());
    assert_eq!(key.ready(150), 2_150);
    // It shows nothing about the pace.
    assert_near(key.rate(), rate);
    assert_eq!(key.0.run.unwrap().before, None);
    // A request that was sent with the probe is not late.
    let mut key = Key::paced(20.0, 0);
    key.send_refused(UNKNOWN, 0);
    key.send_probe(100);
    assert!(key.refuse(100, UNKNOWN, 150).is_some());
}

#[test]
fn time_named_during_a_probe_is_kept() {
    let mut key = Key::paced(10.0, 0);
    key.send(0).send_refused(UNKNOWN, 1);
    key.send(101);
    key.refuse(0, exact(60_000), 150);
    assert_eq!(key.ready(150), 60_150);
    assert!(key.succeed(101, 160));
    assert_eq!(key.ready(160), 60_150);
    assert!(!key.0.is_probing(at(160)));
    // Neither a refused nor a failed probe shortens it.
    for refused in [true, false] {
        let mut key = Key::paced(10.0, 0);
        key.send(0).send_refused(UNKNOWN, 1);
        key.send(101);
        key.refuse(0, exact(60_000), 150);
        if refused {
            key.refuse(101, exact(1_000), 160);
        } else {
            key.fail(101, 160);
        }
        assert_eq!(key.ready(160), 60_150);
    }
}

#[test]
fn request_sent_during_a_pause_does_not_end_it() {
    let mut key = Key::paced(10.0, 0);
    key.send_refused(exact(10_000), 0);
    key.send(5_000);
    assert_eq!(key.ready(5_000), 10_000);
    assert_eq!(key.ready(9_000), 10_000);
    key.send(10_000);
    assert_eq!(key.ready(10_000), 10_250);
    assert_eq!(key.0.run.unwrap().began, at(0));
}

#[test]
fn probe_that_fails_otherwise_repeats_the_pause() {
    let mut key = Key::new();
    key.send_evenly(12, 0, 6_000);
    key.send_refused(UNKNOWN, 6_000);
    assert_eq!(key.ready(6_000), 6_500);
    let mut now = 6_500;
    for _ in 0..4 {
        key.send(now).fail(now, now + 30);
        assert!(!key.0.is_probing(at(now + 30)));
        assert_eq!(key.ready(now + 30), now + 530);
        now += 530;
    }
    // Failures of older requests do not matter.
    key.fail(5_500, now);
    assert_eq!(key.ready(now), now);
    let (counted, _) = key.0.not_refused.in_last(MINUTE, at(now));
    assert_eq!(counted, 11);
}

#[test]
fn catch_up_is_bounded_by_three_quarters_of_a_second() {
    // (pace, duration of the run, requests after the probe)
    let cases = [
        (100.0, 100, 9),
        (100.0, 500, 49),
        (100.0, 740, 73),
        (100.0, 760, 74),
        (100.0, 2_000, 74),
        (4.0, 2_000, 2),
        (1.0, 500, 0),
        (1.0, 2_000, 0),
        (0.2, 1_900, 0),
    ];
    for (rate, millis, burst) in cases {
        let mut key = Key::paced(rate, 0);
        key.0.record_refusal(at(0), exact(millis), false, at(0));
        key.send_probe(millis);
        assert_eq!(
            key.send_burst(millis),
            burst,
            "{rate} per second after {millis} ms"
        );
        let level = key.0.level;
        let expected = millis as f64 + (1.0 - level) / rate * 1e3;
        assert!((key.ready(millis) as f64 - expected).abs() <= 1.0);
    }
}

#[test]
fn long_run_reduces_the_pace_to_the_rate_before() {
    // (duration of the run, pace afterwards, requests at once)
    for (millis, rate, burst) in [(2_000, 93.0, 68), (2_001, 5.0, 0), (60_000, 5.0, 0)] {
        let mut key = Key::paced(100.0, 0);
        key.send_evenly(300, 0, 60_000);
        key.0.rate = Some(100.0);
        key.send_refused(exact(millis), 59_999);
        assert_near(key.rate(), 93.0);
        let end = 59_999 + millis;
        key.send_probe(end);
        assert!(
            (key.rate() - rate).abs() < 0.001,
            "{} after {millis} ms",
            key.rate()
        );
        assert_eq!(key.send_burst(end), burst);
    }
    // It never raises the pace.
    let mut key = Key::paced(2.0, 0);
    key.send_evenly(300, 0, 60_000);
    key.0.rate = Some(2.0);
    key.send_refused(exact(10_000), 59_999);
    key.send_probe(69_999);
    assert_near(key.rate(), 2.0);
}

#[test]
fn long_run_after_few_requests_keeps_the_pace() {
    for (sent, rate) in [(0, 9.3), (9, 9.3), (10, 10.0 / 29.999)] {
        let mut key = Key::paced(10.0, 0);
        key.send_evenly(sent, 30_000, 59_000);
        key.0.rate = Some(10.0);
        key.send_refused(exact(5_000), 59_999);
        key.send_probe(64_999);
        assert_near(key.rate(), rate);
    }
}

#[test]
fn long_pause_does_not_forget_the_pace() {
    let mut key = Key::paced(10.0, 0);
    key.send_evenly(300, 0, 60_000);
    key.0.rate = Some(10.0);
    key.send_refused(exact(90_000), 59_999);
    key.send_probe(149_999);
    assert!((key.rate() - 5.0).abs() < 0.001);
    assert_eq!(key.ready(149_999), 150_199);
}

#[test]
fn pace_grows_with_every_success() {
    let mut key = Key::paced(10.0, 0);
    key.0.level = 0.0;
    let mut now = 0;
    let mut expected = 10.0;
    for count in 1..=600 {
        now = key.ready(now);
        key.send(now);
        assert!(!key.succeed(now, now));
        expected *= 1.0 + 0.0007 * (1.0 + count as f64 / 300.0);
        assert_near(key.rate(), expected);
    }
    assert_eq!(key.0.since_refusal, 600);
}

#[test]
fn pace_does_not_grow_during_a_run() {
    let mut key = Key::paced(10.0, 0);
    key.send(0).send_refused(UNKNOWN, 10);
    let rate = key.rate();
    assert!(!key.succeed(0, 20));
    key.send_probe(200);
    assert_near(key.rate(), rate);
    key.succeed(0, 210);
    assert!(key.rate() > rate);
}

#[test]
fn pace_that_delays_nothing_does_not_grow() {
    let mut key = Key::paced(10.0, 0);
    // 40 000 requests that the pace does not delay, because their answers come all at once.
    key.send(0);
    key.send(1_000);
    for _ in 0..40_000 {
        key.succeed(1_000, 1_000);
    }
    assert_near(key.rate(), 10.0);
    // Level 1.4: as soon as the pace allowed. Level 1.6: not.
    for (wait, grows) in [(140, true), (160, false)] {
        let mut key = Key::paced(10.0, 0);
        key.0.level = 0.0;
        key.send(wait);
        key.succeed(wait, wait);
        assert_eq!(key.rate() > 10.0, grows, "{wait} ms");
    }
}

#[test]
fn pace_recovers_within_thirty_seconds() {
    let mut key = Key::paced(1.0, 0);
    key.0.worked = 10.0;
    key.0.run_ended_at = at(0);
    for (millis, rate) in [
        (3_000, 1.0),
        (6_000, 2.0),
        (15_000, 5.0),
        (30_000, 10.0),
        (45_000, 10.0),
    ] {
        key.0.since_refusal = 0;
        key.0.confirmed_at = at(millis);
        key.succeed(0, millis);
        let grown = key.rate() / rate;
        assert!((1.0..1.002).contains(&grown), "{} at {millis}", key.rate());
    }
}

#[test]
fn pace_worked_if_enough_requests_came_between_two_runs() {
    // (successes since the last run, pace that worked before, afterwards)
    for (successes, before, after) in [
        (9, 40.0, 20.0),
        (9, 12.0, 9.3),
        (9, 4.0, 9.3),
        (10, 40.0, 9.3),
        (10, 4.0, 9.3),
    ] {
        let mut key = Key::paced(10.0, 0);
        key.0.since_refusal = successes;
        key.0.worked = before;
        key.send_refused(UNKNOWN, 16_000);
        key.send_probe(17_000);
        assert_near(key.0.worked, after);
        assert_near(key.rate(), 9.3);
    }
    // The first pace worked.
    let mut key = Key::new();
    key.send_evenly(100, 0, 10_000);
    key.0.worked = 40.0;
    key.send_refused(UNKNOWN, 10_000);
    key.send_probe(11_000);
    assert_near(key.0.worked, 10.0);
    // After a long run, that is the rate of the minute before.
    let mut key = Key::paced(100.0, 0);
    key.send_evenly(300, 0, 60_000);
    key.0.rate = Some(100.0);
    key.0.since_refusal = 10;
    key.send_refused(exact(5_000), 59_999);
    key.send_probe(64_999);
    assert!((key.0.worked - 5.0).abs() < 0.001);
    // A run that infers nothing changes nothing.
    let mut key = Key::paced(10.0, 0);
    key.0.worked = 40.0;
    key.0.record_refusal(at(0), UNKNOWN, false, at(0));
    key.send_probe(1_000);
    assert_near(key.0.worked, 40.0);
}

#[test]
fn limit_that_shrinks_far_is_not_overrun_for_long() {
    // From 10 requests per second to one in 20 s, the limit of a token bucket of one.
    let mut key = Key::paced(10.0, 0);
    key.0.worked = 10.0;
    let (mut now, mut full_at, mut refused_late) = (0, 0, 0);
    while now < 1_800_000 {
        now = key.ready(now).max(now + 1);
        key.send(now);
        if now >= full_at {
            full_at = now + 20_000;
            key.succeed(now, now);
        } else {
            key.refuse(now, UNKNOWN, now);
            refused_late += u64::from(now > 1_200_000);
        }
    }
    assert!(key.0.worked < 0.2, "{}", key.0.worked);
    assert!(refused_late < 120, "{refused_late}");
}

#[test]
fn success_reports_a_pace_that_returns() {
    let mut key = Key::paced(1.0, 0);
    key.0.worked = 10.0;
    key.0.run_ended_at = at(0);
    assert!(!key.succeed(0, 2_900));
    assert!(key.succeed(0, 15_000));
    assert!(!key.succeed(0, 15_000));
}

#[test]
fn bursts_that_got_through_are_not_delayed_by_a_stray_refusal() {
    let mut key = Key::new();
    for burst in 0..5 {
        let now = burst * 30_000;
        assert_eq!(key.ready(now), now, "burst {burst}");
        for sent in 0..10 {
            assert_eq!(key.ready(now), now, "request {sent} of burst {burst}");
            key.send(now);
        }
        if burst == 2 {
            key.refuse(now, UNKNOWN, now);
            key.send_probe(key.ready(now));
            assert!(key.0.rate.is_some());
        }
        key.succeed(now, now + 10);
    }
}

#[test]
fn burst_is_that_of_the_last_minute() {
    let mut key = Key::new();
    key.send_evenly(60, 0, 60_000);
    for _ in 0..20 {
        key.send(30_500);
    }
    key.send_refused(UNKNOWN, 59_999);
    // 80 requests in a minute, and a second with 21.
    assert_near(key.0.burst, 21.0 - key.rate());
    key.send_probe(key.ready(59_999));
    let rate = key.rate();
    assert_eq!(key.send_burst(119_000), (rate.max(1.0) + key.0.burst) as usize);
}

#[test]
fn pace_is_forgotten_after_a_minute_without_delays() {
    for (millis, forgotten) in [(60_000, false), (60_001, true)] {
        let mut key = Key::paced(10.0, 0);
        key.succeed(0, millis);
        assert_eq!(key.0.rate.is_none(), forgotten, "{millis}");
    }
    // Five requests per second do not need the pace of ten per second.
    let mut key = Key::paced(10.0, 0);
    for millis in (500..62_000).step_by(200) {
        assert_eq!(key.ready(millis), millis);
        key.send(millis).succeed(millis, millis);
    }
    assert_eq!(key.0.rate, None);
}

#[test]
fn slow_pace_is_forgotten_too() {
    let mut key = Key::paced(1.0, 0);
    for millis in (5_000..70_000).step_by(5_000) {
        key.send(millis).succeed(millis, millis);
    }
    assert_eq!(key.0.rate, None);
}

#[test]
fn saturated_key_keeps_its_pace() {
    for rate in [0.5, 1.0, 2.0] {
        let mut key = Key::paced(rate, 0);
        let mut now = 0;
        while now < 130_000 {
            now = key.ready(now + 1);
            key.send(now).succeed(now, now);
        }
        assert!(key.rate() > rate);
    }
}

#[test]
fn refusal_confirms_the_pace() {
    let mut key = Key::paced(10.0, 0);
    key.send_refused(UNKNOWN, 50_000);
    key.send_probe(60_100);
    assert_eq!(key.0.confirmed_at, at(60_100));
    // A refusal of an older request, too.
    key.0.confirmed_at = at(60_100);
    assert_eq!(key.refuse(0, UNKNOWN, 100_000), None);
    key.succeed(60_100, 150_000);
    assert!(key.0.rate.is_some());
}

#[test]
fn end_of_a_run_does_not_age_the_pace() {
    let mut key = Key::paced(20.0, 0);
    key.send_refused(UNKNOWN, 0);
    key.send(100).refuse(0, UNKNOWN, 340);
    key.0.release_if_admitted(at(9_000));
    assert_eq!(key.0.confirmed_at, at(350));
    let mut key = Key::paced(20.0, 0);
    key.send_refused(UNKNOWN, 0);
    key.send(100);
    key.0.confirmed_at = at(5_000);
    key.0.release_if_admitted(at(9_000));
    assert_eq!(key.0.confirmed_at, at(5_000));
}

#[test]
fn idle_key_is_not_delayed() {
    for rate in [0.1, 1.0, 10.0] {
        let mut key = Key::paced(rate, 0);
        key.0.level = 0.0;
        assert_eq!(key.send_burst(60_000), rate.max(1.0) as usize);
    }
    let mut key = Key::paced(10.0, 0);
    key.0.level = -1.0;
    assert_eq!(key.ready(0), 200);
    assert_eq!(key.ready(100), 200);
    assert_eq!(key.ready(200), 200);
}

#[test]
fn requests_without_a_pace_are_not_delayed() {
    let mut key = Key::new();
    assert_eq!(key.send_burst(0), 1_000);
    assert!(!key.succeed(0, 10));
    assert!(!key.0.is_probing(at(0)));
    assert_eq!(key.0.rate, None);
}

#[test]
fn charges_beyond_the_pace_cost_at_most_two_intervals() {
    let mut key = Key::paced(10.0, 0);
    for _ in 0..5 {
        key.send(0);
    }
    assert_eq!(key.ready(0), 200);
    assert_eq!(key.0.level, -1.0);
}

#[test]
fn refund_returns_a_request() {
    let mut key = Key::paced(10.0, 0);
    key.send(0);
    assert_eq!(key.ready(0), 100);
    key.0.refund(at(0));
    assert_eq!(key.ready(0), 0);
    assert_eq!(key.0.not_refused.in_last(MINUTE, at(0)).0, 0);
}

#[test]
fn failure_to_connect_is_removed_once() {
    let mut key = Key::new();
    key.send(0).send(10).send(20);
    let count = |key: &Key| key.0.not_refused.in_last(MINUTE, at(20)).0;
    key.fail(10, 15);
    assert_eq!(count(&key), 2);
    key.0.refund(at(10));
    assert_eq!(count(&key), 2);
    key.0.refund(at(10));
    assert_eq!(count(&key), 1);
    key.fail(0, 20);
    key.0.refund(at(20));
    assert_eq!(count(&key), 0);
}

#[test]
fn refund_during_a_run_returns_nothing_to_the_level() {
    let mut key = Key::paced(10.0, 0);
    key.send(0).send_refused(UNKNOWN, 10);
    let level = key.0.level;
    key.send(200).fail(200, 210);
    key.0.refund(at(200));
    assert_eq!(key.0.level, level);
}

#[test]
fn refund_of_the_probe_allows_another() {
    let mut key = Key::paced(10.0, 0);
    key.send(0).send_refused(UNKNOWN, 10);
    let ready = key.ready(10);
    key.send(ready);
    assert!(key.0.is_probing(at(ready)));
    key.0.refund(at(0));
    assert!(key.0.is_probing(at(ready)));
    key.0.refund(at(ready));
    assert!(!key.0.is_probing(at(ready)));
    assert_eq!(key.ready(ready), ready);
}

#[test]
fn restore_reverts_a_refusal() {
    let mut key = Key::new();
    key.send_evenly(50, 0, 5_000);
    let saved = key.send_refused(PROVISIONAL, 5_000).unwrap();
    assert!(key.0.rate.is_some());
    key.0.restore(saved);
    assert_eq!((key.0.rate, key.ready(5_000)), (None, 5_000));
    let mut key = Key::paced(10.0, 0);
    key.send_evenly(50, 0, 5_000);
    key.0.rate = Some(20.0);
    key.0.burst = 15.0;
    key.0.since_refusal = 40;
    let saved = key.send_refused(PROVISIONAL, 5_000).unwrap();
    assert!(key.0.burst < 15.0);
    key.0.restore(saved);
    assert_eq!((key.rate(), key.0.burst, key.0.since_refusal), (20.0, 15.0, 40));
}

#[test]
fn restore_leaves_a_later_run() {
    let mut key = Key::new();
    let saved = key.send_refused(PROVISIONAL, 0).unwrap();
    key.send_probe(1_000);
    key.send_refused(PROVISIONAL, 2_000);
    key.0.restore(saved);
    assert_eq!(key.ready(2_000), 3_000);
}

#[test]
fn restore_reverts_what_a_run_taught_that_has_ended() {
    let mut key = Key::paced(10.0, 0);
    let saved = key.send_refused(PROVISIONAL, 0).unwrap();
    key.send_probe(1_000);
    assert!(key.rate() < 10.0);
    key.0.restore(saved);
    assert_near(key.rate(), 10.0);
    key.0.rate = Some(5.0);
    key.0.restore(saved);
    assert_near(key.rate(), 5.0);
}

/// The first refusal of a run may teach nothing, because its request may be refused whatever the key is.
#[test]
fn refusal_that_confirms_a_run_teaches_what_the_first_one_could_not() {
    for (confirmation, infers, rate) in [
        (UNKNOWN, true, Some(10.0)),
        (UNKNOWN, false, None),
        (PROVISIONAL, true, None),
    ] {
        let mut key = Key::new();
        key.send_evenly(600, 0, 60_000);
        key.send(60_000).send(60_000);
        let first = key
            .0
            .record_refusal(at(60_000), PROVISIONAL, false, at(60_000))
            .unwrap();
        assert_eq!(key.0.rate, None);
        key.0.record_refusal(at(60_000), confirmation, infers, at(60_050));
        assert_eq!(key.0.rate.map(f64::round), rate, "{confirmation:?} {infers}");
        assert_eq!(key.ready(60_050), 61_000);
        key.0.restore(first);
        let is_confirmed = confirmation == UNKNOWN;
        assert_eq!(key.ready(60_050) == 61_000, is_confirmed);
    }
}

/// What was sent in the minute before the run cannot be told any more.
#[test]
fn refusal_that_confirms_a_run_late_teaches_nothing() {
    let mut key = Key::new();
    key.send_evenly(600, 0, 60_000);
    let wait = RefusalWait::Provisional(Some(ms(30_000)));
    key.send(60_000).send(60_000);
    key.0.record_refusal(at(60_000), wait, false, at(60_000));
    key.refuse(60_000, UNKNOWN, 62_001);
    assert_eq!(key.0.rate, None);
    assert_eq!(key.ready(62_001), 90_000);
}

// reproduction 9
#[test]
fn restore_leaves_a_run_that_something_else_confirms() {
    for confirmation in 0..4 {
        let mut key = Key::new();
        let saved = key.send(0).send_refused(PROVISIONAL, 0).unwrap();
        let until = match confirmation {
            0 => {
                key.refuse(0, exact(60_000), 10);
                60_010
            }
            1 => {
                key.0.pause_until(at(60_000), at(10));
                60_000
            }
            2 => {
                key.send(1_000).refuse(1_000, UNKNOWN, 1_010);
                4_010
            }
            _ => {
                key.refuse(0, UNKNOWN, 10);
                1_010
            }
        };
        key.0.restore(saved);
        assert_eq!(key.ready(1_010), until, "case {confirmation}");
    }
    // A refusal that may be reverted itself confirms nothing.
    for wait in [PROVISIONAL, RefusalWait::Provisional(Some(ms(10_000)))] {
        let mut key = Key::new();
        let saved = key.send(0).send_refused(wait, 0).unwrap();
        key.refuse(0, wait, 10);
        key.send(10_000).refuse(10_000, wait, 10_010);
        assert!(key.ready(10_010) > 10_010);
        key.0.restore(saved);
        assert_eq!(key.ready(10_010), 10_010, "{wait:?}");
    }
}

#[test]
fn certain_refusal_is_not_reverted() {
    let mut key = Key::new();
    let saved = key.send_refused(UNKNOWN, 0).unwrap();
    key.0.restore(saved);
    assert_eq!(key.ready(0), 1_000);
}

// reproduction 2
#[test]
fn unclear_refusals_of_several_calls_show_a_limit() {
    let unclear = |key: &mut Key, is_first, millis| {
        key.send(millis);
        key.0.record_unclear(is_first, at(millis), at(millis + 20))
    };
    let mut key = Key::new();
    key.send(0);
    assert!(!unclear(&mut key, true, 100));
    // Later refusals of the same call show nothing, and neither does the request that was sent before.
    assert!(!unclear(&mut key, false, 200));
    key.succeed(0, 250);
    assert!(unclear(&mut key, true, 300));
    assert!(unclear(&mut key, false, 10_000));
    // A request is admitted: by its answer, or because it is not refused in time.
    key.send(10_100).succeed(10_100, 10_150);
    assert!(!unclear(&mut key, false, 10_200) && !unclear(&mut key, true, 10_300));
    key.send(10_400);
    assert!(!unclear(&mut key, true, 10_630) && unclear(&mut key, true, 10_640));
    key.send(11_000);
    assert!(unclear(&mut key, true, 11_229));
    // Requests that are refused, fail or are not sent show nothing.
    key.send(12_000).refuse(12_000, UNKNOWN, 12_020);
    assert!(unclear(&mut key, false, 20_000));
    key.send(21_000).fail(21_000, 21_010);
    assert!(unclear(&mut key, false, 22_000));
    key.send(23_000).0.refund(at(23_000));
    assert!(unclear(&mut key, false, 24_000));
    key.send(25_000).send(25_100).refuse(25_000, UNKNOWN, 25_110);
    assert!(unclear(&mut key, false, 25_200));
}

#[test]
fn time_without_requests_is_not_part_of_a_run() {
    let mut key = Key::new();
    for sent in 0..20 {
        key.send(sent * 100).succeed(sent * 100, sent * 100);
    }
    key.send(2_000).refuse(2_000, UNKNOWN, 2_000);
    key.send(9_000).succeed(9_000, 9_010);
    assert_eq!(
        key.ready(9_010),
        9_010,
        "the requests of a short run are made up for"
    );
}

#[test]
fn pause_until_waits_and_teaches_nothing() {
    let mut key = Key::paced(10.0, 0);
    key.send_evenly(20, 0, 4_000);
    let rate = key.rate();
    key.0.pause_until(at(30_000), at(5_000));
    assert_eq!(key.ready(5_000), 30_000);
    key.0.pause_until(at(20_000), at(5_000));
    assert_eq!(key.ready(5_000), 30_000);
    key.0.pause_until(at(40_000), at(5_000));
    assert_eq!(key.ready(5_000), 40_000);
    key.send_refused(UNKNOWN, 40_000);
    assert_eq!(key.ready(40_000), 43_000);
    key.send_probe(43_000);
    assert_near(key.rate(), rate);
}

#[test]
fn pause_until_during_a_probe_is_kept() {
    let mut key = Key::new();
    key.send_refused(UNKNOWN, 0);
    key.send(1_000);
    key.0.pause_until(at(30_000), at(1_100));
    assert!(key.succeed(1_000, 1_200));
    assert_eq!(key.ready(1_200), 30_000);
}

#[test]
fn reset_of_a_limit_is_no_time_to_wait() {
    for millis in [1, 20, 900, 60_000, 80_000_000] {
        let mut key = Key::new();
        key.send_refused(reset(millis), 0);
        assert_eq!(key.ready(0), 1_000);
        key.send_refused(reset(millis), 1_000);
        assert_eq!(key.ready(1_000), 4_000);
    }
}

#[test]
fn outcome_of_a_probe_that_connects_is_awaited() {
    let mut key = Key::paced(20.0, 0);
    key.send_refused(UNKNOWN, 0);
    key.send(100);
    assert!(!key.0.await_probe(at(0), at(5_100)));
    assert_eq!(key.ready(100), 350);
    assert!(!key.0.await_probe(at(100), at(350)));
    assert!(key.0.await_probe(at(100), at(5_100)));
    assert_eq!(key.ready(100), 5_100);
    assert!(key.0.is_probing(at(5_099)));
    // The request is sent at last.
    assert!(key.0.await_probe(at(100), at(2_250)));
    assert_eq!(key.ready(2_000), 2_250);
    key.0.release_if_admitted(at(2_249));
    assert!(key.0.run.is_some());
    key.0.release_if_admitted(at(2_250));
    assert!(key.0.run.is_none());
    assert!(!key.0.await_probe(at(100), at(9_000)));
}

#[test]
fn pause_may_end_early_with_a_probe_or_a_reverted_refusal() {
    let mut key = Key::paced(10.0, 0);
    assert!(!key.may_end_early(0));
    key.send(0).send_refused(exact(10_000), 0);
    assert!(!key.may_end_early(0));
    key.send(10_000);
    assert!(key.may_end_early(10_000));
    assert!(!key.may_end_early(10_250));
    // The answer to the probe does not shorten a time that was named during the probe.
    key.refuse(0, exact(5_000), 10_100);
    assert!(!key.may_end_early(10_100));
    let mut key = Key::paced(10.0, 0);
    key.send(0)
        .send_refused(RefusalWait::Provisional(Some(ms(10_000))), 0);
    assert!(key.may_end_early(0));
    key.refuse(0, exact(5_000), 10);
    assert!(!key.may_end_early(10));
    key.send(10_000).succeed(10_000, 10_010);
    key.send_refused(PROVISIONAL, 20_000);
    assert!(key.may_end_early(20_000));
    key.send(30_000).succeed(30_000, 30_010);
    assert!(!key.may_end_early(30_010));
}

#[test]
fn clock_that_goes_backwards_delays_nothing_for_long() {
    let mut key = Key::paced(10.0, 10_000);
    key.send(10_000).send(5_000).succeed(5_000, 4_000);
    assert!(key.ready(4_000) <= 4_200);
    key.refuse(5_000, UNKNOWN, 3_000);
    assert!(key.ready(3_000) <= 3_200);
    key.send(key.ready(3_000)).succeed(2_000, 2_500);
    key.0.pause_until(Timestamp::MAX, at(3_000));
    assert_eq!(key.0.paused_until(at(3_000)), Some(Timestamp::MAX));
}

#[derive(Clone, Debug)]
enum Event {
    Wait(u64),
    Send,
    SendEarly,
    Succeed(usize),
    Fail(usize),
    Refuse(usize, RefusalWait, bool),
    Refund(usize),
    PauseFor(u64),
    Restore,
}

fn waits() -> impl Strategy<Value = RefusalWait> {
    prop_oneof![
        3 => Just(UNKNOWN),
        1 => (0..400_000_u64).prop_map(exact),
        1 => (0..3_000_u64).prop_map(exact),
        2 => (0..70_000_u64).prop_map(reset),
        1 => (0..1_000_u64).prop_map(reset),
        1 => Just(PROVISIONAL),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..2_000_u64).prop_map(Event::Wait),
        1 => (0..100_000_u64).prop_map(Event::Wait),
        12 => Just(Event::Send),
        1 => Just(Event::SendEarly),
        8 => (0..4_usize).prop_map(Event::Succeed),
        1 => (0..4_usize).prop_map(Event::Fail),
        3 => (0..4_usize, waits(), prop::bool::weighted(0.9)).prop_map(|(index, wait, infers)| {
            Event::Refuse(index, wait, infers)
        }),
        1 => (0..4_usize).prop_map(Event::Refund),
        1 => (0..100_000_u64).prop_map(Event::PauseFor),
        1 => Just(Event::Restore),
    ]
}

proptest! {
    /// Invariants: the time of the next request is finite and not in the past, every run can end, and no run sets
    /// a pace below the rate of the requests that were not refused in the minute before it.
    #[test]
    fn pace_laws_hold_for_all_events(
        start in 0..200_u64,
        events in prop::collection::vec(events(), 1..100),
    ) {
        let mut pace = ObservedLimits::new(true);
        let mut now = START;
        // Requests that were sent and not refused, and those of them whose outcome is not known.
        let mut counted = Vec::new();
        let mut pending = Vec::new();
        let mut saved = None;
        let mut floor = f64::INFINITY;
        for _ in 0..start {
            pace.charge(now);
            counted.push(now);
            pending.push(now);
            now = now + ms(50);
        }
        for event in events {
            let before = pace.rate.unwrap_or(f64::INFINITY);
            match event {
                Event::Wait(millis) => now = now + ms(millis),
                Event::Send | Event::SendEarly => {
                    if let Event::Send = event {
                        now = ready(&pace, now);
                    }
                    pace.charge(now);
                    counted.push(now);
                    pending.push(now);
                }
                Event::PauseFor(millis) => pace.pause_until(now + ms(millis), now),
                Event::Restore => {
                    if let Some((saved, floor_before)) = saved.take() {
                        pace.restore(saved);
                        // A late refusal can resume the run before the reverted one.
                        floor = floor.min(floor_before);
                    }
                }
                Event::Succeed(index) | Event::Fail(index) | Event::Refund(index)
                | Event::Refuse(index, ..) => {
                    let Some(index) = pending.len().checked_sub(index + 1) else { continue };
                    let sent = pending.remove(index);
                    if !matches!(event, Event::Succeed(_)) {
                        let index = counted.iter().rposition(|time| *time == sent).unwrap();
                        counted.remove(index);
                    }
                    match event {
                        Event::Succeed(_) => drop(pace.record_success(sent, now)),
                        Event::Fail(_) => drop(pace.record_failure(sent, now)),
                        Event::Refuse(_, wait, infers) => {
                            let was_unconfirmed = pace.unconfirmed.is_some();
                            let started = pace.record_refusal(sent, wait, infers, now);
                            // The last minute begins with a whole second.
                            let recent = counted.iter().filter(|time| now.since(**time) < ms(59_000));
                            let recent = recent.count() as f64 / 60.0;
                            if let Some(started) = started {
                                saved = Some((started, floor));
                                floor = recent;
                            } else if was_unconfirmed {
                                // The refusal that confirms the run is the one that sets a pace.
                                floor = floor.min(recent);
                            }
                        }
                        _ => pace.refund(sent),
                    }
                }
            }
            let next = ready(&pace, now);
            prop_assert!(next >= now);
            prop_assert!(next.since(now) <= ms(400_000 + 120_000));
            if let Some(rate) = pace.rate {
                prop_assert!(rate.is_finite() && rate >= MIN_RATE, "{}", rate);
                prop_assert!(rate >= before.min(floor) * 0.999_999, "{} from {} below {}", rate, before, floor);
            }
            // Without further refusals, the run ends with the next two requests.
            let mut later = pace.clone();
            let probe = ready(&later, now);
            later.charge(probe);
            let next = ready(&later, probe);
            later.charge(next);
            prop_assert!(later.run.is_none());
        }
    }
}
