//! Numbers as providers write them.

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A whole number, also read from a float without a fraction or from a text of digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LenientU64(pub(crate) u64);

impl Serialize for LenientU64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for LenientU64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = LenientU64;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E>(self, value: u64) -> Result<LenientU64, E> {
                Ok(LenientU64(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<LenientU64, E> {
                Ok(LenientU64(u64::try_from(value).unwrap_or(0)))
            }

            fn visit_f64<E>(self, value: f64) -> Result<LenientU64, E> {
                // `as` saturates: below zero becomes 0, and no provider counts beyond u64.
                Ok(LenientU64(value as u64))
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<LenientU64, E> {
                let number = value
                    .trim()
                    .parse::<f64>()
                    .map_err(|_| E::custom("not a number"))?;
                self.visit_f64(number)
            }
        }
        deserializer.deserialize_any(Number)
    }
}
