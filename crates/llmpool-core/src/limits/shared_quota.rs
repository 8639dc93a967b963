//! Which keys turn out to share one account, though nobody said so.
//!
//! Two signs. The provider names the account in a header (`openai-organization`). Or what is left of the limit shows it: an account counts
//! every request down by one, so each answer has a number of its own. Keys of one account divide the numbers of a span among them without
//! a gap and without ever having the same one; keys with an account each come upon the same numbers. The order of the answers plays no
//! part in it, so answers that overtake each other do no harm. Where others use the accounts too there are gaps, and nothing is concluded.
//!
//! A limit that refills all the time counts up again meanwhile. There the instant at which it would be whole takes the place of what is
//! left: every request moves it by one, and time does not.

use std::collections::VecDeque;

use super::key::KeyId;
use super::observed_limits::{self, LimitSnapshot};
use crate::time::Timestamp;

/// Every key is compared with every other one; of more than this only the account's name is looked at.
const MOST_COMPARED: usize = 64;
/// A key is compared after so many of its answers.
const EVERY: u8 = 4;
/// So many numbers without a gap must have been divided. Of accounts of which half the numbers are seen, one span in four billion is.
const SPAN: usize = 32;
/// So often the next number must have gone to another key: two keys of which one just goes on where the other ended divide nothing.
const TURNS: usize = 16;
/// So often each key must have had its turn.
const SHARE: usize = 5;
/// Where so many numbers in a row are far from those before, the count began anew.
const ASTRAY: u8 = 3;
/// Of a key so many of its latest numbers are known.
const MOST_NUMBERS: usize = 128;

/// What was seen of the keys of one provider.
#[derive(Clone, Debug, Default)]
pub struct SharedQuotaDetector {
    seen: Vec<Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    /// A fingerprint of the account's name.
    account: Option<u64>,
    /// The first key that is known to share its account, by place in `seen`.
    family: Option<usize>,
    by_left: CounterTrace,
    by_refill: CounterTrace,
    /// Answers since it was compared.
    news: u8,
}

impl SharedQuotaDetector {
    /// An answer came for a key: perhaps the name of its account, perhaps what is left of its requests. Answers with all keys that are now
    /// known to share an account with it, when that is news.
    pub fn answered(
        &mut self,
        key: KeyId,
        account: Option<u64>,
        requests: &LimitSnapshot,
        now: Timestamp,
    ) -> Option<Vec<KeyId>> {
        let at = key.index();
        if self.seen.len() <= at {
            self.seen.resize_with(at + 1, Seen::default);
        }
        let mut found = Vec::new();
        if account.is_some() && self.seen[at].account != account {
            self.seen[at].account = account;
            found = self.namesakes(account);
        }
        if self.seen.len() <= MOST_COMPARED && self.seen[at].note(requests, now) {
            found.extend(self.sharers(at, |seen| &seen.by_left));
            found.extend(self.sharers(at, |seen| &seen.by_refill));
        }
        self.unite(at, &found)
    }

    fn namesakes(&self, account: Option<u64>) -> Vec<usize> {
        let all = self.seen.iter().enumerate();
        all.filter(|(_, seen)| seen.account == account)
            .map(|(at, _)| at)
            .collect()
    }

    /// Those that divide the numbers of a span with this key, if it is all of them.
    fn sharers(&self, at: usize, trail: impl Fn(&Seen) -> &CounterTrace) -> Vec<usize> {
        let own = trail(&self.seen[at]);
        let mut others: Vec<usize> = (0..self.seen.len())
            .filter(|other| *other != at && !self.are_apart(at, *other))
            .filter(|other| trail(&self.seen[*other]).numbers.len() >= SHARE)
            .collect();
        // Those that account for most come first: the more is accounted for, the less a stranger fits in.
        others.sort_by_key(|other| {
            let kin = self.are_kin(at, *other);
            std::cmp::Reverse((kin, own.span().in_common(trail(&self.seen[*other]))))
        });
        let mut division = Partition::of(at, own);
        for other in others {
            division.admit(other, trail(&self.seen[other]));
        }
        division.of_a_span_without_gap()
    }

    fn are_apart(&self, one: usize, other: usize) -> bool {
        let named = (self.seen[one].account, self.seen[other].account);
        matches!(named, (Some(one), Some(other)) if one != other)
    }

    fn are_kin(&self, one: usize, other: usize) -> bool {
        self.seen[one].family.is_some() && self.seen[one].family == self.seen[other].family
    }

    /// Makes one family of these and of all that were in a family with one of them.
    fn unite(&mut self, at: usize, found: &[usize]) -> Option<Vec<KeyId>> {
        if !found
            .iter()
            .any(|other| *other != at && !self.are_kin(at, *other))
        {
            return None;
        }
        let families: Vec<usize> = found
            .iter()
            .chain([&at])
            .filter_map(|one| self.seen[*one].family)
            .collect();
        let belongs = |(place, seen): (usize, &Seen)| {
            let named = seen.family.is_some_and(|family| families.contains(&family));
            (named || place == at || found.contains(&place)).then_some(place)
        };
        let kin: Vec<usize> = self.seen.iter().enumerate().filter_map(belongs).collect();
        for &one in &kin {
            self.seen[one].family = kin.first().copied();
        }
        Some(kin.into_iter().map(|one| KeyId(one as u32)).collect())
    }
}

impl Seen {
    /// Notes what is left. Answers whether it is time to compare.
    fn note(&mut self, requests: &LimitSnapshot, now: Timestamp) -> bool {
        // Refused requests have no number, and are told that nothing is left.
        let Some(left) = requests.remaining.filter(|left| *left > 0) else {
            return false;
        };
        self.by_left.add(-i64::from(left) * ONE);
        match observed_limits::refills_by(requests, now) {
            Some(number) => self.by_refill.add((number * ONE as f64) as i64),
            None => self.by_refill.begin_anew(),
        }
        self.news += 1;
        let due = self.news >= EVERY;
        if due {
            self.news = 0;
        }
        due
    }
}

/// Numbers are kept in thousandths, since instants fall between them.
const ONE: i64 = 1000;

/// The latest numbers of one key, which grow with every request of the account.
#[derive(Clone, Debug, Default)]
struct CounterTrace {
    numbers: VecDeque<i64>,
    /// Numbers in a row that are far from all others.
    astray: u8,
}

impl CounterTrace {
    fn add(&mut self, number: i64) {
        let Span { first, last } = self.span();
        // Answers that were overtaken come late.
        let late = (8 * ONE).max((last - first) / 2);
        let is_near = (last - late..=last + 64 * ONE).contains(&number);
        self.astray = if is_near || self.numbers.is_empty() {
            0
        } else {
            self.astray + 1
        };
        let is_known = self.numbers.iter().any(|known| is_same(*known, number));
        if is_known || self.astray >= ASTRAY {
            self.begin_anew();
        }
        if self.astray > 0 {
            return;
        }
        if self.numbers.len() == MOST_NUMBERS {
            self.numbers.pop_front();
        }
        self.numbers.push_back(number);
    }

    /// The count began anew.
    fn begin_anew(&mut self) {
        self.numbers.clear();
        self.astray = 0;
    }

    fn span(&self) -> Span {
        Span {
            first: self.numbers.iter().copied().min().unwrap_or(0),
            last: self.numbers.iter().copied().max().unwrap_or(0),
        }
    }
}

fn is_same(one: i64, other: i64) -> bool {
    (one - other).abs() < ONE / 2
}

#[derive(Clone, Copy, Debug)]
struct Span {
    first: i64,
    last: i64,
}

impl Span {
    fn has(&self, number: i64) -> bool {
        (self.first..=self.last).contains(&number)
    }

    fn in_common(&self, trail: &CounterTrace) -> usize {
        trail.numbers.iter().filter(|number| self.has(**number)).count()
    }
}

/// Numbers of keys that never had the same one.
struct Partition {
    /// Each number with its key, in their order.
    taken: Vec<(i64, usize)>,
}

impl Partition {
    fn of(at: usize, trail: &CounterTrace) -> Self {
        let mut division = Self { taken: Vec::new() };
        division.admit(at, trail);
        division
    }

    /// Takes a key in whose numbers nobody had.
    fn admit(&mut self, at: usize, trail: &CounterTrace) {
        if trail.numbers.iter().any(|number| self.has(*number)) {
            return;
        }
        self.taken
            .extend(trail.numbers.iter().map(|number| (*number, at)));
        self.taken.sort_unstable();
    }

    fn has(&self, number: i64) -> bool {
        let place = self.taken.partition_point(|(taken, _)| *taken < number);
        let near = self.taken[place.saturating_sub(1)..].iter().take(2);
        near.into_iter().any(|(taken, _)| is_same(*taken, number))
    }

    /// The keys that took turns in a span in which every number is taken.
    fn of_a_span_without_gap(&self) -> Vec<usize> {
        let follows = |one: &(i64, usize), next: &(i64, usize)| next.0 - one.0 < ONE * 3 / 2;
        let mut found = Vec::new();
        for span in self.taken.chunk_by(follows).filter(|span| span.len() >= SPAN) {
            let turns = span.chunk_by(|(_, one), (_, next)| one == next);
            let mut turns: Vec<usize> = turns.map(|turn| turn[0].1).collect();
            if turns.len() < TURNS {
                continue;
            }
            turns.sort_unstable();
            let shares = turns.chunk_by(|one, other| one == other);
            let shares: Vec<usize> = shares
                .filter(|share| share.len() >= SHARE)
                .map(|share| share[0])
                .collect();
            if shares.len() > 1 {
                found.extend(shares);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
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

    /// The accounts behind some keys, each with a limit that only shrinks.
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

    /// Sends `count` requests round the keys, whose accounts are `of`; each answer is overtaken by `late` others at most.
    fn play(of: &[usize], count: usize, late: &[usize]) -> Option<(usize, Vec<KeyId>)> {
        let mut accounts = Accounts::new(of);
        let mut kinship = SharedQuotaDetector::default();
        let mut under_way: Vec<(usize, u32)> = Vec::new();
        for turn in 0..count {
            let key = turn % of.len();
            under_way.push((key, accounts.count(key)));
            let late = late[turn % late.len()];
            if under_way.len() > late {
                let (key, remaining) = under_way.remove(turn * 7 % under_way.len());
                let kin = kinship.answered(KeyId(key as u32), None, &left(remaining), NOW);
                if let Some(kin) = kin {
                    return Some((turn, kin));
                }
            }
        }
        None
    }

    // L07
    #[test]
    fn keys_of_one_account_are_found_out_by_what_is_left() {
        for (of, shared) in [
            (&[0, 0][..], vec![0, 1]),
            (&[0, 0, 0], vec![0, 1, 2]),
            (&[0, 1, 2, 1], vec![1, 3]),
            (&[0, 0, 0, 1], vec![0, 1, 2]),
            (&[0; 10], (0..10).collect()),
        ] {
            for late in [&[0][..], &[0, 3, 1], &[12]] {
                let (turn, kin) = play(of, 400, late).unwrap_or_else(|| panic!("{of:?} {late:?}"));
                assert_eq!(kin, ids(&shared), "{of:?} {late:?}");
                assert!(turn <= 40 + of.len() * 8 + late[0] * 6, "{of:?} {late:?}: {turn}");
            }
        }
    }

    proptest! {
        /// Whoever uses the accounts beside us, and however answers overtake each other.
        // L07
        #[test]
        fn keys_of_their_own_stay_apart(
            keys in 2usize..6,
            late in prop::collection::vec(0usize..30, 1..8),
            steps in prop::collection::vec((0usize..6, any::<bool>(), any::<prop::sample::Index>()), 400),
            strangers in any::<bool>(),
        ) {
            let of: Vec<usize> = (0..keys).collect();
            let mut accounts = Accounts::new(&of);
            let mut kinship = SharedQuotaDetector::default();
            let mut under_way: Vec<(usize, u32)> = Vec::new();
            for (turn, (key, stranger, place)) in steps.into_iter().enumerate() {
                let key = key % keys;
                let remaining = accounts.count(key);
                if strangers && stranger {
                    continue;
                }
                under_way.push((key, remaining));
                if under_way.len() > late[turn % late.len()] {
                    let (key, remaining) = under_way.swap_remove(place.index(under_way.len()));
                    let kin = kinship.answered(KeyId(key as u32), None, &left(remaining), NOW);
                    prop_assert_eq!(kin, None, "at {}", turn);
                }
            }
        }
    }

    /// One a second comes back; what is left says nothing, the instant at which all would be back does.
    // L07
    #[test]
    fn a_limit_that_refills_all_the_time_is_found_out_too() {
        for (of, expected) in [([0, 0, 0], Some(ids(&[0, 1, 2]))), ([0, 1, 2], None)] {
            let mut whole_at = [0.0_f64; 3];
            let mut kinship = SharedQuotaDetector::default();
            let mut found = None;
            for turn in 0..120 {
                let seconds = f64::from(turn) * 0.3;
                let key = turn as usize % 3;
                let whole = &mut whole_at[of[key]];
                *whole = whole.max(seconds) + 1.0;
                let missing = *whole - seconds;
                let sight = LimitSnapshot {
                    limit: Some(60),
                    remaining: Some((60.0 - missing).max(0.0) as u32),
                    reset: Some(Duration::from_secs_f64(missing)),
                };
                let now = NOW + Duration::from_secs_f64(seconds);
                found = found.or(kinship.answered(KeyId(key as u32), None, &sight, now));
            }
            assert_eq!(found, expected, "{of:?}");
        }
    }

    #[test]
    fn the_accounts_name_is_enough() {
        let mut kinship = SharedQuotaDetector::default();
        let mut named =
            |key, account| kinship.answered(KeyId(key), Some(account), &LimitSnapshot::default(), NOW);
        assert_eq!(named(0, 7), None);
        assert_eq!(named(1, 8), None);
        assert_eq!(named(2, 7), Some(ids(&[0, 2])));
        assert_eq!(named(2, 7), None, "it is news once");
        assert_eq!(named(3, 7), Some(ids(&[0, 2, 3])));
    }

    #[test]
    fn keys_whose_accounts_have_different_names_are_never_one() {
        let mut kinship = SharedQuotaDetector::default();
        for turn in 0..400 {
            let key = turn % 2;
            let kin = kinship.answered(KeyId(key), Some(u64::from(key)), &left(1000 - turn), NOW);
            assert_eq!(kin, None);
        }
    }
}
