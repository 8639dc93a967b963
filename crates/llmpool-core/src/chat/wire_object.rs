//! Serde implementations for structs that keep unknown fields.
//!
//! `serde(flatten)` would do the same, but buffers every field first. The macros implement traits for types that are written out
//! in full; they declare no types.

use std::borrow::Cow;

use serde::Deserialize;
use serde::ser::{SerializeMap, Serializer};

/// Name of a field, borrowed from the input unless it has escapes.
#[derive(Deserialize)]
pub(crate) struct FieldName<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Decoding and encoding of a field that is left out when it is empty.
pub(crate) trait OptionalField: Sized {
    type Decoded<'de>: Deserialize<'de>;

    fn set(&mut self, value: Self::Decoded<'_>);
    fn is_absent(&self) -> bool;
    fn write<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error>;
}

impl<T: serde::Serialize + for<'de> Deserialize<'de>> OptionalField for Option<T> {
    type Decoded<'de> = T;

    fn set(&mut self, value: T) {
        *self = Some(value);
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

impl<T: serde::Serialize + for<'de> Deserialize<'de>> OptionalField for Vec<T> {
    type Decoded<'de> = Vec<T>;

    fn set(&mut self, value: Vec<T>) {
        *self = value;
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

/// `wire_object!(Type { field => "name" } always { required => "name" })` implements serde's traits for a struct with a field
/// `extra: UnknownFields`.
///
/// A field under `always` is written even if it is empty, unless it is empty and was `null` or missing when it was decoded.
macro_rules! wire_object {
    ($type:ident { $($field:ident => $name:literal),* $(,)? } $(always { $($must:ident => $must_name:literal),* $(,)? })?) => {
        impl $type {
            /// Names of the fields that the type has.
            #[allow(dead_code, reason = "used for translated types only")]
            pub(crate) const FIELD_NAMES: &[&str] = &[$($name,)* $($($must_name),*)?];

            /// Returns whether the object has this field: a value, an explicit `null`, an empty list, or an unknown field.
            pub fn has(&self, name: &str) -> bool {
                let mut _bit = 0;
                $(
                    if name == $name {
                        return !crate::chat::wire_object::OptionalField::is_absent(&self.$field)
                            || self.extra.is_null(_bit)
                            || self.extra.is_marked(_bit);
                    }
                    _bit += 1;
                )*
                $($(
                    if name == $must_name {
                        return !(self.extra.is_marked(_bit) && crate::chat::wire_object::is_default(&self.$must));
                    }
                    _bit += 1;
                )*)?
                self.extra.get(name).is_some()
            }

            /// Writes all fields except those in `skip` into an open object.
            #[doc(hidden)]
            pub fn serialize_fields<M: serde::ser::SerializeMap>(
                &self,
                map: &mut M,
                skip: &[&str],
            ) -> Result<(), M::Error> {
                let mut _bit = crate::chat::wire_object::count(&[$($name),*]);
                $($(
                    let is_missing = self.extra.is_marked(_bit) && crate::chat::wire_object::is_default(&self.$must);
                    let is_null = self.extra.is_null(_bit) && crate::chat::wire_object::is_default(&self.$must);
                    if is_null && !skip.contains(&$must_name) {
                        map.serialize_entry($must_name, &())?;
                    } else if !is_missing && !skip.contains(&$must_name) {
                        map.serialize_entry($must_name, &self.$must)?;
                    }
                    _bit += 1;
                )*)?
                let mut _bit = 0;
                $(
                    if !skip.contains(&$name) {
                        if !crate::chat::wire_object::OptionalField::is_absent(&self.$field) {
                            crate::chat::wire_object::OptionalField::write(&self.$field, $name, map)?;
                        } else if self.extra.is_null(_bit) {
                            map.serialize_entry($name, &())?;
                        } else if self.extra.is_marked(_bit) {
                            map.serialize_entry($name, &[(); 0])?;
                        }
                    }
                    _bit += 1;
                )*
                self.extra.serialize_fields(map, skip)
            }

            /// Writes the field as `null` as long as it is empty.
            #[allow(dead_code, unused_variables, reason = "few types have required fields that may be null")]
            pub(crate) fn set_null(&mut self, name: &str) {
                let mut _bit = 0;
                $(
                    if name == $name {
                        return self.extra.set_null(_bit);
                    }
                    _bit += 1;
                )*
            }
        }

        impl crate::chat::valid_fields::HasUnknownFields for $type {
            fn unknown_fields_mut(&mut self) -> &mut crate::chat::UnknownFields {
                &mut self.extra
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = crate::chat::wire_object::open(serializer)?;
                self.serialize_fields(&mut map, &[])?;
                serde::ser::SerializeMap::end(map)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor;
                impl<'de> serde::de::Visitor<'de> for ObjectVisitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut fields: A) -> Result<$type, A::Error> {
                        let mut object = $type::default();
                        // Marked as long as they are missing.
                        let mut _bit = crate::chat::wire_object::count(&[$($name),*]);
                        $($(
                            let _ = $must_name;
                            object.extra.mark(_bit);
                            _bit += 1;
                        )*)?
                        while let Some(crate::chat::wire_object::FieldName(name)) = fields.next_key()? {
                            let mut _bit = 0;
                            $(
                                if name == $name {
                                    match fields.next_value()? {
                                        Some(value) => {
                                            crate::chat::wire_object::OptionalField::set(&mut object.$field, value);
                                            if crate::chat::wire_object::OptionalField::is_absent(&object.$field) {
                                                object.extra.mark(_bit);
                                            }
                                        }
                                        None => object.extra.set_null(_bit),
                                    }
                                    continue;
                                }
                                _bit += 1;
                            )*
                            $($(
                                if name == $must_name {
                                    object.extra.unmark(_bit);
                                    match fields.next_value()? {
                                        Some(value) => object.$must = value,
                                        None => object.extra.set_null(_bit),
                                    }
                                    continue;
                                }
                                _bit += 1;
                            )*)?
                            let value = fields.next_value()?;
                            object.extra.push(name.into_owned(), value);
                        }
                        object.extra.remove_duplicates();
                        Ok(object)
                    }
                }
                deserializer.deserialize_map(ObjectVisitor)
            }
        }
    };
}

/// `tagged_enum!(Enum { Variant(Struct) => "type" })` implements serde's traits for an enum of objects that differ by their `type`.
///
/// An object of another type, or one that cannot be decoded, becomes `Other`. `untagged Variant(Struct) => "name"` is the variant
/// for objects without a type that have the named field.
macro_rules! tagged_enum {
    ($type:ident { $($variant:ident($struct:ty) => $tag:literal),* $(,)? }
        $(untagged $bare:ident($bare_struct:ty) => $member:literal)?) => {
        impl $type {
            /// Returns the `type` of the object. Empty if it has none.
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
                    #[allow(unreachable_patterns, reason = "an untagged variant takes all objects without a type")]
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
                            value.serialize_fields(&mut map, &["type"])?;
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

/// `opaque_debug!(A, B)` implements `Debug` as the name of the type, so that no user text is shown.
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

/// Returns the `type` of an object. Returns `None` if the value is not an object or has no type.
pub(crate) fn type_of(json: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct TypeField<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<FieldName<'a>>,
    }
    if !json.trim_start().starts_with('{') {
        return None;
    }
    let tag: TypeField<'_> = serde_json::from_str(json).ok()?;
    tag.kind.map(|name| name.0)
}

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
