//! Text tables, wrapped to the width of the terminal. In a file or a pipe, tables are not wrapped.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement};

use crate::terminal::{Screen, Style};

/// Minimum width of a wrapped table, in columns. On a narrower terminal, the table is wider than the
/// terminal.
const MIN_WIDTH: u16 = 20;

/// A table of styled cells.
pub(crate) struct Table {
    grid: comfy_table::Table,
    screen: Screen,
}

impl Table {
    /// Creates an empty table without a header.
    pub(crate) fn new(screen: Screen) -> Self {
        let mut grid = comfy_table::Table::new();
        grid.load_style(NOTHING);
        match screen.painter.colours {
            true => grid.enforce_styling(),
            false => grid.force_no_tty(),
        };
        grid.style_text_only();
        if let Some(width) = screen.width {
            grid.set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width.max(MIN_WIDTH));
        }
        Self { grid, screen }
    }

    pub(crate) fn with_header(screen: Screen, names: &[&str]) -> Self {
        let mut table = Self::new(screen);
        let names = names.iter().map(|name| table.cell(Style::Strong, name));
        let names: Vec<_> = names.collect();
        table.grid.set_header(names);
        table
    }

    pub(crate) fn add_row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = (Style, T)>) {
        let cells = cells
            .into_iter()
            .map(|(style, text)| self.cell(style, text.as_ref()));
        let cells: Vec<_> = cells.collect();
        self.grid.add_row(cells);
    }

    /// Returns the table as text. Each line is indented by `indent` spaces.
    pub(crate) fn render(mut self, indent: usize) -> String {
        if let Some(width) = self.screen.width {
            let indent = u16::try_from(indent).unwrap_or(0);
            self.grid.set_width(width.saturating_sub(indent).max(MIN_WIDTH));
        }
        let widths = self.grid.column_max_content_widths();
        for column in self.grid.column_iter_mut() {
            column.set_padding((0, 2));
        }
        // The first column holds names: it is not wrapped unless it needs half of the screen.
        let half = self.screen.width.map_or(u16::MAX, |width| width / 2);
        if let Some(first) = self
            .grid
            .column_mut(0)
            .filter(|_| widths.first().is_some_and(|first| *first < half))
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

    fn cell(&self, style: Style, text: &str) -> Cell {
        let cell = Cell::new(text);
        if !self.screen.painter.colours {
            return cell;
        }
        match style {
            Style::Plain => cell,
            Style::Strong => cell.add_attribute(Attribute::Bold),
            Style::Dim => cell.add_attribute(Attribute::Dim),
            Style::Good => cell.fg(Color::DarkGreen),
            Style::Bad => cell.fg(Color::DarkRed).add_attribute(Attribute::Bold),
            Style::Warning => cell.fg(Color::DarkYellow),
            Style::Hint | Style::Code => cell.fg(Color::DarkCyan),
        }
    }
}
