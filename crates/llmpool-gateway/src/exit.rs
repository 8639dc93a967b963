//! Exit codes, and the one line that goes with them.

use std::io::Write;
use std::process::ExitCode;

use llmpool::{Error, ErrorKind, FailureKind};

/// The call failed.
pub(crate) const FAILED: u8 = 1;
/// The command line was wrong (also clap's own).
pub(crate) const USAGE: u8 = 2;
/// Limited or timed out: the same command may do later.
pub(crate) const TEMPORARY: u8 = 75;
/// The provider refused the credentials.
pub(crate) const CREDENTIALS: u8 = 77;
/// The configuration is wrong or missing.
pub(crate) const CONFIG: u8 = 78;
/// Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

pub(crate) fn code(code: u8) -> ExitCode {
    ExitCode::from(code)
}

pub(crate) fn failed(message: &str) -> ExitCode {
    with(FAILED, message)
}

/// Speaks to the person at the terminal, if there still is one.
pub(crate) fn note(message: &str) {
    let _ = writeln!(std::io::stderr(), "llmpool: {message}");
}

pub(crate) fn with(exit: u8, message: &str) -> ExitCode {
    note(message);
    code(exit)
}

/// Says what went wrong, with the provider's own words for the person who asked.
pub(crate) fn of(error: &Error) -> ExitCode {
    note(&error.to_string());
    if let Some(words) = error.provider_message() {
        let who = match error.kind() {
            // There was nobody to say anything.
            ErrorKind::Attempt(FailureKind::Connect) => "cause",
            _ => "the provider says",
        };
        note(&format!("{who}: {}", one_line(words)));
    }
    if let Some(wait) = error.retry_after().filter(|wait| !wait.is_zero()) {
        note(&format!("hint: try again in {:.1}s", wait.as_secs_f64()));
    }
    code(code_of(error.kind()))
}

/// The exit code that goes with a kind of error.
pub(crate) fn code_of(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Config => CONFIG,
        ErrorKind::UnknownModel => USAGE,
        ErrorKind::LimitReached => TEMPORARY,
        ErrorKind::Attempt(FailureKind::InvalidKey | FailureKind::PermissionDenied) => CREDENTIALS,
        ErrorKind::Attempt(
            FailureKind::RateLimited
            | FailureKind::NoQuota
            | FailureKind::Overloaded
            | FailureKind::ConnectTimeout
            | FailureKind::FirstContentTimeout
            | FailureKind::IdleTimeout
            | FailureKind::DeadlineExceeded,
        ) => TEMPORARY,
        _ => FAILED,
    }
}

/// A provider's text must not move the cursor of the terminal it is shown on.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(500)
        .collect()
}
