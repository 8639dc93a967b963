//! The most recent values of an account's request counter, as reported by the responses to the requests of
//! one key.

use std::collections::VecDeque;

/// Amount by which one request increases a counter. Counters are in thousandths of a request, because
/// counters that are derived from times are not whole numbers.
pub(super) const ONE: i64 = 1000;
/// The counter is considered reset after this many consecutive values that are far from the stored values.
const MAX_OUTLIERS: u8 = 3;
/// Maximum number of counter values stored per key.
const MAX_NUMBERS: usize = 128;

/// The most recent counter values that the responses to the requests of one key reported. The counter grows
/// with every request of the account.
#[derive(Clone, Debug, Default)]
pub(super) struct CounterTrace {
    pub(super) numbers: VecDeque<i64>,
    /// Number of consecutive values, up to the latest, that were far from the stored values.
    outliers: u8,
}

impl CounterTrace {
    /// Stores a counter value, unless the value is far from the stored values. If the value shows that the
    /// counter was reset, removes the stored values first.
    pub(super) fn push(&mut self, number: i64) {
        let (first, last) = self.range();
        // Tolerates smaller values, because a response may arrive after that of a later request.
        let late = (8 * ONE).max((last - first) / 2);
        let is_near = (last - late..=last + 64 * ONE).contains(&number);
        self.outliers = if is_near || self.numbers.is_empty() {
            0
        } else {
            self.outliers + 1
        };
        let is_known = self.numbers.iter().any(|known| is_same(*known, number));
        if is_known || self.outliers >= MAX_OUTLIERS {
            self.clear();
        }
        if self.outliers > 0 {
            return;
        }
        if self.numbers.len() == MAX_NUMBERS {
            self.numbers.pop_front();
        }
        self.numbers.push_back(number);
    }

    pub(super) fn clear(&mut self) {
        self.numbers.clear();
        self.outliers = 0;
    }

    /// Returns how many values of another trace lie between the lowest and the highest value of this trace.
    pub(super) fn count_in_range(&self, other: &Self) -> usize {
        let (first, last) = self.range();
        let numbers = other.numbers.iter();
        numbers.filter(|number| (first..=last).contains(*number)).count()
    }

    fn range(&self) -> (i64, i64) {
        let numbers = || self.numbers.iter().copied();
        (numbers().min().unwrap_or(0), numbers().max().unwrap_or(0))
    }
}

/// Returns whether two counter values differ only by rounding, so that they count the same request.
pub(super) fn is_same(one: i64, other: i64) -> bool {
    (one - other).abs() < ONE / 2
}
