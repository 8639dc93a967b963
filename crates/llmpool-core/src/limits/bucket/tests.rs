use super::*;
use proptest::prelude::*;
use std::time::Duration;

const START: Timestamp = Timestamp::from_nanos(5_000_000_000);

/// A bucket that numbers its charges.
#[derive(Clone)]
struct NumberedBucket {
    bucket: Bucket,
    seq: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Charged {
    seq: u64,
    amount: u32,
}

impl std::ops::Deref for NumberedBucket {
    type Target = Bucket;

    fn deref(&self) -> &Bucket {
        &self.bucket
    }
}

impl NumberedBucket {
    fn new(rate_limit: RateLimit) -> Self {
        Self {
            bucket: Bucket::new(rate_limit, 0),
            seq: 0,
        }
    }

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Charges the amount if it is available. Otherwise returns when it will be.
    fn try_charge(&mut self, amount: u32, now: Timestamp) -> Result<Charged, Timestamp> {
        match self.ready_at(amount.into(), now) {
            until if until > now => Err(until),
            _ => Ok(self.charge(amount, now)),
        }
    }

    fn charge(&mut self, amount: u32, now: Timestamp) -> Charged {
        let seq = self.next_seq();
        self.bucket.charge(amount, seq, now);
        Charged { seq, amount }
    }

    fn refund(&mut self, charged: Charged) {
        self.bucket.refund(charged.amount, charged.seq);
    }

    fn set_rate_limit(&mut self, rate_limit: RateLimit, now: Timestamp) {
        let seq = self.next_seq();
        self.bucket.set_rate_limit(rate_limit, seq, now);
    }

    fn cap_at(&mut self, limit: u32, now: Timestamp) {
        let seq = self.next_seq();
        self.bucket.cap_at(limit, seq, now);
    }
}

fn bucket(capacity: u32, rate: f64) -> NumberedBucket {
    NumberedBucket::new(RateLimit::new(capacity, rate).unwrap())
}

#[test]
fn single_charges_cost_as_much_as_one_large_charge() {
    let mut singles = bucket(3, 3.0);
    for _ in 0..3 {
        assert!(singles.try_charge(1, START).is_ok());
    }
    let mut whole = bucket(3, 3.0);
    assert!(whole.try_charge(3, START).is_ok());
    assert_eq!(singles.try_charge(1, START), whole.try_charge(1, START));
}

#[test]
fn denial_time_is_exact() {
    let mut bucket = bucket(5, 10.0);
    assert!(bucket.try_charge(5, START).is_ok());
    let ready = bucket.ready_at(2, START);
    assert_eq!(ready, START + Duration::from_millis(200));
    let mut early = bucket.clone();
    assert_eq!(early.try_charge(2, ready - Duration::from_nanos(1)), Err(ready));
    assert!(bucket.try_charge(2, ready).is_ok());
}

// U09, O14
#[test]
fn clock_stepping_back_changes_no_tokens() {
    let mut bucket = bucket(2, 1.0);
    assert!(bucket.try_charge(2, START).is_ok());
    assert_eq!(
        bucket.try_charge(1, Timestamp::ZERO),
        Err(START + Duration::from_secs(1))
    );
    assert_eq!(bucket.available(START + Duration::from_secs(1)), 1);
}

#[test]
fn debt_is_paid_first() {
    let mut bucket = bucket(4, 2.0);
    let charged = bucket.charge(6, START);
    assert_eq!(bucket.available(START), 0);
    assert_eq!(
        bucket.try_charge(1, START),
        Err(START + Duration::from_millis(1500))
    );
    bucket.refund(charged);
    assert_eq!(bucket.available(START), 4);
}

#[test]
fn refund_does_not_return_what_refilled_meanwhile() {
    let mut bucket = bucket(2, 2.0);
    let missing = bucket.try_charge(1, START).unwrap();
    let later = START + Duration::from_millis(500);
    assert!(bucket.try_charge(2, later).is_ok(), "the bucket is full again");
    bucket.refund(missing);
    assert_eq!(bucket.available(later), 0, "three at once exceed the capacity");
}

#[test]
fn end_of_time_admits_nothing_extra() {
    let mut bucket = bucket(2, 1.0);
    let late = Timestamp::MAX - Duration::from_nanos(1);
    assert!(bucket.try_charge(2, late).is_ok());
    assert_eq!(bucket.try_charge(1, late), Err(Timestamp::MAX));
}

// L35, L38
#[test]
fn rate_limit_change_keeps_the_balance() {
    let mut same = bucket(10, 1.0);
    same.try_charge(5, START).unwrap();
    let charged = same.try_charge(4, START).unwrap();
    same.set_rate_limit(RateLimit::new(10, 1.0).unwrap(), START);
    assert_eq!(same.available(START), 1);
    same.refund(charged);
    assert_eq!(
        same.available(START),
        5,
        "the refund is as exact as without a change"
    );
    same.try_charge(2, START).unwrap();
    same.set_rate_limit(RateLimit::new(100, 5.0).unwrap(), START);
    assert_eq!(same.available(START), 3, "more capacity adds no tokens");
    assert_eq!(
        same.available(START + Duration::from_secs(1)),
        8,
        "the new rate applies at once"
    );
    same.set_rate_limit(RateLimit::new(2, 0.5).unwrap(), START);
    assert_eq!(same.available(START), 2, "capped at the new capacity");
    let mut indebted = bucket(4, 2.0);
    let charged = indebted.charge(6, START);
    indebted.set_rate_limit(RateLimit::new(4, 1.0).unwrap(), START);
    assert_eq!(indebted.try_charge(1, START), Err(START + Duration::from_secs(3)));
    indebted.refund(charged);
    assert_eq!(indebted.try_charge(1, START), Err(START + Duration::from_secs(3)));
}

#[test]
fn cap_leaves_one_token() {
    let mut bucket = bucket(10, 1.0);
    bucket.cap_at(1, START);
    assert_eq!(bucket.available(START), 1);
    bucket.cap_at(1, START);
    assert!(bucket.try_charge(1, START).is_ok() && bucket.try_charge(1, START).is_err());
}

#[test]
fn single_tokens_are_available_until_the_end() {
    let mut bucket = bucket(5, 1.0);
    bucket.charge(4, START);
    let end = START + Duration::from_secs(3);
    bucket.bucket.admit_single_until(end, START);
    assert_eq!(bucket.available(START), 1);
    assert_eq!(bucket.ready_at(2, START), START + Duration::from_secs(1));
    bucket.charge(2, START);
    for (seconds, available) in [(1, 0), (2, 1), (3, 5)] {
        let now = START + Duration::from_secs(seconds);
        assert_eq!(bucket.available(now), available, "{seconds}");
    }
    // A larger capacity adds no tokens, neither before the end nor for good.
    bucket.set_rate_limit(RateLimit::new(50, 1.0).unwrap(), START);
    assert_eq!(bucket.available(START), 0);
    assert_eq!(bucket.ready_at(1, START), START + Duration::from_secs(2));
    assert_eq!(bucket.ready_at(3, START), end, "all at once at the end");
    assert_eq!(bucket.ready_at(60, START), START + Duration::from_secs(12));
}

#[test]
fn refunds_are_exact_for_the_latest_charges() {
    let mut bucket = bucket(100, 1.0);
    let charges = [0; 100].map(|_| bucket.charge(1, START));
    assert_eq!(bucket.peaks.len(), MAX_PEAKS);
    for (refunded, charge) in charges.into_iter().rev().enumerate() {
        let available = bucket.available(START) as usize;
        assert!(available == refunded || available < refunded && refunded > MAX_PEAKS);
        bucket.refund(charge);
    }
}

#[test]
fn bucket_used_at_its_rate_stores_one_peak() {
    let mut bucket = bucket(1, 1.0);
    for second in 0..10 {
        bucket.try_charge(1, START + Duration::from_secs(second)).unwrap();
        assert_eq!(bucket.peaks.len(), 1);
    }
}

#[test]
fn small_buckets_exhaustively() {
    // Every sequence of three charges: within capacity plus refill, exact denial times, and tokens never decrease with time.
    for (capacity, rate, step) in [(1, 1), (1, 3), (2, 1), (2, 2), (3, 1)]
        .into_iter()
        .flat_map(|(capacity, rate)| [0, 250, 333, 1000].map(|step| (capacity, rate, step)))
    {
        for amounts in (0..64_u32).map(|code| [code % 4, code / 4 % 4, code / 16]) {
            let mut bucket = bucket(capacity, f64::from(rate));
            let mut charged = 0;
            for (at, amount) in amounts.into_iter().enumerate() {
                let now = START + Duration::from_millis(step * at as u64);
                let available = bucket.available(now);
                assert!(
                    available <= capacity && bucket.available(now + Duration::from_millis(10)) >= available
                );
                match bucket.try_charge(amount, now) {
                    Ok(_) => charged += amount,
                    Err(_) if amount > capacity => {}
                    Err(ready) => {
                        assert!(amount > available && bucket.available(ready) >= amount);
                        assert!(bucket.available(ready - Duration::from_nanos(1)) < amount);
                    }
                }
                let passed = step * at as u64 * u64::from(rate as u32) / 1000;
                assert!(u64::from(charged) <= u64::from(capacity) + passed);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Charge(u32),
    Refund(prop::sample::Index),
    Single(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u32..3).prop_map(Step::Charge),
        4 => any::<prop::sample::Index>().prop_map(Step::Refund),
        1 => (1_u64..3000).prop_map(|millis| Step::Single(Duration::from_millis(millis))),
    ]
}

proptest! {
    /// Any values of the types: no overflow, never more than the invariant allows, and tokens never decrease with time.
    #[test]
    fn arbitrary_values_keep_the_invariant(
        capacity in 1_u32..,
        rate in prop_oneof![1e-3_f64..1e3, 1e3_f64..1e18],
        steps in prop::collection::vec((any::<u64>(), any::<u32>(), 0_u8..5), 1..40),
    ) {
        let Ok(rate_limit) = RateLimit::new(capacity, rate) else { return Ok(()) };
        let mut bucket = NumberedBucket::new(rate_limit);
        let (mut now, mut spent) = (Timestamp::ZERO, 0_u128);
        for (pause, amount, action) in steps {
            now = now.saturating_add_nanos(pause >> (pause % 64));
            if now == Timestamp::MAX {
                break;
            }
            let amount = amount >> (amount % 32);
            let available = bucket.available(now);
            prop_assert!(available <= capacity && bucket.available(now.saturating_add_nanos(1)) >= available);
            match action {
                0 => { bucket.charge(amount, now); spent += u128::from(amount); }
                1 => { let charged = bucket.charge(amount, now); bucket.refund(charged); prop_assert_eq!(bucket.available(now), available); }
                _ => match bucket.try_charge(amount, now) {
                    Ok(_) => { prop_assert!(amount <= available); spent += u128::from(amount); }
                    Err(_) if amount > capacity => {}
                    Err(ready) => {
                        // In debt even an amount of 0 is denied.
                        prop_assert!((ready > now || now == Timestamp::MAX) && (amount > available || amount == 0));
                        if ready < Timestamp::MAX {
                            prop_assert!(bucket.ready_at(amount.into(), ready) == ready);
                            prop_assert!(bucket.ready_at(amount.into(), ready - Duration::from_nanos(1)) == ready);
                        }
                    }
                },
            }
            if bucket.available(now) > 0 {
                let refilled = u128::from(now.as_nanos()) * STEPS_PER_NANO / rate_limit.steps_per_token;
                prop_assert!(spent <= u128::from(capacity) + refilled + 1);
            }
        }
    }

    /// A change of the rate limit admits no more than the looser of the two.
    // L35
    #[test]
    fn rate_limit_change_adds_no_burst(
        steps in prop::collection::vec((0_u64..500_000_000, 1_u32..3, prop::option::of((1_u32..6, 0.5_f64..10.0))), 1..80),
    ) {
        let mut bucket = bucket(3, 2.0);
        let (mut now, mut charged) = (START, Vec::new());
        let (mut capacity_limit, mut fastest) = (3.0_f64, 2.0_f64);
        for (pause, amount, change) in steps {
            now = now.saturating_add_nanos(pause);
            if let Some((capacity, rate)) = change {
                let available = bucket.available(now);
                bucket.set_rate_limit(RateLimit::new(capacity, rate).unwrap(), now);
                prop_assert!(bucket.available(now) <= available && bucket.available(now) + 1 >= available.min(capacity));
                (capacity_limit, fastest) = (capacity_limit.max(f64::from(capacity)), fastest.max(rate));
            }
            if bucket.try_charge(amount, now).is_ok() {
                charged.push((now, amount));
            }
        }
        for (first, &(from, _)) in charged.iter().enumerate() {
            let mut sum = 0_u32;
            for &(to, amount) in &charged[first..] {
                sum += amount;
                prop_assert!(f64::from(sum) <= capacity_limit + fastest * to.since(from).as_secs_f64() + 1e-6);
            }
        }
    }

    /// The invariant of the module, for any sequence of charges.
    #[test]
    fn never_more_than_capacity_plus_rate_times_span(
        capacity in 1_u32..50,
        rate in 0.01_f64..1_000.0,
        steps in prop::collection::vec((0_u64..2_000_000_000, 1_u32..10), 1..200),
    ) {
        let mut bucket = bucket(capacity, rate);
        let mut now = START;
        let mut charged: Vec<(Timestamp, u32)> = Vec::new();
        for (pause, amount) in steps {
            now = now.saturating_add_nanos(pause);
            if bucket.try_charge(amount, now).is_ok() {
                charged.push((now, amount));
            }
        }
        for (first, &(from, _)) in charged.iter().enumerate() {
            let mut sum = 0_u64;
            for &(to, amount) in &charged[first..] {
                sum += u64::from(amount);
                let allowed = f64::from(capacity) + rate * to.since(from).as_secs_f64();
                prop_assert!(sum as f64 <= allowed + 1e-6, "{sum} > {allowed}");
            }
        }
    }

    /// The amount is denied a nanosecond earlier, and available at the returned time.
    #[test]
    fn any_denial_time_is_exact(capacity in 1_u32..100, rate in 0.001_f64..1e6, first in 1_u32..100, then in 1_u32..100) {
        let mut bucket = bucket(capacity, rate);
        let _ = bucket.try_charge(first.min(capacity), START);
        if let Err(ready) = bucket.try_charge(then.min(capacity), START) {
            prop_assert!(bucket.ready_at(then.min(capacity).into(), ready - Duration::from_nanos(1)) == ready);
            prop_assert!(bucket.ready_at(then.min(capacity).into(), ready) == ready);
        }
    }

    /// After refunds in any order, the bucket is as if only the other charges had been made.
    #[test]
    fn refund_restores_level(
        capacity in 1_u32..8,
        rate in 0.5_f64..20.0,
        steps in prop::collection::vec((0_u64..600_000_000, step()), 1..60),
    ) {
        let mut bucket = bucket(capacity, rate);
        let mut now = START;
        // The charges that were not refunded, and the times for which single tokens are admitted.
        let mut changes: Vec<(Timestamp, Result<Charged, Timestamp>)> = Vec::new();
        for (pause, step) in steps {
            now = now.saturating_add_nanos(pause);
            match step {
                Step::Charge(amount) => if let Ok(charged) = bucket.try_charge(amount, now) {
                    changes.push((now, Ok(charged)));
                }
                Step::Refund(which) if !changes.is_empty() => {
                    let which = which.index(changes.len());
                    if let Ok(charged) = changes[which].1 {
                        bucket.refund(charged);
                        let _ = changes.remove(which);
                    }
                }
                Step::Single(duration) => {
                    let available = bucket.available(now);
                    bucket.bucket.admit_single_until(now + duration, now);
                    changes.push((now, Err(now + duration)));
                    prop_assert_eq!(bucket.available(now), available.min(1));
                }
                Step::Refund(_) => {}
            }
            let mut rest = NumberedBucket::new(*bucket.rate_limit());
            for (at, change) in &changes {
                match change {
                    Ok(charged) => { rest.charge(charged.amount, *at); }
                    Err(until) => rest.bucket.admit_single_until(*until, *at),
                }
            }
            prop_assert_eq!(bucket.full_at().max(steps_at(now)), rest.full_at().max(steps_at(now)));
            prop_assert_eq!(bucket.single_until, rest.single_until);
        }
    }

    /// The number of peaks is bounded, and merged peaks add no tokens.
    #[test]
    fn merged_peaks_add_no_tokens(steps in prop::collection::vec((0_u64..90_000_000, any::<prop::sample::Index>(), any::<bool>()), 200..400)) {
        let mut bucket = bucket(500, 10.0);
        let mut now = START;
        let mut charges: Vec<(Timestamp, Charged)> = Vec::new();
        for (pause, which, refund) in steps {
            now = now.saturating_add_nanos(pause);
            if refund && !charges.is_empty() {
                bucket.refund(charges.remove(which.index(charges.len())).1);
            } else {
                charges.extend(bucket.try_charge(1, now).ok().map(|charged| (now, charged)));
            }
            prop_assert!(bucket.peaks.len() <= MAX_PEAKS);
        }
        let mut rest = NumberedBucket::new(*bucket.rate_limit());
        for (at, _) in &charges {
            rest.charge(1, *at);
        }
        prop_assert!(bucket.full_at().max(steps_at(now)) >= rest.full_at().max(steps_at(now)));
    }
}
