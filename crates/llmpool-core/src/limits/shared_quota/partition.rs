//! Counter values that several keys reported, from which keys with a common counter are found.
//!
//! Keys of one account take turns: a *turn* is a run of consecutive counter values that the same key
//! reported.

use super::counter_trace::{CounterTrace, ONE, is_same};

/// Minimum length of a range of counter values without gaps, as evidence that only the keys in the range use
/// the counter. If half of the values had gone to other clients at random, such a range would occur with a
/// probability of 2^-32.
const MIN_LENGTH: usize = 32;
/// Minimum number of turns in a range, where a turn is a run of consecutive values of one key. Rules out a
/// key of another account that happens to continue where one key stopped, because such a key adds only a
/// single turn.
const MIN_TURNS: usize = 16;
/// Minimum number of turns (runs of consecutive counter values) that each key must have in a range.
const MIN_TURNS_PER_KEY: usize = 5;

/// Counter values that several keys reported. No value was reported by more than one key.
#[derive(Default)]
pub(super) struct Partition {
    /// Each counter value with the index of the key that reported it, in ascending order of values.
    numbers: Vec<(i64, usize)>,
}

impl Partition {
    /// Returns whether a trace has enough values for [`keys_without_gap`](Self::keys_without_gap) to find its
    /// key.
    pub(super) fn is_long_enough(trace: &CounterTrace) -> bool {
        trace.numbers.len() >= MIN_TURNS_PER_KEY
    }

    /// Adds the values of a key, unless another key that was added before has one of these values.
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

    /// Returns the indices of the keys that share a counter: together, they take turns in a range of values
    /// without gaps.
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
