//! Whose row may be written now.

use std::collections::BTreeMap;

use crate::cli::Order;

/// Holds rows until it is their turn.
#[derive(Debug)]
pub(super) struct Turns {
    order: Order,
    next: usize,
    held: BTreeMap<usize, String>,
}

impl Turns {
    pub(super) fn new(order: Order) -> Self {
        Self {
            order,
            next: 0,
            held: BTreeMap::new(),
        }
    }

    /// Takes in the row of a line that is done. Turns count from 0 without a gap.
    pub(super) fn done(&mut self, turn: usize, row: String) {
        self.held.insert(turn, row);
    }

    /// The next row that may be written.
    pub(super) fn next(&mut self) -> Option<String> {
        let (turn, _) = self.held.first_key_value()?;
        if self.order == Order::Input && *turn > self.next {
            return None;
        }
        self.next += 1;
        self.rest()
    }

    /// The next row, whether it is its turn or not.
    pub(super) fn rest(&mut self) -> Option<String> {
        self.held.pop_first().map(|(_, row)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(order: Order) -> String {
        let mut turns = Turns::new(order);
        let mut written = String::new();
        for turn in [2, 0, 3, 1, 5] {
            turns.done(turn, turn.to_string());
            while let Some(row) = turns.next() {
                written += &row;
            }
            written.push(' ');
        }
        written + &turns.rest().unwrap_or_default()
    }

    #[test]
    fn rows_wait_for_those_before_them_or_for_nobody() {
        assert_eq!(written(Order::Input), " 0  123  5");
        assert_eq!(written(Order::Done), "2 0 3 1 5 ");
    }
}
