//! `provider.json`: which providers and models there are, with which keys and limits.
//!
//! The origin's file loads unchanged; what llmpool adds is optional. Every defect is reported at once, with its line and a
//! cure, and a file with a defect changes nothing. No message repeats a value that could be a key. Members whose name begins with `//`
//! are comments, in the file itself, in a model and in a key.

mod defects;
mod json;
mod places;
mod read;

use std::fmt;
use std::path::Path;

pub use defects::{Diagnostic, ProviderFileError, Warning};
use llmpool_core::limits::key::KeyLimits;
pub use places::{Place, SourceMap};

use self::read::References;
use crate::base_url::shown;
use crate::secrets::Secret;
use crate::target_settings::TargetSettings;

/// The JSON Schema of `provider.json` (draft 2020-12), for editors and validators.
pub const PROVIDER_SCHEMA: &str = include_str!("../../schema/provider.schema.json");

/// Looks a variable up; in earnest `std::env::var`.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a file says, checked and with its references resolved.
#[derive(Clone, Debug, Default)]
pub struct ProviderFile {
    /// The providers in the order of the file.
    pub providers: Vec<ProviderEntry>,
    /// What works but deserves a look.
    pub warnings: Vec<Warning>,
    /// Where its values stand.
    pub places: SourceMap,
}

/// One provider.
#[derive(Clone, Debug)]
pub struct ProviderEntry {
    /// Its name, without a slash.
    pub id: String,
    /// Its models.
    pub models: Vec<ModelEntry>,
}

/// One model of a provider.
#[derive(Clone, Debug)]
pub struct ModelEntry {
    /// The name that is sent to the provider.
    pub model_name: String,
    /// The keys; at least one, no two equal.
    pub api_keys: Vec<KeyEntry>,
    /// Joined with `chat/completions`.
    pub base_url: String,
    /// Everything else; a rate limit of 10 at once and 1.0 a second where the file says nothing of it.
    pub settings: TargetSettings,
}

/// One key.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// The key, with its reference resolved.
    pub secret: Secret,
    /// Weight and limits.
    pub limits: KeyLimits,
    /// The name of the account it shares with others of the provider that name the same: the limits that they give for requests, tokens
    /// and days are those of the account, and count once for all of them.
    pub quota_group: Option<String>,
}

impl ProviderFile {
    /// Reads and checks a file.
    pub fn read(path: &Path, env: Environment<'_>) -> Result<Self, ProviderFileError> {
        Self::read_with(path, References { env, stand_in: false })
    }

    /// As [`read`](Self::read), for who sends nothing: a reference that leads nowhere is no defect, and stands for a key of its own.
    pub fn read_to_plan(path: &Path, env: Environment<'_>) -> Result<Self, ProviderFileError> {
        Self::read_with(path, References { env, stand_in: true })
    }

    fn read_with(path: &Path, references: References<'_>) -> Result<Self, ProviderFileError> {
        let origin = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => read::file(&text, &origin, references),
                Err(_) => Err(ProviderFileError::whole(
                    &origin,
                    "it is not UTF-8 text",
                    "save it as UTF-8",
                )),
            },
            Err(error) => {
                let cure = "give the path of an existing file with --config";
                Err(ProviderFileError::whole(
                    &origin,
                    &format!("it cannot be read: {error}"),
                    cure,
                ))
            }
        }
    }

    /// Checks a text. `origin` names it in messages.
    pub fn parse(text: &str, origin: &str, env: Environment<'_>) -> Result<Self, ProviderFileError> {
        read::file(text, origin, References { env, stand_in: false })
    }
}

impl<T: Into<Secret>> From<T> for KeyEntry {
    fn from(key: T) -> Self {
        Self {
            secret: key.into(),
            limits: KeyLimits::default(),
            quota_group: None,
        }
    }
}

impl ModelEntry {
    /// The base URL as it may be shown: of a query only the names, since a key may be in it.
    pub fn shown_base_url(&self) -> String {
        shown(&self.base_url)
    }
}

impl fmt::Display for ModelEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.model_name, self.shown_base_url())
    }
}
