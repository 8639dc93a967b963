//! The fields that a translation leaves out, and what happens to fields that a type does not name.
//!
//! - Unknown members of a request are read as fields of the other format, because its provider can know them.
//! - Unknown members of what a caller wrote (a part, a tool) are kept.
//! - Unknown members of what a model wrote are dropped, because the provider of another model would refuse them.

use serde::de::DeserializeOwned;

use super::UnsupportedField;
use crate::chat::{EmptyObject, Json, UnknownFields};

/// Paths of the fields that a translated request does not contain, or contains with another value.
#[derive(Default)]
pub(super) struct DroppedFields(Vec<String>);

impl DroppedFields {
    pub(super) fn push(&mut self, path: impl Into<String>) {
        self.0.push(path.into());
    }

    /// Adds the fields whose condition holds.
    pub(super) fn push_if<const N: usize>(&mut self, fields: [(bool, &str); N]) {
        let dropped = fields.into_iter().filter(|(is_dropped, _)| *is_dropped);
        self.0.extend(dropped.map(|(_, name)| name.to_owned()));
    }

    /// Adds all unknown members of the object at `path`.
    pub(super) fn push_unknown(&mut self, extra: &UnknownFields, path: &str) {
        self.push_members(extra.iter().map(|(name, _)| name), path);
    }

    /// Adds members of the object at `path`.
    pub(super) fn push_members<'a>(&mut self, names: impl Iterator<Item = &'a str>, path: &str) {
        self.0.extend(names.map(|name| format!("{path}.{name}")));
    }

    /// Returns the unknown members of the object at `path` that the translated object keeps. Members named in `reserved` are dropped,
    /// because they would have another meaning there.
    pub(super) fn keep_unknown(
        &mut self,
        extra: &UnknownFields,
        reserved: &[&str],
        path: &str,
    ) -> UnknownFields {
        let names = extra.iter().map(|(name, _)| name);
        self.push_members(names.filter(|name| reserved.contains(name)), path);
        without(extra, reserved)
    }

    pub(super) fn into_paths(self) -> Vec<String> {
        self.0
    }
}

/// Returns the unknown members, for another type.
pub(super) fn copy_unknown(extra: &UnknownFields) -> UnknownFields {
    without(extra, &[])
}

/// Returns the unknown members, except those named in `reserved`, for another type.
pub(super) fn without(extra: &UnknownFields, reserved: &[&str]) -> UnknownFields {
    let mut kept = UnknownFields::default();
    for (name, json) in extra.iter().filter(|(name, _)| !reserved.contains(name)) {
        kept.push(name.to_owned(), json.clone());
    }
    kept
}

/// Reads the unknown members of a request as a request of the other format.
///
/// # Errors
///
/// Returns the first member that the other format knows, but with another type.
pub(super) fn adopt_unknown<T: DeserializeOwned + Default>(
    extra: &UnknownFields,
) -> Result<T, UnsupportedField> {
    if extra.is_empty() {
        return Ok(T::default());
    }
    let parse =
        |extra: UnknownFields| serde_json::from_str(Json::of(&EmptyObject { extra }).ok()?.get()).ok();
    if let Some(request) = parse(extra.clone()) {
        return Ok(request);
    }
    let is_invalid = |name: &str, json: &Json| {
        let mut single = UnknownFields::default();
        single.push(name.to_owned(), json.clone());
        parse(single).is_none()
    };
    let invalid = extra.iter().find(|(name, json)| is_invalid(name, json));
    let reason = "the other format has this field, but not with such a value";
    Err(UnsupportedField::new(
        invalid.map_or("", |(name, _)| name),
        reason,
    ))
}
