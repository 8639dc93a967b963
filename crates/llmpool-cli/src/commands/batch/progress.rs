//! The progress bar of a batch.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use super::output_file::BatchOutput;

/// Creates a progress bar on stderr, which is cleared when the batch ends. The bar is hidden if stderr is not
/// a terminal, or if the rows are printed to a terminal.
pub(super) fn bar(lines: usize, output: &BatchOutput) -> ProgressBar {
    let rows_on_terminal = matches!(output, BatchOutput::Stdout) && io::stdout().is_terminal();
    if rows_on_terminal || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(lines as u64)
        .with_style(style)
        .with_finish(ProgressFinish::AndClear)
}
