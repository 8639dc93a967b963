//! Macros that implement serde's traits for structs that keep unknown fields.
//!
//! `#[serde(flatten)]` could keep unknown fields as well, but buffers all fields of an object before it
//! decodes them. The macros only add implementations to structs and enums that are declared as ordinary Rust
//! code.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::json::Json;
use super::unknown_fields::UnknownFields;
use super::valid_fields::HasUnknownFields;

/// The name of a JSON field. Borrowed from the input if the name contains no escape sequences.
#[derive(Deserialize)]
pub(crate) struct FieldName<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// A struct field that encoding omits if it is absent: an `Option` that is `None`, or an empty list.
pub(crate) trait OptionalField {
    type Decoded<'de>: Deserialize<'de>;

    fn set(&mut self, value: Self::Decoded<'_>);
    fn is_absent(&self) -> bool;

    /// Records that a value was decoded that leaves the field absent. Such a field is encoded as an empty
    /// list unless the type of the field decides otherwise.
    fn note_empty(extra: &mut UnknownFields, bit: u32) {
        extra.mark(bit);
    }
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

/// Expands to the name of a field in JSON: the given name, or by default the name of the Rust field.
macro_rules! field_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $name:literal) => {
        $name
    };
}

/// Implements serde's traits for a struct with a field `extra: UnknownFields`. The syntax is
/// `wire_object!(Type { field, kind => "type" } always { required })`.
///
/// `kind => "type"` gives the Rust field `kind` the name `type` in JSON. A field under `always` is required:
/// it is encoded even if it is empty, with two exceptions. A field that was null in the decoded JSON is
/// encoded as null while it is empty. A field that was missing in the decoded JSON is omitted while it is
/// empty.
macro_rules! wire_object {
    (
        $type:ident { $($field:ident $(=> $name:literal)?),* $(,)? }
        $(always { $($must:ident $(=> $must_name:literal)?),* $(,)? })?
    ) => {
        const _: () = {
            use crate::chat::wire_object::*;

            const REQUIRED: &[&str] = &[$($(field_name!($must $($must_name)?)),*)?];

            impl $type {
                /// JSON names of the fields that the struct defines, required fields first. The index of a
                /// name is the number of the field's bit in `extra`.
                pub(crate) const FIELD_NAMES: &[&str] = &[
                    $($(field_name!($must $($must_name)?),)*)?
                    $(field_name!($field $($name)?)),*
                ];

                /// Returns whether the JSON object contains the field `name`, which may be an unknown field.
                /// The value of the field may be null or an empty list.
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

                /// Writes all fields, including unknown fields, to `map`. Omits fields whose names are in
                /// `skip`.
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

                /// Causes the field `name` to be encoded as null, instead of being omitted, if it is empty.
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
                    // A required field counts as missing until it is decoded.
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
                                            note_empty(&object.$field, &mut object.extra, _bit);
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

/// Implements serde's traits for an enum of JSON objects that are distinguished by their `type` field.
/// `tagged_enum!(Enum { Variant => "type" })` decodes objects of that type as `Enum::Variant`. Objects of an
/// unlisted type and objects that cannot be decoded become `Enum::Other`.
///
/// `Variant => "type" | "alias"` also decodes objects of the type `alias`. Encoding preserves this type, which is
/// kept among the unknown fields.
///
/// `untagged Variant(Struct) => "name"` declares the variant for objects that have a field `name` but no
/// `type`. `otherwise function` declares how values are read that would become `Enum::Other`.
macro_rules! tagged_enum {
    (
        $type:ident { $($variant:ident => $tag:literal $(| $alias:literal)*),* $(,)? }
        $(untagged $bare:ident($bare_struct:ty) => $member:literal)?
        $(otherwise $otherwise:path)?
    ) => {
        impl $type {
            /// Returns the `type` of the JSON object. Empty if the object has no `type`.
            pub fn kind(&self) -> std::borrow::Cow<'_, str> {
                match self {
                    $(
                        Self::$variant(value) => value.extra.stated_type($tag).unwrap_or_default(),
                    )*
                    $( Self::$bare(_) => "".into(), )?
                    Self::Other(json) => crate::chat::wire_object::type_of(json).unwrap_or_default(),
                }
            }
        }

        impl From<crate::chat::Json> for $type {
            fn from(json: crate::chat::Json) -> Self {
                let decode = |json: &crate::chat::Json| match crate::chat::wire_object::type_of(json).as_deref() {
                    $(
                        Some($tag) => crate::chat::wire_object::decode_tagged(json).map(Self::$variant),
                        $( Some($alias) => serde_json::from_str(json.get()).ok().map(Self::$variant), )*
                    )*
                    $(
                        None => serde_json::from_str(json.get())
                            .ok()
                            .filter(|value: &$bare_struct| value.has($member) && !value.has("type"))
                            .map(Self::$bare),
                    )?
                    #[allow(unreachable_patterns, reason = "an untagged variant takes all objects without a type")]
                    _ => None,
                };
                let decode_cleaned = || json.cleaned().and_then(|json| decode(&json));
                let decoded = decode(&json).or_else(decode_cleaned);
                $( let decoded = decoded.or_else(|| $otherwise(&json)); )?
                decoded.unwrap_or(Self::Other(json))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(
                        Self::$variant(value) => {
                            let mut map = serializer.serialize_map(None)?;
                            if let Some(kind) = value.extra.stated_type($tag) {
                                serde::ser::SerializeMap::serialize_entry(&mut map, "type", &kind)?;
                            }
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

/// Implements `Debug` for each given type. The output is only the name of the type, so that no user text is
/// shown.
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

/// Implements `Debug` for a struct. `partial_debug!(Type { field, list.len(), getter() })` shows only the
/// listed values, so that no user text is shown.
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

/// Returns the `type` field of a JSON object. `None` if `json` is not an object, or if its `type` is missing
/// or is not a string.
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

/// Decodes an object whose `type` field has already selected the enum variant. Removes `type` from the
/// unknown fields of the object.
pub(crate) fn decode_tagged<T: HasUnknownFields + DeserializeOwned>(json: &Json) -> Option<T> {
    let mut object: T = serde_json::from_str(json.get()).ok()?;
    object.unknown_fields_mut().remove("type");
    Some(object)
}

/// Calls [`OptionalField::note_empty`] for the type of `field`.
pub(crate) fn note_empty<T: OptionalField>(_field: &T, extra: &mut UnknownFields, bit: u32) {
    T::note_empty(extra, bit);
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(crate) use {field_name, opaque_debug, partial_debug, tagged_enum, wire_object};
