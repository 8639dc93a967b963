//! Prints the errors and warnings of provider files with their locations.

use std::process::ExitCode;

use llmpool::provider_file::{Diagnostic, ProviderFileError};

use crate::{exit, format, output};

/// Prints all errors of a provider file and returns the exit code.
pub(crate) fn exit_with(error: &ProviderFileError) -> ExitCode {
    print_errors(error.origin(), error.defects());
    ExitCode::from(exit::CONFIG)
}

/// Prints all errors of a provider file.
pub(crate) fn print_errors(file: &str, errors: &[Diagnostic]) {
    let count = format::count(errors.len(), "error");
    output::print_error(format!("{file}: {count}; file not loaded"));
    list_errors(file, errors);
}

/// Prints one error a line, each with its location and its fix.
pub(crate) fn list_errors(file: &str, errors: &[Diagnostic]) {
    for error in errors {
        let location = location(file, error);
        output::error_at(location.trim_end(), &error.problem, &error.cure);
    }
}

pub(crate) fn print_warning(file: &str, warning: &Diagnostic) {
    output::warning(format!("{}{}", location(file, warning), warning.problem));
    output::nested_hint(&warning.cure);
}

/// Returns the location as a prefix, as in `provider.json:3:5: acme[0].base_url: `.
pub(crate) fn location(file: &str, diagnostic: &Diagnostic) -> String {
    let Diagnostic {
        line, column, field, ..
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
