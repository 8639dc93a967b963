//! A bar for the person who watches.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use super::output::Output;

/// A bar on stderr, gone at the end; hidden where nobody watches, or where the rows scroll by on the same terminal.
pub(super) fn bar(lines: usize, output: &Output) -> ProgressBar {
    let rows_are_seen = matches!(output, Output::Stdout) && io::stdout().is_terminal();
    if rows_are_seen || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(lines as u64)
        .with_style(style)
        .with_finish(ProgressFinish::AndClear)
}
