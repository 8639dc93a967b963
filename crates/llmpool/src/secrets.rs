//! API keys and their labels, and the masking of keys in texts.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use sha2::{Digest, Sha256};

/// An API key. Implements neither `Display` nor `Serialize`, so that a key is not shown by accident. The
/// `Debug` output contains only a fingerprint of the key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

/// A label that identifies an API key in output without revealing the key. Consists of the key's position, its
/// name if it has one, and a short fingerprint, as in `key-1 (a3f9c2)` or `key-1 team-a (a3f9c2)`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyLabel(Arc<LabelText>);

#[derive(PartialEq, Eq, Hash)]
struct LabelText {
    text: String,
    name: Option<String>,
    note: Option<String>,
}

impl Secret {
    /// Creates a secret that contains `key`.
    pub fn new(key: impl Into<Arc<str>>) -> Self {
        Self(key.into())
    }

    /// Returns the key itself, which must not be logged or displayed.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the label of this key without a name. `position` is the key's position in its pool, starting at 1.
    /// The label of a configured key is [`KeyEntry::label`](crate::KeyEntry::label).
    pub fn label(&self, position: usize) -> KeyLabel {
        self.named_label(position, None, None)
    }

    pub(crate) fn named_label(&self, position: usize, name: Option<&str>, note: Option<&str>) -> KeyLabel {
        let spaced_name = name.map(|name| format!(" {name}")).unwrap_or_default();
        KeyLabel(Arc::new(LabelText {
            text: format!("key-{position}{spaced_name} ({})", self.fingerprint()),
            name: name.map(str::to_owned),
            note: note.map(str::to_owned),
        }))
    }

    /// Returns the header value `Bearer KEY`. Returns `None` if the key is empty or contains characters that
    /// a header cannot contain.
    pub(crate) fn bearer(&self) -> Option<HeaderValue> {
        self.header("Bearer ")
    }

    /// Returns the header value `KEY`, without `Bearer`. Returns `None` if the key is empty or contains
    /// characters that a header cannot contain.
    pub(crate) fn bare(&self) -> Option<HeaderValue> {
        self.header("")
    }

    fn header(&self, prefix: &str) -> Option<HeaderValue> {
        let usable = !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic());
        let mut value = HeaderValue::try_from(format!("{prefix}{}", self.0))
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

impl KeyLabel {
    /// Returns the configured name of the key.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Returns the configured note about the key, which is not part of the displayed label.
    pub fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.fingerprint())
    }
}

impl fmt::Display for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
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

/// The maximum length of a text from a provider, in characters. The rest of a longer text is cut off.
const MAX_TEXT_CHARS: usize = 4096;

/// Replaces keys in a text from a provider by `[key]`: each of `secrets`, and each word that looks like a
/// key. Then cuts the text to [`MAX_TEXT_CHARS`] characters.
pub(crate) fn mask_secrets<'a>(text: &str, secrets: impl Iterator<Item = &'a Secret>) -> String {
    let mut text = text.to_owned();
    let mut found: Vec<&str> = secrets
        .map(Secret::expose)
        .filter(|secret| text.contains(secret))
        .collect();
    // The longest key is replaced first, because one key may be a prefix of another.
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in found {
        text = text.replace(secret, "[key]");
    }
    // The text is cut last, because a key that is cut in half would not be recognised.
    mask_lookalikes(&text).chars().take(MAX_TEXT_CHARS).collect()
}

/// Returns whether a text of the configuration contains one of `secrets`, or a word that looks like a key.
/// Secrets of fewer than 8 characters are placeholders, which ordinary words may contain.
pub(crate) fn contains_key<'a>(text: &str, mut secrets: impl Iterator<Item = &'a Secret>) -> bool {
    let is_contained = |secret: &Secret| secret.0.len() >= 8 && text.contains(&*secret.0);
    secrets.any(is_contained) || mask_lookalikes(text) != text
}

/// Replaces each word that begins with `sk-` and has more than 6 characters by `[key]`, because the word is
/// probably an API key. A word may contain asterisks, because some providers mask only the middle of a key.
fn mask_lookalikes(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("sk-") {
        let key = &rest[at..];
        let end = key
            .find(|c: char| !(c.is_ascii_alphanumeric() || "-_*.".contains(c)))
            .unwrap_or(key.len());
        let is_word_start = !rest[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        masked += &rest[..at];
        masked += if end > 6 && is_word_start {
            "[key]"
        } else {
            &key[..end]
        };
        rest = &key[end..];
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    // O03, U08
    #[test]
    fn secret_debug_and_label_show_only_a_fingerprint() {
        let secret = Secret::from("sk-canary-0123456789");
        let label = secret.label(3);
        let output = format!("{secret:?} {label} {label:?} {:?}", secret.bearer());
        assert!(!output.contains("canary"), "{output}");
        assert!(label.to_string().starts_with("key-3 ("));
        assert_eq!(secret.label(1), Secret::from("sk-canary-0123456789").label(1));
    }

    // L80
    #[test]
    fn echoed_keys_are_masked() {
        let keys = [Secret::from("abc"), Secret::from("abc-long")];
        let masked = |text| mask_secrets(text, keys.iter());
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
    fn key_at_the_cut_of_a_long_text_is_masked() {
        let secret = Secret::from("CANARYKEY-1234567890");
        for before in 4070..4100 {
            let text = format!("{}{}", "x".repeat(before), secret.expose());
            assert!(
                !mask_secrets(&text, std::iter::once(&secret)).contains("CANARY"),
                "{before}"
            );
        }
    }

    #[test]
    fn key_invalid_in_a_header_has_no_bearer() {
        for bad in ["", "a b", "a\nb", "a\u{7f}", "\u{e4}"] {
            assert!(Secret::from(bad).bearer().is_none(), "{bad:?}");
        }
    }
}
