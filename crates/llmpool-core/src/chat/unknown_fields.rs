//! Unknown fields of a JSON object: those that the Rust struct does not define.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::ser::SerializeMap;

use super::json::Json;

/// Maximum number of unknown fields whose names are compared pairwise to find duplicates. If there are more
/// fields, the names are hashed.
const MAX_PAIRWISE: usize = 8;

/// The mark of an object without a type. No struct has this many fields.
const UNTYPED: u32 = 63;

/// The unknown fields of a JSON object, in their original order: those that the Rust struct does not define.
///
/// Also records which fields of the struct were null in the JSON, so that encoding a decoded object yields
/// equal JSON. Does not allocate if there are no unknown fields. `Debug` output shows only the number of
/// unknown fields.
#[derive(Clone, Default)]
pub struct UnknownFields {
    /// One bit for each field that the struct defines, set if the field was null in the JSON.
    nulls: u64,
    /// One bit for each field that the struct defines. The bit of an optional field is set if the JSON had an
    /// empty list there. The bit of a required field is set if the JSON lacked the field.
    marks: u64,
    fields: Vec<(Cow<'static, str>, Json)>,
}

impl PartialEq for UnknownFields {
    /// Compares the unknown fields and `nulls`. Ignores `marks`, so that an empty list equals a missing list.
    fn eq(&self, other: &Self) -> bool {
        self.nulls == other.nulls && self.fields == other.fields
    }
}

impl UnknownFields {
    /// Returns whether there are no unknown fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns the value of the unknown field `name`. `None` if there is no unknown field with this name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, json)| json)
    }

    /// Sets the unknown field `name` to `value`. `name` must not be a field that the struct defines, because
    /// the encoded object would then contain the field twice.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: Json) {
        let name = name.into();
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name, value)),
        }
    }

    /// Appends an unknown field without checking for duplicates. Call
    /// [`remove_duplicates`](Self::remove_duplicates) after the last field.
    pub(crate) fn push(&mut self, name: String, value: Json) {
        self.fields.push((name.into(), value));
    }

    /// Removes fields with duplicate names, and keeps only the last field of each name.
    pub(crate) fn remove_duplicates(&mut self) {
        let is_first = |(index, (name, _)): (usize, &(Cow<'_, str>, Json))| {
            self.fields[..index].iter().all(|(other, _)| other != name)
        };
        if self.fields.len() <= MAX_PAIRWISE && self.fields.iter().enumerate().all(is_first) {
            return;
        }
        // The sender determines the number of fields, so the time must be linear in this number.
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (index, (name, _)) in self.fields.iter().enumerate() {
            last.insert(name, index);
        }
        let mut kept: Vec<_> = last.into_values().collect();
        kept.sort_unstable();
        let mut kept = kept.into_iter().peekable();
        let mut indexes = 0..;
        self.fields.retain(|_| {
            indexes
                .next()
                .is_some_and(|index| kept.next_if_eq(&index).is_some())
        });
    }

    /// Removes all unknown fields and returns them. Keeps the record of null fields.
    pub(crate) fn take_fields(&mut self) -> Self {
        Self {
            fields: std::mem::take(&mut self.fields),
            ..Self::default()
        }
    }

    /// Removes the unknown field `name` and returns its value. `None` if there was no unknown field with this
    /// name.
    pub fn remove(&mut self, name: &str) -> Option<Json> {
        let index = self.fields.iter().position(|(known, _)| known == name)?;
        Some(self.fields.remove(index).1)
    }

    /// Returns the names and values of the unknown fields, in their original order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.fields.iter().map(|(name, json)| (name.as_ref(), json))
    }

    /// Records that the object has no type, although its kind is distinguished by a type.
    pub(crate) fn set_untyped(&mut self) {
        self.mark(UNTYPED);
    }

    /// Returns the type of an object whose type is `tag` unless the JSON had another one or none.
    pub(crate) fn stated_type<'a>(&'a self, tag: &'a str) -> Option<Cow<'a, str>> {
        match self.get("type") {
            _ if self.is_marked(UNTYPED) => None,
            Some(stated) => serde_json::from_str(stated.get()).ok().map(Cow::Owned),
            None => Some(tag.into()),
        }
    }

    pub(crate) fn set_null(&mut self, bit: u32) {
        self.nulls |= 1 << bit;
    }

    pub(crate) fn mark(&mut self, bit: u32) {
        self.marks |= 1 << bit;
    }

    pub(crate) fn unmark(&mut self, bit: u32) {
        self.marks &= !(1 << bit);
    }

    pub(crate) fn is_marked(&self, bit: u32) -> bool {
        self.marks & (1 << bit) != 0
    }

    pub(crate) fn is_null(&self, bit: u32) -> bool {
        self.nulls & (1 << bit) != 0
    }

    /// Writes all unknown fields to `map`, except fields whose names are in `skip`.
    pub(crate) fn serialize_fields<M: SerializeMap>(
        &self,
        map: &mut M,
        skip: &[&str],
    ) -> Result<(), M::Error> {
        for (name, json) in self.iter().filter(|(name, _)| !skip.contains(name)) {
            map.serialize_entry(name, json)?;
        }
        Ok(())
    }
}

impl fmt::Debug for UnknownFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnknownFields({})", self.fields.len())
    }
}
