//! Whole numbers, decoded from the various JSON types in which providers send them.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::unknown_fields::UnknownFields;
use super::wire_object::OptionalField;

/// A whole number that may be absent. Decoded from a JSON number or from a string that contains a number;
/// fractions are rounded down. Any other value counts as absent: null, text, a list or an object, and numbers
/// that are negative or exceed `u64::MAX`.
///
/// Invariant: no count is invented. A number is what the provider sent, or it is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct LenientU64(Option<u64>);

impl LenientU64 {
    pub(crate) fn get(self) -> Option<u64> {
        self.0
    }

    /// Returns the number, or `other` if the number is absent.
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }
}

impl From<u64> for LenientU64 {
    fn from(number: u64) -> Self {
        Self(Some(number))
    }
}

impl From<Option<u64>> for LenientU64 {
    fn from(number: Option<u64>) -> Self {
        Self(number)
    }
}

impl OptionalField for LenientU64 {
    type Decoded<'de> = Self;

    fn set(&mut self, value: Self) {
        *self = value;
    }

    fn is_absent(&self) -> bool {
        self.0.is_none()
    }

    /// An unreadable number is encoded as null.
    fn note_empty(extra: &mut UnknownFields, bit: u32) {
        extra.set_null(bit);
    }
}

impl<'de> Deserialize<'de> for LenientU64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = LenientU64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E>(self, value: u64) -> Result<LenientU64, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<LenientU64, E> {
        Ok(u64::try_from(value).ok().into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<LenientU64, E> {
        Ok(whole(value).into())
    }

    fn visit_str<E>(self, value: &str) -> Result<LenientU64, E> {
        let text = value.trim();
        let exact: Option<u64> = text.parse().ok();
        Ok(exact.or_else(|| whole(text.parse().ok()?)).into())
    }

    fn visit_bool<E>(self, _: bool) -> Result<LenientU64, E> {
        Ok(LenientU64(None))
    }

    fn visit_unit<E>(self) -> Result<LenientU64, E> {
        Ok(LenientU64(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<LenientU64, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(LenientU64(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<LenientU64, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(LenientU64(None))
    }
}

/// Rounds a number down. `None` if it is negative, not a number, or too large.
fn whole(value: f64) -> Option<u64> {
    // The first power of two that a `u64` cannot represent.
    const END: f64 = 18_446_744_073_709_551_616.0;
    (0.0..END).contains(&value).then_some(value as u64)
}

/// Implements getters for fields of type `LenientU64`. `lenient_getters!(Type { field })` adds the method
/// `Type::field`, which returns an `Option<u64>`.
macro_rules! lenient_getters {
    ($type:ident { $($(#[$doc:meta])* $field:ident),* $(,)? }) => {
        impl $type {
            $(
                $(#[$doc])*
                pub fn $field(&self) -> Option<u64> {
                    self.$field.get()
                }
            )*
        }
    };
}

pub(crate) use lenient_getters;
