//! Whole numbers, decoded from the various JSON types in which providers send them.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A whole number that can be decoded from a JSON number or from a string that contains a number. Rounds
/// fractions down and replaces negative numbers with 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct LenientU64(pub(crate) u64);

impl<'de> Deserialize<'de> for LenientU64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = LenientU64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E>(self, value: u64) -> Result<LenientU64, E> {
                Ok(LenientU64(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<LenientU64, E> {
                Ok(LenientU64(u64::try_from(value).unwrap_or(0)))
            }

            fn visit_f64<E>(self, value: f64) -> Result<LenientU64, E> {
                // The cast saturates: negative numbers become 0.
                Ok(LenientU64(value as u64))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<LenientU64, E> {
                let number = value
                    .trim()
                    .parse::<f64>()
                    .map_err(|_| E::custom("not a number"))?;
                self.visit_f64(number)
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}

/// Implements getters for fields of type `Option<LenientU64>`. `lenient_getters!(Type { field })` adds the
/// method `Type::field`, which returns an `Option<u64>`.
macro_rules! lenient_getters {
    ($type:ident { $($(#[$doc:meta])* $field:ident),* $(,)? }) => {
        impl $type {
            $(
                $(#[$doc])*
                pub fn $field(&self) -> Option<u64> {
                    self.$field.map(|number| number.0)
                }
            )*
        }
    };
}

pub(crate) use lenient_getters;
