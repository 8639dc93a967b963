//! Reads and checks a provider file.

use std::path::Path;

use serde_json::value::RawValue;

use super::diagnostic::{Diagnostic, ProviderFileError};
use super::field::Field;
use super::reader::FileReader;
use super::secret_ref::Environment;
use super::source_map::SourceMap;
use crate::provider_entry::ProviderEntry;

/// The JSON Schema (draft 2020-12) of the provider file, for editors and validators.
pub const PROVIDER_SCHEMA: &str = include_str!("../../schema/provider.schema.json");

/// The content of a provider file: checked, and with all references to keys resolved.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ProviderFile {
    /// The path or name of the file.
    pub name: String,
    /// The providers in the order of the file.
    pub providers: Vec<ProviderEntry>,
    /// Settings that are valid but probably not intended.
    pub warnings: Vec<Diagnostic>,
    /// The lines and columns of the file's values.
    pub source_map: SourceMap,
}

impl ProviderFile {
    /// Reads and checks a provider file.
    ///
    /// References to environment variables are resolved with `env`. Fails if the file cannot be read, is not valid JSON, has invalid
    /// fields, or contains a reference to a key that cannot be resolved.
    pub fn read(path: &Path, env: Environment<'_>) -> Result<Self, ProviderFileError> {
        Self::parse(&read_text(path)?, &path.display().to_string(), env)
    }

    /// Reads and checks a provider file for a program that sends no requests. A reference to a key that cannot be resolved causes no error:
    /// a placeholder key takes its place. Equal references get equal placeholder keys.
    pub fn read_with_placeholders(path: &Path, env: Environment<'_>) -> Result<Self, ProviderFileError> {
        Self::parse_with(&read_text(path)?, &path.display().to_string(), env, true)
    }

    /// Reads and checks the text of a provider file. `name` is the file name in diagnostics. Fails as [`read`](Self::read) does.
    pub fn parse(text: &str, name: &str, env: Environment<'_>) -> Result<Self, ProviderFileError> {
        Self::parse_with(text, name, env, false)
    }

    fn parse_with(
        text: &str,
        name: &str,
        env: Environment<'_>,
        allow_placeholders: bool,
    ) -> Result<Self, ProviderFileError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let value: &RawValue = serde_json::from_str(text).map_err(|error| syntax_error(name, &error))?;
        let mut reader = FileReader::new(name, text, env, allow_placeholders);
        let path = String::new();
        let providers = reader.providers(&Field { path, value });
        Ok(Self {
            name: name.to_owned(),
            providers,
            warnings: reader.into_warnings()?,
            source_map: SourceMap::parse(text),
        })
    }

    /// Creates a diagnostic about a field, such as `openai[0].rpm`, with the location of the field in the file.
    pub fn diagnostic(&self, field: &str, message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
        let location = self.source_map.get(field);
        Diagnostic {
            line: location.map_or(0, |location| location.line),
            column: location.map_or(0, |location| location.column),
            field: field.to_owned(),
            ..Diagnostic::about_file(&self.name, message, help)
        }
    }
}

fn read_text(path: &Path) -> Result<String, ProviderFileError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let message = format!("cannot read the file: {error}");
        Diagnostic::about_file(&name, message, "pass the path of an existing file with --config")
    })?;
    let text = String::from_utf8(bytes);
    Ok(text.map_err(|_| Diagnostic::about_file(&name, "not valid UTF-8", "save the file as UTF-8"))?)
}

fn syntax_error(name: &str, error: &serde_json::Error) -> Diagnostic {
    // serde_json appends ` at line … column …` to its message.
    let text = error.to_string();
    let cause = text.split(" at line ").next().unwrap_or_default();
    let message = format!("invalid JSON: {cause}");
    Diagnostic {
        line: error.line().max(1),
        column: error.column().max(1),
        ..Diagnostic::about_file(name, message, "fix the JSON syntax at this position")
    }
}
