//! The configuration of one API key: its secret, its limits and its account.

use llmpool_core::limits::{KeyLimits, Limits};

use crate::secrets::{KeyLabel, Secret, contains_key};

/// The maximum length of the name of a key in characters.
const MAX_NAME: usize = 64;
/// The maximum length of the note about a key in characters.
const MAX_NOTE: usize = 200;

/// The configuration of one API key.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// The API key.
    pub secret: Secret,
    /// The limits of the key, and its weight in load balancing.
    pub limits: KeyLimits,
    /// The name of the account to which the key belongs. Keys of one provider with the same account name
    /// share one quota: each limit except `max_concurrency` applies to these keys together. `None` if the key
    /// shares its quota with no other key.
    pub quota_group: Option<String>,
    /// A name that is displayed with the key, at most 64 printable characters. Different keys of one provider
    /// have different names.
    pub name: Option<String>,
    /// A note about the key for the users of the configuration, such as its owner: at most 200 printable
    /// characters.
    pub note: Option<String>,
}

impl KeyEntry {
    /// Returns the label of the key. `position` is the key's position in its pool, starting at 1.
    pub fn label(&self, position: usize) -> KeyLabel {
        let (name, note) = (self.name.as_deref(), self.note.as_deref());
        self.secret.named_label(position, name, note)
    }

    /// Returns whether this is another key than `other`, but with the same name.
    pub(crate) fn has_name_of(&self, other: &Self) -> bool {
        self.name.is_some() && self.name == other.name && self.secret != other.secret
    }

    /// Returns the first of `name` and `note` that cannot be displayed, and the reason. Both are shown where
    /// keys are not, so neither may contain one of `secrets`.
    pub(crate) fn invalid_text<'a>(
        &self,
        secrets: impl Iterator<Item = &'a Secret> + Clone,
    ) -> Option<(&'static str, String)> {
        let texts = [("name", &self.name, MAX_NAME), ("note", &self.note, MAX_NOTE)];
        texts.into_iter().find_map(|(field, text, limit)| {
            let text = text.as_deref()?;
            let is_long = text.chars().count() > limit;
            let problem = if text.trim().is_empty() || is_long || text.contains(char::is_control) {
                format!("the {field} must have 1 to {limit} printable characters")
            } else if contains_key(text, secrets.clone()) {
                format!("the {field} contains a key or looks like one; it is displayed, so it must not")
            } else {
                return None;
            };
            Some((field, problem))
        })
    }

    /// Sets the limits of the key. Keeps its weight in load balancing.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits.limits = limits;
        self
    }
}

impl<T: Into<Secret>> From<T> for KeyEntry {
    fn from(key: T) -> Self {
        Self {
            secret: key.into(),
            limits: KeyLimits::default(),
            quota_group: None,
            name: None,
            note: None,
        }
    }
}
