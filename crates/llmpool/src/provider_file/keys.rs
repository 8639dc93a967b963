//! Reads the keys of a model.

use llmpool_core::limits::KeyLimits;

use super::field::{Field, JsonKind};
use super::reader::FileReader;
use super::secret_ref::SecretRef;
use crate::cleaned_key::CleanedKey;
use crate::key_entry::KeyEntry;
use crate::secrets::Secret;

/// The fields of a key that is written as an object.
const KEY_FIELDS: [&str; 11] = [
    "key",
    "weight",
    "max_concurrency",
    "rate_limit_capacity",
    "rate_limit_refill_rate",
    "rpm",
    "tpm",
    "rpd",
    "quota_group",
    "name",
    "note",
];
/// Values that users write in place of a key if a server needs no key. Because these values are not secret,
/// they cause no warning about a key in plain text.
const NO_KEY: [&str; 2] = ["none", "EMPTY"];

impl<'a> FileReader<'a> {
    /// Reads the keys of a model. Records one warning for each duplicate key, and one warning for all keys in
    /// plain text together.
    pub(super) fn keys(&mut self, field: &Field<'a>) -> Vec<KeyEntry> {
        let Some(items) = self.array(field, r#"["${OPENAI_API_KEY}"]"#) else {
            return Vec::new();
        };
        if items.is_empty() {
            self.error(
                field,
                "the model has no API key",
                "add a key, as in \"${OPENAI_API_KEY}\"",
            );
        }
        let mut keys: Vec<KeyEntry> = Vec::new();
        let mut in_plain_text = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let Some((key, reference)) = self.key(item) else {
                continue;
            };
            if matches!(&reference, SecretRef::Literal(key) if !NO_KEY.contains(&key.expose())) {
                in_plain_text.push((index + 1).to_string());
            }
            match keys.iter().position(|earlier| earlier.secret == key.secret) {
                Some(earlier) => {
                    let message = format!("same secret as key {}; the two count as one key", earlier + 1);
                    self.warn(item, &message, "remove the duplicate");
                }
                None => {
                    if let Some(earlier) = keys.iter().position(|earlier| earlier.has_name_of(&key)) {
                        let message =
                            format!("same name as another key, number {} of the model", earlier + 1);
                        self.error(item, &message, "give each key a name of its own");
                    }
                    keys.push(key);
                }
            }
        }
        if !in_plain_text.is_empty() {
            let message = match &in_plain_text[..] {
                [one] => format!("key {one} is in plain text"),
                several => format!("keys {} are in plain text", several.join(", ")),
            };
            let help = "use a reference such as ${NAME} or file:PATH";
            self.warn(field, &message, help);
        }
        keys
    }

    fn key(&mut self, field: &Field<'a>) -> Option<(KeyEntry, SecretRef)> {
        let (location, entry) = match JsonKind::of(field.value) {
            JsonKind::Object => self.key_object(field)?,
            _ => (None, KeyEntry::from("")),
        };
        let location = location.as_ref().unwrap_or(field);
        let text = self.string(location)?;
        let written = CleanedKey::new(&text);
        let reference = SecretRef::parse(written.key);
        let resolved = self.secret(location, &reference)?;
        let cleaned = CleanedKey::new(resolved.expose());
        let secret = Secret::from(cleaned.key);
        if cleaned.key.is_empty() {
            self.error(location, "the key is empty", "write the key or a reference to it");
            return None;
        }
        if secret.bearer().is_none() {
            let message = "the key contains whitespace or characters that a header cannot contain";
            self.error(location, message, "copy the key again");
            return None;
        }
        for (cleaned, help) in [
            (&written, "remove them"),
            (&cleaned, "remove them from the variable or file"),
        ] {
            if let Some(removed) = cleaned.removed() {
                let message = format!("the key is surrounded by {removed}, which llmpool leaves out");
                self.warn(location, &message, help);
            }
        }
        let entry = KeyEntry { secret, ..entry };
        if let Some((name, problem)) = entry.invalid_text(std::iter::once(&entry.secret)) {
            let text = field.members().and_then(|members| members.get(name));
            let help = format!("write a {name} that may be displayed, or remove the field");
            self.error(text.as_ref().unwrap_or(field), &problem, &help);
            return None;
        }
        Some((entry, reference))
    }

    /// Reads a key that is written as an object. Returns the field that contains the secret, and the key without
    /// the secret.
    fn key_object(&mut self, field: &Field<'a>) -> Option<(Option<Field<'a>>, KeyEntry)> {
        let members = self.object_of(field, &KEY_FIELDS, r#"{"key": "${OPENAI_API_KEY}"}"#)?;
        let weight = members.get("weight");
        let weight = weight.and_then(|field| self.integer(&field, 1, 1000));
        let rate_limit = self.rate_limit(&members);
        let limits = self.limits(rate_limit, &members);
        let [quota_group, name, note] = ["quota_group", "name", "note"].map(|name| {
            let field = members.get_non_null(name);
            field.and_then(|field| self.string(&field))
        });
        let Some(key) = members.get("key") else {
            self.missing(field, &members, "key", "\"${OPENAI_API_KEY}\"");
            return None;
        };
        let limits = KeyLimits {
            weight: weight.unwrap_or(1),
            limits,
            ..KeyLimits::default()
        };
        let entry = KeyEntry {
            limits,
            quota_group,
            name,
            note,
            ..KeyEntry::from("")
        };
        Some((Some(key), entry))
    }
}
