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

/// The checked content of a provider file, in which all references to keys, such as `${NAME}`, are resolved.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ProviderFile {
    /// The path or name of the file.
    pub name: String,
    /// The providers, in the order of the file.
    pub providers: Vec<ProviderEntry>,
    /// Warnings about settings that are valid but probably not intended.
    pub warnings: Vec<Diagnostic>,
    /// The line and column of each value in the file.
    pub source_map: SourceMap,
}

impl ProviderFile {
    /// Reads and checks a provider file.
    ///
    /// The function `env` looks up the environment variables to which the file refers. Fails if the file
    /// cannot be read, is not valid JSON, has an invalid field, or refers to a key that cannot be read, for
    /// example because an environment variable is not set.
    pub fn read(path: &Path, env: Environment<'_>) -> Result<Self, ProviderFileError> {
        Self::parse(&read_text(path)?, &path.display().to_string(), env)
    }

    /// Reads and checks a provider file for a program that sends no requests. If a key to which the file
    /// refers cannot be read, a placeholder key is used and no error is reported. References to the same
    /// variable or file get equal placeholder keys.
    pub fn read_with_placeholders(path: &Path, env: Environment<'_>) -> Result<Self, ProviderFileError> {
        Self::parse_with(&read_text(path)?, &path.display().to_string(), env, true)
    }

    /// Checks the text of a provider file. `name` is the file name to show in diagnostics. Fails if the text
    /// is not valid JSON, has an invalid field, or refers to a key that cannot be read, for example because
    /// an environment variable is not set.
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

    /// Creates a diagnostic about the field with the path `field`, for example `openai[0].rpm`, and adds the
    /// line and column of the field. Both are 0 if the file does not contain the field.
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
