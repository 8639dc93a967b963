//! Errors as the user sees them: what failed, and a hint that tells how to fix it.

use std::process::ExitCode;

use llmpool::{Error, ErrorKind, FailureKind};

use crate::{exit, output};

/// An error message for the user. The optional hint names a command or an edit that fixes the problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Prefixes the message with a location, such as `calls.jsonl:2`.
    pub(crate) fn at(self, location: impl std::fmt::Display) -> Self {
        Self {
            message: format!("{location}: {}", self.message),
            ..self
        }
    }

    pub(crate) fn print(&self) {
        output::print_error(&self.message);
        if let Some(hint) = &self.hint {
            output::error_detail("hint:", hint);
        }
    }

    /// Prints the problem. Returns `code` as an `ExitCode`, which a command can return as its error.
    pub(crate) fn exit(self, code: u8) -> ExitCode {
        self.print();
        ExitCode::from(code)
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Self {
            message: output::one_line(&error.to_string()),
            hint: error.help().map(str::to_owned),
        }
    }
}

/// Prints an error without a hint and returns the exit code 1.
pub(crate) fn failed(message: impl Into<String>) -> ExitCode {
    Problem::new(message).exit(exit::FAILED)
}

/// Prints an error of the `llmpool` library, and returns the exit code for this kind of error.
pub(crate) fn exit_with(error: Error) -> ExitCode {
    print(&error);
    ExitCode::from(exit::code_for(error.kind()))
}

/// Prints an error of the `llmpool` library. Below the error, prints the provider's message and a hint, if
/// there are any.
pub(crate) fn print(error: &Error) {
    output::print_error(error);
    if let Some(message) = error.provider_message() {
        output::error_detail("provider message:", output::one_line(message));
    }
    if let Some(hint) = error.help().or_else(|| hint_for(error)) {
        output::error_detail("hint:", hint);
    }
}

/// Returns a general hint for this kind of error, if there is one. Used when the error has no hint of its
/// own.
fn hint_for(error: &Error) -> Option<&'static str> {
    Some(match error.kind() {
        ErrorKind::Attempt(FailureKind::InvalidKey | FailureKind::PermissionDenied) => {
            "run llmpool check to test every key"
        }
        ErrorKind::Attempt(FailureKind::Connect | FailureKind::ConnectTimeout) => {
            "check that the server is running and that base_url is correct; llmpool config show prints where base_url is set"
        }
        ErrorKind::Attempt(FailureKind::ContextLength) => {
            "shorten the prompt, or choose a model with a larger context window"
        }
        ErrorKind::Attempt(FailureKind::ResponseFormatRefused) => {
            "ask for the format in the prompt instead of with response_format, or choose another model"
        }
        _ => return None,
    })
}
