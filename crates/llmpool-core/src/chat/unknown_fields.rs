//! What the sender said that a type does not name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Any JSON value as its text, so that numbers keep their digits.
#[derive(Clone)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON of a value.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    /// The JSON text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The value, numbers as far as `serde_json` holds them.
    pub fn value(&self) -> Value {
        serde_json::from_str(self.get()).unwrap_or_default()
    }
}

impl From<Box<RawValue>> for Json {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        let read = |json: &Self| serde_json::from_str::<Value>(json.get()).ok();
        self.get() == other.get() || read(self).is_some_and(|value| read(other) == Some(value))
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.get().len())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::deserialize(deserializer).map(Self)
    }
}

/// So many members are compared with each other rather than sorted.
const FEW: usize = 8;

/// Members that a type does not name, in the order in which they came, and those of its own that were explicitly `null`.
///
/// Takes no memory of its own as long as there are no unknown members.
#[derive(Clone, Default)]
pub struct UnknownFields {
    /// One bit for each named member that was `null`.
    nulls: u64,
    /// One bit for each named list that was there and empty, and for each member that is always written and was not there.
    marks: u64,
    members: Vec<(Cow<'static, str>, Json)>,
}

impl PartialEq for UnknownFields {
    /// An empty list and one that is not there mean the same.
    fn eq(&self, other: &Self) -> bool {
        self.nulls == other.nulls && self.members == other.members
    }
}

impl UnknownFields {
    /// Whether there are no unknown members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// An unknown member.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, json)| json)
    }

    /// Sets an unknown member. Naming a member that the type has a field for would say it twice: use the field.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: Json) {
        let name = name.into();
        match self.members.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.members.push((name, value)),
        }
    }

    /// As it was read; [`forget_repeated`](Self::forget_repeated) comes after the last.
    pub(crate) fn push(&mut self, name: String, value: Json) {
        self.members.push((name.into(), value));
    }

    /// Of members with one name the last counts.
    pub(crate) fn forget_repeated(&mut self) {
        let few = self.members.len() <= FEW;
        let differ = |(at, (name, _)): (usize, &(Cow<'_, str>, Json))| {
            self.members[..at].iter().all(|(other, _)| other != name)
        };
        if few && self.members.iter().enumerate().all(differ) {
            return;
        }
        // Each is looked at once: a sender may write very many.
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (at, (name, _)) in self.members.iter().enumerate() {
            last.insert(name, at);
        }
        let mut lasts: Vec<_> = last.into_values().collect();
        lasts.sort_unstable();
        let mut lasts = lasts.into_iter().peekable();
        let mut places = 0..;
        self.members
            .retain(|_| places.next().is_some_and(|at| lasts.next_if_eq(&at).is_some()));
    }

    /// Takes an unknown member out.
    pub fn remove(&mut self, name: &str) -> Option<Json> {
        let at = self.members.iter().position(|(known, _)| known == name)?;
        Some(self.members.remove(at).1)
    }

    /// The unknown members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.members.iter().map(|(name, json)| (name.as_ref(), json))
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

    pub(crate) fn serialize_members<M: SerializeMap>(
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
        write!(f, "UnknownFields({} members)", self.members.len())
    }
}
