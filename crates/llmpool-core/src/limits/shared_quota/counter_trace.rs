//! The most recent values of an account's request counter that responses of one key reported.

use std::collections::VecDeque;

/// One request, in the unit of counter values. Counters are kept in thousandths of a request, because times fall between whole numbers.
pub(super) const ONE: i64 = 1000;
/// Number of values in a row, far from the others, that show that the counter was reset.
const MAX_OUTLIERS: u8 = 3;
/// Maximum number of values kept per key.
const MAX_NUMBERS: usize = 128;

/// The most recent counter values that responses of one key reported. The counter grows with every request of the account.
#[derive(Clone, Debug, Default)]
pub(super) struct CounterTrace {
    pub(super) numbers: VecDeque<i64>,
    /// Number of values in a row that were far from the others.
    outliers: u8,
}

impl CounterTrace {
    /// Appends a value. Clears the trace if the value shows that the counter was reset.
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

    /// Returns how many values of another trace lie within the range of this trace.
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

/// Returns whether two counter values belong to the same request.
pub(super) fn is_same(one: i64, other: i64) -> bool {
    (one - other).abs() < ONE / 2
}
