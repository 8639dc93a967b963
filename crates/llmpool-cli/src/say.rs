//! What is said on stderr, to the person at the terminal, if there still is one.
//!
//! One form for everything: `llmpool: …` for what goes on, `warning: …` and `error: …` for what is wrong, with where it is in front, and
//! a `hint: …` for what can be done about it. With `--quiet` only errors and their hints are left.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::terminal::{Look, Paint, Screen};

/// Said once, on the command line, and meant for the whole process.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on only errors are said.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// What goes on.
pub(crate) fn note(message: impl Display) {
    if !is_quiet() {
        line(Look::Dim, "llmpool:", message);
    }
}

/// What works but deserves a look.
pub(crate) fn warning(message: impl Display) {
    if !is_quiet() {
        line(Look::Doubtful, "warning:", message);
    }
}

/// What can be done about what was just noted or warned of.
pub(crate) fn hint(message: impl Display) {
    if !is_quiet() {
        line(Look::Hint, "hint:", message);
    }
}

/// The same, in a line below what it is about.
pub(crate) fn below(message: impl Display) {
    if !is_quiet() {
        under(format!("  {} {message}", paint().paint(Look::Hint, "hint:")));
    }
}

/// More of what was just said.
pub(crate) fn more(message: impl Display) {
    if !is_quiet() {
        under(format!("  {message}"));
    }
}

/// What went wrong. What is to be done about it may stand behind a semicolon, as in the library's messages, and is told as a hint.
pub(crate) fn error(message: impl Display) {
    let message = message.to_string();
    let (problem, cure) = match message.split_once("; ") {
        Some((problem, cure)) => (problem, Some(cure)),
        None => (&message[..], None),
    };
    line(Look::Bad, "error:", problem);
    if let Some(cure) = cure {
        about_the_error("hint:", cure);
    }
}

/// What can be done about what went wrong, or who says so.
pub(crate) fn about_the_error(what: &str, message: impl Display) {
    line(Look::Hint, what, message);
}

/// A line of a list under an error or a warning, as it is.
pub(crate) fn under(message: impl Display) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// Where something is wrong, what, and what to do: two lines under an error or a warning.
pub(crate) fn defect(place: &str, problem: &str, cure: &str) {
    let paint = paint();
    under(format!("{} {problem}", paint.paint(Look::Strong, place)));
    under(format!("  {} {cure}", paint.paint(Look::Hint, "hint:")));
}

/// How stderr looks.
pub(crate) fn paint() -> Paint {
    Screen::stderr().paint
}

fn line(look: Look, kind: &str, message: impl Display) {
    let _ = writeln!(std::io::stderr(), "{} {message}", paint().paint(look, kind));
}

/// Somebody else's text must not move the cursor of the terminal it is shown on.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(500)
        .collect()
}
