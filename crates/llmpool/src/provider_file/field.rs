//! Undecoded JSON values of a provider file, with their paths and positions.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An undecoded JSON value of the file, and the value's path, such as `openai[0].api_keys[2]`.
pub(super) struct Field<'a> {
    pub(super) path: String,
    pub(super) value: &'a RawValue,
}

/// The members of a JSON object, in the order of the file. Members with equal names are all kept.
pub(super) struct Fields<'a> {
    path: String,
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Field<'a> {
    pub(super) fn is_null(&self) -> bool {
        JsonKind::of(self.value) == JsonKind::Null
    }

    /// Returns the members of this value, or `None` if the value is not an object.
    pub(super) fn members(&self) -> Option<Fields<'a>> {
        let RawMembers(members) = serde_json::from_str(self.value.get()).ok()?;
        let path = self.path.clone();
        Some(Fields { path, members })
    }

    /// Returns the items of this value, or `None` if the value is not an array.
    pub(super) fn items(&self) -> Option<Vec<Field<'a>>> {
        let items: Vec<&RawValue> = serde_json::from_str(self.value.get()).ok()?;
        let item = |(index, value)| Field {
            path: format!("{}[{index}]", self.path),
            value,
        };
        Some(items.into_iter().enumerate().map(item).collect())
    }
}

impl<'a> Fields<'a> {
    /// Returns the path of the member `name` of this object, whether or not the member exists.
    pub(super) fn path_of(&self, name: &str) -> String {
        match &*self.path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    /// Returns the first member named `name`, or `None` if the object has no such member.
    pub(super) fn get(&self, name: &str) -> Option<Field<'a>> {
        let (_, value) = self.members.iter().find(|(known, _)| known == name)?;
        let path = self.path_of(name);
        Some(Field { path, value })
    }

    /// Returns the first member named `name`. Returns `None` if the object has no such member or if the value
    /// of the member is `null`.
    pub(super) fn get_non_null(&self, name: &str) -> Option<Field<'a>> {
        self.get(name).filter(|field| !field.is_null())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Cow<'a, str>, Field<'a>)> {
        self.members.iter().map(|(name, value)| {
            let path = self.path_of(name);
            (name, Field { path, value })
        })
    }
}

/// The names and undecoded values of all members of a JSON object, including members with equal names.
struct RawMembers<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for RawMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = RawMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawMembers<'de>, A::Error> {
                #[derive(serde::Deserialize)]
                struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(RawMembers(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonKind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl JsonKind {
    pub(super) fn of(value: &RawValue) -> Self {
        match value.get().as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }

    /// Returns the name of the kind with an article, such as `a string`, for error messages.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Bool => "a boolean",
            Self::Null => "null",
        }
    }
}

/// The start offsets of all lines of a text, used to find the line and column of a value.
pub(super) struct LineIndex<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let line_ends = text.match_indices('\n').map(|(end, _)| end + 1);
        Self {
            text,
            line_starts: std::iter::once(0).chain(line_ends).collect(),
        }
    }

    /// Returns the line and column at which `value` begins, both starting at 1. Columns are counted in
    /// characters. `value` must be a slice of the indexed text.
    pub(super) fn position(&self, value: &RawValue) -> (usize, usize) {
        let offset = (value.get().as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line.saturating_sub(1)];
        let before = self.text.get(start..offset).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}
