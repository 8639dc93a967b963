//! Restores the input order of rows that finish out of order.

use std::collections::BTreeMap;

use crate::cli::OutputOrder;

/// Holds each finished row until all rows before it are written. With `OutputOrder::Done`, no row is held
/// back.
#[derive(Debug)]
pub(super) struct Reorderer {
    order: OutputOrder,
    next: usize,
    held: BTreeMap<usize, String>,
}

impl Reorderer {
    pub(super) fn new(order: OutputOrder) -> Self {
        Self {
            order,
            next: 0,
            held: BTreeMap::new(),
        }
    }

    /// Inserts a finished row. `position` is the zero-based index of its line among the lines that are sent.
    pub(super) fn insert(&mut self, position: usize, row: String) {
        self.held.insert(position, row);
    }

    /// Removes and returns the next row that can be written. Returns `None` if no row is held, or if the rows
    /// are written in input order and an earlier row is missing.
    pub(super) fn pop_ready(&mut self) -> Option<String> {
        let (position, _) = self.held.first_key_value()?;
        if self.order == OutputOrder::Input && *position > self.next {
            return None;
        }
        self.next += 1;
        self.pop_any()
    }

    /// Removes and returns the held row with the lowest position, even if earlier rows are missing.
    pub(super) fn pop_any(&mut self) -> Option<String> {
        self.held.pop_first().map(|(_, row)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(order: OutputOrder) -> String {
        let mut reorderer = Reorderer::new(order);
        let mut written = String::new();
        for position in [2, 0, 3, 1, 5] {
            reorderer.insert(position, position.to_string());
            while let Some(row) = reorderer.pop_ready() {
                written += &row;
            }
            written.push(' ');
        }
        written + &reorderer.pop_any().unwrap_or_default()
    }

    #[test]
    fn rows_are_written_in_input_order_or_when_done() {
        assert_eq!(written(OutputOrder::Input), " 0  123  5");
        assert_eq!(written(OutputOrder::Done), "2 0 3 1 5 ");
    }
}
