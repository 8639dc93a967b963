//! Reads the keys of a model.

use llmpool_core::limits::KeyLimits;

use super::field::{Field, JsonKind};
use super::reader::FileReader;
use super::secret_ref::SecretRef;
use crate::key_entry::KeyEntry;

/// The fields of a key that is written as an object.
const KEY_FIELDS: [&str; 9] = [
    "key",
    "weight",
    "max_concurrency",
    "rate_limit_capacity",
    "rate_limit_refill_rate",
    "rpm",
    "tpm",
    "rpd",
    "quota_group",
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
                None => keys.push(key),
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
        let (location, limits, quota_group) = match JsonKind::of(field.value) {
            JsonKind::Object => self.key_object(field)?,
            _ => (None, KeyLimits::default(), None),
        };
        let location = location.as_ref().unwrap_or(field);
        let reference = SecretRef::parse(&self.string(location)?);
        let secret = self.secret(location, &reference)?;
        if secret.bearer().is_none() {
            let message = "the key contains whitespace or characters that a header cannot contain";
            self.error(location, message, "copy the key again");
            return None;
        }
        let entry = KeyEntry {
            secret,
            limits,
            quota_group,
        };
        Some((entry, reference))
    }

    /// Reads a key that is written as an object. Returns three values: the field that contains the secret,
    /// the limits of the key, and the name of its quota group.
    fn key_object(&mut self, field: &Field<'a>) -> Option<(Option<Field<'a>>, KeyLimits, Option<String>)> {
        let members = self.object_of(field, &KEY_FIELDS, r#"{"key": "${OPENAI_API_KEY}"}"#)?;
        let weight = members.get("weight");
        let weight = weight.and_then(|field| self.integer(&field, 1, 1000));
        let rate_limit = self.rate_limit(&members);
        let limits = self.limits(rate_limit, &members);
        let quota_group = members.get_non_null("quota_group");
        let quota_group = quota_group.and_then(|field| self.string(&field));
        let Some(key) = members.get("key") else {
            self.missing(field, &members, "key", "\"${OPENAI_API_KEY}\"");
            return None;
        };
        let limits = KeyLimits {
            weight: weight.unwrap_or(1),
            limits,
            ..KeyLimits::default()
        };
        Some((Some(key), limits, quota_group))
    }
}
