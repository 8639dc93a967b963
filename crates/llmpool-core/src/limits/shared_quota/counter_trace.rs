//! The latest counter values of one key.

use std::collections::VecDeque;

/// One request. Counters are kept in thousandths, since times fall between whole numbers.
pub(super) const ONE: i64 = 1000;
/// After this many values in a row far from the others, the counter was reset.
const MAX_OUTLIERS: u8 = 3;
/// Maximum number of values kept.
const MAX_NUMBERS: usize = 128;

/// The latest counter values of one key, which grow with every request of the account.
#[derive(Clone, Debug, Default)]
pub(super) struct CounterTrace {
    pub(super) numbers: VecDeque<i64>,
    /// Values in a row far from the others.
    outliers: u8,
}

impl CounterTrace {
    /// Appends a value. Clears the trace if the value shows that the counter was reset.
    pub(super) fn push(&mut self, number: i64) {
        let (first, last) = self.range();
        // Responses that were overtaken arrive late.
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

    /// Returns how many values of another trace lie within this one's range.
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

/// Returns whether two values belong to the same request.
pub(super) fn is_same(one: i64, other: i64) -> bool {
    (one - other).abs() < ONE / 2
}
