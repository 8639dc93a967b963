//! Request fields that a translation drops, and rules for unknown fields.
//!
//! Unknown fields are JSON fields for which the Rust types have no field:
//!
//! - Unknown fields of a request are read as fields of the other API format, because the target's provider
//!   may support them.
//! - Unknown fields of an object that the client wrote, such as a content part or a tool, are kept.
//! - Unknown fields of an object that a model wrote are dropped, because the provider of another model would
//!   reject them.

use serde::de::DeserializeOwned;

use super::UnsupportedField;
use crate::chat::{EmptyObject, Json, UnknownFields};

/// Paths of the request fields that the translation leaves out or changes, such as `messages[0].name`.
#[derive(Default)]
pub(super) struct DroppedFields(Vec<String>);

impl DroppedFields {
    pub(super) fn push(&mut self, path: impl Into<String>) {
        self.0.push(path.into());
    }

    /// Reports as dropped each field whose condition is true. An element of `fields` consists of a condition
    /// and the name of a field.
    pub(super) fn push_if<const N: usize>(&mut self, fields: [(bool, &str); N]) {
        let dropped = fields.into_iter().filter(|(is_dropped, _)| *is_dropped);
        self.0.extend(dropped.map(|(_, name)| name.to_owned()));
    }

    /// Reports all unknown fields of the object at `path` as dropped.
    pub(super) fn push_unknown(&mut self, extra: &UnknownFields, path: &str) {
        self.push_members(extra.iter().map(|(name, _)| name), path);
    }

    /// Reports the fields with the given names, in the object at `path`, as dropped.
    pub(super) fn push_members<'a>(&mut self, names: impl Iterator<Item = &'a str>, path: &str) {
        self.0.extend(names.map(|name| format!("{path}.{name}")));
    }

    /// Returns a copy of the unknown fields of the object at `path`, without the fields named in `reserved`.
    /// Reserved names have another meaning in the translated object. Reports the removed fields as dropped.
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

/// Returns a copy of the unknown fields of one object, for use in an object of another type.
pub(super) fn copy_unknown(extra: &UnknownFields) -> UnknownFields {
    without(extra, &[])
}

/// Returns a copy of the unknown fields of one object, for use in an object of another type. Leaves out the
/// fields named in `reserved`.
pub(super) fn without(extra: &UnknownFields, reserved: &[&str]) -> UnknownFields {
    let mut kept = UnknownFields::default();
    for (name, json) in extra.iter().filter(|(name, _)| !reserved.contains(name)) {
        kept.push(name.to_owned(), json.clone());
    }
    kept
}

/// Decodes the unknown fields of a request as fields of the other API format.
///
/// # Errors
///
/// Returns an error for the first field that the other API format defines but whose value is invalid there.
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
    let reason = "the other API format has this field, but does not accept the value";
    Err(UnsupportedField::new(
        invalid.map_or("", |(name, _)| name),
        reason,
    ))
}
