//! Whole numbers in the forms that providers send.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A whole number. Also decodes from a float (rounded down) and from a string that holds a number; negative numbers become 0.
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
                // `as` saturates: negative numbers become 0.
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

/// `lenient_getters!(Type { field })` implements getters that return the fields as `Option<u64>`.
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
