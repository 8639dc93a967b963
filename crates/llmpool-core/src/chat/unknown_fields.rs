//! Fields of a JSON object that a type has no field for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::ser::SerializeMap;

use super::json::Json;

/// Up to this many fields are compared with each other to find duplicates; more are hashed.
const MAX_PAIRWISE: usize = 8;

/// Fields that a type does not name, in their original order.
///
/// Also remembers which of the named fields were `null`, so that decoding and encoding gives equal JSON. Allocates nothing as long
/// as there are no unknown fields. `Debug` shows the number of fields only.
#[derive(Clone, Default)]
pub struct UnknownFields {
    /// One bit for each named field that was `null`.
    nulls: u64,
    /// One bit for each named list that was present and empty, and for each required field that was missing.
    marks: u64,
    fields: Vec<(Cow<'static, str>, Json)>,
}

impl PartialEq for UnknownFields {
    /// An empty list and a missing one are equal.
    fn eq(&self, other: &Self) -> bool {
        self.nulls == other.nulls && self.fields == other.fields
    }
}

impl UnknownFields {
    /// Returns whether there are no unknown fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Returns the value of an unknown field.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, json)| json)
    }

    /// Sets an unknown field. Do not use it for a field that the type names: the object would contain the field twice.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: Json) {
        let name = name.into();
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name, value)),
        }
    }

    /// Appends a field without looking for duplicates. Call [`remove_duplicates`](Self::remove_duplicates) after the last one.
    pub(crate) fn push(&mut self, name: String, value: Json) {
        self.fields.push((name.into(), value));
    }

    /// Keeps the last of each repeated field.
    pub(crate) fn remove_duplicates(&mut self) {
        let is_first = |(index, (name, _)): (usize, &(Cow<'_, str>, Json))| {
            self.fields[..index].iter().all(|(other, _)| other != name)
        };
        if self.fields.len() <= MAX_PAIRWISE && self.fields.iter().enumerate().all(is_first) {
            return;
        }
        // Linear, because the sender decides how many fields there are.
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

    /// Removes an unknown field and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<Json> {
        let index = self.fields.iter().position(|(known, _)| known == name)?;
        Some(self.fields.remove(index).1)
    }

    /// Returns the unknown fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.fields.iter().map(|(name, json)| (name.as_ref(), json))
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

    /// Writes all fields except those in `skip`.
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
