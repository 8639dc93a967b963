//! API keys as a type that cannot be shown by accident.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use sha2::{Digest, Sha256};

/// An API key. It has no `Display` and is never serialised; `{:?}` shows a fingerprint.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

/// The only form in which a key is ever shown: its position and a short fingerprint, as in `key-1 (a3f9c2)`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyLabel(Arc<str>);

impl Secret {
    /// Takes a key.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Self(key.into())
    }

    /// The key itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// How it is shown as number `position` (from 1) of its pool.
    pub fn label(&self, position: usize) -> KeyLabel {
        KeyLabel(format!("key-{position} ({})", self.fingerprint()).into())
    }

    /// `Bearer …` as a header, or `None` where the key cannot be part of one.
    pub(crate) fn bearer(&self) -> Option<HeaderValue> {
        self.header("Bearer ")
    }

    /// The key itself as a header, or `None` where it cannot be one.
    pub(crate) fn bare(&self) -> Option<HeaderValue> {
        self.header("")
    }

    fn header(&self, before: &str) -> Option<HeaderValue> {
        let usable = !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic());
        let mut value = HeaderValue::try_from(format!("{before}{}", self.0))
            .ok()
            .filter(|_| usable)?;
        value.set_sensitive(true);
        Some(value)
    }

    fn fingerprint(&self) -> String {
        let hash = Sha256::digest(self.0.as_bytes());
        hash.iter().take(3).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.fingerprint())
    }
}

impl fmt::Display for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Secret {
    fn from(key: &str) -> Self {
        Self::new(key)
    }
}

impl From<String> for Secret {
    fn from(key: String) -> Self {
        Self::new(key)
    }
}

/// The longest text of a provider that is kept.
const LONGEST_TEXT: usize = 4096;

/// A provider's text with every known key, and everything that looks like a piece of one, replaced by `[key]`.
pub(crate) fn masked<'a>(text: &str, secrets: impl Iterator<Item = &'a Secret>) -> String {
    let mut text = text.to_owned();
    let mut found: Vec<&str> = secrets
        .map(Secret::expose)
        .filter(|secret| text.contains(secret))
        .collect();
    // One key may begin another.
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in found {
        text = text.replace(secret, "[key]");
    }
    // Cut last: half a key would not be known for one.
    mask_lookalikes(&text).chars().take(LONGEST_TEXT).collect()
}

/// `sk-` and what follows it, asterisks included: providers show the ends of a key.
fn mask_lookalikes(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("sk-") {
        let key = &rest[at..];
        let end = key
            .find(|c: char| !(c.is_ascii_alphanumeric() || "-_*.".contains(c)))
            .unwrap_or(key.len());
        let begins_a_word = !rest[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        masked += &rest[..at];
        masked += if end > 6 && begins_a_word {
            "[key]"
        } else {
            &key[..end]
        };
        rest = &key[end..];
    }
    masked + rest
}

/// Where a key comes from.
pub(crate) enum Reference {
    Variable(String),
    File(String),
    /// It begins like a reference and does not end like one.
    Unclosed,
    Literal(Secret),
}

impl Reference {
    /// `${NAME}` and `env:NAME` are variables, `file:PATH` a file, anything else the key itself.
    pub(crate) fn read(text: &str) -> Self {
        let braced = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        match (
            braced.or_else(|| text.strip_prefix("env:")),
            text.strip_prefix("file:"),
        ) {
            (Some(name), _) => Self::Variable(name.to_owned()),
            (_, Some(path)) => Self::File(path.to_owned()),
            _ if text.starts_with("${") => Self::Unclosed,
            _ => Self::Literal(Secret::from(text)),
        }
    }

    /// The key, or what is wrong and what to do.
    pub(crate) fn resolve(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Secret, (String, String)> {
        let found = match self {
            Self::Literal(secret) => return Ok(secret.clone()),
            Self::Unclosed => {
                return Err((
                    "this reference is not closed".to_owned(),
                    "write it as in ${NAME}".to_owned(),
                ));
            }
            Self::Variable(name) if name.is_empty() => {
                return Err((
                    "this reference names no variable".to_owned(),
                    "write it as in ${NAME}".to_owned(),
                ));
            }
            Self::Variable(name) => env(name).ok_or_else(|| {
                (
                    format!("the variable {name} is not set"),
                    format!("set it, as in export {name}=…"),
                )
            })?,
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| {
                (
                    format!("the file {path} cannot be read: {error}"),
                    "check the path".to_owned(),
                )
            })?,
        };
        match found.trim() {
            "" => Err((
                "what it refers to is empty".to_owned(),
                "put the key there".to_owned(),
            )),
            key => Ok(Secret::from(key)),
        }
    }
}

impl Reference {
    /// Whether it names a place, and is not the key itself.
    pub(crate) fn leads_elsewhere(&self) -> bool {
        matches!(self, Self::Variable(_) | Self::File(_))
    }

    /// What stands for the key where it is not to be had, the same for the same reference; `None` for what names nothing.
    pub(crate) fn stand_in(&self) -> Option<Secret> {
        let (kind, name) = match self {
            Self::Variable(name) if !name.is_empty() => ("env", name),
            Self::File(path) => ("file", path),
            Self::Variable(_) | Self::Unclosed | Self::Literal(_) => return None,
        };
        // In hexadecimal, for a header carries fewer signs than a name may have.
        let name: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
        Some(Secret::from(format!("stand-in-for-{kind}-{name}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // O03, U08
    #[test]
    fn a_key_shows_as_a_fingerprint_only() {
        let secret = Secret::from("sk-canary-0123456789");
        let label = secret.label(3);
        let shown = format!("{secret:?} {label} {label:?} {:?}", secret.bearer());
        assert!(!shown.contains("canary"), "{shown}");
        assert!(label.to_string().starts_with("key-3 ("));
        assert_eq!(secret.label(1), Secret::from("sk-canary-0123456789").label(1));
    }

    // L80
    #[test]
    fn a_provider_that_echoes_keys_is_masked() {
        let keys = [Secret::from("abc"), Secret::from("abc-long")];
        let masked = |text| masked(text, keys.iter());
        assert_eq!(masked("abc and abc-long"), "[key] and [key]");
        assert_eq!(
            masked("Incorrect API key provided: sk-proj-12***xyz."),
            "Incorrect API key provided: [key]"
        );
        assert_eq!(
            masked("a task-oriented desk-job, sk-"),
            "a task-oriented desk-job, sk-"
        );
    }

    #[test]
    fn half_a_key_at_the_end_of_a_long_text_is_no_leak() {
        let secret = Secret::from("CANARYKEY-1234567890");
        for before in 4070..4100 {
            let text = format!("{}{}", "x".repeat(before), secret.expose());
            assert!(
                !masked(&text, std::iter::once(&secret)).contains("CANARY"),
                "{before}"
            );
        }
    }

    #[test]
    fn a_key_that_is_no_header_is_told() {
        for bad in ["", "a b", "a\nb", "a\u{7f}", "\u{e4}"] {
            assert!(Secret::from(bad).bearer().is_none(), "{bad:?}");
        }
    }
}
