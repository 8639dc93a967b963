//! Output to stdout and stderr.
//!
//! Data goes to stdout. Messages go to stderr, and each starts with a label: `llmpool:` for progress,
//! `warning:`, `error:`, or `hint:` for a fix. With `--quiet`, only errors and their hints are printed.
//!
//! Failed writes to stderr are ignored, because there is nowhere left to report them.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit;
use crate::terminal::{Painter, Screen, Style};

/// Maximum length of a provider's text in a message, in characters. Longer texts are truncated.
const MAX_QUOTED_CHARS: usize = 500;

/// Whether `--quiet` was given. Applies to the whole process.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Suppresses progress messages, warnings and their hints from now on. Errors are still printed.
pub(crate) fn set_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Returns whether `--quiet` was given.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Writes the text to stdout and flushes stdout.
///
/// # Errors
///
/// If the reader has closed the pipe, returns the exit code for success, so that `llmpool models | head -1`
/// does not fail. Prints any other error, and returns the exit code 1.
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

/// Prints a progress message, unless `--quiet` was given.
pub(crate) fn note(message: impl Display) {
    if !is_quiet() {
        labelled(Style::Dim, "llmpool:", message);
    }
}

/// Prints a warning, unless `--quiet` was given.
pub(crate) fn warning(message: impl Display) {
    if !is_quiet() {
        labelled(Style::Warning, "warning:", message);
    }
}

/// Prints a hint that belongs to a progress message or a warning, unless `--quiet` was given.
pub(crate) fn hint(message: impl Display) {
    if !is_quiet() {
        labelled(Style::Hint, "hint:", message);
    }
}

/// Prints an indented hint below a warning, unless `--quiet` was given.
pub(crate) fn nested_hint(message: impl Display) {
    if !is_quiet() {
        line(format!("  {} {message}", painter().paint(Style::Hint, "hint:")));
    }
}

/// Prints an indented line that continues a progress message, a warning or a hint, unless `--quiet` was
/// given.
pub(crate) fn continuation(message: impl Display) {
    if !is_quiet() {
        line(format!("  {message}"));
    }
}

/// Prints an error, even with `--quiet`.
pub(crate) fn print_error(message: impl Display) {
    labelled(Style::Bad, "error:", message);
}

/// Prints a line that belongs to an error, such as its hint, even with `--quiet`. `label` is for example
/// `hint:`.
pub(crate) fn error_detail(label: &str, message: impl Display) {
    labelled(Style::Hint, label, message);
}

/// Prints one entry of a list of errors, even with `--quiet`: the location and the message on one line, and
/// the hint on the next line.
pub(crate) fn error_at(location: &str, message: &str, hint: &str) {
    let painter = painter();
    line(format!("{} {message}", painter.paint(Style::Strong, location)));
    line(format!("  {} {hint}", painter.paint(Style::Hint, "hint:")));
}

/// Prints a line without a label to stderr, even with `--quiet`.
pub(crate) fn line(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Returns the painter that styles text for stderr.
pub(crate) fn painter() -> Painter {
    Screen::stderr().painter
}

fn labelled(style: Style, label: &str, message: impl Display) {
    line(format_args!("{} {message}", painter().paint(style, label)));
}

/// Returns text from a provider as a single line of at most 500 characters. Control characters, which could
/// move the cursor of the terminal, are replaced by spaces.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_QUOTED_CHARS)
        .collect()
}
