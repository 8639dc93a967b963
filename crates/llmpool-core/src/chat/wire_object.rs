//! Serde implementations for structs that keep unknown fields.
//!
//! `serde(flatten)` would do the same, but buffers every field first. The macros implement traits for types that are written out
//! in full; they declare no types.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::json::Json;
use super::valid_fields::HasUnknownFields;

/// Name of a field, borrowed from the input unless it has escapes.
#[derive(Deserialize)]
pub(crate) struct FieldName<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// A field that is left out when it is empty.
pub(crate) trait OptionalField {
    type Decoded<'de>: Deserialize<'de>;

    fn set(&mut self, value: Self::Decoded<'_>);
    fn is_absent(&self) -> bool;
}

impl<T: for<'de> Deserialize<'de>> OptionalField for Option<T> {
    type Decoded<'de> = T;

    fn set(&mut self, value: T) {
        *self = Some(value);
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: for<'de> Deserialize<'de>> OptionalField for Vec<T> {
    type Decoded<'de> = Self;

    fn set(&mut self, value: Self) {
        *self = value;
    }

    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

/// The name of a field in JSON: that of the Rust field, unless another is given.
macro_rules! field_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $name:literal) => {
        $name
    };
}

/// `wire_object!(Type { field, kind => "type" } always { required })` implements serde's traits for a struct with a field
/// `extra: UnknownFields`.
///
/// A field under `always` is written even if it is empty, unless it is empty and was `null` or missing when it was decoded.
macro_rules! wire_object {
    (
        $type:ident { $($field:ident $(=> $name:literal)?),* $(,)? }
        $(always { $($must:ident $(=> $must_name:literal)?),* $(,)? })?
    ) => {
        const _: () = {
            use crate::chat::wire_object::*;

            const REQUIRED: &[&str] = &[$($(field_name!($must $($must_name)?)),*)?];

            impl $type {
                /// Names of the fields that the type has, the required ones first. A field's position is its bit in `extra`.
                pub(crate) const FIELD_NAMES: &[&str] = &[
                    $($(field_name!($must $($must_name)?),)*)?
                    $(field_name!($field $($name)?)),*
                ];

                /// Returns whether the object has this field: a value, an explicit `null`, an empty list, or an unknown field.
                pub fn has(&self, name: &str) -> bool {
                    let mut _bit = 0;
                    $($(
                        if name == field_name!($must $($must_name)?) {
                            return !(self.extra.is_marked(_bit) && is_default(&self.$must));
                        }
                        _bit += 1;
                    )*)?
                    $(
                        if name == field_name!($field $($name)?) {
                            return !self.$field.is_absent() || self.extra.is_null(_bit) || self.extra.is_marked(_bit);
                        }
                        _bit += 1;
                    )*
                    self.extra.get(name).is_some()
                }

                /// Writes all fields except those in `skip` into an open object.
                #[doc(hidden)]
                pub fn serialize_fields<M: serde::ser::SerializeMap>(
                    &self,
                    map: &mut M,
                    skip: &[&str],
                ) -> Result<(), M::Error> {
                    let mut _bit = 0;
                    $($(
                        let name = field_name!($must $($must_name)?);
                        if !skip.contains(&name) {
                            if !is_default(&self.$must) || !(self.extra.is_null(_bit) || self.extra.is_marked(_bit)) {
                                map.serialize_entry(name, &self.$must)?;
                            } else if self.extra.is_null(_bit) {
                                map.serialize_entry(name, &())?;
                            }
                        }
                        _bit += 1;
                    )*)?
                    $(
                        let name = field_name!($field $($name)?);
                        if !skip.contains(&name) {
                            if !self.$field.is_absent() {
                                map.serialize_entry(name, &self.$field)?;
                            } else if self.extra.is_null(_bit) {
                                map.serialize_entry(name, &())?;
                            } else if self.extra.is_marked(_bit) {
                                map.serialize_entry(name, &[(); 0])?;
                            }
                        }
                        _bit += 1;
                    )*
                    self.extra.serialize_fields(map, skip)
                }

                /// Writes the field as `null` as long as it is empty.
                #[allow(dead_code, reason = "few types have fields that are written as null")]
                pub(crate) fn set_null(&mut self, name: &str) {
                    if let Some(bit) = Self::FIELD_NAMES.iter().position(|known| *known == name) {
                        self.extra.set_null(bit as u32);
                    }
                }
            }

            impl crate::chat::valid_fields::HasUnknownFields for $type {
                fn unknown_fields_mut(&mut self) -> &mut crate::chat::UnknownFields {
                    &mut self.extra
                }
            }

            impl serde::Serialize for $type {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    let mut map = serializer.serialize_map(None)?;
                    self.serialize_fields(&mut map, &[])?;
                    serde::ser::SerializeMap::end(map)
                }
            }

            impl<'de> serde::Deserialize<'de> for $type {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    deserializer.deserialize_map(ObjectVisitor)
                }
            }

            struct ObjectVisitor;

            impl<'de> serde::de::Visitor<'de> for ObjectVisitor {
                type Value = $type;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut fields: A) -> Result<$type, A::Error> {
                    let mut object = $type::default();
                    // Marked as long as they are missing.
                    (0..REQUIRED.len()).for_each(|bit| object.extra.mark(bit as u32));
                    while let Some(FieldName(name)) = fields.next_key()? {
                        let mut _bit = 0;
                        $($(
                            if name == field_name!($must $($must_name)?) {
                                object.extra.unmark(_bit);
                                match fields.next_value()? {
                                    Some(value) => object.$must = value,
                                    None => object.extra.set_null(_bit),
                                }
                                continue;
                            }
                            _bit += 1;
                        )*)?
                        $(
                            if name == field_name!($field $($name)?) {
                                match fields.next_value()? {
                                    Some(value) => {
                                        object.$field.set(value);
                                        if object.$field.is_absent() {
                                            object.extra.mark(_bit);
                                        }
                                    }
                                    None => object.extra.set_null(_bit),
                                }
                                continue;
                            }
                            _bit += 1;
                        )*
                        let value = fields.next_value()?;
                        object.extra.push(name.into_owned(), value);
                    }
                    object.extra.remove_duplicates();
                    Ok(object)
                }
            }
        };
    };
}

/// `tagged_enum!(Enum { Variant => "type" })` implements serde's traits for an enum of objects that differ by their `type`.
///
/// An object of another type, or one that cannot be decoded, becomes `Other`. `untagged Variant(Struct) => "name"` is the variant
/// for objects without a type that have the named field.
macro_rules! tagged_enum {
    ($type:ident { $($variant:ident => $tag:literal),* $(,)? } $(untagged $bare:ident($bare_struct:ty) => $member:literal)?) => {
        impl $type {
            /// Returns the `type` of the object. Empty if it has none.
            pub fn kind(&self) -> std::borrow::Cow<'_, str> {
                match self {
                    $( Self::$variant(_) => $tag.into(), )*
                    $( Self::$bare(_) => "".into(), )?
                    Self::Other(json) => crate::chat::wire_object::type_of(json).unwrap_or_default(),
                }
            }
        }

        impl From<crate::chat::Json> for $type {
            fn from(json: crate::chat::Json) -> Self {
                let known = match crate::chat::wire_object::type_of(&json).as_deref() {
                    $( Some($tag) => crate::chat::wire_object::decode_tagged(&json).map(Self::$variant), )*
                    $(
                        None => serde_json::from_str(json.get())
                            .ok()
                            .filter(|value: &$bare_struct| value.has($member) && !value.has("type"))
                            .map(Self::$bare),
                    )?
                    #[allow(unreachable_patterns, reason = "an untagged variant takes all objects without a type")]
                    _ => None,
                };
                known.unwrap_or(Self::Other(json))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(
                        Self::$variant(value) => {
                            let mut map = serializer.serialize_map(None)?;
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

/// `partial_debug!(Type { field, list.len(), getter() })` implements `Debug` with only the named fields, so that no user text is
/// shown.
macro_rules! partial_debug {
    ($type:ident { $($field:ident $(($($none:tt)?))? $(.$method:ident())?),* }) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    $(.field(stringify!($field), &self.$field $(($($none)?))? $(.$method())?))*
                    .finish_non_exhaustive()
            }
        }
    };
}

/// Returns the `type` of an object. Returns `None` if the value is not an object or has no type.
pub(crate) fn type_of(json: &Json) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct TypeField<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<FieldName<'a>>,
    }
    if !json.get().starts_with('{') {
        return None;
    }
    let tag: TypeField<'_> = serde_json::from_str(json.get()).ok()?;
    tag.kind.map(|name| name.0)
}

/// Decodes an object whose `type` the enum keeps.
pub(crate) fn decode_tagged<T: HasUnknownFields + DeserializeOwned>(json: &Json) -> Option<T> {
    let mut object: T = serde_json::from_str(json.get()).ok()?;
    object.unknown_fields_mut().remove("type");
    Some(object)
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(crate) use {field_name, opaque_debug, partial_debug, tagged_enum, wire_object};
