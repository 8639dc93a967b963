//! Rows under one another, as wide as the screen and not wider; into a pipe as wide as they are.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table as Grid};

use crate::terminal::{Look, Screen};

/// The narrowest screen that a table is laid out for.
const NARROWEST: u16 = 20;

/// Rows of cells.
pub(crate) struct Table {
    grid: Grid,
    screen: Screen,
}

impl Table {
    /// Columns without names.
    pub(crate) fn new(screen: Screen) -> Self {
        let mut grid = Grid::new();
        grid.load_style(NOTHING);
        match screen.paint.colours {
            true => grid.enforce_styling(),
            false => grid.force_no_tty(),
        };
        grid.style_text_only();
        if let Some(width) = screen.width {
            grid.set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width.max(NARROWEST));
        }
        Self { grid, screen }
    }

    /// Columns with names.
    pub(crate) fn with_header(screen: Screen, names: &[&str]) -> Self {
        let mut table = Self::new(screen);
        let names = names.iter().map(|name| table.cell(Look::Strong, name));
        let names: Vec<_> = names.collect();
        table.grid.set_header(names);
        table
    }

    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = (Look, T)>) {
        let cells = cells
            .into_iter()
            .map(|(look, text)| self.cell(look, text.as_ref()));
        let cells: Vec<_> = cells.collect();
        self.grid.add_row(cells);
    }

    /// The lines, each begun with so many blanks.
    pub(crate) fn draw(mut self, indent: usize) -> String {
        if let Some(width) = self.screen.width {
            let indent = u16::try_from(indent).unwrap_or(0);
            self.grid.set_width(width.saturating_sub(indent).max(NARROWEST));
        }
        let widest = self.grid.column_max_content_widths();
        for column in self.grid.column_iter_mut() {
            column.set_padding((0, 2));
        }
        // Names are not broken where there is room beside them.
        let half = self.screen.width.map_or(u16::MAX, |width| width / 2);
        if let Some(first) = self
            .grid
            .column_mut(0)
            .filter(|_| widest.first().is_some_and(|first| *first < half))
        {
            first.set_constraint(ColumnConstraint::ContentWidth);
        }
        let margin = " ".repeat(indent);
        let lines = self
            .grid
            .lines()
            .map(|line| format!("{margin}{}", line.trim_end()));
        lines.map(|line| line + "\n").collect()
    }

    fn cell(&self, look: Look, text: &str) -> Cell {
        let cell = Cell::new(text);
        if !self.screen.paint.colours {
            return cell;
        }
        match look {
            Look::Plain => cell,
            Look::Strong => cell.add_attribute(Attribute::Bold),
            Look::Dim => cell.add_attribute(Attribute::Dim),
            Look::Good => cell.fg(Color::DarkGreen),
            Look::Bad => cell.fg(Color::DarkRed).add_attribute(Attribute::Bold),
            Look::Doubtful => cell.fg(Color::DarkYellow),
            Look::Hint | Look::Code => cell.fg(Color::DarkCyan),
        }
    }
}
