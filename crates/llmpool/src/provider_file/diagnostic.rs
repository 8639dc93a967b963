//! Errors and warnings about a provider file, each with its location and a fix.

use std::fmt;

/// An error, a warning or a hint about a provider file or one of its fields.
///
/// Displayed as `file:line:column: field: message; help`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The path or name of the file.
    pub file: String,
    /// The one-based line number, or 0 if the diagnostic is about the whole file.
    pub line: usize,
    /// The one-based column, counted in characters, or 0 if the diagnostic is about the whole file.
    pub column: usize,
    /// The path of the field, such as `openai[0].api_keys[2]`. Empty if the diagnostic is about the whole
    /// file.
    pub field: String,
    /// A description of the problem, such as `missing required field`.
    pub message: String,
    /// An edit or a command that fixes the problem.
    pub help: String,
}

/// The errors that prevented a provider file from being loaded. Contains at least one error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFileError(Vec<Diagnostic>);

impl Diagnostic {
    /// Creates a diagnostic about the whole file, without a line, a column or a field.
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
    /// Creates the error from `errors`, which must not be empty. Sorts the diagnostics by their locations in
    /// the file.
    pub(super) fn new(mut errors: Vec<Diagnostic>) -> Self {
        errors.sort_by_key(|error| (error.line, error.column));
        Self(errors)
    }

    /// Returns the path or name of the provider file.
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
