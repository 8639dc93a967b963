//! Reading and writing a struct as a JSON object that keeps what it does not know.
//!
//! `serde(flatten)` would do the same by buffering every member first. The macro makes implementations for structs that stand
//! in plain sight; it makes no types.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::ser::{SerializeMap, Serializer};

use super::response_format::EmptyObject;
use super::unknown_fields::UnknownFields;

/// A member's name, borrowed from the text unless it has escapes.
#[derive(Deserialize)]
pub(crate) struct FieldName<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// How a field is read and written: options leave themselves out when empty, plain values are always there.
pub(crate) trait Field: Sized {
    type Read<'de>: Deserialize<'de>;

    fn put(&mut self, read: Self::Read<'_>);
    fn is_absent(&self) -> bool;
    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error>;
}

impl<T: serde::Serialize + for<'de> Deserialize<'de>> Field for Option<T> {
    type Read<'de> = T;

    fn put(&mut self, read: T) {
        *self = Some(read);
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        match self {
            Some(value) => map.serialize_entry(name, value),
            None => Ok(()),
        }
    }
}

impl<T: serde::Serialize + for<'de> Deserialize<'de>> Field for Vec<T> {
    type Read<'de> = Vec<T>;

    fn put(&mut self, read: Vec<T>) {
        *self = read;
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        if self.is_empty() {
            Ok(())
        } else {
            map.serialize_entry(name, self)
        }
    }
}

/// `wire_object!(Type { field => "member" } always { other => "other" })`: `always` writes a member even when it is empty, unless it was
/// read as null or not there and is empty still.
macro_rules! wire_object {
    ($type:ident { $($field:ident => $name:literal),* $(,)? } $(always { $($must:ident => $must_name:literal),* $(,)? })?) => {
        impl $type {
            /// The members that have a field.
            #[allow(dead_code, reason = "asked of what is translated only")]
            pub(crate) const FIELD_NAMES: &[&str] = &[$($name,)* $($($must_name),*)?];

            /// Whether this member was said: set, explicitly null, an empty list, or unknown to the type but there.
            pub fn has(&self, member: &str) -> bool {
                let mut _bit = 0;
                $(
                    if member == $name {
                        return !crate::chat::wire_object::Field::is_absent(&self.$field)
                            || self.extra.is_null(_bit)
                            || self.extra.is_marked(_bit);
                    }
                    _bit += 1;
                )*
                $($(
                    if member == $must_name {
                        return !(self.extra.is_marked(_bit) && crate::chat::wire_object::is_default(&self.$must));
                    }
                    _bit += 1;
                )*)?
                self.extra.get(member).is_some()
            }

            /// Writes every member into an open object, but for those named in `skip`.
            pub fn serialize_members<M: serde::ser::SerializeMap>(
                &self,
                map: &mut M,
                skip: &[&str],
            ) -> Result<(), M::Error> {
                let mut _bit = crate::chat::wire_object::count(&[$($name),*]);
                $($(
                    let unsaid = self.extra.is_marked(_bit) && crate::chat::wire_object::is_default(&self.$must);
                    let null = self.extra.is_null(_bit) && crate::chat::wire_object::is_default(&self.$must);
                    if null && !skip.contains(&$must_name) {
                        map.serialize_entry($must_name, &())?;
                    } else if !unsaid && !skip.contains(&$must_name) {
                        map.serialize_entry($must_name, &self.$must)?;
                    }
                    _bit += 1;
                )*)?
                let mut _bit = 0;
                $(
                    if !skip.contains(&$name) {
                        if !crate::chat::wire_object::Field::is_absent(&self.$field) {
                            crate::chat::wire_object::Field::write(&self.$field, $name, map)?;
                        } else if self.extra.is_null(_bit) {
                            map.serialize_entry($name, &())?;
                        } else if self.extra.is_marked(_bit) {
                            map.serialize_entry($name, &[(); 0])?;
                        }
                    }
                    _bit += 1;
                )*
                self.extra.serialize_members(map, skip)
            }

            /// Lets a member be written as null as long as nothing is set there.
            #[allow(dead_code, unused_variables, reason = "few types have members that must be there and may be null")]
            pub(crate) fn set_null(&mut self, member: &str) {
                let mut _bit = 0;
                $(
                    if member == $name {
                        return self.extra.set_null(_bit);
                    }
                    _bit += 1;
                )*
            }
        }

        impl crate::chat::wire_object::HasUnknownFields for $type {
            fn extra_mut(&mut self) -> &mut crate::chat::UnknownFields {
                &mut self.extra
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = crate::chat::wire_object::open(serializer)?;
                self.serialize_members(&mut map, &[])?;
                serde::ser::SerializeMap::end(map)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Members;
                impl<'de> serde::de::Visitor<'de> for Members {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<$type, A::Error> {
                        let mut read = $type::default();
                        // Until they come.
                        let mut _bit = crate::chat::wire_object::count(&[$($name),*]);
                        $($(
                            let _ = $must_name;
                            read.extra.mark(_bit);
                            _bit += 1;
                        )*)?
                        while let Some(crate::chat::wire_object::FieldName(name)) = members.next_key()? {
                            let mut _bit = 0;
                            $(
                                if name == $name {
                                    match members.next_value()? {
                                        Some(value) => {
                                            crate::chat::wire_object::Field::put(&mut read.$field, value);
                                            if crate::chat::wire_object::Field::is_absent(&read.$field) {
                                                read.extra.mark(_bit);
                                            }
                                        }
                                        None => read.extra.set_null(_bit),
                                    }
                                    continue;
                                }
                                _bit += 1;
                            )*
                            $($(
                                if name == $must_name {
                                    read.extra.unmark(_bit);
                                    match members.next_value()? {
                                        Some(value) => read.$must = value,
                                        None => read.extra.set_null(_bit),
                                    }
                                    continue;
                                }
                                _bit += 1;
                            )*)?
                            let value = members.next_value()?;
                            read.extra.push(name.into_owned(), value);
                        }
                        read.extra.forget_repeated();
                        Ok(read)
                    }
                }
                deserializer.deserialize_map(Members)
            }
        }
    };
}

/// `tagged_enum!(Enum { Variant(Struct) => "type" })`: objects that are told apart by their `type`. What is of another type, or does not fit, is
/// kept as it is. `untagged Variant(Struct) => "member"` is for those that may leave their type out, told by another member.
macro_rules! tagged_enum {
    ($type:ident { $($variant:ident($struct:ty) => $tag:literal),* $(,)? }
        $(untagged $bare:ident($bare_struct:ty) => $member:literal)?) => {
        impl $type {
            /// Its `type`; empty where it says none.
            pub fn kind(&self) -> std::borrow::Cow<'_, str> {
                match self {
                    $( Self::$variant(_) => $tag.into(), )*
                    $( Self::$bare(_) => std::borrow::Cow::Borrowed(""), )?
                    Self::Other(json) => crate::chat::wire_object::type_of(json.get()).unwrap_or_default(),
                }
            }
        }

        impl From<crate::chat::Json> for $type {
            fn from(json: crate::chat::Json) -> Self {
                match crate::chat::wire_object::type_of(json.get()).as_deref() {
                    $(
                        Some($tag) => match serde_json::from_str::<$struct>(json.get()) {
                            Ok(mut value) => {
                                value.extra.remove("type");
                                Self::$variant(value)
                            }
                            Err(_) => Self::Other(json),
                        },
                    )*
                    $(
                        None => match serde_json::from_str::<$bare_struct>(json.get()) {
                            Ok(value) if value.has($member) && !value.has("type") => Self::$bare(value),
                            _ => Self::Other(json),
                        },
                    )?
                    #[allow(unreachable_patterns, reason = "where all that say no type were read")]
                    _ => Self::Other(json),
                }
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(
                        Self::$variant(value) => {
                            let mut map = crate::chat::wire_object::open(serializer)?;
                            serde::ser::SerializeMap::serialize_entry(&mut map, "type", $tag)?;
                            value.serialize_members(&mut map, &["type"])?;
                            serde::ser::SerializeMap::end(map)
                        }
                    )*
                    $( Self::$bare(value) => value.serialize(serializer), )?
                    Self::Other(json) => json.serialize(serializer),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <crate::chat::Json as serde::Deserialize>::deserialize(deserializer).map(Self::from)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $( Self::$variant(_) => f.write_str(stringify!($variant)), )*
                    $( Self::$bare(_) => f.write_str(stringify!($bare)), )?
                    Self::Other(json) => write!(f, "Other({} bytes)", json.get().len()),
                }
            }
        }
    };
}

/// `opaque_debug!(A, B)`: `{:?}` names them and shows nothing that somebody wrote.
macro_rules! opaque_debug {
    ($($type:ident),* $(,)?) => {
        $(
            impl std::fmt::Debug for $type {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(stringify!($type))
                }
            }
        )*
    };
}

/// The `type` that an object says; `None` where it is no object or says none.
pub(crate) fn type_of(json: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Tag<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<FieldName<'a>>,
    }
    if !json.trim_start().starts_with('{') {
        return None;
    }
    let tag: Tag<'_> = serde_json::from_str(json).ok()?;
    tag.kind.map(|name| name.0)
}

/// An object that keeps what it does not know.
pub(crate) trait HasUnknownFields {
    fn extra_mut(&mut self) -> &mut UnknownFields;
}

/// An object whose members are not all what they should be: those that are not are kept as if they were unknown. `None` where it is no
/// object, or where what has to be there is not.
pub(crate) fn decode_valid_fields<T: HasUnknownFields + DeserializeOwned>(json: &[u8]) -> Option<T> {
    let all: EmptyObject = serde_json::from_slice(json).ok()?;
    let read = |members: &UnknownFields| {
        let object = EmptyObject {
            extra: members.clone(),
        };
        serde_json::from_str::<T>(&serde_json::to_string(&object).ok()?).ok()
    };
    let (mut fitting, mut odd) = (UnknownFields::default(), UnknownFields::default());
    for (name, json) in all.extra.iter() {
        let mut alone = UnknownFields::default();
        alone.push(name.to_owned(), json.clone());
        let fits = if read(&alone).is_some() {
            &mut fitting
        } else {
            &mut odd
        };
        fits.push(name.to_owned(), json.clone());
    }
    let mut read = read(&fitting)?;
    for (name, json) in odd.iter() {
        read.extra_mut().push(name.to_owned(), json.clone());
    }
    Some(read)
}

/// So many members.
pub(crate) const fn count(names: &[&str]) -> u32 {
    names.len() as u32
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(crate) use {opaque_debug, tagged_enum, wire_object};

pub(crate) fn open<S: Serializer>(serializer: S) -> Result<S::SerializeMap, S::Error> {
    serializer.serialize_map(None)
}
