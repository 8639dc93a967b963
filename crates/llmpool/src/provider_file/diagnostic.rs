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
    /// An edit or a command that fixes it.
    pub help: String,
}

/// The errors in a provider file, at least one. A file with an error is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFileError {
    file: String,
    diagnostics: Vec<Diagnostic>,
}

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
    pub(super) fn new(file: &str, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        let file = file.to_owned();
        Self { file, diagnostics }
    }

    /// Returns the path or name of the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns all errors, in the order of the file.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

impl From<Diagnostic> for ProviderFileError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::new(&diagnostic.file.clone(), vec![diagnostic])
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
        if self.diagnostics.len() > 1 {
            let count = self.diagnostics.len();
            writeln!(f, "{}: {count} errors; file not loaded", self.file)?;
        }
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ProviderFileError {}
