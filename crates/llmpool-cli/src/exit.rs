//! Exit codes, and what is said with them.

use std::process::ExitCode;

use llmpool::{Error, ErrorKind, FailureKind};

use crate::say;

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

/// Says what went wrong.
pub(crate) fn with(exit: u8, message: &str) -> ExitCode {
    say::error(message);
    code(exit)
}

/// Says what went wrong and what can be done about it.
pub(crate) fn hinting(exit: u8, message: &str, hint: &str) -> ExitCode {
    say::error(message);
    say::about_the_error("hint:", hint);
    code(exit)
}

/// Says what went wrong, with the provider's own words for the person who asked.
pub(crate) fn of(error: &Error) -> ExitCode {
    tell(error);
    code(code_of(error.kind()))
}

/// As [`of`], where the program goes on.
pub(crate) fn tell(error: &Error) {
    say::error(error);
    if let Some(words) = error.provider_message() {
        let who = match error.kind() {
            // There was nobody to say anything.
            ErrorKind::Attempt(FailureKind::Connect) => "cause:",
            _ => "the provider says:",
        };
        say::about_the_error(who, say::one_line(words));
    }
    let wait = error.retry_in().filter(|wait| !wait.is_zero());
    match (hint(error.kind()), wait) {
        (Some(hint), _) => say::about_the_error("hint:", hint),
        (None, Some(wait)) => {
            say::about_the_error("hint:", format!("try again in {:.1}s", wait.as_secs_f64()));
        }
        (None, None) => {}
    }
}

/// What helps against most errors of a kind.
fn hint(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Attempt(FailureKind::InvalidKey | FailureKind::PermissionDenied) => {
            "llmpool check tells of every key whether it is accepted"
        }
        ErrorKind::Attempt(FailureKind::Connect | FailureKind::ConnectTimeout) => {
            "is base_url right, and does the server run? llmpool config show tells where base_url comes from"
        }
        ErrorKind::Attempt(FailureKind::ContextLength) => "send less of it, or ask a model that takes more",
        _ => return None,
    })
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
