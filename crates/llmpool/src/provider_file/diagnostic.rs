//! Errors and warnings about a provider file, each with its location and a fix.

use std::fmt;

/// An error, a warning or a hint about one place in a provider file.
///
/// Displayed as `file:line:column: field: message; help`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The path or name of the file.
    pub file: String,
    /// The line, starting at 1; 0 if the diagnostic is about the whole file.
    pub line: usize,
    /// The column in characters, starting at 1; 0 if the diagnostic is about the whole file.
    pub column: usize,
    /// The path of the field, such as `openai[0].api_keys[2]`; empty if the diagnostic is about the whole file.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// An edit or a command that fixes the problem.
    pub help: String,
}

/// The errors in a provider file, which was not loaded because of them. Contains at least one error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFileError(Vec<Diagnostic>);

impl Diagnostic {
    /// Creates a diagnostic about the whole file.
    pub fn about_file(file: impl Into<String>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            field: String::new(),
            message: message.into(),
            help: help.into(),
        }
    }
}

impl ProviderFileError {
    /// Creates the error from at least one diagnostic.
    pub(super) fn new(mut errors: Vec<Diagnostic>) -> Self {
        errors.sort_by_key(|error| (error.line, error.column));
        Self(errors)
    }

    /// Returns the path or name of the file.
    pub fn file(&self) -> &str {
        self.0.first().map_or("", |error| &error.file)
    }

    /// Returns all errors, in the order of their locations in the file.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0
    }
}

impl From<Diagnostic> for ProviderFileError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file, line, column, ..
        } = self;
        write!(f, "{file}:")?;
        if *line > 0 {
            write!(f, "{line}:{column}:")?;
        }
        if !self.field.is_empty() {
            write!(f, " {}:", self.field)?;
        }
        write!(f, " {}; {}", self.message, self.help)
    }
}

impl fmt::Display for ProviderFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = &self.0[..] {
            return only.fmt(f);
        }
        let count = self.0.len();
        write!(f, "{}: {count} errors; file not loaded", self.file())?;
        self.0.iter().try_for_each(|error| write!(f, "\n{error}"))
    }
}

impl std::error::Error for ProviderFileError {}
