//! A range of counter values, partitioned among keys.
//!
//! The values of keys that belong to one account take turns: a *turn* is a run of consecutive values of the same key.

use super::counter_trace::{CounterTrace, ONE, is_same};

/// Minimum number of consecutive counter values, without a gap, that counts as evidence that only these keys use the counter. If half of the
/// values had gone to other clients at random, such a run would occur with a probability of 2^-32.
const MIN_LENGTH: usize = 32;
/// Minimum number of turns in a range. A key that merely continues where another key stopped takes only one turn.
const MIN_TURNS: usize = 16;
/// Minimum number of turns of each key.
const MIN_TURNS_PER_KEY: usize = 5;

/// Counter values of several keys, no two of which reported the same value.
#[derive(Default)]
pub(super) struct Partition {
    /// Each counter value with the index of its key, in ascending order of values.
    numbers: Vec<(i64, usize)>,
}

impl Partition {
    /// Returns whether a trace has enough values for its key to be found.
    pub(super) fn is_long_enough(trace: &CounterTrace) -> bool {
        trace.numbers.len() >= MIN_TURNS_PER_KEY
    }

    /// Adds the values of a key, unless a key that was added before has one of these values.
    pub(super) fn insert(&mut self, key: usize, trace: &CounterTrace) {
        let numbers = trace.numbers.iter();
        if numbers.clone().any(|number| self.contains(*number)) {
            return;
        }
        self.numbers.extend(numbers.map(|number| (*number, key)));
        self.numbers.sort_unstable();
    }

    fn contains(&self, number: i64) -> bool {
        let at = self.numbers.partition_point(|(known, _)| *known < number);
        let near = self.numbers[at.saturating_sub(1)..].iter().take(2);
        near.into_iter().any(|(known, _)| is_same(*known, number))
    }

    /// Returns the indices of the keys that take turns in a range without gaps.
    pub(super) fn keys_without_gap(&self) -> Vec<usize> {
        let follows = |one: &(i64, usize), next: &(i64, usize)| next.0 - one.0 < ONE * 3 / 2;
        let mut found = Vec::new();
        let ranges = self.numbers.chunk_by(follows);
        for range in ranges.filter(|range| range.len() >= MIN_LENGTH) {
            let turns = range.chunk_by(|(_, one), (_, next)| one == next);
            let mut turns: Vec<usize> = turns.map(|turn| turn[0].1).collect();
            if turns.len() < MIN_TURNS {
                continue;
            }
            turns.sort_unstable();
            let keys = turns.chunk_by(|one, other| one == other);
            let keys = keys.filter(|turns| turns.len() >= MIN_TURNS_PER_KEY);
            let keys: Vec<usize> = keys.map(|turns| turns[0]).collect();
            if keys.len() > 1 {
                found.extend(keys);
            }
        }
        found
    }
}
