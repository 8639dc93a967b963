//! A deserializer for JSON values whose errors contain the path to the mismatch.

use serde::Deserialize;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::mismatch::{Mismatch, PathSegment};

/// Deserializes `value` as a `T` and returns the error. Returns `None` if `value` matches `T`.
pub(super) fn find_mismatch<'de, T: Deserialize<'de>>(value: &'de Value) -> Option<Mismatch> {
    T::deserialize(ValueDeserializer(value)).err()
}

struct ValueDeserializer<'de>(&'de Value);

impl<'de> ValueDeserializer<'de> {
    fn visit_object<V: Visitor<'de>>(
        members: &'de Map<String, Value>,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_map(ObjectAccess {
            members: members.iter(),
            value: None,
            known,
        })
    }

    fn visit_array<V: Visitor<'de>>(items: &'de [Value], visitor: V) -> Result<V::Value, Mismatch> {
        let mut rest = ArrayAccess {
            items: items.iter().enumerate(),
        };
        let read = visitor.visit_seq(&mut rest)?;
        if rest.items.len() > 0 {
            return Err(Mismatch::invalid_length(items.len(), &"fewer items"));
        }
        Ok(read)
    }
}

impl<'de> Deserializer<'de> for ValueDeserializer<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, number) => visitor.visit_f64(number.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => Self::visit_array(items, visitor),
            Value::Object(members) => Self::visit_object(members, &[], visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        // Only `serde_json` can deserialize `RawValue` and similar types.
        if name.starts_with("$serde_json::private") {
            return self
                .0
                .deserialize_newtype_struct(name, visitor)
                .map_err(Mismatch::custom);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Value::Object(members) => Self::visit_object(members, fields, visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let (name, value) = match self.0 {
            Value::String(name) => (name, None),
            Value::Object(members) => match members.iter().next() {
                Some((name, value)) if members.len() == 1 => (name, Some(value)),
                _ => return Err(Mismatch::invalid_value(Unexpected::Map, &"one variant")),
            },
            _ => return self.deserialize_any(visitor),
        };
        visitor.visit_enum(VariantAccessor { name, value, known })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct ArrayAccess<'de> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Value>>,
}

impl<'de> SeqAccess<'de> for &mut ArrayAccess<'de> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let Some((index, item)) = self.items.next() else {
            return Ok(None);
        };
        let read = seed.deserialize(ValueDeserializer(item));
        read.map(Some)
            .map_err(|error| error.within(PathSegment::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct ObjectAccess<'de> {
    members: serde_json::map::Iter<'de>,
    /// Name and value of the object member whose name was read last. `None` once the value has been read.
    value: Option<(&'de str, &'de Value)>,
    known: &'static [&'static str],
}

impl<'de> MapAccess<'de> for ObjectAccess<'de> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        let Some((name, value)) = self.members.next() else {
            return Ok(None);
        };
        self.value = Some((name, value));
        seed.deserialize(KeyDeserializer(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Mismatch> {
        let Some((name, value)) = self.value.take() else {
            return Err(Mismatch::custom("a value was requested before its name"));
        };
        let known = self.known;
        let read = seed.deserialize(ValueDeserializer(value));
        read.map_err(|error| error.within(PathSegment::new(name, known)))
    }
}

/// A deserializer for the name of an object member. If the map has integer keys, parses the name as a number.
struct KeyDeserializer<'de>(&'de str);

impl<'de> KeyDeserializer<'de> {
    fn integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if let Ok(number) = self.0.parse() {
            return visitor.visit_u64(number);
        }
        match self.0.parse() {
            Ok(number) => visitor.visit_i64(number),
            Err(_) => visitor.visit_borrowed_str(self.0),
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            self.integer(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for KeyDeserializer<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct VariantAccessor<'de> {
    name: &'de str,
    /// Content of the enum variant. `None` for a variant without content, which is written as a string.
    value: Option<&'de Value>,
    known: &'static [&'static str],
}

impl<'de> VariantAccessor<'de> {
    fn read<T>(
        self,
        read: impl FnOnce(ValueDeserializer<'de>) -> Result<T, Mismatch>,
    ) -> Result<T, Mismatch> {
        let segment = PathSegment::new(self.name, self.known);
        match self.value {
            Some(value) => read(ValueDeserializer(value)).map_err(|error| error.within(segment)),
            None => Err(Mismatch::invalid_type(
                Unexpected::Str(self.name),
                &"a variant with its content",
            )),
        }
    }
}

impl<'de> EnumAccess<'de> for VariantAccessor<'de> {
    type Error = Mismatch;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Mismatch> {
        let name: BorrowedStrDeserializer<'de, Mismatch> = BorrowedStrDeserializer::new(self.name);
        seed.deserialize(name).map(|variant| (variant, self))
    }
}

impl<'de> VariantAccess<'de> for VariantAccessor<'de> {
    type Error = Mismatch;

    fn unit_variant(self) -> Result<(), Mismatch> {
        match self.value {
            Some(_) => self.read(<()>::deserialize),
            None => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mismatch> {
        self.read(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Mismatch> {
        self.read(|reader| reader.deserialize_tuple(len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.read(|reader| reader.deserialize_struct("", fields, visitor))
    }
}
