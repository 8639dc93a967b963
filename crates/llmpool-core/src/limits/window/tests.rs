use std::time::Duration;

use proptest::prelude::*;

use super::*;

impl SlidingWindow {
    fn minute(limit: u32, seq: u64) -> Self {
        Self::new(limit, MINUTE, seq)
    }

    fn day(limit: u32, seq: u64) -> Self {
        Self::new(limit, DAY, seq)
    }

    /// What can be charged now.
    fn available(&self, now: Timestamp) -> u32 {
        let expired = self.segments.iter();
        let expired = expired.take_while(|segment| segment.expiry <= now);
        let charged = self.charged - expired.map(|segment| segment.charged).sum::<u64>();
        u32::try_from(u64::from(self.limit).saturating_sub(charged)).unwrap_or(u32::MAX)
    }

    /// Charges with the sequence number 1.
    fn charge_first(&mut self, amount: u32, at: Timestamp) -> ChargeId {
        self.charge(amount, at);
        ChargeId { seq: 1, at }
    }
}

const ONE_DAY: Duration = Duration::from_secs(86_400);
const START: Timestamp = Timestamp::from_nanos(6_300_000_000_005);

// L08
#[test]
fn request_above_daily_cap_waits_for_next_day() {
    let mut window = SlidingWindow::day(3, 0);
    let charge = [0; 3].map(|_| {
        assert_eq!(window.ready_at(1, 0, START), START);
        window.charge_first(1, START)
    });
    let ready = window.ready_at(1, 0, START);
    assert!(ready >= START + ONE_DAY && ready <= START + ONE_DAY + Duration::from_secs(900));
    assert_eq!(
        window.ready_at(4, 0, START),
        ready + ONE_DAY,
        "at most three in any day"
    );
    assert!(window.correct(charge[0], 1, 0));
    assert_eq!(
        (window.ready_at(1, 0, START), window.available(START)),
        (START, 1)
    );
    assert_eq!(SlidingWindow::day(0, 0).ready_at(1, 0, START), Timestamp::MAX);
}

#[test]
fn upward_correction_is_debt_and_is_paid_first() {
    let mut window = SlidingWindow::minute(100, 0);
    let charge = window.charge_first(60, START);
    assert!(!window.correct(charge, 60, 150));
    assert_eq!(window.available(START), 0);
    let ready = window.ready_at(1, 0, START);
    assert!(ready > START + Duration::from_secs(60) && ready < START + Duration::from_secs(61));
    assert!(!window.correct(charge, 150, 150) && window.correct(charge, 150, 10));
    assert_eq!(window.available(START), 90);
}

#[test]
fn expired_charge_is_not_corrected() {
    let mut window = SlidingWindow::minute(100, 0);
    let old = window.charge_first(60, START);
    let later = START + Duration::from_secs(70);
    window.charge(1, later);
    assert!(!window.correct(old, 60, 0));
    assert_eq!(window.available(later), 99);
}

#[test]
fn charge_counts_for_at_most_two_segments_more_than_the_span() {
    for (new, span, segment, guard) in [
        (
            SlidingWindow::minute as fn(u32, u64) -> SlidingWindow,
            Duration::from_secs(60),
            Duration::from_millis(250),
            1,
        ),
        (SlidingWindow::day, ONE_DAY, Duration::from_secs(900), 0),
    ] {
        let mut window = new(3, 0);
        window.charge(1, START);
        // The last charge that the segment takes leaves the window together with the first.
        window.charge(1, START + segment - Duration::from_nanos(1));
        let expiry = START + span + segment * (1 + guard);
        assert_eq!(window.segments.len(), 1);
        assert_eq!(window.ready_at(2, 0, START + segment), expiry);
        assert_eq!(window.ready_at(1, 0, START + segment), START + segment);
        window.charge(1, START + segment);
        assert_eq!(window.segments.len(), 2);
        assert_eq!(window.available(expiry - Duration::from_nanos(1)), 0);
        assert_eq!(window.ready_at(2, 0, expiry), expiry);
        window.charge(1, expiry);
        assert_eq!(window.segments.len(), 2, "the first segment is removed");
    }
}

#[test]
fn total_above_the_limit_takes_a_span_per_limit() {
    let mut window = SlidingWindow::minute(3, 0);
    let span = Duration::from_millis(60_250);
    let expected = |total: u32| span * ((total - 1) / 3);
    for total in 1..20 {
        assert_eq!(
            window.ready_at(u64::from(total), 0, START),
            START + expected(total)
        );
    }
    window.charge(2, START);
    let expiry = window.ready_at(2, 0, START);
    for total in 2..20 {
        let first = if total % 3 == 1 { START } else { expiry };
        assert_eq!(
            window.ready_at(u64::from(total), 0, START),
            first + expected(total),
            "{total}"
        );
    }
    assert_eq!(window.ready_at(0, 0, START), START);
    assert_eq!(window.ready_at(u64::MAX, 0, START), Timestamp::MAX);
    let none = SlidingWindow::minute(0, 0);
    assert_eq!(
        (none.ready_at(0, 0, START), none.ready_at(1, 0, START)),
        (START, Timestamp::MAX)
    );
}

#[test]
fn unsettled_charges_may_make_room_at_once() {
    let mut window = SlidingWindow::minute(10, 0);
    window.charge(8, START);
    let expiry = window.ready_at(10, 0, START);
    for (unsettled, amount, expected) in [
        (0, 2, START),
        (0, 3, expiry),
        (1, 3, START),
        (1, 4, expiry),
        (7, 10, expiry),
        (8, 10, START),
        (u64::MAX, 10, START),
    ] {
        let ready = window.ready_at(amount, unsettled, START);
        assert_eq!(ready, expected, "{unsettled} {amount}");
    }
}

#[test]
fn clock_stepping_back_removes_no_charge() {
    let mut window = SlidingWindow::minute(4, 0);
    window.charge(1, START + Duration::from_secs(30));
    let early = window.charge_first(1, START);
    assert_eq!((window.available(START), window.segments.len()), (2, 1));
    assert!(!window.correct(early, 1, 0), "admits less, not more");
}

#[test]
fn charge_to_an_earlier_window_is_not_corrected() {
    let charge = SlidingWindow::minute(10, 0).charge_first(5, START);
    let mut window = SlidingWindow::minute(10, 1);
    window.charge(2, START);
    assert!(!window.correct(charge, 5, 1));
    assert_eq!(window.available(START), 8);
}

proptest! {
    /// No span exceeds the limit, and a charge succeeds at the time that `ready_at` returns.
    #[test]
    fn window_never_exceeds_its_cap(
        limit in 1_u32..30,
        day in any::<bool>(),
        steps in prop::collection::vec((0_u64..30_000, 1_u32..4, any::<bool>(), prop::option::of(0_u32..4)), 1..200),
    ) {
        let mut window = if day { SlidingWindow::day(limit, 0) } else { SlidingWindow::minute(limit, 0) };
        let (span, unit) = if day { (ONE_DAY, 1000) } else { (Duration::from_secs(60), 1) };
        let (mut now, mut charges) = (START, Vec::new());
        for (pause, amount, wait, real) in steps {
            let amount = amount.min(limit);
            now = now + Duration::from_millis(pause * unit);
            let ready = window.ready_at(u64::from(amount), 0, now);
            prop_assert_eq!(ready > now, window.available(now) < amount);
            if ready > now && wait {
                let early = ready - Duration::from_nanos(1);
                prop_assert_eq!(window.ready_at(u64::from(amount), 0, early), ready);
                now = ready;
            }
            if window.ready_at(u64::from(amount), 0, now) == now {
                let charge = window.charge_first(amount, now);
                let real = real.map_or(amount, |real| real.min(amount));
                prop_assert_eq!(window.correct(charge, amount, real), real < amount);
                charges.push((now, real));
            }
        }
        for (first, (from, _)) in charges.iter().enumerate() {
            let within = charges[first..].iter().filter(|(to, _)| to.since(*from) <= span);
            prop_assert!(within.map(|(_, amount)| *amount).sum::<u32>() <= limit);
        }
        let most = window.shape.span.as_nanos() / window.shape.segment.as_nanos() + 1;
        prop_assert!(window.segments.len() as u128 <= most);
    }
}

/// Returns what a window saves at `saved_at` after one charge.
fn saved(amount: u32, charged_at: Timestamp, saved_at: Timestamp) -> Vec<SavedCharge> {
    let mut window = SlidingWindow::day(100, 0);
    window.charge(amount, charged_at);
    window.save(saved_at)
}

fn after_minutes(minutes: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(minutes * 60)
}

/// The charge is added to a loaded segment.
#[test]
fn charge_after_loading_can_be_corrected() {
    let loaded = saved(10, after_minutes(15), after_minutes(15));
    let mut window = SlidingWindow::day(100, 0);
    window.charge(5, after_minutes(40));
    window.load(&loaded, Duration::ZERO, after_minutes(61));
    let (seq, at) = (3, after_minutes(62));
    window.charge(20, at);
    window.correct(ChargeId { seq, at }, 20, 80);
    assert_eq!(window.available(at), 5);
}

#[test]
fn expired_charge_corrects_nothing_that_was_loaded() {
    let loaded = saved(10, after_minutes(0), after_minutes(0));
    let mut window = SlidingWindow::day(100, 0);
    window.charge(1, after_minutes(7));
    let charge = window.charge_first(50, after_minutes(21));
    let now = after_minutes(24 * 60 + 23);
    window.charge(1, now);
    // The loaded charge ends when one that was made at 21 minutes can end.
    window.load(&loaded, Duration::from_secs((24 * 60 + 8) * 60), now);
    assert_eq!(window.available(now), 89);
    window.correct(charge, 50, 0);
    assert_eq!(window.available(now), 89);
}

#[test]
fn loaded_charge_counts_for_no_longer_than_a_new_one() {
    let forever = SavedCharge {
        counts_for_ms: u64::MAX,
        amount: 100,
    };
    for mut window in [SlidingWindow::day(100, 0), SlidingWindow::minute(100, 0)] {
        window.load(&[forever], Duration::ZERO, START);
        let mut new = SlidingWindow::new(100, window.shape, 0);
        new.charge(100, START);
        assert_eq!(window.ready_at(1, 0, START), new.ready_at(1, 0, START));
    }
    assert_eq!(saved(1, START, START + ONE_DAY * 2), []);
}

/// Each of many windows was used at other times.
#[test]
fn loaded_charges_of_many_windows_share_segments() {
    let mut window = SlidingWindow::day(1000, 0);
    let now = after_minutes(1500);
    for second in 1..=900 {
        let at = now - Duration::from_secs(1000 - second);
        window.load(&saved(1, at, at), now.since(at), now);
    }
    assert_eq!(window.available(now), 100);
    assert!(window.segments.len() <= 3, "{}", window.segments.len());
    // No charge counts for more than a segment longer.
    for (total, last_charge) in [(101, 999), (1000, 100)] {
        let expiry = now + ONE_DAY + Duration::from_secs(1800 - last_charge);
        assert!(window.ready_at(total, 0, now) <= expiry, "{total}");
    }
}

/// The charges were made long before the clock of the new process began.
#[test]
fn loaded_charges_expire_beside_those_of_a_new_process() {
    let loaded = saved(60, after_minutes(0), after_minutes(0));
    let mut window = SlidingWindow::day(100, 0);
    window.charge(40, after_minutes(1));
    window.load(&loaded, Duration::from_secs(22 * 3600), after_minutes(2));
    let expiry = window.ready_at(60, 0, after_minutes(2));
    assert!(
        (after_minutes(120)..=after_minutes(150)).contains(&expiry),
        "{expiry:?}"
    );
}

/// A limiter whose attempts are in flight gets the charges of another one.
#[test]
fn charge_is_corrected_beside_loaded_ones() {
    for before in [true, false] {
        let mut window = SlidingWindow::minute(10_000, 0);
        if before {
            window.charge(8_000, START);
        }
        let millis = [60_100, 60_300, 60_400];
        let loaded = millis.map(|counts_for_ms| SavedCharge {
            counts_for_ms,
            amount: 10,
        });
        window.load(&loaded, Duration::ZERO, START);
        if !before {
            window.charge(8_000, START);
        }
        let charge = ChargeId { seq: 1, at: START };
        assert!(window.correct(charge, 8_000, 500));
        assert_eq!(window.available(START), 9_470, "{before}");
        assert!(!window.correct(charge, 500, 9_000));
        assert_eq!(window.available(START), 970, "{before}");
        window.correct(charge, 9_000, 0);
        window.correct(charge, 9_000, 0);
        assert_eq!(window.available(START), 9_970, "what was loaded is not corrected");
    }
}
