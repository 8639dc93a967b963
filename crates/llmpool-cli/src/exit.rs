//! Exit codes of the command line.

use llmpool::{ErrorKind, FailureKind};

/// The command failed, and no other exit code describes the reason.
pub(crate) const FAILED: u8 = 1;
/// The command line or a batch line is invalid. clap also exits with this code.
pub(crate) const USAGE: u8 = 2;
/// A rate limit or a timeout made the command fail. The same command may succeed later.
pub(crate) const TEMPORARY: u8 = 75;
/// The provider refused the credentials.
pub(crate) const CREDENTIALS: u8 = 77;
/// The configuration is missing or invalid.
pub(crate) const CONFIG: u8 = 78;
/// The user interrupted the command with Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Returns the exit code for a kind of error.
pub(crate) fn code_for(kind: ErrorKind) -> u8 {
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
