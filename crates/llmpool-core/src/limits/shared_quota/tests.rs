use std::time::Duration;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000_000);

fn left(remaining: u32) -> LimitSnapshot {
    LimitSnapshot {
        remaining: Some(remaining),
        ..LimitSnapshot::default()
    }
}

/// The accounts of some keys, each with a limit that only shrinks.
struct Accounts {
    of: Vec<usize>,
    left: Vec<u32>,
}

impl Accounts {
    fn new(of: &[usize]) -> Self {
        Self {
            of: of.to_vec(),
            left: vec![1000; of.len()],
        }
    }

    fn count(&mut self, key: usize) -> u32 {
        let left = &mut self.left[self.of[key]];
        *left -= 1;
        *left
    }
}

fn ids(keys: &[u32]) -> Vec<KeyId> {
    keys.iter().copied().map(KeyId).collect()
}

/// Sends `count` requests over the keys in turn; key `i` belongs to account `of[i]`, and at most `late` later responses overtake each.
fn play(of: &[usize], count: usize, late: &[usize]) -> Option<(usize, Vec<KeyId>)> {
    let mut accounts = Accounts::new(of);
    let mut detector = SharedQuotaDetector::default();
    let mut in_flight: Vec<(usize, u32)> = Vec::new();
    for turn in 0..count {
        let key = turn % of.len();
        in_flight.push((key, accounts.count(key)));
        let late = late[turn % late.len()];
        if in_flight.len() > late {
            let (key, remaining) = in_flight.remove(turn * 7 % in_flight.len());
            let shared_with = detector.observe(KeyId(key as u32), None, &left(remaining), NOW);
            if let Some(shared_with) = shared_with {
                return Some((turn, shared_with));
            }
        }
    }
    None
}

// L07
#[test]
fn keys_of_one_account_are_detected_by_remaining_counts() {
    for (of, shared) in [
        (&[0, 0][..], vec![0, 1]),
        (&[0, 0, 0], vec![0, 1, 2]),
        (&[0, 1, 2, 1], vec![1, 3]),
        (&[0, 0, 0, 1], vec![0, 1, 2]),
        (&[0; 10], (0..10).collect()),
    ] {
        for late in [&[0][..], &[0, 3, 1], &[12]] {
            let (turn, shared_with) = play(of, 400, late).unwrap_or_else(|| panic!("{of:?} {late:?}"));
            assert_eq!(shared_with, ids(&shared), "{of:?} {late:?}");
            assert!(turn <= 40 + of.len() * 8 + late[0] * 6, "{of:?} {late:?}: {turn}");
        }
    }
}

proptest! {
    /// With other users of the accounts, and with responses in any order.
    // L07
    #[test]
    fn keys_of_separate_accounts_are_not_joined(
        keys in 2usize..6,
        late in prop::collection::vec(0usize..30, 1..8),
        steps in prop::collection::vec((0usize..6, any::<bool>(), any::<prop::sample::Index>()), 400),
        other_users in any::<bool>(),
    ) {
        let of: Vec<usize> = (0..keys).collect();
        let mut accounts = Accounts::new(&of);
        let mut detector = SharedQuotaDetector::default();
        let mut in_flight: Vec<(usize, u32)> = Vec::new();
        for (turn, (key, other_user, place)) in steps.into_iter().enumerate() {
            let key = key % keys;
            let remaining = accounts.count(key);
            if other_users && other_user {
                continue;
            }
            in_flight.push((key, remaining));
            if in_flight.len() > late[turn % late.len()] {
                let (key, remaining) = in_flight.swap_remove(place.index(in_flight.len()));
                let shared_with = detector.observe(KeyId(key as u32), None, &left(remaining), NOW);
                prop_assert_eq!(shared_with, None, "at {}", turn);
            }
        }
    }
}

/// One request per second refills: the remaining count reveals nothing, the time until full does.
// L07
#[test]
fn shared_refilling_limit_is_detected() {
    for (of, expected) in [([0, 0, 0], Some(ids(&[0, 1, 2]))), ([0, 1, 2], None)] {
        let mut full_at = [0.0_f64; 3];
        let mut detector = SharedQuotaDetector::default();
        let mut found = None;
        for turn in 0..120 {
            let seconds = f64::from(turn) * 0.3;
            let key = turn as usize % 3;
            let full = &mut full_at[of[key]];
            *full = full.max(seconds) + 1.0;
            let missing = *full - seconds;
            let snapshot = LimitSnapshot {
                limit: Some(60),
                remaining: Some((60.0 - missing).max(0.0) as u32),
                reset: Some(Duration::from_secs_f64(missing)),
            };
            let now = NOW + Duration::from_secs_f64(seconds);
            found = found.or(detector.observe(KeyId(key as u32), None, &snapshot, now));
        }
        assert_eq!(found, expected, "{of:?}");
    }
}

#[test]
fn account_name_is_sufficient() {
    let mut detector = SharedQuotaDetector::default();
    let mut named =
        |key, account| detector.observe(KeyId(key), Some(account), &LimitSnapshot::default(), NOW);
    assert_eq!(named(0, 7), None);
    assert_eq!(named(1, 8), None);
    assert_eq!(named(2, 7), Some(ids(&[0, 2])));
    assert_eq!(named(2, 7), None, "reported once");
    assert_eq!(named(3, 7), Some(ids(&[0, 2, 3])));
}

#[test]
fn keys_with_different_account_names_are_never_joined() {
    let mut detector = SharedQuotaDetector::default();
    for turn in 0..400 {
        let key = turn % 2;
        let shared_with = detector.observe(KeyId(key), Some(u64::from(key)), &left(1000 - turn), NOW);
        assert_eq!(shared_with, None);
    }
}
