//! Prints the errors and warnings of provider files with their locations.

use std::process::ExitCode;

use llmpool::provider_file::{Diagnostic, ProviderFileError};

use crate::{exit, format, output};

/// Prints all errors of a provider file and returns the exit code.
pub(crate) fn exit_with(error: ProviderFileError) -> ExitCode {
    print_errors(error.file(), error.diagnostics());
    ExitCode::from(exit::CONFIG)
}

/// Prints the number of errors in a provider file, followed by each error.
pub(crate) fn print_errors(file: &str, errors: &[Diagnostic]) {
    let count = format::count(errors.len(), "error");
    output::print_error(format!("{file}: {count}; file not loaded"));
    list_errors(errors);
}

/// Prints each error with its location, followed by a line that says how to fix the error.
pub(crate) fn list_errors(errors: &[Diagnostic]) {
    for error in errors {
        let location = location(error);
        output::error_at(location.trim_end(), &error.message, &error.help);
    }
}

pub(crate) fn print_warning(warning: &Diagnostic) {
    output::warning(format!("{}{}", location(warning), warning.message));
    output::nested_hint(&warning.help);
}

/// Returns the location of a diagnostic as a message prefix: `provider.json:3:5: acme[0].base_url: `.
pub(crate) fn location(diagnostic: &Diagnostic) -> String {
    let Diagnostic {
        file,
        line,
        column,
        field,
        ..
    } = diagnostic;
    let location = match line {
        0 => format!("{file}: "),
        line => format!("{file}:{line}:{column}: "),
    };
    match field.as_str() {
        "" => location,
        field => format!("{location}{field}: "),
    }
}
