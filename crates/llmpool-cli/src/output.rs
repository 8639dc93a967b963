//! Output to stdout and stderr.
//!
//! Data goes to stdout. Messages go to stderr in one format: `llmpool: …` for progress, `warning: …` and `error: …` with their location
//! first, and `hint: …` for a fix. `--quiet` suppresses everything on stderr except errors and their hints.
//!
//! Failed writes to stderr are ignored: there is nowhere left to report them.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit;
use crate::terminal::{Painter, Screen, Style};

/// The longest text of a provider that is shown in a message, in characters.
const MAX_QUOTED_CHARS: usize = 500;

/// Set once by `--quiet`, for the whole process.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Suppresses all messages except errors from now on.
pub(crate) fn set_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Returns whether `--quiet` was given.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Writes to stdout and flushes it.
///
/// # Errors
///
/// Returns success as the exit code when the reader has closed the pipe, so that `llmpool models | head -1` is not an error. Any other
/// failure is printed.
pub(crate) fn print(text: &str) -> Result<(), ExitCode> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ExitCode::SUCCESS),
        Err(error) => {
            print_error(format!("cannot write to stdout: {error}"));
            Err(ExitCode::from(exit::FAILED))
        }
    }
}

/// Prints a progress note.
pub(crate) fn note(message: impl Display) {
    if !is_quiet() {
        labelled(Style::Dim, "llmpool:", message);
    }
}

/// Prints a warning.
pub(crate) fn warning(message: impl Display) {
    if !is_quiet() {
        labelled(Style::Warning, "warning:", message);
    }
}

/// Prints a hint that belongs to a note or a warning.
pub(crate) fn hint(message: impl Display) {
    if !is_quiet() {
        labelled(Style::Hint, "hint:", message);
    }
}

/// Prints an indented hint below a warning.
pub(crate) fn nested_hint(message: impl Display) {
    if !is_quiet() {
        line(format!("  {} {message}", painter().paint(Style::Hint, "hint:")));
    }
}

/// Prints an indented line that continues a note, a warning or a hint.
pub(crate) fn continuation(message: impl Display) {
    if !is_quiet() {
        line(format!("  {message}"));
    }
}

/// Prints an error, also with `--quiet`.
pub(crate) fn print_error(message: impl Display) {
    labelled(Style::Bad, "error:", message);
}

/// Prints a line below an error, such as `hint: …`, also with `--quiet`.
pub(crate) fn error_detail(label: &str, message: impl Display) {
    labelled(Style::Hint, label, message);
}

/// Prints a message at a location with its hint below, as an item of a list under an error.
pub(crate) fn error_at(location: &str, message: &str, hint: &str) {
    let painter = painter();
    line(format!("{} {message}", painter.paint(Style::Strong, location)));
    line(format!("  {} {hint}", painter.paint(Style::Hint, "hint:")));
}

/// Prints a line to stderr without a label, also with `--quiet`.
pub(crate) fn line(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Returns the painter for stderr.
pub(crate) fn painter() -> Painter {
    Screen::stderr().painter
}

fn labelled(style: Style, label: &str, message: impl Display) {
    line(format_args!("{} {message}", painter().paint(style, label)));
}

/// Returns a text of a provider as one line: control characters, which could move the terminal's cursor, become spaces.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_QUOTED_CHARS)
        .collect()
}
