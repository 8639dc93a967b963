//! JSON objects whose members are kept as JSON text.
//!
//! Reading an object this way preserves all digits of numbers and the order of members, has no limit on the
//! depth of the values, and accepts values that cannot be decoded.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::chat::wire_object::FieldName;

/// Names and values of the members of a JSON object in their original order. A repeated member occurs several
/// times.
pub(crate) type JsonMembers<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// Returns the members of a JSON object. `None` if `json` is not an object.
pub(crate) fn parse_members(json: &[u8]) -> Option<JsonMembers<'_>> {
    let object: Option<Members<'_>> = serde_json::from_slice(json).ok();
    object.map(|object| object.0)
}

struct Members<'a>(JsonMembers<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(FieldName(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A JSON object whose members can be replaced. Invariant: no two members have the same name.
#[derive(Default)]
pub(crate) struct RawObject<'a> {
    members: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> RawObject<'a> {
    /// Parses an object. Keeps the last of several members with the same name. `None` if `json` is not an
    /// object.
    pub(crate) fn parse(json: &'a str) -> Option<Self> {
        let members = parse_members(json.as_bytes())?;
        let mut last = HashMap::new();
        for (place, (name, _)) in members.iter().enumerate() {
            last.insert(name.clone(), place);
        }
        let members = members.into_iter().enumerate();
        let kept = members.filter(|(place, (name, _))| last.get(name) == Some(place));
        Some(Self {
            members: kept
                .map(|(_, (name, value))| (name, Cow::Borrowed(value.get())))
                .collect(),
        })
    }

    /// Returns the value of a member as JSON text. `None` if there is no such member.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.place(name).map(|place| &*self.members[place].1)
    }

    /// Returns the names of the members.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_ref())
    }

    /// Returns whether a member is absent or null.
    pub(crate) fn is_missing(&self, name: &str) -> bool {
        matches!(self.get(name), None | Some("null"))
    }

    /// Sets the member `name` to a value that is given as JSON text.
    pub(crate) fn set(&mut self, name: &'static str, value: String) {
        match self.place(name) {
            Some(place) => self.members[place].1 = value.into(),
            None => self.members.push((name.into(), value.into())),
        }
    }

    /// Removes the member `name` and returns its value as JSON text. `None` if there is no such member.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Cow<'a, str>> {
        self.place(name).map(|place| self.members.remove(place).1)
    }

    /// Replaces the value of the member `name` with the result of `edit`, or removes the member if the result
    /// is `None`. Does nothing if there is no such member.
    pub(crate) fn edit(&mut self, name: &str, edit: impl FnOnce(&str) -> Option<String>) {
        let Some(place) = self.place(name) else {
            return;
        };
        match edit(&self.members[place].1) {
            Some(value) => self.members[place].1 = value.into(),
            None => drop(self.members.remove(place)),
        }
    }

    /// Returns the object as JSON text.
    pub(crate) fn to_json(&self) -> String {
        let length: usize = self
            .members
            .iter()
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum();
        let mut json = String::with_capacity(length + 2);
        json.push('{');
        for (name, value) in &self.members {
            if json.len() > 1 {
                json.push(',');
            }
            json += &quoted(name);
            json.push(':');
            json += value;
        }
        json.push('}');
        json
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|(known, _)| known == name)
    }
}

/// Returns a text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_text_and_the_last_repeated_one_counts() {
        let json = r#"{"a":1,"\u0061":1e400, "b\"" : "\ud83d","c":[1, 2]}"#;
        let mut object = RawObject::parse(json).unwrap();
        assert_eq!((object.get("a"), object.get("d")), (Some("1e400"), None));
        object.edit("c", |value| Some(value.replace(' ', "")));
        object.edit("a", |_| None);
        object.edit("d", |_| Some("1".to_owned()));
        object.set("e", "null".to_owned());
        assert!(object.is_missing("e") && object.is_missing("a") && !object.is_missing("c"));
        assert_eq!(object.to_json(), r#"{"b\"":"\ud83d","c":[1,2],"e":null}"#);
        assert_eq!(object.remove("c").as_deref(), Some("[1,2]"));
        for json in ["[]", "1", "{", r#"{"\ud83d":1}"#] {
            assert!(RawObject::parse(json).is_none(), "{json}");
        }
        assert_eq!(RawObject::parse(" {} ").unwrap().to_json(), "{}");
    }
}
