//! Reading and writing a struct as a JSON object that keeps what it does not know.
//!
//! `serde(flatten)` would do the same by buffering every member first. The macro makes implementations for structs that stand
//! in plain sight; it makes no types.

use std::borrow::Cow;

use serde::Deserialize;
use serde::ser::{SerializeMap, Serializer};

/// A member's name, borrowed from the text unless it has escapes.
#[derive(Deserialize)]
pub(crate) struct Name<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

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

/// `wire_object!(Type { field => "member", always other => "other" })`: `always` writes a list or a text even when it is empty.
macro_rules! wire_object {
    ($type:ident { $($field:ident => $name:literal),* $(,)? } $(always { $($must:ident => $must_name:literal),* $(,)? })?) => {
        impl $type {
            /// Whether this member was said: set, explicitly null, or unknown to the type but there.
            pub fn has(&self, member: &str) -> bool {
                let mut _bit = 0;
                $(
                    if member == $name {
                        return !crate::chat::object::Field::is_absent(&self.$field) || self.extra.is_null(_bit);
                    }
                    _bit += 1;
                )*
                $($( if member == $must_name { return true; } )*)?
                self.extra.get(member).is_some()
            }

            /// Writes every member into an open object, but for those named in `skip`.
            pub fn serialize_members<M: serde::ser::SerializeMap>(
                &self,
                map: &mut M,
                skip: &[&str],
            ) -> Result<(), M::Error> {
                let mut _bit = 0;
                $($(
                    if !skip.contains(&$must_name) {
                        map.serialize_entry($must_name, &self.$must)?;
                    }
                )*)?
                $(
                    if !skip.contains(&$name) {
                        if !crate::chat::object::Field::is_absent(&self.$field) {
                            crate::chat::object::Field::write(&self.$field, $name, map)?;
                        } else if self.extra.is_null(_bit) {
                            map.serialize_entry($name, &())?;
                        }
                    }
                    _bit += 1;
                )*
                self.extra.serialize_members(map, skip)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = crate::chat::object::open(serializer)?;
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
                        while let Some(crate::chat::object::Name(name)) = members.next_key()? {
                            let mut _bit = 0;
                            $(
                                if name == $name {
                                    match members.next_value()? {
                                        Some(value) => crate::chat::object::Field::put(&mut read.$field, value),
                                        None => read.extra.set_null(_bit),
                                    }
                                    continue;
                                }
                                _bit += 1;
                            )*
                            $($(
                                if name == $must_name {
                                    if let Some(value) = members.next_value()? {
                                        read.$must = value;
                                    }
                                    continue;
                                }
                            )*)?
                            let value = members.next_value()?;
                            read.extra.insert(name.into_owned(), value);
                        }
                        Ok(read)
                    }
                }
                deserializer.deserialize_map(Members)
            }
        }
    };
}

pub(crate) use wire_object;

pub(crate) fn open<S: Serializer>(serializer: S) -> Result<S::SerializeMap, S::Error> {
    serializer.serialize_map(None)
}
