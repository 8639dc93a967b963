//! What becomes of members that a format does not name.
//!
//! Those of a request are said to the other provider too, where the format it speaks may have a name for them. Those of what a caller wrote
//! (a part, a tool) go along. Those of what a model said stay: another model's provider would refuse them.

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use super::Untranslatable;
use crate::chat::{Json, UnknownFields};

/// The members of a request that its own format does not name, as a request of the other format.
pub(super) fn adopted<T: DeserializeOwned + Default>(extra: &UnknownFields) -> Result<T, Untranslatable> {
    if extra.is_empty() {
        return Ok(T::default());
    }
    let read = |members: Members<'_>| serde_json::from_str(Json::of(&members).ok()?.get()).ok();
    let all: Vec<_> = extra.iter().collect();
    if let Some(request) = read(Members(&all)) {
        return Ok(request);
    }
    let wrong = all.iter().find(|member| read(Members(&[**member])).is_none());
    let name = wrong.map_or("", |(name, _)| name);
    let why = "the other format knows this member, but not with such a value";
    Err(Untranslatable::new(name, why))
}

/// Members as an object.
struct Members<'a>(&'a [(&'a str, &'a Json)]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

/// The unknown members of what stands at a path, for an object that has names for some of them, but not for these: those are reported.
pub(super) fn carried(
    extra: &UnknownFields,
    named: &[&str],
    path: &str,
    dropped: &mut Vec<String>,
) -> UnknownFields {
    let mut carried = UnknownFields::default();
    for (name, json) in extra.iter() {
        if named.contains(&name) {
            dropped.push(format!("{path}.{name}"));
        } else {
            carried.push(name.to_owned(), json.clone());
        }
    }
    carried
}

/// Reports the unknown members of what stands at a path.
pub(super) fn left_out(extra: &UnknownFields, path: &str, dropped: &mut Vec<String>) {
    dropped.extend(extra.iter().map(|(name, _)| format!("{path}.{name}")));
}
